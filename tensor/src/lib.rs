//! Lazy tensors for Rust: one graph, a planner with a memory budget, and three executors (reference, CPU, GPU).

pub mod array;
#[cfg(target_arch = "wasm32")]
mod browser;
pub mod cpu;
pub mod device;
pub mod dtype;
pub mod error;
mod eval;
pub mod executor;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod graph;
mod idle;
pub mod memory;
pub mod ops;
pub mod plan;
mod platform;
mod program;
mod recording;
pub mod reference;
pub mod run;
mod runs;
pub mod shape;
#[cfg(all(feature = "testing", not(target_arch = "wasm32")))]
pub mod testing;
pub mod variable;
mod workspace;

pub use array::Array;
pub use device::Device;
pub use dtype::{DType, Element, Scalar};
pub use error::{Error, ErrorKind, Result};
pub use graph::Tensor;
pub use ops::{Operand, random};
pub use program::Program;
pub use recording::{Recording, Survey};
pub use shape::{Axes, Shape};
pub use variable::Variable;
