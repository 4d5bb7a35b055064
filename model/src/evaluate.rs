//! `evaluate`: loss and metrics over data, with nothing trained.

use crate::{
    check::{self, Labels},
    hints::{RowsMark, Voice},
    model::Model,
    options::{Common, Evaluate, INFERENCE_BATCH, Rows},
    session::Session,
    steps::{Feed, Steps},
};
use addax_callbacks::{Callback, CallbackList, Logs};
use addax_data::{Batches, Loader, Prefetch, Source};
use addax_tensor::{Array, Error, Result};
use std::panic::Location;

impl Model {
    /// Loss and metrics over these rows, in batches of 128.
    ///
    /// ```
    /// use addax::{layers::Dense, prelude::*};
    /// let iris = data::sets::iris()?.data;
    /// let mut model = Sequential::new().input([4]).add(Dense::new(3).activation("softmax"));
    /// model.compile(Compile::new("sgd").loss("sparse_categorical_crossentropy").metric("accuracy"))?;
    /// let logs = model.evaluate(&iris)?;
    /// println!("{logs}"); // loss: 1.2345 - accuracy: 0.3333
    /// assert!(logs.get("loss")? > 0.0);
    /// # Ok::<(), addax::Error>(())
    /// ```
    #[track_caller]
    pub fn evaluate<S: Source + 'static>(&mut self, data: &S) -> Result<Logs> {
        let at = Location::caller();
        self.evaluate_told(Rows::new(data), Evaluate::new()).map_err(|e| e.at(at))
    }
    /// The same with a batch size, callbacks, a progress bar.
    #[track_caller]
    pub fn evaluate_with<S: Source + 'static>(&mut self, data: &S, how: Evaluate<'_>) -> Result<Logs> {
        let at = Location::caller();
        self.evaluate_told(Rows::new(data), how).map_err(|e| e.at(at))
    }
    fn evaluate_told(&mut self, rows: Rows<'_>, how: Evaluate<'_>) -> Result<Logs> {
        self.compiled()?;
        let Common { batch_size, steps, callbacks, verbosity, quiet_hints } = how.common;
        let voice = Voice::new(self.console.as_ref(), verbosity, quiet_hints);
        let batch_size = batch_size.unwrap_or(INFERENCE_BATCH);
        let all = rows.source.rows().map(|n| n.div_ceil(batch_size.max(1)));
        let mut callbacks = CallbackList::for_run(callbacks, verbosity);
        let mut session = Session::new(self, voice);
        session.steps = steps.or(all);
        session.mark = session.model.was_validated().then(RowsMark::default);
        let logs = session.evaluate_rows(&mut callbacks, rows, batch_size, steps, &mut Heard::default())?;
        if let Some(mark) = session.mark {
            session.model.hint_test_rows(mark, &session.voice);
        }
        Ok(logs)
    }
    /// Loss and metrics of one batch, added to what was measured since the last [`reset_metrics`](Model::reset_metrics), as in
    /// Keras.
    #[track_caller]
    pub fn test_on_batch(&mut self, x: &Array, y: &Array, sample_weight: Option<&[f32]>) -> Result<Logs> {
        let at = Location::caller();
        self.on_batch(false, x, y, sample_weight).map_err(|e| e.at(at))
    }
    /// One training step. The logs are added to what was measured since the last [`reset_metrics`](Model::reset_metrics), as
    /// in Keras.
    #[track_caller]
    pub fn train_on_batch(&mut self, x: &Array, y: &Array, sample_weight: Option<&[f32]>) -> Result<Logs> {
        let at = Location::caller();
        self.on_batch(true, x, y, sample_weight).map_err(|e| e.at(at))
    }
    /// Forgets what [`train_on_batch`](Model::train_on_batch) and [`test_on_batch`](Model::test_on_batch) measured.
    pub fn reset_metrics(&mut self) -> Result<()> {
        let compiled = self.compiled_mut()?;
        compiled.train.iter_mut().chain(&mut compiled.test).try_for_each(Steps::reset)
    }
    /// The sums that running loss and metrics consist of, copied to the host: of training (`train/0/total`) and of testing
    /// (`test/0/total`), each since its first step or its last reset.
    pub fn metrics_variables(&self) -> Result<Vec<(String, Array)>> {
        let Some(compiled) = &self.compiled else { return Ok(Vec::new()) };
        let loops = [("train", &compiled.train), ("test", &compiled.test)];
        let all = loops.iter().flat_map(|(name, steps)| {
            let state = steps.as_ref().map(Steps::state).unwrap_or_default();
            state
                .into_iter()
                .enumerate()
                .map(move |(n, variable)| Ok((format!("{name}/{n}/{}", variable.name()), variable.value().to_array()?)))
        });
        all.collect()
    }
    fn on_batch(&mut self, training: bool, x: &Array, y: &Array, weight: Option<&[f32]>) -> Result<Logs> {
        self.compiled()?;
        self.build_with(check::sample_shape(x))?;
        self.prepare_training()?;
        let weight = weight.map(|w| Array::new([w.len()], w)).transpose()?;
        let batch = addax_data::Batch { x: x.clone(), y: Some(y.clone()), weight, index: 0, first_row: 0 };
        check::batch(self, &batch)?;
        self.labels()?.check(y)?;
        let feed = Feed { x, y: Some(y), weight: batch.weight.as_ref() };
        let mut steps = self.take_steps(training, feed)?;
        let logs = steps.run(self, feed);
        self.keep_steps(training, steps);
        self.touched |= training;
        logs
    }
    /// What labels must be.
    pub(crate) fn labels(&self) -> Result<Labels> {
        Ok(Labels::of(self.compiled()?, self.output()?.last()))
    }
    /// The captured steps, or new ones where they are taken already.
    pub(crate) fn take_steps(&mut self, training: bool, feed: Feed<'_>) -> Result<Steps> {
        let compiled = self.compiled_mut()?;
        let kept = if training { compiled.train.take() } else { compiled.test.take() };
        match kept {
            Some(steps) => Ok(steps),
            None => Steps::new(self, training, feed),
        }
    }
    /// Keeps steps for later runs.
    pub(crate) fn keep_steps(&mut self, training: bool, steps: Steps) {
        if let Some(compiled) = &mut self.compiled {
            let place = if training { &mut compiled.train } else { &mut compiled.test };
            *place = Some(steps);
        }
    }
}

