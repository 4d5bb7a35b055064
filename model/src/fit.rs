//! `fit`: checks, then epochs of steps, with Keras' order of hooks.

use crate::{
    check::{self, ClassWeights, Labels},
    evaluate::Heard,
    hints::{RowsMark, Voice},
    model::Model,
    options::{Common, Fit, Rows, Validation},
    passes::Passes,
    recovery::{RestorePoint, read},
    session::Session,
    start,
    steps::{Feed, Steps},
};
use addax_callbacks::{Callback, CallbackList, History, Logs, Trainer, Verbosity};
use addax_data::{Batch, Batches, Dataset, Source};
use addax_tensor::{Error, Result, Tensor};
use std::panic::Location;

/// Keras' default.
const BATCH: usize = 32;

impl Model {
    /// Trains the model on these rows, and returns loss and metrics of each epoch.
    ///
    /// Everything is checked before the first step: shapes, labels, weights, batch sizes. A training that was stopped by a
    /// callback or a [`StopHandle`](crate::StopHandle) returns the history so far. An error leaves the weights as the last
    /// whole step left them.
    ///
    /// Hooks come in Keras' order: `on_train_begin`; for each epoch `on_epoch_begin`, the batches, the validation,
    /// `on_epoch_end`; `on_train_end`. The values of an epoch are means over its samples.
    ///
    /// A GPU can be lost with all that lies on it, when its driver resets. Then training opens it again, goes back to its last
    /// restore point (see [`Fit::restore_every`]) and computes the batches since then again: the same weights, and a note in the
    /// history. Hooks are called once for each batch, whatever is computed again; a callback that itself found the device lost is
    /// called again. After three losses in a row without a further step it fails with
    /// [`ErrorKind::DeviceLost`](addax_tensor::ErrorKind::DeviceLost).
    #[track_caller]
    pub fn fit<S: Source + 'static>(&mut self, data: &S, fit: Fit<'_>) -> Result<History> {
        let at = Location::caller();
        self.fit_rows(Rows::new(data), fit).map_err(|e| e.at(at))
    }

    fn fit_rows(&mut self, rows: Rows<'_>, fit: Fit<'_>) -> Result<History> {
        self.compiled()?;
        let Common { batch_size, steps: limit, callbacks, verbosity, quiet_hints } = fit.common;
        let voice = Voice::new(self.console.as_ref(), verbosity, quiet_hints);
        let parts: Option<(Dataset, Dataset)> = match (fit.validation.split, fit.validation.data) {
            (Some(fraction), None) => Some(in_memory(rows)?.validation_split(fraction)?),
            _ => None,
        };
        let train = parts.as_ref().map_or(rows, |(train, _)| Rows::from(train));
        let held_out = parts.as_ref().map(|(_, rest)| Rows::from(rest)).or(fit.validation.data);

        let batch_size = match (batch_size, limit, train.source.rows()) {
            (_, Some(0), _) => return Err(Error::argument("steps_per_epoch is 0; give at least 1")),
            (Some(size), ..) => size,
            (None, Some(steps), Some(rows)) => rows.div_ceil(steps),
            (None, ..) => BATCH,
        };
        let seed = self.seed_for(fit.seed, &voice)?;
        let batches = Batches::new(batch_size);
        let batches = if fit.shuffle { batches.shuffle(seed) } else { batches };
        let first_pass = self.epochs.max(fit.initial_epoch as u64);
        let mut passes = Passes::new(train, &batches, first_pass, limit)?;
        let first = passes.peek()?;
        self.build_with(check::sample_shape(&first.x))?;
        self.prepare_training()?;
        check::batch(self, &first)?;
        let labels = self.check_labels(train)?;
        if let Some(held_out) = held_out {
            self.check_labels(held_out)?;
        }
        let weigh = fit.class_weight.map(ClassWeights);
        let weights = batch_weights(&first, weigh.as_ref())?;
        let feed = Feed { x: &first.x, y: first.y.as_ref(), weight: weights.as_ref().or(first.weight.as_ref()) };
        let mut steps = self.take_steps(true, feed)?;
        let program = steps.program(self, feed)?;
        self.hint_before(&first.x, &voice);
        start::tell(self, &program, first.rows(), fit.seed, &voice);
        if verbosity != Verbosity::Silent {
            start::warn_of_debug_build(&voice);
        }
        passes.give_back(first);

        if let Some((train, rest)) = &parts {
            self.hint_sorted(train, rest, &voice);
        }
        let mut callbacks = CallbackList::for_run(callbacks, verbosity);
        let mut session = Session::new(self, voice);
        session.mark = Some(RowsMark::default());
        session.stop = fit.stop;
        session.epochs = fit.epochs;
        session.steps = limit.or(train.source.rows().map(|n| batches.count(n)));
        let mut run = Run {
            session,
            steps,
            passes,
            labels,
            weigh,
            validation: Validation { data: held_out, ..fit.validation },
            batch_size,
            point: None,
            restore_every: fit.restore_every,
        };
        run.epochs(&mut callbacks, fit.initial_epoch)?;
        let Run { session, steps, .. } = run;
        let Session { model, history, .. } = session;
        model.keep_steps(true, steps);
        Ok(history)
    }

    /// The rule for labels, checked on all rows if they lie in memory.
    fn check_labels(&self, rows: Rows<'_>) -> Result<Option<Labels>> {
        let labels = self.labels()?;
        match rows.dataset {
            Some(data) => {
                if let Some(y) = data.y() {
                    labels.check(&y)?;
                }
                Ok(None)
            }
            None => Ok(Some(labels).filter(|l| *l != Labels::Free)),
        }
    }
}

