//! Lazy tensors for Rust: one graph, a planner with a memory budget, and three executors (reference, CPU, GPU).

pub mod array;
pub mod dtype;
pub mod error;
pub mod shape;

pub use array::Array;
pub use dtype::{DType, Element, Scalar};
pub use error::{Error, ErrorKind, Result};
pub use shape::{Axes, Shape};
