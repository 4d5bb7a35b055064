//! Losses by Keras' names and from Keras' JSON.

use crate::{
    config::{opened, snake},
    formula::Formula,
    formulas as f,
    loss::{Loss, LossOf},
};
use addax_tensor::{Error, Result};
use serde_json::{Map, Value};

type Make = fn(&Map<String, Value>, &mut Vec<String>) -> Result<Box<dyn Loss>>;

fn make<F: Formula>(map: &Map<String, Value>, warnings: &mut Vec<String>) -> Result<Box<dyn Loss>> {
    Ok(Box::new(LossOf::<F>::from_map(map, warnings)?))
}

const KNOWN: [(&str, Make); 18] = [
    (f::SparseCategoricalCrossentropy::CLASS, make::<f::SparseCategoricalCrossentropy>),
    (f::CategoricalCrossentropy::CLASS, make::<f::CategoricalCrossentropy>),
    (f::BinaryCrossentropy::CLASS, make::<f::BinaryCrossentropy>),
    (f::BinaryFocalCrossentropy::CLASS, make::<f::BinaryFocalCrossentropy>),
    (f::CategoricalFocalCrossentropy::CLASS, make::<f::CategoricalFocalCrossentropy>),
    (f::MeanSquaredError::CLASS, make::<f::MeanSquaredError>),
    (f::MeanAbsoluteError::CLASS, make::<f::MeanAbsoluteError>),
    (f::MeanAbsolutePercentageError::CLASS, make::<f::MeanAbsolutePercentageError>),
    (f::MeanSquaredLogarithmicError::CLASS, make::<f::MeanSquaredLogarithmicError>),
    (f::Huber::CLASS, make::<f::Huber>),
    (f::LogCosh::CLASS, make::<f::LogCosh>),
    (f::KLDivergence::CLASS, make::<f::KLDivergence>),
    (f::Poisson::CLASS, make::<f::Poisson>),
    (f::CosineSimilarity::CLASS, make::<f::CosineSimilarity>),
    (f::Hinge::CLASS, make::<f::Hinge>),
    (f::SquaredHinge::CLASS, make::<f::SquaredHinge>),
    (f::CategoricalHinge::CLASS, make::<f::CategoricalHinge>),
    (f::Dice::CLASS, make::<f::Dice>),
];

/// What Keras' short names stand for.
pub(crate) fn long_name(name: &str) -> &str {
    match name {
        "mse" | "MSE" => "mean_squared_error",
        "mae" | "MAE" => "mean_absolute_error",
        "mape" | "MAPE" => "mean_absolute_percentage_error",
        "msle" | "MSLE" => "mean_squared_logarithmic_error",
        "bce" | "BCE" => "binary_crossentropy",
        "kld" | "KLD" => "kl_divergence",
        "logcosh" => "log_cosh",
        other => other,
    }
}

fn find(name: &str) -> Result<Make> {
    let long = long_name(name);
    let found = KNOWN.iter().find(|(class, _)| *class == long || snake(class) == long);
    found.map(|(_, make)| *make).ok_or_else(|| {
        let short = ["mse", "mae", "mape", "msle", "bce", "kld"].map(String::from);
        let names: Vec<String> = KNOWN.iter().map(|(class, _)| snake(class)).chain(short).collect();
        Error::unknown_name("loss", name, names.iter().map(String::as_str))
    })
}

/// The loss with this Keras name (`"mse"`, `"sparse_categorical_crossentropy"`, …) and Keras' defaults: predictions are
/// probabilities, not logits.
///
/// ```
/// use addax_losses::loss;
/// assert_eq!(loss("mse")?.class_name(), "MeanSquaredError");
/// let error = loss("binary_cross_entropy").unwrap_err();
/// assert!(error.to_string().starts_with("unknown loss \"binary_cross_entropy\"; did you mean \"binary_crossentropy\""));
/// # Ok::<(), addax_tensor::Error>(())
/// ```
pub fn loss(name: &str) -> Result<Box<dyn Loss>> {
    find(name)?(&Map::new(), &mut Vec::new())
}

/// The loss that Keras' JSON describes (or names), and a warning for every setting that is not known.
pub fn loss_from_config(json: &Value) -> Result<(Box<dyn Loss>, Vec<String>)> {
    match opened("loss", json)? {
        (name, None) => Ok((loss(name)?, Vec::new())),
        (class, Some(map)) => {
            let mut warnings = Vec::new();
            let loss = find(class)?(map, &mut warnings)?;
            Ok((loss, warnings))
        }
    }
}

/// A loss or its name: what functions that take either ask for (`impl Into<LossChoice>`). An unknown name is reported when
/// the loss is taken out with [`get`](LossChoice::get).
#[derive(Debug)]
pub struct LossChoice(Result<Box<dyn Loss>>);

impl LossChoice {
    /// The loss, or why there is none.
    pub fn get(self) -> Result<Box<dyn Loss>> {
        self.0
    }
}
impl From<&str> for LossChoice {
    fn from(name: &str) -> Self {
        LossChoice(loss(name))
    }
}
impl<L: Loss + 'static> From<L> for LossChoice {
    fn from(loss: L) -> Self {
        LossChoice(Ok(Box::new(loss)))
    }
}
