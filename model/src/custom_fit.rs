//! `fit` for train steps of your own.

use crate::{
    custom::{Step, TrainStep},
    custom_means::Means,
    evaluate::loader,
    fit::in_memory,
    hints::Voice,
    options::{Common, Fit, INFERENCE_BATCH, Rows, Validation},
    passes::Passes,
    save::safetensors,
    seed::Seed,
    session::Held,
    start,
    steps::{LadderNews, running_logs},
    stop::StopHandle,
};
use addax_callbacks::{Callback, CallbackList, Console, Direction, History, Logs, Snapshot, Trainer, Verbosity};
use addax_data::{Batch, Batches, Dataset};
use addax_io::Weights;
use addax_layers::{Cx, dtype_policy, weights};
use addax_tensor::{Array, Device, Error, Result, Tensor, Variable, random, run};
use std::path::Path;

/// Keras' default.
const BATCH: usize = 32;
/// The step that the random numbers of tests begin at, far from those of training.
const TESTS: u32 = 1 << 31;

fn no_optimizer() -> Error {
    Error::argument("this TrainStep does not say whose learning rate to tell; write its method `optimizer`")
}

pub(crate) fn fit<T: TrainStep>(step: &mut T, rows: Rows<'_>, fit: Fit<'_>) -> Result<History> {
    if fit.class_weight.is_some() {
        return Err(Error::argument("a TrainStep weighs its rows itself: class weights go into the step"));
    }
    let parts = match (fit.validation.split, fit.validation.data) {
        (Some(fraction), None) => Some(in_memory(rows)?.validation_split(fraction)?),
        _ => None,
    };
    let rows = parts.as_ref().map_or(rows, |(train, _)| Rows::from(train));
    let held_out = parts.as_ref().map(|(_, rest)| Rows::from(rest)).or(fit.validation.data);
    let seed = fit.seed.map_or_else(Seed::next, Seed::given);
    let Common { batch_size, steps, callbacks, verbosity, quiet_hints } = fit.common;
    let size = batch_size.unwrap_or(BATCH);
    let batches = if fit.shuffle { Batches::new(size).shuffle(seed.value) } else { Batches::new(size) };
    let mut passes = Passes::new(rows, &batches, fit.initial_epoch as u64, steps)?;
    let mut callbacks = CallbackList::for_run(callbacks, verbosity);
    let mut workshop = Workshop::new(step, Voice::new(None, verbosity, quiet_hints), seed.value)?;
    workshop.stop = fit.stop;
    workshop.epochs = fit.epochs;
    workshop.steps = steps.or(rows.source.rows().map(|n| batches.count(n)));
    workshop.voice.console.line(&format!("Training on {}, seed {}", workshop.device.name(), seed.told));
    if verbosity != Verbosity::Silent {
        start::warn_of_debug_build(&workshop.voice);
    }
    let validation =
        Validation { data: held_out, batch_size: fit.validation.batch_size.or(Some(size)), ..fit.validation };
    workshop.train(&mut callbacks, &mut passes, &validation, fit.initial_epoch)?;
    Ok(workshop.history)
}

/// Means over the rows of what the step measures.
pub(crate) fn evaluate<T: TrainStep>(step: &mut T, rows: Rows<'_>) -> Result<Logs> {
    Workshop::new(step, Voice::none(), Seed::next().value)?.test(&mut CallbackList::new(), rows, INFERENCE_BATCH, None)
}

/// A run of `fit`, and the trainer that callbacks see.
struct Workshop<'s, T> {
    step: &'s mut T,
    history: History,
    stop: StopHandle,
    stopping: bool,
    epochs: usize,
    steps: Option<usize>,
    voice: Voice,
    seed: u64,
    key: Variable,
    number: usize,
    means: Means,
    /// The random numbers of tests: the same ones in each, and none that training misses.
    test_key: Variable,
    test_means: Means,
    device: Device,
    ladder: LadderNews,
}

impl<'s, T: TrainStep> Workshop<'s, T> {
    fn new(step: &'s mut T, voice: Voice, seed: u64) -> Result<Self> {
        Ok(Workshop {
            step,
            history: History::default(),
            stop: StopHandle::default(),
            stopping: false,
            epochs: 0,
            steps: None,
            voice,
            seed,
            key: Variable::state(random::key(seed, 0)).named("random_key"),
            number: 0,
            means: Means::default(),
            test_key: Variable::state(random::key(seed, TESTS)).named("test_key"),
            test_means: Means::default(),
            device: Device::try_default()?,
            ladder: LadderNews::default(),
        })
    }

    fn train(
        &mut self,
        callbacks: &mut CallbackList<'_>,
        passes: &mut Passes,
        validation: &Validation<'_>,
        first: usize,
    ) -> Result<()> {
        let mut last = Logs::new();
        callbacks.on_train_begin(&mut Logs::new(), self)?;
        for epoch in first..self.epochs {
            if self.stopped() {
                break;
            }
            callbacks.on_epoch_begin(epoch, &mut Logs::new(), self)?;
            self.means.reset()?;
            while let Some((count, batch)) = passes.next()? {
                batch.check()?;
                callbacks.on_train_batch_begin(count, &mut Logs::new(), self)?;
                last = self.batch(&batch, true)?;
                self.number += 1;
                callbacks.on_train_batch_end(count, &mut last, self)?;
                passes.give_back(batch);
                if self.stopped() {
                    break;
                }
            }
            passes.end_epoch()?;
            let validate = validation.freq.due(epoch) && !self.stop.is_stopped();
            if let (Some(rows), Some(size)) = (validation.data.filter(|_| validate), validation.batch_size) {
                let held_out = self.test(callbacks, rows, size, validation.steps)?;
                last.extend(held_out.prefixed("val_"));
            }
            callbacks.on_epoch_end(epoch, &mut last, self)?;
        }
        callbacks.on_train_end(&mut last, self)
    }