pub(crate) fn in_memory(rows: Rows<'_>) -> Result<&Dataset> {
    rows.dataset.ok_or_else(|| {
        Error::argument("validation_split needs rows in memory (a Dataset); give validation_data for other sources")
    })
}

/// Weights that classes give to the rows of a batch.
pub(crate) fn batch_weights(batch: &Batch, weigh: Option<&ClassWeights>) -> Result<Option<addax_tensor::Array>> {
    let Some(weigh) = weigh else { return Ok(None) };
    if batch.weight.is_some() {
        return Err(Error::argument(
            "class_weight and sample weights cannot be combined; multiply them into the weights",
        ));
    }
    let y = batch.y.as_ref().ok_or_else(|| Error::data("class_weight needs labels, and the data has none"))?;
    weigh.of(y).map(Some)
}

/// One call of `fit`, once everything is checked.
pub(crate) struct Run<'m, 'a> {
    pub session: Session<'m>,
    pub steps: Steps,
    pub passes: Passes,
    /// The rule for labels, where they are checked batch by batch.
    labels: Option<Labels>,
    pub weigh: Option<ClassWeights>,
    validation: Validation<'a>,
    batch_size: usize,
    /// Where training goes back to if the device is lost, and after how many steps such a point is made within an epoch.
    pub point: Option<RestorePoint>,
    pub restore_every: usize,
}

impl Run<'_, '_> {
    fn epochs(&mut self, callbacks: &mut CallbackList<'_>, initial_epoch: usize) -> Result<()> {
        let mut last = Logs::new();
        self.keep(|_| Ok(()))?;
        self.hook(callbacks, &mut Logs::new(), |c, logs, t| c.on_train_begin(logs, t))?;
        for epoch in initial_epoch..self.session.epochs {
            if self.session.stopped() {
                break;
            }
            last = self.epoch(epoch, callbacks)?;
        }
        // With averaged weights the averages become the weights.
        let averaged = !self.averages()?.is_empty();
        if averaged {
            self.keep(|run| addax_tensor::run::step(&[], run.averages()?).map(drop))?;
        }
        self.hook(callbacks, &mut last, |c, logs, t| c.on_train_end(logs, t))
    }

