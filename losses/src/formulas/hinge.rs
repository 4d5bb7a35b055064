//! Losses with a margin.

use crate::{formula::Formula, ranks::alike};
use addax_tensor::{Result, Tensor};

/// `mean(max(1 - y p, 0))` over the last axis, of labels -1 and 1 (or 0 and 1).
#[derive(Clone, Debug, Default)]
pub struct Hinge;

impl Formula for Hinge {
    const CLASS: &'static str = "Hinge";
    fn values(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        Ok(margin(y_true, y_pred)?.mean(-1))
    }
}

/// `mean(max(1 - y p, 0)²)` over the last axis, of labels -1 and 1 (or 0 and 1).
#[derive(Clone, Debug, Default)]
pub struct SquaredHinge;

impl Formula for SquaredHinge {
    const CLASS: &'static str = "SquaredHinge";
    fn values(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        Ok(margin(y_true, y_pred)?.square().mean(-1))
    }
}

fn margin(y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
    let (y, p) = alike(y_true, y_pred)?;
    // Labels 0 and 1 mean -1 and 1, as in Keras, only if there are no others in the batch.
    let binary = y.equal(0.0).logical_or(y.equal(1.0)).all(..);
    let y = binary.select(&y * 2.0 - 1.0, &y);
    Ok((1.0 - y * p).relu())
}

/// `max(max((1 - y) p) - Σ y p + 1, 0)` over the last axis, of one-hot labels.
#[derive(Clone, Debug, Default)]
pub struct CategoricalHinge;

impl Formula for CategoricalHinge {
    const CLASS: &'static str = "CategoricalHinge";
    fn values(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let (y, p) = alike(y_true, y_pred)?;
        let right = (&y * &p).sum(-1);
        let wrong = ((1.0 - y) * p).max(-1);
        Ok((wrong - right + 1.0).relu())
    }
}
