//! Keras' JSON, both ways: `{"module": .., "class_name": .., "config": {..}, "registered_name": ..}`.

use crate::{
    fields::{Fields, Kind},
    registry::Registry,
    tree::{base, own_slots},
};
use addax_tensor::{Error, Result, error::near_names};
use serde_json::{Map, Value as Json, json};

/// Reads configs: knows where in the file it is, what users registered, and collects warnings.
pub struct Reader<'a> {
    registry: &'a Registry,
    path: Vec<String>,
    warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    /// At the root of a file.
    pub fn new(registry: &'a Registry) -> Self {
        Reader { registry, path: Vec::new(), warnings: Vec::new() }
    }
    /// Constructors of layers.
    pub fn registry(&self) -> &'a Registry {
        self.registry
    }
    /// What was read past: unknown keys with their place.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
    /// Notes something that was read past.
    pub fn warn(&mut self, message: impl AsRef<str>) {
        self.warnings.push(format!("{}: {}", self.place(), message.as_ref()));
    }
    /// Reads inside `key`.
    pub fn at<R>(&mut self, key: impl Into<String>, read: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        self.path.push(key.into());
        let result = read(self);
        self.path.pop();
        result
    }
    /// The error of finding something else than `what` here.
    pub fn expected(&self, what: &str, found: &Json) -> Error {
        let mut text = found.to_string();
        if text.len() > 80 {
            text = text.chars().take(77).collect::<String>() + "...";
        }
        self.error(format!("expected {what}, got {text}"))
    }
    /// An error at this place.
    pub fn error(&self, message: impl AsRef<str>) -> Error {
        Error::format(format!("{}: {}", self.place(), message.as_ref()))
    }
    /// The same error, with this place in front.
    pub fn wrap(&self, error: Error) -> Error {
        self.error(error.to_string())
    }
    fn place(&self) -> String {
        match self.path.is_empty() {
            true => "config".into(),
            false => self.path.join("."),
        }
    }
}

/// Every config value of a layer, defaults and all, as an object.
pub fn all_values(layer: &(impl Fields + ?Sized)) -> Result<Json> {
    let mut config = Map::new();
    let mut failed = None;
    layer.visit(&mut |key, field| match (field.kind(), field.write()) {
        (Kind::Base(_) | Kind::Weight(_), _) => {}
        (Kind::Many(kinds), _) if kinds.iter().all(|k| matches!(k, Kind::Weight(_))) && !kinds.is_empty() => {}
        (_, Ok(json)) => {
            config.insert(key.name.into(), json);
        }
        (_, Err(error)) => failed = Some(error),
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(Json::Object(config)),
    }
}

/// The config of a layer: `name`, `trainable` and `dtype` as far as set, then the values that differ from the defaults.
pub fn config_of(layer: &(impl Fields + ?Sized)) -> Result<Json> {
    let mut config = Map::new();
    if let Some(base) = base(layer) {
        base.write_into(&mut config)?;
    }
    let defaults = layer.defaults()?;
    let mut required = Vec::new();
    layer.visit(&mut |key, _| {
        if key.required {
            required.push(key.name);
        }
    });
    if let Json::Object(values) = all_values(layer)? {
        for (key, value) in values {
            if required.contains(&key.as_str()) || defaults.get(&key) != Some(&value) {
                config.insert(key, value);
            }
        }
    }
    Ok(Json::Object(config))
}

/// Keras' object for a layer. `name` stands in for the layer's own.
///
/// ```
/// use addax_layers::{Dense, layer_to_json};
/// let json = layer_to_json(&Dense::new(3).activation("relu"), Some("a"))?;
/// assert_eq!(json.to_string(), concat!(r#"{"module":"keras.layers","class_name":"Dense","#,
///     r#""config":{"name":"a","units":3,"activation":"relu"},"registered_name":null}"#));
/// # Ok::<(), addax_layers::Error>(())
/// ```
pub fn layer_to_json(layer: &(impl Fields + ?Sized), name: Option<&str>) -> Result<Json> {
    let mut config = layer.config()?;
    if let (Some(name), Json::Object(values)) = (name, &mut config) {
        values.shift_remove("name");
        values.shift_insert(0, "name".into(), json!(name));
    }
    let class = layer.class_name();
    let (module, registered) = match layer.package() {
        None => (json!("keras.layers"), Json::Null),
        Some(package) => (Json::Null, json!(format!("{package}>{class}"))),
    };
    Ok(json!({ "module": module, "class_name": class, "config": config, "registered_name": registered }))
}

/// Reads Keras' object for a layer of a known type into `layer`.
pub fn read_layer(layer: &mut (impl Fields + ?Sized), json: &Json, reader: &mut Reader<'_>) -> Result<()> {
    let class = layer.class_name();
    match json.get("class_name").and_then(Json::as_str) {
        Some(name) if name == class || name.ends_with(&format!(">{class}")) => {
            let config = json.get("config").unwrap_or(&Json::Null);
            reader.at(class, |reader| read_config(layer, config, reader))
        }
        _ => Err(reader.expected(&format!("a layer of class {class}"), json)),
    }
}

/// Reads the `config` part into `layer`: missing values keep what they are, unknown keys become warnings, a value of a
/// wrong type is an error with its place.
pub fn read_config(layer: &mut (impl Fields + ?Sized), config: &Json, reader: &mut Reader<'_>) -> Result<()> {
    let Some(config) = config.as_object() else {
        return Err(reader.expected("an object of arguments", config));
    };
    let mut known = vec!["name", "trainable", "dtype"];
    layer.visit_mut(&mut |key, field| {
        if matches!(field.kind(), Kind::Base(_)) {
            return field.read(&Json::Object(config.clone()), reader);
        }
        if matches!(field.kind(), Kind::Weight(_)) {
            return Ok(());
        }
        known.push(key.name);
        match config.get(key.name) {
            Some(json) => reader.at(key.name, |reader| field.read(json, reader)),
            None if key.required => Err(reader.error(format!("\"{}\" is missing", key.name))),
            None => Ok(()),
        }
    })?;
    if base(layer).is_some_and(|base| !base.trainable()) {
        own_slots(layer).iter().for_each(|(_, weight)| weight.set_trainable(false));
    }
    for (key, value) in config {
        // What newer versions of Keras add is null until it is used.
        if !known.contains(&key.as_str()) && !value.is_null() {
            let near = near_names(key, known.iter().copied());
            let hint = near.first().map(|n| format!("; did you mean \"{n}\"?")).unwrap_or_default();
            reader.warn(format!("\"{key}\" is not known and was left out{hint}"));
        }
    }
    Ok(())
}
