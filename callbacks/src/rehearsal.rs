//! Training without a model, to try callbacks.

use crate::{Callback, CallbackList, Console, Direction, History, Logs, Snapshot, Trainer, Verbosity};
use addax_tensor::{Array, Error, Result};
use std::path::Path;

/// Runs callbacks as `fit` does, over the logs that you give for each epoch: nothing is trained.
///
/// Its one weight, `epoch`, is the number of the epoch that ran last, so that restored weights can be told. `predict`
/// returns its inputs, `evaluate` the logs of the running epoch, and `save` writes a line of text that names the epoch.
/// If logs of an epoch have `val_` names, the hooks of a validation of one batch are called. Text for people goes
/// nowhere unless a console is given.
///
/// ```
/// use addax_callbacks::{EarlyStopping, Rehearsal, Trainer, logs};
/// let mut early = EarlyStopping::new("loss").restore_best_weights(true);
/// let mut training = Rehearsal::new([0.5, 0.25, 0.75].map(|loss| logs! { "loss" => loss }));
/// training.run(&mut early)?;
/// assert_eq!(training.weights()?[0].1.to_vec::<f32>()?, [1.0]);
/// # Ok::<(), addax_callbacks::Error>(())
/// ```
pub struct Rehearsal {
    epochs: Vec<Logs>,
    steps: usize,
    steps_known: bool,
    epoch: usize,
    learning_rate: f32,
    schedule: bool,
    directions: Vec<(String, Direction)>,
    weights: Vec<(String, Array)>,
    history: History,
    console: Console,
    verbosity: Verbosity,
    stopped: bool,
}

impl Rehearsal {
    /// An epoch for each of these logs, of one step, with learning rate 0.001.
    pub fn new(epochs: impl IntoIterator<Item = Logs>) -> Self {
        Rehearsal {
            epochs: epochs.into_iter().collect(),
            steps: 1,
            steps_known: true,
            epoch: 0,
            learning_rate: 1e-3,
            schedule: false,
            directions: Vec::new(),
            weights: Vec::new(),
            history: History::default(),
            console: Console::silent(),
            verbosity: Verbosity::Silent,
            stopped: false,
        }
    }
    /// Steps in each epoch. Each gets the epoch's logs, without `val_` ones.
    pub fn with_steps(mut self, steps: usize) -> Self {
        self.steps = steps;
        self
    }
    /// Callbacks are not told the number of steps, as with data of unknown length.
    pub fn with_unknown_steps(mut self) -> Self {
        self.steps_known = false;
        self
    }
    /// The learning rate to begin with, kept in single precision as on a device.
    pub fn with_learning_rate(mut self, rate: f64) -> Self {
        self.learning_rate = rate as f32;
        self
    }
    /// The learning rate follows a schedule, so that setting it is refused.
    pub fn with_schedule(mut self) -> Self {
        self.schedule = true;
        self
    }
    /// Says which direction of a metric is better.
    pub fn with_direction(mut self, metric: impl Into<String>, direction: Direction) -> Self {
        self.directions.push((metric.into(), direction));
        self
    }
    /// Where text for people goes.
    pub fn with_console(mut self, console: Console) -> Self {
        self.console = console;
        self
    }
    /// How much of the progress is shown; nothing by default.
    pub fn with_verbose(mut self, verbosity: impl Into<Verbosity>) -> Self {
        self.verbosity = verbosity.into();
        self
    }
    /// Calls all hooks in the order of `fit`: those of `callback`, then the recording of the history, then the progress
    /// bar. Fails with the first hook that fails.
    pub fn run(&mut self, callback: impl Callback) -> Result<()> {
        self.history = History::default();
        self.stopped = false;
        let user: Box<dyn Callback> = Box::new(callback);
        let mut callback = CallbackList::for_run([user], self.verbosity);
        let mut last = Logs::new();
        callback.on_train_begin(&mut Logs::new(), self)?;
        for (epoch, logs) in self.epochs.clone().into_iter().enumerate() {
            last = self.one_epoch(epoch, logs, &mut callback)?;
            if self.stopped {
                break;
            }
        }
        callback.on_train_end(&mut last, self)
    }
    fn one_epoch(&mut self, epoch: usize, mut logs: Logs, callback: &mut CallbackList) -> Result<Logs> {
        self.epoch = epoch;
        callback.on_epoch_begin(epoch, &mut Logs::new(), self)?;
        let (validation, training): (Logs, Logs) = split_validation(&logs);
        for batch in 0..self.steps {
            callback.on_train_batch_begin(batch, &mut Logs::new(), self)?;
            self.weights = vec![("epoch".into(), Array::new([1], &[epoch as f32])?)];
            callback.on_train_batch_end(batch, &mut training.clone(), self)?;
            if self.stopped {
                break;
            }
        }
        if !validation.is_empty() {
            callback.on_test_begin(&mut Logs::new(), self)?;
            callback.on_test_batch_begin(0, &mut Logs::new(), self)?;
            callback.on_test_batch_end(0, &mut validation.clone(), self)?;
            callback.on_test_end(&mut validation.clone(), self)?;
        }
        callback.on_epoch_end(epoch, &mut logs, self)?;
        Ok(logs)
    }
}

