//! What training returns: each metric, epoch by epoch.

use crate::{Callback, Logs, Trainer, text};
use addax_tensor::{Error, Result, error::near_names};
use serde_json::{Map, Value as Json, json};
use std::fmt;

/// How the training was called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    /// Number of the epoch at which training was to end.
    pub epochs: usize,
    /// Steps per epoch, if known.
    pub steps: Option<usize>,
}

/// Something that happened in training and is worth knowing afterwards, such as a batch that was split to fit memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The epoch (from 0) in which it happened; `None` before the first.
    pub epoch: Option<usize>,
    /// What happened.
    pub text: String,
}

/// Values of each metric, one per epoch in which it was measured, and notes.
///
/// `fit` returns one. `learning_rate` is among the metrics if a callback that sets it was used.
///
/// ```
/// use addax_callbacks::{History, logs};
/// let mut history = History::default();
/// history.record(0, &logs! { "loss" => 0.5, "val_loss" => 0.6 })?;
/// history.record(1, &logs! { "loss" => 0.25, "val_loss" => 0.5 })?;
/// assert_eq!(history.get("loss")?, [0.5, 0.25]);
/// assert_eq!(history.last("val_loss")?, 0.5);
/// assert!(history.last("val_los").unwrap_err().to_string().contains("did you mean \"val_loss\"?"));
/// assert_eq!(history.to_csv(), "epoch,loss,val_loss\n0,0.5,0.6\n1,0.25,0.5\n");
/// # Ok::<(), addax_callbacks::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    params: Params,
    epochs: Vec<usize>,
    series: Vec<Series>,
    notes: Vec<Note>,
    current: Option<usize>,
}

#[derive(Clone, Debug, PartialEq)]
struct Series {
    name: String,
    values: Vec<f64>,
    /// For each value, its row: the position of its epoch in `History::epochs`. Ascending.
    rows: Vec<usize>,
}

impl History {
    /// Values of a metric, one per epoch in which it was measured (`val_` metrics only where validation was due). A wrong
    /// name fails and lists the names.
    pub fn get(&self, name: &str) -> Result<&[f64]> {
        match self.series.iter().find(|s| s.name == name) {
            Some(series) => Ok(&series.values),
            None => Err(self.no_such(name)),
        }
    }
    /// The last value of a metric. A wrong name fails and lists the names.
    pub fn last(&self, name: &str) -> Result<f64> {
        self.get(name)?.last().copied().ok_or_else(|| self.no_such(name))
    }
    /// Names of the metrics, in the order in which they first came.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.series.iter().map(|s| s.name.as_str())
    }
    /// Epochs that ended, counted from 0.
    pub fn epochs(&self) -> &[usize] {
        &self.epochs
    }
    /// How the training was called.
    pub fn params(&self) -> &Params {
        &self.params
    }
    /// The same, for the trainer to fill in.
    pub fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }
    /// What happened besides numbers.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }
    /// Adds a note to the epoch that runs now, the one last given to [`History::begin_epoch`].
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(Note { epoch: self.current, text: text.into() });
    }
    /// Says that `epoch` runs now, so that notes are told apart.
    pub fn begin_epoch(&mut self, epoch: usize) {
        self.current = Some(epoch);
    }
    /// Adds the values of an epoch that ended; waits for those still computed. Fails, adding nothing, if one of them
    /// failed.
    pub fn record(&mut self, epoch: usize, logs: &Logs) -> Result<()> {
        let numbers = logs.numbers()?;
        let row = self.epochs.len();
        self.epochs.push(epoch);
        for (name, value) in numbers {
            match self.series.iter_mut().find(|s| s.name == name) {
                Some(series) => {
                    series.values.push(value);
                    series.rows.push(row);
                }
                None => self.series.push(Series { name: name.into(), values: vec![value], rows: vec![row] }),
            }
        }
        Ok(())
    }
    /// JSON: `{"params": …, "epoch": […], "history": {name: […]}, "notes": […]}`; a value that is no number is `null`.
    pub fn to_json(&self) -> String {
        let history: Map<String, Json> = self.series.iter().map(|s| (s.name.clone(), json!(s.values))).collect();
        let notes: Vec<Json> = self.notes.iter().map(|n| json!({ "epoch": n.epoch, "text": n.text })).collect();
        let params = json!({ "epochs": self.params.epochs, "steps": self.params.steps });
        json!({ "params": params, "epoch": self.epochs, "history": history, "notes": notes }).to_string()
    }
    /// A table with a row per epoch: `epoch,loss,val_loss`. A metric that was not measured in an epoch is empty there.
    pub fn to_csv(&self) -> String {
        let mut out = "epoch".to_string();
        for name in self.names() {
            out += ",";
            out += &text::csv_field(name, ",");
        }
        out += "\n";
        for cells in self.table(text::shortest) {
            out += &cells.join(",");
            out += "\n";
        }
        out
    }
    /// Cells of each row: the epoch, then each metric, empty where it was not measured.
    fn table(&self, number: impl Fn(f64) -> String) -> impl Iterator<Item = Vec<String>> {
        self.epochs.iter().enumerate().map(move |(row, epoch)| {
            let value = |s: &Series| s.rows.binary_search(&row).ok().and_then(|at| s.values.get(at).copied());
            let cells = self.series.iter().map(|s| value(s).map_or_else(String::new, &number));
            std::iter::once(epoch.to_string()).chain(cells).collect()
        })
    }
    fn no_such(&self, name: &str) -> Error {
        if self.series.is_empty() {
            return Error::argument(format!("no metric \"{name}\" in the history: no epoch has ended"));
        }
        let near = match near_names(name, self.names()).first() {
            Some(near) => format!("; did you mean \"{near}\"?"),
            None => ".".into(),
        };
        let known: Vec<_> = self.names().collect();
        Error::argument(format!("no metric \"{name}\" in the history{near} It has: {}", known.join(", ")))
    }
}

