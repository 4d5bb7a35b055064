//! Train steps of your own.

use addax_autodiff::grad;
use addax_callbacks::Logs;
use addax_layers::{Cx, Feed, Fields, Layer, weights};
use addax_optim::Optimizer;
use addax_tensor::{Array, Error, Result, Shape, Tensor, Variable};
use std::collections::HashSet;

/// A training whose step you write: adversarial nets, several optimizers, distillation.
///
/// The step is recorded anew for each batch, so its `if`s and numbers mean what they say; the plan of an equal recording is
/// found again. Nothing is computed until the step returns: then losses, new weights and logs are computed together, and
/// either all of it is committed or nothing.
///
/// ```
/// use addax::{layers::Dense, prelude::*};
///
/// /// Learns from the difference of two rows.
/// struct Siamese { net: Sequential, optimizer: Adam }
///
/// impl TrainStep for Siamese {
///     fn train_step(&mut self, x: Tensor, s: &mut Step) -> addax::Result<Logs> {
///         let y = s.call(&self.net, &x)?;
///         let loss = (y - s.labels()?).square().mean_all();
///         s.minimize(&loss, &self.net, &mut self.optimizer)?;
///         Ok(logs! { "loss" => loss })
///     }
/// }
///
/// let x: Vec<f32> = (0..32).map(|v| v as f32 / 32.0).collect();
/// let data = Dataset::new(Array::new([32, 1], &x)?, Array::new([32, 1], &x)?)?;
/// let mut siamese = Siamese { net: Sequential::new().add(Dense::new(1)), optimizer: Adam::new(0.1) };
/// let history = siamese.fit(&data, Fit::epochs(20).seed(1).verbose(0))?;
/// assert!(history.last("loss")? < history.get("loss")?[0]);
/// # Ok::<(), addax::Error>(())
/// ```
pub trait TrainStep {
    /// One step on these rows: calls layers, minimizes losses, and says what to log. Logged tensors are one number each; the
    /// logs of an epoch are their means over its rows.
    fn train_step(&mut self, x: Tensor, s: &mut Step) -> Result<Logs>;

    /// The layers whose weights callbacks see (checkpoints, best weights), with a name for each. None unless written.
    fn parts(&self) -> Vec<(&str, &dyn Fields)> {
        Vec::new()
    }
    /// What callbacks get when they ask for predictions. Fails unless written.
    fn predict(&self, inputs: &[Array]) -> Result<Vec<Array>> {
        let _ = inputs;
        Err(Error::argument("this TrainStep does not say how to predict; write its method `predict`"))
    }
    /// Trains on these rows: epochs, order of rows, callbacks and progress as in [`Model::fit`](crate::Model::fit).
    /// Validation is left to callbacks.
    #[track_caller]
    fn fit<S: addax_data::Source + 'static>(&mut self, data: &S, fit: crate::Fit<'_>) -> Result<crate::History>
    where
        Self: Sized,
    {
        let at = std::panic::Location::caller();
        crate::custom_fit::fit(self, crate::options::Rows::new(data), fit).map_err(|e| e.at(at))
    }
}

/// What a [`TrainStep`] works with: the layers' context, random numbers, labels, and what is to be committed.
pub struct Step {
    cx: Cx,
    labels: Option<Tensor>,
    weight: Option<Tensor>,
    number: usize,
    moved: HashSet<u64>,
}

impl Step {
    pub(crate) fn new(cx: Cx, labels: Option<Tensor>, weight: Option<Tensor>, number: usize) -> Step {
        Step { cx, labels, weight, number, moved: HashSet::new() }
    }
    /// Calls a layer or a model as in training.
    #[track_caller]
    pub fn call<L: Layer + ?Sized>(&self, layer: &L, x: impl Feed<L::In>) -> Result<L::Out> {
        self.cx.call(layer, x)
    }
    /// Calls a layer or a model as in inference: nothing is dropped, moving statistics rest.
    pub fn infer<L: Layer + ?Sized>(&self, layer: &L, x: impl Feed<L::In>) -> Result<L::Out> {
        self.cx.without_training().call(layer, x)
    }
    /// The labels of these rows.
    pub fn labels(&self) -> Result<&Tensor> {
        self.labels.as_ref().ok_or_else(|| Error::data("the data has no labels"))
    }
    /// The sample weights of these rows `[n]`, if the data has them.
    pub fn sample_weight(&self) -> Option<&Tensor> {
        self.weight.as_ref()
    }
    /// Number of this step since training began, from 0.
    pub fn number(&self) -> usize {
        self.number
    }
    /// Standard normal numbers, other ones at each step and call, the same for the same seed.
    pub fn normal(&self, shape: impl Into<Shape>) -> Tensor {
        self.cx.normal(shape, None)
    }
    /// Numbers from 0 to 1, likewise.
    pub fn uniform(&self, shape: impl Into<Shape>) -> Tensor {
        self.cx.uniform(shape, None)
    }
    /// Moves the trainable weights of `layer`, and no others, so that `loss` falls. Later calls of the layer in this step see
    /// the new weights; they are committed with the step.
    ///
    /// Fails if a weight is moved twice in one step, or the loss does not depend on a weight of the layer.
    pub fn minimize(
        &mut self,
        loss: &Tensor,
        layer: &(impl Fields + ?Sized),
        optimizer: &mut dyn Optimizer,
    ) -> Result<()> {
        let slots = weights(layer);
        let trained: Vec<_> = slots.iter().filter(|w| w.weight.is_trainable()).collect();
        let variables: Vec<Variable> = trained.iter().filter_map(|w| w.weight.variable().cloned()).collect();
        if variables.is_empty() {
            return Err(Error::argument(format!(
                "{} has no weights to train yet: call it in this step before, and see that it is not frozen",
                layer.class_name()
            )));
        }
        let scaled = optimizer.loss_scale_factor().map_or_else(|| loss.clone(), |factor| loss * factor);
        let gradients = grad(&scaled, &variables)?;
        let pairs: Vec<_> = variables.iter().cloned().zip(gradients).collect();
        for (variable, mut value) in optimizer.apply(&pairs)? {
            let held =
                trained.iter().find(|w| w.weight.variable() == Some(&variable)).and_then(|w| w.weight.constraint());
            if let Some(constraint) = held {
                value = constraint.apply(&value)?;
            }
            self.set(&variable, &value)?;
        }
        Ok(())
    }
    /// Gives a variable a new value when the step commits; later reads in this step see it. Fails if it was set before.
    pub fn set(&mut self, variable: &Variable, value: &Tensor) -> Result<()> {
        if !self.moved.insert(variable.id()) {
            return Err(Error::argument(format!(
                "variable \"{}\" is moved twice in one step; give each `minimize` its own optimizer and its own layers",
                variable.name()
            )));
        }
        // No gradient of a later loss flows through an update.
        self.cx.set(variable, value.stop_gradient())
    }
    pub(crate) fn finish(self) -> Vec<(Variable, Tensor)> {
        self.cx.finish().updates
    }
}
