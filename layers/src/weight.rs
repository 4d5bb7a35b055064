//! Weights: slots of a layer that are filled once, when the shape of the first input is known.

use crate::{
    config::Reader,
    constraints::Constraint,
    fields::{Field, Kind},
};
use addax_tensor::{Result, Variable};
use serde_json::Value as Json;
use std::{
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// A weight or state of a layer. It begins empty and is created in the first `forward`, by [`Cx::weight`](crate::Cx::weight)
/// or [`Cx::state`](crate::Cx::state).
pub struct Weight {
    slot: OnceLock<(Variable, bool)>,
    enabled: AtomicBool,
    constraint: OnceLock<Constraint>,
}

impl Default for Weight {
    fn default() -> Self {
        Weight::new()
    }
}

impl Weight {
    /// An empty slot.
    pub const fn new() -> Weight {
        Weight { slot: OnceLock::new(), enabled: AtomicBool::new(true), constraint: OnceLock::new() }
    }
    /// The variable, once created.
    pub fn variable(&self) -> Option<&Variable> {
        self.slot.get().map(|(variable, _)| variable)
    }
    /// Whether it was created.
    pub fn is_built(&self) -> bool {
        self.slot.get().is_some()
    }
    /// Whether it is a weight that training may change, frozen or not; `false` for states such as moving statistics.
    pub fn is_parameter(&self) -> bool {
        self.slot.get().is_some_and(|(_, parameter)| *parameter)
    }
    /// Whether training changes it now.
    pub fn is_trainable(&self) -> bool {
        self.is_parameter() && self.enabled.load(Ordering::Relaxed)
    }
    /// Freezes or unfreezes it. States stay untrained.
    pub fn set_trainable(&self, trainable: bool) {
        self.enabled.store(trainable, Ordering::Relaxed);
        if let Some((variable, true)) = self.slot.get() {
            variable.set_trainable(trainable);
        }
    }
    /// Whether it is not frozen.
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }
    /// What its values are held to after each update.
    pub fn constraint(&self) -> Option<&Constraint> {
        self.constraint.get()
    }
    pub(crate) fn constrain(&self, constraint: &Constraint) {
        // The first call wins: the constraint is part of the layer's fixed config.
        let _ = self.constraint.set(constraint.clone());
    }
    /// Fills the slot unless it is full, and returns what it holds.
    pub(crate) fn fill(&self, parameter: bool, make: impl FnOnce() -> Result<Variable>) -> Result<&Variable> {
        if let Some((variable, _)) = self.slot.get() {
            return Ok(variable);
        }
        let variable = make()?;
        if parameter {
            variable.set_trainable(self.is_enabled());
        }
        // Of two threads that make the first call, one variable stays; both have the same values.
        Ok(&self.slot.get_or_init(|| (variable, parameter)).0)
    }
}

impl fmt::Debug for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.variable() {
            Some(variable) => variable.fmt(f),
            None => f.write_str("Weight(not built)"),
        }
    }
}

impl Field for Weight {
    fn kind(&self) -> Kind<'_> {
        Kind::Weight(self)
    }
    fn write(&self) -> Result<Json> {
        Ok(Json::Null)
    }
    fn read(&mut self, _: &Json, _: &mut Reader<'_>) -> Result<()> {
        Ok(())
    }
    fn blank() -> Self {
        Weight::new()
    }
}
