//! Keras' ease in Rust: build a model of layers, `compile`, `fit`, `evaluate`, `predict`, `save`.
//!
//! ```
//! use addax::{layers::*, prelude::*};
//!
//! fn main() -> addax::Result<()> {
//!     let (train, test) = data::sets::digits()?.train_test(0.2, 1)?;
//!     let mut model = Sequential::new().input(train.x_shape())
//!         .add(Rescaling::new(1.0 / 16.0))
//!         .add(Flatten::new())
//!         .add(Dense::new(32).activation("relu"))
//!         .add(Dense::new(10));
//!     model.compile(
//!         Compile::new(Adam::new(1e-2)).loss(SparseCategoricalCrossentropy::from_logits()).metric("accuracy"),
//!     )?;
//!     model.fit(&train, Fit::epochs(3).seed(42))?;
//!     println!("{}", model.evaluate(&test)?);
//!     Ok(())
//! }
//! ```
//!
//! | module | what it has |
//! | --- | --- |
//! | [`layers`] | every layer, and the traits to write your own |
//! | [`data`] | data sets, batches, readers |
//! | [`optimizers`], [`losses`], [`metrics`] | what [`Compile`] takes |
//! | [`callbacks`] | what [`Fit`] takes |
//! | [`tensor`], [`autodiff`], [`io`] | the floors below |

// The derive macro writes `::addax::layers`, also inside this crate's own examples and tests.
extern crate self as addax;

mod batch_size;
mod build;
mod chain;
mod check;
mod compile;
mod custom;
mod custom_fit;
mod custom_means;
mod evaluate;
mod fit;
mod hints;
mod memory_report;
mod metrics_state;
mod model;
mod names;
mod options;
mod passes;
mod predict;
mod predictor;
mod programs;
mod record;
mod recovery;
mod save;
mod seed;
mod sequential;
mod session;
mod start;
#[cfg(feature = "gpu")]
mod step_stats;
mod steps;
mod stop;
mod summary;

pub use addax_autodiff as autodiff;
pub use addax_callbacks as callbacks;
pub use addax_data as data;
pub use addax_io as io;
pub use addax_layers as layers;
pub use addax_losses as losses;
pub use addax_losses::metrics;
pub use addax_optim as optimizers;
pub use addax_tensor as tensor;

pub use addax_callbacks::{History, Logs};
pub use addax_layers::{dtype_policy, set_dtype_policy};
pub use addax_tensor::{Array, DType, Device, Error, ErrorKind, Result, Tensor, Variable};
pub use compile::Compile;
pub use custom::{Step, TrainStep};
pub use memory_report::{MemoryReport, Phase};
pub use model::Model;
pub use options::{Evaluate, Fit, Predict, ValidationFreq};
pub use predict::Inputs;
pub use predictor::Predictor;
pub use save::Loader;
pub use seed::set_random_seed;
pub use sequential::Sequential;
#[cfg(feature = "gpu")]
pub use step_stats::StepStats;
pub use stop::StopHandle;
pub use summary::Summary;

/// What most programs need: `use addax::prelude::*;`. It hides nothing of `std`.
pub mod prelude {
    pub use crate::{
        Compile, Evaluate, Fit, History, Inputs, Logs, Model, Predict, Sequential, Step, StopHandle, TrainStep,
        set_dtype_policy, set_random_seed,
    };
    pub use addax_callbacks::{
        CSVLogger, Callback, EarlyStopping, LambdaCallback, LearningRateScheduler, ModelCheckpoint, ReduceLROnPlateau,
        TerminateOnNaN, Trainer, logs,
    };
    pub use addax_data::{self as data, Dataset};
    pub use addax_losses::{
        self as losses, BinaryCrossentropy, CategoricalCrossentropy, MeanAbsoluteError, MeanSquaredError,
        SparseCategoricalCrossentropy, metrics,
    };
    pub use addax_optim::{self as optimizers, Adam, AdamW, LossScaleOptimizer, Optimizer, RMSprop, SGD};
    pub use addax_tensor::{Array, DType, Device, Tensor, Variable};
}

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
