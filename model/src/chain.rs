//! A chain of layers: what a `Sequential` model computes.

use crate::names;
use addax_layers::{
    Base, Cx, DynLayer, Field, Fields, Json, Key, Kind, Layer, Policy, Reader, Registry, layer_from_config,
    layer_to_json,
};
use addax_tensor::{
    DType, Error, Result, Shape, Tensor,
    graph::{self, Origin},
};
use serde_json::json;
use std::{
    panic::Location,
    sync::{Arc, OnceLock},
};

/// What goes into a model: the shape of one sample, and its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Input {
    pub name: String,
    pub shape: Shape,
    pub dtype: DType,
}

impl Input {
    pub fn new(shape: Shape) -> Input {
        Input { name: "input_layer".into(), shape, dtype: DType::F32 }
    }
    /// The shape of so many samples.
    pub fn batch(&self, rows: usize) -> Shape {
        std::iter::once(rows).chain(self.shape.iter().copied()).collect()
    }
    fn to_json(&self) -> Json {
        let shape: Vec<Option<usize>> = std::iter::once(None).chain(self.shape.iter().copied().map(Some)).collect();
        let config = json!({ "batch_shape": shape, "dtype": self.dtype.name(), "name": self.name });
        json!({
            "module": "keras.layers", "class_name": "InputLayer", "config": config, "registered_name": null
        })
    }
    /// From the config of an `InputLayer`.
    fn from_json(config: &Json, reader: &Reader<'_>) -> Result<Input> {
        let shape = config.get("batch_shape").or_else(|| config.get("batch_input_shape")).unwrap_or(&Json::Null);
        let dims = shape.as_array().map(Vec::as_slice).unwrap_or_default();
        let dims = dims.iter().skip(1).map(|d| d.as_u64().map(|d| d as usize)).collect::<Option<Shape>>();
        let dims = dims.filter(|_| shape.is_array());
        let dims = dims.ok_or_else(|| reader.expected("a batch_shape such as [null, 28, 28, 1]", shape))?;
        let mut input = Input::new(dims);
        if let Some(name) = config.get("name").and_then(Json::as_str) {
            input.name = name.into();
        }
        if let Some(name) = config.get("dtype").and_then(Json::as_str) {
            input.dtype = DType::parse(name).map_err(|e| reader.wrap(e))?;
        }
        Ok(input)
    }
}

/// Layers one after the other. It is itself a layer, so chains nest.
#[derive(Default)]
pub(crate) struct Chain {
    pub base: Base,
    /// Known from the start, or from the first data.
    pub input: OnceLock<Input>,
    pub layers: Vec<Arc<dyn DynLayer>>,
    /// Where each layer was added.
    origins: Vec<Option<Origin>>,
}

/// What a layer of the chain gives.
pub(crate) struct Link {
    pub name: String,
    pub output: Tensor,
    /// The line that added it.
    pub added: Option<Origin>,
}

impl Chain {
    /// The same layers, as a chain of its own: weights are shared.
    pub fn share(&self) -> Result<Chain> {
        let mut base = Base::of_part();
        if let Some(name) = self.base.name() {
            base.set_name(name);
        }
        if let Some(policy) = self.base.policy()? {
            base.set_policy(policy);
        }
        Ok(Chain { base, input: self.input.clone(), layers: self.layers.clone(), origins: self.origins.clone() })
    }
    pub fn push(&mut self, layer: Arc<dyn DynLayer>, origin: Option<Origin>) {
        self.layers.push(layer);
        self.origins.push(origin);
    }
    /// Names of the layers. Fails if two different layers have one.
    pub fn names(&self) -> Result<Vec<String>> {
        names::of_layers(&self.layers)
    }
    /// Records every layer. An error names the layer, and the line that added it where the layer is not the user's own.
    pub fn record(&self, x: Tensor, cx: &Cx) -> Result<Vec<Link>> {
        let mut links: Vec<Link> = Vec::with_capacity(self.layers.len());
        let mut x = x;
        for ((layer, name), origin) in self.layers.iter().zip(self.names()?).zip(&self.origins) {
            let outputs = graph::scope(&name, || cx.call_dyn(&name, &**layer, vec![x]))
                .map_err(|error| located(error, &**layer, *origin))?;
            x = one(outputs, &name)?;
            links.push(Link { name, output: x.clone(), added: *origin });
        }
        Ok(links)
    }

