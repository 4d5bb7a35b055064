//! What training, testing and predicting need of memory, before anything runs.

use crate::{
    batch_size::most,
    metrics_state::Tracker,
    model::Model,
    programs::{Kin, Signature},
};
use addax_tensor::{DType, Result, Survey, error::bytes_for_people};
use serde_json::{Value, json};
use std::fmt;

/// What a model needs of memory for batches of a size, by planning alone: [`Model::memory_report`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryReport {
    /// Number of samples of a batch.
    pub batch: usize,
    /// Bytes the device may use; `None` without a limit.
    pub budget: Option<u64>,
    /// `train` and `evaluate` if the model is compiled with a loss, and `predict`.
    pub phases: Vec<Phase>,
    /// The largest results and temporaries of the first phase: layer and primitive, bytes.
    pub largest: Vec<(String, u64)>,
    /// Largest batch of the first phase that fits the budget as a whole; larger ones are computed in slices. `None` without a budget,
    /// or if not even one sample fits.
    pub largest_batch: Option<usize>,
}

/// What one kind of step needs. All counts are bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// `train`, `evaluate` or `predict`.
    pub name: &'static str,
    /// Of the batch itself.
    pub data: u64,
    /// Of weights, optimizer state and metrics.
    pub state: u64,
    /// Of all there is at the highest moment, when the whole batch is computed at once.
    pub peak: u64,
    /// The least that it can be done with, sample by sample. Below, training is refused.
    pub floor: u64,
    /// Why the batch cannot be computed in slices, if it cannot.
    pub obstacle: Option<String>,
}

/// Values with their bytes.
type Largest = Vec<(String, u64)>;

/// No batch is looked for beyond this size.
const MOST_ROWS: usize = 1 << 20;

impl Model {
    /// What training, testing and predicting with batches of this size will need. Nothing is allocated, nothing runs.
    ///
    /// ```
    /// use addax::{layers::Dense, prelude::*};
    /// let mut model = Sequential::new().input([784]).add(Dense::new(512).activation("relu")).add(Dense::new(10));
    /// model.compile(Compile::new(Adam::new(1e-3)).loss(SparseCategoricalCrossentropy::from_logits()))?;
    /// let report = model.memory_report(128)?;
    /// assert_eq!(report.phases[0].name, "train");
    /// assert!(report.phases[0].floor < report.phases[0].peak);
    /// println!("{report}");
    /// # Ok::<(), addax::Error>(())
    /// ```
    pub fn memory_report(&self, batch: usize) -> Result<MemoryReport> {
        let budget = Some(self.device()?.memory().budget).filter(|&bytes| bytes != u64::MAX);
        let (phases, largest) = self.phases(&["train", "evaluate", "predict"], batch)?;
        let first = phases.first().map_or("predict", |phase| phase.name);
        let largest_batch = match budget {
            Some(budget) => self.largest_batch(first, budget)?,
            None => None,
        };
        Ok(MemoryReport { batch, budget, phases, largest, largest_batch })
    }

    /// What these kinds of step need, those that the model can take; and the largest values of the first.
    pub(crate) fn phases(&self, names: &[&'static str], batch: usize) -> Result<(Vec<Phase>, Largest)> {
        let (mut phases, mut first) = (Vec::new(), None);
        for &name in names {
            let Some(survey) = self.survey(name, batch)? else { continue };
            let Survey { data, state, peak, floor, obstacle, largest } = survey;
            first.get_or_insert(largest);
            phases.push(Phase { name, data, state, peak, floor, obstacle });
        }
        Ok((phases, first.unwrap_or_default()))
    }

    fn survey(&self, phase: &str, batch: usize) -> Result<Option<Survey>> {
        let (input, device) = (self.input()?, self.device()?);
        let x = Kin { dtype: input.dtype, shape: input.batch(batch) };
        if phase == "predict" {
            return self.record_predict(&x)?.survey(&device).map(Some);
        }
        let Some(loss) = self.compiled.as_ref().and_then(|c| c.loss.as_ref()) else { return Ok(None) };
        // Labels as this loss usually takes them; metrics add next to nothing.
        let output = self.output()?;
        let dims = output.shape.iter().map(|d| d.unwrap_or(batch));
        let y = match loss.class_name() == "SparseCategoricalCrossentropy" {
            true => Kin { dtype: DType::I32, shape: dims.take(output.shape.len().saturating_sub(1)).collect() },
            false => Kin { dtype: DType::F32, shape: dims.collect() },
        };
        let signature = Signature { x, y: Some(y), weighted: false };
        let step = self.record_step(&signature, &Tracker::new(&mut [], None)?, phase == "train")?;
        step.survey(&device).map(Some)
    }

    /// By doubling, then by halving the distance.
    fn largest_batch(&self, phase: &str, budget: u64) -> Result<Option<usize>> {
        let fits = |rows: usize| Ok(self.survey(phase, rows)?.is_some_and(|survey| survey.peak <= budget));
        if !fits(1)? {
            return Ok(None);
        }
        let mut low = 1;
        while low < MOST_ROWS && fits(2 * low)? {
            low *= 2;
        }
        if low >= MOST_ROWS {
            return Ok(Some(low));
        }
        most(low, 2 * low, fits).map(Some)
    }
}

impl MemoryReport {
    /// The report as JSON: counts are bytes.
    pub fn to_json(&self) -> String {
        let phase = |p: &Phase| {
            json!({
                "name": p.name, "data": p.data, "state": p.state, "peak": p.peak, "floor": p.floor, "obstacle": p.obstacle,
            })
        };
        let phases: Vec<Value> = self.phases.iter().map(phase).collect();
        let largest: Vec<Value> =
            self.largest.iter().map(|(value, bytes)| json!({ "value": value, "bytes": bytes })).collect();
        json!({
            "batch": self.batch,
            "budget": self.budget,
            "phases": phases,
            "largest": largest,
            "largest_batch": self.largest_batch,
        })
        .to_string()
    }
}

impl fmt::Display for MemoryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Memory for a batch of {}", self.batch)?;
        writeln!(f, "  {:<10} {:>11} {:>11} {:>11} {:>11}", "", "data", "state", "peak", "floor")?;
        for p in &self.phases {
            let [data, state, peak, floor] = [p.data, p.state, p.peak, p.floor].map(bytes_for_people);
            writeln!(f, "  {:<10} {data:>11} {state:>11} {peak:>11} {floor:>11}", p.name)?;
            if let Some(obstacle) = &p.obstacle {
                writeln!(f, "  {:<10} {obstacle}", "")?;
            }
        }
        if !self.largest.is_empty() {
            writeln!(f, "  largest:")?;
        }
        for (label, bytes) in &self.largest {
            writeln!(f, "  {:>11}  {label}", bytes_for_people(*bytes))?;
        }
        match (self.budget, self.largest_batch) {
            (None, _) => writeln!(f, "  budget: none"),
            (Some(budget), Some(rows)) => {
                writeln!(f, "  budget: {}; batches of up to {rows} are computed at once", bytes_for_people(budget))
            }
            (Some(budget), None) => {
                writeln!(f, "  budget: {}; not even one sample fits at once", bytes_for_people(budget))
            }
        }
    }
}
