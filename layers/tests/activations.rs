//! Activations against what real Keras computed: values and derivatives.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use addax_autodiff::grad_with;
use addax_layers::{AxisList, Field, Json, Reader, Registry, activations::Activation};
use addax_tensor::Tensor;
use common::{assert_close, assert_numbers, fixture, floats, numbers, tensor};

/// The activation of this name with Keras' arguments.
fn with_arguments(name: &str, config: &Json) -> Activation {
    let number = |key: &str| config[key].as_f64();
    let axes = || match &config["axis"] {
        Json::Null => AxisList(vec![-1]),
        Json::Array(list) => AxisList(list.iter().map(|a| a.as_i64().unwrap() as isize).collect()),
        one => AxisList(vec![one.as_i64().unwrap() as isize]),
    };
    match Activation::from(name) {
        Activation::Celu(alpha) => Activation::Celu(number("alpha").unwrap_or(alpha)),
        Activation::Elu(alpha) => Activation::Elu(number("alpha").unwrap_or(alpha)),
        Activation::Gelu { approximate } => {
            Activation::Gelu { approximate: config["approximate"].as_bool().unwrap_or(approximate) }
        }
        Activation::HardShrink(t) => Activation::HardShrink(number("threshold").unwrap_or(t)),
        Activation::LeakyRelu(slope) => Activation::LeakyRelu(number("negative_slope").unwrap_or(slope)),
        Activation::Squareplus(b) => Activation::Squareplus(number("b").unwrap_or(b)),
        Activation::Relu if config["threshold"].is_number() => Activation::ReluWith {
            negative_slope: number("negative_slope").unwrap(),
            max_value: number("max_value"),
            threshold: number("threshold").unwrap(),
        },
        Activation::Unknown(name) if name == "threshold" => Activation::Threshold {
            threshold: number("threshold").unwrap(),
            default_value: number("default_value").unwrap(),
        },
        Activation::Softmax(_) => Activation::Softmax(axes()),
        Activation::LogSoftmax(_) => Activation::LogSoftmax(axes()),
        Activation::Sparsemax(_) => Activation::Sparsemax(axes().0[0]),
        Activation::Glu(_) => Activation::Glu(axes().0[0]),
        other => other,
    }
}

#[test]
fn pointwise() {
    let file = fixture("activations.json");
    let points = numbers(&file["points"]);
    for case in file["pointwise"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let what = format!("{name} {}", case["config"]);
        let x = Tensor::from_vec(&points, [points.len()]).watch().unwrap();
        let y = with_arguments(name, &case["config"]).apply(&x).unwrap();
        assert_each(&what, &points, &floats(&y), &numbers(&case["y"]), 1e-5);
        let dy = match y.is_tracked() {
            true => grad_with(std::slice::from_ref(&y), &[y.ones_like()], &[x]).unwrap()[0].clone(),
            false => panic!("{what}: no gradient"),
        };
        assert_each(&format!("derivative of {what}"), &points, &floats(&dy), &numbers(&case["dy"]), 1e-4);
    }
}

/// Entries have their own sizes here: from 1e-30 to 1e9.
fn assert_each(what: &str, points: &[f64], got: &[f64], wanted: &[f64], tolerance: f64) {
    for ((x, g), w) in points.iter().zip(got).zip(wanted) {
        let close = (g - w).abs() <= tolerance * w.abs().max(1.0) || g == w || (g.is_nan() && w.is_nan());
        assert!(close, "{what} at {x} is {g}, Keras computes {w}");
    }
}

#[test]
fn along_an_axis() {
    let file = fixture("activations.json");
    for case in file["along_axis"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let activation = with_arguments(name, &case["config"]);
        let what = format!("{name} {}", case["config"]);
        let x = tensor(&case["x"]).watch().unwrap();
        let y = activation.apply(&x).unwrap();
        assert_close(&what, &y, &case["y"], 1e-5);
        let [dx] = grad_with(&[y], &[tensor(&case["cotangent"])], &[x]).unwrap();
        assert_close(&format!("gradient of {what}"), &dx, &case["dx"], 1e-4);
    }
}

#[test]
fn names_are_written_as_they_are_read() {
    let registry = Registry::default();
    for case in fixture("activations.json")["pointwise"].as_array().unwrap() {
        let activation = Activation::from(case["name"].as_str().unwrap());
        if activation.check().is_err() {
            continue;
        }
        let json = activation.write().unwrap();
        let mut again = Activation::blank();
        again.read(&json, &mut Reader::new(&registry)).unwrap();
        assert_eq!(again, activation, "{json}");
    }
    let json = Activation::LeakyRelu(0.07).write().unwrap();
    let mut again = Activation::blank();
    again.read(&json, &mut Reader::new(&registry)).unwrap();
    assert_eq!(again, Activation::LeakyRelu(0.07));
}

#[test]
fn regularizers() {
    use addax_layers::Regularizer;
    let registry = Registry::default();
    let file = fixture("regularizers.json");
    for case in file["cases"].as_array().unwrap() {
        let what = format!("{} {}", case["class_name"], case["config"]);
        let mut regularizer = Regularizer::blank();
        regularizer.read(case, &mut Reader::new(&registry)).unwrap();
        let x = tensor(&case["x"]).watch().unwrap();
        let y = regularizer.penalty(&x).unwrap();
        assert_numbers(&what, &floats(&y), &[case["value"].as_f64().unwrap()], 1e-5);
        let [dx] = addax_autodiff::grad_or_zeros(&y, [&x]).unwrap();
        // At 0, |x| has no derivative: Keras on JAX says 1, on TensorFlow and PyTorch 0, as here.
        let (at, found, wanted) = (floats(&x), floats(&dx), numbers(&case["gradient"]["data"]));
        let smooth = |values: &[f64]| -> Vec<f64> {
            at.iter().zip(values).filter(|(x, _)| **x != 0.0).map(|(_, v)| *v).collect()
        };
        assert_numbers(&format!("gradient of {what}"), &smooth(&found), &smooth(&wanted), 1e-4);
        let mut again = Regularizer::blank();
        again.read(&regularizer.write().unwrap(), &mut Reader::new(&registry)).unwrap();
        assert_eq!(again, regularizer);
    }
    for (name, class) in file["names"].as_object().unwrap() {
        let known = !matches!(Regularizer::from(name.as_str()), Regularizer::Unknown(_));
        assert_eq!(known, !class.is_null(), "{name}");
    }
}
