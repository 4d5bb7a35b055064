//! File formats of Addax: safetensors, model directories, atomic writes, safe reads.
//!
//! This crate knows named arrays and JSON, not layers. Two rules hold everywhere in it:
//!
//! - **A write is whole or it did not happen.** [`atomic`] writes beside the target and swaps it in; a full disk, an
//!   error or a crash leaves the old content as it was.
//! - **A read returns everything or an error.** Files are taken as hostile: nothing is allocated on a file's word
//!   alone, and no content makes a reader panic.
//!
//! [`ModelDir`] is a model in a folder; [`weights`] is one safetensors file; [`json`] reads configurations and names
//! the key that is wrong.

pub mod atomic;
pub mod json;
pub mod model_dir;
pub mod weights;

mod checksum;
mod options;
mod refused;
mod source;

pub use addax_tensor::{Array, Result};
pub use model_dir::ModelDir;
pub use options::ReadOptions;
pub use serde_json;
pub use weights::Weights;

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
