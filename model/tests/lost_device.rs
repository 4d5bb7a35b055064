//! A device that is lost with all that lies on it, at every call: training goes on to the same weights, and callbacks hear of every
//! batch once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax::{
    io::ModelDir,
    layers::*,
    prelude::*,
    tensor::testing::{self, Fault, Faulty},
};
use std::sync::Arc;

fn data(rows: usize, seed: usize) -> Dataset {
    let x: Vec<f32> = (0..rows * 6).map(|i| ((i * 37 + seed * 11) % 23) as f32 / 23.0).collect();
    let y: Vec<i32> = (0..rows).map(|i| ((i + seed) % 3) as i32).collect();
    Dataset::new(Array::new([rows, 6], &x).unwrap(), Array::new([rows], &y).unwrap()).unwrap()
}

fn model(device: &Device) -> Sequential {
    let mut model = Sequential::new()
        .input([6])
        .seed(9)
        .add(Dense::new(8))
        .add(BatchNormalization::new())
        .add(Activation::new("relu"))
        .add(Dropout::new(0.25))
        .add(Dense::new(3));
    model.set_device(device);
    let loss = SparseCategoricalCrossentropy::from_logits();
    model.compile(Compile::new(Adam::new(1e-2).use_ema(true)).loss(loss).metric("accuracy")).unwrap();
    model
}

/// What a training leaves: weights, every value of the history, what callbacks heard, and if asked for everything that is saved.
#[derive(Debug, PartialEq)]
struct Left {
    weights: Vec<Vec<u8>>,
    saved: Vec<(String, Vec<u8>)>,
    history: String,
    heard: Vec<String>,
}

/// What to train: how many steps an epoch has, if it is no pass; and whether to look at everything that is saved, which takes long.
#[derive(Clone, Copy)]
struct Plan {
    steps: Option<usize>,
    look: bool,
    restore_every: usize,
    ready: fn(&Fault),
}

/// Three epochs with validation and callbacks that read and change the state; the notes of its history, and what it left.
fn train(plan: Plan) -> addax::Result<(Vec<String>, Left)> {
    let (device, fault) = Faulty::losable_device().unwrap();
    let mut model = model(&device);
    let (rows, held_out) = (data(15, 1), data(7, 2));
    let heard = std::cell::RefCell::new(Vec::new());
    let hear = |what: String| {
        heard.borrow_mut().push(what);
        Ok(())
    };
    // Reads weights, so that the loss of the device may be found in a hook, between two other callbacks.
    let mut watch = LambdaCallback::new()
        .on_train_batch_end(|batch, logs, t| {
            let sum: f64 = t.weights()?.iter().flat_map(|(_, w)| w.to_vec::<f32>().unwrap()).map(f64::from).sum();
            if batch == 1 {
                let rate = t.learning_rate()?;
                t.set_learning_rate(rate * 0.5)?;
            }
            hear(format!("batch {batch}: {sum} {:?}", logs.numbers()?))
        })
        .on_test_batch_end(|batch, logs, _| hear(format!("test {batch}: {:?}", logs.numbers()?)))
        .on_epoch_end(|epoch, logs, t| {
            if epoch == 0 {
                let halved = |(path, w): (String, Array)| {
                    let values: Vec<f32> = w.to_vec::<f32>().unwrap().iter().map(|v| v * 0.5).collect();
                    (path, Array::new(w.shape().clone(), &values).unwrap())
                };
                let weights: Vec<_> = t.weights()?.into_iter().take(2).map(halved).collect();
                t.set_weights(&weights)?;
            }
            hear(format!("epoch {epoch}: {:?}", logs.numbers()?))
        });
    let mut after = LambdaCallback::new()
        .on_train_batch_begin(|batch, _, _| hear(format!("begin {batch}")))
        .on_train_batch_end(|batch, _, _| hear(format!("after {batch}")))
        .on_test_batch_begin(|batch, _, _| hear(format!("begin test {batch}")))
        .on_train_end(|_, _| hear("end".into()));
    let mut before = LambdaCallback::new()
        .on_train_begin(|_, _| hear("start".into()))
        .on_train_batch_end(|batch, _, _| hear(format!("before {batch}")));
    let mut best = EarlyStopping::new("val_loss").patience(1).restore_best_weights(true);
    let mut fit = Fit::epochs(3).batch_size(5).seed(3).verbose(0).restore_every(plan.restore_every);
    if let Some(steps) = plan.steps {
        fit = fit.steps_per_epoch(steps);
    }
    let fit = fit.validation_data(&held_out).validation_batch_size(4);
    let fit = fit.callback(&mut before).callback(&mut watch).callback(&mut best).callback(&mut after);
    (plan.ready)(&fault);
    let done = model.fit(&rows, fit);
    LOSSES.with(|losses| losses.set(fault.times()));
    fault.disarm();
    drop((before, watch, after));
    let history = done?;
    let notes = history.notes().iter().map(|note| note.text.clone()).collect();
    let values: Vec<_> = history.names().map(|name| (name.to_string(), history.get(name).unwrap().to_vec())).collect();
    let saved = if plan.look { saved(&model) } else { Vec::new() };
    Ok((notes, Left { weights: bits(&model), saved, history: format!("{values:?}"), heard: heard.take() }))
}

