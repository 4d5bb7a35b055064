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

#[test]
fn hints_can_be_silenced() {
    let mut model = classifier();
    model.compile(how()).unwrap();
    let text = told(&mut model, &large(), Fit::epochs(1).quiet_hints(true));
    assert!(!text.contains("hint") && text.contains("accuracy: "), "{text}");
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

#[test]
fn a_model_that_learns_by_heart() {
    // Labels without meaning: only learning by heart helps.
    let x: Vec<f32> = (0..24 * 4).map(|i| ((i * 7919) % 101) as f32 / 50.0 - 1.0).collect();
    let y: Vec<i32> = (0..24).map(|i| i * i * 31 % 7 % 3).collect();
    let data = Dataset::new(Array::new([24, 4], &x).unwrap(), Array::new([24], &y).unwrap()).unwrap();
    let mut model = Sequential::new().input([4]).add(Dense::new(32).activation("relu")).add(Dense::new(3)).seed(1);
    model.compile(Compile::new(Adam::new(0.02)).loss(SparseCategoricalCrossentropy::from_logits())).unwrap();
    let text = told(&mut model, &data, Fit::epochs(80).validation_split(0.34).seed(1));
    assert_eq!(text.matches("learns its rows by heart").count(), 1, "{text}");
}

#[test]
fn rows_used_twice_and_rows_that_are_sorted() {
    let data = blobs(60, 1);
    let (train, val) = data.validation_split(0.5).unwrap();
    let mut model = classifier();
    model.compile(how()).unwrap();
    told(&mut model, &train, Fit::epochs(1).validation_data(&val));
    let paper = Paper::default();
    model.set_console(paper.console());
    model.evaluate_with(&val, Evaluate::new().verbose(2)).unwrap();
    model.evaluate_with(&val, Evaluate::new().verbose(2)).unwrap();
    assert_eq!(paper.text().matches("these rows were the validation data").count(), 1, "{}", paper.text());

    let sorted = data::sets::iris().unwrap().data;
    let mut model = classifier();
    model.compile(how()).unwrap();
    let text = told(&mut model, &sorted, Fit::epochs(1).validation_split(0.34));
    assert!(text.contains("class 2 is among them alone: the rows seem to be sorted"), "{text}");
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
