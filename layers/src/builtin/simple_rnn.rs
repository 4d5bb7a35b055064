//! SimpleRNN.

use super::{
    base_methods,
    recurrent::{Recurrence, recurrent_layer},
    setters,
};
use crate::{Base, Constraint, Cx, Fields, Ignored, Initializer, Layer, Regularizer, Weight, activations::Activation};
use addax_tensor::{Error, Result, Tensor};

recurrent_layer! {
    /// `h' = activation(x · kernel + h · recurrent_kernel + bias)`: `[b, t, n] -> [b, units]`, or `[b, t, units]` with
    /// `return_sequences`.
    ///
    /// ```
    /// use addax_layers::{Cx, SimpleRNN};
    /// use addax_tensor::Tensor;
    /// let y = Cx::inference().call(&SimpleRNN::new(4), Tensor::ones([2, 5, 3]))?;
    /// assert_eq!(y.shape()?.dims(), [2, 4]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    SimpleRNN, gates: 1,
}

impl Layer for SimpleRNN {
    type In = Tensor;
    type Out = Tensor;

    fn forward(&self, x: Tensor, cx: &mut Cx) -> Result<Tensor> {
        let units = self.units;
        let (kernel, recurrent) = self.kernels(&x, cx)?;
        let bias = match self.use_bias {
            true => Some(cx.parameter(
                &self.bias,
                [units],
                &self.bias_initializer,
                &self.bias_regularizer,
                &self.bias_constraint,
            )?),
            false => None,
        };
        let time = self.time("simple_rnn");
        let projected = time.project(&x, &kernel, bias.as_ref(), cx)?;
        let y = time.run(&projected, units, 1, &[recurrent], cx, |now, _, hidden, fixed| {
            let [recurrent] = fixed else { return Err(Error::argument("a step has one kernel")) };
            Ok(vec![self.activation.apply(&(now + hidden.matmul(recurrent)))?])
        })?;
        cx.regularize_activity(&y, &self.activity_regularizer)?;
        Ok(y)
    }
}
