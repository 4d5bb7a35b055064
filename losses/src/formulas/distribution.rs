//! Distances of distributions and directions.

use super::EPSILON;
use crate::{config::Fields, formula::Formula, metrics::Direction, ranks::alike};
use addax_tensor::{Result, Tensor};

/// `Σ y log(y / p)` over the last axis.
#[derive(Clone, Debug, Default)]
pub struct KLDivergence;

impl Formula for KLDivergence {
    const CLASS: &'static str = "KLDivergence";
    fn values(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let (y, p) = alike(y_true, y_pred)?;
        let (y, p) = (y.clip(EPSILON, 1.0), p.clip(EPSILON, 1.0));
        Ok((&y * (&y / p).log()).sum(-1))
    }
}

/// `mean(p - y log p)` over the last axis: for counts.
#[derive(Clone, Debug, Default)]
pub struct Poisson;

impl Formula for Poisson {
    const CLASS: &'static str = "Poisson";
    fn values(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let (y, p) = alike(y_true, y_pred)?;
        Ok((&p - y * (&p + EPSILON).log()).mean(-1))
    }
}

/// Minus the cosine of the angle between labels and predictions: -1 is best.
#[derive(Clone, Debug)]
pub struct CosineSimilarity {
    /// The axis of the vectors.
    pub axis: i64,
}

/// The cosine of the angle between labels and predictions, as a metric: 1 is best.
#[derive(Clone, Debug)]
pub struct Cosine {
    /// The axis of the vectors.
    pub axis: i64,
}

impl Default for CosineSimilarity {
    fn default() -> Self {
        CosineSimilarity { axis: -1 }
    }
}
impl Default for Cosine {
    fn default() -> Self {
        Cosine { axis: -1 }
    }
}

impl Formula for CosineSimilarity {
    const CLASS: &'static str = "CosineSimilarity";
    fn values(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        Ok(-cosine(y_true, y_pred, self.axis)?)
    }
    fn fields(&mut self) -> Fields<'_> {
        vec![("axis", (&mut self.axis).into())]
    }
}

impl Formula for Cosine {
    const CLASS: &'static str = "CosineSimilarity";
    const DIRECTION: Option<Direction> = Some(Direction::Up);
    fn values(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        cosine(y_true, y_pred, self.axis)
    }
    fn fields(&mut self) -> Fields<'_> {
        vec![("axis", (&mut self.axis).into())]
    }
}

fn cosine(y_true: &Tensor, y_pred: &Tensor, axis: i64) -> Result<Tensor> {
    let (y, p) = alike(y_true, y_pred)?;
    let axis = axis as isize;
    // A vector of zeros has no direction; its cosine is 0.
    let unit = |x: &Tensor| x * x.square().sum_keepdims(axis).maximum(EPSILON * EPSILON).rsqrt();
    Ok((unit(&y) * unit(&p)).sum(axis))
}
