//! A model: layers, and what training adds to them.

use crate::{
    build::Built,
    chain::{Chain, Input},
    compile::Compiled,
    hints::Hints,
    programs::{Kin, Programs},
    seed::Seed,
};
use addax_callbacks::Console;
use addax_layers::{Policy, Weight, weights};
use addax_tensor::{Array, Device, Error, Result, Tensor, Variable, random};
use std::{
    fmt,
    panic::Location,
    sync::{Arc, OnceLock},
};

/// A neural network: built as a [`Sequential`](crate::Sequential) or [loaded](Model::load) from a file.
///
/// [`compile`](Model::compile) says how it is trained, [`fit`](Model::fit) trains it, [`evaluate`](Model::evaluate)
/// measures it, [`predict`](Model::predict) uses it, [`save`](Model::save) keeps it.
#[derive(Default)]
pub struct Model {
    pub(crate) chain: Chain,
    pub(crate) seed: OnceLock<Seed>,
    pub(crate) built: OnceLock<Result<Built>>,
    /// `U32 [3]`: seed low, seed high, step. What random layers draw from.
    pub(crate) key: OnceLock<Variable>,
    pub(crate) device: OnceLock<Device>,
    /// Those that predict.
    pub(crate) programs: Programs<Kin>,
    pub(crate) compiled: Option<Compiled>,
    pub(crate) hints: Hints,
    pub(crate) console: Option<Console>,
    /// Epochs that this model was trained for, in all calls of `fit`.
    pub(crate) epochs: u64,
    /// Whether the weights are still the first ones.
    pub(crate) touched: bool,
}

impl Model {
    pub(crate) fn from_chain(chain: Chain) -> Model {
        Model { chain, ..Model::default() }
    }
    /// Its name.
    pub fn name(&self) -> &str {
        self.chain.base.name().unwrap_or("sequential")
    }
    /// In which types its layers compute and keep weights, those that were not told themselves.
    pub fn policy(&self) -> Result<Policy> {
        Ok(self.chain.base.policy()?.unwrap_or_default())
    }
    /// The device it runs on: the default one at the time of the first use.
    pub fn device(&self) -> Result<Device> {
        if let Some(device) = self.device.get() {
            return Ok(device.clone());
        }
        let device = Device::try_default()?;
        Ok(self.device.get_or_init(|| device).clone())
    }
    /// Makes it run on this device from now on. Weights move there with the next step.
    pub fn set_device(&mut self, device: &Device) {
        self.device = OnceLock::from(device.clone());
        self.programs.clear();
        if let Some(compiled) = &mut self.compiled {
            (compiled.train, compiled.test) = (None, None);
        }
    }
    /// Sends the text that training, evaluation and prediction print to another place than standard output, and the hints of
    /// silent runs to another place than standard error.
    pub fn set_console(&mut self, console: Console) {
        self.console = Some(console);
    }
    pub(crate) fn seed(&self) -> Seed {
        *self.seed.get_or_init(Seed::next)
    }
    /// The variable that random layers draw from.
    pub(crate) fn key(&self) -> &Variable {
        self.key.get_or_init(|| Variable::state(random::key(self.seed().value, 0)).named("random_key"))
    }
    /// The input, which must be known by now.
    pub(crate) fn input(&self) -> Result<&Input> {
        self.chain.input.get().ok_or_else(|| {
            Error::argument(
                "the model does not know the shape of its input; give it with `.input([28, 28, 1])`, without the batch",
            )
        })
    }

    /// Every weight and state with its path, in the order of the layers, each once.
    pub(crate) fn slots(&self) -> Result<Vec<(String, &Weight)>> {
        self.build()?;
        let mut found: Vec<(String, &Weight)> = Vec::new();
        for (layer, name) in self.chain.layers.iter().zip(self.chain.names()?) {
            for w in weights(&**layer) {
                let known = found.iter().any(|(_, other)| other.variable() == w.weight.variable());
                if !known {
                    found.push((format!("{name}/{}", w.name), w.weight));
                }
            }
        }
        Ok(found)
    }
    /// Variables of all weights and states with their paths.
    pub(crate) fn variables(&self) -> Result<Vec<(String, Variable)>> {
        let slots = self.slots()?;
        Ok(slots.into_iter().filter_map(|(path, w)| Some((path, w.variable()?.clone()))).collect())
    }
    /// The weights that training changes now.
    pub(crate) fn trainable(&self) -> Result<Vec<Variable>> {
        let slots = self.slots()?;
        Ok(slots.iter().filter(|(_, w)| w.is_trainable()).filter_map(|(_, w)| w.variable().cloned()).collect())
    }
    /// Weights and states by path (`dense/kernel`), copied to the host.
    #[track_caller]
    pub fn weights(&self) -> Result<Vec<(String, Array)>> {
        let at = Location::caller();
        self.read_weights().map_err(|e| e.at(at))
    }
    fn read_weights(&self) -> Result<Vec<(String, Array)>> {
        let variables = self.variables()?;
        variables.into_iter().map(|(path, variable)| Ok((path, variable.value().to_array()?))).collect()
    }
    /// Sets weights by path; those that are not named stay. Changes nothing if a path is not known or a shape differs.
    #[track_caller]
    pub fn set_weights(&mut self, weights: &[(String, Array)]) -> Result<()> {
        let at = Location::caller();
        self.variables().and_then(|variables| assign(&variables, weights)).map_err(|e| e.at(at))?;
        self.touched = true;
        Ok(())
    }
    /// Number of numbers in all weights and states.
    pub fn count_params(&self) -> Result<usize> {
        self.variables()?.iter().map(|(_, v)| Ok(v.shape()?.numel())).sum()
    }
    /// Freezes or unfreezes all layers. Call [`compile`](Model::compile) afterwards.
    pub fn set_trainable(&mut self, trainable: bool) {
        addax_layers::set_trainable(&self.chain, trainable);
    }
    /// Freezes or unfreezes one layer, by its name. Call [`compile`](Model::compile) afterwards.
    pub fn set_layer_trainable(&mut self, name: &str, trainable: bool) -> Result<()> {
        let names = self.chain.names()?;
        match names.iter().position(|n| n == name).and_then(|at| self.chain.layers.get(at)) {
            Some(layer) => {
                addax_layers::set_trainable(&**layer, trainable);
                Ok(())
            }
            None => Err(Error::unknown_name("layer", name, names.iter().map(String::as_str))),
        }
    }
    /// Names of the layers, in order.
    pub fn layer_names(&self) -> Result<Vec<String>> {
        self.chain.names()
    }
    /// Gives the model to several owners, who can predict with it from any thread.
    pub fn share(self) -> Arc<Model> {
        Arc::new(self)
    }
}

/// Sets variables by path, all or none.
pub(crate) fn assign(variables: &[(String, Variable)], weights: &[(String, Array)]) -> Result<()> {
    let mut updates = Vec::with_capacity(weights.len());
    for (path, array) in weights {
        let Some((_, variable)) = variables.iter().find(|(known, _)| known == path) else {
            return Err(Error::unknown_name("weight", path, variables.iter().map(|(known, _)| known.as_str())));
        };
        if variable.shape()? != array.shape() {
            return Err(Error::shape(format!(
                "weight \"{path}\" has shape {}, cannot be set to {}",
                variable.shape()?,
                array.shape()
            )));
        }
        updates.push((variable.clone(), Tensor::from_array(array.clone()).cast(variable.dtype()?)));
    }
    addax_tensor::run::step(&[], updates).map(drop)
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Model(\"{}\", {} layers)", self.name(), self.chain.layers.len())
    }
}
