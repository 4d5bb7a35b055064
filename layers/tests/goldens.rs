//! Every layer against what real Keras computed: values, gradients, states, penalties.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use addax_autodiff::grad_with;
use addax_layers::{Cx, DynLayer, Fields, Json, NamedWeight, Reader, Registry, layer_from_config, weights};
use addax_tensor::Tensor;
use common::{array, assert_close, assert_numbers, fixture, floats, shape, tensor};
use serde_json::json;

/// Cases that need what is not there: masks, and layers that return their state.
fn is_supported(case: &Json) -> bool {
    case.get("mask").is_none()
        && case.pointer("/call/use_causal_mask").is_none()
        && case["config"].get("return_state").is_none()
}

fn build(class: &str, config: &Json) -> Box<dyn DynLayer> {
    let registry = Registry::default();
    let mut reader = Reader::new(&registry);
    let layer = layer_from_config(&json!({"class_name": class, "config": config}), &mut reader).unwrap();
    assert_eq!(reader.warnings(), [] as [&str; 0]);
    layer
}

fn list(json: &Json) -> Vec<Json> {
    json.as_array().cloned().unwrap_or_default()
}

/// Runs one case and returns whether it could be run.
fn check(class: &str, case: &Json) -> bool {
    let what = format!("{class}, {}", case["title"].as_str().unwrap_or(""));
    if !is_supported(case) {
        return false;
    }
    let layer: Box<dyn DynLayer> = match case.get("adapt") {
        None => build(class, &case["config"]),
        Some(data) => {
            let mut layer = addax_layers::Normalization::new();
            let registry = Registry::default();
            addax_layers::read_config(&mut layer, &case["config"], &mut Reader::new(&registry)).unwrap();
            layer.adapt(&array(data)).unwrap();
            Box::new(layer)
        }
    };
    let inputs: Vec<Tensor> = list(&case["inputs"])
        .iter()
        .map(|input| {
            let x = tensor(input);
            if x.dtype().unwrap().is_float() { x.watch().unwrap() } else { x }
        })
        .collect();
    let name = addax_layers::to_snake_case(class);
    // The first call makes the weights.
    Cx::building(1).call_dyn(&name, &*layer, inputs.clone()).unwrap_or_else(|e| panic!("{what}: {e}"));
    let found = weights(&*layer);
    let wanted = list(&case["weights"]);
    assert_eq!(found.len(), wanted.len(), "{what}: number of weights");
    for (weight, wanted) in found.iter().zip(&wanted) {
        let path = format!("{name}/{}", weight.name);
        assert_eq!(path, wanted["path"].as_str().unwrap(), "{what}");
        let variable = weight.weight.variable().unwrap();
        assert_eq!(variable.name(), path);
        assert_eq!(variable.shape().unwrap().dims(), shape(wanted), "{what}: {path}");
        assert_eq!(weight.weight.is_trainable(), wanted["trainable"].as_bool().unwrap(), "{what}: {path}");
        if case.get("adapt").is_some() && weight.name == "count" {
            // Keras leaves the count at 0 when all data come at once; here it lets `update` go on.
            continue;
        }
        if case.get("adapt").is_some() {
            assert_close(&format!("{what}: {path}"), &variable.value(), wanted, 1e-5);
        } else if let Some(initial) = wanted.get("initial") {
            assert_numbers(
                &format!("{what}: first {path}"),
                &floats(&variable.value()),
                &common::numbers(initial),
                0.0,
            );
        }
        variable.assign(&tensor(wanted)).unwrap();
    }

    let training = case.pointer("/call/training").and_then(Json::as_bool).unwrap_or(false);
    let cx = Cx::new(1, addax_tensor::random::key(1, 0)).with_training(training);
    let outputs = cx.call_dyn(&name, &*layer, inputs.clone()).unwrap_or_else(|e| panic!("{what}: {e}"));
    let expected = list(&case["outputs"]);
    assert_eq!(outputs.len(), expected.len(), "{what}");
    for (output, expected) in outputs.iter().zip(&expected) {
        assert_close(&format!("{what}: output"), output, expected, 1e-5);
    }

    let cotangents: Vec<Tensor> = list(&case["cotangents"]).iter().map(tensor).collect();
    gradients(&what, case, &outputs, &cotangents, &inputs, &found);

    let recorded = cx.finish();
    let states: Vec<_> = found.iter().filter(|w| !w.weight.is_trainable()).collect();
    for (state, expected) in states.iter().zip(list(&case["updated"])) {
        let variable = state.weight.variable().unwrap();
        let pending = recorded.updates.iter().find(|(v, _)| v == variable).map(|(_, t)| t.clone());
        let value = pending.unwrap_or_else(|| variable.value());
        if state.name == "count" {
            continue;
        }
        assert_close(&format!("{what}: updated {}", state.name), &value, &expected, 1e-5);
    }
    if let Some(expected) = case.get("losses") {
        let penalties = recorded.losses.iter().chain(&recorded.penalties).flat_map(floats).collect::<Vec<_>>();
        assert_numbers(&format!("{what}: penalties"), &penalties, &common::numbers(expected), 1e-5);
    }
    round_trip(&what, &*layer, case);
    true
}

