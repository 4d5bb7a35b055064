//! What the error function leaves of 1.

use super::polynomial::{in_floats, polynomial};
use crate::graph::Tensor;
use std::panic::Location;

impl Tensor {
    /// `1 - erf(x)`, within 12 ulp of `F32` where that is not 0: far from 0, where it is tiny, too.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([5.0f32], [1]);
    /// assert!((x.erfc().item::<f32>()? / 1.5374597e-12 - 1.0).abs() < 1e-6);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn erfc(&self) -> Tensor {
        // e^(x²) erfc(x) / t in powers of t = 1 / (1 + 0.4x) for x in [0.45, 11], relative error 6e-9 (least squares, weighted to
        // be even).
        const SERIES: [f64; 9] = [
            0.2256784573,
            0.2255844919,
            0.2088879370,
            0.1620730803,
            0.1639716727,
            -0.0516558717,
            0.2236870557,
            -0.2176400589,
            0.0594235183,
        ];
        in_floats(self, Location::caller(), |x| {
            let far = x.greater(0.5);
            // From 10.1 on the result is 0.
            let a = far.select(x, 1.0).minimum(12.0);
            let t = (&a * 0.4 + 1.0).reciprocal();
            // The square of a multiple of 1/16 is exact, so that e^(-a²) loses nothing to the rounding of a large exponent.
            let whole = (&a * 16.0).round() * 0.0625;
            let rest = (&a - &whole) * (&a + &whole);
            let tail = (-whole.square()).exp() * (-rest).exp() * (polynomial(&t, &SERIES) * t);
            far.select(tail, 1.0 - far.select(0.0, x).erf())
        })
    }
}
