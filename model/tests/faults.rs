//! Every call to the device fails once: after each failure the state is exactly as before, and training goes on to the same result.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax::{
    layers::*,
    prelude::*,
    tensor::testing::{Fault, Faulty},
};
use sha2::{Digest, Sha256};
use std::{fs, path::Path, sync::Arc};

/// A trained model on a device that fails on command.
struct Bench {
    model: Sequential,
    fault: Arc<Fault>,
    device: Device,
}

fn data(rows: usize, seed: usize) -> (Array, Array) {
    let x: Vec<f32> = (0..rows * 6).map(|i| ((i * 37 + seed * 11) % 23) as f32 / 23.0).collect();
    let y: Vec<i32> = (0..rows).map(|i| ((i + seed) % 3) as i32).collect();
    (Array::new([rows, 6], &x).unwrap(), Array::new([rows], &y).unwrap())
}

fn built(device: &Device) -> addax::Result<Sequential> {
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
    model.compile(Compile::new(Adam::new(1e-2)).loss(loss).metric("accuracy"))?;
    Ok(model)
}

fn bench() -> Bench {
    let (device, fault) = Faulty::device().unwrap();
    let mut model = built(&device).unwrap();
    let (x, y) = data(8, 1);
    for _ in 0..2 {
        model.train_on_batch(&x, &y, None).unwrap();
    }
    Bench { model, fault, device }
}

/// Bytes of everything that `save` writes: architecture, weights, optimizer slots, counters.
fn folder_digest(folder: &Path) -> String {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut hash = Sha256::new();
    for file in files.iter().filter(|file| file.is_file()) {
        hash.update(file.file_name().unwrap().to_string_lossy().as_bytes());
        hash.update(fs::read(file).unwrap());
    }
    hex(hash)
}

/// SHA-256 of all that a model is: what `save` writes, and the sums that running metrics consist of.
fn digest(model: &Model) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.addax");
    model.save(&path).unwrap();
    let mut hash = Sha256::new();
    hash.update(folder_digest(&path));
    for (name, sums) in model.metrics_variables().unwrap() {
        hash.update(name);
        hash.update(sums.bytes());
    }
    hex(hash)
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What an operation gives, in words that two runs can be compared by.
type Operation = fn(&mut Bench, &Path) -> addax::Result<String>;

fn told(logs: &Logs) -> addax::Result<String> {
    let values = logs.numbers()?;
    Ok(format!("{values:?}"))
}

fn train(b: &mut Bench, _: &Path) -> addax::Result<String> {
    // Another size of batch: captured, compiled and given memory anew.
    let (x, y) = data(5, 2);
    told(&b.model.train_on_batch(&x, &y, None)?)
}
fn evaluate(b: &mut Bench, _: &Path) -> addax::Result<String> {
    let (x, y) = data(11, 3);
    let data = Dataset::new(x, y)?;
    told(&b.model.evaluate_with(&data, Evaluate::new().batch_size(4).verbose(0))?)
}
fn predict(b: &mut Bench, _: &Path) -> addax::Result<String> {
    let (x, _) = data(7, 4);
    Ok(format!("{:?}", b.model.predict(&x)?.to_vec::<f32>()?))
}
fn load(b: &mut Bench, folder: &Path) -> addax::Result<String> {
    b.model.load_weights(folder.join("weights.safetensors"))?;
    Ok(String::new())
}
fn checkpoint(b: &mut Bench, folder: &Path) -> addax::Result<String> {
    b.model.save(folder.join("checkpoint.addax"))?;
    Ok(String::new())
}
fn fit(b: &mut Bench, _: &Path) -> addax::Result<String> {
    let (x, y) = data(8, 5);
    let data = Dataset::new(x, y)?;
    let history = b.model.fit(&data, Fit::epochs(1).batch_size(8).verbose(0))?;
    Ok(format!("{:?}", history.get("loss")?))
}

/// How calls fail.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// The device says that it failed.
    Device,
    /// One allocation is refused for want of memory; the ladder may answer that.
    Memory,
    /// So are all that follow it.
    NoMoreMemory,
}

impl Kind {
    fn arm(self, fault: &Fault, k: u64) {
        fault.say_out_of_memory(self != Kind::Device);
        match self {
            Kind::NoMoreMemory => fault.arm_again(k, 1),
            _ => fault.arm(k),
        }
    }
}

