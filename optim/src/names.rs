//! Optimizers by Keras' names and from Keras' JSON.

use crate::{config, engine::Engine, loss_scale::LossScaleOptimizer, optimizer::Optimizer, rule::Rule, rules::*};
use addax_tensor::{Error, Result};
use serde_json::{Map, Value};

type Make = fn(&Map<String, Value>, &mut Vec<String>) -> Result<Box<dyn Optimizer>>;

fn make<R: Rule>(map: &Map<String, Value>, warnings: &mut Vec<String>) -> Result<Box<dyn Optimizer>> {
    Ok(Box::new(Engine::<R>::from_map(map, warnings)?))
}

/// By class name in lower case, as Keras compares them.
const KNOWN: [(&str, Make); 12] = [
    ("adam", make::<AdamRule>),
    ("sgd", make::<SgdRule>),
    ("rmsprop", make::<RmspropRule>),
    ("adamw", make::<AdamWRule>),
    ("adagrad", make::<AdagradRule>),
    ("adadelta", make::<AdadeltaRule>),
    ("adamax", make::<AdamaxRule>),
    ("nadam", make::<NadamRule>),
    ("ftrl", make::<FtrlRule>),
    ("lion", make::<LionRule>),
    ("lamb", make::<LambRule>),
    ("lossscaleoptimizer", |map, warnings| Ok(Box::new(LossScaleOptimizer::from_map(map, warnings)?))),
];

fn find(name: &str) -> Result<Make> {
    let lower = name.to_lowercase();
    let found = KNOWN.iter().find(|(known, _)| *known == lower);
    found.map(|(_, make)| *make).ok_or_else(|| Error::unknown_name("optimizer", name, KNOWN.map(|(n, _)| n)))
}

/// The optimizer with this Keras name (`"adam"`, `"sgd"`, …; case does not matter) and Keras' defaults.
///
/// ```
/// use addax_optim::optimizer;
/// assert_eq!(optimizer("rmsprop")?.learning_rate()?, 0.001);
/// let error = optimizer("rmsprob").unwrap_err();
/// assert_eq!(error.to_string(), "unknown optimizer \"rmsprob\"; did you mean \"rmsprop\"?");
/// # Ok::<(), addax_tensor::Error>(())
/// ```
pub fn optimizer(name: &str) -> Result<Box<dyn Optimizer>> {
    find(name)?(&Map::new(), &mut Vec::new())
}

/// The optimizer that Keras' JSON describes (or names), and a warning for every setting that is not known.
///
/// ```
/// use addax_optim::{Adam, Optimizer, optimizer_from_config};
/// let json = Adam::new(0.01).clipnorm(1.0).config()?;
/// let (opt, warnings) = optimizer_from_config(&json)?;
/// assert_eq!((opt.config()?, warnings.len()), (json, 0));
/// # Ok::<(), addax_tensor::Error>(())
/// ```
pub fn optimizer_from_config(json: &Value) -> Result<(Box<dyn Optimizer>, Vec<String>)> {
    if let Some(name) = json.as_str() {
        return Ok((optimizer(name)?, Vec::new()));
    }
    let (class, map) = config::opened("optimizer", json)?;
    let mut warnings = Vec::new();
    let optimizer = find(class)?(map, &mut warnings)?;
    Ok((optimizer, warnings))
}

/// An optimizer or its name: what functions that take either ask for (`impl Into<OptimizerChoice>`). An unknown name is
/// reported when the optimizer is taken out with [`get`](OptimizerChoice::get).
#[derive(Debug)]
pub struct OptimizerChoice(Result<Box<dyn Optimizer>>);

impl OptimizerChoice {
    /// The optimizer, or why there is none.
    pub fn get(self) -> Result<Box<dyn Optimizer>> {
        self.0
    }
}
impl From<&str> for OptimizerChoice {
    fn from(name: &str) -> Self {
        OptimizerChoice(optimizer(name))
    }
}
impl<O: Optimizer + 'static> From<O> for OptimizerChoice {
    fn from(optimizer: O) -> Self {
        OptimizerChoice(Ok(Box::new(optimizer)))
    }
}
