//! The trait that trainers and users see.

use addax_tensor::{Array, Error, Result, Tensor, Variable, run};
use serde_json::Value;
use std::fmt;

/// New values that become the variables' when a step commits.
pub type Updates = Vec<(Variable, Tensor)>;

/// What is done to each new value before it counts; see [`Optimizer::apply_held`].
pub type Hold<'a> = &'a dyn Fn(&Variable, Tensor) -> Result<Tensor>;

/// An optimizer, for any parameters.
///
/// It works in one of two ways, and stays with the first that is used: [`update`](Optimizer::update) takes tensors and
/// returns new ones; [`apply`](Optimizer::apply) takes variables and returns what a training step should commit.
pub trait Optimizer: fmt::Debug + Send + Sync {
    /// Keras' class name, such as `"Adam"`.
    fn class_name(&self) -> &str;
    /// Name of this instance, the first part of its variables' paths.
    fn name(&self) -> &str;

    /// New parameters from parameters and their gradients, computed now. Slots belong to positions: the n-th parameter is the
    /// same in every call, and keeps its shape. If it fails, nothing has changed.
    fn update(&mut self, parameters: &[Tensor], gradients: &[Tensor]) -> Result<Vec<Tensor>> {
        let (new, pending) = self.record(parameters, gradients)?;
        // One step for all, so that the state changes only if everything worked out.
        run::step(&new, pending)
    }

    /// What [`update`](Optimizer::update) computes and commits, as tensor expressions: new parameters, new state.
    fn record(&mut self, parameters: &[Tensor], gradients: &[Tensor]) -> Result<(Vec<Tensor>, Updates)>;

    /// All that one training step changes: weights, slots, iteration, as tensor expressions of the state. Nothing is
    /// computed here; the step commits them together. [`build`](Optimizer::build)s with these variables if that was not done.
    ///
    /// The expressions also read the learning rate, which no update writes: a captured program has to name
    /// [`variables`](Optimizer::variables) among those it reads.
    fn apply(&mut self, gradients: &[(Variable, Tensor)]) -> Result<Updates> {
        self.apply_held(gradients, &|_, new| Ok(new))
    }

