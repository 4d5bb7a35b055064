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
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(model: &Model) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.addax");
    model.save(&path).unwrap();
    folder_digest(&path)
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

/// Lets every call of an operation fail, one after the other.
fn exhaust(name: &str, operation: Operation, out_of_memory: bool) {
    let folder = tempfile::tempdir().unwrap();
    let files = |b: &Bench| {
        let mut other = built(&b.device).unwrap();
        let (x, y) = data(8, 7);
        other.train_on_batch(&x, &y, None).unwrap();
        other.save_weights(folder.path().join("weights.safetensors")).unwrap();
        b.model.save(folder.path().join("checkpoint.addax")).unwrap();
    };
    let mut sound = bench();
    files(&sound);
    let expected = operation(&mut sound, folder.path()).unwrap();
    let after = digest(&sound.model);
    let mut k = 0;
    loop {
        k += 1;
        let mut b = bench();
        files(&b);
        let before = digest(&b.model);
        let checkpoint = folder_digest(&folder.path().join("checkpoint.addax"));
        b.fault.say_out_of_memory(out_of_memory);
        b.fault.arm(k);
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
                assert!(out_of_memory || error.to_string().contains("a planned fault"), "{error}");
                assert_eq!(digest(&b.model), before, "{name}: call {k} left a trace");
                let kept = folder_digest(&folder.path().join("checkpoint.addax"));
                assert_eq!(kept, checkpoint, "{name}: call {k} hurt the checkpoint");
                assert_eq!(operation(&mut b, folder.path()).unwrap(), expected, "{name} after call {k} failed");
            }
        }
        assert_eq!(digest(&b.model), after, "{name} after call {k} failed: another result");
    }
    println!(
        "{name}: each of {} calls failed once; before and after {}…, result {}…",
        k - 1,
        &digest(&bench().model)[..12],
        &after[..12]
    );
    assert!(k > 2);
}

#[test]
fn a_failed_call_leaves_no_trace() {
    let operations: [(&str, Operation); 6] = [
        ("train step", train),
        ("evaluate", evaluate),
        ("predict", predict),
        ("load", load),
        ("checkpoint", checkpoint),
        ("fit", fit),
    ];
    for (name, operation) in operations {
        exhaust(name, operation, false);
    }
    exhaust("train step, memory refused", train, true);
}
