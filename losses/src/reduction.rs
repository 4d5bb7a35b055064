//! From one loss per sample to one number.

use crate::ranks::{same_rank, weights_for};
use addax_tensor::{Error, Result, Tensor};

/// How losses of samples become one loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// Sum over the number of values; weights are not in the divisor (Keras' default, also called `mean`).
    #[default]
    SumOverBatchSize,
    /// Sum over the sum of weights.
    MeanWithSampleWeight,
    /// Sum.
    Sum,
    /// No reduction: a loss per sample.
    None,
}

impl Reduction {
    /// Keras' name.
    pub const fn name(self) -> &'static str {
        match self {
            Reduction::SumOverBatchSize => "sum_over_batch_size",
            Reduction::MeanWithSampleWeight => "mean_with_sample_weight",
            Reduction::Sum => "sum",
            Reduction::None => "none",
        }
    }
    /// The reduction with this Keras name.
    pub fn parse(name: &str) -> Result<Reduction> {
        match name {
            "sum_over_batch_size" | "mean" => Ok(Reduction::SumOverBatchSize),
            "mean_with_sample_weight" => Ok(Reduction::MeanWithSampleWeight),
            "sum" => Ok(Reduction::Sum),
            "none" => Ok(Reduction::None),
            _ => Err(Error::unknown_name(
                "reduction",
                name,
                ["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none"],
            )),
        }
    }
}

/// A loss as a quotient: over parts of a batch, sums and divisors add up to those of the whole.
#[derive(Clone, Debug)]
pub struct Sums {
    /// The weighted sum of the samples' losses, a scalar.
    pub sum: Tensor,
    /// What it is divided by, a scalar; 1 for [`Reduction::Sum`].
    pub divisor: Tensor,
}

impl Sums {
    /// The loss; 0 where the divisor is 0.
    pub fn loss(&self) -> Tensor {
        let empty = self.divisor.equal(0.0);
        // The quotient is taken of 1 where it is not used, so that its gradient stays finite.
        empty.select(0.0, &self.sum / empty.select(1.0, &self.divisor))
    }
}

/// Values times weights and mask, and the product of weights and mask if there are any.
fn weigh(values: &Tensor, weight: Option<&Tensor>, mask: Option<&Tensor>) -> Result<(Tensor, Option<Tensor>)> {
    let weight = match (weight, mask) {
        (None, None) => return Ok((values.clone(), None)),
        (Some(weight), None) => weight.clone(),
        (None, Some(mask)) => mask.cast(values.dtype()?),
        (Some(weight), Some(mask)) => {
            let (mask, weight) = weights_for(&mask.cast(values.dtype()?), weight)?;
            mask * weight
        }
    };
    let (values, weight) = weights_for(values, &weight)?;
    Ok((values * &weight, Some(weight)))
}

/// Sum and divisor of weighted, masked values. `mask` is true where a value counts.
pub(crate) fn sums(
    values: &Tensor,
    weight: Option<&Tensor>,
    mask: Option<&Tensor>,
    reduction: Reduction,
) -> Result<Sums> {
    let (weighted, weights) = weigh(values, weight, mask)?;
    let (count, dtype) = (weighted.shape()?.numel() as f64, weighted.dtype()?);
    let constant = |value: f64| Tensor::full(dtype, (), value);
    let divisor = match (reduction, mask, weights) {
        (Reduction::Sum | Reduction::None, ..) => constant(1.0),
        (Reduction::MeanWithSampleWeight, _, Some(weights)) => weights.sum_all(),
        // Masked values count neither above nor below the line.
        (Reduction::SumOverBatchSize, Some(mask), _) => {
            mask.cast(dtype).sum_all() * (count / mask.shape()?.numel().max(1) as f64)
        }
        _ => constant(count),
    };
    Ok(Sums { sum: weighted.sum_all(), divisor })
}

/// The loss of weighted, masked values.
pub(crate) fn reduce(
    values: &Tensor,
    weight: Option<&Tensor>,
    mask: Option<&Tensor>,
    reduction: Reduction,
) -> Result<Tensor> {
    match reduction {
        Reduction::None => Ok(weigh(values, weight, mask)?.0),
        // A constant divisor needs no guard.
        Reduction::SumOverBatchSize if mask.is_none() => Ok(weigh(values, weight, None)?.0.mean_all()),
        Reduction::Sum => Ok(weigh(values, weight, mask)?.0.sum_all()),
        _ => Ok(sums(values, weight, mask, reduction)?.loss()),
    }
}

/// One weight per value or sample from weights and a mask, for metrics.
pub fn mask_as_weight(mask: &Tensor, weight: Option<&Tensor>) -> Result<Tensor> {
    let mask = mask.cast(addax_tensor::DType::F32);
    match weight {
        None => Ok(mask),
        Some(weight) => {
            let (mask, weight) = same_rank(&mask, weight)?;
            let (mask, weight) = weights_for(&mask, &weight)?;
            Ok(mask * weight)
        }
    }
}
