//! Reductions over axes. Reduced axes vanish, or stay with length 1 (`…_keepdims`).

use super::record;
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::{Meta, Op, Origin, ReduceOp, Tensor},
    shape::{Axes, Shape},
};
use std::panic::Location;

impl Tensor {
    /// Applies a reduction primitive over `axes`. `ArgMax` and `ArgMin` take exactly one axis and give `I32`.
    #[track_caller]
    pub fn reduce(&self, op: ReduceOp, axes: impl Into<Axes>) -> Tensor {
        let origin = Location::caller();
        let axes = axes.into();
        record(origin, || self.reduce_at(op, &axes, false, origin))
    }

    pub(crate) fn reduce_at(&self, op: ReduceOp, axes: &Axes, keepdims: bool, origin: Origin) -> Result<Tensor> {
        let dtype = self.dtype()?;
        let logical = matches!(op, ReduceOp::Any | ReduceOp::All);
        let truths = op.of_truths().filter(|_| dtype == DType::Bool);
        let x = match (op.accepts(dtype) || truths.is_some(), logical) {
            (true, _) => self.clone(),
            (false, true) => self.cast_at(DType::Bool, origin),
            (false, false) => self.cast_at(DType::I32, origin),
        };
        let shape = x.shape()?.clone();
        let axes = axes.resolve(&shape)?;
        let argument = matches!(op, ReduceOp::ArgMax | ReduceOp::ArgMin);
        if argument && axes.len() != 1 {
            return Err(Error::shape(format!("{} needs one axis, got {}", op.name(), axes.len())));
        }
        let identityless = argument || matches!(op, ReduceOp::Max | ReduceOp::Min);
        if identityless && axes.iter().any(|&a| shape[a] == 0) {
            return Err(Error::shape(format!("{} of an empty axis of shape {shape} has no value", op.name())));
        }
        let op = truths.unwrap_or(op);
        let kept: Shape = (0..shape.rank()).filter(|a| !axes.contains(a)).map(|a| shape[a]).collect();
        let with_ones: Shape = (0..shape.rank()).map(|a| if axes.contains(&a) { 1 } else { shape[a] }).collect();
        let reduced = match axes.is_empty() {
            true => x,
            false => {
                let dtype = if argument { DType::I32 } else { x.dtype()? };
                Tensor::record_one(Op::Reduce(op, axes), vec![x], Meta { shape: kept, dtype }, origin)
            }
        };
        Ok(if keepdims { reduced.reshape(with_ones) } else { reduced })
    }

    /// Mean over `axes`, in the default float for integers.
    #[track_caller]
    pub fn mean(&self, axes: impl Into<Axes>) -> Tensor {
        self.mean_at(&axes.into(), false, Location::caller())
    }
    /// Mean over `axes`, which stay with length 1.
    #[track_caller]
    pub fn mean_keepdims(&self, axes: impl Into<Axes>) -> Tensor {
        self.mean_at(&axes.into(), true, Location::caller())
    }
    fn mean_at(&self, axes: &Axes, keepdims: bool, origin: Origin) -> Tensor {
        record(origin, || {
            let x = if self.dtype()?.is_float() { self.clone() } else { self.cast_at(DType::F32, origin) };
            let shape = x.shape()?;
            let count: usize = axes.resolve(shape)?.iter().map(|&a| shape[a]).product();
            Ok(x.reduce_at(ReduceOp::Sum, axes, keepdims, origin)? * (1.0 / count as f64))
        })
    }
    /// Sum of all elements, as a scalar.
    #[track_caller]
    pub fn sum_all(&self) -> Tensor {
        self.sum(..)
    }
    /// Mean of all elements, as a scalar.
    #[track_caller]
    pub fn mean_all(&self) -> Tensor {
        self.mean(..)
    }
    /// Position of the first largest element along `axis`, as `I32`.
    #[track_caller]
    pub fn argmax(&self, axis: isize) -> Tensor {
        self.reduce(ReduceOp::ArgMax, axis)
    }
    /// Position of the first smallest element along `axis`, as `I32`.
    #[track_caller]
    pub fn argmin(&self, axis: isize) -> Tensor {
        self.reduce(ReduceOp::ArgMin, axis)
    }
    /// `log Σ e^x` over `axes`, without overflow.
    #[track_caller]
    pub fn logsumexp(&self, axes: impl Into<Axes>) -> Tensor {
        let origin = Location::caller();
        let axes = axes.into();
        record(origin, || {
            let top = self.reduce_at(ReduceOp::Max, &axes, true, origin)?.stop_gradient();
            let sum = (self - &top).exp().reduce_at(ReduceOp::Sum, &axes, false, origin)?;
            let shape = sum.shape()?.clone();
            Ok(sum.log() + top.reshape(shape))
        })
    }
}

macro_rules! reduce_methods {
    ($($(#[$doc:meta])* $method:ident, $keep:ident => $op:ident),* $(,)?) => {
        impl Tensor {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(&self, axes: impl Into<Axes>) -> Tensor {
                let (origin, axes) = (Location::caller(), axes.into());
                record(origin, || self.reduce_at(ReduceOp::$op, &axes, false, origin))
            }
            $(#[$doc])*
            /// The reduced axes stay with length 1.
            #[track_caller]
            pub fn $keep(&self, axes: impl Into<Axes>) -> Tensor {
                let (origin, axes) = (Location::caller(), axes.into());
                record(origin, || self.reduce_at(ReduceOp::$op, &axes, true, origin))
            }
        )*}
    };
}
reduce_methods! {
    /// Sum over `axes`: one (`-1`), several (`[0, 2]`) or all (`..`).
    sum, sum_keepdims => Sum,
    /// Product over `axes`.
    prod, prod_keepdims => Prod,
    /// Largest over `axes`; gradients of ties are shared evenly. Of `Bool`, whether any is true.
    max, max_keepdims => Max,
    /// Smallest over `axes`; gradients of ties are shared evenly. Of `Bool`, whether all are true.
    min, min_keepdims => Min,
    /// Whether any element is true (non-zero).
    any, any_keepdims => Any,
    /// Whether all elements are true (non-zero).
    all, all_keepdims => All,
}