    fn epoch(&mut self, epoch: usize, callbacks: &mut CallbackList<'_>) -> Result<Logs> {
        self.hook(callbacks, &mut Logs::new(), |c, logs, t| c.on_epoch_begin(epoch, logs, t))?;
        self.keep(|run| run.steps.reset())?;
        let logs = self.batches(callbacks)?;
        let mut logs = self.settled(logs)?;
        let validate = self.validation.freq.due(epoch) && !self.session.stop.is_stopped();
        if let Some(rows) = self.validation.data.filter(|_| validate) {
            let size = self.validation.batch_size.unwrap_or(self.batch_size);
            let mut heard = Heard::default();
            let held_out = self.surviving(|run| {
                let limit = run.validation.steps;
                let logs = run.session.evaluate_rows(callbacks, rows, size, limit, &mut heard);
                let logs = logs.and_then(|logs| if run.point.is_some() { read(&logs) } else { Ok(logs) });
                // If that is tried again, it is with the callback that found the device lost.
                logs.inspect_err(|_| callbacks.retry())
            })?;
            logs.extend(held_out.prefixed("val_"));
            if let Some(mark) = self.session.mark.take() {
                self.session.model.note_validation(mark);
            }
        }
        if !self.session.stop.is_stopped() {
            self.session.model.epochs += 1;
        }
        self.hook(callbacks, &mut logs, |c, logs, t| c.on_epoch_end(epoch, logs, t))?;
        self.look_back(&logs)?;
        Ok(logs)
    }

    /// With averaged weights, the averages.
    fn averages(&self) -> Result<Vec<(addax_tensor::Variable, Tensor)>> {
        Ok(self.session.model.compiled()?.optimizer().finalize())
    }

    /// The steps of one epoch; loss and metrics at their end.
    fn batches(&mut self, callbacks: &mut CallbackList<'_>) -> Result<Logs> {
        let mut logs = Logs::new();
        while let Some((count, batch)) = self.passes.next()? {
            check::batch(self.session.model, &batch)?;
            self.labels.map_or(Ok(()), |labels| labels.check_batch(&batch))?;
            let weights = batch_weights(&batch, self.weigh.as_ref())?;
            let feed = Feed { x: &batch.x, y: batch.y.as_ref(), weight: weights.as_ref().or(batch.weight.as_ref()) };
            self.hook(callbacks, &mut Logs::new(), |c, logs, t| c.on_train_batch_begin(count, logs, t))?;
            // Whoever held the last values held the memory of the next ones.
            drop(std::mem::take(&mut logs));
            logs = self.surviving(|run| run.steps.run(run.session.model, feed))?;
            let due = self.stepped();
            self.session.model.touched = true;
            if let Some(news) = self.steps.news(feed.x.rows()) {
                tracing::info!("{news}");
                self.session.voice.console.line(&news);
                self.session.history.note(news);
            }
            self.hook(callbacks, &mut logs, |c, logs, t| c.on_train_batch_end(count, logs, t))?;
            self.passes.give_back(batch);
            if due {
                self.keep(|_| Ok(()))?;
            }
            if self.session.stopped() {
                break;
            }
        }
        self.passes.end_epoch()?;
        Ok(logs)
    }
    /// Notes what an epoch tells about the training.
    fn look_back(&mut self, logs: &Logs) -> Result<()> {
        let loss = logs.get("loss")?;
        let known = self.session.history.notes().iter().any(|note| note.text.starts_with(NOT_A_NUMBER));
        if !loss.is_finite() && !known {
            let text = format!(
                "{NOT_A_NUMBER} ({loss}): try a smaller learning rate, scaled inputs, or `clipnorm(1.0)` on the optimizer; look \
                 for inputs that are no numbers"
            );
            tracing::warn!("{text}");
            self.session.voice.console.line(&text);
            self.session.history.note(text);
        }
        self.session.model.hint_after_epoch(&self.session.history, &self.session.voice);
        Ok(())
    }
}

const NOT_A_NUMBER: &str = "the loss is no longer a finite number";

/// A key for random layers: this seed, at its first step.
pub(crate) fn fresh_key(seed: u64) -> Tensor {
    addax_tensor::random::key(seed, 0)
}
