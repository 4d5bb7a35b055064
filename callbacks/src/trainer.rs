//! What callbacks see of the training that calls them.

use crate::{Console, History, Logs};
use addax_tensor::{Array, Error, Result};
use std::{any::Any, path::Path, sync::Arc};

/// Whether a metric is better when it is smaller or larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Smaller is better, as for a loss.
    Min,
    /// Larger is better, as for an accuracy.
    Max,
}

/// Weights of one moment, held where the trainer holds them, usually on the device. A clone shares them.
///
/// Only the trainer that made a snapshot knows what is inside.
#[derive(Clone)]
pub struct Snapshot(Arc<dyn Any + Send + Sync>);

impl Snapshot {
    /// A snapshot with this content.
    pub fn new(content: impl Any + Send + Sync) -> Self {
        Snapshot(Arc::new(content))
    }
    /// The content. Fails if it is no `T`: the snapshot came from another kind of trainer.
    pub fn content<T: Any>(&self) -> Result<&T> {
        self.0.downcast_ref().ok_or_else(|| Error::argument("this snapshot was made by another kind of trainer"))
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Snapshot")
    }
}

/// The training (or evaluation, or prediction) that calls a callback: all that a callback sees of the model.
///
/// [`Rehearsal`](crate::Rehearsal) is one without a model.
pub trait Trainer {
    /// Ends training after the batch or epoch that runs now, and a prediction after its batch. Callbacks still get `on_epoch_end`
    /// and `on_train_end`, or `on_predict_end`.
    fn stop(&mut self);
    /// Whether training is about to end because [`Trainer::stop`] was called.
    fn stopped(&self) -> bool;
    /// Number of the epoch at which training ends, as given to `fit`.
    fn epochs(&self) -> usize;
    /// Steps of the loop that runs: of one epoch, or of an evaluation or prediction alone. `None` while unknown.
    fn steps_per_epoch(&self) -> Option<usize>;
    /// Outputs of the model for its inputs, one array each, in inference mode. Fails as `Model::predict` fails.
    fn predict_all(&mut self, inputs: &[Array]) -> Result<Vec<Array>>;
    /// Loss and metrics over other data, with nothing trained. The running metrics of training stay as they are.
    fn evaluate(&mut self, inputs: &[Array], targets: &[Array]) -> Result<Logs>;
    /// Weights by path (`dense/kernel`), copied to the host; trainable ones and statistics. Waits for the device.
    fn weights(&self) -> Result<Vec<(String, Array)>>;
    /// Sets weights by path; those not named stay. Fails, changing nothing, on an unknown path or a wrong shape.
    fn set_weights(&mut self, weights: &[(String, Array)]) -> Result<()>;
    /// The weights as they are now, without a copy to the host. Later steps do not change the snapshot.
    fn snapshot(&self) -> Result<Snapshot>;
    /// Puts the weights of a snapshot back. The state of the optimizer stays.
    fn restore(&mut self, snapshot: &Snapshot) -> Result<()>;
    /// The learning rate of the next step, whether fixed or from a schedule.
    fn learning_rate(&self) -> Result<f64>;
    /// Sets the learning rate. Fails if the optimizer follows a schedule.
    fn set_learning_rate(&mut self, learning_rate: f64) -> Result<()>;
    /// Writes the model, or its weights only, in the format that the path's ending tells.
    ///
    /// Atomic: on failure the file that was there before is whole and unchanged. An ending that no format has fails as
    /// [`ErrorKind::Argument`](addax_tensor::ErrorKind::Argument), a disk that refuses as
    /// [`ErrorKind::Io`](addax_tensor::ErrorKind::Io).
    fn save(&self, path: &Path, weights_only: bool) -> Result<()>;
    /// Whether the metric `name` (without `val_`) is better small or large; `None` if no metric of this name says.
    fn metric_direction(&self, name: &str) -> Option<Direction>;
    /// What training recorded so far: epochs that have ended, and notes.
    fn history(&self) -> &History;
    /// The same, to write notes into.
    fn history_mut(&mut self) -> &mut History;

    /// The output of a model with one input and one output, in inference mode.
    fn predict(&mut self, input: &Array) -> Result<Array> {
        let mut outputs = self.predict_all(std::slice::from_ref(input))?;
        match outputs.pop() {
            Some(output) if outputs.is_empty() => Ok(output),
            _ => Err(Error::argument("predict needs a model with one output; use predict_all")),
        }
    }
    /// What the plan of the step needs of the device's memory, as text for people, if the trainer knows.
    fn memory_report(&self) -> Option<String> {
        None
    }
    /// Where text for people goes.
    fn console(&self) -> Console {
        Console::stdout()
    }
}

/// Says what did not end the training but is worth knowing: on the console, to subscribers of `tracing`, in the history.
pub(crate) fn tell(t: &mut dyn Trainer, text: String) {
    tracing::warn!("{text}");
    t.console().line(&text);
    t.history_mut().note(text);
}
