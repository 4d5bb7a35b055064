//! Reading fixtures and comparing with them.

#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use addax_layers::Json;
use addax_tensor::{Array, Tensor};
use std::{fs, path::PathBuf};

/// A file under `fixtures/keras`.
pub fn fixture(name: &str) -> Json {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/keras").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn number(json: &Json) -> f64 {
    match json.as_str() {
        Some("NaN") => f64::NAN,
        Some("Infinity") => f64::INFINITY,
        Some("-Infinity") => f64::NEG_INFINITY,
        _ => json.as_f64().unwrap(),
    }
}

pub fn numbers(json: &Json) -> Vec<f64> {
    json.as_array().unwrap().iter().map(number).collect()
}

pub fn shape(json: &Json) -> Vec<usize> {
    json["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect()
}

/// `{"shape": .., "dtype": .., "data": ..}`.
pub fn array(json: &Json) -> Array {
    let (shape, data) = (shape(json), numbers(&json["data"]));
    match json["dtype"].as_str().unwrap() {
        "float32" => Array::new(shape, &data),
        "uint8" => Array::new(shape, &data.iter().map(|&v| v as u8).collect::<Vec<_>>()),
        "int32" | "int64" => Array::new(shape, &data.iter().map(|&v| v as i32).collect::<Vec<_>>()),
        "bool" => Array::new(shape, &data.iter().map(|&v| v != 0.0).collect::<Vec<_>>()),
        other => panic!("dtype {other}"),
    }
    .unwrap()
}

pub fn tensor(json: &Json) -> Tensor {
    Tensor::from_array(array(json))
}

pub fn floats(tensor: &Tensor) -> Vec<f64> {
    tensor.cast(addax_tensor::DType::F32).to_vec::<f64>().unwrap()
}

/// Fails unless shapes are equal and values are within `tolerance` of the tensor's largest entry (1 at least).
#[track_caller]
pub fn assert_close(what: &str, got: &Tensor, wanted: &Json, tolerance: f64) {
    assert_eq!(got.shape().unwrap().dims(), shape(wanted), "{what}: shape");
    assert_numbers(what, &floats(got), &numbers(&wanted["data"]), tolerance);
}

#[track_caller]
pub fn assert_numbers(what: &str, got: &[f64], wanted: &[f64], tolerance: f64) {
    assert_eq!(got.len(), wanted.len(), "{what}: count");
    let scale = wanted.iter().filter(|v| v.is_finite()).fold(1.0f64, |m, v| m.max(v.abs()));
    for (i, (g, w)) in got.iter().zip(wanted).enumerate() {
        let same = (g - w).abs() <= tolerance * scale || g == w || (g.is_nan() && w.is_nan());
        assert!(same, "{what}: entry {i} is {g}, Keras computes {w}\n got {got:?}\nwant {wanted:?}");
    }
}
