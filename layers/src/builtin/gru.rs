//! GRU.

use super::{base_methods, recurrent::Recurrence, setters};
use crate::{
    Base, Constraint, Cx, Fields, Ignored, Initializer, Layer, Never, Regularizer, Weight, activations::Activation,
};
use addax_tensor::{Error, Result, Tensor};

/// Gated recurrent unit: `[b, t, n] -> [b, units]`, or `[b, t, units]` with `return_sequences`.
///
/// The gates z, r and the new values c stand side by side; `h' = z · h + (1 - z) · c`. With `reset_after` (the default)
/// `c = tanh(x_c + r · (h · U_c + b_c))`, and the bias is `[2, 3 units]`; else `c = tanh(x_c + (r · h) · U_c)`.
///
/// ```
/// use addax_layers::{Cx, GRU};
/// use addax_tensor::Tensor;
/// let y = Cx::inference().call(&GRU::new(4), Tensor::ones([2, 5, 3]))?;
/// assert_eq!(y.shape()?.dims(), [2, 4]);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[derive(Fields)]
#[fields(keras, weights_in = "cell", blank = GRU::new(0))]
pub struct GRU {
    base: Base,
    #[fields(required)]
    units: usize,
    activation: Activation,
    recurrent_activation: Activation,
    use_bias: bool,
    kernel_initializer: Initializer,
    recurrent_initializer: Initializer,
    bias_initializer: Initializer,
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
    reset_after: bool,
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

impl GRU {
    /// With Keras' defaults: the output of the last step, `tanh`, orthogonal recurrent kernel.
    pub fn new(units: usize) -> Self {
        GRU {
            base: Base::default(),
            units,
            activation: "tanh".into(),
            recurrent_activation: "sigmoid".into(),
            use_bias: true,
            kernel_initializer: "glorot_uniform".into(),
            recurrent_initializer: "orthogonal".into(),
            bias_initializer: Initializer::Zeros,
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
            reset_after: true,
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
base_methods!(GRU);
setters!(GRU {
    /// What is applied to the new values.
    activation: Activation,
    /// What is applied to the gates.
    recurrent_activation: Activation,
    /// Whether there is a bias.
    use_bias: bool,
    /// First values of the kernel `[n, 3 · units]`.
    kernel_initializer: Initializer,
    /// First values of the recurrent kernel `[units, 3 · units]`.
    recurrent_initializer: Initializer,
    /// First values of the bias.
    bias_initializer: Initializer,
    /// Whether the reset gate is applied after the product with the recurrent kernel.
    reset_after: bool,
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

impl Layer for GRU {
    type In = Tensor;
    type Out = Tensor;

    fn forward(&self, x: Tensor, cx: &mut Cx) -> Result<Tensor> {
        let units = self.units;
        if units == 0 {
            return Err(Error::argument("GRU needs at least one unit"));
        }
        let features = x.shape()?.last().copied().unwrap_or(0);
        let kernel = cx.weight(&self.kernel, [features, 3 * units], &self.kernel_initializer)?;
        let recurrent = cx.weight(&self.recurrent_kernel, [units, 3 * units], &self.recurrent_initializer)?;
        cx.regularize(&self.kernel, &self.kernel_regularizer)?;
        cx.regularize(&self.recurrent_kernel, &self.recurrent_regularizer)?;
        cx.constrain(&self.kernel, &self.kernel_constraint)?;
        cx.constrain(&self.recurrent_kernel, &self.recurrent_constraint)?;
        let bias = match self.use_bias {
            true => Some({
                let shape = if self.reset_after { vec![2, 3 * units] } else { vec![3 * units] };
                cx.weight(&self.bias, shape, &self.bias_initializer)?
            }),
            false => None,
        };
        if self.use_bias {
            cx.regularize(&self.bias, &self.bias_regularizer)?;
            cx.constrain(&self.bias, &self.bias_constraint)?;
        }
        let time = Recurrence {
            name: "gru",
            return_sequences: self.return_sequences,
            go_backwards: self.go_backwards,
            dropout: self.dropout,
            recurrent_dropout: self.recurrent_dropout,
            seed: self.seed,
        };
        // The second row of the bias belongs to the recurrent product.
        let (input_bias, recurrent_bias) = match (&bias, self.reset_after) {
            (Some(bias), true) => {
                (Some(bias.slice(0, ..1).reshape([3 * units])), Some(bias.slice(0, 1..).reshape([3 * units])))
            }
            (bias, _) => (bias.clone(), None),
        };
        let projected = time.project(&x, &kernel, input_bias.as_ref(), cx)?;
        let mut invariants = vec![recurrent];
        invariants.extend(recurrent_bias);
        let y = time.run(&projected, units, 1, &invariants, cx, |now, states, hidden, fixed| {
            let ([before], [recurrent, recurrent_bias @ ..]) = (states, fixed) else {
                return Err(Error::argument("a GRU step has one state and one kernel"));
            };
            let part = |t: &Tensor, i: usize| t.slice(1, i * units..(i + 1) * units);
            let (update, new) = if self.reset_after {
                let mut inner = hidden.matmul(recurrent);
                if let [bias] = recurrent_bias {
                    inner = inner + bias;
                }
                let gate = |i: usize| self.recurrent_activation.apply(&(part(now, i) + part(&inner, i)));
                (gate(0)?, self.activation.apply(&(part(now, 2) + gate(1)? * part(&inner, 2)))?)
            } else {
                let inner = hidden.matmul(&recurrent.slice(1, ..2 * units));
                let gate = |i: usize| self.recurrent_activation.apply(&(part(now, i) + part(&inner, i)));
                let reset = (gate(1)? * hidden).matmul(&recurrent.slice(1, 2 * units..));
                (gate(0)?, self.activation.apply(&(part(now, 2) + reset))?)
            };
            Ok(vec![&update * before + (1.0 - &update) * new])
        })?;
        cx.regularize_activity(&y, &self.activity_regularizer)?;
        Ok(y)
    }
}
