//! Precision and recall.

use super::{Direction, Metric};
use crate::{
    config::{self, Fields},
    ranks::{alike, weights_for},
};
use addax_tensor::{DType, Error, Result, Tensor, Variable};
use serde_json::{Map, Value};

/// Counts of `[true positives, false positives, true negatives, false negatives]` at each threshold, `[thresholds]` each.
pub(super) fn counts(
    y_true: &Tensor,
    y_pred: &Tensor,
    weight: Option<&Tensor>,
    thresholds: &[f64],
) -> Result<[Tensor; 4]> {
    let (y, p) = alike(y_true, y_pred)?;
    let shape = y.shape()?.broadcast(p.shape()?)?;
    let flat = |t: Tensor| t.broadcast_to(&shape).reshape([1, shape.numel()]);
    let weight = match weight {
        Some(weight) => flat(weights_for(&p, weight)?.1).cast(DType::F32),
        None => Tensor::ones([1, 1]),
    };
    let thresholds = Tensor::from_vec(thresholds, [thresholds.len(), 1]);
    let (label, positive) = (flat(y).cast(DType::Bool), flat(p.clone()).greater(thresholds));
    let count = |which: Tensor| which.select(&weight, 0.0).sum(-1);
    let (negative, unlabelled) = (!&positive, !&label);
    Ok([
        count(label.logical_and(&positive)),
        count(unlabelled.logical_and(&positive)),
        count(unlabelled.logical_and(&negative)),
        count(label.logical_and(&negative)),
    ])
}

/// `a / b`, 0 where b is 0.
pub(super) fn quotient(a: &Tensor, b: &Tensor) -> Tensor {
    let empty = b.equal(0.0);
    empty.select(0.0, a / empty.select(1.0, b))
}

macro_rules! ratio {
    ($(#[$doc:meta])* $name:ident, $key:literal, $other:literal, $index:literal) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            name: String,
            threshold: f64,
            state: [Variable; 2],
        }
        impl Default for $name {
            fn default() -> Self {
                let made = |name: &str| Variable::state(Tensor::zeros([1])).named(format!("{}/{name}", $key));
                $name { name: $key.into(), threshold: 0.5, state: [made("true_positives"), made($other)] }
            }
        }
        impl $name {
            /// With the threshold 0.5.
            pub fn new() -> Self {
                Self::default()
            }
            /// From above this on a prediction is positive.
            pub fn threshold(mut self, threshold: f64) -> Self {
                self.threshold = threshold;
                self
            }
            /// Name of this instance.
            pub fn named(mut self, name: impl Into<String>) -> Self {
                self.name = name.into();
                self
            }
            fn fields(&mut self) -> Fields<'_> {
                vec![("thresholds", (&mut self.threshold).into())]
            }
            pub(super) fn from_map(map: &Map<String, Value>, warnings: &mut Vec<String>) -> Result<Self> {
                let (mut metric, mut map) = (Self::default(), map.clone());
                if map.get("thresholds").is_some_and(Value::is_null) {
                    map.remove("thresholds");
                }
                let mut name = metric.name.clone();
                let mut fields: Fields<'_> = vec![("name", (&mut name).into())];
                fields.extend(metric.fields());
                config::assign(stringify!($name), fields, &map, warnings)?;
                metric.name = name;
                Ok(metric)
            }
        }
        impl Metric for $name {
            fn name(&self) -> &str {
                &self.name
            }
            fn set_name(&mut self, name: String) {
                self.name = name;
            }
            fn class_name(&self) -> &str {
                stringify!($name)
            }
            fn direction(&self) -> Option<Direction> {
                Some(Direction::Up)
            }
            fn variables(&self) -> Vec<Variable> {
                self.state.to_vec()
            }
            fn next(&self, state: &[Tensor], y: &Tensor, p: &Tensor, weight: Option<&Tensor>) -> Result<Vec<Tensor>> {
                let [right, wrong] = state else { return Err(wrong_state(state.len())) };
                let counts = counts(y, p, weight, &[self.threshold])?;
                Ok(vec![right + &counts[0], wrong + &counts[$index]])
            }
            fn value(&self, state: &[Tensor]) -> Result<Tensor> {
                let [right, wrong] = state else { return Err(wrong_state(state.len())) };
                Ok(quotient(right, &(right + wrong)).reshape(()))
            }
            fn config(&self) -> Value {
                let mut map = Map::new();
                map.insert("name".into(), self.name.clone().into());
                if self.threshold != 0.5 {
                    map.insert("thresholds".into(), self.threshold.into());
                }
                config::envelope("keras.metrics", stringify!($name), map)
            }
        }
    };
}
ratio!(
    /// How many of the positive predictions are right.
    Precision, "precision", "false_positives", 1
);
ratio!(
    /// How many of the positive labels are found.
    Recall, "recall", "false_negatives", 3
);

fn wrong_state(got: usize) -> Error {
    Error::argument(format!("precision and recall have a state of 2 tensors, got {got}"))
}
