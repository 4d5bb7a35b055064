//! The one optimizer: an algorithm, and around it what all algorithms have in common, in Keras' order.

use crate::{
    clip::clip,
    common::Common,
    config,
    optimizer::{Hold, Optimizer, Updates, no_gradients},
    rate::{LearningRate, Rate},
    rule::{Moment, Rule},
    state::{Parameter, State},
};
use addax_tensor::{DType, Error, Result, Tensor, Variable};
use serde_json::{Map, Value};

/// An optimizer with the algorithm `R`; see [`Adam`](crate::Adam), [`SGD`](crate::SGD), ….
///
/// A step divides by the loss scale, accumulates, clips, decays weights, updates, averages, and counts. Learning rate,
/// iteration and slots are state on the device, so a step that was recorded once can be repeated.
#[derive(Debug)]
pub struct Engine<R: Rule> {
    pub(crate) rule: R,
    pub(crate) common: Common,
    rate: Rate,
    iterations: Variable,
    state: Option<State>,
}

impl<R: Rule> Engine<R> {
    /// An optimizer with this algorithm. `rate` is a number or a [`Schedule`](crate::Schedule).
    pub fn with_rule(rule: R, rate: impl Into<LearningRate>) -> Self {
        Engine {
            rule,
            common: Common::new(R::CLASS, R::WEIGHT_DECAY),
            rate: Rate::new(rate.into()),
            iterations: Variable::state(Tensor::scalar(0)).named("iteration"),
            state: None,
        }
    }
    /// Name of this instance (default: the class in snake case).
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.common.name = name.into();
        self
    }
    /// Before each update, weights shrink by `rate · weight_decay` of themselves.
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.common.weight_decay = Some(weight_decay);
        self
    }
    /// Variables whose name contains one of `parts` do not decay, such as `["bias"]`.
    pub fn exclude_from_weight_decay<S: Into<String>>(mut self, parts: impl IntoIterator<Item = S>) -> Self {
        self.common.undecayed_names.extend(parts.into_iter().map(Into::into));
        self
    }
    /// These variables do not decay.
    pub fn exclude_variables_from_weight_decay(mut self, variables: impl IntoIterator<Item = Variable>) -> Self {
        self.common.undecayed.extend(variables);
        self
    }
    /// Bounds the L2 norm of each gradient. Only one way of clipping can be used.
    pub fn clipnorm(mut self, limit: f64) -> Self {
        self.common.clipnorm = Some(limit);
        self
    }
    /// Bounds the L2 norm of all gradients together.
    pub fn global_clipnorm(mut self, limit: f64) -> Self {
        self.common.global_clipnorm = Some(limit);
        self
    }
    /// Bounds each element of the gradients to `-limit..=limit`.
    pub fn clipvalue(mut self, limit: f64) -> Self {
        self.common.clipvalue = Some(limit);
        self
    }
    /// Keeps moving averages of the weights, which replace the weights when training ends.
    pub fn use_ema(mut self, use_ema: bool) -> Self {
        self.common.use_ema = use_ema;
        self
    }
    /// How much of the old average stays at each step (default 0.99).
    pub fn ema_momentum(mut self, momentum: f64) -> Self {
        self.common.ema_momentum = momentum;
        self
    }
    /// Replaces the weights by their averages every so many steps (default: only at the end).
    pub fn ema_overwrite_frequency(mut self, steps: usize) -> Self {
        self.common.ema_overwrite_frequency = Some(steps);
        self
    }
    /// The factor the loss is multiplied by before gradients are taken; gradients are divided by it.
    pub fn loss_scale_factor(mut self, factor: f64) -> Self {
        self.common.loss_scale_factor = Some(factor);
        self
    }
    /// Averages the gradients of so many calls and updates with the last of them. Schedules count calls, algorithms updates.
    pub fn gradient_accumulation_steps(mut self, steps: usize) -> Self {
        self.common.gradient_accumulation_steps = Some(steps);
        self
    }

    /// From settings in Keras' JSON; unknown ones are added to `warnings`.
    pub(crate) fn from_map(map: &Map<String, Value>, warnings: &mut Vec<String>) -> Result<Self> {
        let rate = match map.get("learning_rate") {
            Some(json) => Rate::from_config(json, warnings)?,
            None => LearningRate::Fixed(R::RATE),
        };
        let mut engine = Engine::with_rule(R::default(), rate);
        let mut fields = engine.rule.fields();
        fields.extend(engine.common.fields());
        config::assign(R::CLASS, fields, map, &["learning_rate", "is_legacy_optimizer", "jit_compile"], warnings)?;
        engine.common.check()?;
        Ok(engine)
    }

    /// New values of the parameters `at` these positions, and the updates of the state.
    fn compute(
        &self,
        state: &State,
        at: &[usize],
        old: &[Tensor],
        gradients: &[Tensor],
    ) -> Result<(Vec<Tensor>, Updates)> {
        let calls = self.iterations.value();
        let steps = self.common.accumulates();
        let updates_done = steps.map_or_else(|| calls.clone(), |k| &calls / k);
        let is_update = steps.map(|k| ((&calls + 1) % k).equal(0));
        let parameters = at.iter().map(|&i| state.parameters.get(i).ok_or_else(unknown_position));
        let parameters = parameters.collect::<Result<Vec<&Parameter>>>()?;
        let mut pending: Updates = Vec::new();

        let mut gradients = gradients
            .iter()
            .zip(old)
            .zip(&parameters)
            .map(|((g, p), parameter)| fitted(g, p, parameter))
            .collect::<Result<Vec<_>>>()?;
        if let Some(factor) = self.common.loss_scale_factor {
            gradients = gradients.iter().map(|g| g * (1.0 / factor)).collect();
        }
        if let (Some(k), Some(is_update)) = (steps, &is_update) {
            for (gradient, parameter) in gradients.iter_mut().zip(&parameters) {
                if let Some(accumulator) = &parameter.accumulator {
                    let sum = &*gradient + accumulator.value();
                    pending.push((accumulator.clone(), is_update.select(sum.zeros_like(), &sum)));
                    *gradient = sum * (1.0 / k as f64);
                }
            }
        }
        let gradients = clip(&self.common, gradients);

        let mut now = Moment {
            rate: self.rate.tensor(&calls),
            t: updates_done.cast(DType::F32) + 1.0,
            shared: state.shared.iter().map(Variable::value).collect(),
        };
        // Between updates of an accumulating optimizer nothing changes but accumulators and the count.
        let when_due = |new: Tensor, old: &Tensor| is_update.as_ref().map_or(new.clone(), |due| due.select(&new, old));
        let shared = self.rule.update_shared(&now);
        for (variable, new) in state.shared.iter().zip(&shared) {
            pending.push((variable.clone(), when_due(new.clone(), &variable.value())));
        }
        now.shared = shared;

        let mut new = Vec::new();
        for ((parameter, p), g) in parameters.iter().zip(old).zip(&gradients) {
            let dtype = p.dtype()?;
            let now = Moment { rate: now.rate.cast(dtype), t: now.t.cast(dtype), ..now.clone() };
            let decayed = match self.common.weight_decay {
                Some(decay) if self.common.decays(&parameter.name, parameter.variable.as_ref()) => {
                    p - p * decay * &now.rate
                }
                _ => p.clone(),
            };
            let slots: Vec<Tensor> = parameter.slots.iter().map(Variable::value).collect();
            let (value, new_slots) = self.rule.update(&now, &decayed, g, &slots);
            for ((variable, new), old) in parameter.slots.iter().zip(new_slots).zip(&slots) {
                pending.push((variable.clone(), when_due(settled(&new), old)));
            }
            new.push(when_due(value, p));
        }
        if self.common.use_ema {
            self.average(state, at, &mut new, &updates_done, &mut pending);
        }
        pending.push((self.iterations.clone(), calls + 1));
        Ok((new, pending))
    }

    /// Moves the averages of all parameters, also of those without a gradient, and overwrites the weights when that is due.
    fn average(&self, state: &State, at: &[usize], new: &mut [Tensor], done: &Tensor, pending: &mut Updates) {
        // At first the average is the weight itself.
        let momentum = done.not_equal(0).cast(DType::F32) * self.common.ema_momentum;
        let overwrite = self.common.ema_overwrite_frequency.map(|n| ((done + 1) % n).equal(0));
        for (i, parameter) in state.parameters.iter().enumerate() {
            let place = at.iter().position(|&a| a == i).and_then(|j| new.get_mut(j));
            let resting = parameter.variable.as_ref().map(Variable::value);
            let (Some(average), Some(weight)) = (&parameter.average, place.as_deref().cloned().or(resting)) else {
                continue;
            };
            let old = average.value();
            let (average_type, m) = (average.dtype().unwrap_or(DType::F32), &momentum);
            let m = m.cast(average_type);
            let moved = &old * &m + (1.0 - m) * &weight;
            pending.push((average.clone(), moved.clone()));
            let Some(overwrite) = &overwrite else { continue };
            let weight = overwrite.select(moved, &weight);
            match (place, &parameter.variable) {
                (Some(place), _) => *place = weight,
                (None, Some(variable)) => pending.push((variable.clone(), weight)),
                (None, None) => {}
            }
        }
    }

    fn count(&self) -> Result<u64> {
        Ok(u64::from(self.iterations.value().item::<i32>()?.max(0).unsigned_abs()))
    }
}

