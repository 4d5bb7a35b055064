//! What the radius promises, case by case. That it holds in general is tested with random graphs.

use super::*;
use crate::{DType, graph::Pool2d};

fn f(values: &[f32]) -> Tensor {
    Tensor::from_vec(values, [values.len()])
}
fn near(t: &Tensor) -> Vec<Approx> {
    let ranged = evaluate_with(&HashMap::new(), std::slice::from_ref(t)).unwrap().remove(0);
    (0..ranged.value.len()).map(|i| ranged.at(i)).collect()
}
fn radii(t: &Tensor) -> Vec<f64> {
    near(t).iter().map(|x| x.radius).collect()
}
/// 0.1 and 0.2, each with an error.
fn inexact() -> Tensor {
    f(&[1.0, 2.0]) / 10.0
}

#[test]
fn whole_numbers_are_exact() {
    let x = f(&[1.0, -3.0, 1000.0]);
    assert_eq!(radii(&(&x * 3.0 + 7.0).relu().floor()), [0.0; 3]);
    assert_eq!(radii(&x.sum(0)), [0.0]);
    assert_eq!(radii(&x.matmul(&x)), [0.0]);
    assert_eq!(radii(&x.argmax(0)), [0.0]);
}

#[test]
fn a_product_of_64_terms_stays_near() {
    let x = Tensor::iota(DType::F32, [64, 64], 1).sin();
    let chain = x.matmul(&x.t()).tanh() + x.exp();
    for x in near(&chain) {
        assert!(x.radius > 0.0 && x.radius < 1e-4 * x.value.abs().max(1.0), "{x:?}");
    }
}

#[test]
fn jumps_are_seen() {
    let x = inexact() * 10.0 - 1.0;
    assert_eq!(radii(&x.less(0.0))[0], f64::INFINITY);
    assert_eq!(radii(&x.less(0.0))[1], 0.0);
    assert_eq!(near(&x.floor())[1].low(), 0.0);
    assert_eq!(radii(&x.sign())[0], 1.0);
    assert_eq!(radii(&x.log())[0], f64::INFINITY);
    // An uncertain condition allows both branches, a certain one only its own.
    let chosen = near(&x.less(0.0).select(5.0, x.log()));
    assert_eq!(chosen[0].radius, f64::INFINITY);
    let chosen = near(&x.less(0.0).select(5.0, 7.0));
    assert_eq!((chosen[0].low() <= 5.0, chosen[0].high() >= 7.0, chosen[1].radius), (true, true, 0.0));
    // One certain operand may decide.
    assert_eq!(radii(&x.less(0.0).logical_and(f(&[1.0]).less(0.0))), [0.0, 0.0]);
    assert_eq!(radii(&x.less(0.0).logical_or(f(&[1.0]).less(0.0)))[0], f64::INFINITY);
    assert_eq!(radii(&Tensor::concat(&[x.less(0.0), f(&[1.0]).less(2.0)], 0).any(0)), [0.0]);
}

#[test]
fn what_may_be_anything_spreads() {
    let anything = f(&[0.0]).log();
    assert_eq!(radii(&(&anything * 0.0)), [f64::INFINITY]);
    assert_eq!(radii(&anything.tanh()), [f64::INFINITY]);
    assert_eq!(radii(&anything.maximum(3.0)), [f64::INFINITY]);
    assert_eq!(radii(&anything.is_finite()), [f64::INFINITY]);
    assert_eq!(radii(&f(&[0.0]).less(1.0).select(2.0, &anything)), [0.0]);
    assert_eq!(radii(&f(&[1e30]).square()), [f64::INFINITY]);
    assert_eq!(radii(&(f(&[300.0]).cast(DType::F16) * 300.0)), [f64::INFINITY]);
    assert_eq!(radii(&f(&[f32::INFINITY, 1.0]).is_finite()), [0.0, 0.0]);
}

#[test]
fn ties_are_resolved_only_when_exact() {
    assert_eq!(radii(&f(&[1.0, 3.0, 3.0]).argmax(0)), [0.0]);
    let tie = inexact() * Tensor::from_vec([2.0f32, 1.0], [2]);
    assert_eq!(radii(&tie.argmax(0)), [1.0]);
    let pool = Pool2d { window: [1, 2], strides: [1, 1], pads: [(0, 0); 2] };
    let dx = near(&tie.reshape([1, 1, 2, 1]).max_pool2d_grad(&Tensor::full(DType::F32, [1, 1, 1, 1], 3.0), pool));
    assert!(dx.iter().all(|x| x.low() <= 0.0 && x.high() >= 3.0 && x.radius < 3.01), "{dx:?}");
}

#[test]
fn half_floats_may_be_rounded_when_stored() {
    let x = near(&(f(&[1.0]).cast(DType::F16) / 3.0));
    assert!(x[0].radius > 1.0 / 8192.0 && x[0].radius < 1.0 / 2048.0, "{x:?}");
    assert_eq!(radii(&f(&[2.5]).cast(DType::BF16).cast(DType::F32)), [0.0]);
}
