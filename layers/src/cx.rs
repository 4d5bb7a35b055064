//! The context of one recording: what layers read, change and add while a step is recorded.

use crate::{
    base::Base,
    constraints::Constraint,
    fields::{Fields, Id, Kind},
    hash::Hasher,
    initializers::Initializer,
    layer::{DynLayer, Feed, Layer, Values},
    names::to_snake_case,
    policy::Policy,
    regularizers::Regularizer,
    tree,
    weight::Weight,
};
use addax_tensor::{Array, DType, Error, Result, Shape, Tensor, Variable, graph, random};
use std::{cell::RefCell, collections::HashMap, rc::Rc};

/// Handed to every `forward`. A small value: calling a sublayer makes another that shares the same step.
///
/// State changes are pending until the trainer commits them: [`set`](Cx::set) is visible to later [`get`](Cx::get) of the
/// same step, and to nobody else.
pub struct Cx {
    step: Rc<RefCell<Step>>,
    path: String,
    parts: Vec<(Id, String)>,
    training: bool,
    policy: Policy,
}

/// What one step has seen so far.
struct Step {
    seed: u64,
    key: Tensor,
    values: HashMap<u64, Tensor>,
    reads: Vec<(Variable, Tensor)>,
    updates: Vec<(Variable, Tensor)>,
    losses: Vec<Tensor>,
    penalties: Vec<(u64, Tensor)>,
    calls: HashMap<String, u32>,
}

/// What a recording leaves: see [`Cx::finish`].
#[derive(Debug, Default)]
pub struct Recorded {
    /// Losses that layers added: activity regularizers and `add_loss`, in order of the calls.
    pub losses: Vec<Tensor>,
    /// Penalties of weights, each once.
    pub penalties: Vec<Tensor>,
    /// New values of states.
    pub updates: Vec<(Variable, Tensor)>,
    /// Every variable whose value was read, in order, with what was read: another thread may assign meanwhile.
    pub reads: Vec<(Variable, Tensor)>,
}

/// Something with a variable inside: a [`Weight`] or a [`Variable`].
pub trait Slot {
    /// The variable; an error if the weight is not built yet.
    fn slot(&self) -> Result<&Variable>;
}
impl Slot for Variable {
    fn slot(&self) -> Result<&Variable> {
        Ok(self)
    }
}
impl Slot for Weight {
    fn slot(&self) -> Result<&Variable> {
        self.variable().ok_or_else(|| Error::argument("this weight has no value yet; make it with `cx.weight` first"))
    }
}

impl Cx {
    /// A recording of inference. `seed` gives the first values of weights; `key` (`U32 [3]`: seed low, seed high, step)
    /// the random numbers, and is a placeholder or a variable's value where steps are replayed.
    pub fn new(seed: u64, key: Tensor) -> Cx {
        let step = Step {
            seed,
            key,
            values: HashMap::new(),
            reads: Vec::new(),
            updates: Vec::new(),
            losses: Vec::new(),
            penalties: Vec::new(),
            calls: HashMap::new(),
        };
        Cx {
            step: Rc::new(RefCell::new(step)),
            path: String::new(),
            parts: Vec::new(),
            training: false,
            policy: Policy::default(),
        }
    }
    /// Inference with seed 0: for trying a layer out.
    pub fn inference() -> Cx {
        Cx::new(0, random::key(0, 0))
    }
    /// A recording of shapes: inputs are placeholders, weights are made, nothing else has an effect.
    pub fn building(seed: u64) -> Cx {
        Cx::new(seed, Tensor::placeholder(usize::MAX, DType::U32, [3]))
    }
    /// Turns training on or off.
    pub fn with_training(mut self, training: bool) -> Cx {
        self.training = training;
        self
    }
    /// The policy of layers that have none.
    pub fn with_policy(mut self, policy: Policy) -> Cx {
        self.policy = policy;
        self
    }
    /// What the layers left. Call it when all are recorded; handles made by [`scope`](Cx::scope) then see an empty step.
    pub fn finish(self) -> Recorded {
        let mut step = self.step.borrow_mut();
        step.values.clear();
        step.calls.clear();
        Recorded {
            losses: std::mem::take(&mut step.losses),
            penalties: std::mem::take(&mut step.penalties).into_iter().map(|(_, penalty)| penalty).collect(),
            updates: std::mem::take(&mut step.updates),
            reads: std::mem::take(&mut step.reads),
        }
    }

