//! Stops training when the loss is no longer a number.

use crate::{Callback, Logs, Trainer, Value};
use addax_tensor::{Error, Result};
use std::collections::VecDeque;

/// Stops training when the loss is NaN or infinite: Keras' `TerminateOnNaN`.
///
/// The loss of a batch is looked at when the device has it, so that training does not wait after each batch: the stop
/// comes at most 16 batches late, and before the epoch ends.
///
/// ```
/// use addax_callbacks::{Rehearsal, TerminateOnNaN, logs};
/// let mut nan = TerminateOnNaN::new();
/// Rehearsal::new([1.0, f64::NAN, 1.0].map(|loss| logs! { "loss" => loss })).run(&mut nan)?;
/// assert_eq!(nan.stopped_at, Some((1, 0)));
/// # Ok::<(), addax_callbacks::Error>(())
/// ```
#[derive(Default)]
pub struct TerminateOnNaN {
    raise_error: bool,
    epoch: usize,
    /// Losses that are not known yet, with their batches.
    pending: VecDeque<(usize, Value)>,
    /// Epoch and batch, both from 0, of the first bad loss.
    pub stopped_at: Option<(usize, usize)>,
}

/// Losses that may be waiting for the device at once. Far more steps than any device runs ahead, and few enough that
/// little is trained in vain.
const PENDING: usize = 16;

impl TerminateOnNaN {
    /// Stops training in good order, with `on_train_end`.
    pub fn new() -> Self {
        Self::default()
    }
    /// Whether the run ends with an error instead, without `on_train_end`.
    pub fn raise_error(mut self, raise_error: bool) -> Self {
        self.raise_error = raise_error;
        self
    }
    fn look(&mut self, batch: usize, loss: f64, t: &mut dyn Trainer) -> Result<()> {
        if loss.is_finite() || self.stopped_at.is_some() {
            return Ok(());
        }
        self.stopped_at = Some((self.epoch, batch));
        if self.raise_error {
            return Err(Error::data(format!(
                "the loss is {loss} at batch {batch} of epoch {}; try a smaller learning rate, clipnorm, or look for \
                 NaN in the data",
                self.epoch + 1
            )));
        }
        t.console().line(&format!("Batch {batch}: the loss is {loss}, training stops"));
        t.stop();
        Ok(())
    }
}

impl Callback for TerminateOnNaN {
    fn on_train_begin(&mut self, _: &mut Logs, _: &mut dyn Trainer) -> Result<()> {
        self.stopped_at = None;
        // A run that failed may have left some.
        self.pending.clear();
        Ok(())
    }
    fn on_epoch_begin(&mut self, epoch: usize, _: &mut Logs, _: &mut dyn Trainer) -> Result<()> {
        self.epoch = epoch;
        Ok(())
    }
    fn on_train_batch_end(&mut self, batch: usize, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        let Some(loss) = logs.value("loss") else { return Ok(()) };
        self.pending.push_back((batch, loss.clone()));
        while let Some((batch, loss)) = self.pending.front() {
            let loss = match loss.try_get() {
                Some(loss) => (*batch, loss),
                None if self.pending.len() > PENDING => (*batch, loss.get()?),
                None => break,
            };
            self.pending.pop_front();
            self.look(loss.0, loss.1, t)?;
        }
        Ok(())
    }
    fn on_epoch_end(&mut self, _: usize, _: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        while let Some((batch, loss)) = self.pending.pop_front() {
            self.look(batch, loss.get()?, t)?;
        }
        Ok(())
    }
}
