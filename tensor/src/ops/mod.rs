//! Tensor operations, one file per family. Each checks shapes and types and records a node; composites are their formula.

mod activation;
mod arrange;
mod attention;
mod bins;
mod bits;
mod blocks;
mod body;
mod contract;
mod control;
mod conv;
mod convnd;
mod correlation;
mod create;
mod ctc;
mod edges;
mod einsum;
mod elementwise;
mod erfc;
mod factor;
mod fourier;
mod hyperbolic;
mod image;
mod index;
mod jacobi;
mod join;
mod linalg;
mod line;
mod margin;
mod matrix;
mod measure;
mod nan;
mod normal;
mod operators;
mod order;
mod partition;
mod polynomial;
mod pool;
mod poolnd;
mod powers;
pub mod random;
mod rearrange;
mod reduce;
mod scatter;
mod segment;
mod spread;
mod taper;
mod trigonometry;
mod vector;
mod view;
mod window;

pub use attention::Attention;
pub use correlation::Overlap;
pub use factor::MatrixNorm;
pub use image::Interpolation;
pub use margin::Margin;
pub use operators::Operand;
pub use order::Between;
pub use partition::Cuts;
pub use scatter::Combine;
pub use window::{ConvNd, ConvTransposeNd, Pads, PoolNd};

use crate::{
    error::Result,
    graph::{Origin, Tensor, recorded_at},
};

/// Runs a recording, all of it with the caller's line, and turns a mistake into an error node.
fn record(origin: Origin, recording: impl FnOnce() -> Result<Tensor>) -> Tensor {
    recorded_at(origin, || recording().unwrap_or_else(|error| Tensor::error(error, origin)))
}
