//! The type that two tensors, or a tensor and a number of the program, are computed in: Keras' table (`fixtures/keras`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_tensor::{DType, Scalar, Tensor};
use serde_json::Value;

fn table(name: &str) -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/keras/promotion.json");
    let mut json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    json[name].take()
}

fn dtype(name: &str) -> DType {
    DType::parse(name).unwrap()
}

#[test]
fn two_tensors_meet_as_in_keras() {
    let pairs: Vec<[String; 3]> = serde_json::from_value(table("pairs")).unwrap();
    assert_eq!(pairs.len(), DType::ALL.len() * DType::ALL.len(), "the table has a row for each pair of types");
    for [a, b, met] in pairs {
        assert_eq!(dtype(&a).promote(dtype(&b)).name(), met, "{a} with {b}");
        let [x, y] = [&a, &b].map(|name| Tensor::ones([2]).cast(dtype(name)));
        assert_eq!(x.maximum(&y).dtype().unwrap().name(), met, "{a} with {b}");
    }
}

#[test]
fn numbers_of_the_program_are_weak_as_in_keras() {
    let weak: Vec<[String; 3]> = serde_json::from_value(table("weak")).unwrap();
    assert_eq!(weak.len(), 2 * DType::ALL.len());
    for [a, kind, met] in weak {
        let number = if kind == "float" { Scalar::Float(1.5) } else { Scalar::Int(2) };
        assert_eq!(number.meet(dtype(&a)).name(), met, "{a} with {kind}");
        let x = Tensor::ones([2]).cast(dtype(&a));
        let y = if kind == "float" { &x * 1.5 } else { &x * 2i64 };
        assert_eq!(y.dtype().unwrap().name(), met, "{a} with {kind}");
    }
}

/// Sums, products, the larger and the smaller of truth values are truth values, sums and products over axes are counts.
#[test]
fn arithmetic_of_truth_values_is_keras() {
    let x = Tensor::from_vec([true, true, false, false], [4]);
    let y = Tensor::from_vec([true, false, true, false], [4]);
    let truths: Vec<(String, String, Vec<f64>)> = serde_json::from_value(table("truths")).unwrap();
    assert_eq!(truths.len(), 14);
    for (name, dtype, values) in truths {
        let made = match name.as_str() {
            "add" => &x + &y,
            "multiply" => &x * &y,
            "maximum" => x.maximum(&y),
            "minimum" => x.minimum(&y),
            "sum" => x.sum(..),
            "prod" => x.prod(..),
            "max" => x.max(..),
            "min" => x.min(..),
            "mean" => x.mean(..),
            "cumsum" => x.cumsum(0),
            "cumprod" => x.cumprod(0),
            "argmax" => x.argmax(0),
            "any" => x.any(..),
            "all" => x.all(..),
            other => panic!("{other} is new in the table"),
        };
        assert_eq!(made.dtype().unwrap().name(), dtype, "{name}");
        assert_eq!(made.cast(DType::F32).to_vec::<f64>().unwrap(), values, "{name}");
    }
    let none = Tensor::from_vec([] as [bool; 0], [0]);
    assert!(none.max(..).check().is_err() && none.min(..).check().is_err(), "the largest of none has no value");
}
