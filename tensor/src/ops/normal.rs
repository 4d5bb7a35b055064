//! Scales: unit length, mean and variance, signal and noise; and several classes at once.

use super::{polynomial::in_floats, record};
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::Tensor,
    shape::Axes,
};
use std::panic::Location;

impl Tensor {
    /// `x / max(‖x‖, epsilon)` with the norm of order `order` along `axis`. Keras' `epsilon` is 1e-7.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([3.0f32, 4.0, 0.0, 0.0], [2, 2]).normalize(-1, 2.0, 1e-7).to_vec::<f32>()?;
    /// assert!((x[0] - 0.6).abs() < 1e-6 && (x[1] - 0.8).abs() < 1e-6 && x[2..] == [0.0, 0.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn normalize(&self, axis: isize, order: f64, epsilon: f64) -> Tensor {
        in_floats(self, Location::caller(), |x| match order {
            // The root of 0 has no slope: the bound is put under it.
            2.0 => x * x.square().sum_keepdims(axis).maximum(epsilon * epsilon).rsqrt(),
            _ => x / x.norm(order, axis).expand_dims(axis).maximum(epsilon),
        })
    }

    /// Mean and [`variance`](Tensor::variance) over `axes`. Half floats are added up as `F32`, and the results rounded.
    #[track_caller]
    pub fn moments(&self, axes: impl Into<Axes>) -> (Tensor, Tensor) {
        let (origin, axes) = (Location::caller(), axes.into());
        let x = self.cast_at(DType::F32, origin);
        let mean = x.mean(axes.clone());
        let variance = x.variance_about(&mean, &axes);
        let back = |t: Tensor| in_floats(self, origin, |_| t);
        (back(mean), back(variance))
    }

    /// Which of the classes each row names: 1 at every position below `classes` that occurs in it, else 0, as `dtype`. `[k] ->
    /// [classes]`, `[n, k] -> [n, classes]`; numbers out of range name nothing.
    ///
    /// ```
    /// use addax_tensor::{DType, Tensor};
    /// let x = Tensor::from_vec([0, 2, 2, 1, -1, 5], [2, 3]);
    /// assert_eq!(x.multi_hot(3, DType::I32).to_vec::<i32>()?, vec![1, 0, 1, 0, 1, 0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn multi_hot(&self, classes: usize, dtype: DType) -> Tensor {
        record(Location::caller(), || {
            let shape = self.shape()?;
            if !matches!(shape.rank(), 1 | 2) {
                return Err(Error::shape(format!("multi_hot needs [k] or [n, k], got shape {shape}")));
            }
            Ok(self.one_hot(classes, DType::Bool).any(-2).cast(dtype))
        })
    }

    /// Peak signal-to-noise ratio in decibels, `20 log10(max) - 10 log10(mean((x - y)²))`: infinite for equal tensors, which have
    /// one shape.
    #[track_caller]
    pub fn psnr(&self, other: &Tensor, max: f64) -> Tensor {
        record(Location::caller(), || {
            same_shape(self, other)?;
            Ok(20.0 * max.log10() - (self - other).square().mean(..).log10() * 10.0)
        })
    }
}

fn same_shape(a: &Tensor, b: &Tensor) -> Result<()> {
    let (a, b) = (a.shape()?, b.shape()?);
    match a == b {
        true => Ok(()),
        false => Err(Error::shape(format!("psnr compares tensors of one shape, got {a} and {b}"))),
    }
}