    /// Whether this is training: dropout drops, batch statistics count.
    pub fn training(&self) -> bool {
        self.training
    }
    /// Path of the layer that is recorded now: `encoder/dense`. Empty outside of all.
    pub fn path(&self) -> &str {
        &self.path
    }
    /// In which types to compute.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// The same step under one more name.
    pub fn scope(&self, name: &str) -> Cx {
        let path = match self.path.is_empty() {
            true => name.to_string(),
            false => format!("{}/{name}", self.path),
        };
        Cx { path, parts: Vec::new(), ..self.here() }
    }
    /// The same place with training turned off, as for a frozen base.
    pub fn without_training(&self) -> Cx {
        Cx { training: false, ..self.here() }
    }
    /// The same place, where weights are read as `float32` whatever the policy.
    pub fn in_float32(&self) -> Cx {
        Cx { policy: Policy { compute: DType::F32, ..self.policy }, ..self.here() }
    }
    fn here(&self) -> Cx {
        Cx {
            step: self.step.clone(),
            path: self.path.clone(),
            parts: self.parts.clone(),
            training: self.training,
            policy: self.policy,
        }
    }

    /// Calls a layer. Its name is the one it was given, else the name of the field it is in, else that of its class.
    pub fn call<L: Layer + ?Sized>(&self, layer: &L, x: impl Feed<L::In>) -> Result<L::Out> {
        self.call_as(&self.name_of(layer), layer, x)
    }
    /// Calls a layer under this name.
    pub fn call_as<L: Layer + ?Sized>(&self, name: &str, layer: &L, x: impl Feed<L::In>) -> Result<L::Out> {
        let inputs = x.feed().into_tensors();
        inputs.iter().try_for_each(Tensor::check)?;
        let mut cx = self.enter(name, layer);
        let run = || -> Result<L::Out> {
            if let Some(policy) = tree::base(layer).map(Base::policy).transpose()?.flatten() {
                cx.policy = policy;
            }
            let inputs = if layer.autocast() { cx.autocast(inputs)? } else { inputs };
            let out = layer.forward(L::In::from_tensors(inputs)?, &mut cx)?.into_tensors();
            out.iter().try_for_each(Tensor::check)?;
            L::Out::from_tensors(out)
        };
        graph::scope(name, run).map_err(|error| error.inside(name))
    }
    /// Calls a layer whose types are erased.
    pub fn call_dyn(&self, name: &str, layer: &dyn DynLayer, inputs: Vec<Tensor>) -> Result<Vec<Tensor>> {
        self.call_as(name, layer, inputs)
    }
    fn name_of(&self, layer: &(impl Fields + ?Sized)) -> String {
        let given = tree::base(layer).and_then(|base| base.name().map(str::to_string));
        given
            .or_else(|| self.part(layer.identity()).map(str::to_string))
            .unwrap_or_else(|| to_snake_case(layer.class_name()))
    }
    fn enter(&self, name: &str, layer: &(impl Fields + ?Sized)) -> Cx {
        let mut cx = self.scope(name);
        cx.parts = tree::own_slots(layer).into_iter().map(|(name, weight)| (Id::of(weight), name)).collect();
        layer.visit(&mut |key, field| name_parts(key.name.to_string(), field.kind(), &mut cx));
        cx
    }
    fn part(&self, identity: Id) -> Option<&str> {
        self.parts.iter().find(|(id, _)| *id == identity).map(|(_, name)| name.as_str())
    }
    /// Floats in the type that this layer computes in.
    fn autocast(&self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>> {
        inputs.into_iter().map(|x| Ok(if x.dtype()?.is_float() { x.cast(self.policy.compute) } else { x })).collect()
    }

    /// The value of a weight, which is made at the first call: shape `shape`, first values by `initializer`, seeded by
    /// the model's seed, this layer's path and the name of the field, so that they do not depend on the order of calls.
    pub fn weight(
        &self,
        weight: &Weight,
        shape: impl Into<Shape>,
        initializer: impl Into<Initializer>,
    ) -> Result<Tensor> {
        let initializer = initializer.into();
        self.weight_from(weight, shape, |shape, seed| initializer.values(shape, seed))
    }
    /// The value of a weight whose first values `make` computes from its shape and seed.
    pub fn weight_from(
        &self,
        weight: &Weight,
        shape: impl Into<Shape>,
        make: impl FnOnce(&Shape, u64) -> Result<Array>,
    ) -> Result<Tensor> {
        let first = |shape: &Shape| Ok(self.initial(make(shape, self.seed_of(weight)?)?));
        self.make(weight, shape.into(), first, true)
    }
    /// The value of a state, such as a moving mean: like a weight, but never trained.
    pub fn state(
        &self,
        weight: &Weight,
        shape: impl Into<Shape>,
        initializer: impl Into<Initializer>,
    ) -> Result<Tensor> {
        let initializer = initializer.into();
        let first = |shape: &Shape| Ok(self.initial(initializer.values(shape, self.seed_of(weight)?)?));
        self.make(weight, shape.into(), first, false)
    }
    /// A state of one value everywhere, of a type of its own, such as a counter.
    pub fn state_of(&self, weight: &Weight, dtype: DType, shape: impl Into<Shape>, value: f64) -> Result<Tensor> {
        self.make(weight, shape.into(), |shape| Ok(Tensor::full(dtype, shape, value)), false)
    }
    fn initial(&self, values: Array) -> Tensor {
        Tensor::from_array(values).cast(self.policy.variable)
    }
    fn seed_of(&self, weight: &Weight) -> Result<u64> {
        Ok(Hasher::new().number(self.step.borrow().seed).text(&self.weight_path(weight)?).finish())
    }
    fn weight_path(&self, weight: &Weight) -> Result<String> {
        let name = self.part(Id::of(weight)).ok_or_else(|| {
            Error::argument("this weight is not a field of the layer that is called; derive `Fields` for what holds it")
        })?;
        Ok(if self.path.is_empty() { name.to_string() } else { format!("{}/{name}", self.path) })
    }
    fn make(
        &self,
        weight: &Weight,
        shape: Shape,
        first: impl FnOnce(&Shape) -> Result<Tensor>,
        parameter: bool,
    ) -> Result<Tensor> {
        let path = self.weight_path(weight)?;
        let variable = weight.fill(parameter, || {
            let first = first(&shape)?;
            let variable = if parameter { Variable::new(first) } else { Variable::state(first) };
            variable.shape()?;
            Ok(variable.named(&path))
        })?;
        if variable.name().is_empty() {
            // Made outside of any model, as by `adapt`: the place is known only now.
            let _ = variable.clone().named(&path);
        }
        if *variable.shape()? != shape {
            return Err(Error::shape(format!(
                "weight \"{path}\" was made for shape {}, this input needs {shape}",
                variable.shape()?
            )));
        }
        self.get(weight)
    }
    /// A [`weight`](Cx::weight) with all that is set for it: its penalty is added, and it is held to its constraint.
    pub fn parameter(
        &self,
        weight: &Weight,
        shape: impl Into<Shape>,
        initializer: impl Into<Initializer>,
        regularizer: &Option<Regularizer>,
        constraint: &Option<Constraint>,
    ) -> Result<Tensor> {
        let value = self.weight(weight, shape, initializer)?;
        self.regularize(weight, regularizer)?;
        self.constrain(weight, constraint)?;
        Ok(value)
    }
    /// Adds the penalty of a weight, once per step however often the layer is called.
    pub fn regularize(&self, weight: &Weight, regularizer: &Option<Regularizer>) -> Result<()> {
        let Some(regularizer) = regularizer else { return Ok(()) };
        let variable = weight.slot()?;
        let known = self.step.borrow().penalties.iter().any(|(id, _)| *id == variable.id());
        if !known {
            let penalty = regularizer.penalty(&self.read(variable))?;
            self.step.borrow_mut().penalties.push((variable.id(), penalty));
        }
        Ok(())
    }
    /// The penalties of this layer's weights, and of those of its sublayers, as far as it was called in this step.
    pub fn penalties_of(&self, layer: &(impl Fields + ?Sized)) -> Vec<Tensor> {
        let own: Vec<u64> = tree::weights(layer).iter().filter_map(|w| Some(w.weight.variable()?.id())).collect();
        let step = self.step.borrow();
        step.penalties.iter().filter(|(id, _)| own.contains(id)).map(|(_, penalty)| penalty.clone()).collect()
    }
    /// The losses that layers added in this step so far, in order of the calls.
    pub fn losses(&self) -> Vec<Tensor> {
        self.step.borrow().losses.clone()
    }
    /// Holds a weight to a constraint after each update.
    pub fn constrain(&self, weight: &Weight, constraint: &Option<Constraint>) -> Result<()> {
        if let Some(constraint) = constraint {
            constraint.check()?;
            weight.constrain(constraint);
        }
        Ok(())
    }
    /// Adds the penalty of an output, divided by the batch (length of axis 0) as Keras does since 3.11.
    pub fn regularize_activity(&self, output: &Tensor, regularizer: &Option<Regularizer>) -> Result<()> {
        let Some(regularizer) = regularizer else { return Ok(()) };
        let batch = output.shape()?.first().copied().unwrap_or(1).max(1);
        self.add_loss(regularizer.penalty(output)? * (1.0 / batch as f64))
    }
    /// Adds a number to the loss of this step.
    pub fn add_loss(&self, loss: Tensor) -> Result<()> {
        if loss.shape()?.numel() != 1 {
            return Err(Error::shape(format!("add_loss takes one number, got shape {}", loss.shape()?)));
        }
        self.step.borrow_mut().losses.push(loss.reshape(()));
        Ok(())
    }

    /// The value of a variable in this step, with what was [`set`](Cx::set) before, as the policy computes.
    pub fn get(&self, slot: &impl Slot) -> Result<Tensor> {
        let value = self.read(slot.slot()?);
        Ok(if value.dtype()?.is_float() { value.cast(self.policy.compute) } else { value })
    }
    fn read(&self, variable: &Variable) -> Tensor {
        let mut step = self.step.borrow_mut();
        if let Some(value) = step.values.get(&variable.id()) {
            return value.clone();
        }
        let value = variable.value();
        step.values.insert(variable.id(), value.clone());
        step.reads.push((variable.clone(), value.clone()));
        value
    }
    /// Gives a variable a new value when this step commits. Fails if shape or type differ.
    pub fn set(&self, slot: &impl Slot, value: Tensor) -> Result<()> {
        let variable = slot.slot()?;
        let value = if value.dtype()?.is_float() { value.cast(variable.dtype()?) } else { value };
        if value.meta()? != variable.meta()? {
            return Err(Error::shape(format!(
                "variable \"{}\" is {} {}, cannot set {} {}",
                variable.name(),
                variable.dtype()?,
                variable.shape()?,
                value.dtype()?,
                value.shape()?
            )));
        }
        let mut step = self.step.borrow_mut();
        step.values.insert(variable.id(), value.clone());
        match step.updates.iter_mut().find(|(v, _)| v == variable) {
            Some((_, pending)) => *pending = value,
            None => step.updates.push((variable.clone(), value)),
        }
        Ok(())
    }
    /// Every variable read so far.
    pub fn variables_read(&self) -> Vec<Variable> {
        self.step.borrow().reads.iter().map(|(variable, _)| variable.clone()).collect()
    }

    /// Key and stream for random numbers of this layer and call. With a seed of its own, a layer draws the same numbers
    /// whatever the model's seed and its place in the model.
    pub fn random(&self, seed: Option<u64>) -> (Tensor, u32) {
        let mut step = self.step.borrow_mut();
        let who = seed.map_or_else(|| self.path.clone(), |seed| format!("seed {seed}"));
        let count = step.calls.entry(who.clone()).or_insert(0);
        let stream = Hasher::new().text(&who).number(u64::from(*count)).finish() as u32;
        *count += 1;
        let key = match seed {
            None => step.key.clone(),
            Some(seed) => Tensor::concat(&[random::key(seed, 0).slice(0, ..2), step.key.slice(0, 2..)], 0),
        };
        (key, stream)
    }
    /// Uniform `F32` in [0, 1) for this layer and call.
    pub fn uniform(&self, shape: impl Into<Shape>, seed: Option<u64>) -> Tensor {
        let (key, stream) = self.random(seed);
        random::uniform(&key, stream, shape)
    }
    /// Standard normal `F32` for this layer and call.
    pub fn normal(&self, shape: impl Into<Shape>, seed: Option<u64>) -> Tensor {
        let (key, stream) = self.random(seed);
        random::normal(&key, stream, shape)
    }
}

/// Notes the names of a layer's sublayers.
fn name_parts(name: String, kind: Kind<'_>, cx: &mut Cx) {
    match kind {
        Kind::Layer(layer) => cx.parts.push((layer.identity(), name)),
        Kind::Many(kinds) => {
            kinds.into_iter().enumerate().for_each(|(i, kind)| name_parts(format!("{name}_{i}"), kind, cx));
        }
        Kind::Base(_) | Kind::Config | Kind::Weight(_) => {}
    }
}
