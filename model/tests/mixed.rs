//! Mixed precision end to end: trainings of real Keras repeated under mixed policies, steps that overflow, files, devices.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod common;

use addax::{layers::*, prelude::*, tensor::plan::split::Rung};
use common::{array, blobs, fixture, numbers};
use serde_json::Value;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The default device, its rung and the default policy are one for all tests.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The devices that tests are told to use.
fn devices() -> Vec<Device> {
    let mut devices = vec![Device::cpu().unwrap()];
    devices.extend(addax::tensor::testing::gpu().expect("ADDAX_TEST_DEVICES names gpu"));
    devices
}

/// Half the distance of two neighbours around 1: what one rounding costs at most.
fn unit(policy: &str) -> f64 {
    if policy.ends_with("bfloat16") { 2f64.powi(-8) } else { 2f64.powi(-11) }
}

/// A variable of a fixture. Keras puts the model's name in front of the path.
fn weight(json: &Value) -> (String, Array) {
    let (_, path) = json["path"].as_str().unwrap().split_once('/').unwrap();
    (path.into(), array(json))
}

/// A training of `histories`, repeated in half precision. Both programs round every activation, in another order; a loss is a
/// mean, so such roundings mostly cancel, and what remains is some units of one rounding, of which four are allowed. A sample
/// that lies within them of the border between two classes may fall to either side: four samples are allowed.
fn repeat(name: &str, policy: &str) {
    let (plain, golden) = (fixture(&format!("histories/{name}.json")), fixture(&format!("mixed/{name}_{policy}.json")));
    let mut model = Model::from_json(&golden["model"].to_string()).unwrap();
    assert_eq!(model.policy().unwrap().name(), policy);
    let first: Vec<_> = plain["initial_weights"].as_array().unwrap().iter().map(weight).collect();
    model.set_weights(&first).unwrap();
    let data = &plain["data"];
    let mut rows = Dataset::new(array(&data["x"]), array(&data["y"])).unwrap();
    if !data["sample_weight"].is_null() {
        rows = rows.with_sample_weight(&array(&data["sample_weight"]).to_vec::<f32>().unwrap()).unwrap();
    }
    let told = &golden["fit"];
    let number = |key: &str| told[key].as_f64().unwrap();
    let split = number("validation_split");
    let mut fit = Fit::epochs(number("epochs") as usize)
        .batch_size(number("batch_size") as usize)
        .validation_split(split)
        .shuffle(false)
        .verbose(0);
    if let Some(weights) = told["class_weight"].as_object() {
        fit = fit.class_weight(weights.iter().map(|(class, w)| (class.parse().unwrap(), w.as_f64().unwrap())));
    }
    let history = model.fit(&rows, fit).unwrap();
    let unit = unit(policy);
    for (metric, values) in golden["history"].as_object().unwrap() {
        let share = if metric.starts_with("val_") { split } else { 1.0 - split };
        let flips = 4.0 / (rows.len() as f64 * share).floor();
        let allowed = if metric.ends_with("accuracy") { flips } else { 4.0 * unit };
        for (epoch, keras) in values.as_array().unwrap().iter().enumerate() {
            let (ours, keras) = (history.get(metric).unwrap()[epoch], keras.as_f64().unwrap());
            let off = (ours - keras).abs() / keras.abs().max(1.0);
            println!("{name} {policy} {metric} {epoch}: {:.2} units", off / unit);
            assert!(off <= allowed * 1.001, "{name} {policy}, {metric} of epoch {epoch}: {ours}, Keras has {keras}");
        }
    }
    let keras = &golden["predict"]["result"];
    let some = rows.slice(0..keras["shape"][0].as_u64().unwrap() as usize).unwrap();
    let ours = model.predict(&some).unwrap();
    assert_eq!(
        ours.dtype().name(),
        keras["dtype"].as_str().unwrap(),
        "the output has the type that the last layer computes in"
    );
    let ours = ours.to_vec::<f32>().unwrap();
    let keras: Vec<f64> = keras["data"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    let size = keras.iter().fold(1.0f64, |most, v| most.max(v.abs()));
    for (a, b) in ours.iter().zip(&keras) {
        let off = (f64::from(*a) - b).abs() / size;
        println!("{name} {policy} predict: {:.2} units", off / unit);
        assert!(off <= 16.0 * unit, "{name} {policy} predicts {a}, Keras {b}");
    }
    for (path, w) in model.weights().unwrap() {
        assert_eq!(w.dtype(), DType::F32, "{path}");
    }
}

#[test]
fn trainings_of_keras_in_half_precision() {
    let _alone = alone();
    Device::set_default(&Device::cpu().unwrap());
    for name in ["mlp", "convnet", "lstm"] {
        for policy in ["mixed_float16", "mixed_bfloat16"] {
            repeat(name, policy);
        }
    }
}

fn classifier(policy: &str) -> Sequential {
    Sequential::new()
        .dtype(policy)
        .input([4])
        .add(Dense::new(16).activation("relu").kernel_constraint("max_norm"))
        .add(BatchNormalization::new())
        .add(Dense::new(3))
        .seed(3)
}

fn how(optimizer: impl Optimizer + 'static) -> Compile {
    Compile::new(optimizer).loss(SparseCategoricalCrossentropy::from_logits()).metric("accuracy")
}

/// Losses of the epochs, and the last accuracy.
fn trained(policy: &str) -> (Vec<f64>, f64) {
    let mut model = classifier(policy);
    model.compile(how(Adam::new(0.01).clipnorm(1.0))).unwrap();
    let history = model.fit(&blobs(300, 1), Fit::epochs(12).batch_size(32).seed(1).verbose(0)).unwrap();
    (history.get("loss").unwrap().to_vec(), model.evaluate(&blobs(90, 7)).unwrap().get("accuracy").unwrap())
}

/// On every device, in every policy: the accuracy that `float32` reaches, by nearly the same curve.
#[test]
fn half_precision_learns_what_full_precision_does() {
    let _alone = alone();
    let mut on_cpu: Vec<Vec<f64>> = Vec::new();
    for device in devices() {
        Device::set_default(&device);
        let (full, accuracy) = trained("float32");
        assert!(accuracy > 0.95, "float32 reaches {accuracy}");
        for (at, policy) in ["mixed_float16", "mixed_bfloat16"].into_iter().enumerate() {
            let (losses, reached) = trained(policy);
            assert!(reached > 0.95, "{policy} reaches {reached} on {}", device.name());
            // The skipped steps of a scale that begins too large cost a step or two.
            for (a, b) in losses.iter().zip(&full) {
                assert!((a - b).abs() < 0.1, "{policy}: {losses:?}, float32: {full:?}");
            }
            match on_cpu.get(at) {
                None => on_cpu.push(losses),
                Some(cpu) => {
                    for (a, b) in losses.iter().zip(cpu) {
                        assert!((a - b).abs() < 16.0 * unit(policy), "{policy}: {losses:?}, on the CPU {cpu:?}");
                    }
                }
            }
        }
    }
    Device::set_default(&Device::cpu().unwrap());
}

/// Handwritten digits, by a small convolutional net on the CPU.
#[test]
fn digits_are_learned_in_half_precision() {
    let _alone = alone();
    Device::set_default(&Device::cpu().unwrap());
    let (train, test) = data::sets::digits().unwrap().train_test(0.2, 1).unwrap();
    for policy in ["mixed_float16", "mixed_bfloat16"] {
        let mut model = Sequential::new()
            .dtype(policy)
            .input([8, 8, 1])
            .seed(1)
            .add(Rescaling::new(1.0 / 16.0))
            .add(Conv2D::new(8, 3).activation("relu"))
            .add(MaxPooling2D::new(2))
            .add(Flatten::new())
            .add(Dense::new(32).activation("relu"))
            .add(Dense::new(10).activation("softmax").dtype("float32"));
        model
            .compile(Compile::new(Adam::new(1e-2)).loss("sparse_categorical_crossentropy").metric("accuracy"))
            .unwrap();
        model.fit(&train, Fit::epochs(8).batch_size(32).seed(1).verbose(0)).unwrap();
        let accuracy = model.evaluate(&test).unwrap().get("accuracy").unwrap();
        assert!(accuracy > 0.94, "{policy} reaches {accuracy}");
    }
}

fn batch() -> (Array, Array) {
    let rows = blobs(24, 5);
    (rows.x().into_owned(), rows.y().unwrap().into_owned())
}

/// All there is: weights, moving statistics, optimizer. What a step that is skipped may change is told apart by name.
fn scale_of(model: &Model) -> f64 {
    let saved = std::env::temp_dir().join(format!("addax-mixed-{}.addax", std::process::id()));
    model.save(&saved).unwrap();
    let optimizer = addax::io::ModelDir::load(&saved).unwrap().optimizer;
    std::fs::remove_dir_all(&saved).unwrap();
    let scale = optimizer.iter().find(|(name, _)| name == "vars/3").map(|(_, a)| a.to_vec::<f32>().unwrap()[0]);
    f64::from(scale.unwrap())
}

/// Weights alone: moving statistics follow the forward pass, as in Keras.
fn trainable(model: &Model) -> Vec<Vec<u8>> {
    let all = model.weights().unwrap();
    all.iter().filter(|(path, _)| !path.contains("moving")).map(|(_, w)| w.bytes().to_vec()).collect()
}

/// A scale that overflows: nothing moves and the scale falls until gradients are finite; then training goes on. Whole or in
/// slices, the step decides once.
#[test]
fn steps_that_overflow_are_skipped_whole_and_in_slices() {
    let _alone = alone();
    let (x, y) = batch();
    for device in devices() {
        Device::set_default(&device);
        let mut losses: Vec<Vec<f64>> = Vec::new();
        for rung in [
            None,
            Some(Rung { slices: 2, recompute: false, lean: false }),
            Some(Rung { slices: 4, recompute: true, lean: false }),
        ] {
            device.set_rung(rung);
            let mut model = classifier("mixed_float16");
            let optimizer = Adam::new(0.05).weight_decay(0.01);
            model.compile(how(LossScaleOptimizer::new(optimizer).initial_scale(2f64.powi(40)))).unwrap();
            let (mut before, mut scale, mut skipped, mut run) = (trainable(&model), scale_of(&model), 0, Vec::new());
            for _ in 0..30 {
                model.reset_metrics().unwrap();
                run.push(model.train_on_batch(&x, &y, None).unwrap().get("loss").unwrap());
                let (now, next) = (trainable(&model), scale_of(&model));
                if next < scale {
                    assert_eq!(next, scale / 2.0);
                    assert!(now == before, "a skipped step moved weights on {}, rung {rung:?}", device.name());
                    skipped += 1;
                } else {
                    assert!(now != before, "a step with finite gradients moved nothing");
                }
                (before, scale) = (now, next);
            }
            device.set_rung(None);
            assert!((5..29).contains(&skipped), "{skipped} steps were skipped on {}, rung {rung:?}", device.name());
            assert!(run[29] < run[0] - 0.05 && run.iter().all(|l| l.is_finite()), "{run:?}");
            losses.push(run);
        }
        for sliced in &losses[1..] {
            for (a, b) in sliced.iter().zip(&losses[0]) {
                assert!((a - b).abs() < 0.02, "in slices {sliced:?}, whole {:?}", losses[0]);
            }
        }
    }
    Device::set_default(&Device::cpu().unwrap());
}

/// Two optimizers, one loss of which overflows: only what that one moves stays.
struct Two {
    sound: Sequential,
    broken: Sequential,
    sound_optimizer: LossScaleOptimizer,
    broken_optimizer: LossScaleOptimizer,
}
impl TrainStep for Two {
    fn train_step(&mut self, x: Tensor, s: &mut Step) -> addax::Result<Logs> {
        let loss = s.call(&self.sound, &x)?.cast(DType::F32).square().mean_all();
        s.minimize(&loss, &self.sound, &mut self.sound_optimizer)?;
        let huge = (s.call(&self.broken, &x)?.cast(DType::F32) * 1e30).square().mean_all();
        s.minimize(&huge, &self.broken, &mut self.broken_optimizer)?;
        Ok(logs! { "loss" => loss })
    }
}

#[test]
fn own_train_steps_skip_by_optimizer() {
    let _alone = alone();
    Device::set_default(&Device::cpu().unwrap());
    let net = || Sequential::new().dtype("mixed_float16").input([4]).seed(1).add(Dense::new(2));
    let mut two = Two {
        sound: net(),
        broken: net(),
        sound_optimizer: LossScaleOptimizer::new(Adam::new(0.05)).initial_scale(256.0),
        broken_optimizer: LossScaleOptimizer::new(Adam::new(0.05)).initial_scale(256.0),
    };
    let before = numbers(&two.broken);
    let sound = numbers(&two.sound);
    let history = two.fit(&blobs(64, 2), Fit::epochs(2).batch_size(16).seed(1).verbose(0)).unwrap();
    assert_eq!(numbers(&two.broken), before);
    assert_ne!(numbers(&two.sound), sound);
    assert_eq!(two.broken_optimizer.scale().unwrap(), 1.0);
    assert_eq!((two.broken_optimizer.iterations().unwrap(), two.sound_optimizer.iterations().unwrap()), (0, 8));
    assert!(history.last("loss").unwrap() < history.get("loss").unwrap()[0]);
}

/// Saved in the middle, loaded, trained on: the same bits as without the stop, scale and count included.
#[test]
fn a_saved_training_goes_on_as_if_nothing_had_happened() {
    let _alone = alone();
    Device::set_default(&Device::cpu().unwrap());
    let (x, y) = batch();
    let path = std::env::temp_dir().join(format!("addax-mixed-files-{}.addax", std::process::id()));
    for auto in [true, false] {
        let mut model = classifier("mixed_float16");
        model.compile(how(Adam::new(0.05)).auto_scale_loss(auto)).unwrap();
        (0..3).for_each(|_| drop(model.train_on_batch(&x, &y, None).unwrap()));
        model.save(&path).unwrap();
        let mut loaded = Model::load(&path).unwrap();
        assert_eq!(loaded.policy().unwrap().name(), "mixed_float16");
        let text = std::fs::read_to_string(path.join("config.json")).unwrap();
        assert_eq!(text.contains("LossScaleOptimizer"), auto, "{text}");
        std::fs::remove_dir_all(&path).unwrap();
        (0..3).for_each(|_| drop(model.train_on_batch(&x, &y, None).unwrap()));
        (0..3).for_each(|_| drop(loaded.train_on_batch(&x, &y, None).unwrap()));
        assert_eq!(numbers(&loaded), numbers(&model));
        assert_eq!(loaded.predict(&x).unwrap().bytes(), model.predict(&x).unwrap().bytes());
    }
}

#[test]
fn schedules_and_callbacks_see_the_optimizer_inside() {
    let _alone = alone();
    Device::set_default(&Device::cpu().unwrap());
    let mut model = classifier("mixed_float16");
    model.compile(how(Adam::new(0.05))).unwrap();
    assert!((model.learning_rate().unwrap() - 0.05).abs() < 1e-7);
    let mut plateau = ReduceLROnPlateau::new("loss").patience(1).factor(0.5).min_delta(1e9);
    let fit = Fit::epochs(4).batch_size(32).seed(1).verbose(0);
    model.fit(&blobs(96, 1), fit.callback(&mut plateau)).unwrap();
    assert!(model.learning_rate().unwrap() < 0.026, "{}", model.learning_rate().unwrap());
    // Only float16 with whole weights is scaled, unless somebody wraps.
    for policy in ["float32", "mixed_bfloat16", "float16"] {
        let mut model = classifier(policy);
        model.compile(how(SGD::new(0.01))).unwrap();
        let (x, y) = batch();
        let loss = model.train_on_batch(&x, &y, None).unwrap().get("loss").unwrap();
        assert!(loss.is_finite(), "{policy}: {loss}");
    }
    let error = Sequential::new().dtype("mixed_float61").input([4]).add(Dense::new(1)).predict(&x4()).unwrap_err();
    assert!(error.to_string().contains("mixed_float16"), "{error}");
}

fn x4() -> Array {
    Array::new([1, 4], &[1.0f32; 4]).unwrap()
}

/// Keras' `set_dtype_policy`: models and layers made from then on.
#[test]
fn the_process_policy_counts_for_models() {
    let _alone = alone();
    Device::set_default(&Device::cpu().unwrap());
    set_dtype_policy("mixed_bfloat16").unwrap();
    let model = Sequential::new().input([4]).add(Dense::new(2));
    let mixed = Sequential::new().input([4]).add(Dense::new(2)).add(Dense::new(1).dtype("float32"));
    set_dtype_policy("float32").unwrap();
    assert_eq!(model.predict(&x4()).unwrap().dtype(), DType::BF16);
    assert_eq!(mixed.predict(&x4()).unwrap().dtype(), DType::F32);
    let json = model.to_json().unwrap();
    assert_eq!(Model::from_json(&json).unwrap().predict(&x4()).unwrap().dtype(), DType::BF16);
}

/// Scale, decision and skip are kernels of the step: nothing is read back, nothing runs on the host, nothing is allocated.
#[test]
fn the_decision_stays_on_the_device() {
    let _alone = alone();
    for device in devices() {
        Device::set_default(&device);
        let mut model = classifier("mixed_float16");
        model.compile(how(Adam::new(0.01))).unwrap();
        let data = blobs(128, 1);
        let mut seen = Vec::new();
        let counter = LambdaCallback::new().on_epoch_end(|_, _, _| {
            // A GPU reads logs through buffers of their own, which may be new ones.
            let allocations = if device.caps().immediate { device.memory().allocations } else { 0 };
            seen.push((allocations, device.memory().replaced, device.memory().live));
            Ok(())
        });
        model.fit(&data, Fit::epochs(4).batch_size(32).seed(1).verbose(0).callback(counter)).unwrap();
        assert_eq!(seen[1], seen[3], "on {}", device.name());
        #[cfg(feature = "gpu")]
        {
            let stats = addax::StepStats::measure(&device, 2, 6, |steps| {
                model.fit(&blobs(32 * steps, 1), Fit::epochs(1).batch_size(32).seed(1).verbose(0)).map(drop)
            });
            if let Some(stats) = stats.unwrap() {
                println!("{stats}");
                assert_eq!((stats.readbacks_in_step, stats.host_kernels), (0, 0));
            }
        }
    }
    Device::set_default(&Device::cpu().unwrap());
}