/// The logs of the validation, without `val_`, and those of the training.
fn split_validation(logs: &Logs) -> (Logs, Logs) {
    let (mut validation, mut training) = (Logs::new(), Logs::new());
    for (name, value) in logs.iter() {
        match name.strip_prefix("val_") {
            Some(name) => validation.insert(name, value.clone()),
            None => training.insert(name, value.clone()),
        }
    }
    (validation, training)
}

impl Trainer for Rehearsal {
    fn stop(&mut self) {
        self.stopped = true;
    }
    fn stopped(&self) -> bool {
        self.stopped
    }
    fn epochs(&self) -> usize {
        self.epochs.len()
    }
    fn steps_per_epoch(&self) -> Option<usize> {
        self.steps_known.then_some(self.steps)
    }
    fn predict_all(&mut self, inputs: &[Array]) -> Result<Vec<Array>> {
        Ok(inputs.to_vec())
    }
    fn evaluate(&mut self, _: &[Array], _: &[Array]) -> Result<Logs> {
        Ok(self.epochs.get(self.epoch).cloned().unwrap_or_default())
    }
    fn weights(&self) -> Result<Vec<(String, Array)>> {
        Ok(self.weights.clone())
    }
    fn set_weights(&mut self, weights: &[(String, Array)]) -> Result<()> {
        if let Some((path, _)) = weights.iter().find(|(path, _)| path != "epoch") {
            return Err(Error::unknown_name("weight", path, ["epoch"]));
        }
        if !weights.is_empty() {
            self.weights = weights.to_vec();
        }
        Ok(())
    }
    fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot::new(self.weights.clone()))
    }
    fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.weights = snapshot.content::<Vec<(String, Array)>>()?.clone();
        Ok(())
    }
    fn learning_rate(&self) -> Result<f64> {
        Ok(self.learning_rate.into())
    }
    fn set_learning_rate(&mut self, learning_rate: f64) -> Result<()> {
        if self.schedule {
            return Err(Error::argument("the learning rate follows a schedule and cannot be set"));
        }
        self.learning_rate = learning_rate as f32;
        Ok(())
    }
    fn save(&self, path: &Path, weights_only: bool) -> Result<()> {
        if path.extension().is_none() {
            return Err(Error::argument(format!("no format is known for {}; end it with .keras", path.display())));
        }
        let what = if weights_only { "weights" } else { "model" };
        std::fs::write(path, format!("{what} of epoch {}\n", self.epoch))
            .map_err(|e| Error::io(format!("writing {}", path.display()), e))
    }
    fn metric_direction(&self, name: &str) -> Option<Direction> {
        self.directions.iter().find(|(n, _)| n == name).map(|(_, direction)| *direction)
    }
    fn history(&self) -> &History {
        &self.history
    }
    fn history_mut(&mut self) -> &mut History {
        &mut self.history
    }
    fn console(&self) -> Console {
        self.console.clone()
    }
}
