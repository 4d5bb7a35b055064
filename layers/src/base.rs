//! What every layer of Keras has beside its own arguments: name, trainable flag, dtype policy.

use crate::{
    config::Reader,
    fields::{Field, Kind},
};
use addax_tensor::{DType, Error, Result};
use serde_json::{Map, Value as Json, json};
use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

/// In which types a layer computes and keeps its weights. Keras' names: `float32`, `mixed_float16`, ….
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Type of activations.
    pub compute: DType,
    /// Type of weights.
    pub variable: DType,
}

impl Default for Policy {
    fn default() -> Self {
        Policy { compute: DType::F32, variable: DType::F32 }
    }
}

impl Policy {
    const NAMES: [&'static str; 5] = ["float32", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16"];

    /// The policy with this Keras name.
    pub fn parse(name: &str) -> Result<Policy> {
        let (compute, variable) = match name {
            "float32" => (DType::F32, DType::F32),
            "float16" => (DType::F16, DType::F16),
            "bfloat16" => (DType::BF16, DType::BF16),
            "mixed_float16" => (DType::F16, DType::F32),
            "mixed_bfloat16" => (DType::BF16, DType::F32),
            other => return Err(Error::unknown_name("dtype policy", other, Policy::NAMES)),
        };
        Ok(Policy { compute, variable })
    }
    /// Keras' name.
    pub fn name(self) -> String {
        match self.compute == self.variable {
            true => self.compute.name().to_string(),
            false => format!("mixed_{}", self.compute.name()),
        }
    }
}

/// Name, trainable flag and dtype policy of a layer. A struct that has a field of this type can be named.
#[derive(Debug)]
pub struct Base {
    name: OnceLock<String>,
    trainable: AtomicBool,
    policy: Option<Policy>,
}

impl Default for Base {
    fn default() -> Self {
        Base { name: OnceLock::new(), trainable: AtomicBool::new(true), policy: None }
    }
}

impl Base {
    /// The name that was given, if any.
    pub fn name(&self) -> Option<&str> {
        self.name.get().map(String::as_str)
    }
    /// Sets the name.
    pub fn set_name(&mut self, name: impl Into<String>) {
        self.name = OnceLock::from(name.into());
    }
    /// Whether its weights may be trained.
    pub fn trainable(&self) -> bool {
        self.trainable.load(Ordering::Relaxed)
    }
    /// Sets the flag of this layer alone; [`set_trainable`](crate::set_trainable) does it for a whole tree.
    pub fn set_trainable(&self, trainable: bool) {
        self.trainable.store(trainable, Ordering::Relaxed);
    }
    /// The policy that was given, if any; else that of the surrounding layer counts.
    pub fn policy(&self) -> Option<Policy> {
        self.policy
    }
    /// Sets the policy.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = Some(policy);
    }
    /// Keras' keys `name`, `trainable`, `dtype`, as far as they differ from the defaults.
    pub(crate) fn write_into(&self, config: &mut Map<String, Json>) {
        if let Some(name) = self.name() {
            config.insert("name".into(), json!(name));
        }
        if !self.trainable() {
            config.insert("trainable".into(), json!(false));
        }
        if let Some(policy) = self.policy {
            config.insert("dtype".into(), json!(policy.name()));
        }
    }
    /// Takes `name`, `trainable` and `dtype` out of a config.
    pub(crate) fn read_from(&mut self, config: &Map<String, Json>, reader: &mut Reader<'_>) -> Result<()> {
        if let Some(name) = config.get("name").filter(|n| !n.is_null()) {
            let mut text = String::new();
            reader.at("name", |reader| text.read(name, reader))?;
            self.set_name(text);
        }
        if let Some(json) = config.get("trainable") {
            let mut trainable = true;
            reader.at("trainable", |reader| trainable.read(json, reader))?;
            self.set_trainable(trainable);
        }
        match config.get("dtype") {
            None | Some(Json::Null) => Ok(()),
            Some(json) => reader.at("dtype", |reader| {
                let name = json.pointer("/config/name").unwrap_or(json);
                let name = name.as_str().ok_or_else(|| reader.expected("a dtype policy", json))?;
                // Layers that only pass data through, such as inputs of numbers, may have types that are no policy.
                let policy = Policy::parse(name).map_err(|e| reader.wrap(e))?;
                if policy != Policy::default() {
                    self.set_policy(policy);
                }
                Ok(())
            }),
        }
    }
}

impl Field for Base {
    fn kind(&self) -> Kind<'_> {
        Kind::Base(self)
    }
    fn write(&self) -> Result<Json> {
        Ok(Json::Null)
    }
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        match json.as_object() {
            Some(config) => self.read_from(config, reader),
            None => Err(reader.expected("an object", json)),
        }
    }
    fn blank() -> Self {
        Base::default()
    }
}