/// A reader of batches: on a thread of its own, unless the rows lie in memory, where gathering is faster than handing over.
pub(crate) fn loader(rows: Rows<'_>, batches: &Batches) -> Result<Box<dyn Loader>> {
    let plain = rows.source.loader(batches)?;
    match rows.dataset {
        Some(_) => Ok(plain),
        None => Ok(Box::new(Prefetch::new(plain)?)),
    }
}

/// Which hooks of an evaluation were called, so that none is called twice when it begins again.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub begin: bool,
    /// Batches whose first and last hook were called.
    begun: usize,
    ended: usize,
}

/// The batches of an evaluation, one after the other.
pub(crate) fn measure(
    session: &mut Session<'_>,
    callbacks: &mut CallbackList<'_>,
    rows: Rows<'_>,
    batch_size: usize,
    limit: Option<usize>,
    heard: &mut Heard,
) -> Result<Logs> {
    let mut loader = loader(rows, &Batches::new(batch_size))?;
    loader.start(0)?;
    let mut steps: Option<Steps> = None;
    let mut logs = Logs::new();
    let mut count = 0;
    // An evaluation may begin again, on a device opened anew.
    session.mark = session.mark.map(|_| RowsMark::default());
    while limit.is_none_or(|limit| count < limit) {
        let Some(batch) = loader.next_batch()? else { break };
        if steps.is_none() {
            session.model.build_with(check::sample_shape(&batch.x))?;
        }
        check::batch(session.model, &batch)?;
        session.model.labels()?.check_batch(&batch)?;
        let feed = Feed { x: &batch.x, y: batch.y.as_ref(), weight: batch.weight.as_ref() };
        let steps = match &mut steps {
            Some(steps) => steps,
            none => {
                let mut fresh = session.model.take_steps(false, feed)?;
                fresh.reset()?;
                none.insert(fresh)
            }
        };
        if count >= heard.begun {
            callbacks.on_test_batch_begin(count, &mut Logs::new(), session)?;
            heard.begun = count + 1;
        }
        // Whoever held the last values held the memory of the next ones.
        drop(std::mem::take(&mut logs));
        logs = steps.run(session.model, feed)?;
        if count >= heard.ended {
            callbacks.on_test_batch_end(count, &mut logs, session)?;
            heard.ended = count + 1;
        }
        if let Some(mark) = &mut session.mark {
            mark.add(&batch.x);
        }
        loader.give_back(batch);
        count += 1;
    }
    match steps {
        Some(steps) => session.model.keep_steps(false, steps),
        None => return Err(Error::data("there is nothing to evaluate: the data gave no batch")),
    }
    Ok(logs)
}
