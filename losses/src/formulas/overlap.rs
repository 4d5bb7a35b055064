//! How far predicted regions miss the true ones: quotients of sums over many values, not means of losses.

use super::EPSILON;
use crate::{config::Fields, formula::Formula, ranks::alike};
use addax_tensor::{Result, Tensor};

/// `1 - 2 Σ y p / (Σ y + Σ p)` over `axis`, or over everything, the batch included, where there is none.
#[derive(Clone, Debug, Default)]
pub struct Dice {
    /// The axes of the sums; `None`: all.
    pub axis: Option<Vec<i64>>,
}

impl Formula for Dice {
    const CLASS: &'static str = "Dice";
    fn values(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let (y, p) = alike(y_true, y_pred)?;
        let sum = |x: &Tensor| match &self.axis {
            None => x.sum_all(),
            Some(axes) => x.sum(axes.iter().map(|&a| a as isize).collect::<Vec<_>>()),
        };
        Ok(1.0 - sum(&(&y * &p)) * 2.0 / (sum(&y) + sum(&p) + EPSILON))
    }
    fn fields(&mut self) -> Fields<'_> {
        vec![("axis", (&mut self.axis).into())]
    }
}
