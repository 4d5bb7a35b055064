//! Keras' small objects inside a config (initializers, regularizers, constraints): a name, or a class with arguments.

use crate::config::Reader;
use addax_tensor::Result;
use serde_json::{Map, Value as Json, json};

/// A class name in snake case and its arguments.
pub(crate) struct Object {
    pub class: String,
    arguments: Map<String, Json>,
}

impl Object {
    /// From `"he_normal"`, `"HeNormal"` or `{"class_name": "HeNormal", "config": {..}}`.
    pub fn from_json(json: &Json, what: &str, reader: &Reader<'_>) -> Result<Object> {
        let class = match json {
            Json::String(name) => Some(name.as_str()),
            json => json.get("class_name").and_then(Json::as_str),
        };
        let class = class.ok_or_else(|| reader.expected(what, json))?;
        let arguments = json.get("config").and_then(Json::as_object).cloned().unwrap_or_default();
        Ok(Object { class: class.to_string(), arguments })
    }
    /// An argument of the class, or its default.
    pub fn number(&self, key: &str, default: f64, reader: &mut Reader<'_>) -> Result<f64> {
        match self.arguments.get(key) {
            None | Some(Json::Null) => Ok(default),
            Some(json) => match json.as_f64() {
                Some(number) => Ok(number),
                None => reader.at(key, |reader| Err(reader.expected("a number", json))),
            },
        }
    }
    /// An argument that may be null.
    pub fn optional(&self, key: &str, reader: &mut Reader<'_>) -> Result<Option<f64>> {
        match self.arguments.get(key) {
            None | Some(Json::Null) => Ok(None),
            Some(_) => self.number(key, 0.0, reader).map(Some),
        }
    }
    /// A text argument, or its default.
    pub fn text(&self, key: &str, default: &str, reader: &mut Reader<'_>) -> Result<String> {
        match self.arguments.get(key) {
            None | Some(Json::Null) => Ok(default.to_string()),
            Some(Json::String(text)) => Ok(text.clone()),
            Some(json) => reader.at(key, |reader| Err(reader.expected("a string", json))),
        }
    }
    /// The seed, if there is one. Keras also writes seed generators as objects; their state is no seed, so they count as none.
    pub fn seed(&self) -> Option<u64> {
        self.arguments.get("seed").and_then(Json::as_u64)
    }
}

/// Keras' object: `{"module": .., "class_name": .., "config": {..}, "registered_name": null}`.
pub(crate) fn to_json(module: &str, class: &str, arguments: Vec<(&str, Json)>) -> Json {
    let config: Map<_, _> = arguments.into_iter().map(|(k, v)| (k.to_string(), v)).collect();
    json!({ "module": module, "class_name": class, "config": config, "registered_name": null })
}
