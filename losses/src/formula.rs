//! What a loss or metric measures, apart from how samples become one number.

use crate::{config::Fields, metrics::Direction};
use addax_tensor::{Result, Tensor};
use std::fmt;

/// One measure: a value per sample from labels and predictions. It becomes a loss as [`LossOf`](crate::LossOf) and a metric
/// as [`MeanOf`](crate::metrics::MeanOf), so a measure of your own is one `impl`:
///
/// ```
/// use addax_losses::{Formula, Loss, LossOf};
/// use addax_tensor::{Result, Tensor};
/// #[derive(Clone, Debug, Default)]
/// struct Quartic;
/// impl Formula for Quartic {
///     const CLASS: &'static str = "Quartic";
///     fn values(&self, y: &Tensor, p: &Tensor) -> Result<Tensor> {
///         Ok((y - p).square().square().mean(-1))
///     }
/// }
/// let loss = LossOf::from(Quartic).call(&Tensor::zeros([1, 2]), &Tensor::ones([1, 2]));
/// assert_eq!(loss.item::<f32>()?, 1.0);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
pub trait Formula: Clone + Default + fmt::Debug + Send + Sync + 'static {
    /// Keras' class name as a loss.
    const CLASS: &'static str;
    /// Keras' class name as a metric.
    const METRIC: &'static str = Self::CLASS;
    /// Keras' default name as a loss; empty: the class in snake case.
    const NAME: &'static str = "";
    /// Keras' default name as a metric; empty: the class in snake case.
    const METRIC_NAME: &'static str = "";
    /// Whether more or less is better.
    const DIRECTION: Option<Direction> = Some(Direction::Down);

    /// A value per sample, `[batch, ..]`. Labels and predictions come as they are.
    fn values(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor>;
    /// Where a value counts (`Bool`, the shape of [`values`](Formula::values)), if not everywhere.
    fn kept(&self, _y_true: &Tensor, _y_pred: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }
    /// What a metric makes of the mean.
    fn finish(&self, mean: Tensor) -> Tensor {
        mean
    }
    /// Settings by Keras' names.
    fn fields(&mut self) -> Fields<'_> {
        Vec::new()
    }
}
