//! Lowers the learning rate when a metric no longer improves.

use crate::{Callback, Logs, Mode, Trainer, monitor::Monitor, text};
use addax_tensor::{Error, Result};

/// A change of the learning rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reduction {
    /// The epoch, from 0, at whose end it happened.
    pub epoch: usize,
    /// The rate before.
    pub from: f64,
    /// The rate after.
    pub to: f64,
}

/// Multiplies the learning rate by `factor` when a metric has not improved for `patience` epochs: Keras'
/// `ReduceLROnPlateau`.
///
/// After a reduction, `cooldown` epochs pass before waiting begins again. The rate never falls below `min_lr`. The rate
/// of each epoch is in its logs as `learning_rate`. An optimizer that follows a schedule is refused when training
/// begins.
///
/// ```
/// use addax_callbacks::{ReduceLROnPlateau, Rehearsal, logs};
/// let mut reduce = ReduceLROnPlateau::new("val_loss").factor(0.5).patience(2);
/// let losses = [0.9, 0.5, 0.6, 0.7, 0.4].map(|loss| logs! { "val_loss" => loss });
/// let mut training = Rehearsal::new(losses).with_learning_rate(0.25);
/// training.run(&mut reduce)?;
/// assert_eq!(training.history().get("learning_rate")?, [0.25, 0.25, 0.25, 0.25, 0.125]);
/// assert_eq!(reduce.reductions[0].epoch, 3);
/// # use addax_callbacks::Trainer;
/// # Ok::<(), addax_callbacks::Error>(())
/// ```
pub struct ReduceLROnPlateau {
    monitor: Monitor,
    factor: f64,
    patience: usize,
    verbose: u8,
    cooldown: usize,
    min_lr: f64,
    /// Epochs since the last improvement, reduction or cooldown.
    pub wait: usize,
    /// Epochs of cooldown left.
    pub cooldown_counter: usize,
    /// The best value of the metric.
    pub best: Option<f64>,
    /// Each change of the rate in the last training.
    pub reductions: Vec<Reduction>,
}

impl ReduceLROnPlateau {
    /// Watches the log `monitor`, such as `"val_loss"`, with Keras' defaults: `factor` 0.1, `patience` 10, `min_delta`
    /// 1e-4, `cooldown` 0, `min_lr` 0.
    pub fn new(monitor: impl Into<String>) -> Self {
        ReduceLROnPlateau {
            monitor: Monitor { min_delta: 1e-4, ..Monitor::new("ReduceLROnPlateau", monitor) },
            factor: 0.1,
            patience: 10,
            verbose: 0,
            cooldown: 0,
            min_lr: 0.0,
            wait: 0,
            cooldown_counter: 0,
            best: None,
            reductions: Vec::new(),
        }
    }
    /// What the rate is multiplied by, at least 0 and below 1.
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }
    /// Epochs without improvement after which the rate is reduced.
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
    /// The least change that counts as an improvement; its sign does not matter.
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.monitor.min_delta = min_delta;
        self
    }
    /// Epochs after a reduction in which nothing is counted.
    pub fn cooldown(mut self, cooldown: usize) -> Self {
        self.cooldown = cooldown;
        self
    }
    /// The smallest learning rate.
    pub fn min_lr(mut self, min_lr: f64) -> Self {
        self.min_lr = min_lr;
        self
    }
    fn check(&self) -> Result<()> {
        if !(0.0..1.0).contains(&self.factor) {
            return Err(Error::argument(format!(
                "ReduceLROnPlateau: factor must be at least 0 and below 1, got {}",
                self.factor
            )));
        }
        if !self.min_lr.is_finite() || self.min_lr < 0.0 {
            return Err(Error::argument(format!("ReduceLROnPlateau: min_lr must be at least 0, got {}", self.min_lr)));
        }
        Ok(())
    }
    fn reduce(&mut self, epoch: usize, from: f64, t: &mut dyn Trainer) -> Result<bool> {
        // The device holds the rate in single precision, so that is how the floor is compared, as in Keras.
        if from <= f64::from(self.min_lr as f32) {
            return Ok(false);
        }
        let to = (from * self.factor).max(self.min_lr);
        t.set_learning_rate(to)?;
        self.reductions.push(Reduction { epoch, from, to });
        (self.cooldown_counter, self.wait) = (self.cooldown, 0);
        if self.verbose > 0 {
            let to = text::shortest(to);
            t.console().line(&format!("Epoch {}: ReduceLROnPlateau reducing learning rate to {to}", epoch + 1));
        }
        Ok(true)
    }
}

impl Callback for ReduceLROnPlateau {
    fn on_train_begin(&mut self, _: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        self.monitor.begin()?;
        self.check()?;
        // Changes nothing, but an optimizer with a schedule refuses now rather than after hours.
        t.set_learning_rate(t.learning_rate()?)?;
        (self.wait, self.cooldown_counter, self.best) = (0, 0, None);
        self.reductions.clear();
        Ok(())
    }

    fn on_epoch_end(&mut self, epoch: usize, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        let rate = t.learning_rate()?;
        logs.insert("learning_rate", rate);
        let Some((value, direction)) = self.monitor.look(logs, t)? else { return Ok(()) };
        let cooldown = self.cooldown_counter.saturating_sub(1);
        let mut wait = if self.cooldown_counter > 0 { 0 } else { self.wait };
        if self.monitor.improves(value, direction, self.best) {
            self.best = Some(value);
            wait = 0;
        } else if cooldown == 0 {
            wait += 1;
            if wait >= self.patience && self.reduce(epoch, rate, t)? {
                return Ok(());
            }
        }
        // Counted last: if setting the rate fails, nothing has happened.
        (self.cooldown_counter, self.wait) = (cooldown, wait);
        Ok(())
    }
}
