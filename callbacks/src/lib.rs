//! Keras' callbacks for Addax, and the [`Callback`] trait to write your own.
//!
//! A callback watches training: it is called at fixed moments ([`Callback`] lists them in their order), reads the
//! [`Logs`] (loss and metrics), and acts through the [`Trainer`], the only thing it sees of the model.
//!
//! | callback | what it does |
//! | --- | --- |
//! | [`EarlyStopping`] | stops when a metric no longer improves, and can bring the best weights back |
//! | [`ModelCheckpoint`] | saves the model after epochs or batches |
//! | [`ReduceLROnPlateau`] | lowers the learning rate when a metric no longer improves |
//! | [`LearningRateScheduler`] | sets the learning rate of each epoch by a function |
//! | [`CSVLogger`] | writes the logs of each epoch to a table |
//! | [`TerminateOnNaN`] | stops when the loss is no longer a number |
//! | [`LambdaCallback`] | calls your closures |
//! | [`History`] | what training returns: each metric, epoch by epoch |
//! | [`ProgressBar`] | shows where training stands |
//!
//! [`Rehearsal`] runs callbacks without a model, over logs that you give; with it a callback is tried in a test.

mod callback;
mod console;
mod csv_logger;
mod early_stopping;
mod history;
mod lambda;
mod learning_rate_scheduler;
mod list;
mod logs;
mod model_checkpoint;
mod monitor;
mod path_template;
mod progress;
mod reduce_lr_on_plateau;
mod rehearsal;
mod terminate_on_nan;
mod text;
mod trainer;

pub use callback::Callback;
pub use console::Console;
pub use csv_logger::CSVLogger;
pub use early_stopping::EarlyStopping;
pub use history::{History, Note, Params};
pub use lambda::LambdaCallback;
pub use learning_rate_scheduler::LearningRateScheduler;
pub use list::CallbackList;
pub use logs::{LogValue, Logs, Value};
pub use model_checkpoint::{Failure, ModelCheckpoint, SaveFreq};
pub use monitor::Mode;
pub use progress::{ProgressBar, Verbosity};
pub use reduce_lr_on_plateau::{ReduceLROnPlateau, Reduction};
pub use rehearsal::Rehearsal;
pub use terminate_on_nan::TerminateOnNaN;
pub use trainer::{Direction, Snapshot, Trainer};

pub use addax_tensor::{Error, ErrorKind, Result};
