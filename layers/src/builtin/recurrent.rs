//! What recurrent layers share: their settings, the input projection, the loop over time, dropout of inputs and states.

use super::dropout::{check_rate, drop, dropout_mask};
use crate::Cx;
use addax_tensor::{
    Error, Result, Tensor,
    graph::{Body, ScanSpec},
};

/// A recurrent layer: all that SimpleRNN, LSTM and GRU have in common, and the settings that only one of them has. The kernels
/// have `gates · units` columns.
macro_rules! recurrent_layer {
    (
        $(#[$doc:meta])*
        $layer:ident, gates: $gates:literal,
        $($(#[$own_doc:meta])* $own:ident: $type:ty = $default:expr,)*
    ) => {
        $(#[$doc])*
        #[derive(Fields)]
        #[fields(keras, weights_in = "cell", blank = $layer::new(0))]
        pub struct $layer {
            base: Base,
            #[fields(required)]
            units: usize,
            activation: Activation,
            $($own: $type,)*
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
            return_state: crate::values::NoReturnState,
            stateful: crate::values::NoStates,
            zero_output_for_mask: Ignored,
            unroll: Ignored,
            implementation: Ignored,
            use_cudnn: Ignored,
            kernel: Weight,
            recurrent_kernel: Weight,
            bias: Weight,
        }

        impl $layer {
            /// With Keras' defaults: the output of the last step, `tanh`, orthogonal recurrent kernel.
            pub fn new(units: usize) -> Self {
                $layer {
                    base: Base::default(),
                    units,
                    activation: "tanh".into(),
                    $($own: $default,)*
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
                    return_state: crate::values::NoReturnState,
                    stateful: crate::values::NoStates,
                    zero_output_for_mask: Ignored,
                    unroll: Ignored,
                    implementation: Ignored,
                    use_cudnn: Ignored,
                    kernel: Weight::new(),
                    recurrent_kernel: Weight::new(),
                    bias: Weight::new(),
                }
            }
            /// Kernel and recurrent kernel for this input.
            fn kernels(&self, x: &Tensor, cx: &Cx) -> Result<(Tensor, Tensor)> {
                if self.units == 0 {
                    return Err(Error::argument(concat!(stringify!($layer), " needs at least one unit")));
                }
                let (features, columns) = (x.shape()?.last().copied().unwrap_or(0), $gates * self.units);
                let kernel = cx.parameter(
                    &self.kernel,
                    [features, columns],
                    &self.kernel_initializer,
                    &self.kernel_regularizer,
                    &self.kernel_constraint,
                )?;
                let recurrent = cx.parameter(
                    &self.recurrent_kernel,
                    [self.units, columns],
                    &self.recurrent_initializer,
                    &self.recurrent_regularizer,
                    &self.recurrent_constraint,
                )?;
                Ok((kernel, recurrent))
            }
            /// How it goes through time.
            fn time(&self, name: &'static str) -> Recurrence {
                Recurrence {
                    name,
                    return_sequences: self.return_sequences,
                    go_backwards: self.go_backwards,
                    dropout: self.dropout,
                    recurrent_dropout: self.recurrent_dropout,
                    seed: self.seed,
                }
            }
        }
        base_methods!($layer);
        setters!($layer {
            /// What is applied to the new values.
            activation: Activation,
            $($(#[$own_doc])* $own: $type,)*
            /// Whether there is a bias.
            use_bias: bool,
            /// First values of the kernel `[n, gates · units]`.
            kernel_initializer: Initializer,
            /// First values of the recurrent kernel `[units, gates · units]`.
            recurrent_initializer: Initializer,
            /// First values of the bias.
            bias_initializer: Initializer,
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
    };
}
pub(crate) use recurrent_layer;

/// How a recurrent layer goes through time.
pub(super) struct Recurrence {
    pub name: &'static str,
    pub return_sequences: bool,
    pub go_backwards: bool,
    pub dropout: f64,
    pub recurrent_dropout: f64,
    pub seed: Option<u64>,
}

impl Recurrence {
    /// Input `[b, t, n]` with its axes turned to `[t, b, n]` and dropped out: one mask for all steps, as in Keras.
    fn time_major(&self, x: &Tensor, cx: &Cx) -> Result<Tensor> {
        let shape = x.shape()?;
        let Ok([batch, steps, features]) = x.dims::<3>() else {
            return Err(Error::shape(format!("expected [batch, time, features], got shape {shape}")));
        };
        if steps == 0 {
            return Err(Error::shape(format!("expected at least one step of time, got shape {shape}")));
        }
        check_rate(self.dropout)?;
        check_rate(self.recurrent_dropout)?;
        let x = match cx.training() && self.dropout > 0.0 {
            true => drop(x, &dropout_mask([batch, features], self.dropout, self.seed, cx).expand_dims(1)),
            false => x.clone(),
        };
        Ok(x.permute([1, 0, 2]))
    }

    /// `x · kernel + bias` for all steps in one product: `[b, t, n] -> [t, b, units]`.
    pub fn project(&self, x: &Tensor, kernel: &Tensor, bias: Option<&Tensor>, cx: &Cx) -> Result<Tensor> {
        let x = self.time_major(x, cx)?;
        let ([steps, batch, features], [_, units]) = (x.dims()?, kernel.dims()?);
        let product = x.reshape([steps * batch, features]).matmul(kernel);
        let projected = match bias {
            Some(bias) => product + bias,
            None => product,
        };
        Ok(projected.reshape([steps, batch, units]))
    }

    /// Loops `step` over the projected input `[t, b, ..]`. The states begin as zeros `[b, units]`; `step` gets the input of
    /// its time, the states (the first under its dropout mask as the last argument sees it) and the invariants, and
    /// returns the new states, of which the first is the output. Gives `[b, units]` or `[b, t, units]`.
    pub fn run(
        &self,
        projected: &Tensor,
        units: usize,
        states: usize,
        invariants: &[Tensor],
        cx: &Cx,
        step: impl FnOnce(&Tensor, &[Tensor], &Tensor, &[Tensor]) -> Result<Vec<Tensor>>,
    ) -> Result<Tensor> {
        let [steps, batch, _] = projected.dims()?;
        let zero = Tensor::full(projected.dtype()?, [batch, units], 0.0);
        let mut inputs = vec![zero; states];
        inputs.push(projected.clone());
        inputs.extend(invariants.iter().cloned());
        let masked = cx.training() && self.recurrent_dropout > 0.0;
        if masked {
            inputs.push(dropout_mask([batch, units], self.recurrent_dropout, self.seed, cx).cast(projected.dtype()?));
        }
        let mut metas = inputs.iter().map(|t| t.meta().cloned()).collect::<Result<Vec<_>>>()?;
        if let Some(projected) = metas.get_mut(states) {
            projected.shape = projected.shape.iter().skip(1).copied().collect();
        }
        let body = Body::new(self.name, &metas, |params| {
            let (before, rest) = params.split_at(states);
            let [now, fixed @ ..] = rest else { return Err(Error::argument("a step has no input")) };
            let (fixed, mask) = fixed.split_at(invariants.len());
            let hidden = before.first().ok_or_else(|| Error::argument("a recurrence has no state"))?;
            let hidden = mask.first().map_or_else(|| hidden.clone(), |mask| hidden * mask);
            let mut after = step(now, before, &hidden, fixed)?;
            if self.return_sequences {
                after.extend(after.first().cloned());
            }
            Ok(after)
        })?;
        let spec = ScanSpec { steps, carries: states, inputs: 1, reverse: self.go_backwards };
        let outputs = Tensor::scan(&body, spec, &inputs)?;
        let wanted = if self.return_sequences { states } else { 0 };
        let output = outputs.get(wanted).ok_or_else(|| Error::argument("a loop has no output"))?;
        match self.return_sequences {
            false => Ok(output.clone()),
            true => {
                // Rows stand where their step read its input; Keras gives them in the order of the steps.
                let ordered = if self.go_backwards { output.flip(0) } else { output.clone() };
                Ok(ordered.permute([1, 0, 2]))
            }
        }
    }
}
