#![doc = include_str!("../README.md")]

pub mod kernels;
pub mod math;
pub mod philox;
pub mod plain;
pub mod preprocess;
pub mod shader;

pub use kernels::Kernel;
pub use plain::{Plain, plain};
pub use preprocess::Error;
pub use shader::{Parameters, Shader};
