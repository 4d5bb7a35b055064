//! A run of `fit`, `evaluate` or `predict`: what callbacks see of it.

use crate::{
    evaluate::{Heard, measure},
    hints::{RowsMark, Voice},
    model::Model,
    options::{INFERENCE_BATCH, Rows},
    recovery::{Change, Changes},
    stop::StopHandle,
};
use addax_callbacks::{Callback, CallbackList, Console, Direction, History, Logs, Snapshot, Trainer};
use addax_data::Dataset;
use addax_tensor::{Array, Device, Error, Result, Tensor, Variable};
use std::path::Path;

/// The trainer that callbacks talk to.
pub(crate) struct Session<'m> {
    pub model: &'m mut Model,
    pub history: History,
    pub stop: StopHandle,
    /// Whether a callback asked to stop; the handle is the user's and may be used again.
    pub stopping: bool,
    pub epochs: usize,
    pub steps: Option<usize>,
    pub voice: Voice,
    /// What callbacks changed since the last restore point, if there is one.
    pub changes: Option<Changes>,
    /// Set where the next evaluation is to note which rows it saw.
    pub mark: Option<RowsMark>,
}

impl<'m> Session<'m> {
    pub fn new(model: &'m mut Model, voice: Voice) -> Self {
        let (history, stop) = (History::default(), StopHandle::default());
        Session { model, history, stop, stopping: false, epochs: 0, steps: None, voice, changes: None, mark: None }
    }
    fn note(&mut self, change: impl FnOnce() -> Change) {
        if let Some(changes) = &mut self.changes {
            changes.note(change());
        }
    }
}

/// Values of variables, held where they are.
pub(crate) struct Held(Vec<(Variable, Tensor)>);

impl Held {
    /// The values that these variables have now. Where they lie on a device that can be lost they are copied to the host.
    pub fn snapshot(variables: Vec<(String, Variable)>, device: &Device) -> Result<Snapshot> {
        let value = |(_, variable): (String, Variable)| {
            let mut value = variable.value();
            if device.can_be_lost() {
                value = Tensor::from_array(value.to_array()?);
            }
            Ok((variable, value))
        };
        Ok(Snapshot::new(Held(variables.into_iter().map(value).collect::<Result<_>>()?)))
    }
    /// Puts them back, all or none.
    pub fn restore(snapshot: &Snapshot) -> Result<()> {
        let Held(values) = snapshot.content()?;
        addax_tensor::run::step(&[], values.clone()).map(drop)
    }
}

impl Trainer for Session<'_> {
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
        match inputs {
            [one] => Ok(vec![self.model.predict_rows(one, INFERENCE_BATCH)?]),
            _ => Err(one_of("input", inputs.len())),
        }
    }
    fn evaluate(&mut self, inputs: &[Array], targets: &[Array]) -> Result<Logs> {
        let ([x], [y]) = (inputs, targets) else {
            return Err(one_of("input and one target", inputs.len().max(targets.len())));
        };
        let data = Dataset::new(x.clone(), y.clone())?;
        let mut inner = Session::new(&mut *self.model, Voice::none());
        inner.evaluate_rows(&mut CallbackList::new(), Rows::from(&data), INFERENCE_BATCH, None, &mut Heard::default())
    }
    fn weights(&self) -> Result<Vec<(String, Array)>> {
        self.model.weights()
    }
    fn set_weights(&mut self, weights: &[(String, Array)]) -> Result<()> {
        self.model.set_weights(weights)?;
        self.note(|| Change::Weights(weights.to_vec()));
        Ok(())
    }
    fn snapshot(&self) -> Result<Snapshot> {
        Held::snapshot(self.model.variables()?, &self.model.device()?)
    }
    fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        Held::restore(snapshot)?;
        self.note(|| Change::Restored(snapshot.clone()));
        Ok(())
    }
    fn learning_rate(&self) -> Result<f64> {
        self.model.learning_rate()
    }
    fn set_learning_rate(&mut self, learning_rate: f64) -> Result<()> {
        self.model.set_learning_rate(learning_rate)?;
        self.note(|| Change::Rate(learning_rate));
        Ok(())
    }
    fn save(&self, path: &Path, weights_only: bool) -> Result<()> {
        if weights_only { self.model.save_weights(path) } else { self.model.save(path) }
    }
    fn metric_direction(&self, name: &str) -> Option<Direction> {
        if name == "loss" {
            return Some(Direction::Min);
        }
        self.model.compiled().ok()?.metrics.iter().find(|m| m.name == name)?.direction()
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

fn one_of(what: &str, got: usize) -> Error {
    Error::argument(format!("the model has one {what}, got {got}"))
}

/// Passes the batch hooks of an evaluation on.
impl Session<'_> {
    /// Loss and metrics over these rows, with the hooks of a test: those that were not called yet.
    pub fn evaluate_rows(
        &mut self,
        callbacks: &mut CallbackList<'_>,
        rows: Rows<'_>,
        batch_size: usize,
        limit: Option<usize>,
        heard: &mut Heard,
    ) -> Result<Logs> {
        if !heard.begin {
            callbacks.on_test_begin(&mut Logs::new(), self)?;
            heard.begin = true;
        }
        let mut logs = measure(self, callbacks, rows, batch_size, limit, heard)?;
        callbacks.on_test_end(&mut logs, self)?;
        Ok(logs)
    }
}