thread_local! {
    /// How often the device of the last training was lost.
    static LOSSES: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
    /// The call that is the first to lose it, and from then on every so many.
    static CALL: std::cell::Cell<(u64, u64)> = const { std::cell::Cell::new((0, 0)) };
}

fn arm(fault: &Fault) {
    let (call, every) = CALL.get();
    fault.arm_again(call, every);
}

fn bits(model: &Model) -> Vec<Vec<u8>> {
    model.weights().unwrap().iter().map(|(_, w)| w.bytes().to_vec()).collect()
}

fn saved(model: &Model) -> Vec<(String, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.addax");
    model.save(&path).unwrap();
    let saved = ModelDir::load(&path).unwrap();
    let arrays = saved.weights.into_iter().chain(saved.optimizer);
    let bytes = arrays.map(|(name, array)| (name, array.bytes().to_vec()));
    bytes.chain([("state".to_string(), saved.state.to_string().into_bytes())]).collect()
}

fn at(call: u64, every: u64, plan: Plan) -> addax::Result<(Vec<String>, Left)> {
    CALL.set((call, every));
    train(Plan { ready: arm, ..plan })
}

const PLAIN: Plan = Plan { steps: None, look: true, restore_every: 1000, ready: |_| {} };

/// Every so many calls of a training lose the device once.
fn exhaust(name: &str, plan: Plan, stride: u64) {
    let (notes, whole) = train(plan).unwrap();
    assert!(notes.is_empty(), "{notes:?}");
    assert!(whole.heard.iter().filter(|h| h.starts_with("after")).count() >= 9, "{:?}", whole.heard);
    let (mut call, mut early) = (1 - stride as i64, 0);
    loop {
        call += stride as i64;
        let look = call % 11 == 0;
        let got = at(call as u64, 0, Plan { look, ..plan });
        if LOSSES.get() == 0 {
            break;
        }
        match got {
            Err(error) => {
                assert!(error.is_device_lost(), "{error}");
                assert!(early == 0 || early + stride as i64 == call, "call {call} ended training: {error}");
                early = call;
            }
            Ok((notes, got)) => {
                assert_eq!(got.heard, whole.heard, "{name}, call {call}");
                let same = got.weights == whole.weights && (!look || got.saved == whole.saved);
                assert!(
                    same && got.history == whole.history,
                    "{name}, call {call}: {}, {}",
                    got.history,
                    whole.history
                );
                assert!(notes.len() == 1 && notes[0].starts_with("the device was lost"), "call {call}: {notes:?}");
            }
        }
    }
    println!(
        "{name}: lost once at every {stride}-th of {call} calls, of which {early} come before the first restore point"
    );
    assert!(call > 100 && early < call / 3);
}

#[test]
fn a_training_that_lost_its_device_ends_as_if_nothing_had_happened() {
    exhaust("passes", PLAIN, 2);
    exhaust("steps", Plan { steps: Some(4), restore_every: 3, ..PLAIN }, 5);
}

