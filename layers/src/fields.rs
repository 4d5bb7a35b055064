//! How a struct shows its fields: as sublayers, weights or config values.

use crate::{
    base::Base,
    config::{self, Reader},
    weight::Weight,
};
use addax_tensor::Result;
use serde_json::Value as Json;

/// How a field is called in Keras' config, and whether it must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Keras' argument name.
    pub name: &'static str,
    /// Whether it has no default: it is always saved, and a file without it is refused.
    pub required: bool,
}

/// Where a layer lives and of what type it is: a struct and its first field have one address, but two types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id {
    address: usize,
    type_name: &'static str,
}

impl Id {
    /// Of any value.
    pub fn of<T>(value: &T) -> Id {
        Id { address: std::ptr::from_ref(value) as usize, type_name: std::any::type_name::<T>() }
    }
}

/// What a field is.
pub enum Kind<'a> {
    /// A value that is saved in the config.
    Config,
    /// Name, trainable flag and dtype policy, which Keras' config has beside the layer's own values.
    Base(&'a Base),
    /// A weight.
    Weight(&'a Weight),
    /// A sublayer.
    Layer(&'a dyn Fields),
    /// Several weights or sublayers.
    Many(Vec<Kind<'a>>),
}

/// A struct whose fields can be visited: every layer. Comes from `#[derive(Fields)]`.
///
/// Through it a layer's config is written and read in Keras' JSON, its children are found and its weights are listed.
pub trait Fields {
    /// Keras' class name, such as `Dense`.
    fn class_name(&self) -> &'static str;
    /// The package that users' classes are registered in: `shop` gives `shop>Residual`. `None` for Keras' own.
    fn package(&self) -> Option<&'static str>;
    /// Shows every field in the order of the struct.
    fn visit<'a>(&'a self, visit: &mut dyn FnMut(Key, &'a dyn Field));
    /// Shows every field to something that may change it; stops at the first error.
    fn visit_mut(&mut self, visit: &mut dyn FnMut(Key, &mut dyn Field) -> Result<()>) -> Result<()>;
    /// The child in which Keras' files keep this struct's own weights (`cell` for `LSTM`).
    fn weights_in(&self) -> Option<&'static str> {
        None
    }
    /// What makes it itself: shared layers have one identity.
    fn identity(&self) -> Id {
        Id { address: (self as *const Self).cast::<()>() as usize, type_name: std::any::type_name::<Self>() }
    }
    /// The `config` part of Keras' JSON. Models, whose config is no list of arguments, override it.
    fn config(&self) -> Result<Json> {
        config::config_of(self)
    }
    /// The config of a default instance, an object: values equal to it need not be saved. `Null` if nothing has a default.
    fn defaults(&self) -> Result<Json> {
        Ok(Json::Null)
    }
}

/// A type that may stand in a layer: numbers, strings, activations …; weights; sublayers and `Option`, `Vec`, `Arc` of them.
pub trait Field {
    /// What it is.
    fn kind(&self) -> Kind<'_>;
    /// As Keras' JSON. `Null` for weights, whose values are no config.
    fn write(&self) -> Result<Json>;
    /// From Keras' JSON. Errors name the place in the file and what was expected.
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()>;
    /// A value to read into.
    fn blank() -> Self
    where
        Self: Sized;
}
