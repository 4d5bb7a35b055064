//! What train steps of your own log, as means over rows.

use addax_callbacks::Logs;
use addax_tensor::{DType, Error, Result, Tensor, Variable};
use std::sync::Arc;

/// Means of what is logged, over the rows of the epoch so far; state on the device.
#[derive(Default)]
pub(crate) struct Means {
    totals: Vec<(Arc<str>, Variable)>,
    count: Option<Variable>,
}

impl Means {
    /// Forgets the rows so far.
    pub fn reset(&self) -> Result<()> {
        let all = self.totals.iter().map(|(_, v)| v).chain(&self.count);
        all.into_iter().try_for_each(|v| v.assign(&Tensor::scalar(0.0)))
    }
    /// Names of the logged tensors, and the vector of their means after this batch; nothing if no tensor is logged.
    pub fn observe(
        &mut self,
        logs: &Logs,
        rows: usize,
        updates: &mut Vec<(Variable, Tensor)>,
    ) -> Result<(Vec<Arc<str>>, Vec<Tensor>)> {
        let (mut names, mut means) = (Vec::<Arc<str>>::new(), Vec::new());
        let zero = || Variable::state(Tensor::scalar(0.0));
        let count = self.count.get_or_insert_with(zero).clone();
        let rows_now = count.value() + rows as f64;
        for (name, value) in logs.iter() {
            let Some(tensor) = value.downcast_ref::<Tensor>() else { continue };
            if tensor.shape()?.numel() != 1 {
                return Err(Error::shape(format!("log \"{name}\" has shape {}; it is one number", tensor.shape()?)));
            }
            let total = match self.totals.iter().find(|(known, _)| &**known == name) {
                Some((_, total)) => total.clone(),
                None => {
                    let total = zero();
                    self.totals.push((name.into(), total.clone()));
                    total
                }
            };
            let sum = total.value() + tensor.reshape(()).cast(DType::F32) * rows as f64;
            means.push(&sum / &rows_now);
            updates.push((total, sum));
            names.push(name.into());
        }
        updates.push((count, rows_now));
        Ok((names, if means.is_empty() { means } else { vec![Tensor::stack(&means, 0)] }))
    }
}
