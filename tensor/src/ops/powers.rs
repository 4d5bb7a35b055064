//! Logarithms and powers of other bases, and roots. Errors are given in units of the last place (ulp) of `F32`.

use super::{
    measure::operand,
    operators::Operand,
    polynomial::{in_floats, signs},
    record,
};
use crate::{dtype::DType, graph::Tensor};
use std::{
    f64::consts::{LOG2_E, LOG10_E},
    panic::Location,
};

impl Tensor {
    /// Logarithm to base 2, `log(x) / log(2)`, within 4 ulp.
    #[track_caller]
    pub fn log2(&self) -> Tensor {
        in_floats(self, Location::caller(), |x| x.log() * LOG2_E)
    }

    /// Logarithm to base 10, `log(x) / log(10)`, within 4 ulp.
    #[track_caller]
    pub fn log10(&self) -> Tensor {
        in_floats(self, Location::caller(), |x| x.log() * LOG10_E)
    }

    /// `2^x`.
    #[track_caller]
    pub fn exp2(&self) -> Tensor {
        in_floats(self, Location::caller(), power_of_two)
    }

    /// The real cube root, of negative numbers too, within 2 ulp. Its slope at 0 is infinite.
    #[track_caller]
    pub fn cbrt(&self) -> Tensor {
        in_floats(self, Location::caller(), |x| {
            let s = signs(x);
            let a = x * &s;
            let root = a.pow(1.0 / 3.0);
            // A step of Newton's, where it is defined; its slope is that of the root whatever the first guess was.
            let edge = a.equal(0.0).logical_or(a.equal(f64::INFINITY));
            let guess = edge.select(1.0, &root).stop_gradient();
            let square = guess.square();
            let better = &guess - (&guess - edge.select(1.0, a) / square) * (1.0 / 3.0);
            edge.select(root, better) * s
        })
    }

    /// `√(self² + other²)` without overflow, within 4 ulp; infinite if either is, even beside NaN. The slopes at (0, 0) are 0.
    #[track_caller]
    pub fn hypot(&self, other: impl Into<Operand>) -> Tensor {
        let (origin, other) = (Location::caller(), other.into());
        record(origin, || {
            let other = operand(self, other, origin)?;
            let dtype = self.dtype()?.promote(other.dtype()?);
            let (a, b) = (self.cast_at(DType::F32, origin).abs(), other.cast_at(DType::F32, origin).abs());
            let infinite = a.equal(f64::INFINITY).logical_or(b.equal(f64::INFINITY));
            let long = infinite.select(0.0, a.maximum(&b));
            let short = infinite.select(0.0, a.minimum(b));
            let ratio = short / long.equal(0.0).select(1.0, &long);
            let y = infinite.select(f64::INFINITY, long * (ratio.square() + 1.0).sqrt());
            Ok(if dtype.is_float() { y.cast_at(dtype, origin) } else { y })
        })
    }

    /// `self · 2^exponent` for whole `exponent`, also where the power alone leaves the range.
    #[track_caller]
    pub fn ldexp(&self, exponent: impl Into<Operand>) -> Tensor {
        let (origin, exponent) = (Location::caller(), exponent.into());
        record(origin, || {
            let exponent = operand(self, exponent, origin)?.cast_at(DType::F32, origin);
            Ok(in_floats(self, origin, |x| {
                // Four steps, each of which stays in the range: 4 · 126 reaches from end to end.
                let steps = (exponent * 0.25).clip(-126.0, 126.0);
                let (low, part) = (steps.floor(), (&steps - steps.floor()) * 4.0);
                let step = power_of_two(&low);
                (x * power_of_two(&part) * &step) * &step * &step * step
            }))
        })
    }

    /// `log2(2^self + 2^other)`, without overflow.
    #[track_caller]
    pub fn logaddexp2(&self, other: impl Into<Operand>) -> Tensor {
        let (origin, other) = (Location::caller(), other.into());
        record(origin, || {
            let other = operand(self, other, origin)?;
            // Equal infinities have no difference.
            let apart = self.equal(&other).select(0.0, (self - &other).abs());
            Ok(self.maximum(other) + (-apart).exp2().log1p() * LOG2_E)
        })
    }
}

fn power_of_two(x: &Tensor) -> Tensor {
    x.full_like(2.0).pow(x)
}