fn gradients(
    what: &str,
    case: &Json,
    outputs: &[Tensor],
    cotangents: &[Tensor],
    inputs: &[Tensor],
    weights: &[NamedWeight<'_>],
) {
    let mut wrt = Vec::new();
    let mut expected = Vec::new();
    for (i, (input, wanted)) in inputs.iter().zip(list(&case["input_gradients"])).enumerate() {
        if !wanted.is_null() {
            wrt.push(input.clone());
            expected.push((format!("gradient of input {i}"), wanted));
        }
    }
    let trainable = weights.iter().filter(|w| w.weight.is_trainable());
    for (weight, wanted) in trainable.zip(list(&case["weight_gradients"])) {
        wrt.push(weight.weight.variable().unwrap().value());
        expected.push((format!("gradient of {}", weight.name), wanted));
    }
    if wrt.is_empty() {
        return;
    }
    let found = grad_with(outputs, cotangents, &wrt).unwrap_or_else(|e| panic!("{what}: {e}"));
    for (gradient, (name, wanted)) in found.iter().zip(&expected) {
        assert_close(&format!("{what}: {name}"), gradient, wanted, 1e-4);
    }
}

/// Written and read again, a layer has the same config.
fn round_trip(what: &str, layer: &dyn DynLayer, case: &Json) {
    let json = addax_layers::layer_to_json(layer, None).unwrap();
    let again = build(layer.class_name(), &json["config"]);
    assert_eq!(again.config().unwrap(), json["config"], "{what}");
    // What Keras was given and differs from the defaults is there.
    for key in json["config"].as_object().unwrap().keys() {
        assert!(case["config"].get(key).is_some(), "{what}: {key} was written, but never given");
    }
}

macro_rules! layers {
    ($($name:ident: $runs:literal),* $(,)?) => {$(
        #[test]
        fn $name() {
            let file = fixture(concat!("layers/", stringify!($name), ".json"));
            let class = file["class_name"].as_str().unwrap();
            let runs = list(&file["cases"]).iter().filter(|case| check(class, case)).count();
            assert_eq!(runs, $runs, "number of cases that ran");
        }
    )*};
}
layers! {
    activation: 7, add: 1, average: 1, average_pooling2d: 7, batch_normalization: 10, concatenate: 2, conv2d: 12, dense: 6,
    dropout: 3, elu: 1, embedding: 1, flatten: 4, global_average_pooling1d: 2, global_average_pooling2d: 3,
    global_max_pooling2d: 2, group_normalization: 1, gru: 2, layer_normalization: 4, leaky_re_lu: 2, lstm: 9,
    max_pooling2d: 7, maximum: 1, multi_head_attention: 2, multiply: 1, normalization: 9, p_re_lu: 1, permute: 1, re_lu: 2, repeat_vector: 1,
    rescaling: 3, reshape: 4, rms_normalization: 1, simple_rnn: 2, softmax: 2, subtract: 1, unit_normalization: 1,
}
