//! Penalties on weights and activations.

use crate::{
    config::Reader,
    fields::{Field, Kind},
    object::{self, Object},
};
use addax_tensor::{Error, Result, Tensor};
use serde_json::{Value as Json, json};

const NAMES: [&str; 5] = ["l1", "l2", "l1l2", "L1L2", "orthogonal_regularizer"];
/// Keras' default factor of `l1` and `l2`.
const FACTOR: f64 = 0.01;

/// A penalty that is added to the loss.
#[derive(Clone, Debug, PartialEq)]
pub enum Regularizer {
    /// `l1 · Σ|x|`.
    L1(f64),
    /// `l2 · Σx²`.
    L2(f64),
    /// `l1 · Σ|x| + l2 · Σx²`.
    L1L2(f64, f64),
    /// `factor · Σ|a·b| / pairs` over all pairs of rows (or columns) of a matrix, each normalised: 0 if they are orthogonal.
    Orthogonal {
        /// Weight of the penalty.
        factor: f64,
        /// Columns instead of rows.
        columns: bool,
    },
    /// A string that names no regularizer; using it is an error.
    Unknown(String),
}

/// `L1(0.01)` as an argument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct L1(pub f64);
/// `L2(1e-4)` as an argument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct L2(pub f64);
/// `L1L2(0.01, 1e-4)` as an argument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct L1L2(pub f64, pub f64);

impl From<L1> for Regularizer {
    fn from(L1(l1): L1) -> Self {
        Regularizer::L1(l1)
    }
}
impl From<L2> for Regularizer {
    fn from(L2(l2): L2) -> Self {
        Regularizer::L2(l2)
    }
}
impl From<L1L2> for Regularizer {
    fn from(L1L2(l1, l2): L1L2) -> Self {
        Regularizer::L1L2(l1, l2)
    }
}
impl From<&str> for Regularizer {
    fn from(name: &str) -> Self {
        match name {
            "l1" | "L1" => Regularizer::L1(FACTOR),
            "l2" | "L2" => Regularizer::L2(FACTOR),
            "l1l2" | "L1L2" => Regularizer::L1L2(0.0, 0.0),
            "orthogonal_regularizer" | "OrthogonalRegularizer" => {
                Regularizer::Orthogonal { factor: FACTOR, columns: false }
            }
            other => Regularizer::Unknown(other.into()),
        }
    }
}

impl Regularizer {
    /// The penalty of `x`, one number.
    pub fn penalty(&self, x: &Tensor) -> Result<Tensor> {
        let l1 = |factor: f64| x.abs().sum(..) * factor;
        let l2 = |factor: f64| x.square().sum(..) * factor;
        match self {
            Regularizer::L1(factor) => Ok(l1(*factor)),
            Regularizer::L2(factor) => Ok(l2(*factor)),
            Regularizer::L1L2(a, b) => Ok(match (*a != 0.0, *b != 0.0) {
                (true, false) => l1(*a),
                (false, _) => l2(*b),
                (true, true) => l1(*a) + l2(*b),
            }),
            Regularizer::Orthogonal { factor, columns } => orthogonal(x, *factor, *columns),
            Regularizer::Unknown(name) => Err(Error::unknown_name("regularizer", name, NAMES)),
        }
    }
}

fn orthogonal(x: &Tensor, factor: f64, columns: bool) -> Result<Tensor> {
    let [rows, cols] = x
        .dims::<2>()
        .map_err(|_| Error::shape(format!("OrthogonalRegularizer needs a matrix, got shape {:?}", x.shape())))?;
    let (vectors, count) = if columns { (x.t(), cols) } else { (x.clone(), rows) };
    let length = vectors.square().sum_keepdims(-1).maximum(1e-12).sqrt();
    let unit = &vectors / length;
    let others = 1.0 - Tensor::eye(count);
    let pairs = (count * count.saturating_sub(1)) as f64 / 2.0;
    // Every pair stands twice in the product.
    Ok((unit.matmul(&unit.t()) * others).abs().sum(..) * (0.5 * factor / pairs.max(1.0)))
}

impl Field for Regularizer {
    fn kind(&self) -> Kind<'_> {
        Kind::Config
    }
    fn write(&self) -> Result<Json> {
        let object = |class, arguments| Ok(object::to_json("keras.regularizers", class, arguments));
        match self {
            Regularizer::L1(l1) => object("L1", vec![("l1", json!(l1))]),
            Regularizer::L2(l2) => object("L2", vec![("l2", json!(l2))]),
            Regularizer::L1L2(l1, l2) => object("L1L2", vec![("l1", json!(l1)), ("l2", json!(l2))]),
            Regularizer::Orthogonal { factor, columns } => {
                let mode = if *columns { "columns" } else { "rows" };
                object("OrthogonalRegularizer", vec![("factor", json!(factor)), ("mode", json!(mode))])
            }
            Regularizer::Unknown(name) => Err(Error::unknown_name("regularizer", name, NAMES)),
        }
    }
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        let object = Object::from_json(json, "a regularizer", reader)?;
        *self = match Regularizer::from(object.class.as_str()) {
            Regularizer::L1(default) => Regularizer::L1(object.number("l1", default, reader)?),
            Regularizer::L2(default) => Regularizer::L2(object.number("l2", default, reader)?),
            Regularizer::L1L2(a, b) => {
                Regularizer::L1L2(object.number("l1", a, reader)?, object.number("l2", b, reader)?)
            }
            Regularizer::Orthogonal { factor, .. } => Regularizer::Orthogonal {
                factor: object.number("factor", factor, reader)?,
                columns: object.text("mode", "rows", reader)? == "columns",
            },
            Regularizer::Unknown(name) => return Err(reader.wrap(Error::unknown_name("regularizer", name, NAMES))),
        };
        Ok(())
    }
    fn blank() -> Self {
        Regularizer::L2(0.0)
    }
}
