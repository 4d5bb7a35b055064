//! Softmax and its logarithm.

use super::{polynomial::in_floats, record};
use crate::{
    dtype::{DType, Scalar},
    error::Error,
    graph::Tensor,
    shape::Axes,
};
use std::panic::Location;

impl Tensor {
    /// `e^x / Σ e^x` along `axis`, without overflow.
    #[track_caller]
    pub fn softmax(&self, axis: isize) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            self.shape()?.axis(axis)?;
            let e = (self - self.max_keepdims(axis).stop_gradient()).exp();
            Ok(&e / e.sum_keepdims(axis))
        })
    }

    /// `x - log Σ e^x` along `axis`, without overflow.
    #[track_caller]
    pub fn log_softmax(&self, axis: isize) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            self.shape()?.axis(axis)?;
            let centered = self - self.max_keepdims(axis).stop_gradient();
            let total = centered.exp().sum_keepdims(Axes::from(axis)).log();
            Ok(centered - total)
        })
    }

    /// Exact (`approximate` false: by erf) or tanh-approximated Gaussian error linear unit.
    #[track_caller]
    pub fn gelu(&self, approximate: bool) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            if !self.dtype()?.is_float() {
                return Err(Error::dtype(format!("gelu needs floats, got {}", self.dtype()?)));
            }
            Ok(match approximate {
                false => self * 0.5 * ((self * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0),
                true => {
                    let inner = (self + self.square() * self * 0.044715) * (2.0 / std::f64::consts::PI).sqrt();
                    self * 0.5 * (inner.tanh() + 1.0)
                }
            })
        })
    }

    /// `self` where it is above `threshold`, else `value`.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([-1.0f32, 0.5, 2.0], [3]);
    /// assert_eq!(x.threshold(0.5, 9.0).to_vec::<f32>()?, vec![9.0, 9.0, 2.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn threshold(&self, threshold: impl Into<Scalar>, value: impl Into<Scalar>) -> Tensor {
        self.greater(threshold.into()).select(self, value.into())
    }

    /// `max(x - τ, 0)` along `axis`, with a `τ` that leaves few elements: Keras' sparse relative of [`softmax`](Tensor::softmax).
    ///
    /// Sorted, `z[1] ≥ z[2] ≥ …` with running sums `s[j]`, those `k` elements count for which `z[j] > (s[j] - 1) / j`. Keras 3.15
    /// then takes `τ = (s[1] + … + s[k] - 1) / k`, and so does Addax, so that its models give the same numbers. (Martins and Astudillo,
    /// who named it, have `τ = (s[k] - 1) / k`, which makes the sum 1; both are the same where one element is left.)
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([-1.0f32, 0.0, 1.5], [3]);
    /// assert_eq!(x.sparsemax(-1).to_vec::<f32>()?, vec![0.0, 0.0, 1.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn sparsemax(&self, axis: isize) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let shape = self.shape()?;
            let n = shape[shape.axis(axis)?];
            let mut line = vec![1; shape.rank()];
            line[shape.axis(axis)?] = n;
            Ok(in_floats(self, origin, |x| {
                let sorted = x.sort(axis, true);
                let sums = sorted.cumsum(axis);
                let rank = (Tensor::iota(DType::F32, [n], 0) + 1.0).reshape(line);
                let counts = (&sorted - (&sums - 1.0) / rank).greater(0.0);
                let total = counts.select(sums, 0.0).sum_keepdims(axis);
                let threshold = (total - 1.0) / counts.cast(DType::F32).sum_keepdims(axis);
                (x - threshold).relu()
            }))
        })
    }
}
