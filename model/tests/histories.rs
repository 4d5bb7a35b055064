//! Trainings of real Keras, repeated: same first weights, same order of rows, same numbers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod common;

use addax::prelude::*;
use common::{array, fixture};
use serde_json::Value;

/// Keras computes in single precision in another order; what it recorded is met this closely.
fn close(what: &str, ours: f64, keras: f64) {
    assert!((ours - keras).abs() <= 1e-4 * keras.abs().max(1.0), "{what}: {ours}, Keras has {keras}");
}

fn arrays_close(what: &str, ours: &Array, keras: &Array) {
    assert_eq!(ours.shape(), keras.shape(), "{what}");
    let (ours, keras) = (ours.to_vec::<f32>().unwrap(), keras.to_vec::<f32>().unwrap());
    let size = keras.iter().fold(1.0f32, |most, v| most.max(v.abs()));
    for (a, b) in ours.iter().zip(&keras) {
        assert!((a - b).abs() <= 1e-4 * size, "{what}: {a}, Keras has {b}");
    }
}

fn repeat(name: &str) {
    let golden = fixture(&format!("histories/{name}.json"));
    let mut model = Model::from_json(&golden["model"].to_string()).unwrap();
    let weights: Vec<(String, Array)> = golden["initial_weights"].as_array().unwrap().iter().map(weight).collect();
    model.set_weights(&weights).unwrap();

    let data = &golden["data"];
    let mut rows = Dataset::new(array(&data["x"]), array(&data["y"])).unwrap();
    if !data["sample_weight"].is_null() {
        rows = rows.with_sample_weight(&array(&data["sample_weight"]).to_vec::<f32>().unwrap()).unwrap();
    }
    let told = &golden["fit"];
    let number = |key: &str| told[key].as_f64().unwrap();
    let mut fit = Fit::epochs(number("epochs") as usize)
        .batch_size(number("batch_size") as usize)
        .validation_split(number("validation_split"))
        .shuffle(false)
        .verbose(0);
    if let Some(weights) = told["class_weight"].as_object() {
        fit = fit.class_weight(weights.iter().map(|(class, w)| (class.parse().unwrap(), w.as_f64().unwrap())));
    }
    let history = model.fit(&rows, fit).unwrap();

    let recorded = golden["history"].as_object().unwrap();
    assert_eq!(history.names().count(), recorded.len(), "{:?}", history.names().collect::<Vec<_>>());
    for (metric, values) in recorded {
        for (epoch, value) in values.as_array().unwrap().iter().enumerate() {
            close(&format!("{name} {metric} {epoch}"), history.get(metric).unwrap()[epoch], value.as_f64().unwrap());
        }
    }
    for keras in golden["final_weights"].as_array().unwrap() {
        let (path, keras) = weight(keras);
        let ours = model.weights().unwrap().into_iter().find(|(p, _)| *p == path).unwrap().1;
        arrays_close(&path, &ours, &keras);
    }
    let told = &golden["evaluate"];
    let batch = told["batch_size"].as_u64().unwrap() as usize;
    let logs = model.evaluate_with(&rows, Evaluate::new().batch_size(batch)).unwrap();
    for (metric, value) in told["result"].as_object().unwrap() {
        close(&format!("{name} evaluate {metric}"), logs.get(metric).unwrap(), value.as_f64().unwrap());
    }
    let keras = array(&golden["predict"]["result"]);
    let some = rows.slice(0..keras.rows()).unwrap();
    arrays_close("predict", &model.predict(&some).unwrap(), &keras);
}

/// A variable of a fixture. Keras puts the model's name in front of the path.
fn weight(json: &Value) -> (String, Array) {
    let (_, path) = json["path"].as_str().unwrap().split_once('/').unwrap();
    (path.into(), array(json))
}

#[test]
fn a_classifier_with_batch_normalization_and_class_weights() {
    repeat("mlp");
}

#[test]
fn a_convolutional_net() {
    repeat("convnet");
}

#[test]
fn two_lstms_with_sample_weights() {
    repeat("lstm");
}

#[test]
fn one_hot_labels_and_decoupled_weight_decay() {
    repeat("categorical");
}
