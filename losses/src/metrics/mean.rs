//! Means and sums over all samples so far.

use super::{Direction, Metric, Updates};
use crate::{
    config::{self, Fields, snake},
    formula::Formula,
    ranks::{floats, weights_for},
};
use addax_tensor::{DType, Error, Result, Tensor, Variable};
use serde_json::{Map, Value};

/// The state of a mean: weighted sum and weights in floats, unweighted answers and samples in whole numbers. The parts that
/// a batch does not touch stay as they are, so they cost nothing.
const STATE: [(&str, DType); 4] =
    [("total", DType::F32), ("count", DType::F32), ("hits", DType::U32), ("seen", DType::U32)];

fn state_variables(metric: &str) -> Vec<Variable> {
    let made =
        |(name, dtype): (&str, DType)| Variable::state(Tensor::full(dtype, (), 0)).named(format!("{metric}/{name}"));
    STATE.into_iter().map(made).collect()
}

fn wrong_state(got: usize) -> Error {
    Error::argument(format!("a mean has a state of {} tensors, got {got}", STATE.len()))
}

/// The state of a mean after these values.
fn add(state: &[Tensor], values: &Tensor, weight: Option<&Tensor>) -> Result<Vec<Tensor>> {
    let [total, count, hits, seen] = state else { return Err(wrong_state(state.len())) };
    let samples = values.shape()?.first().copied().unwrap_or(1);
    Ok(match weight {
        None if values.dtype()? == DType::Bool && values.rank()? <= 1 => {
            let right = values.cast(DType::U32).sum_all();
            vec![total.clone(), count.clone(), hits + right, seen + samples]
        }
        None => {
            let sum = per_sample(&floats(values)?.cast(DType::F32))?.sum_all();
            vec![total + sum, count.clone(), hits.clone(), seen + samples]
        }
        Some(weight) => {
            let (values, weight) = weighted(&floats(values)?.cast(DType::F32), weight)?;
            vec![total + values.sum_all(), count + weight.sum_all(), hits.clone(), seen.clone()]
        }
    })
}

/// The mean of a state, 0 if it is empty.
fn mean(state: &[Tensor]) -> Result<Tensor> {
    let [total, count, hits, seen] = state else { return Err(wrong_state(state.len())) };
    let (total, count) = (total + hits.cast(DType::F32), count + seen.cast(DType::F32));
    let empty = count.equal(0.0);
    Ok(empty.select(0.0, total / empty.select(1.0, &count)))
}

/// The mean of what belongs to one sample.
fn per_sample(values: &Tensor) -> Result<Tensor> {
    match values.rank()? {
        0 | 1 => Ok(values.clone()),
        rank => Ok(values.mean((1..rank).collect::<Vec<usize>>())),
    }
}

/// Weighted values and weights, both one per sample.
fn weighted(values: &Tensor, weight: &Tensor) -> Result<(Tensor, Tensor)> {
    let (mut values, mut weight) = (values.clone(), weight.cast(DType::F32));
    // A column of weights, or of values, is a vector.
    if values.rank()? == 1 && weight.rank()? == 2 && weight.shape()?.last() == Some(&1) {
        weight = weight.squeeze(-1);
    }
    let axes: Vec<usize> = (weight.rank()?..values.rank()?).collect();
    if !axes.is_empty() {
        values = values.mean(axes);
    }
    let (values, weight) = weights_for(&values, &weight)?;
    let weight = weight.broadcast_to(values.shape()?);
    Ok((per_sample(&(&values * &weight))?, per_sample(&weight)?))
}

/// A formula's mean over all samples so far; see [`SparseCategoricalAccuracy`](super::SparseCategoricalAccuracy), ….
///
/// ```
/// use addax_losses::metrics::{BinaryAccuracy, Metric};
/// use addax_tensor::Tensor;
/// let accuracy = BinaryAccuracy::new();
/// let (y, p) = (Tensor::from_vec([1.0f32, 0.0], [2, 1]), Tensor::from_vec([0.9f32, 0.8], [2, 1]));
/// for (variable, value) in accuracy.update(&y, &p, None)? {
///     variable.assign(&value)?;
/// }
/// assert_eq!(accuracy.result()?.item::<f32>()?, 0.5);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[derive(Debug)]
pub struct MeanOf<F: Formula> {
    pub(crate) formula: F,
    name: String,
    state: Vec<Variable>,
}

impl<F: Formula> From<F> for MeanOf<F> {
    fn from(formula: F) -> Self {
        let name = if F::METRIC_NAME.is_empty() { snake(F::METRIC) } else { F::METRIC_NAME.to_string() };
        MeanOf { formula, state: state_variables(&name), name }
    }
}
impl<F: Formula> Default for MeanOf<F> {
    fn default() -> Self {
        MeanOf::from(F::default())
    }
}

