//! Cross-entropies of classes and of truth values.

use super::EPSILON;
use crate::{
    config::Fields,
    formula::Formula,
    ranks::{alike, floats},
};
use addax_tensor::{DType, Error, Result, Shape, Tensor};

/// `-Σ y log p` along `axis`, of labels that are distributions (one-hot vectors).
#[derive(Clone, Debug)]
pub struct CategoricalCrossentropy {
    /// Whether predictions are logits, not probabilities.
    pub from_logits: bool,
    /// How much of a label is spread evenly over all classes.
    pub label_smoothing: f64,
    /// The axis of the classes.
    pub axis: i64,
}

impl Default for CategoricalCrossentropy {
    fn default() -> Self {
        CategoricalCrossentropy { from_logits: false, label_smoothing: 0.0, axis: -1 }
    }
}

impl Formula for CategoricalCrossentropy {
    const CLASS: &'static str = "CategoricalCrossentropy";
    fn values(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let (y, p) = alike(y_true, y_pred)?;
        if y.shape()? != p.shape()? {
            return Err(Error::shape(format!(
                "categorical_crossentropy: labels have shape {}, predictions {}; for labels that are class numbers use \
                 sparse_categorical_crossentropy",
                y_true.shape()?,
                y_pred.shape()?
            )));
        }
        let y = smoothed(y, self.label_smoothing, self.axis)?;
        Ok(-(y * log_probabilities(&p, self.from_logits, self.axis)).sum(self.axis as isize))
    }
    fn fields(&mut self) -> Fields<'_> {
        vec![
            ("from_logits", (&mut self.from_logits).into()),
            ("label_smoothing", (&mut self.label_smoothing).into()),
            ("axis", (&mut self.axis).into()),
        ]
    }
}

/// `-log p[y]` along `axis`, of labels that are class numbers.
#[derive(Clone, Debug)]
pub struct SparseCategoricalCrossentropy {
    /// Whether predictions are logits, not probabilities.
    pub from_logits: bool,
    /// A class whose positions do not count.
    pub ignore_class: Option<i64>,
    /// The axis of the classes.
    pub axis: i64,
}

impl Default for SparseCategoricalCrossentropy {
    fn default() -> Self {
        SparseCategoricalCrossentropy { from_logits: false, ignore_class: None, axis: -1 }
    }
}

impl SparseCategoricalCrossentropy {
    fn kept_classes(&self, classes: &Tensor) -> Option<Tensor> {
        self.ignore_class.map(|ignored| classes.not_equal(ignored))
    }
}

impl Formula for SparseCategoricalCrossentropy {
    const CLASS: &'static str = "SparseCategoricalCrossentropy";
    fn values(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let p = floats(y_pred)?;
        let classes = class_numbers(y_true, &p, self.axis)?;
        let axis = p.shape()?.axis(self.axis as isize)? as isize;
        let here = classes.expand_dims(axis).equal(Tensor::iota(DType::I32, p.shape()?, axis));
        let losses = -here.select(log_probabilities(&p, self.from_logits, self.axis), 0.0).sum(axis);
        Ok(match self.kept_classes(&classes) {
            Some(kept) => kept.select(losses, 0.0),
            None => losses,
        })
    }
    fn kept(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Option<Tensor>> {
        Ok(self.kept_classes(&class_numbers(y_true, &floats(y_pred)?, self.axis)?))
    }
    fn fields(&mut self) -> Fields<'_> {
        vec![
            ("from_logits", (&mut self.from_logits).into()),
            ("ignore_class", (&mut self.ignore_class).into()),
            ("axis", (&mut self.axis).into()),
        ]
    }
}

/// `mean(-y log p - (1 - y) log(1 - p))` along `axis`, of labels that are 0 or 1 (or between).
#[derive(Clone, Debug)]
pub struct BinaryCrossentropy {
    /// Whether predictions are logits, not probabilities.
    pub from_logits: bool,
    /// How far labels are drawn to a half.
    pub label_smoothing: f64,
    /// The axis of the mean.
    pub axis: i64,
}

impl Default for BinaryCrossentropy {
    fn default() -> Self {
        BinaryCrossentropy { from_logits: false, label_smoothing: 0.0, axis: -1 }
    }
}

impl Formula for BinaryCrossentropy {
    const CLASS: &'static str = "BinaryCrossentropy";
    fn values(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let (y, p) = alike(y_true, y_pred)?;
        let y = drawn_to_half(y, self.label_smoothing);
        Ok(binary(&y, &p, self.from_logits).mean(self.axis as isize))
    }
    fn fields(&mut self) -> Fields<'_> {
        vec![
            ("from_logits", (&mut self.from_logits).into()),
            ("label_smoothing", (&mut self.label_smoothing).into()),
            ("axis", (&mut self.axis).into()),
        ]
    }
}

/// The cross-entropy of every truth value.
pub(super) fn binary(y: &Tensor, p: &Tensor, from_logits: bool) -> Tensor {
    if from_logits {
        // -log σ(x) = softplus(-x): neither side cancels, and the gradient is right at 0.
        return y * (-p).softplus() + (1.0 - y) * p.softplus();
    }
    let p = p.clip(EPSILON, 1.0 - EPSILON);
    -(y * p.log() + (1.0 - y) * (1.0 - p).log())
}

/// `y (1 - s) + s / classes`.
pub(super) fn smoothed(y: Tensor, smoothing: f64, axis: i64) -> Result<Tensor> {
    let axis = y.shape()?.axis(axis as isize)?;
    let classes = y.shape()?.get(axis).copied().unwrap_or(1) as f64;
    Ok(if smoothing == 0.0 { y } else { y * (1.0 - smoothing) + smoothing / classes })
}

/// `y (1 - s) + s / 2`.
pub(super) fn drawn_to_half(y: Tensor, smoothing: f64) -> Tensor {
    if smoothing == 0.0 { y } else { y * (1.0 - smoothing) + 0.5 * smoothing }
}

/// Probabilities that sum to 1 and are neither 0 nor 1.
pub(super) fn proper(p: &Tensor, axis: i64) -> Tensor {
    (p / p.sum_keepdims(axis as isize)).clip(EPSILON, 1.0 - EPSILON)
}

fn log_probabilities(p: &Tensor, from_logits: bool, axis: i64) -> Tensor {
    if from_logits { p.log_softmax(axis as isize) } else { proper(p, axis).log() }
}

/// Labels as `I32` class numbers, one for each prediction.
pub(super) fn class_numbers(y_true: &Tensor, y_pred: &Tensor, axis: i64) -> Result<Tensor> {
    let axis = y_pred.shape()?.axis(axis as isize)?;
    let wanted: Shape =
        (0..y_pred.rank()?).filter(|a| *a != axis).map(|a| y_pred.shape().map_or(1, |s| s[a])).collect();
    let column = y_true.rank()? == y_pred.rank()? && y_true.shape()?.get(axis) == Some(&1);
    let labels = if column { y_true.squeeze(axis as isize) } else { y_true.clone() };
    if labels.shape()? != &wanted {
        return Err(Error::shape(format!(
            "labels that are class numbers should have shape {wanted} for predictions of shape {}, got {}; for one-hot \
             labels use categorical_crossentropy",
            y_pred.shape()?,
            y_true.shape()?
        )));
    }
    Ok(labels.cast(DType::I32))
}
