//! Composites of reductions: spread, counts, weighted means.

use super::record;
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::Tensor,
    shape::Axes,
};
use std::panic::Location;

impl Tensor {
    /// [`variance`](Tensor::variance) under Keras' name.
    #[track_caller]
    pub fn var(&self, axes: impl Into<Axes>) -> Tensor {
        self.variance(axes)
    }

    /// The largest less the smallest over `axes`: peak to peak.
    #[track_caller]
    pub fn ptp(&self, axes: impl Into<Axes>) -> Tensor {
        let axes = axes.into();
        self.max(axes.clone()) - self.min(axes)
    }

    /// The number of elements other than 0 over `axes`, as `I32`.
    #[track_caller]
    pub fn count_nonzero(&self, axes: impl Into<Axes>) -> Tensor {
        let axes = axes.into();
        record(Location::caller(), || {
            let there = if self.dtype()? == DType::Bool { self.clone() } else { self.not_equal(0i64) };
            Ok(there.cast(DType::I32).sum(axes))
        })
    }

    /// The value below which `q` percent (0 to 100) of the elements along `axis` lie: the [`quantile`](Tensor::quantile) `q / 100`.
    #[track_caller]
    pub fn percentile(&self, q: f64, axis: isize) -> Tensor {
        self.quantile(q / 100.0, axis)
    }

    /// `Σ w·x / Σ w` along `axis`, which vanishes. `weights` is a vector of its length, or has the shape of `self`.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1.0f32, 4.0], [2]);
    /// assert_eq!(x.average(&Tensor::from_vec([2.0f32, 1.0], [2]), 0).item::<f32>()?, 2.0);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn average(&self, weights: &Tensor, axis: isize) -> Tensor {
        record(Location::caller(), || {
            let (shape, given) = (self.shape()?, weights.shape()?);
            let at = shape.axis(axis)?;
            let weights = match given.rank() == 1 && shape.rank() != 1 {
                _ if given == shape => weights.clone(),
                true if given[0] == shape[at] => {
                    let mut wide = vec![1; shape.rank()];
                    wide[at] = given[0];
                    weights.reshape(wide)
                }
                _ => return Err(misfit(given, shape, axis)),
            };
            let float = |t: &Tensor| -> Result<Tensor> {
                Ok(if t.dtype()?.is_float() { t.clone() } else { t.cast(DType::F32) })
            };
            let (x, weights) = (float(self)?, float(&weights)?.broadcast_to(shape.clone()));
            Ok((x * &weights).sum(axis) / weights.sum(axis))
        })
    }
}

fn misfit(given: &crate::shape::Shape, shape: &crate::shape::Shape, axis: isize) -> Error {
    Error::shape(format!(
        "average: weights of shape {given} are neither of shape {shape} nor a vector along its axis {axis}"
    ))
}
