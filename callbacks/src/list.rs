//! Several callbacks as one.

use crate::{Callback, Logs, ProgressBar, Trainer, Verbosity, callback::with_hooks};
use addax_tensor::Result;

/// Callbacks called in order; the first error ends the round and is returned.
#[derive(Default)]
pub struct CallbackList<'a> {
    list: Vec<Box<dyn Callback + 'a>>,
    /// The callback that failed in the last round (the first, if none did), and the one that the next round begins with.
    failed: usize,
    first: usize,
}

impl<'a> CallbackList<'a> {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }
    /// What a run of `fit`, `evaluate` or `predict` calls: the user's callbacks, then the recording of each epoch in
    /// [`Trainer::history`], then a progress bar, unless one of the user's shows progress itself.
    pub fn for_run(user: impl IntoIterator<Item = Box<dyn Callback + 'a>>, verbosity: impl Into<Verbosity>) -> Self {
        let mut list = CallbackList { list: user.into_iter().collect(), ..CallbackList::default() };
        let shown = list.shows_progress();
        list.push(Recorder);
        if !shown {
            list.push(ProgressBar::new(verbosity));
        }
        list
    }
    /// Adds a callback at the end.
    pub fn push(&mut self, callback: impl Callback + 'a) {
        self.list.push(Box::new(callback));
    }
    /// Makes the next round begin with the callback that failed in the last one, when the trainer has put right what was wrong:
    /// those before it are not called twice.
    pub fn retry(&mut self) {
        self.first = self.failed;
    }
    /// The callbacks of a round.
    fn round(&mut self, mut call: impl FnMut(&mut dyn Callback) -> Result<()>) -> Result<()> {
        let first = std::mem::take(&mut self.first);
        self.failed = 0;
        for (n, callback) in self.list.iter_mut().enumerate().skip(first) {
            call(callback).inspect_err(|_| self.failed = n)?;
        }
        Ok(())
    }
    /// Number of callbacks.
    pub fn len(&self) -> usize {
        self.list.len()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

macro_rules! each {
    (plain: $($plain:ident)*; numbered: $($numbered:ident)*;) => {
        $(fn $plain(&mut self, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
            self.round(|c| c.$plain(logs, t))
        })*
        $(fn $numbered(&mut self, number: usize, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
            self.round(|c| c.$numbered(number, logs, t))
        })*
    };
}

impl Callback for CallbackList<'_> {
    with_hooks!(each);

    fn shows_progress(&self) -> bool {
        self.list.iter().any(|c| c.shows_progress())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LambdaCallback, Rehearsal, logs};
    use addax_tensor::Error;
    use std::cell::RefCell;

    #[test]
    fn a_round_that_failed_goes_on_with_the_callback_that_failed() {
        let calls = RefCell::new(Vec::new());
        let calls = &calls;
        let heard = |who: u32| {
            LambdaCallback::new().on_epoch_begin(move |epoch, _, _| {
                calls.borrow_mut().push((who, epoch));
                Ok(())
            })
        };
        let mut fails = true;
        let second = LambdaCallback::new().on_epoch_begin(|_, _, _| match std::mem::take(&mut fails) {
            true => Err(Error::device("once")),
            false => Ok(()),
        });
        let mut list = CallbackList::new();
        list.push(heard(1));
        list.push(second);
        list.push(heard(3));
        let mut trainer = Rehearsal::new([logs! { "loss" => 1.0 }]);
        let mut round = |list: &mut CallbackList<'_>, epoch| list.on_epoch_begin(epoch, &mut Logs::new(), &mut trainer);
        assert!(round(&mut list, 0).is_err());
        list.retry();
        assert!(round(&mut list, 0).is_ok() && round(&mut list, 1).is_ok());
        drop(list);
        assert_eq!(*calls.borrow(), [(1, 0), (3, 0), (1, 1), (3, 1)]);
    }
}
