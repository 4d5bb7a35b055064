//! Shows where training stands.

use crate::{Callback, Console, Logs, Trainer, Value, text};
use addax_tensor::Result;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How much is shown. Made from Keras' numbers: 0 nothing, 1 the bar, 2 a line per epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verbosity {
    /// As [`Verbosity::Bar`].
    #[default]
    Auto,
    /// Nothing.
    Silent,
    /// A live bar on a terminal, elsewhere a line per epoch.
    Bar,
    /// A line per epoch.
    Lines,
}

impl From<i32> for Verbosity {
    fn from(number: i32) -> Self {
        match number {
            ..=0 => Verbosity::Silent,
            1 => Verbosity::Bar,
            2.. => Verbosity::Lines,
        }
    }
}

/// The progress of `fit`, `evaluate` and `predict`, in the look of Keras: steps done, a bar, time left, time per step,
/// metrics.
///
/// On a terminal the bar is drawn anew at most every 50 ms. It never waits for the device while an epoch runs: a metric
/// that is still computed shows its last known value. Validation inside `fit` is silent.
pub struct ProgressBar {
    verbosity: Verbosity,
    clock: Box<dyn Fn() -> Duration + Send>,
    in_fit: bool,
    /// Steps of the run, learned from its first epoch if the trainer does not know.
    target: Option<usize>,
    run: Option<Run>,
}

/// One epoch, evaluation or prediction.
struct Run {
    label: String,
    console: Console,
    start: Duration,
    after_first_step: Option<Duration>,
    last_draw: Option<Duration>,
    seen: usize,
    metrics: Vec<Metric>,
}

struct Metric {
    name: Arc<str>,
    known: Option<f64>,
    pending: Option<Value>,
}

const REDRAW: Duration = Duration::from_millis(50);
const WIDTH: usize = 20;

impl ProgressBar {
    /// A bar that shows this much.
    pub fn new(verbosity: impl Into<Verbosity>) -> Self {
        let start = Instant::now();
        Self::with_clock(verbosity, move || start.elapsed())
    }
    /// The same with a clock of your own, which tells the time since some fixed moment.
    pub fn with_clock(verbosity: impl Into<Verbosity>, clock: impl Fn() -> Duration + Send + 'static) -> Self {
        let (verbosity, clock) = (verbosity.into(), Box::new(clock));
        ProgressBar { verbosity, clock, in_fit: false, target: None, run: None }
    }
    fn begin(&mut self, label: String, t: &dyn Trainer) {
        if self.verbosity == Verbosity::Silent {
            return;
        }
        self.target = t.steps_per_epoch().or(self.target);
        let console = t.console();
        if self.draws(&console) && !label.is_empty() {
            console.line(&label);
        }
        let (after_first_step, last_draw, seen, metrics) = (None, None, 0, Vec::new());
        self.run = Some(Run { label, console, start: (self.clock)(), after_first_step, last_draw, seen, metrics });
    }
    fn step(&mut self, batch: usize, logs: Option<&Logs>) {
        let now = (self.clock)();
        let (target, lines) = (self.target, self.verbosity == Verbosity::Lines);
        let Some(run) = &mut self.run else { return };
        run.seen = batch + 1;
        if run.seen == 1 {
            run.after_first_step = Some(now);
        }
        let due = run.last_draw.is_none_or(|last| now.saturating_sub(last) >= REDRAW);
        if !due || lines || !run.console.interactive() {
            return;
        }
        run.last_draw = Some(now);
        run.glance(logs);
        run.console.live(&run.bar(target, now, false));
    }
    fn end(&mut self, logs: Option<&Logs>) -> Result<()> {
        let Some(mut run) = self.run.take() else { return Ok(()) };
        for (name, number) in logs.map_or_else(|| Ok(Vec::new()), Logs::numbers)? {
            run.metric(name).known = Some(number);
        }
        // The clock is read after the wait for the device: its work belongs to the epoch.
        let now = (self.clock)();
        self.target = self.target.or((run.seen > 0).then_some(run.seen));
        if self.draws(&run.console) {
            run.console.live(&run.bar(self.target, now, true));
            run.console.end_live();
        } else {
            run.console.line(&run.line(self.target, now));
        }
        Ok(())
    }
    fn draws(&self, console: &Console) -> bool {
        matches!(self.verbosity, Verbosity::Auto | Verbosity::Bar) && console.interactive()
    }
}

