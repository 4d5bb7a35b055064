//! Reverse-mode gradients of Addax' lazy tensors, themselves lazy tensors.
//!
//! [`grad`] walks the graph of a loss backwards and records its gradient as more graph. There is no tape and no wrapper
//! tensor: whatever is written against [`Tensor`] can be differentiated, forward and backward are
//! planned together, and gradients of gradients are the same call again.
//!
//! ```
//! use addax_autodiff::grad;
//! use addax_tensor::{Tensor, Variable};
//! let w = Variable::new(Tensor::from_vec([3.0f32], [1]));
//! let loss = w.value().square().sum_all();
//! let [dw] = grad(&loss, [&w])?;
//! assert_eq!(dw.to_vec::<f32>()?, vec![6.0]);
//! # Ok::<(), addax_tensor::Error>(())
//! ```
//!
//! Conventions where a function has no derivative: `maximum`, `minimum` and the reductions `max` and `min` share evenly
//! between ties, max-pooling takes the first, `relu'(0) = 0`, `abs'(0) = 0`, and piecewise constant functions (`sign`,
//! `floor`, …) have the gradient 0. Integers and truth values carry no gradient.

mod body;
mod grad;
pub mod gradcheck;
mod pull;
mod rules;
mod scan;
mod wrt;

pub use addax_tensor::{Array, DType, Error, Result, Tensor, Variable};
pub use body::substitute;
pub use grad::{grad, grad_or_zeros, grad_with, value_and_grad};
pub use gradcheck::gradcheck;
pub use wrt::{Wrt, WrtList};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
