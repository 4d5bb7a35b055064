//! Loss and metrics of an epoch so far, as state on the device.

use addax_callbacks::Direction;
use addax_layers::Json;
use addax_losses::metrics::{self, Mean, Metric, MetricChoice, metric_from_config};
use addax_tensor::{DType, Device, Program, Result, Shape, Tensor, Variable};
use std::sync::Arc;

/// Where a metric comes from; a name needs shapes before it means something.
#[derive(Debug)]
pub(crate) enum Source {
    Choice(MetricChoice),
    Json(Json),
}

/// A metric of `compile`.
#[derive(Debug)]
pub(crate) struct MetricSlot {
    pub name: String,
    pub weighted: bool,
    source: Option<Source>,
    config: Json,
    metric: Option<Arc<dyn Metric>>,
}

impl MetricSlot {
    /// Fails if a name is not that of a metric.
    pub fn new(source: Source, weighted: bool) -> Result<Self> {
        let name_of =
            |json: &Json| json.as_str().or_else(|| json.pointer("/config/name")?.as_str()).map(str::to_string);
        let (name, config) = match &source {
            Source::Choice(MetricChoice::Name(name)) => {
                // Which accuracy it is depends on shapes, whether the name is known does not.
                metrics::metric(name, &Shape::from([1]), &Shape::from([1, 1]))?;
                (name.clone(), Json::from(name.as_str()))
            }
            Source::Choice(MetricChoice::Metric(metric)) => (metric.name().to_string(), metric.config()),
            Source::Json(json) => {
                let (metric, _) = metric_from_config(json, &Shape::from([1]), &Shape::from([1, 1]))?;
                (name_of(json).unwrap_or_else(|| metric.name().to_string()), json.clone())
            }
        };
        Ok(MetricSlot { name, weighted, source: Some(source), config, metric: None })
    }
    /// The metric, found by the shapes of the first labels and predictions.
    pub fn resolve(&mut self, y_true: &Shape, y_pred: &Shape) -> Result<Arc<dyn Metric>> {
        if let Some(metric) = &self.metric {
            return Ok(metric.clone());
        }
        let metric: Arc<dyn Metric> = match self.source.take() {
            Some(Source::Choice(choice)) => choice.get(y_true, y_pred)?.into(),
            Some(Source::Json(json)) => metric_from_config(&json, y_true, y_pred)?.0.into(),
            None => metrics::metric(&self.name, y_true, y_pred)?.into(),
        };
        self.metric = Some(metric.clone());
        Ok(metric)
    }
    pub fn direction(&self) -> Option<Direction> {
        let direction = match (&self.metric, &self.source) {
            (Some(metric), _) => metric.direction(),
            (None, Some(Source::Choice(MetricChoice::Metric(metric)))) => metric.direction(),
            (None, _) => {
                let found = metric_from_config(&self.config, &Shape::from([1]), &Shape::from([1, 1]));
                found.ok().and_then(|(metric, _)| metric.direction())
            }
        };
        direction.map(|direction| match direction {
            metrics::Direction::Up => Direction::Max,
            metrics::Direction::Down => Direction::Min,
        })
    }
    pub fn to_json(&self) -> Json {
        self.config.clone()
    }
}

/// The running loss and metrics of training, or of an evaluation; each has its own, so that one does not disturb the other.
pub(crate) struct Tracker {
    loss: Mean,
    metrics: Vec<Tracked>,
    pub names: Vec<Arc<str>>,
    reset: Option<Program>,
}

struct Tracked {
    metric: Arc<dyn Metric>,
    weighted: bool,
    state: Vec<Variable>,
}

/// What a batch is measured by.
pub(crate) struct Observed<'a> {
    pub loss: &'a Tensor,
    pub rows: usize,
    /// Labels, predictions, sample weights.
    pub labels: Option<(&'a Tensor, &'a Tensor, Option<&'a Tensor>)>,
}

impl Tracker {
    pub fn new(slots: &mut [MetricSlot], shapes: Option<(&Shape, &Shape)>) -> Result<Tracker> {
        let mut metrics = Vec::new();
        let mut names: Vec<Arc<str>> = vec!["loss".into()];
        for slot in slots.iter_mut() {
            let Some((y_true, y_pred)) = shapes else { continue };
            let metric = slot.resolve(y_true, y_pred)?;
            let fresh = |v: Variable| -> Result<Variable> {
                Ok(Variable::state(Tensor::full(v.dtype()?, v.shape()?, 0)).named(v.name()))
            };
            let state = metric.variables().into_iter().map(fresh).collect::<Result<_>>()?;
            metrics.push(Tracked { metric, weighted: slot.weighted, state });
            names.push(slot.name.as_str().into());
        }
        Ok(Tracker { loss: Mean::new("loss"), metrics, names, reset: None })
    }
    /// The state after one more batch, and loss and metrics then, as one `F32` vector in the order of `names`.
    pub fn observe(&self, batch: &Observed<'_>) -> Result<(Vec<(Variable, Tensor)>, Tensor)> {
        // A batch counts as many times as it has rows, so that a short last one does not weigh too much.
        let rows = Tensor::full(DType::F32, (), batch.rows as f64);
        let (mut updates, loss) = self.loss.observe(&batch.loss.cast(DType::F32), Some(&rows))?;
        let mut values = vec![loss.cast(DType::F32)];
        for tracked in &self.metrics {
            let Some((y, p, weight)) = batch.labels else { continue };
            let old: Vec<Tensor> = tracked.state.iter().map(Variable::value).collect();
            let new = tracked.metric.next(&old, y, p, weight.filter(|_| tracked.weighted))?;
            values.push(tracked.metric.value(&new)?.cast(DType::F32));
            let changed = tracked.state.iter().cloned().zip(new).zip(&old).filter(|((_, new), old)| !new.same(old));
            updates.extend(changed.map(|(update, _)| update));
        }
        Ok((updates, Tensor::stack(&values, 0)))
    }
    /// All of its state.
    pub fn variables(&self) -> Vec<Variable> {
        self.metrics.iter().flat_map(|m| &m.state).cloned().chain(self.loss.variables()).collect()
    }
    /// Lets go of what lies on a device that the state leaves.
    pub fn leave_device(&mut self) {
        self.reset = None;
    }
    /// Forgets all batches, in place.
    pub fn reset(&mut self, device: &Device) -> Result<()> {
        let program = match self.reset.take() {
            Some(program) => program,
            None => {
                let all = self.variables().into_iter();
                let zeros = |v: Variable| Ok((v.clone(), Tensor::full(v.dtype()?, v.shape()?, 0)));
                Program::capture(device, &[], &[], &all.map(zeros).collect::<Result<Vec<_>>>()?, &[])?
            }
        };
        let ran = program.run(&[]);
        self.reset = Some(program);
        ran.map(drop)
    }
}
