//! Recording a model's steps as programs: everything that moves between steps is state.

use crate::{
    metrics_state::{Observed, Tracker},
    model::Model,
    programs::{Kin, Signature},
};
use addax_autodiff::grad;
use addax_layers::{Cx, Recorded};
use addax_optim::with_gradients;
use addax_tensor::{DType, Error, ErrorKind, Recording, Result, Tensor, Variable};

/// A forward pass with its loss.
struct Forward {
    inputs: Vec<Tensor>,
    prediction: Tensor,
    loss: Tensor,
    recorded: Recorded,
}

impl Model {
    /// The inputs as layers get them: integers in the data become the model's type, floats do not become integers.
    pub(crate) fn entry(&self, x: &Tensor) -> Result<Tensor> {
        let (input, got) = (self.input()?, x.dtype()?);
        if got.is_float() && !input.dtype.is_float() {
            return Err(Error::dtype(format!(
                "the model takes {} input, the data is {got}; cast the data or change `.input_dtype(..)`",
                input.dtype
            ))
            .inside(input.name.clone()));
        }
        Ok(x.cast(input.dtype))
    }
    /// The step that predicts.
    pub(crate) fn record_predict(&self, x: &Kin) -> Result<Recording> {
        let x = Tensor::placeholder(0, x.dtype, &x.shape).of_samples();
        let key = self.key().value();
        let cx = Cx::new(self.seed().value, key.clone()).with_policy(self.policy()?);
        let links = self.chain.record(self.entry(&x)?, &cx)?;
        let output =
            links.last().map(|l| l.output.clone()).ok_or_else(|| Error::argument("the model has no layers"))?;
        let mut reads = cx.finish().reads;
        reads.push((self.key().clone(), key));
        Ok(Recording { placeholders: vec![x], outputs: vec![output], updates: Vec::new(), reads })
    }
    /// The step that measures, or trains and measures. Its output is loss and metrics so far, one vector.
    pub(crate) fn record_step(&self, signature: &Signature, tracker: &Tracker, training: bool) -> Result<Recording> {
        let forward = self.record_forward(signature, training)?;
        let rows = signature.x.shape.first().copied().unwrap_or(1);
        let mut labels = None;
        if let Some(y) = forward.inputs.get(1).filter(|_| signature.y.is_some()) {
            labels = Some((y, &forward.prediction, forward.inputs.get(2)));
        }
        let (mut updates, values) = tracker.observe(&Observed { loss: &forward.loss, rows, labels })?;
        let mut reads = forward.recorded.reads.clone();
        reads.push((self.key().clone(), self.key().value()));
        if training {
            updates.extend(self.record_update(&forward.loss)?);
            updates.extend(forward.recorded.updates.iter().cloned());
            let step = Tensor::from_vec([0u32, 0, 1], [3]);
            updates.push((self.key().clone(), self.key().value() + step));
            let slots = self.compiled()?.optimizer().variables();
            reads.extend(slots.into_iter().map(|slot| (slot.clone(), slot.value())));
        }
        Ok(Recording { placeholders: forward.inputs, outputs: vec![values], updates, reads })
    }
    fn record_forward(&self, signature: &Signature, training: bool) -> Result<Forward> {
        let compiled = self.compiled()?;
        let x = Tensor::placeholder(0, signature.x.dtype, &signature.x.shape).of_samples();
        let mut inputs = vec![x.clone()];
        if let Some(y) = &signature.y {
            inputs.push(Tensor::placeholder(1, y.dtype, &y.shape).of_samples());
        }
        if signature.weighted {
            let rows = signature.x.shape.first().copied().unwrap_or(1);
            inputs.push(Tensor::placeholder(inputs.len(), DType::F32, [rows]).of_samples());
        }
        let cx = Cx::new(self.seed().value, self.key().value()).with_policy(self.policy()?).with_training(training);
        let mut links = self.chain.record(self.entry(&x)?, &cx)?;
        let output = links.pop().map(|l| l.output).ok_or_else(|| Error::argument("the model has no layers"))?;
        // Losses and metrics are taken in full precision, whatever the layers computed in.
        let prediction = if output.dtype()?.is_float() { output.cast(DType::F32) } else { output };
        let recorded = cx.finish();
        let weight = inputs.get(2).filter(|_| signature.weighted);
        let mut terms = Vec::new();
        match (&compiled.loss, inputs.get(1).filter(|_| signature.y.is_some())) {
            (Some(loss), Some(y)) => {
                let value = loss.weighted(y, &prediction, weight, None);
                let shape = value.shape().map_err(|e| of_loss(loss.name(), &e))?;
                if shape.rank() != 0 {
                    return Err(Error::shape(format!(
                        "loss \"{}\" gives shape {shape}; training needs one number, so it cannot have the reduction \"{}\"",
                        loss.name(),
                        loss.reduction().name()
                    )));
                }
                terms.push(value);
            }
            (Some(loss), None) => {
                return Err(Error::data(format!("loss \"{}\" needs labels, and the data has none", loss.name())));
            }
            (None, _) => {}
        }
        terms.extend(recorded.losses.iter().chain(&recorded.penalties).map(|t| t.cast(DType::F32).reshape(())));
        let loss = terms
            .into_iter()
            .reduce(|sum, term| sum + term)
            .ok_or_else(|| Error::argument("there is nothing to train: compile with a loss, or let a layer add one"))?;
        loss.check()?;
        Ok(Forward { inputs, prediction, loss, recorded })
    }
    /// New weights and optimizer state after a step down this loss.
    fn record_update(&self, loss: &Tensor) -> Result<Vec<(Variable, Tensor)>> {
        let constraints: Vec<_> = self
            .slots()?
            .into_iter()
            .filter_map(|(_, w)| Some((w.variable()?.clone(), w.constraint()?.clone())))
            .collect();
        let compiled = self.compiled()?;
        let mut optimizer = compiled.optimizer();
        let trained: Vec<Variable> = compiled.trained.iter().filter(|v| v.is_trainable()).cloned().collect();
        let (gradients, warning) = with_gradients(gradients(&optimizer.scale_loss(loss), &trained)?)?;
        if let Some(warning) = warning {
            tracing::warn!("{warning}");
        }
        optimizer.apply_held(&gradients, &|variable, new| match constraints
            .iter()
            .find(|(constrained, _)| constrained == variable)
        {
            Some((_, constraint)) => constraint.apply(&new),
            None => Ok(new),
        })
    }
}

/// A mistake in labels or predictions: the line that matters is the one that gave the data.
fn of_loss(name: &str, error: &Error) -> Error {
    Error::new(error.kind().clone()).context(format!("loss \"{name}\"")).caused_by(error.clone())
}

/// A gradient for each variable, none for those that the loss does not depend on.
fn gradients(loss: &Tensor, variables: &[Variable]) -> Result<Vec<(Variable, Option<Tensor>)>> {
    if variables.is_empty() {
        return Err(Error::argument("no weight can be trained: all layers are frozen, or none has weights"));
    }
    match grad(loss, variables) {
        Ok(all) => Ok(variables.iter().cloned().zip(all.into_iter().map(Some)).collect()),
        Err(error) if matches!(error.kind(), ErrorKind::Gradient(_)) => {
            variables.iter().map(|v| Ok((v.clone(), grad(loss, [v]).ok().map(|[g]| g)))).collect()
        }
        Err(error) => Err(error),
    }
}
