//! GRU.

use super::{
    base_methods,
    recurrent::{Recurrence, recurrent_layer},
    setters,
};
use crate::{Base, Constraint, Cx, Fields, Ignored, Initializer, Layer, Regularizer, Weight, activations::Activation};
use addax_tensor::{Error, Result, Tensor};

recurrent_layer! {
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
    GRU, gates: 3,
    /// What is applied to the gates.
    recurrent_activation: Activation = "sigmoid".into(),
    /// Whether the reset gate is applied after the product with the recurrent kernel.
    reset_after: bool = true,
}

impl Layer for GRU {
    type In = Tensor;
    type Out = Tensor;

    fn forward(&self, x: Tensor, cx: &mut Cx) -> Result<Tensor> {
        let units = self.units;
        let (kernel, recurrent) = self.kernels(&x, cx)?;
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
        let time = self.time("gru");
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
