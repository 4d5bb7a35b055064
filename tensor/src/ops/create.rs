//! Making tensors.

use super::{elementwise::scalar_of, record};
use crate::{
    array::Array,
    dtype::{DType, Element, Scalar},
    graph::{Meta, Op, Tensor, Value},
    shape::Shape,
};
use std::{panic::Location, sync::Arc};

impl Tensor {
    /// From elements in row-major order; a wrong number of them is an error node.
    #[track_caller]
    pub fn from_vec<T: Element>(values: impl AsRef<[T]>, shape: impl Into<Shape>) -> Tensor {
        let origin = Location::caller();
        record(origin, || Ok(Tensor::from_array(Array::new(shape, values.as_ref())?)))
    }
    /// From host data, without a copy.
    #[track_caller]
    pub fn from_array(array: impl Into<Arc<Array>>) -> Tensor {
        let array = array.into();
        let meta = Meta { shape: array.shape().clone(), dtype: array.dtype() };
        Tensor::leaf(Value::Host(array), meta, false, Location::caller())
    }
    /// A number without axes.
    #[track_caller]
    pub fn scalar(value: impl Into<Scalar>) -> Tensor {
        let value = value.into();
        scalar_of(value, value.dtype(), Location::caller())
    }
    /// `value` everywhere.
    #[track_caller]
    pub fn full(dtype: DType, shape: impl Into<Shape>, value: impl Into<Scalar>) -> Tensor {
        let origin = Location::caller();
        scalar_of(value.into(), dtype, origin).broadcast_at(&shape.into(), origin)
    }
    /// `F32` zeros.
    #[track_caller]
    pub fn zeros(shape: impl Into<Shape>) -> Tensor {
        Tensor::full(DType::F32, shape, 0.0)
    }
    /// `F32` ones.
    #[track_caller]
    pub fn ones(shape: impl Into<Shape>) -> Tensor {
        Tensor::full(DType::F32, shape, 1.0)
    }
    /// Zeros with the shape and type of `self`.
    #[track_caller]
    pub fn zeros_like(&self) -> Tensor {
        self.full_like(0)
    }
    /// Ones with the shape and type of `self`.
    #[track_caller]
    pub fn ones_like(&self) -> Tensor {
        self.full_like(1)
    }
    /// `value` with the shape and type of `self`.
    #[track_caller]
    pub fn full_like(&self, value: impl Into<Scalar>) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let meta = self.meta()?;
            Ok(scalar_of(value.into(), meta.dtype, origin).broadcast_at(&meta.shape, origin))
        })
    }
    /// The position along `axis`: 0, 1, 2, …
    #[track_caller]
    pub fn iota(dtype: DType, shape: impl Into<Shape>, axis: isize) -> Tensor {
        let (origin, shape) = (Location::caller(), shape.into());
        record(origin, || {
            let axis = shape.axis(axis)?;
            Ok(Tensor::record_one(Op::Iota(axis), Vec::new(), Meta { shape, dtype }, origin))
        })
    }
    /// `0, 1, …, n - 1` as `I32`.
    #[track_caller]
    pub fn arange(n: usize) -> Tensor {
        Tensor::iota(DType::I32, [n], 0)
    }
    /// The identity matrix.
    #[track_caller]
    pub fn eye(n: usize) -> Tensor {
        let (row, column) = (Tensor::iota(DType::I32, [n, n], 0), Tensor::iota(DType::I32, [n, n], 1));
        row.equal(column).cast(DType::F32)
    }
}
