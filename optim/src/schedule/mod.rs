//! Learning rates as functions of the step.

mod cosine;
mod decay;
mod names;
mod piecewise;

pub use cosine::{CosineDecay, CosineDecayRestarts};
pub use decay::{ExponentialDecay, InverseTimeDecay, PolynomialDecay};
pub use names::schedule_from_config;
pub use piecewise::PiecewiseConstantDecay;

use crate::config::{self, Fields};
use addax_tensor::{Result, Tensor};
use serde_json::Value;
use std::{fmt, sync::Arc};

/// A learning rate that depends on the step.
///
/// [`rate`](Schedule::rate) is a tensor expression, so that a recorded training step computes its rate anew each time.
///
/// ```
/// use addax_optim::{ExponentialDecay, Schedule};
/// let halving = ExponentialDecay::new(0.1, 10, 0.5);
/// assert!((halving.at(20)? - 0.025).abs() < 1e-8);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
pub trait Schedule: fmt::Debug + Send + Sync + 'static {
    /// The rate at a step. `step` is an `F32` scalar that counts from 0; so is the result.
    fn rate(&self, step: &Tensor) -> Tensor;
    /// Keras' JSON for files. A schedule of your own may say `null`; a file then cannot bring it back.
    fn config(&self) -> Value {
        Value::Null
    }
    /// The rate at step number `step`, computed on the host.
    fn at(&self, step: u64) -> Result<f64> {
        Ok(config::readable(self.rate(&Tensor::scalar(step as f64)).item::<f32>()?))
    }
}

impl<S: Schedule + ?Sized> Schedule for Arc<S> {
    fn rate(&self, step: &Tensor) -> Tensor {
        (**self).rate(step)
    }
    fn config(&self) -> Value {
        (**self).config()
    }
}

/// What is common to the schedules of Keras.
pub(crate) trait Known: Schedule + Clone {
    const CLASS: &'static str;
    /// Any instance whose optional settings have their defaults.
    fn blank() -> Self;
    /// Settings by Keras' names, and which of them have no default.
    fn fields(&mut self) -> Fields<'_>;
    const REQUIRED: &'static [&'static str];

    fn to_config(&self) -> Value {
        let map = config::differing(self.clone().fields(), Self::blank().fields(), Self::REQUIRED);
        config::envelope("keras.optimizers.schedules", Self::CLASS, map)
    }
}
