//! `compile`: how a model is trained.

use crate::{
    metrics_state::{MetricSlot, Source},
    model::Model,
    steps::Steps,
};
use addax_layers::{Json, Policy};
use addax_losses::{Loss, LossChoice, metrics::MetricChoice};
use addax_optim::{LossScaleOptimizer, Optimizer, OptimizerChoice, SGD};
use addax_tensor::{Device, Error, Result, Variable};
use serde_json::json;
use std::{
    panic::Location,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Optimizer, loss and metrics: objects, or Keras' names.
///
/// ```
/// use addax::{layers::Dense, prelude::*};
/// let mut model = Sequential::new().input([2]).add(Dense::new(1));
/// model.compile(Compile::new(Adam::new(0.01)).loss("mse").metric("mae"))?;
/// let error = model.compile(Compile::new("adm").loss("mse")).unwrap_err().to_string();
/// assert!(error.starts_with("unknown optimizer \"adm\"; did you mean \"adam\" or"));
/// # Ok::<(), addax::Error>(())
/// ```
#[derive(Debug)]
pub struct Compile {
    optimizer: OptimizerChoice,
    loss: Option<LossChoice>,
    metrics: Vec<(MetricChoice, bool)>,
    auto_scale_loss: bool,
}

impl Compile {
    /// Trained by this optimizer: `Adam::new(1e-3)` or `"adam"`.
    pub fn new(optimizer: impl Into<OptimizerChoice>) -> Self {
        Compile { optimizer: optimizer.into(), loss: None, metrics: Vec::new(), auto_scale_loss: true }
    }
    /// What is made small: `SparseCategoricalCrossentropy::from_logits()` or `"mse"`. Without a loss only what layers add
    /// counts (`add_loss`, regularizers).
    pub fn loss(mut self, loss: impl Into<LossChoice>) -> Self {
        self.loss = Some(loss.into());
        self
    }
    /// What is measured beside the loss, without sample weights: `"accuracy"`, `AUC::new()`.
    pub fn metric(mut self, metric: impl Into<MetricChoice>) -> Self {
        self.metrics.push((metric.into(), false));
        self
    }
    /// The same, with sample weights and class weights.
    pub fn weighted_metric(mut self, metric: impl Into<MetricChoice>) -> Self {
        self.metrics.push((metric.into(), true));
        self
    }
    /// Whether the optimizer of a `mixed_float16` model is wrapped into a [`LossScaleOptimizer`], so that small gradients do not
    /// vanish (default true).
    pub fn auto_scale_loss(mut self, auto: bool) -> Self {
        self.auto_scale_loss = auto;
        self
    }
}

/// What `compile` keeps.
pub(crate) struct Compiled {
    optimizer: Mutex<Box<dyn Optimizer>>,
    pub loss: Option<Box<dyn Loss>>,
    pub metrics: Vec<MetricSlot>,
    /// Whether the optimizer may be wrapped for loss scaling.
    auto_scale_loss: bool,
    /// The weights that training changes; the optimizer has slots for these.
    pub trained: Vec<Variable>,
    /// Those of them that were not frozen when the training steps were captured.
    pub captured: Vec<Variable>,
    /// Captured steps and their running metrics; taken out while they run.
    pub train: Option<Steps>,
    pub test: Option<Steps>,
}

impl Compiled {
    pub fn new(optimizer: Box<dyn Optimizer>, loss: Option<Box<dyn Loss>>, metrics: Vec<MetricSlot>) -> Result<Self> {
        let mut names = vec!["loss".to_string()];
        for slot in &metrics {
            if names.contains(&slot.name) {
                return Err(Error::argument(format!(
                    "two metrics are named \"{}\"; give one another name with `.named(..)`",
                    slot.name
                )));
            }
            names.push(slot.name.clone());
        }
        Ok(Compiled {
            optimizer: Mutex::new(optimizer),
            loss,
            metrics,
            auto_scale_loss: true,
            trained: Vec::new(),
            captured: Vec::new(),
            train: None,
            test: None,
        })
    }
    /// With what [`Compile::auto_scale_loss`] was told.
    pub fn auto_scale_loss(mut self, auto: bool) -> Self {
        self.auto_scale_loss = auto;
        self
    }
    /// Wraps the optimizer if a model of this policy needs it.
    fn scale_loss_under(&mut self, policy: Policy) {
        let wanted = self.auto_scale_loss && policy.wants_loss_scaling();
        let optimizer = self.optimizer.get_mut().unwrap_or_else(PoisonError::into_inner);
        if wanted && optimizer.class_name() != LossScaleOptimizer::CLASS {
            let inner = std::mem::replace(optimizer, Box::new(SGD::new(0.0)));
            *optimizer = Box::new(LossScaleOptimizer::new(inner));
        }
    }
    /// The optimizer. Recording a step takes it, so only one thread at a time can.
    pub fn optimizer(&self) -> MutexGuard<'_, Box<dyn Optimizer>> {
        self.optimizer.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Keras' `compile_config`.
    pub fn to_json(&self) -> Result<Json> {
        let metrics = |weighted: bool| -> Json {
            let list: Vec<Json> =
                self.metrics.iter().filter(|m| m.weighted == weighted).map(MetricSlot::to_json).collect();
            if list.is_empty() { Json::Null } else { list.into() }
        };
        let mut config = json!({
            "optimizer": self.optimizer().config()?,
            "loss": self.loss.as_ref().map(|loss| loss.config()),
            "metrics": metrics(false),
            "weighted_metrics": metrics(true),
        });
        if let (false, Json::Object(config)) = (self.auto_scale_loss, &mut config) {
            config.insert("auto_scale_loss".into(), json!(false));
        }
        Ok(config)
    }
}

impl Model {
    /// Says how the model is trained. Weights stay as they are; the optimizer starts anew.
    ///
    /// Fails if a name is not known, if layers do not fit each other, or if no weight can be trained.
    #[track_caller]
    pub fn compile(&mut self, compile: Compile) -> Result<()> {
        let at = Location::caller();
        self.compile_told(compile).map_err(|e| e.at(at))
    }
    fn compile_told(&mut self, compile: Compile) -> Result<()> {
        let loss = compile.loss.map(LossChoice::get).transpose()?;
        let slots =
            compile.metrics.into_iter().map(|(choice, weighted)| MetricSlot::new(Source::Choice(choice), weighted));
        let compiled = Compiled::new(compile.optimizer.get()?, loss, slots.collect::<Result<_>>()?)?;
        self.compile_with(compiled.auto_scale_loss(compile.auto_scale_loss))
    }
    pub(crate) fn compile_with(&mut self, mut compiled: Compiled) -> Result<()> {
        // What the environment says wrongly of the device is told here, not by the first tensor that is computed.
        if self.device.get().is_none() {
            Device::try_default()?;
        }
        compiled.scale_loss_under(self.policy()?);
        // A model that learns its input's shape from the first data is checked then.
        if self.chain.input.get().is_some() {
            self.build()?;
        }
        self.programs.clear();
        self.compiled = Some(compiled);
        if self.chain.input.get().is_some() {
            self.prepare_training()?;
        }
        Ok(())
    }
    /// Gives the optimizer the weights that are trainable now, if that was not done. Steps that were captured for others go.
    pub(crate) fn prepare_training(&mut self) -> Result<()> {
        let trainable = self.trainable()?;
        let compiled = self.compiled_mut()?;
        if compiled.trained.is_empty() && !trainable.is_empty() {
            compiled.optimizer().build(&trainable)?;
            compiled.trained = trainable.clone();
        }
        if compiled.captured != trainable {
            (compiled.captured, compiled.train) = (trainable, None);
        }
        Ok(())
    }
    pub(crate) fn compiled(&self) -> Result<&Compiled> {
        self.compiled.as_ref().ok_or_else(not_compiled)
    }
    pub(crate) fn compiled_mut(&mut self) -> Result<&mut Compiled> {
        self.compiled.as_mut().ok_or_else(not_compiled)
    }
    /// The learning rate of the next step.
    pub fn learning_rate(&self) -> Result<f64> {
        self.compiled()?.optimizer().learning_rate()
    }
    /// Sets the learning rate. Fails if a schedule gives it.
    pub fn set_learning_rate(&mut self, rate: f64) -> Result<()> {
        self.compiled()?.optimizer().set_learning_rate(rate)
    }
    /// Names of what is measured: `loss`, then the metrics.
    pub fn metrics_names(&self) -> Result<Vec<String>> {
        let metrics = self.compiled()?.metrics.iter().map(|m| m.name.clone());
        Ok(std::iter::once("loss".to_string()).chain(metrics).collect())
    }
}

fn not_compiled() -> Error {
    Error::argument("the model is not compiled; call `model.compile(Compile::new(\"adam\").loss(..))` first")
}
