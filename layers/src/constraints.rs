//! What weights are held to after each update.

use crate::{
    config::Reader,
    fields::{Field, Kind},
    object::{self, Object},
};
use addax_tensor::{Error, Result, Tensor};
use serde_json::{Value as Json, json};

const NAMES: [&str; 4] = ["non_neg", "max_norm", "min_max_norm", "unit_norm"];
/// Keeps divisions by a norm finite, as Keras' backend epsilon does.
const EPSILON: f64 = 1e-7;

/// A projection of a weight. Norms are taken along `axis` (0: over the inputs of each unit of a `Dense` kernel).
#[derive(Clone, Debug, PartialEq)]
pub enum Constraint {
    /// `max(w, 0)`.
    NonNeg,
    /// `w · clip(‖w‖, 0, max) / (ε + ‖w‖)`.
    MaxNorm {
        /// Largest norm.
        max_value: f64,
        /// Axis of the norms.
        axis: isize,
    },
    /// `w · (rate · clip(‖w‖, min, max) + (1 - rate) · ‖w‖) / (ε + ‖w‖)`.
    MinMaxNorm {
        /// Smallest norm.
        min_value: f64,
        /// Largest norm.
        max_value: f64,
        /// How far to go: 1 goes all the way.
        rate: f64,
        /// Axis of the norms.
        axis: isize,
    },
    /// `w / (ε + ‖w‖)`.
    UnitNorm {
        /// Axis of the norms.
        axis: isize,
    },
    /// A string that names no constraint; using it is an error.
    Unknown(String),
}

impl From<&str> for Constraint {
    fn from(name: &str) -> Self {
        match name {
            "non_neg" | "NonNeg" => Constraint::NonNeg,
            "max_norm" | "MaxNorm" => Constraint::max_norm(2.0),
            "min_max_norm" | "MinMaxNorm" => {
                Constraint::MinMaxNorm { min_value: 0.0, max_value: 1.0, rate: 1.0, axis: 0 }
            }
            "unit_norm" | "UnitNorm" => Constraint::UnitNorm { axis: 0 },
            other => Constraint::Unknown(other.into()),
        }
    }
}

impl Constraint {
    /// [`MaxNorm`](Constraint::MaxNorm) along axis 0.
    pub fn max_norm(max_value: f64) -> Constraint {
        Constraint::MaxNorm { max_value, axis: 0 }
    }
    /// The weight held to the constraint.
    pub fn apply(&self, w: &Tensor) -> Result<Tensor> {
        let norm = |axis: isize| w.square().sum_keepdims(axis).sqrt();
        match self {
            Constraint::NonNeg => Ok(w.maximum(0.0)),
            Constraint::MaxNorm { max_value, axis } => {
                let norm = norm(*axis);
                Ok(w * (norm.clip(0.0, *max_value) / (norm + EPSILON)))
            }
            Constraint::MinMaxNorm { min_value, max_value, rate, axis } => {
                let norm = norm(*axis);
                let wanted = norm.clip(*min_value, *max_value) * *rate + &norm * (1.0 - rate);
                Ok(w * (wanted / (norm + EPSILON)))
            }
            Constraint::UnitNorm { axis } => Ok(w / (norm(*axis) + EPSILON)),
            Constraint::Unknown(_) => self.check().map(|()| w.clone()),
        }
    }
    /// Fails if it is a name that is not known.
    pub fn check(&self) -> Result<()> {
        match self {
            Constraint::Unknown(name) => Err(Error::unknown_name("constraint", name, NAMES)),
            _ => Ok(()),
        }
    }
}

impl Field for Constraint {
    fn kind(&self) -> Kind<'_> {
        Kind::Config
    }
    fn write(&self) -> Result<Json> {
        self.check()?;
        let (class, arguments) = match self {
            Constraint::NonNeg | Constraint::Unknown(_) => ("NonNeg", vec![]),
            Constraint::MaxNorm { max_value, axis } => {
                ("MaxNorm", vec![("max_value", json!(max_value)), ("axis", json!(axis))])
            }
            Constraint::MinMaxNorm { min_value, max_value, rate, axis } => (
                "MinMaxNorm",
                vec![
                    ("min_value", json!(min_value)),
                    ("max_value", json!(max_value)),
                    ("rate", json!(rate)),
                    ("axis", json!(axis)),
                ],
            ),
            Constraint::UnitNorm { axis } => ("UnitNorm", vec![("axis", json!(axis))]),
        };
        Ok(object::to_json("keras.constraints", class, arguments))
    }
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        let object = Object::from_json(json, "a constraint", reader)?;
        let axis = object.number("axis", 0.0, reader)? as isize;
        *self = match Constraint::from(object.class.as_str()) {
            Constraint::NonNeg => Constraint::NonNeg,
            Constraint::MaxNorm { max_value, .. } => {
                Constraint::MaxNorm { max_value: object.number("max_value", max_value, reader)?, axis }
            }
            Constraint::MinMaxNorm { min_value, max_value, rate, .. } => Constraint::MinMaxNorm {
                min_value: object.number("min_value", min_value, reader)?,
                max_value: object.number("max_value", max_value, reader)?,
                rate: object.number("rate", rate, reader)?,
                axis,
            },
            Constraint::UnitNorm { .. } => Constraint::UnitNorm { axis },
            Constraint::Unknown(name) => return Err(reader.wrap(Error::unknown_name("constraint", name, NAMES))),
        };
        Ok(())
    }
    fn blank() -> Self {
        Constraint::NonNeg
    }
}
