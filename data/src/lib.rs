//! Data sets for Addax: batching, shuffling, prefetching, splits, readers, and small real data sets embedded.
//!
//! - [`Dataset`] holds rows in memory: features, labels, weights. Its splits are views that copy nothing.
//! - [`Batches`] says how rows become batches; a [`Source`] gives a [`Loader`] for it, and [`Prefetch`] moves a loader to
//!   a background thread. Finished batches are given back, so that steady training allocates nothing.
//! - [`sets`] has iris, wine, breast cancer and digits inside the crate; [`fashion_mnist()`] finds or downloads its files.
//! - [`idx`] and [`Frame`] read IDX files and CSV tables.
//!
//! ```
//! use addax_data::{Batches, sets};
//!
//! let (train, test) = sets::iris()?.train_test(0.2, 42)?;
//! assert_eq!((train.len(), test.len()), (120, 30));
//! for batch in Batches::new(32).shuffle(7).over(&train, 0)? {
//!     let batch = batch?;
//!     println!("{} {}", batch.index, batch.x.shape());
//! }
//! # Ok::<(), addax_data::Error>(())
//! ```

pub mod batch;
pub mod dataset;
pub mod fashion_mnist;
mod folds;
pub mod frame;
pub mod generator;
pub mod idx;
mod permutation;
pub mod prefetch;
mod rows;
pub mod sets;
pub mod source;
mod split;

pub use addax_tensor::{Array, DType, Error, ErrorKind, Result, Shape};
pub use batch::{Batch, Batches};
pub use dataset::Dataset;
pub use fashion_mnist::{FashionMnist, fashion_mnist};
pub use folds::KFold;
pub use frame::{CsvOptions, Frame};
pub use generator::{Generator, Step};
pub use permutation::Permutation;
pub use prefetch::Prefetch;
pub use source::{Epoch, Loader, Source};
