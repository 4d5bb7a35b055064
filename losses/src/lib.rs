//! Keras' losses and metrics on Addax tensors.
//!
//! What is measured is a [`Formula`], a value per sample. A loss reduces the values of one batch ([`LossOf`]), a metric their
//! mean over many ([`metrics::MeanOf`]); so every loss is a metric, too.
//!
//! ```
//! use addax_losses::{Huber, Loss};
//! use addax_tensor::Tensor;
//! let (y, p) = (Tensor::zeros([2, 1]), Tensor::from_vec([0.5f32, 3.0], [2, 1]));
//! let loss = Huber::new().delta(2.0).reduction("sum");
//! assert_eq!(loss.call(&y, &p).item::<f32>()?, 0.125 + 4.0);
//! # Ok::<(), addax_tensor::Error>(())
//! ```

mod classes;
mod config;
mod formula;
pub mod formulas;
mod labels;
mod loss;
pub mod metrics;
mod names;
mod ranks;
mod reduction;

pub use addax_tensor::{Result, Tensor};
pub use classes::*;
pub use config::{Field, Fields};
pub use formula::Formula;
pub use labels::check_labels;
pub use loss::{IntoReduction, Loss, LossOf};
pub use metrics::{Direction, Metric};
pub use names::{LossChoice, loss, loss_from_config};
pub use reduction::{Reduction, Sums, mask_as_weight};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
