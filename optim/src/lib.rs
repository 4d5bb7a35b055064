//! Keras' optimizers and learning-rate schedules, usable on anyone's tensors.
//!
//! Alone: [`Optimizer::update`] takes parameters and gradients and returns new parameters.
//!
//! ```
//! use addax_optim::{Adam, CosineDecay, Optimizer};
//! use addax_tensor::Tensor;
//! let mut opt = Adam::new(CosineDecay::new(0.1, 100)).global_clipnorm(1.0);
//! let mut p = vec![Tensor::from_vec([2.0f32, -3.0], [2])];
//! for _ in 0..100 {
//!     let g = vec![&p[0] * 2.0]; // of Σ p²
//!     p = opt.update(&p, &g)?;
//! }
//! assert!(p[0].to_vec::<f32>()?.iter().all(|v| v.abs() < 0.2));
//! # Ok::<(), addax_tensor::Error>(())
//! ```
//!
//! In a trainer: [`Optimizer::apply`] takes variables and gradients and returns what the step commits.

mod clip;
mod common;
mod config;
mod engine;
mod loss_scale;
mod names;
mod optimizer;
mod rate;
mod rule;
mod rules;
mod schedule;
mod state;

pub use addax_tensor::{Result, Tensor};
pub use clip::{clip_by_global_norm, clip_by_norm};
pub use config::{Field, Fields};
pub use engine::Engine;
pub use loss_scale::LossScaleOptimizer;
pub use names::{OptimizerChoice, optimizer, optimizer_from_config};
pub use optimizer::{Hold, Optimizer, Updates, with_gradients};
pub use rate::LearningRate;
pub use rule::{Moment, Rule, Slot};
pub use rules::*;
pub use schedule::*;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
