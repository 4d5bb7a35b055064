//! The trait behind every callback.

use crate::{Logs, Trainer};
use addax_tensor::Result;

/// Calls the macro `$apply` with the names of all hooks: those without a number, then those with one.
macro_rules! with_hooks {
    ($apply:ident) => {
        $apply! {
            plain: on_train_begin on_train_end on_test_begin on_test_end on_predict_begin on_predict_end;
            numbered: on_epoch_begin on_epoch_end on_train_batch_begin on_train_batch_end
                on_test_batch_begin on_test_batch_end on_predict_batch_begin on_predict_batch_end;
        }
    };
}
pub(crate) use with_hooks;

/// Something that is called at fixed moments of training, evaluation and prediction. Every hook does nothing unless
/// written.
///
/// The order is Keras':
/// ```text
/// fit       on_train_begin
///             on_epoch_begin
///               on_train_batch_begin, on_train_batch_end   once per step
///               on_test_begin, on_test_batch_begin, on_test_batch_end, on_test_end   if validation is due
///             on_epoch_end
///           on_train_end
/// evaluate  on_test_begin, on_test_batch_begin, on_test_batch_end, on_test_end
/// predict   on_predict_begin, on_predict_batch_begin, on_predict_batch_end, on_predict_end
/// ```
/// Epochs and batches count from 0, batches anew in each epoch. Where one call runs several steps, the begin hook gets
/// the first step's number and the end hook the last one's. An error from a hook ends the run, and `on_train_end` is
/// then not called. Asked to [stop](Trainer::stop), a prediction returns the outputs so far.
///
/// Logs after a batch hold running metrics and may still be computed by the device: read them with
/// [`Logs::try_get`], or the device stands still after each batch.
///
/// A callback borrowed mutably is a callback too, so that it can be read after training:
/// ```
/// use addax_callbacks::{Callback, Logs, Rehearsal, Result, Trainer, logs};
///
/// /// Stops as soon as the loss is small enough.
/// struct GoodEnough { below: f64, reached: Option<usize> }
///
/// impl Callback for GoodEnough {
///     fn on_epoch_end(&mut self, epoch: usize, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
///         if logs.get("loss")? < self.below {
///             self.reached = Some(epoch);
///             t.stop();
///         }
///         Ok(())
///     }
/// }
///
/// let mut good = GoodEnough { below: 0.1, reached: None };
/// Rehearsal::new([0.5, 0.2, 0.09, 0.05].map(|loss| logs! { "loss" => loss })).run(&mut good)?;
/// assert_eq!(good.reached, Some(2));
/// # Ok::<(), addax_callbacks::Error>(())
/// ```
pub trait Callback {
    /// Training begins; `logs` is empty. Bad arguments of a callback are refused here.
    fn on_train_begin(&mut self, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        let _ = (logs, t);
        Ok(())
    }
    /// Training ends; `logs` are those of the last epoch.
    fn on_train_end(&mut self, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        let _ = (logs, t);
        Ok(())
    }
    /// An epoch begins; `logs` is empty.
    fn on_epoch_begin(&mut self, epoch: usize, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        let _ = (epoch, logs, t);
        Ok(())
    }
    /// An epoch ends; `logs` hold its metrics, those of the validation with `val_` in front.
    fn on_epoch_end(&mut self, epoch: usize, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        let _ = (epoch, logs, t);
        Ok(())
    }
    /// A training step begins; `logs` is empty.
    fn on_train_batch_begin(&mut self, batch: usize, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        let _ = (batch, logs, t);
        Ok(())
    }
    /// A training step ends; `logs` hold the metrics of the epoch so far.
    fn on_train_batch_end(&mut self, batch: usize, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        let _ = (batch, logs, t);
        Ok(())
    }
    /// An evaluation begins, inside `fit` or alone; `logs` is empty.
    fn on_test_begin(&mut self, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        let _ = (logs, t);
        Ok(())
    }
    /// An evaluation ends; `logs` hold its metrics, without `val_`.
    fn on_test_end(&mut self, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        let _ = (logs, t);
        Ok(())
    }
    /// A step of an evaluation begins; `logs` is empty.
    fn on_test_batch_begin(&mut self, batch: usize, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        let _ = (batch, logs, t);
        Ok(())
    }
    /// A step of an evaluation ends; `logs` hold the metrics so far.
    fn on_test_batch_end(&mut self, batch: usize, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        let _ = (batch, logs, t);
        Ok(())
    }
    /// A prediction begins; `logs` is empty.
    fn on_predict_begin(&mut self, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        let _ = (logs, t);
        Ok(())
    }
    /// A prediction ends; `logs` is empty.
    fn on_predict_end(&mut self, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        let _ = (logs, t);
        Ok(())
    }
    /// A step of a prediction begins; `logs` is empty.
    fn on_predict_batch_begin(&mut self, batch: usize, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        let _ = (batch, logs, t);
        Ok(())
    }
    /// A step of a prediction ends; `logs` hold its `outputs`, a tensor on the host: [`Logs::tensor`].
    fn on_predict_batch_end(&mut self, batch: usize, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        let _ = (batch, logs, t);
        Ok(())
    }
    /// Whether this callback shows the progress of training, so that no [`ProgressBar`](crate::ProgressBar) is added.
    fn shows_progress(&self) -> bool {
        false
    }
}

macro_rules! forward {
    (plain: $($plain:ident)*; numbered: $($numbered:ident)*;) => {
        $(fn $plain(&mut self, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
            (**self).$plain(logs, t)
        })*
        $(fn $numbered(&mut self, number: usize, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
            (**self).$numbered(number, logs, t)
        })*
        fn shows_progress(&self) -> bool {
            (**self).shows_progress()
        }
    };
}

impl<C: Callback + ?Sized> Callback for &mut C {
    with_hooks!(forward);
}

impl<C: Callback + ?Sized> Callback for Box<C> {
    with_hooks!(forward);
}
