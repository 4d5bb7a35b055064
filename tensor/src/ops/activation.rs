//! Softmax and its logarithm.

use super::record;
use crate::{error::Error, graph::Tensor, shape::Axes};
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
}
