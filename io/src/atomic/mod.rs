//! Writes that happen whole or not at all.
//!
//! [`write_file`] and [`write_dir`] write to a hidden sibling of the target, force it to disk and swap it in by rename.
//! Whatever goes wrong before the swap (a full disk, an error of the closure, a panic, a power cut) leaves the old
//! content as it was.
//!
//! A writer removes its sibling itself, also on errors. A killed process cannot: the next write to the same target
//! removes what it left. Writers hold a lock on their sibling, so that one process never removes what another is still
//! writing.

mod dir;
mod file;
mod place;
mod tree;

pub use dir::{recover_dir, write_dir};
pub use file::write_file;
pub(crate) use tree::copy as copy_tree;