impl Run {
    fn metric(&mut self, name: &str) -> &mut Metric {
        let at = self.metrics.iter().position(|m| &*m.name == name).unwrap_or(self.metrics.len());
        if at == self.metrics.len() {
            self.metrics.push(Metric { name: name.into(), known: None, pending: None });
        }
        &mut self.metrics[at]
    }
    /// Takes what can be had without waiting. A value that is not ready is asked again at the next draw, rather than
    /// replaced by a newer one, which would not be ready either.
    fn glance(&mut self, logs: Option<&Logs>) {
        for (name, value) in logs.into_iter().flat_map(Logs::iter) {
            let metric = self.metric(name);
            match value.try_get() {
                Some(known) => (metric.known, metric.pending) = (Some(known), None),
                None => match metric.pending.as_ref().map(Value::try_get) {
                    Some(None) => {}
                    ready => {
                        metric.known = ready.flatten().or(metric.known);
                        metric.pending = Some(value.clone());
                    }
                },
            }
        }
    }
    /// Time per step, without the first step once there are more: it includes building and compiling.
    fn step_time(&self, now: Duration) -> Duration {
        let steps = u32::try_from(self.seen).unwrap_or(u32::MAX);
        match (self.after_first_step, steps) {
            (_, 0) => Duration::ZERO,
            (Some(first), 2..) => now.saturating_sub(first) / (steps - 1),
            _ => now.saturating_sub(self.start) / steps,
        }
    }
    fn elapsed(&self, now: Duration) -> String {
        format!("{:.0}s", now.saturating_sub(self.start).as_secs_f64())
    }
    /// ` 12/100 ━━━━ 3s 15ms/step - loss: 0.1234`
    fn bar(&self, target: Option<usize>, now: Duration, ended: bool) -> String {
        let paint = |code: &str, text: &str| match text {
            "" => String::new(),
            text if self.console.coloured() => format!("\x1b[{code}m{text}\x1b[0m"),
            text => text.to_string(),
        };
        let step_time = self.step_time(now);
        let left = target.map(|target| target.saturating_sub(self.seen)).filter(|_| !ended);
        let time = match left {
            Some(left) => text::time_left(step_time.saturating_mul(u32::try_from(left).unwrap_or(u32::MAX))),
            None => self.elapsed(now),
        };
        let (time, step_time) = (paint("1", &time), text::per_step(step_time));
        let count = match target {
            Some(target) if target > 0 => {
                let done = (WIDTH * self.seen / target).min(WIDTH);
                let (full, rest) = ("━".repeat(done), self.console.coloured().then(|| "━".repeat(WIDTH - done)));
                let rest = rest.unwrap_or_else(|| "╌".repeat(WIDTH - done));
                format!("{} {}{}", paint("1", &self.count(target)), paint("32", &full), paint("37", &rest))
            }
            _ => format!("{:>7}/Unknown", self.seen),
        };
        format!("{count} {time} {step_time}{}", self.metrics())
    }
    /// A line for a pipe: `Epoch 1/3 - 2s - 15ms/step - loss: 0.1234`
    fn line(&self, target: Option<usize>, now: Duration) -> String {
        let count = self.count(target.unwrap_or(self.seen));
        // How many steps were done says something only where there is no epoch to name, or where one was cut short.
        let count = (self.label.is_empty() || target != Some(self.seen)).then_some(count);
        let label = Some(self.label.clone()).filter(|l| !l.is_empty());
        let parts = [label, count, Some(self.elapsed(now)), Some(text::per_step(self.step_time(now)))];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" - ") + &self.metrics()
    }
    fn count(&self, target: usize) -> String {
        let width = target.to_string().len();
        format!("{:>width$}/{target}", self.seen)
    }
    fn metrics(&self) -> String {
        let known = self.metrics.iter().filter_map(|m| Some((&m.name, m.known?)));
        known.map(|(name, value)| format!(" - {name}: {}", text::metric(value))).collect()
    }
}

/// A run that ends by an error leaves its live line to be read, and the error's text starts on a line of its own.
impl Drop for Run {
    fn drop(&mut self) {
        self.console.end_live();
    }
}

impl Callback for ProgressBar {
    fn on_train_begin(&mut self, _: &mut Logs, _: &mut dyn Trainer) -> Result<()> {
        (self.in_fit, self.target) = (true, None);
        Ok(())
    }
    fn on_train_end(&mut self, _: &mut Logs, _: &mut dyn Trainer) -> Result<()> {
        self.in_fit = false;
        Ok(())
    }
    fn on_epoch_begin(&mut self, epoch: usize, _: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        let label = if t.epochs() > 1 { format!("Epoch {}/{}", epoch + 1, t.epochs()) } else { String::new() };
        self.begin(label, t);
        Ok(())
    }
    fn on_train_batch_end(&mut self, batch: usize, logs: &mut Logs, _: &mut dyn Trainer) -> Result<()> {
        self.step(batch, Some(logs));
        Ok(())
    }
    fn on_epoch_end(&mut self, _: usize, logs: &mut Logs, _: &mut dyn Trainer) -> Result<()> {
        self.end(Some(logs))
    }
    fn on_test_begin(&mut self, _: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        if !self.in_fit {
            self.target = None;
            self.begin(String::new(), t);
        }
        Ok(())
    }
    fn on_test_batch_end(&mut self, batch: usize, logs: &mut Logs, _: &mut dyn Trainer) -> Result<()> {
        if !self.in_fit {
            self.step(batch, Some(logs));
        }
        Ok(())
    }
    fn on_test_end(&mut self, logs: &mut Logs, _: &mut dyn Trainer) -> Result<()> {
        if self.in_fit { Ok(()) } else { self.end(Some(logs)) }
    }
    fn on_predict_begin(&mut self, _: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        if !self.in_fit {
            self.target = None;
            self.begin(String::new(), t);
        }
        Ok(())
    }
    fn on_predict_batch_end(&mut self, batch: usize, _: &mut Logs, _: &mut dyn Trainer) -> Result<()> {
        if !self.in_fit {
            self.step(batch, None);
        }
        Ok(())
    }
    fn on_predict_end(&mut self, _: &mut Logs, _: &mut dyn Trainer) -> Result<()> {
        if self.in_fit { Ok(()) } else { self.end(None) }
    }
    fn shows_progress(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