/// The gradient in the parameter's type; fails if its shape differs, or the parameter is not what it was at first.
fn fitted(gradient: &Tensor, value: &Tensor, parameter: &Parameter) -> Result<Tensor> {
    let (Parameter { name, meta, .. }, got) = (parameter, value.meta()?);
    if meta != got {
        let (was, is) = (format!("{} {}", meta.dtype, meta.shape), format!("{} {}", got.dtype, got.shape));
        return Err(Error::shape(format!("\"{name}\" was {was} when the optimizer saw it first, now it is {is}")));
    }
    let got = gradient.shape()?;
    if &meta.shape != got {
        return Err(Error::shape(format!("the gradient of \"{name}\" has shape {got}, the parameter {}", meta.shape)));
    }
    Ok(gradient.cast(meta.dtype))
}

/// A slot's new value, with 0 for what has all but decayed to it.
///
/// Where a gradient stays 0, a mean of gradients falls by a fixed factor at each step, becomes denormal, and stays so: the
/// smallest number times 0.9 rounds to itself. A CPU takes a hundred times longer with such numbers, and nothing that is
/// added to a weight or a square root can see them.
fn settled(slot: &Tensor) -> Tensor {
    slot.abs().less(SETTLED).select(0.0, slot)
}

/// Below this a slot counts as 0: a thousandth of it is still a normal number.
const SETTLED: f64 = 1e-34;