#[test]
fn it_goes_on_after_many_losses_as_long_as_it_gets_further() {
    let plan = Plan { restore_every: 1, ..PLAIN };
    let (_, whole) = train(plan).unwrap();
    let (notes, got) = at(60, 220, plan).unwrap();
    assert_eq!(got.heard, whole.heard);
    assert!(got == whole);
    assert!(notes.len() > 2 && notes.len() as u64 == LOSSES.get(), "{notes:?}");
    let again = |note: &String| note.contains("and 0 steps") || note.contains("and 1 steps");
    assert!(notes.iter().all(again), "with a point after each step: {notes:?}");
}

#[test]
fn without_progress_it_ends_with_the_weights_of_the_last_restore_point() {
    let error = at(200, 7, PLAIN).unwrap_err();
    assert!(error.is_device_lost());
    assert!(error.to_string().contains("lost 4 times in a row"), "{error}");
    assert!(LOSSES.get() >= 4);

    // The same with nothing around it, to look at the weights.
    let (device, fault) = Faulty::losable_device().unwrap();
    let mut model = model(&device);
    let rows = data(15, 1);
    let fit = || Fit::epochs(2).batch_size(5).seed(3).verbose(0);
    let begun = bits(&model);
    let armed: Arc<Fault> = fault.clone();
    let mut arm = LambdaCallback::new().on_train_batch_end(|batch, _, _| {
        if batch == 1 {
            armed.arm_again(1, 1);
        }
        Ok(())
    });
    assert!(model.fit(&rows, fit().callback(&mut arm)).unwrap_err().is_device_lost());
    fault.disarm();
    assert_eq!(bits(&model), begun);
    model.set_device(&Device::cpu().unwrap());
    drop(arm);
    assert!(model.fit(&rows, fit()).unwrap().last("loss").unwrap().is_finite());
}

/// The same on a real adapter, whose logs are read later than its steps run: a callback destroys the device.
#[test]
fn a_gpu_that_was_destroyed_is_opened_again() {
    use addax::tensor::gpu::GpuExecutor;
    if testing::gpu().expect("ADDAX_TEST_DEVICES names gpu").is_none() {
        return;
    }
    let fitted = |at: Option<(usize, usize)>| {
        let device = Device::by_name("gpu").expect("ADDAX_TEST_DEVICES names gpu, but there is no adapter");
        let mut model = model(&device);
        let mut epochs = 0;
        let mut losses = Vec::new();
        let mut destroy = LambdaCallback::new().on_train_batch_end(|batch, logs, _| {
            if at == Some((epochs, batch)) {
                device.executor_as::<GpuExecutor>().unwrap().destroy();
            }
            epochs += usize::from(batch == 2);
            losses.push(logs.get("loss")?);
            Ok(())
        });
        let rows = data(15, 1);
        let fit = Fit::epochs(3).batch_size(5).seed(3).verbose(0).validation_data(&rows).callback(&mut destroy);
        let history = model.fit(&rows, fit).unwrap();
        drop(destroy);
        let notes: Vec<String> = history.notes().iter().map(|note| note.text.clone()).collect();
        println!("{notes:?}");
        (bits(&model), losses, history.get("val_loss").unwrap().to_vec(), notes.len())
    };
    let whole = fitted(None);
    assert_eq!(whole.3, 0);
    for at in [(0, 0), (1, 1), (2, 2)] {
        let (weights, losses, val, notes) = fitted(Some(at));
        assert_eq!((losses, val, notes), (whole.1.clone(), whole.2.clone(), 1), "{at:?}");
        assert!(weights == whole.0, "{at:?}");
    }
}

#[test]
fn a_cpu_keeps_nothing() {
    let cpu = Device::cpu().unwrap();
    assert!(!cpu.can_be_lost());
    let (device, _) = Faulty::losable_device().unwrap();
    assert!(device.can_be_lost());
    device.set_memory_limit(Some(12345));
    let again = device.reopen().unwrap();
    assert!(again != device && again.memory().budget == 12345);
    assert!(cpu.reopen().is_err());
}
