//! Where an optimizer keeps its slots.

use crate::{
    common::Common,
    rule::{Rule, Slot},
};
use addax_tensor::{DType, Error, Result, Tensor, Variable, graph::Meta};
use std::collections::HashMap;

/// One parameter and everything that is kept for it.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub name: String,
    /// Shape and type, which stay.
    pub meta: Meta,
    /// The variable in `apply`; none in `update`, where parameters are positions.
    pub variable: Option<Variable>,
    pub average: Option<Variable>,
    pub accumulator: Option<Variable>,
    /// Flat, in the order of [`Rule::slots`].
    pub slots: Vec<Variable>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub parameters: Vec<Parameter>,
    pub shared: Vec<Variable>,
    positions: HashMap<u64, usize>,
}

impl State {
    /// For these values, which belong to these variables or to none.
    pub fn new<R: Rule>(rule: &R, common: &Common, values: &[(Option<Variable>, Tensor)]) -> Result<State> {
        let slot = |like: &Tensor, name: &str, of: &str, initial: f64| {
            let name = format!("{}_{name}", of.replace('/', "_"));
            Variable::state(like.full_like(initial)).named(name)
        };
        let mut parameters = Vec::new();
        for (i, (variable, value)) in values.iter().enumerate() {
            let name = match variable.as_ref().map(Variable::name) {
                Some(name) if !name.is_empty() => name,
                _ => format!("parameter_{i}"),
            };
            let dtype = value.dtype()?;
            if !dtype.is_float() {
                return Err(Error::dtype(format!("optimizers need float parameters, \"{name}\" is {dtype}")));
            }
            let slots = rule.slots().concat();
            parameters.push(Parameter {
                meta: value.meta()?.clone(),
                average: common.use_ema.then(|| slot(value, "average", &name, 0.0)),
                accumulator: common.accumulates().map(|_| slot(value, "gradient_accumulator", &name, 0.0)),
                slots: slots.iter().map(|s| slot(value, s.name, &name, s.initial)).collect(),
                variable: variable.clone(),
                name,
            });
        }
        let scalar = |s: &Slot| Variable::state(Tensor::full(DType::F32, (), s.initial)).named(s.name);
        let positions = values.iter().enumerate().filter_map(|(i, (v, _))| Some((v.as_ref()?.id(), i))).collect();
        let state = State { parameters, shared: rule.shared().iter().map(scalar).collect(), positions };
        state.variables(&rule.slots()).iter().try_for_each(|v| v.meta().map(drop))?;
        Ok(state)
    }
    /// The position of a variable.
    pub fn position(&self, variable: &Variable) -> Option<usize> {
        self.positions.get(&variable.id()).copied()
    }
    /// In the order of Keras' files.
    pub fn variables(&self, groups: &[Vec<Slot>]) -> Vec<Variable> {
        let mut all: Vec<Variable> = self.parameters.iter().filter_map(|p| p.average.clone()).collect();
        all.extend(self.parameters.iter().filter_map(|p| p.accumulator.clone()));
        let mut start = 0;
        for group in groups {
            let end = start + group.len();
            all.extend(self.parameters.iter().flat_map(|p| p.slots.get(start..end).unwrap_or_default()).cloned());
            start = end;
        }
        all.extend(self.shared.iter().cloned());
        all
    }
}
