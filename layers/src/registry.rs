//! Which class a name in a file means: an explicit table, and what users add to it.

use crate::{
    config::{Reader, read_config},
    fields::{Field, Fields},
    layer::{DynLayer, Layer},
};
use addax_tensor::{Error, Result, error::near_names};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Builds a layer from the `config` part of Keras' JSON.
pub type Construct = fn(&Json, &mut Reader<'_>) -> Result<Box<dyn DynLayer>>;

/// Constructors by class name (`Dense`) or registered name (`shop>Residual`).
#[derive(Clone)]
pub struct Registry {
    constructors: BTreeMap<String, Construct>,
}

impl Default for Registry {
    /// Keras' own layers.
    fn default() -> Self {
        let mut registry = Registry::empty();
        crate::builtin::register(&mut registry);
        registry
    }
}

impl Registry {
    /// Without any class.
    pub fn empty() -> Self {
        Registry { constructors: BTreeMap::new() }
    }
    /// Adds a class. Its name comes from its `#[fields(package = .., class = ..)]`.
    pub fn register<L: Layer + Field + 'static>(&mut self) {
        let blank = L::blank();
        self.insert(registered_name(&blank), |config, reader| {
            let mut layer = L::blank();
            read_config(&mut layer, config, reader)?;
            Ok(Box::new(layer))
        });
    }
    /// Adds a class with its own way of being built, such as models have.
    pub fn insert(&mut self, name: impl Into<String>, construct: Construct) {
        self.constructors.insert(name.into(), construct);
    }
    /// Every name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.constructors.keys().map(String::as_str)
    }
    fn find(&self, class: &str, registered: Option<&str>) -> Option<Construct> {
        registered.and_then(|name| self.constructors.get(name)).or_else(|| self.constructors.get(class)).copied()
    }
}

/// `shop>Residual`, or `Dense` for Keras' own.
fn registered_name(layer: &(impl Fields + ?Sized)) -> String {
    match layer.package() {
        Some(package) => format!("{package}>{}", layer.class_name()),
        None => layer.class_name().to_string(),
    }
}

/// Builds the layer that Keras' object `{"class_name": .., "config": ..}` describes.
///
/// ```
/// use addax_layers::{Fields, Json, Reader, Registry, layer_from_config};
/// let json: Json = serde_json::json!({"module": "keras.layers", "class_name": "Dense", "config": {"units": 3, "unit": 4}});
/// let registry = Registry::default();
/// let mut reader = Reader::new(&registry);
/// let layer = layer_from_config(&json, &mut reader)?;
/// assert_eq!(layer.class_name(), "Dense");
/// assert_eq!(reader.warnings(), ["Dense: \"unit\" is not known and was left out; did you mean \"units\"?"]);
/// # Ok::<(), addax_layers::Error>(())
/// ```
pub fn layer_from_config(json: &Json, reader: &mut Reader<'_>) -> Result<Box<dyn DynLayer>> {
    let class = json.get("class_name").and_then(Json::as_str);
    let class = class.ok_or_else(|| reader.expected("an object with \"class_name\"", json))?;
    let registered = json.get("registered_name").and_then(Json::as_str);
    let registry = reader.registry();
    let Some(construct) = registry.find(class, registered) else {
        let name = registered.unwrap_or(class);
        let near = near_names(name, registry.names());
        let hint = near.first().map(|n| format!("; did you mean \"{n}\"?")).unwrap_or_default();
        return Err(Error::format(format!(
            "layer class \"{name}\" is not known{hint} Register your own class before loading it."
        )));
    };
    let name = json.pointer("/config/name").and_then(Json::as_str).unwrap_or(class);
    reader.at(name, |reader| construct(json.get("config").unwrap_or(&Json::Null), reader))
}
