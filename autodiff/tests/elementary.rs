//! Gradients of functions of single elements: against differences inside, against their formula at 0 and at the ends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_autodiff::{
    Array, Tensor, grad,
    gradcheck::{Options, gradcheck},
};

/// Both sides of every place where a formula changes, but not these places.
const INSIDE: [f32; 10] = [-0.93, -0.6, -0.45, -0.3, -0.02, 0.03, 0.35, 0.47, 0.55, 0.9];
const WIDE: [f32; 8] = [-7.5, -2.6, -1.2, -0.7, 0.2, 0.8, 1.3, 6.2];
const ABOVE: [f32; 6] = [1.1, 1.5, 2.6, 4.2, 30.0, 70.0];

#[track_caller]
fn check(values: &[f32], f: impl Fn(&Tensor) -> Tensor) {
    let x = Array::new([values.len()], values).unwrap();
    gradcheck(|x| f(&x[0]), &[x], Options { tolerance: 2e-5, ..Options::default() }).unwrap();
}

#[test]
fn inside() {
    for f in [Tensor::arcsin, Tensor::arccos, Tensor::arctanh, Tensor::tan] {
        check(&INSIDE, f);
    }
    for f in [Tensor::arctan, Tensor::arcsinh, Tensor::sinh, Tensor::cosh, Tensor::exp2, Tensor::cbrt, Tensor::sinc] {
        check(&WIDE, f);
    }
    for f in [Tensor::arccosh, Tensor::log2, Tensor::log10] {
        check(&ABOVE, f);
    }
    check(&[-2.0, 0.1, 0.7, 1.3, 2.9], Tensor::erfc);
    let other = Tensor::from_vec([0.4f32, -0.9, 2.0, -3.1, 1.7, -0.1, 0.6, -2.2], [8]);
    check(&WIDE, |x| x.arctan2(&other));
    check(&WIDE, |x| other.arctan2(x));
    check(&WIDE, |x| x.hypot(&other));
    check(&WIDE, |x| x.logaddexp2(&other));
    check(&WIDE, |x| x.ldexp(3i64));
    check(&WIDE, |x| other.divide_no_nan(x));
}

fn slopes(values: &[f32], f: impl Fn(&Tensor) -> Tensor) -> Vec<f32> {
    let x = Tensor::from_vec(values, [values.len()]);
    grad(&f(&x).sum(..), std::slice::from_ref(&x)).unwrap()[0].to_vec().unwrap()
}

#[test]
fn at_zero_and_at_the_ends() {
    const INF: f32 = f32::INFINITY;
    for odd in [Tensor::arctan, Tensor::arcsin, Tensor::arcsinh, Tensor::arctanh, Tensor::sinh, Tensor::tan] {
        assert_eq!(slopes(&[0.0, -0.0], odd), [1.0, 1.0]);
    }
    assert_eq!(slopes(&[INF, -INF, 3e38], Tensor::arctan), [0.0, 0.0, 0.0]);
    assert_eq!(slopes(&[1.0, -1.0], Tensor::arcsin), [INF, INF]);
    assert_eq!(slopes(&[1.0, -1.0, 0.0], Tensor::arccos), [-INF, -INF, -1.0]);
    assert_eq!(slopes(&[1.0, -1.0], Tensor::arctanh), [INF, INF]);
    assert_eq!(slopes(&[1.0], Tensor::arccosh), [INF]);
    assert_eq!(slopes(&[0.0], Tensor::cosh), [0.0]);
    assert_eq!(slopes(&[0.0], Tensor::cbrt), [INF]);
    assert_eq!(slopes(&[0.0], Tensor::sinc), [0.0]);
    assert_eq!(slopes(&[12.0, 100.0], Tensor::erfc), [0.0, 0.0]);
    assert_eq!(slopes(&[0.0, 1.0], |x| x.hypot(0.0)), [0.0, 1.0]);
    assert_eq!(slopes(&[0.0, 0.0], |y| y.arctan2(Tensor::from_vec([0.0f32, 2.0], [2]))), [1.0, 0.5]);
    assert_eq!(slopes(&[0.0, 2.0], |x| 3.0 * x.ones_like().divide_no_nan(x)), [0.0, -0.75]);
    assert_eq!(slopes(&[f32::NAN, 3.0, 4.0], |x| x.nanmean(..)), [0.0, 0.5, 0.5]);
    assert_eq!(slopes(&[f32::NAN, INF, 4.0], |x| x.nan_to_num(0.0, None, None)), [0.0, 0.0, 1.0]);
}
