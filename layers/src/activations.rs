//! Activations, by Keras' names.

use crate::{
    config::Reader,
    fields::{Field, Kind},
    object,
    values::AxisList,
};
use addax_tensor::{Axes, DType, Error, Result, Tensor};
use serde_json::{Value as Json, json};

/// Bounds of `selu`, for which activations keep mean 0 and variance 1.
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;

/// A function from activations to activations. Strings are Keras' names, with Keras' defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `x` above `threshold` up to `max_value`, else `negative_slope · (x - threshold)`.
    ReluWith {
        /// Slope below the threshold.
        negative_slope: f64,
        /// Largest value.
        max_value: Option<f64>,
        /// Where it begins.
        threshold: f64,
    },
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x` above 0, else `slope · x`.
    LeakyRelu(f64),
    /// `x` above 0, else `alpha · (eˣ - 1)`.
    Elu(f64),
    /// `scale · elu(x, alpha)`, which keeps mean 0 and variance 1.
    Selu,
    /// `max(x, 0) + min(0, alpha · (e^(x / alpha) - 1))`.
    Celu(f64),
    /// `x · Φ(x)`: exact, or by a tanh.
    Gelu {
        /// By a tanh.
        approximate: bool,
    },
    /// `1 / (1 + e⁻ˣ)`.
    Sigmoid,
    /// `relu6(x + 3) / 6`.
    HardSigmoid,
    /// `x · hard_sigmoid(x)`.
    HardSilu,
    /// `clip(x, -1, 1)`.
    HardTanh,
    /// `x` where `|x| > threshold`, else 0.
    HardShrink(f64),
    /// `x` moved towards 0 by `threshold`, 0 in between.
    SoftShrink(f64),
    /// `x - tanh(x)`.
    TanhShrink,
    /// `x` above `threshold`, else `default_value`.
    Threshold {
        /// Where `x` begins.
        threshold: f64,
        /// The value below.
        default_value: f64,
    },
    /// Hyperbolic tangent.
    Tanh,
    /// `log(1 + eˣ)`.
    Softplus,
    /// `x / (1 + |x|)`.
    Softsign,
    /// `x · sigmoid(x)`, also called `swish`.
    Silu,
    /// `x · tanh(softplus(x))`.
    Mish,
    /// `-softplus(-x)`.
    LogSigmoid,
    /// `eˣ`.
    Exponential,
    /// `(x + √(x² + b)) / 2`.
    Squareplus(f64),
    /// 0 below -1, `x` above 1, `(x + 1)² / 4` between.
    SparsePlus,
    /// `clip((x + 1) / 2, 0, 1)`.
    SparseSigmoid,
    /// `eˣ / Σ eˣ` over these axes.
    Softmax(AxisList),
    /// Logarithm of `softmax`.
    LogSoftmax(AxisList),
    /// Keras' sparse relative of `softmax` along this axis; see [`Tensor::sparsemax`].
    Sparsemax(isize),
    /// The first half along an axis times the sigmoid of the second.
    Glu(isize),
    /// `x`.
    #[default]
    Linear,
    /// A string that names no activation; using it is an error.
    Unknown(String),
}

/// Names, with Keras' defaults. The first name of an activation is the one it is saved under.
fn by_name(name: &str) -> Option<Activation> {
    use Activation::*;
    Some(match name {
        "relu" => Relu,
        "relu6" => Relu6,
        "leaky_relu" => LeakyRelu(0.2),
        "elu" => Elu(1.0),
        "selu" => Selu,
        "celu" => Celu(1.0),
        "gelu" => Gelu { approximate: false },
        "sigmoid" => Sigmoid,
        "hard_sigmoid" => HardSigmoid,
        "hard_silu" | "hard_swish" => HardSilu,
        "hard_tanh" => HardTanh,
        "hard_shrink" => HardShrink(0.5),
        "soft_shrink" => SoftShrink(0.5),
        "tanh_shrink" => TanhShrink,
        "tanh" => Tanh,
        "softplus" => Softplus,
        "softsign" => Softsign,
        "silu" | "swish" => Silu,
        "mish" => Mish,
        "log_sigmoid" => LogSigmoid,
        "exponential" => Exponential,
        "squareplus" => Squareplus(4.0),
        "sparse_plus" => SparsePlus,
        "sparse_sigmoid" => SparseSigmoid,
        "softmax" => Softmax((-1).into()),
        "log_softmax" => LogSoftmax((-1).into()),
        "sparsemax" => Sparsemax(-1),
        "glu" => Glu(-1),
        "linear" => Linear,
        _ => return None,
    })
}

/// Names that activations are saved under.
const NAMES: [&str; 29] = [
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "gelu",
    "sigmoid",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "hard_shrink",
    "soft_shrink",
    "tanh_shrink",
    "tanh",
    "softplus",
    "softsign",
    "silu",
    "mish",
    "log_sigmoid",
    "exponential",
    "squareplus",
    "sparse_plus",
    "sparse_sigmoid",
    "softmax",
    "log_softmax",
    "sparsemax",
    "glu",
    "linear",
];

impl From<&str> for Activation {
    fn from(name: &str) -> Self {
        by_name(name).unwrap_or_else(|| Activation::Unknown(name.into()))
    }
}
impl From<&Activation> for Activation {
    fn from(activation: &Activation) -> Self {
        activation.clone()
    }
}

impl Activation {
    /// The function of `x`. Shape stays, but for `glu`, which halves an axis.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Activation::Linear => x.clone(),
            Activation::Relu => x.relu(),
            Activation::ReluWith { negative_slope, max_value, threshold } => {
                relu_with(x, *negative_slope, *max_value, *threshold)
            }
            Activation::Relu6 => relu6(x),
            Activation::LeakyRelu(slope) => x.greater_equal(0.0).select(x, x * *slope),
            Activation::Elu(alpha) => elu(x, *alpha),
            Activation::Selu => elu(x, SELU_ALPHA) * SELU_SCALE,
            Activation::Celu(alpha) => x.greater(0.0).select(x, (not_above_zero(x) * (1.0 / alpha)).expm1() * *alpha),
            Activation::Gelu { approximate } => x.gelu(*approximate),
            Activation::Sigmoid => x.sigmoid(),
            Activation::HardSigmoid => hard_sigmoid(x),
            Activation::HardSilu => x * hard_sigmoid(x),
            Activation::HardTanh => x.greater(1.0).select(1.0, x.less(-1.0).select(-1.0, x)),
            Activation::HardShrink(threshold) => x.abs().greater(*threshold).select(x, 0.0),
            Activation::SoftShrink(threshold) => {
                let towards_zero = x.less(-threshold).select(x + *threshold, 0.0);
                x.greater(*threshold).select(x - *threshold, towards_zero)
            }
            Activation::TanhShrink => x - x.tanh(),
            Activation::Threshold { threshold, default_value } => x.threshold(*threshold, *default_value),
            Activation::Tanh => x.tanh(),
            Activation::Softplus => x.softplus(),
            Activation::Softsign => x / (x.abs() + 1.0),
            Activation::Silu => x * x.sigmoid(),
            Activation::Mish => x * x.softplus().tanh(),
            Activation::LogSigmoid => -(-x).softplus(),
            Activation::Exponential => x.exp(),
            Activation::Squareplus(b) => (x + (x.square() + *b).sqrt()) * 0.5,
            Activation::SparsePlus => {
                let middle = x.greater(-1.0).select((x + 1.0).square() * 0.25, 0.0);
                x.less(1.0).select(middle, x)
            }
            Activation::SparseSigmoid => (x * 0.5 + 0.5).clip(0.0, 1.0),
            Activation::Softmax(axes) => in_float32(x, |x| softmax(x, axes))?,
            Activation::LogSoftmax(axes) => in_float32(x, |x| log_softmax(x, axes))?,
            Activation::Sparsemax(axis) => x.sparsemax(*axis),
            Activation::Glu(axis) => {
                let length = x.shape()?.get(x.shape()?.axis(*axis)?).copied().unwrap_or(0);
                if length % 2 != 0 {
                    return Err(Error::shape(format!("glu halves axis {axis}, which has an odd length, {length}")));
                }
                x.slice(*axis, ..length / 2) * x.slice(*axis, length / 2..).sigmoid()
            }
            Activation::Unknown(name) => return Err(Error::unknown_name("activation", name, NAMES)),
        })
    }
    /// Keras' name, if the arguments are the defaults.
    pub fn name(&self) -> Option<&'static str> {
        NAMES.into_iter().find(|name| by_name(name).as_ref() == Some(self))
    }
    /// Fails if it is a name that is not known.
    pub fn check(&self) -> Result<()> {
        match self {
            Activation::Unknown(name) => Err(Error::unknown_name("activation", name, NAMES)),
            _ => Ok(()),
        }
    }
}

/// A function with sums of many small parts, which half floats are too coarse for.
fn in_float32(x: &Tensor, function: impl FnOnce(&Tensor) -> Tensor) -> Result<Tensor> {
    Ok(match x.dtype()? {
        half @ (DType::F16 | DType::BF16) => function(&x.cast(DType::F32)).cast(half),
        _ => function(x),
    })
}

fn relu_with(x: &Tensor, negative_slope: f64, max_value: Option<f64>, threshold: f64) -> Tensor {
    let above = match max_value {
        Some(max) => x.minimum(max),
        None => x.clone(),
    };
    let below = match negative_slope {
        0.0 => return x.greater(threshold).select(above, 0.0),
        slope => (x - threshold) * slope,
    };
    match threshold {
        0.0 => x.greater(threshold).select(above, below),
        // Keras lets the threshold itself pass here.
        _ => x.greater_equal(threshold).select(above, below),
    }
}

fn elu(x: &Tensor, alpha: f64) -> Tensor {
    x.greater(0.0).select(x, not_above_zero(x).expm1() * alpha)
}

/// `x`, or 0 where it is above: there an exponential could overflow, and its gradient spoil the branch that is taken. Not a
/// minimum, which would halve the gradient at 0.
fn not_above_zero(x: &Tensor) -> Tensor {
    x.greater(0.0).select(0.0, x)
}

/// Flat at 0 and at 6 too, unlike a relu with a maximum, which shares the gradient there.
fn relu6(x: &Tensor) -> Tensor {
    x.less(6.0).select(x.relu(), 6.0)
}

fn hard_sigmoid(x: &Tensor) -> Tensor {
    relu6(&(x + 3.0)) * (1.0 / 6.0)
}

fn softmax(x: &Tensor, axes: &AxisList) -> Tensor {
    match axes.0.as_slice() {
        [axis] => x.softmax(*axis),
        axes => {
            let axes = Axes::from(axes);
            let e = (x - x.max_keepdims(axes.clone()).stop_gradient()).exp();
            &e / e.sum_keepdims(axes)
        }
    }
}

fn log_softmax(x: &Tensor, axes: &AxisList) -> Tensor {
    match axes.0.as_slice() {
        [axis] => x.log_softmax(*axis),
        axes => {
            let axes = Axes::from(axes);
            let centered = x - x.max_keepdims(axes.clone()).stop_gradient();
            &centered - centered.exp().sum_keepdims(axes).log()
        }
    }
}

impl Field for Activation {
    fn kind(&self) -> Kind<'_> {
        Kind::Config
    }
    /// A name; with other arguments than the defaults, the layer that has them.
    fn write(&self) -> Result<Json> {
        self.check()?;
        if let Some(name) = self.name() {
            return Ok(json!(name));
        }
        let layer = |class, arguments| Ok(object::to_json("keras.layers", class, arguments));
        match self {
            Activation::ReluWith { negative_slope, max_value, threshold } => layer(
                "ReLU",
                vec![
                    ("max_value", max_value.write()?),
                    ("negative_slope", negative_slope.write()?),
                    ("threshold", threshold.write()?),
                ],
            ),
            Activation::LeakyRelu(slope) => layer("LeakyReLU", vec![("negative_slope", slope.write()?)]),
            Activation::Elu(alpha) => layer("ELU", vec![("alpha", alpha.write()?)]),
            Activation::Softmax(axes) => layer("Softmax", vec![("axis", axes.write()?)]),
            other => Err(Error::argument(format!(
                "Keras' files have no place for the arguments of {other:?}; write it as a layer of your own, or use the defaults"
            ))),
        }
    }
    fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
        let known = |name: &str, reader: &Reader<'_>| {
            by_name(name).ok_or_else(|| reader.wrap(Error::unknown_name("activation", name, NAMES)))
        };
        *self = match (json, json.get("class_name").and_then(Json::as_str)) {
            (Json::Null, _) => Activation::Linear,
            (Json::String(name), _) => known(name, reader)?,
            (json, Some("function")) => {
                let name = json.get("config").and_then(Json::as_str).unwrap_or_default();
                known(name, reader)?
            }
            (json, Some(class)) => {
                let object = object::Object::from_json(json, "an activation", reader)?;
                match class {
                    "ReLU" => Activation::ReluWith {
                        negative_slope: object.number("negative_slope", 0.0, reader)?,
                        max_value: object.optional("max_value", reader)?,
                        threshold: object.number("threshold", 0.0, reader)?,
                    },
                    "LeakyReLU" => Activation::LeakyRelu(object.number("negative_slope", 0.3, reader)?),
                    "ELU" => Activation::Elu(object.number("alpha", 1.0, reader)?),
                    "Softmax" => {
                        let mut axes = AxisList(vec![-1]);
                        if let Some(json) = json.pointer("/config/axis") {
                            axes.read(json, reader)?;
                        }
                        Activation::Softmax(axes)
                    }
                    other => return Err(reader.wrap(Error::unknown_name("activation", other, NAMES))),
                }
            }
            (json, None) => return Err(reader.expected("an activation", json)),
        };
        Ok(())
    }
    fn blank() -> Self {
        Activation::Linear
    }
}
