//! Sets the learning rate of each epoch.

use crate::{Callback, Logs, Trainer, text};
use addax_tensor::{Error, Result};

/// Sets the learning rate at the beginning of each epoch to what a function of the epoch (from 0) and the rate so far
/// returns: Keras' `LearningRateScheduler`. The rate of each epoch is in its logs as `learning_rate`.
///
/// ```
/// use addax_callbacks::{LearningRateScheduler, Rehearsal, Trainer, logs};
/// let mut halve = LearningRateScheduler::new(|epoch, rate| if epoch < 2 { rate } else { rate / 2.0 });
/// let mut training = Rehearsal::new(vec![logs! { "loss" => 1.0 }; 4]).with_learning_rate(1.0);
/// training.run(&mut halve)?;
/// assert_eq!(training.history().get("learning_rate")?, [1.0, 1.0, 0.5, 0.25]);
/// # Ok::<(), addax_callbacks::Error>(())
/// ```
pub struct LearningRateScheduler<'a> {
    schedule: Box<dyn FnMut(usize, f64) -> f64 + 'a>,
    verbose: u8,
}

impl<'a> LearningRateScheduler<'a> {
    /// With this function of the epoch, from 0, and the rate so far.
    pub fn new(schedule: impl FnMut(usize, f64) -> f64 + 'a) -> Self {
        LearningRateScheduler { schedule: Box::new(schedule), verbose: 0 }
    }
    /// 1 prints the rate of each epoch, 0 does not.
    pub fn verbose(mut self, verbose: u8) -> Self {
        self.verbose = verbose;
        self
    }
}

impl Callback for LearningRateScheduler<'_> {
    fn on_epoch_begin(&mut self, epoch: usize, _: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        let rate = (self.schedule)(epoch, t.learning_rate()?);
        if !rate.is_finite() {
            let text = format!("LearningRateScheduler: the schedule returned {rate} for epoch {epoch}");
            return Err(Error::argument(text));
        }
        t.set_learning_rate(rate)?;
        if self.verbose > 0 {
            let rate = text::shortest(rate);
            t.console().line(&format!("Epoch {}: LearningRateScheduler setting learning rate to {rate}", epoch + 1));
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, _: usize, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        logs.insert("learning_rate", t.learning_rate()?);
        Ok(())
    }
}
