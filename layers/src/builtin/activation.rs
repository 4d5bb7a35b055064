//! Activations as layers.

use super::{base_methods, setters};
use crate::{AxisList, Base, Constraint, Cx, Fields, Initializer, Layer, Regularizer, Weight, activations};
use addax_tensor::{Result, Tensor};

/// Applies an activation: Keras' names, or [`activations::Activation`] with arguments. The shape stays.
///
/// ```
/// use addax_layers::{Activation, Cx};
/// use addax_tensor::Tensor;
/// let y = Cx::inference().call(&Activation::new("relu"), Tensor::from_vec([-1.0f32, 2.0], [2]))?;
/// assert_eq!(y.to_vec::<f32>()?, vec![0.0, 2.0]);
/// let slip = Cx::inference().call(&Activation::new("rleu"), Tensor::ones([2])).unwrap_err();
/// assert_eq!(slip.to_string(), "layer \"activation\": unknown activation \"rleu\"; did you mean \"elu\" or \"glu\" or \"relu\"?");
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[derive(Fields)]
#[fields(keras, blank = Activation::new("linear"))]
pub struct Activation {
    base: Base,
    #[fields(required)]
    activation: activations::Activation,
}

impl Activation {
    /// Of this function.
    pub fn new(activation: impl Into<activations::Activation>) -> Self {
        Activation { base: Base::default(), activation: activation.into() }
    }
}
base_methods!(Activation);

impl Layer for Activation {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, _: &mut Cx) -> Result<Tensor> {
        self.activation.apply(&x)
    }
}

/// `max(x, 0)`, with a ceiling, a slope below and a threshold where asked for.
#[derive(Fields, Default)]
#[fields(keras, blank = ReLU::new())]
pub struct ReLU {
    base: Base,
    max_value: Option<f64>,
    negative_slope: f64,
    threshold: f64,
}

impl ReLU {
    /// `max(x, 0)`.
    pub fn new() -> Self {
        ReLU::default()
    }
}
base_methods!(ReLU);
setters!(ReLU {
    /// Largest value.
    max_value: f64 => Some,
    /// Slope below the threshold.
    negative_slope: f64,
    /// Where it begins.
    threshold: f64,
});

impl Layer for ReLU {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, _: &mut Cx) -> Result<Tensor> {
        let (negative_slope, max_value, threshold) = (self.negative_slope, self.max_value, self.threshold);
        match (negative_slope, max_value, threshold) {
            (0.0, None, 0.0) => Ok(x.relu()),
            _ => activations::Activation::ReluWith { negative_slope, max_value, threshold }.apply(&x),
        }
    }
}

/// `x` above 0, else `negative_slope · x`; the slope is 0.3, unlike the activation's 0.2.
#[derive(Fields)]
#[fields(keras, blank = LeakyReLU::new())]
pub struct LeakyReLU {
    base: Base,
    negative_slope: f64,
}

impl Default for LeakyReLU {
    fn default() -> Self {
        LeakyReLU::new()
    }
}

impl LeakyReLU {
    /// Slope 0.3.
    pub fn new() -> Self {
        LeakyReLU { base: Base::default(), negative_slope: 0.3 }
    }
}
base_methods!(LeakyReLU);
setters!(LeakyReLU {
    /// Slope below 0.
    negative_slope: f64,
});

impl Layer for LeakyReLU {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, _: &mut Cx) -> Result<Tensor> {
        activations::Activation::LeakyRelu(self.negative_slope).apply(&x)
    }
}

/// `x` above 0, else `alpha · (eˣ - 1)`.
#[derive(Fields)]
#[fields(keras, blank = ELU::new())]
pub struct ELU {
    base: Base,
    alpha: f64,
}

impl Default for ELU {
    fn default() -> Self {
        ELU::new()
    }
}

impl ELU {
    /// Alpha 1.
    pub fn new() -> Self {
        ELU { base: Base::default(), alpha: 1.0 }
    }
}
base_methods!(ELU);
setters!(ELU {
    /// Where it goes far below 0, negated.
    alpha: f64,
});

impl Layer for ELU {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, _: &mut Cx) -> Result<Tensor> {
        activations::Activation::Elu(self.alpha).apply(&x)
    }
}

/// `x` above 0, else `alpha · x` with an alpha that is learned, one per position (or shared along `shared_axes`).
#[derive(Fields)]
#[fields(keras, blank = PReLU::new())]
pub struct PReLU {
    base: Base,
    alpha_initializer: Initializer,
    alpha_regularizer: Option<Regularizer>,
    alpha_constraint: Option<Constraint>,
    shared_axes: AxisList,
    alpha: Weight,
}

impl Default for PReLU {
    fn default() -> Self {
        PReLU::new()
    }
}

impl PReLU {
    /// Alphas that begin at 0.
    pub fn new() -> Self {
        PReLU {
            base: Base::default(),
            alpha_initializer: Initializer::Zeros,
            alpha_regularizer: None,
            alpha_constraint: None,
            shared_axes: AxisList(vec![]),
            alpha: Weight::new(),
        }
    }
}
base_methods!(PReLU);
setters!(PReLU {
    /// First values of the slopes.
    alpha_initializer: Initializer,
    /// Penalty on the slopes.
    alpha_regularizer: Regularizer => Some,
    /// What the slopes are held to.
    alpha_constraint: Constraint => Some,
    /// Axes along which one slope is shared, counted with the batch as 0.
    shared_axes: AxisList,
});

impl Layer for PReLU {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, cx: &mut Cx) -> Result<Tensor> {
        let shape = x.shape()?.clone();
        let shared = addax_tensor::Axes::from(self.shared_axes.0.as_slice()).resolve(&shape)?;
        let slopes: Vec<usize> =
            shape.iter().enumerate().skip(1).map(|(a, &n)| if shared.contains(&a) { 1 } else { n }).collect();
        let alpha = cx.weight(&self.alpha, slopes, &self.alpha_initializer)?;
        cx.regularize(&self.alpha, &self.alpha_regularizer)?;
        cx.constrain(&self.alpha, &self.alpha_constraint)?;
        Ok(x.relu() - alpha * (-&x).relu())
    }
}

/// `eˣ / Σ eˣ` over `axis`.
#[derive(Fields)]
#[fields(keras, blank = Softmax::new())]
pub struct Softmax {
    base: Base,
    axis: AxisList,
}

impl Default for Softmax {
    fn default() -> Self {
        Softmax::new()
    }
}

impl Softmax {
    /// Over the last axis.
    pub fn new() -> Self {
        Softmax { base: Base::default(), axis: AxisList(vec![-1]) }
    }
}
base_methods!(Softmax);
setters!(Softmax {
    /// The axes that sum to 1 together.
    axis: AxisList,
});

impl Layer for Softmax {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, _: &mut Cx) -> Result<Tensor> {
        activations::Activation::Softmax(self.axis.clone()).apply(&x)
    }
}

/// The input.
#[derive(Fields, Default)]
#[fields(keras, blank = Identity::new())]
pub struct Identity {
    base: Base,
}

impl Identity {
    /// The input.
    pub fn new() -> Self {
        Identity::default()
    }
}
base_methods!(Identity);

impl Layer for Identity {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, _: &mut Cx) -> Result<Tensor> {
        Ok(x)
    }
}
