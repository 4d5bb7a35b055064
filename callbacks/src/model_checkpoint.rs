//! Saves the model while it trains.

use crate::{
    Callback, Direction, Logs, Mode, Trainer, monitor::Monitor, path_template::PathTemplate, text, trainer::tell,
};
use addax_tensor::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// When [`ModelCheckpoint`] saves. Made from Keras' values: `"epoch"` or a number of batches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SaveFreq {
    /// At the end of each epoch.
    #[default]
    Epoch,
    /// Each time this many batches were trained, counted across epochs.
    Batches(usize),
    /// Something else: training refuses to begin.
    Unknown(String),
}

impl From<usize> for SaveFreq {
    fn from(batches: usize) -> Self {
        if batches == 0 { SaveFreq::Unknown("0".into()) } else { SaveFreq::Batches(batches) }
    }
}

impl From<i32> for SaveFreq {
    fn from(batches: i32) -> Self {
        match usize::try_from(batches) {
            Ok(batches) => batches.into(),
            Err(_) => SaveFreq::Unknown(batches.to_string()),
        }
    }
}

impl From<&str> for SaveFreq {
    fn from(word: &str) -> Self {
        if word == "epoch" { SaveFreq::Epoch } else { SaveFreq::Unknown(format!("\"{word}\"")) }
    }
}

/// A checkpoint that could not be written.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The epoch, from 0.
    pub epoch: usize,
    /// The batch, from 0, if checkpoints are made by batches.
    pub batch: Option<usize>,
    /// The file.
    pub path: PathBuf,
    /// Why not.
    pub error: Error,
}

/// Saves the model after each epoch or some number of batches: Keras' `ModelCheckpoint`.
///
/// The path may hold fields in Python's notation: `{epoch:02d}` and `{batch:04d}` count from 1, any other name is a
/// log: `{val_loss:.2f}`. Its ending tells the format, and missing folders are made.
///
/// A checkpoint that cannot be written does not end training: the console and the history's notes say so, and it is in
/// [`ModelCheckpoint::failures`]; a checkpoint that was there before stays whole, and stays the best. A path that makes
/// no sense (an unknown field or ending) ends training with an error.
///
/// ```
/// use addax_callbacks::{ModelCheckpoint, Rehearsal, logs};
/// # let dir = std::env::temp_dir().join(format!("addax-checkpoint-{}", std::process::id()));
/// let mut best = ModelCheckpoint::new(dir.join("best-{epoch:02d}-{val_loss:.2f}.keras")).save_best_only(true);
/// Rehearsal::new([0.5, 0.75, 0.25].map(|loss| logs! { "val_loss" => loss })).run(&mut best)?;
/// assert_eq!(best.last_saved, Some(dir.join("best-03-0.25.keras")));
/// assert!(dir.join("best-01-0.50.keras").exists() && best.failures().is_empty());
/// # std::fs::remove_dir_all(&dir).unwrap();
/// # Ok::<(), addax_callbacks::Error>(())
/// ```
pub struct ModelCheckpoint {
    path: PathBuf,
    template: Option<PathTemplate>,
    monitor: Monitor,
    verbose: u8,
    save_best_only: bool,
    save_weights_only: bool,
    save_freq: SaveFreq,
    epoch: usize,
    batches: usize,
    last_batch: Option<usize>,
    failures: Vec<Failure>,
    /// The best value saved so far (with `save_best_only`); kept from one training to the next.
    pub best: Option<f64>,
    /// The file written last.
    pub last_saved: Option<PathBuf>,
}

