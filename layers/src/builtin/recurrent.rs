//! What recurrent layers share: the input projection, the loop over time, dropout of inputs and states.

use super::dropout::{check_rate, drop, dropout_mask};
use crate::Cx;
use addax_tensor::{
    Error, Result, Tensor,
    graph::{Body, ScanSpec},
};

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
