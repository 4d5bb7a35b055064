//! Several callbacks as one.

use crate::{Callback, Logs, ProgressBar, Trainer, Verbosity, callback::with_hooks};
use addax_tensor::Result;

/// Callbacks called in order; the first error ends the round and is returned.
#[derive(Default)]
pub struct CallbackList<'a>(Vec<Box<dyn Callback + 'a>>);

impl<'a> CallbackList<'a> {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }
    /// What a run of `fit`, `evaluate` or `predict` calls: the user's callbacks, then the recording of each epoch in
    /// [`Trainer::history`], then a progress bar, unless one of the user's shows progress itself.
    pub fn for_run(user: impl IntoIterator<Item = Box<dyn Callback + 'a>>, verbosity: impl Into<Verbosity>) -> Self {
        let mut list = CallbackList(user.into_iter().collect());
        let shown = list.shows_progress();
        list.push(Recorder);
        if !shown {
            list.push(ProgressBar::new(verbosity));
        }
        list
    }
    /// Adds a callback at the end.
    pub fn push(&mut self, callback: impl Callback + 'a) {
        self.0.push(Box::new(callback));
    }
    /// Number of callbacks.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

macro_rules! each {
    (plain: $($plain:ident)*; numbered: $($numbered:ident)*;) => {
        $(fn $plain(&mut self, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
            self.0.iter_mut().try_for_each(|c| c.$plain(logs, t))
        })*
        $(fn $numbered(&mut self, number: usize, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
            self.0.iter_mut().try_for_each(|c| c.$numbered(number, logs, t))
        })*
    };
}

impl Callback for CallbackList<'_> {
    with_hooks!(each);

    fn shows_progress(&self) -> bool {
        self.0.iter().any(|c| c.shows_progress())
    }
}

/// Writes each epoch into the trainer's history.
struct Recorder;

impl Callback for Recorder {
    fn on_train_begin(&mut self, _: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        let (epochs, steps) = (t.epochs(), t.steps_per_epoch());
        let params = t.history_mut().params_mut();
        (params.epochs, params.steps) = (epochs, steps);
        Ok(())
    }
    fn on_epoch_begin(&mut self, epoch: usize, _: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        t.history_mut().begin_epoch(epoch);
        Ok(())
    }
    fn on_epoch_end(&mut self, epoch: usize, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        t.history_mut().record(epoch, logs)
    }
}
