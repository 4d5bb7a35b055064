//! Metrics: numbers that grow batch by batch, in state on the device.
//!
//! A metric never reads anything back: [`Metric::update`] returns new values of its state as tensor expressions, which a
//! training step commits together with its own.
//!
//! Counts stay right for any epoch: samples, and right answers of unweighted accuracies, are counted in `u32` (exact up to
//! 4,294,967,295). Sums of other values are added batch by batch in `f32`: each addition rounds by at most 6e-8 of the total,
//! and there is no number of samples (2^24, if they were added one by one) at which a sum stops growing.

mod auc;
mod confusion;
mod mean;
mod names;

pub use auc::{AUC, Curve};
pub use confusion::{Precision, Recall};
pub use mean::{Mean, MeanOf, Sum};
pub use names::{MetricChoice, metric, metric_from_config};

use crate::formulas;
use addax_tensor::{Result, Tensor, Variable, graph::try_recorded_at, run};
use serde_json::Value;
use std::{fmt, panic::Location};

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// More is better: accuracies.
    Up,
    /// Less is better: losses.
    Down,
}

/// New values that become the variables' when a step commits.
pub type Updates = Vec<(Variable, Tensor)>;

/// A metric.
pub trait Metric: fmt::Debug + Send + Sync {
    /// Name of this instance: the key in logs.
    fn name(&self) -> &str;
    /// Another name.
    fn set_name(&mut self, name: String);
    /// Keras' class name.
    fn class_name(&self) -> &str;
    /// Which way is better, if that is known.
    fn direction(&self) -> Option<Direction>;
    /// Its state. All of it is zeros at first.
    fn variables(&self) -> Vec<Variable>;
    /// The state after one more batch, from the state before; `state` is that of [`variables`](Metric::variables). Weights
    /// are one per sample or per value; masks go in as weights ([`mask_as_weight`](crate::mask_as_weight)).
    fn next(&self, state: &[Tensor], y_true: &Tensor, y_pred: &Tensor, weight: Option<&Tensor>) -> Result<Vec<Tensor>>;
    /// The metric's value, an `F32` scalar, at this state; 0 before the first batch.
    fn value(&self, state: &[Tensor]) -> Result<Tensor>;
    /// Keras' JSON: class and settings that differ from the defaults.
    fn config(&self) -> Value;

    /// What one more batch changes. Use it once per step: it starts from the state that was committed last.
    #[track_caller]
    fn update(&self, y_true: &Tensor, y_pred: &Tensor, weight: Option<&Tensor>) -> Result<Updates> {
        Ok(self.observe(y_true, y_pred, weight)?.0)
    }
    /// [`update`](Metric::update), and the metric's value after it, for the logs of the same step.
    #[track_caller]
    fn observe(&self, y_true: &Tensor, y_pred: &Tensor, weight: Option<&Tensor>) -> Result<(Updates, Tensor)> {
        let recording = || {
            let (variables, old) = (self.variables(), self.state());
            let new = self.next(&old, y_true, y_pred, weight)?;
            let value = self.value(&new)?;
            let changed = variables.into_iter().zip(new).zip(&old).filter(|((_, new), old)| !new.same(old));
            Ok((changed.map(|(update, _)| update).collect(), value))
        };
        try_recorded_at(Location::caller(), recording)
    }
    /// The state that was committed last.
    fn state(&self) -> Vec<Tensor> {
        self.variables().iter().map(Variable::value).collect()
    }
    /// The metric's value at the state that was committed last, lazy.
    fn result(&self) -> Result<Tensor> {
        self.value(&self.state())
    }
    /// Forgets all batches, as updates.
    fn resets(&self) -> Updates {
        self.variables().into_iter().map(|v| (v.clone(), v.value().zeros_like())).collect()
    }
    /// Forgets all batches, now.
    fn reset(&self) -> Result<()> {
        run::step(&[], self.resets()).map(drop)
    }
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident = $formula:ident),* $(,)?) => {
        $($(#[$doc])* pub type $name = MeanOf<formulas::$formula>;)*
    };
}
metrics! {
    /// How often predictions equal labels.
    Accuracy = Accuracy,
    /// How often predictions, rounded at a threshold, equal labels 0 and 1.
    BinaryAccuracy = BinaryAccuracy,
    /// How often the most probable class is that of the one-hot label.
    CategoricalAccuracy = CategoricalAccuracy,
    /// How often the most probable class is the label's number.
    SparseCategoricalAccuracy = SparseCategoricalAccuracy,
    /// How often the class of the one-hot label is among the most probable.
    TopKCategoricalAccuracy = TopKCategoricalAccuracy,
    /// How often the label's number is among the most probable classes.
    SparseTopKCategoricalAccuracy = SparseTopKCategoricalAccuracy,
    /// Mean squared error.
    MeanSquaredError = MeanSquaredError,
    /// Root of the mean squared error.
    RootMeanSquaredError = RootMeanSquaredError,
    /// Mean absolute error.
    MeanAbsoluteError = MeanAbsoluteError,
    /// Mean absolute error in percent of the label.
    MeanAbsolutePercentageError = MeanAbsolutePercentageError,
    /// Mean squared error of logarithms.
    MeanSquaredLogarithmicError = MeanSquaredLogarithmicError,
    /// Mean logarithm of the hyperbolic cosine of the error.
    LogCoshError = LogCosh,
    /// Mean Huber loss.
    Huber = Huber,
    /// Mean cosine of the angle; 1 is best, unlike in the loss.
    CosineSimilarity = Cosine,
    /// Mean cross-entropy of labels 0 and 1.
    BinaryCrossentropy = BinaryCrossentropy,
    /// Mean cross-entropy of one-hot labels.
    CategoricalCrossentropy = CategoricalCrossentropy,
    /// Mean cross-entropy of class numbers.
    SparseCategoricalCrossentropy = SparseCategoricalCrossentropy,
    /// Mean focal cross-entropy of labels 0 and 1.
    BinaryFocalCrossentropy = BinaryFocalCrossentropy,
    /// Mean focal cross-entropy of one-hot labels.
    CategoricalFocalCrossentropy = CategoricalFocalCrossentropy,
    /// Mean Kullback-Leibler divergence.
    KLDivergence = KLDivergence,
    /// Mean Poisson loss.
    Poisson = Poisson,
    /// Mean hinge loss.
    Hinge = Hinge,
    /// Mean squared hinge loss.
    SquaredHinge = SquaredHinge,
    /// Mean hinge loss of one-hot labels.
    CategoricalHinge = CategoricalHinge,
}