fn unknown_position() -> Error {
    Error::argument("an optimizer was asked for a parameter it does not know")
}

impl<R: Rule> Optimizer for Engine<R> {
    fn class_name(&self) -> &str {
        R::CLASS
    }
    fn name(&self) -> &str {
        &self.common.name
    }
    fn record(&mut self, parameters: &[Tensor], gradients: &[Tensor]) -> Result<(Vec<Tensor>, Updates)> {
        if parameters.len() != gradients.len() {
            let (p, g) = (parameters.len(), gradients.len());
            return Err(Error::argument(format!("update needs one gradient for each parameter, got {g} for {p}")));
        }
        let old: Vec<Tensor> = parameters.iter().map(Tensor::stop_gradient).collect();
        let gradients: Vec<Tensor> = gradients.iter().map(Tensor::stop_gradient).collect();
        let state = match self.state.take() {
            Some(state) => state,
            None => {
                self.common.check()?;
                State::new(&self.rule, &self.common, &old.iter().map(|p| (None, p.clone())).collect::<Vec<_>>())?
            }
        };
        let state = self.state.insert(state);
        if state.parameters.len() != old.len() || state.parameters.iter().any(|p| p.variable.is_some()) {
            return Err(Error::argument(format!(
                "optimizer \"{}\" was used before with {} other parameters; use a new one",
                self.common.name,
                state.parameters.len()
            )));
        }
        let at: Vec<usize> = (0..old.len()).collect();
        let Some(state) = &self.state else { return Err(unknown_position()) };
        self.compute(state, &at, &old, &gradients)
    }
    fn apply_held(&mut self, gradients: &[(Variable, Tensor)], hold: Hold<'_>) -> Result<Updates> {
        if gradients.is_empty() {
            return Err(no_gradients(&[]));
        }
        if self.state.is_none() {
            self.build(&gradients.iter().map(|(v, _)| v.clone()).collect::<Vec<_>>())?;
        }
        let Some(state) = &self.state else { return Err(unknown_position()) };
        let mut at = Vec::new();
        for (variable, _) in gradients {
            at.push(state.position(variable).ok_or_else(|| {
                Error::argument(format!(
                    "optimizer \"{}\" was built for other variables and does not know \"{}\"; build it with all of them",
                    self.common.name,
                    variable.name()
                ))
            })?);
        }
        let (variables, gradients): (Vec<_>, Vec<_>) = gradients.iter().cloned().unzip();
        let old: Vec<Tensor> = variables.iter().map(Variable::value).collect();
        let (new, pending) = self.compute(state, &at, &old, &gradients)?;
        let held = |(variable, new): (Variable, Tensor)| {
            let new = hold(&variable, new)?;
            Ok((variable, new))
        };
        variables.into_iter().zip(new).chain(pending).map(held).collect()
    }
    fn build(&mut self, variables: &[Variable]) -> Result<()> {
        self.common.check()?;
        if let Some(state) = &self.state {
            let same = state.parameters.len() == variables.len()
                && state.parameters.iter().zip(variables).all(|(p, v)| p.variable.as_ref() == Some(v));
            return match same {
                true => Ok(()),
                false => Err(Error::argument(format!(
                    "optimizer \"{}\" was built for {} other variables; use a new one",
                    self.common.name,
                    state.parameters.len()
                ))),
            };
        }
        let values: Vec<_> = variables.iter().map(|v| (Some(v.clone()), v.value())).collect();
        self.state = Some(State::new(&self.rule, &self.common, &values)?);
        Ok(())
    }
    fn finalize(&self) -> Updates {
        let parameters = self.state.iter().flat_map(|s| &s.parameters);
        parameters.filter_map(|p| Some((p.variable.clone()?, p.average.as_ref()?.value()))).collect()
    }
    fn variables(&self) -> Vec<Variable> {
        let mut all = vec![self.iterations.clone()];
        all.extend(self.rate.variable().cloned());
        all.extend(self.state.iter().flat_map(|s| s.variables(&self.rule.slots())));
        all
    }
    fn iterations(&self) -> Result<u64> {
        self.count()
    }
    fn learning_rate(&self) -> Result<f64> {
        self.rate.at(self.count()?)
    }
    fn set_learning_rate(&self, rate: f64) -> Result<()> {
        self.rate.set(rate)
    }
    fn loss_scale_factor(&self) -> Option<f64> {
        self.common.loss_scale_factor
    }
    fn set_loss_scale_factor(&mut self, factor: Option<f64>) {
        self.common.loss_scale_factor = factor;
    }
    fn config(&self) -> Result<Value> {
        let (mut rule, mut rule_default) = (self.rule.clone(), R::default());
        let (mut common, mut common_default) = (self.common.clone(), Common::new(R::CLASS, R::WEIGHT_DECAY));
        let mut map = Map::new();
        map.extend(config::differing(common.fields(), common_default.fields(), &["name"]));
        map.insert("learning_rate".into(), self.rate.config()?);
        map.extend(config::differing(rule.fields(), rule_default.fields(), &[]));
        Ok(config::envelope("keras.optimizers", R::CLASS, map))
    }
}
