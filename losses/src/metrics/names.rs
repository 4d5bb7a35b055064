//! Metrics by Keras' names and from Keras' JSON.

use super::{AUC, Direction, MeanOf, Metric, Precision, Recall};
use crate::{
    config::{opened, snake},
    formula::Formula,
    formulas as f,
    names::long_name,
};
use addax_tensor::{Error, Result, Shape};
use serde_json::{Map, Value};

type Make = fn(&Map<String, Value>, &mut Vec<String>) -> Result<Box<dyn Metric>>;

fn mean<F: Formula>(map: &Map<String, Value>, warnings: &mut Vec<String>) -> Result<Box<dyn Metric>> {
    Ok(Box::new(MeanOf::<F>::from_map(map, warnings)?))
}

const KNOWN: [(&str, Make); 27] = [
    ("Accuracy", mean::<f::Accuracy>),
    ("BinaryAccuracy", mean::<f::BinaryAccuracy>),
    ("CategoricalAccuracy", mean::<f::CategoricalAccuracy>),
    ("SparseCategoricalAccuracy", mean::<f::SparseCategoricalAccuracy>),
    ("TopKCategoricalAccuracy", mean::<f::TopKCategoricalAccuracy>),
    ("SparseTopKCategoricalAccuracy", mean::<f::SparseTopKCategoricalAccuracy>),
    ("MeanSquaredError", mean::<f::MeanSquaredError>),
    ("RootMeanSquaredError", mean::<f::RootMeanSquaredError>),
    ("MeanAbsoluteError", mean::<f::MeanAbsoluteError>),
    ("MeanAbsolutePercentageError", mean::<f::MeanAbsolutePercentageError>),
    ("MeanSquaredLogarithmicError", mean::<f::MeanSquaredLogarithmicError>),
    ("LogCoshError", mean::<f::LogCosh>),
    ("Huber", mean::<f::Huber>),
    ("CosineSimilarity", mean::<f::Cosine>),
    ("BinaryCrossentropy", mean::<f::BinaryCrossentropy>),
    ("CategoricalCrossentropy", mean::<f::CategoricalCrossentropy>),
    ("SparseCategoricalCrossentropy", mean::<f::SparseCategoricalCrossentropy>),
    ("BinaryFocalCrossentropy", mean::<f::BinaryFocalCrossentropy>),
    ("CategoricalFocalCrossentropy", mean::<f::CategoricalFocalCrossentropy>),
    ("KLDivergence", mean::<f::KLDivergence>),
    ("Poisson", mean::<f::Poisson>),
    ("Hinge", mean::<f::Hinge>),
    ("SquaredHinge", mean::<f::SquaredHinge>),
    ("CategoricalHinge", mean::<f::CategoricalHinge>),
    ("Precision", |map, warnings| Ok(Box::new(Precision::from_map(map, warnings)?))),
    ("Recall", |map, warnings| Ok(Box::new(Recall::from_map(map, warnings)?))),
    ("AUC", |map, warnings| Ok(Box::new(AUC::from_map(map, warnings)?))),
];

fn find(name: &str) -> Result<Make> {
    let long = match name {
        "log_cosh" | "logcosh" | "LogCosh" => "LogCoshError",
        other => long_name(other),
    };
    let found = KNOWN.iter().find(|(class, _)| *class == long || snake(class) == long);
    found.map(|(_, make)| *make).ok_or_else(|| {
        let names: Vec<String> =
            KNOWN.iter().map(|(class, _)| snake(class)).chain(["mse", "mae", "acc"].map(String::from)).collect();
        Error::unknown_name("metric", name, names.iter().map(String::as_str))
    })
}

/// The metric with this Keras name, for labels and predictions of these shapes. `"accuracy"` (or `"acc"`) is binary for
/// predictions with one column, sparse for labels with fewer axes or one column, else categorical. Its name is the one given.
///
/// ```
/// use addax_losses::metrics::metric;
/// let accuracy = metric("accuracy", &[128].into(), &[128, 10].into())?;
/// assert_eq!((accuracy.name(), accuracy.class_name()), ("accuracy", "SparseCategoricalAccuracy"));
/// # Ok::<(), addax_tensor::Error>(())
/// ```
pub fn metric(name: &str, y_true: &Shape, y_pred: &Shape) -> Result<Box<dyn Metric>> {
    let make = match name.to_lowercase().as_str() {
        "accuracy" | "acc" => {
            let (true_last, pred_last) = (y_true.last().copied(), y_pred.last().copied());
            find(match pred_last {
                Some(1) => "BinaryAccuracy",
                _ if y_true.rank() < y_pred.rank() || true_last == Some(1) => "SparseCategoricalAccuracy",
                _ => "CategoricalAccuracy",
            })?
        }
        _ => find(name)?,
    };
    let mut metric = make(&Map::new(), &mut Vec::new())?;
    metric.set_name(name.to_string());
    Ok(metric)
}

/// The metric that Keras' JSON describes (or names, see [`metric`]), and a warning for every setting that is not known.
pub fn metric_from_config(json: &Value, y_true: &Shape, y_pred: &Shape) -> Result<(Box<dyn Metric>, Vec<String>)> {
    match opened("metric", json)? {
        (name, None) => Ok((metric(name, y_true, y_pred)?, Vec::new())),
        (class, Some(map)) => {
            let mut warnings = Vec::new();
            let metric = find(class)?(map, &mut warnings)?;
            Ok((metric, warnings))
        }
    }
}

/// A metric or its name, which can be found only when shapes are known.
#[derive(Debug)]
pub enum MetricChoice {
    /// A name, see [`metric`].
    Name(String),
    /// A metric.
    Metric(Box<dyn Metric>),
}

impl MetricChoice {
    /// The metric for labels and predictions of these shapes.
    pub fn get(self, y_true: &Shape, y_pred: &Shape) -> Result<Box<dyn Metric>> {
        match self {
            MetricChoice::Name(name) => metric(&name, y_true, y_pred),
            MetricChoice::Metric(metric) => Ok(metric),
        }
    }
}
impl From<&str> for MetricChoice {
    fn from(name: &str) -> Self {
        MetricChoice::Name(name.to_string())
    }
}
impl<M: Metric + 'static> From<M> for MetricChoice {
    fn from(metric: M) -> Self {
        MetricChoice::Metric(Box::new(metric))
    }
}

impl Metric for Box<dyn Metric> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn set_name(&mut self, name: String) {
        (**self).set_name(name);
    }
    fn class_name(&self) -> &str {
        (**self).class_name()
    }
    fn direction(&self) -> Option<Direction> {
        (**self).direction()
    }
    fn variables(&self) -> Vec<addax_tensor::Variable> {
        (**self).variables()
    }
    fn next(
        &self,
        state: &[addax_tensor::Tensor],
        y_true: &addax_tensor::Tensor,
        y_pred: &addax_tensor::Tensor,
        weight: Option<&addax_tensor::Tensor>,
    ) -> Result<Vec<addax_tensor::Tensor>> {
        (**self).next(state, y_true, y_pred, weight)
    }
    fn value(&self, state: &[addax_tensor::Tensor]) -> Result<addax_tensor::Tensor> {
        (**self).value(state)
    }
    fn config(&self) -> Value {
        (**self).config()
    }
}
