//! Models in files: everything that is needed to predict, and to train on exactly as if nothing had happened.

use crate::{
    chain::{self, Chain},
    compile::Compiled,
    metrics_state::{MetricSlot, Source},
    model::Model,
    seed::Seed,
};
use addax_io::{ModelDir, ReadOptions, Weights, json};
use addax_layers::{Field, Json, Layer, Reader, Registry};
use addax_losses::loss_from_config;
use addax_optim::optimizer_from_config;
use addax_tensor::{Array, Error, Result, Tensor, Variable};
use serde_json::json;
use std::{path::Path, sync::OnceLock};

impl Model {
    /// Saves the model to the folder `path`: layers, weights, and if compiled optimizer, loss, metrics and where training
    /// stands. A folder that is there already is replaced as a whole, or stays as it is if anything fails.
    ///
    /// The path has no ending, or `.addax`.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        match ending(path) {
            None | Some("addax") => {}
            Some(other) => {
                return Err(unknown_ending(path, other, "a folder: give a name without ending, or `.addax`"));
            }
        }
        let optimizer = match &self.compiled {
            Some(compiled) => arrays(&compiled.optimizer().variables())?,
            None => Vec::new(),
        };
        let model = ModelDir {
            config: self.config()?,
            weights: self.weights()?,
            optimizer,
            state: self.training_state()?,
            ..ModelDir::default()
        };
        model.save(path)
    }
    /// Loads the model that [`save`](Model::save) wrote. Models with layers of your own need a [`loader`](Model::loader).
    pub fn load(path: impl AsRef<Path>) -> Result<Model> {
        Model::loader().load(path)
    }
    /// Loads models with layers of your own, or files with other limits.
    pub fn loader() -> Loader {
        let mut registry = Registry::default();
        chain::register(&mut registry);
        Loader { registry, options: ReadOptions::default() }
    }
    /// Saves the weights alone, by path (`dense/kernel`), in the safetensors format. The path ends in `.safetensors`.
    pub fn save_weights(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = safetensors(path.as_ref())?;
        Weights::new(self.weights()?).save(path)
    }
    /// Sets the weights from a file that [`save_weights`](Model::save_weights) wrote. Every weight must be there and fit;
    /// otherwise nothing changes.
    pub fn load_weights(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = safetensors(path.as_ref())?;
        let weights = Weights::load(path)?.arrays;
        self.set_all_weights(&weights).map_err(|e| in_file(e, path))
    }
    /// The layers as Keras' JSON, without weights and without how the model is trained.
    pub fn to_json(&self) -> Result<String> {
        json::to_pretty(&self.chain.to_model_json(self.name())?)
    }
    /// A model from what [`to_json`](Model::to_json) wrote, with new weights.
    pub fn from_json(text: &str) -> Result<Model> {
        Model::loader().from_json(text)
    }

    fn config(&self) -> Result<Json> {
        let mut config = self.chain.to_model_json(self.name())?;
        if let (Some(compiled), Json::Object(map)) = (&self.compiled, &mut config) {
            map.insert("compile_config".into(), compiled.to_json()?);
        }
        Ok(config)
    }
    /// What the random layers and the order of rows go on from.
    fn training_state(&self) -> Result<Json> {
        let key: Vec<u32> = self.key().value().to_vec()?;
        let seed = self.seed();
        Ok(json!({
            "epochs": self.epochs, "random_key": key, "seed": seed.value, "seed_chosen": seed.chosen, "trained": self.touched,
        }))
    }
    fn set_all_weights(&mut self, weights: &[(String, Array)]) -> Result<()> {
        let known = self.variables()?;
        let missing: Vec<&str> =
            known.iter().map(|(path, _)| path.as_str()).filter(|p| !weights.iter().any(|(q, _)| p == q)).collect();
        if !missing.is_empty() {
            return Err(Error::format(format!(
                "{} of the model's {} weights are missing: {}",
                missing.len(),
                known.len(),
                missing.join(", ")
            )));
        }
        self.set_weights(weights)
    }
    fn restore_training(&mut self, optimizer: Vec<(String, Array)>, state: &Json) -> Result<()> {
        self.epochs = state.get("epochs").and_then(Json::as_u64).unwrap_or(0);
        self.touched = state.get("trained").and_then(Json::as_bool).unwrap_or(true);
        let key = state.get("random_key").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let key: Option<Vec<u32>> = key.iter().map(|k| u32::try_from(k.as_u64()?).ok()).collect();
        if let Some([low, high, step]) = key.as_deref() {
            self.key().assign(&Tensor::from_vec([*low, *high, *step], [3]))?;
        }
        if self.compiled.is_some() && !optimizer.is_empty() {
            self.prepare_training()?;
            self.compiled()?.optimizer().restore(&in_order(optimizer)?)?;
        }
        Ok(())
    }
}

/// Reads models; see [`Model::loader`].
///
/// ```no_run
/// use addax::{layers::{Cx, Dense, Fields, Layer}, prelude::*};
///
/// #[derive(Fields)]
/// #[fields(package = "shop")]
/// struct Doubled { inner: Dense }
/// impl Layer for Doubled {
///     type In = Tensor;
///     type Out = Tensor;
///     fn forward(&self, x: Tensor, cx: &mut Cx) -> addax::Result<Tensor> {
///         Ok(cx.call(&self.inner, &x)? * 2.0)
///     }
/// }
/// let model = Model::loader().register::<Doubled>().load("shop")?;
/// # Ok::<(), addax::Error>(())
/// ```
pub struct Loader {
    registry: Registry,
    options: ReadOptions,
}

