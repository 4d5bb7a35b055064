//! Lazy tensors for Rust: one graph, a planner with a memory budget, and three executors (reference, CPU, GPU).

pub mod array;
pub mod cpu;
pub mod device;
pub mod dtype;
pub mod error;
pub mod executor;
pub mod graph;
pub mod memory;
pub mod plan;
pub mod shape;

pub use array::Array;
pub use device::Device;
pub use dtype::{DType, Element, Scalar};
pub use error::{Error, ErrorKind, Result};
pub use graph::Tensor;
pub use shape::{Axes, Shape};