/// Lets every call of an operation fail, one after the other. `resets`: it begins by resetting the sums of running metrics, so that
/// these may be either after a failure.
fn exhaust(name: &str, operation: Operation, kind: Kind, resets: bool) {
    let folder = tempfile::tempdir().unwrap();
    let files = |b: &Bench| {
        let mut other = built(&b.device).unwrap();
        let (x, y) = data(8, 7);
        other.train_on_batch(&x, &y, None).unwrap();
        other.save_weights(folder.path().join("weights.safetensors")).unwrap();
        b.model.save(folder.path().join("checkpoint.addax")).unwrap();
    };
    let state = |model: &Model| match resets {
        true => {
            let folder = tempfile::tempdir().unwrap();
            model.save(folder.path().join("model.addax")).unwrap();
            folder_digest(&folder.path().join("model.addax"))
        }
        false => digest(model),
    };
    let mut sound = bench();
    files(&sound);
    let start = state(&sound.model);
    let expected = operation(&mut sound, folder.path()).unwrap();
    let after = digest(&sound.model);
    let (mut k, mut refused) = (0, 0);
    loop {
        k += 1;
        let mut b = bench();
        files(&b);
        let before = state(&b.model);
        assert_eq!(before, start, "{name}: another beginning");
        let checkpoint = folder_digest(&folder.path().join("checkpoint.addax"));
        kind.arm(&b.fault, k);
        let result = operation(&mut b, folder.path());
        if !b.fault.disarm() {
            result.unwrap();
            break;
        }
        match result {
            Ok(got) => {
                // A refusal that the ladder answered, or a read that the operation could do without.
                assert_eq!(got, expected, "{name}: call {k} failed unseen");
            }
            Err(error) => {
                refused += 1;
                let planned = error.to_string().contains("a planned fault");
                let short = error.to_string().contains("out of memory");
                assert!(if kind == Kind::Device { planned } else { short }, "{error}");
                assert_eq!(state(&b.model), before, "{name}: call {k} left a trace");
                let kept = folder_digest(&folder.path().join("checkpoint.addax"));
                assert_eq!(kept, checkpoint, "{name}: call {k} hurt the checkpoint");
                assert_eq!(operation(&mut b, folder.path()).unwrap(), expected, "{name} after call {k} failed");
            }
        }
        assert_eq!(digest(&b.model), after, "{name} after call {k} failed: another result");
    }
    // A checkpoint takes no memory of the device; a single refusal may be answered.
    let nothing = kind != Kind::Device && name == "checkpoint";
    assert!(nothing || k > 1 && (refused > 0 || kind == Kind::Memory), "{name}, {kind:?}: {refused} of {}", k - 1);
    println!("{name}, {kind:?}: k = 1 to {}, {refused} of them errors\n  before {start}\n  after  {start}", k - 1);
    println!("  result {after}");
}

/// A model that is built on the device: weights are made, and the optimizer's, and moved there by a first step.
fn build(device: &Device) -> addax::Result<Sequential> {
    let mut model = built(device)?;
    model.weights()?;
    // Of a single sample there are no slices, whose sums would be rounded differently.
    let (x, y) = data(1, 1);
    model.train_on_batch(&x, &y, None)?;
    Ok(model)
}

/// Before a model is built there is no state but the device's: after a failure nothing of it is left there, and the next try makes the
/// same weights.
fn exhaust_build(kind: Kind) {
    let (device, _) = Faulty::device().unwrap();
    Device::set_default(&device);
    let expected = digest(&build(&device).unwrap());
    let mut k = 0;
    loop {
        k += 1;
        let (device, fault) = Faulty::device().unwrap();
        // Where weights are made.
        Device::set_default(&device);
        kind.arm(&fault, k);
        let result = build(&device);
        if !fault.disarm() {
            result.unwrap();
            break;
        }
        if let Ok(model) = &result {
            assert_eq!(digest(model), expected, "build: call {k} failed unseen");
        }
        drop(result);
        device.trim();
        assert_eq!(device.memory().live, 0, "build: call {k} left bytes on the device");
        assert_eq!(digest(&build(&device).unwrap()), expected, "build after call {k} failed");
    }
    assert!(k > 10, "{k}");
    println!("build, {kind:?}: k = 1 to {}\n  result {expected}", k - 1);
    Device::set_default(&Device::cpu().unwrap());
}

#[test]
fn a_failed_call_leaves_no_trace() {
    let operations: [(&str, Operation, bool); 6] = [
        ("train step", train, false),
        ("evaluate", evaluate, false),
        ("predict", predict, false),
        ("load", load, false),
        ("checkpoint", checkpoint, false),
        ("fit", fit, true),
    ];
    for kind in [Kind::Device, Kind::Memory, Kind::NoMoreMemory] {
        exhaust_build(kind);
        for (name, operation, resets) in operations {
            exhaust(name, operation, kind, resets);
        }
    }
}
