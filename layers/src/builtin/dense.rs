//! Dense.

use super::{base_methods, setters};
use crate::{Base, Constraint, Cx, Fields, Initializer, Layer, Regularizer, Weight, activations::Activation};
use addax_tensor::{Error, Result, Tensor};

/// `activation(x · kernel + bias)` over the last axis: `[.., n] -> [.., units]`.
///
/// ```
/// use addax_layers::{Cx, Dense};
/// use addax_tensor::Tensor;
/// let dense = Dense::new(2).activation("relu").kernel_initializer("ones");
/// let y = Cx::inference().call(&dense, Tensor::ones([1, 3]))?;
/// assert_eq!(y.to_vec::<f32>()?, vec![3.0, 3.0]);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[derive(Fields)]
#[fields(keras, blank = Dense::new(0))]
pub struct Dense {
    base: Base,
    #[fields(required)]
    units: usize,
    activation: Activation,
    use_bias: bool,
    kernel_initializer: Initializer,
    bias_initializer: Initializer,
    kernel_regularizer: Option<Regularizer>,
    bias_regularizer: Option<Regularizer>,
    activity_regularizer: Option<Regularizer>,
    kernel_constraint: Option<Constraint>,
    bias_constraint: Option<Constraint>,
    kernel: Weight,
    bias: Weight,
}

impl Dense {
    /// With Keras' defaults: no activation, `glorot_uniform` kernel, zero bias.
    pub fn new(units: usize) -> Self {
        Dense {
            base: Base::default(),
            units,
            activation: Activation::Linear,
            use_bias: true,
            kernel_initializer: "glorot_uniform".into(),
            bias_initializer: Initializer::Zeros,
            kernel_regularizer: None,
            bias_regularizer: None,
            activity_regularizer: None,
            kernel_constraint: None,
            bias_constraint: None,
            kernel: Weight::new(),
            bias: Weight::new(),
        }
    }
}
base_methods!(Dense);
setters!(Dense {
    /// What is applied to the result; Keras' names or an [`Activation`].
    activation: Activation,
    /// Whether there is a bias.
    use_bias: bool,
    /// First values of the kernel `[n, units]`.
    kernel_initializer: Initializer,
    /// First values of the bias `[units]`.
    bias_initializer: Initializer,
    /// Penalty on the kernel.
    kernel_regularizer: Regularizer => Some,
    /// Penalty on the bias.
    bias_regularizer: Regularizer => Some,
    /// Penalty on the output, divided by the batch.
    activity_regularizer: Regularizer => Some,
    /// What the kernel is held to.
    kernel_constraint: Constraint => Some,
    /// What the bias is held to.
    bias_constraint: Constraint => Some,
});

impl Layer for Dense {
    type In = Tensor;
    type Out = Tensor;

    fn forward(&self, x: Tensor, cx: &mut Cx) -> Result<Tensor> {
        let shape = x.shape()?.clone();
        let [rows @ .., inputs] = shape.dims() else {
            return Err(Error::shape("Dense needs at least one axis, got a scalar"));
        };
        if rows.is_empty() {
            return Err(Error::shape(format!(
                "Dense needs samples along axis 0 and values along the last, got shape {shape}; add an axis in front"
            )));
        }
        if self.units == 0 {
            return Err(Error::argument("Dense needs at least one unit"));
        }
        if let Some(kernel) = self.kernel.variable()
            && kernel.shape()?.first() != Some(inputs)
        {
            return Err(Error::shape(format!(
                "expected input with last axis {}, got shape {shape}{}",
                kernel.shape()?.first().copied().unwrap_or(0),
                if rows.len() > 1 { "; add `Flatten` before it" } else { "" }
            )));
        }
        let kernel = cx.parameter(
            &self.kernel,
            [*inputs, self.units],
            &self.kernel_initializer,
            &self.kernel_regularizer,
            &self.kernel_constraint,
        )?;
        // One product over all rows, however many axes they stand in.
        let mut y = x.reshape([rows.iter().product(), *inputs]).matmul(&kernel);
        if self.use_bias {
            y = y + cx.parameter(
                &self.bias,
                [self.units],
                &self.bias_initializer,
                &self.bias_regularizer,
                &self.bias_constraint,
            )?;
        }
        let units = [self.units];
        let y = y.reshape(rows.iter().chain(&units).copied().collect::<Vec<_>>());
        let y = self.activation.apply(&y)?;
        cx.regularize_activity(&y, &self.activity_regularizer)?;
        Ok(y)
    }
}