    fn from_json(config: &Json, reader: &mut Reader<'_>) -> Result<Chain> {
        let mut chain = Chain { base: Base::of_part(), ..Chain::default() };
        if let Some(name) = config.get("name").and_then(Json::as_str) {
            chain.base.set_name(name);
        }
        if let Some(dtype) = config.get("dtype").filter(|dtype| !dtype.is_null()) {
            chain.base.set_policy(reader.at("dtype", |reader| Policy::from_json(dtype, reader))?);
        }
        let layers = config.get("layers").and_then(Json::as_array);
        let layers = layers.ok_or_else(|| reader.error("\"layers\" is missing or no list"))?;
        reader.at("layers", |reader| {
            for (i, json) in layers.iter().enumerate() {
                if is_input(json) {
                    let config = json.get("config").unwrap_or(&Json::Null);
                    chain.input = OnceLock::from(reader.at(i.to_string(), |reader| Input::from_json(config, reader))?);
                    continue;
                }
                // A layer that stands in the list twice is one layer.
                let name = json.pointer("/config/name");
                let twin =
                    layers.iter().take(i).position(|earlier| name.is_some() && earlier.pointer("/config/name") == name);
                let place = |at: usize| layers.iter().take(at).filter(|l| !is_input(l)).count();
                let shared = twin.filter(|at| layers.get(*at) == Some(json)).and_then(|at| chain.layers.get(place(at)));
                let layer = match shared.cloned() {
                    Some(shared) => shared,
                    None => reader.at(i.to_string(), |reader| layer_from_config(json, reader))?.into(),
                };
                chain.push(layer, None);
            }
            Ok(())
        })?;
        if config.get("trainable") == Some(&Json::Bool(false)) {
            addax_layers::set_trainable(&chain, false);
        }
        Ok(chain)
    }
    /// Reads Keras' object for a whole model.
    pub fn from_model_json(json: &Json, reader: &mut Reader<'_>) -> Result<Chain> {
        match json.get("class_name").and_then(Json::as_str) {
            Some("Sequential") => {
                let config = json.get("config").unwrap_or(&Json::Null);
                reader.at("config", |reader| Chain::from_json(config, reader))
            }
            Some(other) => {
                Err(reader.error(format!("a model of class \"{other}\" cannot be read; expected Sequential")))
            }
            None => Err(reader.expected("a model with \"class_name\"", json)),
        }
    }
    /// Keras' object for the model, without how it is trained.
    pub fn to_model_json(&self, name: &str) -> Result<Json> {
        let mut json = layer_to_json(self, Some(name))?;
        if let (Json::Object(json), Some(input)) = (&mut json, self.input.get()) {
            json.insert("module".into(), json!("keras"));
            let shape: Vec<Option<usize>> =
                std::iter::once(None).chain(input.shape.iter().copied().map(Some)).collect();
            json.insert("build_config".into(), json!({ "input_shape": shape }));
        }
        Ok(json)
    }
}

fn is_input(json: &Json) -> bool {
    json.get("class_name").and_then(Json::as_str) == Some("InputLayer")
}

/// Adds `Sequential` to what can be read from files.
pub(crate) fn register(registry: &mut Registry) {
    registry.insert("Sequential", |config, reader| Ok(Box::new(Chain::from_json(config, reader)?)));
}

fn one(outputs: Vec<Tensor>, name: &str) -> Result<Tensor> {
    let count = outputs.len();
    outputs.into_iter().next().filter(|_| count == 1).ok_or_else(|| {
        Error::argument(format!("gives {count} outputs; a layer of a Sequential model gives one")).inside(name)
    })
}

/// For a layer of the library, the line that matters is the one that added it; for the user's own, the line inside.
fn located(error: Error, layer: &dyn DynLayer, added: Option<&'static Location<'static>>) -> Error {
    let Some(added) = added else { return error };
    if layer.package().is_some() || error.origin().is_none() {
        return error.at(added);
    }
    with_path(Error::new(error.kind().clone()).at(added), &error)
}

/// An error inside the layers that another one names.
pub(crate) fn with_path(error: Error, other: &Error) -> Error {
    other.path().iter().rev().fold(error, |error, name| error.inside(name.clone()))
}

impl Fields for Chain {
    fn class_name(&self) -> &'static str {
        "Sequential"
    }
    fn package(&self) -> Option<&'static str> {
        None
    }
    fn visit<'a>(&'a self, visit: &mut dyn FnMut(Key, &'a dyn Field)) {
        visit(Key { name: "base", required: false }, &self.base);
        visit(LAYERS, &self.layers);
    }
    fn visit_mut(&mut self, visit: &mut dyn FnMut(Key, &mut dyn Field) -> Result<()>) -> Result<()> {
        visit(Key { name: "base", required: false }, &mut self.base)?;
        visit(LAYERS, &mut self.layers)
    }
    fn config(&self) -> Result<Json> {
        let mut layers: Vec<Json> = self.input.get().into_iter().map(Input::to_json).collect();
        for (layer, name) in self.layers.iter().zip(self.names()?) {
            let mut json = layer_to_json(&**layer, Some(&name))?;
            if layer.class_name() == "Sequential" && layer.package().is_none() {
                json["module"] = json!("keras");
            }
            layers.push(json);
        }
        let name = self.base.name().unwrap_or("sequential");
        let mut config = json!({ "name": name, "layers": layers });
        if let (Some(policy), Json::Object(config)) = (self.base.policy()?, &mut config) {
            config.shift_insert(1, "dtype".into(), policy.to_json());
        }
        Ok(config)
    }
}

const LAYERS: Key = Key { name: "layers", required: true };

impl Layer for Chain {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, cx: &mut Cx) -> Result<Tensor> {
        Ok(self.record(x.clone(), cx)?.pop().map_or(x, |last| last.output))
    }
    /// Each layer casts for itself.
    fn autocast(&self) -> bool {
        false
    }
}

impl Field for Chain {
    fn kind(&self) -> Kind<'_> {
        Kind::Layer(self)
    }
    fn write(&self) -> Result<Json> {
        layer_to_json(self, None)
    }
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        *self = Chain::from_json(json.get("config").unwrap_or(&Json::Null), reader)?;
        Ok(())
    }
    fn blank() -> Self {
        Chain::default()
    }
}
