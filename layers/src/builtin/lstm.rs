//! LSTM.

use super::{base_methods, recurrent::Recurrence, setters};
use crate::{
    Base, Constraint, Cx, Fields, Ignored, Initializer, Layer, Never, Regularizer, Weight, activations::Activation,
};
use addax_tensor::{Array, Error, Result, Tensor};

/// Long short-term memory: `[b, t, n] -> [b, units]`, or `[b, t, units]` with `return_sequences`.
///
/// `z = x · kernel + h · recurrent_kernel + bias` holds the gates i, f, c, o side by side;
/// `c' = σ(f) · c + σ(i) · tanh(z_c)`, `h' = σ(o) · tanh(c')`. The bias of the forget gate begins at 1. The part of `z` that
/// comes from the input is one product over all steps.
///
/// ```
/// use addax_layers::{Cx, LSTM};
/// use addax_tensor::Tensor;
/// let y = Cx::inference().call(&LSTM::new(4).return_sequences(true), Tensor::ones([2, 5, 3]))?;
/// assert_eq!(y.shape()?.dims(), [2, 5, 4]);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[derive(Fields)]
#[fields(keras, weights_in = "cell", blank = LSTM::new(0))]
pub struct LSTM {
    base: Base,
    #[fields(required)]
    units: usize,
    activation: Activation,
    recurrent_activation: Activation,
    use_bias: bool,
    kernel_initializer: Initializer,
    recurrent_initializer: Initializer,
    bias_initializer: Initializer,
    unit_forget_bias: bool,
    kernel_regularizer: Option<Regularizer>,
    recurrent_regularizer: Option<Regularizer>,
    bias_regularizer: Option<Regularizer>,
    activity_regularizer: Option<Regularizer>,
    kernel_constraint: Option<Constraint>,
    recurrent_constraint: Option<Constraint>,
    bias_constraint: Option<Constraint>,
    dropout: f64,
    recurrent_dropout: f64,
    seed: Option<u64>,
    return_sequences: bool,
    go_backwards: bool,
    return_state: Never,
    stateful: Never,
    zero_output_for_mask: Ignored,
    unroll: Ignored,
    implementation: Ignored,
    use_cudnn: Ignored,
    kernel: Weight,
    recurrent_kernel: Weight,
    bias: Weight,
}

impl LSTM {
    /// With Keras' defaults: the output of the last step, `tanh`, orthogonal recurrent kernel.
    pub fn new(units: usize) -> Self {
        LSTM {
            base: Base::default(),
            units,
            activation: "tanh".into(),
            recurrent_activation: "sigmoid".into(),
            use_bias: true,
            kernel_initializer: "glorot_uniform".into(),
            recurrent_initializer: "orthogonal".into(),
            bias_initializer: Initializer::Zeros,
            unit_forget_bias: true,
            kernel_regularizer: None,
            recurrent_regularizer: None,
            bias_regularizer: None,
            activity_regularizer: None,
            kernel_constraint: None,
            recurrent_constraint: None,
            bias_constraint: None,
            dropout: 0.0,
            recurrent_dropout: 0.0,
            seed: None,
            return_sequences: false,
            go_backwards: false,
            return_state: Never,
            stateful: Never,
            zero_output_for_mask: Ignored,
            unroll: Ignored,
            implementation: Ignored,
            use_cudnn: Ignored,
            kernel: Weight::new(),
            recurrent_kernel: Weight::new(),
            bias: Weight::new(),
        }
    }
}
base_methods!(LSTM);
setters!(LSTM {
    /// What is applied to the new values.
    activation: Activation,
    /// What is applied to the gates.
    recurrent_activation: Activation,
    /// Whether there is a bias.
    use_bias: bool,
    /// First values of the kernel `[n, 4 · units]`.
    kernel_initializer: Initializer,
    /// First values of the recurrent kernel `[units, 4 · units]`.
    recurrent_initializer: Initializer,
    /// First values of the bias.
    bias_initializer: Initializer,
    /// Whether the bias of the forget gate begins at 1.
    unit_forget_bias: bool,
    /// Penalty on the kernel.
    kernel_regularizer: Regularizer => Some,
    /// Penalty on the recurrent kernel.
    recurrent_regularizer: Regularizer => Some,
    /// Penalty on the bias.
    bias_regularizer: Regularizer => Some,
    /// Penalty on the output, divided by the batch.
    activity_regularizer: Regularizer => Some,
    /// What the kernel is held to.
    kernel_constraint: Constraint => Some,
    /// What the recurrent kernel is held to.
    recurrent_constraint: Constraint => Some,
    /// What the bias is held to.
    bias_constraint: Constraint => Some,
    /// Fraction of the inputs that is dropped while training, the same at every step.
    dropout: f64,
    /// Fraction of the state that is dropped while training, the same at every step.
    recurrent_dropout: f64,
    /// A seed of its own for dropout.
    seed: u64 => Some,
    /// Whether all steps are returned, `[b, t, units]`, or the last, `[b, units]`.
    return_sequences: bool,
    /// Whether time runs from the end; all steps are then returned in the order they were made.
    go_backwards: bool,
});

impl Layer for LSTM {
    type In = Tensor;
    type Out = Tensor;

    fn forward(&self, x: Tensor, cx: &mut Cx) -> Result<Tensor> {
        let units = self.units;
        if units == 0 {
            return Err(Error::argument("LSTM needs at least one unit"));
        }
        let features = x.shape()?.last().copied().unwrap_or(0);
        let kernel = cx.weight(&self.kernel, [features, 4 * units], &self.kernel_initializer)?;
        let recurrent = cx.weight(&self.recurrent_kernel, [units, 4 * units], &self.recurrent_initializer)?;
        cx.regularize(&self.kernel, &self.kernel_regularizer)?;
        cx.regularize(&self.recurrent_kernel, &self.recurrent_regularizer)?;
        cx.constrain(&self.kernel, &self.kernel_constraint)?;
        cx.constrain(&self.recurrent_kernel, &self.recurrent_constraint)?;
        let bias = match self.use_bias {
            true => Some(cx.weight_from(&self.bias, [4 * units], |shape, seed| {
                let mut first = self.bias_initializer.values(shape, seed)?.to_vec::<f32>()?;
                if self.unit_forget_bias {
                    first.iter_mut().skip(units).take(units).for_each(|b| *b = 1.0);
                }
                Array::new(shape, &first)
            })?),
            false => None,
        };
        if self.use_bias {
            cx.regularize(&self.bias, &self.bias_regularizer)?;
            cx.constrain(&self.bias, &self.bias_constraint)?;
        }
        let time = Recurrence {
            name: "lstm",
            return_sequences: self.return_sequences,
            go_backwards: self.go_backwards,
            dropout: self.dropout,
            recurrent_dropout: self.recurrent_dropout,
            seed: self.seed,
        };
        let projected = time.project(&x, &kernel, bias.as_ref(), cx)?;
        let y = time.run(&projected, units, 2, &[recurrent], cx, |now, states, hidden, fixed| {
            let ([_, cell], [recurrent]) = (states, fixed) else {
                return Err(Error::argument("an LSTM step has two states and one kernel"));
            };
            let z = now + hidden.matmul(recurrent);
            let part = |i: usize| z.slice(1, i * units..(i + 1) * units);
            let gate = |i: usize| self.recurrent_activation.apply(&part(i));
            let cell = gate(1)? * cell + gate(0)? * self.activation.apply(&part(2))?;
            Ok(vec![gate(3)? * self.activation.apply(&cell)?, cell])
        })?;
        cx.regularize_activity(&y, &self.activity_regularizer)?;
        Ok(y)
    }
}
