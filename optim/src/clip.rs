//! Bounds on gradients.

use crate::common::Common;
use addax_tensor::{DType, Tensor, graph::recorded_at};
use std::panic::Location;

/// Scales `g` down to an L2 norm of at most `limit`; smaller ones stay as they are.
///
/// ```
/// use addax_optim::clip_by_norm;
/// use addax_tensor::Tensor;
/// let g = clip_by_norm(&Tensor::from_vec([3.0f32, 4.0], [2]), 1.0);
/// assert_eq!(g.to_vec::<f32>()?, [0.6, 0.8]);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[track_caller]
pub fn clip_by_norm(g: &Tensor, limit: f64) -> Tensor {
    recorded_at(Location::caller(), || {
        let norm = squares(g).sqrt();
        scaled(g, &(limit / norm.maximum(limit)))
    })
}

/// Scales all of them by one factor, so that the L2 norm of all elements together is at most `limit`.
#[track_caller]
pub fn clip_by_global_norm(gradients: &[Tensor], limit: f64) -> Vec<Tensor> {
    recorded_at(Location::caller(), || {
        let Some(total) = gradients.iter().map(squares).reduce(|a, b| a + b) else {
            return Vec::new();
        };
        let factor = limit / total.sqrt().maximum(limit);
        gradients.iter().map(|g| scaled(g, &factor)).collect()
    })
}

/// As the settings say.
pub(crate) fn clip(common: &Common, gradients: Vec<Tensor>) -> Vec<Tensor> {
    if let Some(limit) = common.clipnorm {
        gradients.iter().map(|g| clip_by_norm(g, limit)).collect()
    } else if let Some(limit) = common.global_clipnorm {
        clip_by_global_norm(&gradients, limit)
    } else if let Some(limit) = common.clipvalue {
        gradients.iter().map(|g| g.clip(-limit, limit)).collect()
    } else {
        gradients
    }
}

/// The sum of squares, in `F32`: half floats would overflow.
fn squares(g: &Tensor) -> Tensor {
    g.cast(DType::F32).square().sum_all()
}

fn scaled(g: &Tensor, factor: &Tensor) -> Tensor {
    match g.dtype() {
        Ok(dtype) => (g.cast(DType::F32) * factor).cast(dtype),
        Err(_) => g.clone(),
    }
}
