//! What a refusal says, and what is done before there is one: the largest batch that fits, and idle memory that gives way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax::{
    layers::*,
    prelude::*,
    tensor::{
        Error, ErrorKind,
        error::{OutOfMemory, bytes_for_people},
    },
};

const FEATURES: usize = 256;

fn model(device: &Device) -> Sequential {
    let mut model = Sequential::new()
        .input([FEATURES])
        .seed(1)
        .add(Dense::new(64).activation("relu").named("wide"))
        .add(Dense::new(3).named("narrow"));
    model.set_device(device);
    let loss = SparseCategoricalCrossentropy::from_logits();
    model.compile(Compile::new(Adam::new(1e-3)).loss(loss)).unwrap();
    model
}

fn rows(n: usize) -> (Array, Array) {
    let x: Vec<f32> = (0..n * FEATURES).map(|i| (i * 7 % 17) as f32 / 17.0).collect();
    let y: Vec<i32> = (0..n).map(|i| (i % 3) as i32).collect();
    (Array::new([n, FEATURES], &x).unwrap(), Array::new([n], &y).unwrap())
}

fn report(error: &Error) -> OutOfMemory {
    match error.kind() {
        ErrorKind::OutOfMemory(report) => report.clone(),
        _ => panic!("{error}"),
    }
}

/// The least budget that a report names: the whole need where slices need no less.
fn least(report: &OutOfMemory) -> u64 {
    report.floor.unwrap_or(report.needed)
}

type Operation = fn(&mut Sequential, usize) -> addax::Result<()>;

fn train(model: &mut Sequential, n: usize) -> addax::Result<()> {
    let (x, y) = rows(n);
    model.train_on_batch(&x, &y, None).map(drop)
}
fn evaluate(model: &mut Sequential, n: usize) -> addax::Result<()> {
    let (x, y) = rows(n);
    model.evaluate_with(&Dataset::new(x, y)?, Evaluate::new().batch_size(n).verbose(0)).map(drop)
}
fn predict(model: &mut Sequential, n: usize) -> addax::Result<()> {
    model.predict_on_batch(&rows(n).0).map(drop)
}

/// A refusal tells the least budget, to the byte, and the largest batch, to the sample.
#[test]
fn a_refusal_tells_what_would_fit() {
    for (name, operation) in [("train", train as Operation), ("evaluate", evaluate), ("predict", predict)] {
        let device = Device::cpu().unwrap();
        let mut model = model(&device);
        // Everything that lasts is on the device, and is all that is.
        operation(&mut model, 1).unwrap();
        device.trim();
        let state = device.memory().live;
        device.set_memory_limit(Some(state + 4096));
        let error = operation(&mut model, 100).unwrap_err();
        assert_eq!(report(&error).batch_that_fits, Some(0));
        assert!(error.to_string().contains("Not even a batch of 1 would fit: make the model smaller"), "{error}");

        // Room for half the batch's data.
        let budget = least(&report(&error)) - 50_000;
        device.set_memory_limit(Some(budget));
        let error = operation(&mut model, 100).unwrap_err();
        let told = report(&error);
        println!("{name}: {error}");
        let (floor, batch) = (least(&told), told.batch_that_fits.unwrap());
        let text = error.to_string();
        assert!(text.contains(&format!("the budget is {}.", bytes_for_people(budget))), "{text}");
        assert_eq!(
            text.contains(&format!("it would still need {}.", bytes_for_people(floor))),
            told.floor.is_some(),
            "{text}"
        );
        assert!(text.contains(&format!("A batch of {batch} would fit, or raise the limit")), "{text}");
        assert!(told.largest.iter().any(|(label, _)| label.contains("wide") || label.contains("narrow")), "{text}");

        device.set_memory_limit(Some(floor - 1));
        assert_eq!(least(&report(&operation(&mut model, 100).unwrap_err())), floor);
        device.set_memory_limit(Some(floor));
        operation(&mut model, 100).unwrap();

        device.set_memory_limit(Some(budget));
        assert!((1..100).contains(&batch), "{batch}");
        operation(&mut model, batch).unwrap();
        assert!(operation(&mut model, batch + 1).unwrap_err().is_out_of_memory(), "{name}: {batch} is not the largest");
    }
}

/// What is refused while a file is read names the file, stays a refusal, and changes nothing.
#[test]
fn weights_of_a_file_without_room_are_refused_as_such() {
    let device = Device::cpu().unwrap();
    let mut model = model(&device);
    train(&mut model, 4).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("early.safetensors");
    model.save_weights(&path).unwrap();
    train(&mut model, 4).unwrap();
    let before = model.weights().unwrap();
    device.set_memory_limit(Some(1));
    let error = model.load_weights(&path).unwrap_err();
    assert!(error.is_out_of_memory(), "{error}");
    assert_eq!(report(&error).budget, 1);
    assert!(error.to_string().starts_with(&format!("{}: out of memory on cpu", path.display())), "{error}");
    device.set_memory_limit(None);
    assert_eq!(model.weights().unwrap(), before);
    model.load_weights(&path).unwrap();
    assert_ne!(model.weights().unwrap(), before);
}

/// Each size of batch has a program with memory for its inputs and outputs. That memory is no reason to refuse another size.
#[test]
fn predictions_of_many_sizes_need_no_more_than_the_largest() {
    let device = Device::cpu().unwrap();
    let model = model(&device);
    let sizes: Vec<usize> = (0..24).map(|n| 900 + 17 * (n * 5 % 24)).collect();
    let largest = *sizes.iter().max().unwrap();
    let wanted: Vec<Array> = sizes.iter().map(|&n| model.predict_on_batch(&rows(n).0).unwrap()).collect();
    let kept = device.memory().live;
    device.trim();
    device.reset_peak();
    let state = device.memory().live;
    model.predict_on_batch(&rows(largest).0).unwrap();
    let need = device.memory().peak;
    let bytes = |n: usize| (n * FEATURES * 4) as u64;
    assert!(kept > need + 4 * bytes(900), "programs keep nothing: the test says nothing");
    device.trim();
    device.set_memory_limit(Some(need));
    device.reset_peak();
    let splits = device.plan_cache().split;
    for (n, wanted) in sizes.iter().zip(&wanted) {
        assert_eq!(model.predict_on_batch(&rows(*n).0).unwrap(), *wanted);
    }
    let after = device.memory();
    assert!(after.let_go > 0 && after.peak <= need, "{after:?}");
    assert_eq!(device.plan_cache().split, splits, "idle memory gives way before a batch is computed in slices");
    assert!(state < need);
}
