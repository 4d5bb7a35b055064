//! Watching one metric: which direction is better, and what counts as an improvement.

use crate::{Direction, Logs, Trainer, trainer::tell};
use addax_tensor::{Error, Result};

/// Which direction of a monitored metric is better. Made from Keras' words `"auto"`, `"min"`, `"max"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// As the metric itself says; a loss is better small.
    #[default]
    Auto,
    /// Smaller is better.
    Min,
    /// Larger is better.
    Max,
    /// Another word: training refuses to begin.
    Unknown(String),
}

impl From<&str> for Mode {
    fn from(word: &str) -> Self {
        match word {
            "auto" => Mode::Auto,
            "min" => Mode::Min,
            "max" => Mode::Max,
            other => Mode::Unknown(other.into()),
        }
    }
}

/// A watched metric, for the callback named `owner`. Keras' `MonitorCallback`, with comparisons in f64.
pub(crate) struct Monitor {
    pub owner: &'static str,
    pub name: String,
    pub mode: Mode,
    pub min_delta: f64,
    /// Known once the metric has been looked at; a callback used again keeps it.
    pub direction: Option<Direction>,
    pub said_missing: bool,
}

impl Monitor {
    pub fn new(owner: &'static str, name: impl Into<String>) -> Self {
        let (mode, min_delta) = (Mode::Auto, 0.0);
        Monitor { owner, name: name.into(), mode, min_delta, direction: None, said_missing: false }
    }
    /// Checks the arguments and forgets what was said about the last training.
    pub fn begin(&mut self) -> Result<()> {
        self.said_missing = false;
        if let Mode::Unknown(word) = &self.mode {
            let owner = self.owner;
            return Err(Error::argument(format!("{owner}: mode is \"auto\", \"min\" or \"max\", got \"{word}\"")));
        }
        if !self.min_delta.is_finite() {
            let (owner, got) = (self.owner, self.min_delta);
            return Err(Error::argument(format!("{owner}: min_delta must be a finite number, got {got}")));
        }
        Ok(())
    }
    /// The metric's value and its better direction. `None`, said once per training, if this epoch has no such metric.
    pub fn look(&mut self, logs: &Logs, t: &mut dyn Trainer) -> Result<Option<(f64, Direction)>> {
        let direction = match self.direction {
            Some(direction) => direction,
            None => *self.direction.insert(self.find_direction(logs, t)?),
        };
        if logs.contains(&self.name) {
            return Ok(Some((logs.get(&self.name)?, direction)));
        }
        if !self.said_missing {
            self.said_missing = true;
            let mut text = format!("{} finds no \"{}\"{}", self.owner, self.name, logs.suggestion(&self.name));
            if self.name.starts_with("val_") && !logs.keys().any(|name| name.starts_with("val_")) {
                text += "; this epoch had no validation";
            }
            tell(t, text);
        }
        Ok(None)
    }
    /// Whether `value` betters `reference` by more than `min_delta`. Anything betters nothing, even a NaN, and
    /// nothing betters a NaN: Keras' rule.
    pub fn improves(&self, value: f64, direction: Direction, reference: Option<f64>) -> bool {
        match (reference, direction) {
            (None, _) => true,
            (Some(reference), Direction::Min) => value + self.min_delta.abs() < reference,
            (Some(reference), Direction::Max) => value - self.min_delta.abs() > reference,
        }
    }
    fn find_direction(&self, logs: &Logs, t: &dyn Trainer) -> Result<Direction> {
        let metric = self.name.strip_prefix("val_").unwrap_or(&self.name);
        match self.mode {
            Mode::Min => return Ok(Direction::Min),
            Mode::Max => return Ok(Direction::Max),
            _ if metric == "loss" => return Ok(Direction::Min),
            _ => {}
        }
        match t.metric_direction(metric) {
            Some(direction) => Ok(direction),
            // The loss of one output among several: `category_loss`.
            None if metric.ends_with("_loss") && logs.contains(&self.name) => Ok(Direction::Min),
            None if logs.contains(&self.name) => Err(Error::argument(format!(
                "{}: whether \"{}\" is better small or large is not known; use .mode(\"min\") or .mode(\"max\")",
                self.owner, self.name
            ))),
            None => Err(Error::argument(format!(
                "{}: no log \"{}\" to monitor{}",
                self.owner,
                self.name,
                logs.suggestion(&self.name)
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Rehearsal, logs};

    fn direction(name: &str, mode: &str, logs: &Logs) -> Result<Option<Direction>> {
        let mut t = Rehearsal::new([]).with_direction("accuracy", Direction::Max);
        let mut monitor = Monitor { mode: mode.into(), ..Monitor::new("EarlyStopping", name) };
        monitor.begin()?;
        Ok(monitor.look(logs, &mut t)?.map(|(_, direction)| direction))
    }

    #[test]
    fn auto_asks_the_metric() {
        let logs = logs! { "val_loss" => 1.0, "val_accuracy" => 1.0, "b_loss" => 1.0, "f1" => 1.0 };
        for (name, mode, expected) in [
            ("val_loss", "auto", Direction::Min),
            ("val_loss", "max", Direction::Max),
            ("val_accuracy", "auto", Direction::Max),
            ("val_accuracy", "min", Direction::Min),
            ("b_loss", "auto", Direction::Min),
            ("f1", "max", Direction::Max),
        ] {
            assert_eq!(direction(name, mode, &logs).unwrap(), Some(expected), "{name} {mode}");
        }
    }

    #[test]
    fn what_cannot_be_known_is_an_error() {
        let logs = logs! { "loss" => 1.0, "f1" => 1.0 };
        for (name, mode, text) in [
            (
                "f1",
                "auto",
                "whether \"f1\" is better small or large is not known; use .mode(\"min\") or .mode(\"max\")",
            ),
            ("f2", "auto", "no log \"f2\" to monitor; did you mean \"f1\"? The logs are: loss, f1"),
            ("f1", "large", "mode is \"auto\", \"min\" or \"max\", got \"large\""),
        ] {
            assert_eq!(direction(name, mode, &logs).unwrap_err().to_string(), format!("EarlyStopping: {text}"));
        }
    }

    #[test]
    fn a_missing_metric_is_noted_once_per_training() {
        let mut t = Rehearsal::new([]);
        let mut monitor = Monitor::new("EarlyStopping", "val_loss");
        monitor.begin().unwrap();
        for _ in 0..3 {
            assert!(monitor.look(&logs! { "loss" => 1.0 }, &mut t).unwrap().is_none());
        }
        let notes: Vec<_> = t.history().notes().iter().map(|n| n.text.as_str()).collect();
        let expected = "EarlyStopping finds no \"val_loss\". The logs are: loss; this epoch had no validation";
        assert_eq!(notes, [expected]);
    }
}
