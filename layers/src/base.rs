//! What every layer of Keras has beside its own arguments: name, trainable flag, dtype policy.

use crate::{
    config::Reader,
    fields::{Field, Kind},
    policy::{Policy, PolicyChoice, dtype_policy},
};
use addax_tensor::Result;
use serde_json::{Map, Value as Json, json};
use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

/// Name, trainable flag and dtype policy of a layer. A struct that has a field of this type can be named.
#[derive(Debug)]
pub struct Base {
    name: OnceLock<String>,
    trainable: AtomicBool,
    /// A wrong name is told by the first call of the layer.
    policy: Option<Result<Policy>>,
}

impl Default for Base {
    /// Without a name, trainable, with the [process's policy](crate::set_dtype_policy) if one was set.
    fn default() -> Self {
        let policy = Some(dtype_policy()).filter(|policy| *policy != Policy::default()).map(Ok);
        Base { policy, ..Base::of_part() }
    }
}

impl Base {
    /// Of a part whose owner says in which types it computes.
    pub fn of_part() -> Base {
        Base { name: OnceLock::new(), trainable: AtomicBool::new(true), policy: None }
    }
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
    /// The policy that was given, if any; else that of the surrounding layer counts. Fails if what was given is none.
    pub fn policy(&self) -> Result<Option<Policy>> {
        self.policy.clone().transpose()
    }
    /// Sets the policy. A wrong name is told by the first call of the layer.
    pub fn set_policy(&mut self, policy: impl Into<PolicyChoice>) {
        self.policy = Some(policy.into().get());
    }
    /// Keras' keys `name`, `trainable`, `dtype`, as far as they differ from the defaults.
    pub(crate) fn write_into(&self, config: &mut Map<String, Json>) -> Result<()> {
        if let Some(name) = self.name() {
            config.insert("name".into(), json!(name));
        }
        if !self.trainable() {
            config.insert("trainable".into(), json!(false));
        }
        if let Some(policy) = self.policy()? {
            config.insert("dtype".into(), policy.to_json());
        }
        Ok(())
    }
    /// Takes `name`, `trainable` and `dtype` out of a config. What the config does not say has Keras' default, not the process's.
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
        self.policy = match config.get("dtype") {
            None | Some(Json::Null) => None,
            Some(json) => Some(Ok(reader.at("dtype", |reader| Policy::from_json(json, reader))?)),
        };
        Ok(())
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
