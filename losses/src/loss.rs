//! The trait that trainers and users see, and the one implementation for all formulas.

use crate::{
    config::{self, Fields, snake},
    formula::Formula,
    reduction::{Reduction, Sums, reduce, sums},
};
use addax_tensor::{
    Error, Result, Tensor,
    graph::{recorded_at, try_recorded_at},
};
use serde_json::{Map, Value};
use std::{fmt, panic::Location};

/// A loss. Mistakes in shapes come back when the tensor is read or checked, as with all operations.
pub trait Loss: fmt::Debug + Send + Sync {
    /// Name of this instance.
    fn name(&self) -> &str;
    /// Keras' class name.
    fn class_name(&self) -> &str;
    /// How samples become one number.
    fn reduction(&self) -> Reduction;
    /// The loss of every sample (every position, for sequences and images), without weights.
    fn per_sample(&self, y_true: &Tensor, y_pred: &Tensor) -> Tensor;
    /// Where `per_sample` counts (`Bool`), if not everywhere: `ignore_class`.
    fn kept(&self, _y_true: &Tensor, _y_pred: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }
    /// Keras' JSON: class and settings that differ from the defaults.
    fn config(&self) -> Value;

    /// The loss of a batch: a scalar, or one per sample without reduction.
    #[track_caller]
    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Tensor {
        self.weighted(y_true, y_pred, None, None)
    }
    /// The loss with weights, one per sample or per value, and a mask, true where a value counts. With the default reduction
    /// weights are not in the divisor, but masked values are in neither.
    #[track_caller]
    fn weighted(&self, y_true: &Tensor, y_pred: &Tensor, weight: Option<&Tensor>, mask: Option<&Tensor>) -> Tensor {
        let recording = || {
            let values = self.per_sample(y_true, y_pred);
            let mask = joined(mask, self.kept(y_true, y_pred)?)?;
            reduce(&values, weight, mask.as_ref(), self.reduction())
        };
        let origin = Location::caller();
        recorded_at(origin, || recording().unwrap_or_else(|e| Tensor::error(e, origin)))
    }
    /// The loss with weights and mask as sum and divisor, which add up over the parts of a split batch.
    #[track_caller]
    fn sums(&self, y_true: &Tensor, y_pred: &Tensor, weight: Option<&Tensor>, mask: Option<&Tensor>) -> Result<Sums> {
        let recording = || {
            let mask = joined(mask, self.kept(y_true, y_pred)?)?;
            sums(&self.per_sample(y_true, y_pred), weight, mask.as_ref(), self.reduction())
        };
        try_recorded_at(Location::caller(), recording)
    }
}

/// Both masks, or the one there is.
fn joined(mask: Option<&Tensor>, kept: Option<Tensor>) -> Result<Option<Tensor>> {
    match (mask, kept) {
        (Some(mask), Some(kept)) if mask.shape()? != kept.shape()? => Err(Error::shape(format!(
            "a mask of shape {} does not fit losses of shape {}",
            mask.shape()?,
            kept.shape()?
        ))),
        (Some(mask), Some(kept)) => Ok(Some(mask.cast(addax_tensor::DType::Bool).logical_and(kept))),
        (mask, kept) => Ok(mask.cloned().or(kept)),
    }
}

impl<L: Loss + ?Sized> Loss for Box<L> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn class_name(&self) -> &str {
        (**self).class_name()
    }
    fn reduction(&self) -> Reduction {
        (**self).reduction()
    }
    #[track_caller]
    fn per_sample(&self, y_true: &Tensor, y_pred: &Tensor) -> Tensor {
        recorded_at(Location::caller(), || (**self).per_sample(y_true, y_pred))
    }
    fn kept(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Option<Tensor>> {
        (**self).kept(y_true, y_pred)
    }
    fn config(&self) -> Value {
        (**self).config()
    }
}

/// A formula as a loss; see [`SparseCategoricalCrossentropy`](crate::SparseCategoricalCrossentropy),
/// [`MeanSquaredError`](crate::MeanSquaredError), ….
#[derive(Clone, Debug)]
pub struct LossOf<F: Formula> {
    pub(crate) formula: F,
    name: String,
    reduction: Result<Reduction>,
}

impl<F: Formula> From<F> for LossOf<F> {
    fn from(formula: F) -> Self {
        let name = if F::NAME.is_empty() { snake(F::CLASS) } else { F::NAME.to_string() };
        LossOf { formula, name, reduction: Ok(Reduction::default()) }
    }
}
impl<F: Formula> Default for LossOf<F> {
    fn default() -> Self {
        LossOf::from(F::default())
    }
}

impl<F: Formula> LossOf<F> {
    /// With Keras' defaults.
    pub fn new() -> Self {
        Self::default()
    }
    /// Name of this instance (default: the class in snake case).
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
    /// How samples become one number, as a [`Reduction`] or Keras' name of it. An unknown name fails at the first use.
    pub fn reduction(mut self, reduction: impl IntoReduction) -> Self {
        self.reduction = reduction.into_reduction();
        self
    }
    /// What it measures.
    pub fn formula(&self) -> &F {
        &self.formula
    }
    pub(crate) fn from_map(map: &Map<String, Value>, warnings: &mut Vec<String>) -> Result<Self> {
        let mut loss = Self::default();
        let mut reduction = Reduction::default().name().to_string();
        let mut fields: Fields<'_> = vec![("name", (&mut loss.name).into()), ("reduction", (&mut reduction).into())];
        fields.extend(loss.formula.fields());
        config::assign(F::CLASS, fields, map, warnings)?;
        // Keras writes the reduction `None` as null, too.
        let null = map.get("reduction").is_some_and(Value::is_null);
        loss.reduction = Ok(if null { Reduction::None } else { Reduction::parse(&reduction)? });
        Ok(loss)
    }
}

impl<F: Formula> Loss for LossOf<F> {
    fn name(&self) -> &str {
        &self.name
    }
    fn class_name(&self) -> &str {
        F::CLASS
    }
    fn reduction(&self) -> Reduction {
        self.reduction.clone().unwrap_or_default()
    }
    #[track_caller]
    fn per_sample(&self, y_true: &Tensor, y_pred: &Tensor) -> Tensor {
        let origin = Location::caller();
        recorded_at(origin, || {
            let known = self.reduction.as_ref().map_err(Clone::clone);
            let values = known.and_then(|_| self.formula.values(y_true, y_pred));
            values.unwrap_or_else(|e| Tensor::error(e, origin))
        })
    }
    fn kept(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Option<Tensor>> {
        self.formula.kept(y_true, y_pred)
    }
    fn config(&self) -> Value {
        let (mut this, mut default) = (self.clone(), Self::default());
        let mut map = Map::new();
        if this.name != default.name {
            map.insert("name".into(), this.name.clone().into());
        }
        if self.reduction() != Reduction::default() {
            map.insert("reduction".into(), self.reduction().name().into());
        }
        map.extend(config::differing(this.formula.fields(), default.formula.fields()));
        config::envelope("keras.losses", F::CLASS, map)
    }
}

/// A [`Reduction`] or its name.
pub trait IntoReduction {
    /// The reduction, or why there is none.
    fn into_reduction(self) -> Result<Reduction>;
}
impl IntoReduction for Reduction {
    fn into_reduction(self) -> Result<Reduction> {
        Ok(self)
    }
}
impl IntoReduction for &str {
    fn into_reduction(self) -> Result<Reduction> {
        Reduction::parse(self)
    }
}
