//! Stops training when a metric no longer improves.

use crate::{Callback, Logs, Mode, Snapshot, Trainer, monitor::Monitor};
use addax_tensor::{Error, Result};

/// Stops training when a metric has not improved for `patience` epochs: Keras' `EarlyStopping`.
///
/// An improvement is a value better than the best so far by more than `min_delta`; the first value always is one, so the
/// first epoch never stops training. With `restore_best_weights` the weights of the best epoch are put back at the end of
/// every training, stopped early or not; the optimizer keeps the state of the last epoch.
///
/// ```
/// use addax_callbacks::{EarlyStopping, Rehearsal, logs};
/// let mut early = EarlyStopping::new("val_loss").patience(2).restore_best_weights(true);
/// Rehearsal::new([0.9, 0.5, 0.6, 0.7, 0.4].map(|loss| logs! { "val_loss" => loss })).run(&mut early)?;
/// assert_eq!(early.stopped_epoch, Some(3));
/// assert_eq!((early.best_epoch, early.best), (Some(1), Some(0.5)));
/// # Ok::<(), addax_callbacks::Error>(())
/// ```
pub struct EarlyStopping {
    monitor: Monitor,
    patience: usize,
    verbose: u8,
    baseline: Option<f64>,
    restore_best_weights: bool,
    start_from_epoch: usize,
    weights: Option<Snapshot>,
    /// Epochs since the last improvement (since the last one that beats `baseline`, if there is one).
    pub wait: usize,
    /// The epoch, from 0, whose end stopped training; `None` if training was not stopped by this callback.
    pub stopped_epoch: Option<usize>,
    /// The best value of the metric.
    pub best: Option<f64>,
    /// The epoch, from 0, of the best value, whose weights are put back.
    pub best_epoch: Option<usize>,
}

impl EarlyStopping {
    /// Watches the log `monitor`, such as `"val_loss"`, with Keras' defaults: `patience` 0, `min_delta` 0.
    pub fn new(monitor: impl Into<String>) -> Self {
        EarlyStopping {
            monitor: Monitor::new("EarlyStopping", monitor),
            patience: 0,
            verbose: 0,
            baseline: None,
            restore_best_weights: false,
            start_from_epoch: 0,
            weights: None,
            wait: 0,
            stopped_epoch: None,
            best: None,
            best_epoch: None,
        }
    }
    /// The least change that counts as an improvement; its sign does not matter.
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.monitor.min_delta = min_delta;
        self
    }
    /// Epochs without improvement after which training stops.
    pub fn patience(mut self, patience: usize) -> Self {
        self.patience = patience;
        self
    }
    /// 1 prints what it does, 0 does not.
    pub fn verbose(mut self, verbose: u8) -> Self {
        self.verbose = verbose;
        self
    }
    /// Which direction is better: `"auto"` (the metric says), `"min"` or `"max"`.
    pub fn mode(mut self, mode: impl Into<Mode>) -> Self {
        self.monitor.mode = mode.into();
        self
    }
    /// A value to beat: training stops if the metric does not beat it within `patience` epochs.
    pub fn baseline(mut self, baseline: f64) -> Self {
        self.baseline = Some(baseline);
        self
    }
    /// Whether the weights of the best epoch are put back at the end.
    pub fn restore_best_weights(mut self, restore: bool) -> Self {
        self.restore_best_weights = restore;
        self
    }
    /// The first epoch, from 0, that is looked at.
    pub fn start_from_epoch(mut self, epoch: usize) -> Self {
        self.start_from_epoch = epoch;
        self
    }
    fn keep(&mut self, epoch: usize, t: &dyn Trainer) -> Result<()> {
        if self.restore_best_weights {
            self.weights = Some(t.snapshot()?);
        }
        self.best_epoch = Some(epoch);
        Ok(())
    }
}

impl Callback for EarlyStopping {
    fn on_train_begin(&mut self, _: &mut Logs, _: &mut dyn Trainer) -> Result<()> {
        self.monitor.begin()?;
        if self.baseline.is_some_and(f64::is_nan) {
            return Err(Error::argument("EarlyStopping: baseline must be a number, got NaN"));
        }
        self.wait = 0;
        (self.stopped_epoch, self.best, self.best_epoch, self.weights) = (None, None, None, None);
        Ok(())
    }

    fn on_epoch_end(&mut self, epoch: usize, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        let Some((value, direction)) = self.monitor.look(logs, t)? else { return Ok(()) };
        if epoch < self.start_from_epoch {
            return Ok(());
        }
        if self.monitor.improves(value, direction, self.best) {
            // If this fails, nothing has been counted yet.
            self.keep(epoch, t)?;
            self.best = Some(value);
            let enough = self.monitor.improves(value, direction, self.baseline);
            self.wait = if enough { 0 } else { self.wait + 1 };
        } else {
            self.wait += 1;
            if self.wait >= self.patience {
                self.stopped_epoch = Some(epoch);
                t.stop();
            }
        }
        Ok(())
    }

    fn on_train_end(&mut self, _: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        if let (Some(epoch), 1..) = (self.stopped_epoch, self.verbose) {
            t.console().line(&format!("Epoch {}: early stopping", epoch + 1));
        }
        if let (Some(weights), Some(epoch)) = (&self.weights, self.best_epoch) {
            t.restore(weights)?;
            // Their memory is free after training.
            self.weights = None;
            if self.verbose > 0 {
                t.console().line(&format!("Restored the weights of epoch {}, the best", epoch + 1));
            }
        }
        Ok(())
    }
}