    /// [`apply`](Optimizer::apply), with every new value passed through `hold`: where constraints of weights are met.
    fn apply_held(&mut self, gradients: &[(Variable, Tensor)], hold: Hold<'_>) -> Result<Updates>;

    /// Makes the slots for these variables, in this order, which is also their order in files. Done again with the same
    /// variables it changes nothing.
    fn build(&mut self, variables: &[Variable]) -> Result<()>;

    /// What to do when training ends: with `use_ema` the weights become their averages.
    fn finalize(&self) -> Updates;

    /// Its state in the order of Keras' files: iteration, learning rate (unless a schedule gives it), averages,
    /// accumulators, slots. Slots are there after the first use or `build`.
    fn variables(&self) -> Vec<Variable>;

    /// Calls so far.
    fn iterations(&self) -> Result<u64>;

    /// The learning rate of the next step.
    fn learning_rate(&self) -> Result<f64>;

    /// Sets the learning rate. Fails if a schedule gives it.
    fn set_learning_rate(&self, rate: f64) -> Result<()>;

    /// The fixed factor that the loss has to be multiplied by before gradients are taken, if there is one; `apply` divides by it
    /// again. [`scale_loss`](Optimizer::scale_loss) also knows factors that change.
    fn loss_scale_factor(&self) -> Option<f64>;

    /// Sets that factor.
    fn set_loss_scale_factor(&mut self, factor: Option<f64>);

    /// The loss whose gradients [`apply`](Optimizer::apply) and [`update`](Optimizer::update) take.
    fn scale_loss(&self, loss: &Tensor) -> Tensor {
        self.loss_scale_factor().map_or_else(|| loss.clone(), |factor| loss * factor)
    }

    /// Keras' JSON: class and settings that differ from the defaults.
    fn config(&self) -> Result<Value>;

    /// Each variable with its path in Keras, `name/variable`.
    fn paths(&self) -> Vec<(String, Variable)> {
        self.variables().into_iter().map(|v| (format!("{}/{}", self.name(), v.name()), v)).collect()
    }

    /// Takes over a state that was saved: one array per variable of [`variables`](Optimizer::variables), in that order.
    /// Fails, and changes nothing, if their number or a shape differs.
    fn restore(&self, saved: &[Array]) -> Result<()> {
        let variables = self.variables();
        if variables.len() != saved.len() {
            return Err(Error::data(format!(
                "optimizer \"{}\" has {} variables, the saved one has {}; build it for the same weights and give it \
                 the settings it was saved with",
                self.name(),
                variables.len(),
                saved.len()
            )));
        }
        let mut values: Updates = Vec::new();
        for (i, (variable, array)) in variables.iter().zip(saved).enumerate() {
            if variable.shape()? != array.shape() {
                return Err(Error::shape(format!(
                    "optimizer \"{}\": variable {i} \"{}\" has shape {}, the saved one {}",
                    self.name(),
                    variable.name(),
                    variable.shape()?,
                    array.shape()
                )));
            }
            values.push((variable.clone(), Tensor::from_array(array.clone()).cast(variable.dtype()?)));
        }
        run::step(&[], values).map(drop)
    }
}

impl<O: Optimizer + ?Sized> Optimizer for Box<O> {
    fn class_name(&self) -> &str {
        (**self).class_name()
    }
    fn name(&self) -> &str {
        (**self).name()
    }
    fn record(&mut self, parameters: &[Tensor], gradients: &[Tensor]) -> Result<(Vec<Tensor>, Updates)> {
        (**self).record(parameters, gradients)
    }
    fn apply_held(&mut self, gradients: &[(Variable, Tensor)], hold: Hold<'_>) -> Result<Updates> {
        (**self).apply_held(gradients, hold)
    }
    fn build(&mut self, variables: &[Variable]) -> Result<()> {
        (**self).build(variables)
    }
    fn finalize(&self) -> Updates {
        (**self).finalize()
    }
    fn variables(&self) -> Vec<Variable> {
        (**self).variables()
    }
    fn iterations(&self) -> Result<u64> {
        (**self).iterations()
    }
    fn learning_rate(&self) -> Result<f64> {
        (**self).learning_rate()
    }
    fn set_learning_rate(&self, rate: f64) -> Result<()> {
        (**self).set_learning_rate(rate)
    }
    fn loss_scale_factor(&self) -> Option<f64> {
        (**self).loss_scale_factor()
    }
    fn set_loss_scale_factor(&mut self, factor: Option<f64>) {
        (**self).set_loss_scale_factor(factor);
    }
    fn scale_loss(&self, loss: &Tensor) -> Tensor {
        (**self).scale_loss(loss)
    }
    fn paths(&self) -> Vec<(String, Variable)> {
        (**self).paths()
    }
    fn config(&self) -> Result<Value> {
        (**self).config()
    }
}

/// The pairs that have a gradient, and a warning that names those that have none. Fails if none has one.
pub fn with_gradients(pairs: Vec<(Variable, Option<Tensor>)>) -> Result<(Updates, Option<String>)> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for (variable, gradient) in pairs {
        match gradient {
            Some(gradient) => found.push((variable, gradient)),
            None => missing.push(format!("\"{}\"", variable.name())),
        }
    }
    if found.is_empty() {
        return Err(no_gradients(&missing));
    }
    let warning = format!("the loss gives no gradient for {}: they stay as they are", missing.join(", "));
    Ok((found, (!missing.is_empty()).then_some(warning)))
}

pub(crate) fn no_gradients(missing: &[String]) -> Error {
    let which = if missing.is_empty() { String::new() } else { format!(" ({})", missing.join(", ")) };
    Error::new(addax_tensor::ErrorKind::Gradient(format!(
        "there is no gradient for any variable{which}; does the loss depend on trainable weights?"
    )))
}