/// A table with aligned columns, a row per epoch, notes below.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = std::iter::once("epoch").chain(self.names()).map(String::from).collect();
        let rows: Vec<Vec<String>> = std::iter::once(head).chain(self.table(text::metric)).collect();
        let widths: Vec<usize> = (0..=self.series.len())
            .map(|column| rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max().unwrap_or(0))
            .collect();
        for row in rows {
            let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:>width$}")).collect();
            writeln!(f, "{}", cells.join("  "))?;
        }
        for note in &self.notes {
            match note.epoch {
                Some(epoch) => writeln!(f, "epoch {epoch}: {}", note.text)?,
                None => writeln!(f, "before training: {}", note.text)?,
            }
        }
        Ok(())
    }
}

/// A history given as a callback records what it sees, anew for each training.
impl Callback for History {
    fn on_train_begin(&mut self, _: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        let params = Params { epochs: t.epochs(), steps: t.steps_per_epoch() };
        *self = History { params, ..History::default() };
        Ok(())
    }
    fn on_epoch_begin(&mut self, epoch: usize, _: &mut Logs, _: &mut dyn Trainer) -> Result<()> {
        self.begin_epoch(epoch);
        Ok(())
    }
    fn on_epoch_end(&mut self, epoch: usize, logs: &mut Logs, _: &mut dyn Trainer) -> Result<()> {
        self.record(epoch, logs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Value, logs};

    fn every_other() -> History {
        let mut history = History::default();
        history.note("seed 7");
        for epoch in 0..3 {
            history.begin_epoch(epoch);
            let mut logs = logs! { "loss" => 1.0 / (epoch + 1) as f64 };
            if epoch == 1 {
                logs.insert("val_loss", 0.75);
                history.note("split in 2");
            }
            history.record(epoch, &logs).unwrap();
        }
        history
    }

    #[test]
    fn metrics_measured_now_and_then_keep_their_rows() {
        let history = every_other();
        assert_eq!(history.get("val_loss").unwrap(), [0.75]);
        assert_eq!(history.to_csv(), "epoch,loss,val_loss\n0,1.0,\n1,0.5,0.75\n2,0.3333333333333333,\n");
        let expected = concat!(
            "epoch    loss  val_loss\n",
            "    0  1.0000          \n",
            "    1  0.5000    0.7500\n",
            "    2  0.3333          \n",
            "before training: seed 7\n",
            "epoch 1: split in 2\n"
        );
        assert_eq!(history.to_string(), expected);
    }

    #[test]
    fn json_reads_back() {
        let mut history = every_other();
        history.record(3, &logs! { "loss" => f64::NAN }).unwrap();
        let json: Json = serde_json::from_str(&history.to_json()).unwrap();
        assert_eq!(json["epoch"], json!([0, 1, 2, 3]));
        assert_eq!(json["history"]["loss"], json!([1.0, 0.5, 1.0 / 3.0, null]));
        assert_eq!(json["notes"][1], json!({ "epoch": 1, "text": "split in 2" }));
    }

    #[test]
    fn a_failed_value_leaves_no_half_epoch() {
        let mut history = every_other();
        let before = history.clone();
        let logs = logs! { "loss" => 1.0, "mae" => Value::waiting(|| Err(Error::device("lost"))) };
        assert!(history.record(3, &logs).is_err());
        assert_eq!(history, before);
    }

    #[test]
    fn wrong_names_list_the_right_ones() {
        let error = every_other().last("accuracy").unwrap_err().to_string();
        assert_eq!(error, "no metric \"accuracy\" in the history. It has: loss, val_loss");
        let error = History::default().last("loss").unwrap_err().to_string();
        assert_eq!(error, "no metric \"loss\" in the history: no epoch has ended");
    }
}
