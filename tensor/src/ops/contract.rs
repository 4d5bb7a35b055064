//! Matrix products.

use super::record;
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::{MatMul, Meta, Op, Origin, Tensor},
    shape::Shape,
};
use std::panic::Location;

impl Tensor {
    /// Matrix product over the last two axes, batch axes broadcast: `[.., m, k] · [.., k, n] -> [.., m, n]`.
    /// Sums are accumulated in `F32`. A vector on either side counts as a matrix with one row (left) or column (right).
    #[track_caller]
    pub fn matmul(&self, other: &Tensor) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let (a, b) = (self.shape()?, other.shape()?);
            match (a.rank(), b.rank()) {
                (0, _) | (_, 0) => Err(Error::shape(format!("matmul needs axes on both sides, got {a} and {b}"))),
                (1, 1) => {
                    Ok(self.expand_dims(0).matmul_at(&other.expand_dims(1), MatMul::default(), origin)?.reshape(()))
                }
                (1, _) => Ok(self.expand_dims(0).matmul_at(other, MatMul::default(), origin)?.squeeze(-2)),
                (_, 1) => Ok(self.matmul_at(&other.expand_dims(1), MatMul::default(), origin)?.squeeze(-1)),
                _ => self.matmul_at(other, MatMul::default(), origin),
            }
        })
    }

    /// Matrix product with either operand stored transposed (see [`MatMul`]); both have at least two axes.
    #[track_caller]
    pub fn matmul_with(&self, other: &Tensor, how: MatMul) -> Tensor {
        let origin = Location::caller();
        record(origin, || self.matmul_at(other, how, origin))
    }

    fn matmul_at(&self, other: &Tensor, how: MatMul, origin: Origin) -> Result<Tensor> {
        let (sa, sb) = (self.shape()?.clone(), other.shape()?.clone());
        let matrix = |s: &Shape, transposed: bool| match s.dims() {
            [batch @ .., r, c] if transposed => Some((Shape::from(batch), *c, *r)),
            [batch @ .., r, c] => Some((Shape::from(batch), *r, *c)),
            _ => None,
        };
        let wrong = || Error::shape(format!("matmul: shapes {sa} and {sb} do not fit"));
        let (batch_a, m, k) = matrix(&sa, how.transpose_a).ok_or_else(wrong)?;
        let (batch_b, k_b, n) = matrix(&sb, how.transpose_b).ok_or_else(wrong)?;
        if k != k_b {
            return Err(Error::shape(format!("matmul: {sa} has {k} columns to contract, {sb} has {k_b} rows")));
        }
        let batch = batch_a.broadcast(&batch_b).map_err(|_| wrong())?;
        let dtype = match self.dtype()?.promote(other.dtype()?) {
            float if float.is_float() => float,
            _ => DType::F32,
        };
        let with = |tail: &[usize]| batch.iter().chain(tail).copied().collect::<Shape>();
        let tail = |s: &Shape| s[s.rank() - 2..].to_vec();
        let a = self.cast_at(dtype, origin).broadcast_at(&with(&tail(&sa)), origin);
        let b = other.cast_at(dtype, origin).broadcast_at(&with(&tail(&sb)), origin);
        let meta = Meta { shape: with(&[m, n]), dtype };
        Ok(Tensor::record_one(Op::MatMul(how), vec![a, b], meta, origin))
    }
}
