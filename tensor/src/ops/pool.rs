//! The 2-D pooling family, channels last.

use super::record;
use crate::{
    error::{Error, Result},
    graph::{Meta, Op, Origin, Pool2d, PoolKind, Tensor},
    shape::Shape,
};
use std::panic::Location;

impl Tensor {
    /// Largest of each window: `[n, h, w, c] -> [n, oh, ow, c]`. Gradients go to the first largest.
    #[track_caller]
    pub fn max_pool2d(&self, pool: Pool2d) -> Tensor {
        let origin = Location::caller();
        record(origin, || self.pooled(PoolKind::Max, pool, vec![], pooled_shape(&pool, self.shape()?)?, origin))
    }

    /// Mean of the existing cells of each window: `[n, h, w, c] -> [n, oh, ow, c]`.
    #[track_caller]
    pub fn avg_pool2d(&self, pool: Pool2d) -> Tensor {
        let origin = Location::caller();
        record(origin, || self.pooled(PoolKind::Avg, pool, vec![], pooled_shape(&pool, self.shape()?)?, origin))
    }

    /// Gradient of [`max_pool2d`](Tensor::max_pool2d) of `self`.
    #[track_caller]
    pub fn max_pool2d_grad(&self, dy: &Tensor, pool: Pool2d) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            same(&pooled_shape(&pool, self.shape()?)?, dy.shape()?)?;
            self.pooled(PoolKind::MaxGrad, pool, vec![dy.clone()], self.shape()?.clone(), origin)
        })
    }

    /// The elements of `values` that stand where the first largest element of `self` stands in each window.
    #[track_caller]
    pub fn max_pool2d_gather(&self, values: &Tensor, pool: Pool2d) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            same(self.shape()?, values.shape()?)?;
            let shape = pooled_shape(&pool, self.shape()?)?;
            self.pooled(PoolKind::MaxGather, pool, vec![values.clone()], shape, origin)
        })
    }

    /// Gradient of [`avg_pool2d`](Tensor::avg_pool2d) of an input of shape `input`: `self` is `dy`.
    #[track_caller]
    pub fn avg_pool2d_grad(&self, input: impl Into<Shape>, pool: Pool2d) -> Tensor {
        let (origin, shape) = (Location::caller(), input.into());
        record(origin, || {
            same(&pooled_shape(&pool, &shape)?, self.shape()?)?;
            self.pooled(PoolKind::AvgGrad(shape.clone()), pool, vec![], shape, origin)
        })
    }

    fn pooled(&self, kind: PoolKind, pool: Pool2d, rest: Vec<Tensor>, shape: Shape, origin: Origin) -> Result<Tensor> {
        let dtype = self.dtype()?;
        if !dtype.is_float() || rest.iter().any(|t| t.dtype().is_ok_and(|d| d != dtype)) {
            return Err(Error::dtype(format!("2-D pooling needs floats of one type, got {dtype}")));
        }
        let inputs = std::iter::once(self.clone()).chain(rest).collect();
        Ok(Tensor::record_one(Op::Pool2d(kind, pool), inputs, Meta { shape, dtype }, origin))
    }
}

fn pooled_shape(pool: &Pool2d, x: &Shape) -> Result<Shape> {
    let &[n, h, w, c] = x.dims() else {
        return Err(Error::shape(format!("2-D pooling needs [n, h, w, c], got shape {x}")));
    };
    if pool.window.contains(&0) || pool.strides.contains(&0) {
        return Err(Error::argument(format!("pool size and strides are at least 1, got {pool:?}")));
    }
    let (oh, ow) = (pool.output_len(0, h), pool.output_len(1, w));
    let padded_only = (0..2).any(|i| pool.pads[i].0 >= pool.window[i] || pool.pads[i].1 >= pool.window[i]);
    if oh == 0 || ow == 0 || padded_only {
        return Err(Error::shape(format!(
            "2-D pooling: the window {:?} does not fit the image {h}x{w} with pads {:?}",
            pool.window, pool.pads
        )));
    }
    Ok([n, oh, ow, c].into())
}

fn same(expected: &Shape, got: &Shape) -> Result<()> {
    match expected == got {
        true => Ok(()),
        false => Err(Error::shape(format!("2-D pooling: expected shape {expected}, got {got}"))),
    }
}
