//! The type that two tensors, or a tensor and a number of the program, are computed in: Keras' table (`fixtures/keras`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_tensor::{DType, Scalar, Tensor};
use serde_json::Value;

fn table(name: &str) -> Vec<[String; 3]> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/keras/promotion.json");
    let json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    serde_json::from_value(json[name].clone()).unwrap()
}

fn dtype(name: &str) -> DType {
    DType::parse(name).unwrap()
}

#[test]
fn two_tensors_meet_as_in_keras() {
    let pairs = table("pairs");
    assert_eq!(pairs.len(), DType::ALL.len() * DType::ALL.len(), "the table has a row for each pair of types");
    for [a, b, met] in pairs {
        assert_eq!(dtype(&a).promote(dtype(&b)).name(), met, "{a} with {b}");
        let [x, y] = [&a, &b].map(|name| Tensor::ones([2]).cast(dtype(name)));
        // The larger of two truth values is a number here, where Keras has a truth value.
        let met = if met == "bool" { "int32" } else { &met };
        assert_eq!(x.maximum(&y).dtype().unwrap().name(), met, "{a} with {b}");
    }
}

#[test]
fn numbers_of_the_program_are_weak_as_in_keras() {
    let weak = table("weak");
    assert_eq!(weak.len(), 2 * DType::ALL.len());
    for [a, kind, met] in weak {
        let number = if kind == "float" { Scalar::Float(1.5) } else { Scalar::Int(2) };
        assert_eq!(number.meet(dtype(&a)).name(), met, "{a} with {kind}");
        let x = Tensor::ones([2]).cast(dtype(&a));
        let y = if kind == "float" { &x * 1.5 } else { &x * 2i64 };
        assert_eq!(y.dtype().unwrap().name(), met, "{a} with {kind}");
    }
}