impl<F: Formula> MeanOf<F> {
    /// With Keras' defaults.
    pub fn new() -> Self {
        Self::default()
    }
    /// Name of this instance (default: the class in snake case).
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
    pub(super) fn from_map(map: &Map<String, Value>, warnings: &mut Vec<String>) -> Result<Self> {
        let mut metric = Self::default();
        let mut fields: Fields<'_> = vec![("name", (&mut metric.name).into())];
        fields.extend(metric.formula.fields());
        config::assign(F::METRIC, fields, map, warnings)?;
        Ok(metric)
    }
}

impl<F: Formula> Metric for MeanOf<F> {
    fn name(&self) -> &str {
        &self.name
    }
    fn set_name(&mut self, name: String) {
        self.name = name;
    }
    fn class_name(&self) -> &str {
        F::METRIC
    }
    fn direction(&self) -> Option<Direction> {
        F::DIRECTION
    }
    fn variables(&self) -> Vec<Variable> {
        self.state.clone()
    }
    fn next(&self, state: &[Tensor], y_true: &Tensor, y_pred: &Tensor, weight: Option<&Tensor>) -> Result<Vec<Tensor>> {
        let values = self.formula.values(y_true, y_pred)?;
        match self.formula.kept(y_true, y_pred)? {
            Some(kept) => add(state, &values, Some(&crate::mask_as_weight(&kept, weight)?)),
            None => add(state, &values, weight),
        }
    }
    fn value(&self, state: &[Tensor]) -> Result<Tensor> {
        Ok(self.formula.finish(mean(state)?))
    }
    fn config(&self) -> Value {
        let (mut formula, mut default) = (self.formula.clone(), F::default());
        let mut map = Map::new();
        map.insert("name".into(), self.name.clone().into());
        map.extend(config::differing(formula.fields(), default.fields()));
        config::envelope("keras.metrics", F::METRIC, map)
    }
}

/// The mean of values that are no function of labels and predictions, such as losses: weight a batch's mean by its size.
#[derive(Debug)]
pub struct Mean {
    name: String,
    state: Vec<Variable>,
}

impl Mean {
    /// With this name.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Mean { state: state_variables(&name), name }
    }
    /// Name of this instance.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Its state, zeros at first.
    pub fn variables(&self) -> Vec<Variable> {
        self.state.clone()
    }
    /// What these values change, and the mean after them. Weights are one per sample or per value, or a scalar for a scalar.
    pub fn observe(&self, values: &Tensor, weight: Option<&Tensor>) -> Result<(Updates, Tensor)> {
        let old: Vec<Tensor> = self.state.iter().map(Variable::value).collect();
        let new = add(&old, values, weight)?;
        let value = mean(&new)?;
        let changed = self.state.iter().cloned().zip(new).zip(&old).filter(|((_, new), old)| !new.same(old));
        Ok((changed.map(|(update, _)| update).collect(), value))
    }
    /// The mean of what was committed, lazy.
    pub fn result(&self) -> Result<Tensor> {
        mean(&self.state.iter().map(Variable::value).collect::<Vec<_>>())
    }
    /// Forgets all values, now.
    pub fn reset(&self) -> Result<()> {
        self.state.iter().try_for_each(|v| v.assign(&v.value().zeros_like()))
    }
}

/// The weighted sum of values.
#[derive(Debug)]
pub struct Sum {
    name: String,
    total: Variable,
}

impl Sum {
    /// With this name.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Sum { total: Variable::state(Tensor::scalar(0.0)).named(format!("{name}/total")), name }
    }
    /// Name of this instance.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Its state, a zero at first.
    pub fn variables(&self) -> Vec<Variable> {
        vec![self.total.clone()]
    }
    /// What these values change, and the sum after them.
    pub fn observe(&self, values: &Tensor, weight: Option<&Tensor>) -> Result<(Updates, Tensor)> {
        let mut values = floats(values)?.cast(DType::F32);
        if let Some(weight) = weight {
            let (aligned, weight) = weights_for(&values, weight)?;
            values = aligned * weight;
        }
        let total = self.total.value() + values.sum_all();
        Ok((vec![(self.total.clone(), total.clone())], total))
    }
    /// The sum of what was committed.
    pub fn result(&self) -> Tensor {
        self.total.value()
    }
    /// Forgets all values, now.
    pub fn reset(&self) -> Result<()> {
        self.total.assign(&Tensor::scalar(0.0))
    }
}
