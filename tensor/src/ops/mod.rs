//! Tensor operations, one file per family. Each checks shapes and types and records a node; composites are their formula.

mod activation;
mod body;
mod contract;
mod conv;
mod create;
mod elementwise;
mod index;
mod operators;
mod pool;
pub mod random;
mod reduce;
mod view;

pub use operators::Operand;

use crate::{
    error::Result,
    graph::{Origin, Tensor, recorded_at},
};

/// Runs a recording, all of it with the caller's line, and turns a mistake into an error node.
fn record(origin: Origin, recording: impl FnOnce() -> Result<Tensor>) -> Tensor {
    recorded_at(origin, || recording().unwrap_or_else(|error| Tensor::error(error, origin)))
}
