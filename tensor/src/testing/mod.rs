//! Random graphs, and the check that an executor computes what the reference does. For tests, behind the feature `testing`.
//!
//! ```
//! use addax_tensor::{Tensor, testing};
//! let options = testing::Options::all();
//! for graph in testing::graphs(1, 3, &options) {
//!     testing::check(&graph.outputs, |tensors| {
//!         Tensor::eval(tensors)?;
//!         tensors.iter().map(Tensor::to_array).collect()
//!     })?;
//! }
//! # Ok::<(), testing::Failure>(())
//! ```

#[cfg(test)]
mod adversary;
mod cells;
mod check;
mod faulty;
mod generate;
mod leaf;
#[cfg(feature = "gpu")]
mod paper_gpu;
mod print;
mod rebuild;
mod rng;
mod step;
mod views;
mod wanted;

pub use cells::{Cell, Histogram, Primitive, ViewKind};
pub use check::{FACTOR, Failure, check, check_within};
pub use faulty::{Fault, Faulty};
pub use generate::{Graph, Options, graph, graphs};
pub use leaf::Draw;
#[cfg(feature = "gpu")]
pub use paper_gpu::{PaperGpu, Shaders, Written};
pub use print::to_rust;
pub use rebuild::{Bodies, rebuild};
pub use rng::Rng;
pub use wanted::{gpu, seed, wanted};

#[cfg(test)]
mod tests;
