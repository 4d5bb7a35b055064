//! Guard rails: each mistake is told once, in plain words, and can be silenced.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod common;

use addax::{layers::*, prelude::*};
use common::{Paper, blobs, classifier, how};

/// What a training prints.
fn told(model: &mut Model, data: &Dataset, fit: Fit<'_>) -> String {
    let paper = Paper::default();
    model.set_console(paper.console());
    model.fit(data, fit.verbose(2)).unwrap();
    paper.text()
}

fn large() -> Dataset {
    let x: Vec<f32> = (0..40 * 4).map(|i| (i % 256) as f32).collect();
    Dataset::new(Array::new([40, 4], &x).unwrap(), Array::new([40], &[0i32; 40]).unwrap()).unwrap()
}

#[test]
fn unscaled_inputs_are_told_once() {
    let mut model = classifier();
    model.compile(how()).unwrap();
    let text = told(&mut model, &large(), Fit::epochs(1));
    assert!(text.contains("hint: the inputs reach 159, and nothing scales them"), "{text}");
    assert!(!told(&mut model, &large(), Fit::epochs(1)).contains("hint"), "it was said before");
    let scaled = |first: bool| {
        let model = Sequential::new().input([4]);
        let model = if first { model.add(Rescaling::new(1.0 / 255.0)) } else { model.add(BatchNormalization::new()) };
        let mut model = model.add(Dense::new(3));
        model.compile(how()).unwrap();
        told(&mut model, &large(), Fit::epochs(1))
    };
    assert!(!scaled(true).contains("hint") && !scaled(false).contains("hint"));
}

/// Provokes every hint that there is and returns what was said, each line once. What is said is heard on the console of the
/// model, however silent its bars are.
fn every_hint(verbose: i32, quiet: bool) -> String {
    let paper = Paper::default();
    let sit = |mut model: Sequential, compile: Compile| {
        model.compile(compile).unwrap();
        model.set_console(paper.console());
        model
    };
    let fit = |epochs| Fit::epochs(epochs).seed(1).verbose(verbose).quiet_hints(quiet);
    let test = || Evaluate::new().verbose(verbose).quiet_hints(quiet);
    sit(classifier(), how()).fit(&large(), fit(1)).unwrap();
    let softmax = Sequential::new().input([4]).add(Dense::new(3).activation("softmax"));
    sit(softmax, how()).fit(&blobs(30, 1), fit(1)).unwrap();
    let mut frozen = sit(classifier(), how());
    frozen.set_layer_trainable("dense", false).unwrap();
    frozen.fit(&blobs(30, 1), fit(1)).unwrap();
    let mut clever = Sequential::new().input([4]).add(Dense::new(32).activation("relu")).add(Dense::new(3)).seed(1);
    clever = sit(clever, Compile::new(Adam::new(0.02)).loss(SparseCategoricalCrossentropy::from_logits()));
    clever.fit(&without_meaning(), fit(80).validation_split(0.34)).unwrap();
    sit(classifier(), how()).fit(&data::sets::iris().unwrap().data, fit(1).validation_split(0.34)).unwrap();
    let (train, val) = blobs(60, 1).validation_split(0.5).unwrap();
    let mut judged = sit(classifier(), how());
    judged.fit(&train, fit(1).validation_data(&val)).unwrap();
    judged.evaluate_with(&val, test()).unwrap();
    paper.text()
}

const HINTS: [&str; 6] = [
    "nothing scales them",
    "softmax is applied twice",
    "frozen or unfrozen after `compile`",
    "learns its rows by heart",
    "the rows seem to be sorted",
    "these rows were the validation data",
];

#[test]
fn silent_runs_tell_hints_and_nothing_else() {
    let text = every_hint(0, false);
    for hint in HINTS {
        assert_eq!(text.matches(hint).count(), 1, "{hint}: {text}");
    }
    assert!(text.lines().all(|line| line.starts_with("hint: ")), "{text}");
}

#[test]
fn every_hint_can_be_silenced() {
    assert_eq!(every_hint(0, true), "");
    let text = every_hint(2, true);
    assert!(!text.contains("hint:") && text.contains("accuracy: "), "{text}");
}

/// The other process: provokes every hint, and writes down what it heard. Runs only when it is told where.
#[test]
fn hints_of_another_process() {
    let Ok(out) = std::env::var("ADDAX_TEST_HINTS") else { return };
    std::fs::write(out, every_hint(2, false)).unwrap();
}

#[test]
fn the_environment_silences_every_hint() {
    let folder = tempfile::tempdir().unwrap();
    for (off, expected) in [("off", 0), ("0", 0), ("on", HINTS.len())] {
        let out = folder.path().join(off);
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["hints_of_another_process", "--exact"])
            .envs([("ADDAX_HINTS", off), ("ADDAX_TEST_HINTS", out.to_str().unwrap())])
            .output()
            .unwrap();
        assert!(status.status.success(), "{status:?}");
        let text = std::fs::read_to_string(out).unwrap();
        assert_eq!(text.matches("hint: ").count(), expected, "{text}");
        assert!(text.contains("accuracy: "), "{text}");
    }
}

#[test]
fn a_silent_run_without_a_console_tells_hints_on_standard_error() {
    if std::env::var("ADDAX_TEST_STDERR").is_ok() {
        let mut model = classifier();
        model.compile(how()).unwrap();
        model.fit(&large(), Fit::epochs(1).verbose(0)).unwrap();
        return;
    }
    let heard = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["a_silent_run_without_a_console_tells_hints_on_standard_error", "--exact", "--nocapture"])
        .env("ADDAX_TEST_STDERR", "1")
        .env_remove("ADDAX_HINTS")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8(heard.stdout).unwrap(), String::from_utf8(heard.stderr).unwrap());
    assert!(err.contains("hint: the inputs reach 159") && !out.contains("hint: "), "{err}\n{out}");
}

