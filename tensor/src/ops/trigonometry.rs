//! The circle's functions beyond sine and cosine. Errors are given in units of the last place (ulp) of `F32`.

use super::{
    operators::Operand,
    polynomial::{in_floats, polynomial, signs, times},
    record,
};
use crate::graph::Tensor;
use std::{
    f64::consts::{FRAC_PI_2, FRAC_PI_4, PI},
    panic::Location,
};

impl Tensor {
    /// Tangent of radians, `sin(x) / cos(x)`.
    #[track_caller]
    pub fn tan(&self) -> Tensor {
        in_floats(self, Location::caller(), |x| x.sin() / x.cos())
    }

    /// The angle in [-π/2, π/2] whose sine is `x`, within 4 ulp; NaN outside [-1, 1]. Its slope at ±1 is infinite.
    #[track_caller]
    pub fn arcsin(&self) -> Tensor {
        in_floats(self, Location::caller(), |x| {
            let s = signs(x);
            let (far, angle) = arcsin_parts(&(x * &s));
            far.select(FRAC_PI_2 - &angle * 2.0, angle) * s
        })
    }

    /// The angle in [0, π] whose cosine is `x`, within 4 ulp, near 1 too; NaN outside [-1, 1]. Its slope at ±1 is infinite.
    #[track_caller]
    pub fn arccos(&self) -> Tensor {
        in_floats(self, Location::caller(), |x| {
            let s = signs(x);
            let (far, angle) = arcsin_parts(&(x * &s));
            let outer = &angle * 2.0;
            let outer = x.less(0.0).select(PI - &outer, outer);
            far.select(outer, FRAC_PI_2 - angle * s)
        })
    }

    /// The angle in [-π/2, π/2] whose tangent is `x`, within 4 ulp.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1.0f32, f32::NEG_INFINITY], [2]);
    /// assert_eq!(x.arctan().to_vec::<f32>()?, vec![std::f32::consts::FRAC_PI_4, -std::f32::consts::FRAC_PI_2]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn arctan(&self) -> Tensor {
        in_floats(self, Location::caller(), |x| {
            let s = signs(x);
            let a = x * &s;
            // arctan(a) = π/2 - arctan(1 / a)
            let steep = a.greater(1.0);
            let angle = arctan_to_one(&steep.select(steep.select(&a, 1.0).reciprocal(), &a));
            steep.select(FRAC_PI_2 - &angle, &angle) * s
        })
    }

    /// The angle in [-π, π] from the positive x-axis to the point (`x`, `self`), within 4 ulp, with C's and NumPy's rules for zeros
    /// and infinities of either sign: `arctan2(±0, -0)` is ±π. The operands broadcast. At the origin its slopes are those of (1, 0).
    #[track_caller]
    pub fn arctan2(&self, x: impl Into<Operand>) -> Tensor {
        let origin = Location::caller();
        let x = x.into();
        record(origin, || {
            let x = super::measure::operand(self, x, origin)?;
            let to = crate::dtype::DType::F32;
            let dtype = self.dtype()?.promote(x.dtype()?);
            let (y, x) = (self.cast_at(to, origin), x.cast_at(to, origin));
            let (turned, below) = (x.signbit(), y.signbit());
            let (sx, sy) = (turned.select(-1.0, 1.0), below.select(-1.0, 1.0));
            let (a, b) = (&y * &sy, &x * &sx);
            let steep = a.greater(&b);
            let (short, long) = (steep.select(&b, &a), steep.select(&a, &b));
            // Two zeros count as (1, 0), two infinities as (1, 1).
            let both = short.equal(f64::INFINITY);
            let (short, long) = (both.select(1.0, short), both.logical_or(long.equal(0.0)).select(1.0, long));
            let angle = arctan_to_one(&(short / long));
            let angle = steep.select(FRAC_PI_2 - &angle, angle);
            let angle = turned.select(PI - &angle, angle) * sy;
            Ok(if dtype.is_float() { angle.cast_at(dtype, origin) } else { angle })
        })
    }

    /// Degrees as radians, `x · π / 180`.
    #[track_caller]
    pub fn deg2rad(&self) -> Tensor {
        in_floats(self, Location::caller(), |x| x * (PI / 180.0))
    }

    /// Radians as degrees, `x · 180 / π`.
    #[track_caller]
    pub fn rad2deg(&self) -> Tensor {
        in_floats(self, Location::caller(), |x| x * (180.0 / PI))
    }

    /// `sin(πx) / (πx)`, 1 at 0, exactly 0 at the other whole numbers.
    #[track_caller]
    pub fn sinc(&self) -> Tensor {
        in_floats(self, Location::caller(), |x| {
            let zero = x.equal(0.0);
            let x = zero.select(1.0, x);
            // sin(πx) = (-1)^n sin(π(x - n)): what is left is small, and its product with π is as exact as it.
            let n = x.round();
            let odd = &n - (&n * 0.5).floor() * 2.0;
            let wave = ((&x - n) * PI).sin() * (1.0 - odd * 2.0);
            zero.select(1.0, wave / (x * PI))
        })
    }
}

/// Whether `a ≥ 0` is above 1/2, and `arcsin(a)`, or there `arcsin(√((1 - a) / 2))`, which is half the angle to π/2.
fn arcsin_parts(a: &Tensor) -> (Tensor, Tensor) {
    // (arcsin(t) / t - 1) / t² on [0, 1/2] in powers of t², relative error 5e-9 (least squares, weighted to be even).
    const SERIES: [f64; 5] = [0.1666675393, 0.0749524180, 0.0454770914, 0.0241476466, 0.0422184805];
    let far = a.greater(0.5);
    let t = far.select(((1.0 - far.select(a, 0.5)) * 0.5).sqrt(), a);
    let z = t.square();
    let rise = polynomial(&z, &SERIES) * z;
    let angle = times(&t, rise);
    (far, angle)
}

/// `arctan(t)` for t in [0, 1].
fn arctan_to_one(t: &Tensor) -> Tensor {
    // (arctan(t) / t - 1) / t² on [0, tan π/8] in powers of t², relative error 7e-10 (least squares, weighted to be even).
    const SERIES: [f64; 5] = [-0.3333331542, 0.1999848388, -0.1424373676, 0.1059512629, -0.0608112471];
    // arctan(t) = π/4 + arctan((t - 1) / (t + 1))
    let mid = t.greater(std::f64::consts::SQRT_2 - 1.0);
    let t = mid.select((t - 1.0) / (t + 1.0), t);
    let z = t.square();
    let angle = times(&t, polynomial(&z, &SERIES) * z);
    mid.select(&angle + FRAC_PI_4, angle)
}
