//! Labels, predictions and weights whose shapes differ by an axis of length 1.

use addax_tensor::{DType, Error, Result, Shape, Tensor};

/// Keras' rule for two tensors whose ranks differ by one: a last axis of length 1 goes away, or is added to a vector.
pub(crate) fn same_rank(a: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor)> {
    fn lower(higher: &Tensor, other: &Tensor) -> Result<(Tensor, Tensor)> {
        match (higher.shape()?.last(), other.rank()?) {
            (Some(1), 1) => Ok((higher.clone(), other.expand_dims(-1))),
            (Some(1), _) => Ok((higher.squeeze(-1), other.clone())),
            _ => Ok((higher.clone(), other.clone())),
        }
    }
    match (a.rank()?, b.rank()?) {
        (ra, rb) if ra == rb + 1 => lower(a, b),
        (ra, rb) if rb == ra + 1 => lower(b, a).map(|(b, a)| (a, b)),
        _ => Ok((a.clone(), b.clone())),
    }
}

/// Labels and predictions with one rank, floats of one type, and shapes that are equal; fails with both shapes otherwise.
pub(crate) fn alike(y_true: &Tensor, y_pred: &Tensor) -> Result<(Tensor, Tensor)> {
    let (y, p) = same_rank(y_true, y_pred)?;
    let p = floats(&p)?;
    let y = y.cast(p.dtype()?);
    if y.shape()? != p.shape()? && y.shape()?.broadcast(p.shape()?).is_err() {
        return Err(Error::shape(format!(
            "labels of shape {} and predictions of shape {} do not fit each other",
            y_true.shape()?,
            y_pred.shape()?
        )));
    }
    Ok((y, p))
}

/// In `float32`, as Keras' losses and metrics compute: half floats are too coarse for logarithms and squares.
pub(crate) fn floats(x: &Tensor) -> Result<Tensor> {
    x.dtype().map(|_| x.cast(DType::F32))
}

/// Values and weights of one rank, ready to be multiplied. A weight stands for a sample, for a value, or for whatever it
/// broadcasts to.
pub(crate) fn weights_for(values: &Tensor, weight: &Tensor) -> Result<(Tensor, Tensor)> {
    let weight = weight.cast(values.dtype()?);
    let (values, mut weight) = same_rank(values, &weight)?;
    let (have, wanted) = (weight.shape()?.clone(), values.shape()?.clone());
    if have.rank() < wanted.rank() && wanted.starts_with(&have) {
        let aligned: Shape = have.iter().copied().chain(wanted.iter().skip(have.rank()).map(|_| 1)).collect();
        weight = weight.reshape(aligned);
    }
    // One loss of the whole batch, weighed once for each weight.
    if wanted.rank() == 0 {
        return Ok((values, weight));
    }
    match weight.shape()?.broadcast(&wanted) {
        Ok(shape) if shape == wanted => Ok((values, weight)),
        _ => Err(Error::shape(format!(
            "weights of shape {have} do not fit values of shape {wanted}: give one per sample, [{}], or one per value, {wanted}",
            wanted.first().copied().unwrap_or(1)
        ))),
    }
}