#[test]
fn a_hint_that_nobody_heard_was_not_said() {
    let mut model = classifier();
    model.compile(how()).unwrap();
    assert!(!told(&mut model, &large(), Fit::epochs(1).quiet_hints(true)).contains("hint"));
    assert!(told(&mut model, &large(), Fit::epochs(1)).contains("hint: the inputs reach 159"));
}

#[test]
fn activation_and_loss_that_do_not_fit() {
    let run = |activation: &str, loss: SparseCategoricalCrossentropy| {
        let mut model = Sequential::new().input([4]).add(Dense::new(3).activation(activation));
        model.compile(Compile::new("sgd").loss(loss)).unwrap();
        told(&mut model, &blobs(30, 1), Fit::epochs(1))
    };
    let logits = SparseCategoricalCrossentropy::from_logits;
    assert!(run("softmax", logits()).contains("softmax is applied twice"));
    assert!(run("linear", SparseCategoricalCrossentropy::new()).contains("the loss expects probabilities"));
    assert!(!run("linear", logits()).contains("hint"));
    assert!(!run("softmax", SparseCategoricalCrossentropy::new()).contains("hint"));
}

#[test]
fn the_first_line_tells_device_seed_and_memory() {
    let mut model = classifier();
    model.compile(how()).unwrap();
    let text = told(&mut model, &blobs(30, 1), Fit::epochs(1).batch_size(10).seed(42));
    let first = text.lines().next().unwrap();
    assert!(first.starts_with("Training on cpu (") && first.contains("seed 42, "), "{first}");
    assert!(first.ends_with(" planned for a batch of 10"), "{first}");
    let mut unseeded = Sequential::new().input([4]).add(Dense::new(3));
    unseeded.compile(how()).unwrap();
    let text = told(&mut unseeded, &blobs(30, 1), Fit::epochs(1));
    assert!(text.contains("(drawn; `addax::set_random_seed("), "{text}");
}

#[test]
fn layers_frozen_after_compile() {
    let data = blobs(30, 1);
    let mut model = classifier();
    model.compile(how()).unwrap();
    model.set_layer_trainable("dense", false).unwrap();
    let before = model.weights().unwrap()[0].1.clone();
    let text = told(&mut model, &data, Fit::epochs(1));
    assert!(text.contains("frozen or unfrozen after `compile`: 2 weights now rest, 0 wait"), "{text}");
    assert_eq!(model.weights().unwrap()[0].1, before);
    // Unfrozen again, with the same plan of training.
    model.set_layer_trainable("dense", true).unwrap();
    model.fit(&data, Fit::epochs(1).verbose(0)).unwrap();
    assert_ne!(model.weights().unwrap()[0].1, before);
}

/// Labels without meaning: only learning by heart helps.
fn without_meaning() -> Dataset {
    let x: Vec<f32> = (0..24 * 4).map(|i| ((i * 7919) % 101) as f32 / 50.0 - 1.0).collect();
    let y: Vec<i32> = (0..24).map(|i| i * i * 31 % 7 % 3).collect();
    Dataset::new(Array::new([24, 4], &x).unwrap(), Array::new([24], &y).unwrap()).unwrap()
}

#[test]
fn the_test_set_used_for_validation() {
    let data = blobs(60, 1);
    let (train, val) = data.validation_split(0.5).unwrap();
    let mut model = classifier();
    model.compile(how()).unwrap();
    let paper = Paper::default();
    model.set_console(paper.console());
    let warned = |text: &str| text.matches("these rows were the validation data").count();
    // Other rows are not told of, even if there are as many of them and they begin alike.
    let (mut x, y) = (val.x().into_owned(), val.y().unwrap().into_owned());
    if let Some(last) = x.bytes_mut().last_mut() {
        *last ^= 1;
    }
    let other = Dataset::new(x, y).unwrap();
    model.fit(&train, Fit::epochs(2).verbose(0).validation_data(&other)).unwrap();
    model.evaluate(&val).unwrap();
    assert_eq!(warned(&paper.text()), 0, "{}", paper.text());
    // Training on other rows afterwards does not make it forget, nor does another order of rows or another size of batches.
    model.fit(&train, Fit::epochs(1).batch_size(7).verbose(0).validation_data(&val)).unwrap();
    model.fit(&train, Fit::epochs(1).verbose(0)).unwrap();
    model.evaluate(&train).unwrap();
    assert_eq!(warned(&paper.text()), 0, "{}", paper.text());
    model.evaluate_with(&val, Evaluate::new().quiet_hints(true)).unwrap();
    assert_eq!(warned(&paper.text()), 0, "{}", paper.text());
    model.evaluate(&val.shuffled(5)).unwrap();
    assert_eq!(warned(&paper.text()), 1, "{}", paper.text());
    model.evaluate(&val).unwrap();
    assert_eq!(warned(&paper.text()), 1, "{}", paper.text());
}

#[test]
fn a_loss_that_is_no_number_says_what_to_try() {
    let mut model = Sequential::new().input([4]).add(Dense::new(1)).seed(1);
    model.compile(Compile::new(SGD::new(1e30)).loss("mse")).unwrap();
    let x = blobs(40, 1).x().into_owned();
    let data = Dataset::new(x, Array::zeros(DType::F32, [40, 1])).unwrap();
    let history = model.fit(&data, Fit::epochs(3).verbose(0)).unwrap();
    assert_eq!(history.notes().len(), 1, "{history}");
    assert!(history.notes()[0].text.contains("try a smaller learning rate"), "{history}");
}
