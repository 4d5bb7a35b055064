//! Hyperbolic functions beyond the tangent, and their inverses. Errors are given in units of the last place (ulp) of `F32`.

use super::polynomial::{in_floats, signs};
use crate::graph::Tensor;
use std::{f64::consts::LN_2, panic::Location};

/// From here on the square of a number and 1 more are the same.
const LARGE: f64 = 10_000.0;

impl Tensor {
    /// `(e^x - e^-x) / 2`, within 8 ulp.
    #[track_caller]
    pub fn sinh(&self) -> Tensor {
        in_floats(self, Location::caller(), |x| {
            let s = signs(x);
            let a = x * &s;
            let small = a.less(1.0);
            let rise = small.select(&a, 0.0).expm1();
            let near = (&rise + &rise / (&rise + 1.0)) * 0.5;
            // e^x leaves the range before its half does.
            let root = (small.select(1.0, a) * 0.5).exp();
            small.select(near, &root * 0.5 * &root - 0.5 / &root / root) * s
        })
    }

    /// `(e^x + e^-x) / 2`, within 8 ulp.
    #[track_caller]
    pub fn cosh(&self) -> Tensor {
        in_floats(self, Location::caller(), |x| {
            let root = (x * 0.5).exp();
            &root * 0.5 * &root + 0.5 / &root / root
        })
    }

    /// Inverse of [`sinh`](Tensor::sinh), `log(x + √(x² + 1))`, within 4 ulp.
    #[track_caller]
    pub fn arcsinh(&self) -> Tensor {
        in_floats(self, Location::caller(), |x| {
            let s = signs(x);
            let a = x * &s;
            let large = a.greater(LARGE);
            let near = large.select(1.0, &a);
            let square = near.square();
            let near = (near + &square / ((&square + 1.0).sqrt() + 1.0)).log1p();
            large.select(large.select(a, 1.0).log() + LN_2, near) * s
        })
    }

    /// Inverse of [`cosh`](Tensor::cosh), at least 0: `log(x + √(x² - 1))`, within 4 ulp, near 1 too; NaN below 1.
    #[track_caller]
    pub fn arccosh(&self) -> Tensor {
        in_floats(self, Location::caller(), |x| {
            let large = x.greater(LARGE);
            let over = large.select(2.0, x) - 1.0;
            // Two roots: below 1 the first is NaN, where that of the product need not be.
            let near = (&over + over.sqrt() * (&over + 2.0).sqrt()).log1p();
            large.select(large.select(x, 1.0).log() + LN_2, near)
        })
    }

    /// Inverse of the hyperbolic tangent, `log((1 + x) / (1 - x)) / 2`, within 4 ulp; ±∞ at ±1, NaN beyond.
    #[track_caller]
    pub fn arctanh(&self) -> Tensor {
        in_floats(self, Location::caller(), |x| {
            let s = signs(x);
            let a = x * &s;
            // Both logarithms have one sign: nothing cancels.
            (a.log1p() - (-a).log1p()) * 0.5 * s
        })
    }
}