    /// What the step measures over these rows, with the hooks of a test.
    fn test(
        &mut self,
        callbacks: &mut CallbackList<'_>,
        rows: Rows<'_>,
        batch_size: usize,
        limit: Option<usize>,
    ) -> Result<Logs> {
        let mut loader = loader(rows, &Batches::new(batch_size))?;
        loader.start(0)?;
        self.test_means.reset()?;
        self.test_key.assign(&random::key(self.seed, TESTS))?;
        callbacks.on_test_begin(&mut Logs::new(), self)?;
        let (mut logs, mut count) = (Logs::new(), 0);
        while limit.is_none_or(|limit| count < limit) {
            let Some(batch) = loader.next_batch()? else { break };
            batch.check()?;
            callbacks.on_test_batch_begin(count, &mut Logs::new(), self)?;
            logs = self.batch(&batch, false)?;
            callbacks.on_test_batch_end(count, &mut logs, self)?;
            loader.give_back(batch);
            count += 1;
        }
        if count == 0 {
            return Err(Error::data("there is nothing to evaluate: the data gave no batch"));
        }
        callbacks.on_test_end(&mut logs, self)?;
        Ok(logs)
    }

    /// Records the step, computes it, commits it.
    fn batch(&mut self, batch: &Batch, training: bool) -> Result<Logs> {
        let key = if training { &self.key } else { &self.test_key };
        let cx = Cx::new(self.seed, key.value()).with_policy(dtype_policy()).with_training(training);
        let tensor = |array: &Array| Tensor::from_array(array.clone()).of_samples();
        let mut step = Step::new(cx, batch.y.as_ref().map(tensor), batch.weight.as_ref().map(tensor), self.number);
        let x = tensor(&batch.x);
        let logs = if training { self.step.train_step(x, &mut step) } else { self.step.test_step(x, &mut step) }?;
        let mut updates = step.finish();
        updates.push((key.clone(), key.value() + Tensor::from_vec([0u32, 0, 1], [3])));
        let means = if training { &mut self.means } else { &mut self.test_means };
        let (names, means) = means.observe(&logs, batch.rows(), &mut updates)?;
        let (values, rung) = run::step_and_rung(&means, updates)?;
        if training && let Some(news) = self.ladder.of(rung, batch.rows(), &self.device) {
            tracing::info!("{news}");
            self.voice.console.line(&news);
            self.history.note(news);
        }
        let mut out = match values.into_iter().next() {
            Some(values) => running_logs(&names, values, &self.device)?,
            None => Logs::new(),
        };
        // Plain numbers are told as they are.
        out.extend(logs.into_iter().filter(|(_, value)| value.downcast_ref::<Tensor>().is_none()));
        Ok(out)
    }
    fn variables(&self) -> Vec<(String, Variable)> {
        let mut all = Vec::new();
        for (name, layer) in self.step.parts() {
            let named = weights(layer).into_iter();
            all.extend(named.filter_map(|w| Some((format!("{name}/{}", w.name), w.weight.variable()?.clone()))));
        }
        all
    }
}

impl<T: TrainStep> Trainer for Workshop<'_, T> {
    fn stop(&mut self) {
        self.stopping = true;
    }
    fn stopped(&self) -> bool {
        self.stopping || self.stop.is_stopped()
    }
    fn epochs(&self) -> usize {
        self.epochs
    }
    fn steps_per_epoch(&self) -> Option<usize> {
        self.steps
    }
    fn predict_all(&mut self, inputs: &[Array]) -> Result<Vec<Array>> {
        self.step.predict(inputs)
    }
    fn evaluate(&mut self, inputs: &[Array], targets: &[Array]) -> Result<Logs> {
        let ([x], [y]) = (inputs, targets) else {
            let (x, y) = (inputs.len(), targets.len());
            return Err(Error::argument(format!(
                "a TrainStep is evaluated on one input and one target, got {x} and {y}"
            )));
        };
        let data = Dataset::new(x.clone(), y.clone())?;
        self.test(&mut CallbackList::new(), Rows::from(&data), INFERENCE_BATCH, None)
    }
    fn weights(&self) -> Result<Vec<(String, Array)>> {
        self.variables().into_iter().map(|(path, v)| Ok((path, v.value().to_array()?))).collect()
    }
    fn set_weights(&mut self, weights: &[(String, Array)]) -> Result<()> {
        crate::model::assign(&self.variables(), weights)
    }
    fn snapshot(&self) -> Result<Snapshot> {
        Held::snapshot(self.variables(), &self.device)
    }
    fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        Held::restore(snapshot)
    }
    fn learning_rate(&self) -> Result<f64> {
        self.step.optimizer().ok_or_else(no_optimizer)?.learning_rate()
    }
    fn set_learning_rate(&mut self, learning_rate: f64) -> Result<()> {
        self.step.optimizer().ok_or_else(no_optimizer)?.set_learning_rate(learning_rate)
    }
    fn save(&self, path: &Path, _: bool) -> Result<()> {
        Weights::new(self.weights()?).save(safetensors(path)?)
    }
    fn metric_direction(&self, name: &str) -> Option<Direction> {
        name.ends_with("loss").then_some(Direction::Min)
    }
    fn history(&self) -> &History {
        &self.history
    }
    fn history_mut(&mut self) -> &mut History {
        &mut self.history
    }
    fn console(&self) -> Console {
        self.voice.console.clone()
    }
}
