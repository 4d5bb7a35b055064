//! LSTM.

use super::{
    base_methods,
    recurrent::{Recurrence, recurrent_layer},
    setters,
};
use crate::{Base, Constraint, Cx, Fields, Ignored, Initializer, Layer, Regularizer, Weight, activations::Activation};
use addax_tensor::{Array, Error, Result, Tensor};

recurrent_layer! {
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
    LSTM, gates: 4,
    /// What is applied to the gates.
    recurrent_activation: Activation = "sigmoid".into(),
    /// Whether the bias of the forget gate begins at 1.
    unit_forget_bias: bool = true,
}

impl Layer for LSTM {
    type In = Tensor;
    type Out = Tensor;

    fn forward(&self, x: Tensor, cx: &mut Cx) -> Result<Tensor> {
        let units = self.units;
        let (kernel, recurrent) = self.kernels(&x, cx)?;
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
        let time = self.time("lstm");
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
