//! Losses and metrics against what real Keras computed (`fixtures/keras`).

#![allow(clippy::unwrap_used, clippy::panic)]

use addax_autodiff::grad_with;
use addax_losses::metrics::{Mean, Metric, Sum, Updates, metric, metric_from_config};
use addax_losses::{Loss, loss, loss_from_config};
use addax_tensor::{DType, Shape, Tensor};
use serde_json::{Value, json};

fn fixture(name: &str) -> Value {
    let path = format!("{}/../fixtures/keras/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))).unwrap()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    value[key].as_array().unwrap_or_else(|| panic!("no list `{key}`"))
}

fn floats(value: &Value) -> Vec<f32> {
    list(value, "data").iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

fn tensor(value: &Value) -> Tensor {
    let shape: Vec<usize> = list(value, "shape").iter().map(|v| v.as_u64().unwrap() as usize).collect();
    Tensor::from_vec(floats(value), shape).cast(DType::parse(value["dtype"].as_str().unwrap()).unwrap())
}

fn optional(value: &Value, key: &str) -> Option<Tensor> {
    value.get(key).map(tensor)
}

/// Within `tolerance` of the largest of the expected numbers.
fn close(got: &[f32], want: &[f32], tolerance: f32, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let scale = want.iter().fold(1e-2f32, |a, v| a.max(v.abs()));
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() <= tolerance * scale, "{what}: got {got:?}, Keras {want:?}");
    }
}

fn commit(updates: &Updates) {
    for (variable, value) in updates {
        variable.assign(value).unwrap();
    }
}

fn loss_of(case: &Value) -> Box<dyn Loss> {
    let (loss, warnings) = loss_from_config(case).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    loss
}

#[test]
fn losses_and_their_gradients_as_in_keras() {
    let goldens = fixture("losses");
    for case in list(&goldens, "cases") {
        let what = format!("{} {} mask {}", case["class_name"], case["config"], case.get("mask").is_some());
        let (y_true, y_pred) = (tensor(&case["y_true"]), tensor(&case["y_pred"]).watch().unwrap());
        let (weight, mask) = (optional(case, "sample_weight"), optional(case, "mask"));
        let value = loss_of(case).weighted(&y_true, &y_pred, weight.as_ref(), mask.as_ref());
        let wanted = tensor(&case["value"]);
        assert_eq!(value.shape().unwrap(), wanted.shape().unwrap(), "{what}");
        close(&value.to_vec::<f32>().unwrap(), &floats(&case["value"]), 1e-5, &what);
        let [gradient] = grad_with(&[value], &[tensor(&case["cotangent"])], [&y_pred]).unwrap();
        close(&gradient.to_vec::<f32>().unwrap(), &floats(&case["gradient"]), 1e-4, &format!("{what}: gradient"));
    }
}

#[test]
fn configurations_survive_a_round() {
    for case in list(&fixture("losses"), "cases") {
        let first = loss_of(case).config();
        let (again, warnings) = loss_from_config(&first).unwrap();
        assert_eq!((again.config(), warnings.len()), (first, 0));
    }
    let shape = Shape::from([4, 3]);
    for case in list(&fixture("metrics"), "cases").iter().filter(|c| known(c)) {
        let first = metric_from_config(case, &shape, &shape).unwrap().0.config();
        assert_eq!(metric_from_config(&first, &shape, &shape).unwrap().0.config(), first);
    }
}

#[test]
fn strings_make_what_keras_makes_of_them() {
    for (name, function) in fixture("losses")["names"].as_object().unwrap() {
        let expected = loss(function.as_str().unwrap()).unwrap();
        assert_eq!(loss(name).unwrap().class_name(), expected.class_name(), "{name}");
    }
}

/// R2 is not written yet.
fn known(case: &Value) -> bool {
    case["class_name"] != "R2Score"
}

#[test]
fn metrics_as_in_keras() {
    let shape = Shape::from([4, 3]);
    for case in list(&fixture("metrics"), "cases").iter().filter(|c| known(c)) {
        let (metric, warnings) = metric_from_config(case, &shape, &shape).unwrap();
        let what = format!("{} {}", case["class_name"], case["config"]);
        assert!(warnings.is_empty(), "{warnings:?}");
        // Keras numbers instances: `precision_1`.
        let name = case["name"].as_str().unwrap().trim_end_matches(|c: char| c == '_' || c.is_ascii_digit());
        assert_eq!(metric.name(), name);
        for batch in list(case, "batches") {
            let (y, p) = (tensor(&batch["y_true"]), tensor(&batch["y_pred"]));
            let (updates, running) = metric.observe(&y, &p, optional(batch, "sample_weight").as_ref()).unwrap();
            let want = batch["result"].as_f64().unwrap() as f32;
            close(&[running.item().unwrap()], &[want], 1e-5, &what);
            commit(&updates);
            close(&[metric.result().unwrap().item().unwrap()], &[want], 1e-5, &what);
        }
        metric.reset().unwrap();
        assert_eq!(metric.result().unwrap().item::<f32>().unwrap(), 0.0, "{what} after reset");
    }
}

#[test]
fn means_and_sums_as_in_keras() {
    for case in list(&fixture("metrics"), "reducing") {
        let (mean, sum) = (Mean::new("mean"), Sum::new("sum"));
        for batch in list(case, "batches") {
            let (values, weight) = (tensor(&batch["values"]), optional(batch, "sample_weight"));
            let (updates, running) = match case["class_name"].as_str().unwrap() {
                "Mean" => mean.observe(&values, weight.as_ref()).unwrap(),
                _ => sum.observe(&values, weight.as_ref()).unwrap(),
            };
            commit(&updates);
            close(&[running.item().unwrap()], &[batch["result"].as_f64().unwrap() as f32], 1e-5, &case.to_string());
        }
    }
}

#[test]
fn names_are_resolved_by_shapes_as_in_keras() {
    for case in list(&fixture("metrics"), "by_name") {
        let given = case["given"].as_str().unwrap();
        let first = &list(case, "batches")[0];
        let (y, p) = (tensor(&first["y_true"]), tensor(&first["y_pred"]));
        let made = || metric(given, y.shape().unwrap(), p.shape().unwrap()).unwrap();
        let (plain, weighted) = (made(), made());
        assert_eq!(plain.class_name(), case["resolved"]["class_name"].as_str().unwrap(), "{}", case["title"]);
        assert_eq!(plain.name(), case["resolved"]["name"].as_str().unwrap());
        for batch in list(case, "batches") {
            let (y, p, w) = (tensor(&batch["y_true"]), tensor(&batch["y_pred"]), tensor(&batch["sample_weight"]));
            commit(&plain.update(&y, &p, None).unwrap());
            commit(&weighted.update(&y, &p, Some(&w)).unwrap());
            for (metric, key) in [(&plain, given.to_string()), (&weighted, format!("weighted_{given}"))] {
                let got = metric.result().unwrap().item().unwrap();
                close(&[got], &[batch["result"][&key].as_f64().unwrap() as f32], 1e-5, &case["title"].to_string());
            }
        }
    }
}

#[test]
fn what_differs_is_written() {
    let json = addax_losses::SparseCategoricalCrossentropy::from_logits().ignore_class(-1).reduction("sum").config();
    assert_eq!(
        json,
        json!({"module": "keras.losses", "class_name": "SparseCategoricalCrossentropy",
            "config": {"reduction": "sum", "from_logits": true, "ignore_class": -1}, "registered_name": null})
    );
}
