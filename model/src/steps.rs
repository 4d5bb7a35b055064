//! Steps that train or test: captured once for each size of batch, with the running metrics that they move.

use crate::{
    batch_size,
    build::Output,
    metrics_state::Tracker,
    model::Model,
    programs::{Programs, Signature},
};
use addax_callbacks::{LogValue, Logs, Value};
use addax_tensor::{
    Array, Device, Error, Program, Result, Shape, Tensor, Variable, error::bytes_for_people, plan::split::Rung,
};
use std::sync::{Arc, OnceLock};

/// One batch as a step takes it.
#[derive(Clone, Copy)]
pub(crate) struct Feed<'a> {
    pub x: &'a Array,
    pub y: Option<&'a Array>,
    pub weight: Option<&'a Array>,
}

/// What a training tells of the memory ladder: the lowest rung that was told of.
#[derive(Default)]
pub(crate) struct LadderNews(Rung);

impl LadderNews {
    /// What there is to tell after a step of so many rows on this rung: that it is lower than any before.
    pub fn of(&mut self, rung: Rung, rows: usize, device: &Device) -> Option<String> {
        if !rung.is_below(self.0) {
            return None;
        }
        self.0 = rung;
        let limit = bytes_for_people(device.memory().budget);
        let again = if rung.recompute { ", computing some values again" } else { "" };
        let how = match rung.slices {
            1 => "at once".into(),
            slices => format!("in {slices} slices"),
        };
        let lean = if rung.lean { ", with less scratch" } else { "" };
        Some(format!(
            "memory is short (limit {limit}): a batch of {rows} is computed {how}{again}{lean}; results stay the same"
        ))
    }
}

/// The steps of one loop, and its metrics.
pub(crate) struct Steps {
    training: bool,
    tracker: Tracker,
    programs: Programs<Signature>,
    device: Device,
    /// The rung of the memory ladder that the last step took.
    rung: Rung,
    told: LadderNews,
}

impl Steps {
    /// For batches like this one.
    pub fn new(model: &mut Model, training: bool, feed: Feed<'_>) -> Result<Steps> {
        let device = model.device()?;
        let predictions = shape_of(model.output()?, feed.x.rows());
        let labels = feed.y.map(|y| y.shape().clone());
        let shapes = labels.as_ref().map(|y| (y, &predictions));
        let tracker = Tracker::new(&mut model.compiled_mut()?.metrics, shapes)?;
        Ok(Steps {
            training,
            tracker,
            programs: Programs::default(),
            device,
            rung: Rung::WHOLE,
            told: LadderNews::default(),
        })
    }
    /// The state of the running loss and metrics.
    pub fn state(&self) -> Vec<Variable> {
        self.tracker.variables()
    }
    /// Goes on on another device: everything is captured anew there.
    pub fn move_to(&mut self, device: &Device) {
        self.device = device.clone();
        self.programs.clear();
        self.tracker.leave_device();
    }
    /// Forgets what was measured.
    pub fn reset(&mut self) -> Result<()> {
        self.tracker.reset(&self.device)
    }
    /// The program for batches like this one; captures it at the first call.
    pub fn program(&mut self, model: &mut Model, feed: Feed<'_>) -> Result<Arc<Program>> {
        let (x, y, weighted) = (feed.x, feed.y, feed.weight.is_some());
        if let Some(program) = self.programs.find(|signature| signature.fits(x, y, weighted)) {
            return Ok(program);
        }
        let signature = Signature::of(x, y, weighted);
        let program = model.record_step(&signature, &self.tracker, self.training)?.capture(&self.device)?;
        Ok(self.programs.insert(signature, program))
    }
    /// What there is to tell of the memory ladder after a step of so many rows: that it had to take a lower rung than any before.
    pub fn news(&mut self, rows: usize) -> Option<String> {
        self.told.of(self.rung, rows, &self.device)
    }
    /// One step; loss and metrics since the last [`reset`](Steps::reset).
    pub fn run(&mut self, model: &mut Model, feed: Feed<'_>) -> Result<Logs> {
        let outputs = self.outputs(model, feed).map_err(|error| self.told(error, model, feed))?;
        let values = outputs.into_iter().next().ok_or_else(|| Error::device("a step gave no metrics"))?;
        running_logs(&self.tracker.names, values, &self.device)
    }
    fn outputs(&mut self, model: &mut Model, feed: Feed<'_>) -> Result<Vec<Tensor>> {
        let program = self.program(model, feed)?;
        let outputs = match (feed.y, feed.weight) {
            (None, None) => program.run(&[feed.x]),
            (Some(y), None) => program.run(&[feed.x, y]),
            (None, Some(w)) => program.run(&[feed.x, w]),
            (Some(y), Some(w)) => program.run(&[feed.x, y, w]),
        }?;
        self.rung = program.rung();
        Ok(outputs)
    }
    /// A refusal, with the largest batch that would fit.
    fn told(&self, error: Error, model: &Model, feed: Feed<'_>) -> Error {
        let signature = Signature::of(feed.x, feed.y, feed.weight.is_some());
        batch_size::told(error, &self.device, feed.x.rows(), |rows| {
            model.record_step(&signature.with_rows(rows), &self.tracker, self.training)
        })
    }
}

/// A shape for so many rows, as far as it follows them one to one.
fn shape_of(output: &Output, rows: usize) -> Shape {
    output.shape.iter().map(|d| d.unwrap_or(rows)).collect()
}

/// The vector of running values under their names. Reading it costs nothing on a CPU; on other devices it waits until
/// somebody asks.
pub(crate) fn running_logs(names: &[Arc<str>], values: Tensor, device: &Device) -> Result<Logs> {
    let mut logs = Logs::new();
    // A step that was committed took place, even if reading what it measured fails: then whoever asks reads again.
    if device.caps().immediate {
        match values.to_vec::<f32>() {
            Ok(numbers) => {
                for (name, value) in names.iter().zip(numbers) {
                    logs.insert(name.clone(), value);
                }
                return Ok(logs);
            }
            // What was committed is gone again, and nobody could read it later.
            Err(error) if error.is_device_lost() => return Err(error),
            Err(_) => {}
        }
    }
    let shared = Arc::new(Pending { values, read: OnceLock::new() });
    for (at, name) in names.iter().enumerate() {
        logs.insert(name.clone(), Value::from(Running { shared: shared.clone(), at }));
    }
    Ok(logs)
}

/// Values of one step that the device may still be computing.
struct Pending {
    values: Tensor,
    read: OnceLock<Result<Vec<f32>>>,
}

struct Running {
    shared: Arc<Pending>,
    at: usize,
}

impl LogValue for Running {
    fn try_get(&self) -> Option<f64> {
        let values = self.shared.read.get()?.as_ref().ok()?;
        values.get(self.at).copied().map(f64::from)
    }
    fn get(&self) -> Result<f64> {
        let read = self.shared.read.get_or_init(|| self.shared.values.to_vec());
        let values = read.as_ref().map_err(Clone::clone)?;
        values.get(self.at).copied().map(f64::from).ok_or_else(|| Error::device("a step gave too few metrics"))
    }
}
