//! Making tensors.

use super::{elementwise::scalar_of, record};
use crate::{
    array::Array,
    dtype::{DType, Element, Scalar},
    error::Error,
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
    /// `start, start + step, …` as far as before `stop`: `I32` if all three are whole numbers, else `F32`.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// assert_eq!(Tensor::arange_from(3i64, 9i64, 2i64).to_vec::<i32>()?, vec![3, 5, 7]);
    /// assert_eq!(Tensor::arange_from(1.0, 0.0, -0.25).to_vec::<f32>()?, vec![1.0, 0.75, 0.5, 0.25]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn arange_from(start: impl Into<Scalar>, stop: impl Into<Scalar>, step: impl Into<Scalar>) -> Tensor {
        let origin = Location::caller();
        let (start, stop, step) = (start.into(), stop.into(), step.into());
        record(origin, || {
            let count = ((stop.as_f64() - start.as_f64()) / step.as_f64()).ceil();
            if !count.is_finite() || count > f64::from(i32::MAX) {
                return Err(Error::argument(format!("arange: {start:?} to {stop:?} by {step:?} has no end")));
            }
            let whole = [start, stop, step].iter().all(|s| matches!(s, Scalar::Int(_)));
            let dtype = if whole { DType::I32 } else { DType::F32 };
            Ok(Tensor::iota(dtype, [count.max(0.0) as usize], 0) * step + start)
        })
    }
    /// `count` numbers from `start` to `stop`, both included, at equal distances, `F32`.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// assert_eq!(Tensor::linspace(0.0, 1.0, 5).to_vec::<f32>()?, vec![0.0, 0.25, 0.5, 0.75, 1.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn linspace(start: f64, stop: f64, count: usize) -> Tensor {
        let step = (stop - start) / count.saturating_sub(1).max(1) as f64;
        Tensor::iota(DType::F32, [count], 0) * step + start
    }
    /// `count` powers of `base`, `F32`, whose exponents lie at equal distances from `start` to `stop`, which is included or not.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// assert_eq!(Tensor::logspace(0.0, 2.0, 3, 10.0, true).to_vec::<f32>()?, vec![1.0, 10.0, 100.0]);
    /// assert_eq!(Tensor::logspace(0.0, 2.0, 2, 2.0, false).to_vec::<f32>()?, vec![1.0, 2.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn logspace(start: f64, stop: f64, count: usize, base: f64, endpoint: bool) -> Tensor {
        let steps = if endpoint { count.saturating_sub(1) } else { count }.max(1) as f64;
        let at = |i: usize| base.powf(start + (stop - start) * (i as f64 / steps));
        Tensor::from_vec((0..count).map(|i| at(i) as f32).collect::<Vec<_>>(), [count])
    }
    /// `count` numbers, `F32`, from `start` to `stop`, which is included or not, each the same multiple of the one before. Both
    /// ends have one sign and are not 0.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// assert_eq!(Tensor::geomspace(-1.0, -8.0, 4, true).to_vec::<f32>()?, vec![-1.0, -2.0, -4.0, -8.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn geomspace(start: f64, stop: f64, count: usize, endpoint: bool) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let (rise, steps) = (stop / start, if endpoint { count.saturating_sub(1) } else { count }.max(1));
            if !(rise > 0.0 && rise.is_finite()) {
                return Err(Error::argument(format!("geomspace: no factor leads from {start} to {stop}")));
            }
            let at = |i: usize| if i == steps { stop } else { start * rise.powf(i as f64 / steps as f64) };
            Ok(Tensor::from_vec((0..count).map(|i| at(i) as f32).collect::<Vec<_>>(), [count]))
        })
    }
    /// The identity matrix.
    #[track_caller]
    pub fn eye(n: usize) -> Tensor {
        let (row, column) = (Tensor::iota(DType::I32, [n, n], 0), Tensor::iota(DType::I32, [n, n], 1));
        row.equal(column).cast(DType::F32)
    }
}
