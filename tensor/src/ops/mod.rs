//! Tensor operations, one file per family. Each checks shapes and types and records a node; composites are their formula.

mod activation;
mod arrange;
mod attention;
mod body;
mod contract;
mod conv;
mod convnd;
mod create;
mod einsum;
mod elementwise;
mod image;
mod index;
mod linalg;
mod line;
mod matrix;
mod measure;
mod operators;
mod order;
mod pool;
mod poolnd;
pub mod random;
mod reduce;
mod view;
mod window;

pub use attention::Attention;
pub use image::Interpolation;
pub use operators::Operand;
pub use window::{ConvNd, ConvTransposeNd, Pads, PoolNd};

use crate::{
    error::Result,
    graph::{Origin, Tensor, recorded_at},
};

/// Runs a recording, all of it with the caller's line, and turns a mistake into an error node.
fn record(origin: Origin, recording: impl FnOnce() -> Result<Tensor>) -> Tensor {
    recorded_at(origin, || recording().unwrap_or_else(|error| Tensor::error(error, origin)))
}
