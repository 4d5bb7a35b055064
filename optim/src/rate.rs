//! A learning rate: a number, or a schedule.

use crate::{
    config::readable,
    schedule::{Schedule, schedule_from_config},
};
use addax_tensor::{DType, Error, Result, Tensor, Variable};
use serde_json::{Value, json};
use std::sync::Arc;

/// What an optimizer takes as its learning rate: a number or a [`Schedule`].
#[derive(Clone, Debug)]
pub enum LearningRate {
    /// A number, which can be set later.
    Fixed(f64),
    /// A function of the step.
    Schedule(Arc<dyn Schedule>),
}

impl From<f64> for LearningRate {
    fn from(rate: f64) -> Self {
        LearningRate::Fixed(rate)
    }
}
impl<S: Schedule> From<S> for LearningRate {
    fn from(schedule: S) -> Self {
        LearningRate::Schedule(Arc::new(schedule))
    }
}

/// The rate in use: a number lives in a variable, so that a recorded step sees it change.
#[derive(Clone, Debug)]
pub(crate) enum Rate {
    Variable(Variable),
    Schedule(Arc<dyn Schedule>),
}

impl Rate {
    pub fn new(rate: LearningRate) -> Rate {
        match rate {
            LearningRate::Fixed(rate) => Rate::Variable(Variable::state(Tensor::scalar(rate)).named("learning_rate")),
            LearningRate::Schedule(schedule) => Rate::Schedule(schedule),
        }
    }
    /// As a tensor, at the step `iterations` (an `I32` scalar).
    pub fn tensor(&self, iterations: &Tensor) -> Tensor {
        match self {
            Rate::Variable(variable) => variable.value(),
            Rate::Schedule(schedule) => schedule.rate(&iterations.cast(DType::F32)),
        }
    }
    /// On the host, at the step `iterations`.
    pub fn at(&self, iterations: u64) -> Result<f64> {
        match self {
            Rate::Variable(variable) => Ok(readable(variable.value().item::<f32>()?)),
            Rate::Schedule(schedule) => schedule.at(iterations),
        }
    }
    pub fn set(&self, rate: f64) -> Result<()> {
        match self {
            Rate::Variable(variable) => variable.assign(&Tensor::scalar(rate)),
            Rate::Schedule(_) => Err(Error::argument(
                "the learning rate follows a schedule and cannot be set; give the optimizer a number instead",
            )),
        }
    }
    pub fn variable(&self) -> Option<&Variable> {
        match self {
            Rate::Variable(variable) => Some(variable),
            Rate::Schedule(_) => None,
        }
    }
    pub fn config(&self) -> Result<Value> {
        match self {
            Rate::Variable(_) => Ok(json!(self.at(0)?)),
            Rate::Schedule(schedule) => Ok(schedule.config()),
        }
    }
    pub fn from_config(json: &Value, warnings: &mut Vec<String>) -> Result<LearningRate> {
        match json.as_f64() {
            Some(rate) => Ok(LearningRate::Fixed(rate)),
            None => Ok(LearningRate::Schedule(schedule_from_config(json, warnings)?)),
        }
    }
}
