//! `fit` for train steps of your own.

use crate::{
    custom::{Step, TrainStep},
    hints::Voice,
    options::{Fit, Rows},
    passes::Passes,
    save::safetensors,
    seed::Seed,
    session::Held,
    steps::running_logs,
    stop::StopHandle,
};
use addax_callbacks::{Callback, CallbackList, Console, Direction, History, Logs, Snapshot, Trainer, Verbosity};
use addax_data::{Batch, Batches};
use addax_io::Weights;
use addax_layers::{Cx, weights};
use addax_tensor::{Array, DType, Device, Error, Result, Tensor, Variable, random, run};
use std::{path::Path, sync::Arc};

/// Keras' default.
const BATCH: usize = 32;

pub(crate) fn fit<T: TrainStep>(step: &mut T, rows: Rows<'_>, fit: Fit<'_>) -> Result<History> {
    if fit.validation.split.is_some() || fit.validation.data.is_some() || fit.class_weight.is_some() {
        return Err(Error::argument(
            "a TrainStep decides itself what it measures: validation and class weights go into callbacks and the step",
        ));
    }
    let seed = fit.seed.map_or_else(Seed::next, Seed::given);
    let size = fit.batch_size.unwrap_or(BATCH);
    let batches = if fit.shuffle { Batches::new(size).shuffle(seed.value) } else { Batches::new(size) };
    let mut passes = Passes::new(rows, &batches, fit.initial_epoch as u64, fit.steps_per_epoch)?;
    let silent = fit.verbosity == Verbosity::Silent;
    let console = if silent { Console::silent() } else { Console::stdout() };
    let mut callbacks = CallbackList::for_run(fit.callbacks, fit.verbosity);
    let mut workshop = Workshop {
        step,
        history: History::default(),
        stop: fit.stop,
        stopping: false,
        epochs: fit.epochs,
        steps: fit.steps_per_epoch.or(rows.source.rows().map(|n| batches.count(n))),
        voice: Voice::new(console, fit.quiet_hints),
        seed: seed.value,
        key: Variable::state(random::key(seed.value, 0)).named("random_key"),
        number: 0,
        means: Means::default(),
        device: Device::try_default()?,
    };
    workshop.voice.console.line(&format!("Training on {}, seed {}", workshop.device.name(), seed.told));
    workshop.train(&mut callbacks, &mut passes, fit.initial_epoch)?;
    Ok(workshop.history)
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
    device: Device,
}

impl<T: TrainStep> Workshop<'_, T> {
    fn train(&mut self, callbacks: &mut CallbackList<'_>, passes: &mut Passes, first: usize) -> Result<()> {
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
                last = self.batch(&batch)?;
                callbacks.on_train_batch_end(count, &mut last, self)?;
                passes.give_back(batch);
                if self.stopped() {
                    break;
                }
            }
            passes.end_epoch()?;
            callbacks.on_epoch_end(epoch, &mut last, self)?;
        }
        callbacks.on_train_end(&mut last, self)
    }

    /// Records the step, computes it, commits it.
    fn batch(&mut self, batch: &Batch) -> Result<Logs> {
        let cx = Cx::new(self.seed, self.key.value()).with_training(true);
        let tensor = |array: &Array| Tensor::from_array(array.clone()).of_samples();
        let mut step = Step::new(cx, batch.y.as_ref().map(tensor), batch.weight.as_ref().map(tensor), self.number);
        let logs = self.step.train_step(tensor(&batch.x), &mut step)?;
        let mut updates = step.finish();
        updates.push((self.key.clone(), self.key.value() + Tensor::from_vec([0u32, 0, 1], [3])));
        let (names, means) = self.means.observe(&logs, batch.rows(), &mut updates)?;
        let values = run::step(&means, updates)?;
        self.number += 1;
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

/// Means of what is logged, over the rows of the epoch so far; state on the device.
#[derive(Default)]
struct Means {
    totals: Vec<(Arc<str>, Variable)>,
    count: Option<Variable>,
}

impl Means {
    fn reset(&self) -> Result<()> {
        let all = self.totals.iter().map(|(_, v)| v).chain(&self.count);
        all.into_iter().try_for_each(|v| v.assign(&Tensor::scalar(0.0)))
    }
    /// Names of the logged tensors, and the vector of their means after this batch; nothing if no tensor is logged.
    fn observe(
        &mut self,
        logs: &Logs,
        rows: usize,
        updates: &mut Vec<(Variable, Tensor)>,
    ) -> Result<(Vec<Arc<str>>, Vec<Tensor>)> {
        let (mut names, mut means) = (Vec::<Arc<str>>::new(), Vec::new());
        let zero = || Variable::state(Tensor::scalar(0.0));
        let count = self.count.get_or_insert_with(zero).clone();
        let rows_now = count.value() + rows as f64;
        for (name, value) in logs.iter() {
            let Some(tensor) = value.downcast_ref::<Tensor>() else { continue };
            if tensor.shape()?.numel() != 1 {
                return Err(Error::shape(format!("log \"{name}\" has shape {}; it is one number", tensor.shape()?)));
            }
            let total = match self.totals.iter().find(|(known, _)| &**known == name) {
                Some((_, total)) => total.clone(),
                None => {
                    let total = zero();
                    self.totals.push((name.into(), total.clone()));
                    total
                }
            };
            let sum = total.value() + tensor.reshape(()).cast(DType::F32) * rows as f64;
            means.push(&sum / &rows_now);
            updates.push((total, sum));
            names.push(name.into());
        }
        updates.push((count, rows_now));
        Ok((names, if means.is_empty() { means } else { vec![Tensor::stack(&means, 0)] }))
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
    fn evaluate(&mut self, _: &[Array], _: &[Array]) -> Result<Logs> {
        Err(Error::argument("a TrainStep has no evaluation of its own; measure with `predict`"))
    }
    fn weights(&self) -> Result<Vec<(String, Array)>> {
        self.variables().into_iter().map(|(path, v)| Ok((path, v.value().to_array()?))).collect()
    }
    fn set_weights(&mut self, weights: &[(String, Array)]) -> Result<()> {
        crate::model::assign(&self.variables(), weights)
    }
    fn snapshot(&self) -> Result<Snapshot> {
        Ok(Held::snapshot(self.variables()))
    }
    fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        Held::restore(snapshot)
    }
    fn learning_rate(&self) -> Result<f64> {
        Err(Error::argument("a TrainStep has its optimizers for itself; ask them for their learning rate"))
    }
    fn set_learning_rate(&mut self, _: f64) -> Result<()> {
        Err(Error::argument("a TrainStep has its optimizers for itself; set the learning rate there"))
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
