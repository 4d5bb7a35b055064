//! Train steps of your own.

use addax_autodiff::grad;
use addax_callbacks::Logs;
use addax_layers::{Cx, Feed, Fields, Id, Layer, weights};
use addax_optim::Optimizer;
use addax_tensor::{Array, DType, Error, Result, Shape, Tensor, Variable};
use std::{cell::RefCell, collections::HashSet};

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

    /// What is measured on these rows, in validation and [`evaluate`](TrainStep::evaluate). Unless written it is the training
    /// step in inference: layers drop nothing, [`minimize`](Step::minimize) and [`set`](Step::set) move nothing, and the logs
    /// are those of the step. A step that changes itself asks [`Step::training`] first.
    fn test_step(&mut self, x: Tensor, s: &mut Step) -> Result<Logs> {
        self.train_step(x, s)
    }

    /// The layers whose weights callbacks see (checkpoints, best weights), with a name for each. None unless written.
    fn parts(&self) -> Vec<(&str, &dyn Fields)> {
        Vec::new()
    }
    /// The optimizer whose learning rate callbacks see and set. None unless written.
    fn optimizer(&self) -> Option<&dyn Optimizer> {
        None
    }
    /// What callbacks get when they ask for predictions. Fails unless written.
    fn predict(&self, inputs: &[Array]) -> Result<Vec<Array>> {
        let _ = inputs;
        Err(Error::argument("this TrainStep does not say how to predict; write its method `predict`"))
    }
    /// Trains on these rows: epochs, order of rows, validation, callbacks and progress as in
    /// [`Model::fit`](crate::Model::fit). Validation takes [`test_step`](TrainStep::test_step); its logs get `val_` in front.
    #[track_caller]
    fn fit<S: addax_data::Source + 'static>(&mut self, data: &S, fit: crate::Fit<'_>) -> Result<crate::History>
    where
        Self: Sized,
    {
        let at = std::panic::Location::caller();
        crate::custom_fit::fit(self, crate::options::Rows::new(data), fit).map_err(|e| e.at(at))
    }
    /// Means over these rows of what [`test_step`](TrainStep::test_step) logs, in batches of 128.
    #[track_caller]
    fn evaluate<S: addax_data::Source + 'static>(&mut self, data: &S) -> Result<Logs>
    where
        Self: Sized,
    {
        let at = std::panic::Location::caller();
        crate::custom_fit::evaluate(self, crate::options::Rows::new(data)).map_err(|e| e.at(at))
    }
}

/// What a [`TrainStep`] works with: the layers' context, random numbers, labels, and what is to be committed.
pub struct Step {
    cx: Cx,
    labels: Option<Tensor>,
    weight: Option<Tensor>,
    number: usize,
    training: bool,
    moved: HashSet<u64>,
    added: RefCell<Vec<(Id, Tensor)>>,
}

impl Step {
    pub(crate) fn new(cx: Cx, labels: Option<Tensor>, weight: Option<Tensor>, number: usize) -> Step {
        let training = cx.training();
        Step { cx, labels, weight, number, training, moved: HashSet::new(), added: RefCell::default() }
    }
    /// Calls a layer or a model as in training; in a [`test_step`](TrainStep::test_step) as in inference.
    pub fn call<L: Layer + ?Sized>(&self, layer: &L, x: impl Feed<L::In>) -> Result<L::Out> {
        let before = self.cx.losses().len();
        let out = self.cx.call(layer, x)?;
        let added = self.cx.losses().into_iter().skip(before).map(|loss| (layer.identity(), loss));
        self.added.borrow_mut().extend(added);
        Ok(out)
    }
    /// Calls a layer or a model as in inference: nothing is dropped, moving statistics rest.
    pub fn infer<L: Layer + ?Sized>(&self, layer: &L, x: impl Feed<L::In>) -> Result<L::Out> {
        self.cx.without_training().call(layer, x)
    }
    /// Whether this is a training step, not one of a test.
    pub fn training(&self) -> bool {
        self.training
    }
    /// What this layer or model adds to a loss, as one number: the penalties of its weights, each once, and what its
    /// [`call`](Step::call)s added for their outputs. 0 if there is nothing. Keras' `sum(model.losses)`; a step that leaves it
    /// out trains without regularizers.
    pub fn penalties(&self, layer: &(impl Fields + ?Sized)) -> Result<Tensor> {
        let identity = layer.identity();
        let added = self.added.borrow();
        let outputs = added.iter().filter(|(id, _)| *id == identity).map(|(_, loss)| loss.clone());
        let all = self.cx.penalties_of(layer).into_iter().chain(outputs).map(|t| t.cast(DType::F32).reshape(()));
        let sum = all.reduce(|a, b| a + b).unwrap_or_else(|| Tensor::scalar(0.0));
        sum.check().map(|()| sum)
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
    /// Fails if a weight is moved twice in one step, or the loss does not depend on a weight of the layer. In a
    /// [`test_step`](TrainStep::test_step) nothing moves.
    pub fn minimize(
        &mut self,
        loss: &Tensor,
        layer: &(impl Fields + ?Sized),
        optimizer: &mut dyn Optimizer,
    ) -> Result<()> {
        if !self.training {
            return loss.check();
        }
        let slots = weights(layer);
        let trained: Vec<_> = slots.iter().filter(|w| w.weight.is_trainable()).collect();
        let variables: Vec<Variable> = trained.iter().filter_map(|w| w.weight.variable().cloned()).collect();
        if variables.is_empty() {
            return Err(Error::argument(format!(
                "{} has no weights to train yet: call it in this step before, and see that it is not frozen",
                layer.class_name()
            )));
        }
        let gradients = grad(&optimizer.scale_loss(loss), &variables)?;
        let pairs: Vec<_> = variables.iter().cloned().zip(gradients).collect();
        let updates = optimizer.apply_held(&pairs, &|variable, new| {
            let held = trained.iter().find(|w| w.weight.variable() == Some(variable));
            match held.and_then(|w| w.weight.constraint()) {
                Some(constraint) => constraint.apply(&new),
                None => Ok(new),
            }
        })?;
        updates.iter().try_for_each(|(variable, value)| self.set(variable, value))
    }
    /// Gives a variable a new value when the step commits; later reads in this step see it. Fails if it was set before. In a
    /// [`test_step`](TrainStep::test_step) it stays.
    pub fn set(&mut self, variable: &Variable, value: &Tensor) -> Result<()> {
        if !self.training {
            return value.check();
        }
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
