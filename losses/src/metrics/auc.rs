//! The area under a curve.

use super::{
    Direction, Metric,
    confusion::{counts, quotient},
};
use crate::config::{self, Fields};
use addax_tensor::{Error, Result, Tensor, Variable};
use serde_json::{Map, Value};

/// Which curve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Curve {
    /// Recall over the rate of false alarms.
    #[default]
    Roc,
    /// Precision over recall.
    Pr,
}

/// The area under a curve of labels 0 and 1 and probabilities, from counts at evenly spaced thresholds.
#[derive(Debug)]
pub struct AUC {
    name: String,
    num_thresholds: i64,
    curve: Curve,
    state: Vec<Variable>,
}

impl Default for AUC {
    fn default() -> Self {
        AUC { name: "auc".into(), num_thresholds: 0, curve: Curve::Roc, state: Vec::new() }.num_thresholds(200)
    }
}

impl AUC {
    /// The area under the ROC curve at 200 thresholds.
    pub fn new() -> Self {
        Self::default()
    }
    /// How many thresholds (default 200, at least 2).
    pub fn num_thresholds(mut self, num_thresholds: i64) -> Self {
        let n = usize::try_from(num_thresholds).unwrap_or(0);
        let names = ["true_positives", "false_positives", "true_negatives", "false_negatives"];
        self.num_thresholds = num_thresholds;
        self.state = names.map(|name| Variable::state(Tensor::zeros([n])).named(format!("auc/{name}"))).to_vec();
        self
    }
    /// Which curve (default ROC).
    pub fn curve(mut self, curve: Curve) -> Self {
        self.curve = curve;
        self
    }
    /// Name of this instance.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
    /// Evenly from 0 to 1; the ends a little outside, so that every prediction is above the first and below the last.
    fn thresholds(&self) -> Result<Vec<f64>> {
        let n = self.num_thresholds;
        if n < 2 {
            return Err(Error::argument(format!(
                "metric \"{}\": num_thresholds should be at least 2, got {n}",
                self.name
            )));
        }
        let inner = (1..n - 1).map(|i| i as f64 / (n - 1) as f64);
        Ok(std::iter::once(-1e-7).chain(inner).chain([1.0 + 1e-7]).collect())
    }
    pub(super) fn from_map(map: &Map<String, Value>, warnings: &mut Vec<String>) -> Result<Self> {
        let mut metric = AUC::default();
        let (mut thresholds, mut curve) = (metric.num_thresholds, "ROC".to_string());
        let fields: Fields<'_> = vec![
            ("name", (&mut metric.name).into()),
            ("num_thresholds", (&mut thresholds).into()),
            ("curve", (&mut curve).into()),
        ];
        config::assign("AUC", fields, map, warnings)?;
        let curve = match curve.to_uppercase().as_str() {
            "ROC" => Curve::Roc,
            "PR" => Curve::Pr,
            other => return Err(Error::unknown_name("curve", other, ["ROC", "PR"])),
        };
        Ok(metric.num_thresholds(thresholds).curve(curve))
    }
}

impl Metric for AUC {
    fn name(&self) -> &str {
        &self.name
    }
    fn set_name(&mut self, name: String) {
        self.name = name;
    }
    fn class_name(&self) -> &str {
        "AUC"
    }
    fn direction(&self) -> Option<Direction> {
        Some(Direction::Up)
    }
    fn variables(&self) -> Vec<Variable> {
        self.state.clone()
    }
    fn next(&self, state: &[Tensor], y: &Tensor, p: &Tensor, weight: Option<&Tensor>) -> Result<Vec<Tensor>> {
        let counts = counts(y, p, weight, &self.thresholds()?)?;
        Ok(state.iter().zip(&counts).map(|(old, new)| old + new).collect())
    }
    fn value(&self, state: &[Tensor]) -> Result<Tensor> {
        let [tp, fp, tn, fnn] = state else {
            return Err(Error::argument(format!("an AUC has a state of 4 tensors, got {}", state.len())));
        };
        let n = self.thresholds()?.len();
        let (before, after) = (|t: &Tensor| t.slice(0, ..n - 1), |t: &Tensor| t.slice(0, 1..));
        Ok(match self.curve {
            Curve::Roc => {
                let (recall, alarms) = (quotient(tp, &(tp + fnn)), quotient(fp, &(fp + tn)));
                ((before(&alarms) - after(&alarms)) * (before(&recall) + after(&recall)) * 0.5).sum_all()
            }
            // True and false positives, not precision, are on a line between two thresholds (Davis and Goadrich, 2006).
            Curve::Pr => {
                let positive = tp + fp;
                let found = before(tp) - after(tp);
                let slope = quotient(&found, &(before(&positive) - after(&positive)).maximum(0.0));
                let intercept = after(tp) - &slope * after(&positive);
                let (p0, p1) = (before(&positive), after(&positive));
                let both = p0.greater(0.0).logical_and(p1.greater(0.0));
                let ratio = both.select(quotient(&p0, &p1), 1.0);
                quotient(&(slope * (found + intercept * ratio.log())), &(after(tp) + after(fnn))).sum_all()
            }
        })
    }
    fn config(&self) -> Value {
        let mut map = Map::new();
        map.insert("name".into(), self.name.clone().into());
        if self.num_thresholds != 200 {
            map.insert("num_thresholds".into(), self.num_thresholds.into());
        }
        if self.curve == Curve::Pr {
            map.insert("curve".into(), "PR".into());
        }
        config::envelope("keras.metrics", "AUC", map)
    }
}
