//! Kernels over rows: reductions of the same rows and the maps that read their results back, as one kernel.
//!
//! A softmax reduces a row twice and then maps it. As three kernels it reads the row three times, and from memory if there are
//! many; as stages of one kernel it reads it once, and what a stage computed is kept for the next.
//!
//! | file | idea |
//! | --- | --- |
//! | `space` | which values are rows, which one element per row, and at which of them a value reads others |
//! | `join` | which clusters become such a kernel, and who may join |
//! | `emit` | the kernel |
//! | `hoist` | what is the same along a row is computed once per row |
//! | `keep` | what two blocks compute is computed once |

mod emit;
mod hoist;
mod join;
mod keep;
mod space;

pub use emit::emit_rows;
pub use join::{Scene, joined};
pub use space::Space;