impl Loader {
    /// Makes a layer of your own known.
    pub fn register<L: Layer + Field + 'static>(mut self) -> Self {
        self.registry.register::<L>();
        self
    }
    /// How far files are trusted.
    pub fn options(mut self, options: ReadOptions) -> Self {
        self.options = options;
        self
    }
    /// Reads a model with its weights, ready to predict; compiled if it was. A file that is damaged, truncated or of
    /// another program is an error that names it.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Model> {
        let path = path.as_ref();
        if let Some(other @ ("keras" | "h5")) = ending(path) {
            return Err(unknown_ending(path, other, "model folders; Keras' own files cannot be read yet"));
        }
        let ModelDir { config, weights, optimizer, state, .. } = ModelDir::load_with(path, &self.options)?;
        self.model(&config, Some((weights, optimizer, state))).map_err(|e| in_file(e, path))
    }
    /// A model from Keras' JSON, with new weights.
    pub fn from_json(&self, text: &str) -> Result<Model> {
        let config = json::parse("the model's JSON", text.as_bytes(), &self.options)?;
        self.model(&config, None)
    }

    fn model(&self, config: &Json, parts: Option<Parts>) -> Result<Model> {
        let mut reader = Reader::new(&self.registry);
        let chain = Chain::from_model_json(config, &mut reader)?;
        let mut warnings = reader.warnings().to_vec();
        let mut model = Model::from_chain(chain);
        if let Some((_, _, state)) = &parts
            && let Some(value) = state.get("seed").and_then(Json::as_u64)
        {
            let chosen = state.get("seed_chosen").and_then(Json::as_bool).unwrap_or(false);
            model.seed = OnceLock::from(Seed { value, told: value, chosen });
        }
        if let Some((weights, ..)) = &parts {
            model.set_all_weights(weights)?;
        }
        if let Some(compile) = config.get("compile_config").filter(|c| c.as_object().is_some_and(|c| !c.is_empty())) {
            model.compile_with(compiled(compile, &mut warnings)?)?;
        }
        if let Some((_, optimizer, state)) = parts {
            model.restore_training(optimizer, &state)?;
        }
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(model)
    }
}

/// Weights, optimizer, training state.
type Parts = (Vec<(String, Array)>, Vec<(String, Array)>, Json);

/// From Keras' `compile_config`.
fn compiled(config: &Json, warnings: &mut Vec<String>) -> Result<Compiled> {
    let (optimizer, notes) = optimizer_from_config(config.get("optimizer").unwrap_or(&Json::Null))?;
    warnings.extend(notes);
    let loss = match config.get("loss").filter(|l| !l.is_null()) {
        Some(json) => {
            let (loss, notes) = loss_from_config(json)?;
            warnings.extend(notes);
            Some(loss)
        }
        None => None,
    };
    let mut metrics = Vec::new();
    for (key, weighted) in [("metrics", false), ("weighted_metrics", true)] {
        for json in config.get(key).and_then(Json::as_array).into_iter().flatten() {
            metrics.push(MetricSlot::new(Source::Json(json.clone()), weighted)?);
        }
    }
    let auto = config.get("auto_scale_loss").and_then(Json::as_bool).unwrap_or(true);
    Ok(Compiled::new(optimizer, loss, metrics)?.auto_scale_loss(auto))
}

/// Values of an optimizer's variables, numbered in Keras' order.
fn arrays(variables: &[Variable]) -> Result<Vec<(String, Array)>> {
    variables.iter().enumerate().map(|(i, v)| Ok((format!("vars/{i}"), v.value().to_array()?))).collect()
}

/// The arrays by their numbers.
fn in_order(arrays: Vec<(String, Array)>) -> Result<Vec<Array>> {
    let mut numbered = Vec::with_capacity(arrays.len());
    for (name, array) in arrays {
        let number = name.strip_prefix("vars/").and_then(|n| n.parse::<usize>().ok());
        let number =
            number.ok_or_else(|| Error::format(format!("the optimizer's variable \"{name}\" is not numbered")))?;
        numbered.push((number, array));
    }
    numbered.sort_by_key(|(number, _)| *number);
    Ok(numbered.into_iter().map(|(_, array)| array).collect())
}

fn ending(path: &Path) -> Option<&str> {
    path.extension().and_then(|e| e.to_str())
}

fn unknown_ending(path: &Path, ending: &str, what: &str) -> Error {
    let keras = if matches!(ending, "keras" | "h5") {
        " (`.keras` needs a writer of HDF5, which is not built yet)"
    } else {
        ""
    };
    Error::argument(format!("{}: no model format ends in `.{ending}`{keras}; Addax uses {what}", path.display()))
}

pub(crate) fn safetensors(path: &Path) -> Result<&Path> {
    match ending(path) {
        Some("safetensors") => Ok(path),
        other => Err(Error::argument(format!(
            "{}: weights are kept in files that end in `.safetensors`, not `{}`",
            path.display(),
            other.map_or("without ending".into(), |e| format!(".{e}"))
        ))),
    }
}

/// The same error with the file's name.
fn in_file(error: Error, path: &Path) -> Error {
    error.context(path.display())
}