impl ModelCheckpoint {
    /// Saves to this path with Keras' defaults: the whole model after each epoch; `monitor` is `"val_loss"`.
    pub fn new(path: impl AsRef<Path>) -> Self {
        ModelCheckpoint {
            path: path.as_ref().into(),
            template: None,
            monitor: Monitor::new("ModelCheckpoint", "val_loss"),
            verbose: 0,
            save_best_only: false,
            save_weights_only: false,
            save_freq: SaveFreq::Epoch,
            epoch: 0,
            batches: 0,
            last_batch: None,
            failures: Vec::new(),
            best: None,
            last_saved: None,
        }
    }
    /// The log that says which model is best, for `save_best_only`.
    pub fn monitor(mut self, monitor: impl Into<String>) -> Self {
        self.monitor.name = monitor.into();
        self
    }
    /// 1 prints what it does, 0 does not.
    pub fn verbose(mut self, verbose: u8) -> Self {
        self.verbose = verbose;
        self
    }
    /// Whether only models are saved that are better than all before.
    pub fn save_best_only(mut self, best_only: bool) -> Self {
        self.save_best_only = best_only;
        self
    }
    /// Whether weights are saved without the model's structure and optimizer.
    pub fn save_weights_only(mut self, weights_only: bool) -> Self {
        self.save_weights_only = weights_only;
        self
    }
    /// Which direction is better: `"auto"` (the metric says), `"min"` or `"max"`.
    pub fn mode(mut self, mode: impl Into<Mode>) -> Self {
        self.monitor.mode = mode.into();
        self
    }
    /// When to save: `"epoch"`, or a number of batches.
    pub fn save_freq(mut self, save_freq: impl Into<SaveFreq>) -> Self {
        self.save_freq = save_freq.into();
        self
    }
    /// A value that the first saved model has to better, with `save_best_only`.
    pub fn initial_value_threshold(mut self, threshold: f64) -> Self {
        self.best = Some(threshold);
        self
    }
    /// Checkpoints that could not be written, over all trainings.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    fn save(&mut self, batch: Option<usize>, logs: &Logs, t: &mut dyn Trainer) -> Result<()> {
        let Some(template) = &self.template else { return Ok(()) };
        let path = PathBuf::from(template.path(self.epoch + 1, batch.map(|b| b + 1), logs)?);
        let best = if self.save_best_only {
            match self.monitor.look(logs, t)? {
                Some((value, direction)) if !self.betters(value, direction, &path, t) => return Ok(()),
                // Better a model too many than none: Keras saves too when the metric is missing.
                seen => seen.map(|(value, _)| value),
            }
        } else {
            self.say(t, || format!("saving model to {}", path.display()));
            None
        };
        match create_parent(&path).and_then(|()| t.save(&path, self.save_weights_only)) {
            Ok(()) => {
                self.best = best.or(self.best);
                self.last_saved = Some(path);
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::Argument(_) | ErrorKind::UnknownName { .. }) => Err(error),
            // The trainer may bring the device back, and call again.
            Err(error) if error.is_device_lost() => Err(error),
            Err(error) => {
                tell(t, format!("the checkpoint {} was not written: {error}", path.display()));
                self.failures.push(Failure { epoch: self.epoch, batch, path, error });
                Ok(())
            }
        }
    }
    fn betters(&self, value: f64, direction: Direction, path: &Path, t: &dyn Trainer) -> bool {
        let betters = self.monitor.improves(value, direction, self.best);
        self.say(t, || {
            let name = &self.monitor.name;
            let from = self.best.map_or_else(|| "none".into(), |b| text::fixed(b, 5));
            if betters {
                let to = text::fixed(value, 5);
                format!("{name} improved from {from} to {to}, saving model to {}", path.display())
            } else {
                format!("{name} did not improve from {from}")
            }
        });
        betters
    }
    fn say(&self, t: &dyn Trainer, text: impl FnOnce() -> String) {
        if self.verbose > 0 {
            t.console().line(&format!("Epoch {}: {}", self.epoch + 1, text()));
        }
    }
}

/// Makes the folders around a file.
fn create_parent(path: &Path) -> Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => {
            std::fs::create_dir_all(parent).map_err(|e| Error::io(format!("making the folder {}", parent.display()), e))
        }
        _ => Ok(()),
    }
}

impl Callback for ModelCheckpoint {
    fn on_train_begin(&mut self, _: &mut Logs, _: &mut dyn Trainer) -> Result<()> {
        self.monitor.begin()?;
        if let SaveFreq::Unknown(got) = &self.save_freq {
            let text = format!("ModelCheckpoint: save_freq is \"epoch\" or a number of batches above 0, got {got}");
            return Err(Error::argument(text));
        }
        let path = self.path.to_str().ok_or_else(|| {
            Error::argument(format!("ModelCheckpoint: the path {} is no Unicode text", self.path.display()))
        })?;
        self.template = Some(PathTemplate::parse(path)?);
        Ok(())
    }

    fn on_epoch_begin(&mut self, epoch: usize, _: &mut Logs, _: &mut dyn Trainer) -> Result<()> {
        self.epoch = epoch;
        self.last_batch = None;
        Ok(())
    }

    fn on_train_batch_end(&mut self, batch: usize, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        let SaveFreq::Batches(every) = self.save_freq else { return Ok(()) };
        // Several steps may lie between two calls.
        self.batches += match self.last_batch {
            Some(last) => batch.saturating_sub(last),
            None => batch + 1,
        };
        self.last_batch = Some(batch);
        if self.batches < every {
            return Ok(());
        }
        self.save(Some(batch), logs, t)?;
        self.batches = 0;
        Ok(())
    }

    fn on_epoch_end(&mut self, _: usize, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        match self.save_freq {
            SaveFreq::Epoch => self.save(None, logs, t),
            _ => Ok(()),
        }
    }
}
