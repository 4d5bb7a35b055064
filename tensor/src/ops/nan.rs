//! Reductions that leave out what is not a number. Integers have none and are reduced as they are.

use super::record;
use crate::{dtype::DType, graph::Tensor, shape::Axes};
use std::panic::Location;

impl Tensor {
    /// Sum over `axes` of the elements that are numbers; 0 where there is none.
    #[track_caller]
    pub fn nansum(&self, axes: impl Into<Axes>) -> Tensor {
        let axes = axes.into();
        record(Location::caller(), || Ok(self.without_nan(0.0).sum(axes)))
    }

    /// Product over `axes` of the elements that are numbers; 1 where there is none.
    #[track_caller]
    pub fn nanprod(&self, axes: impl Into<Axes>) -> Tensor {
        let axes = axes.into();
        record(Location::caller(), || Ok(self.without_nan(1.0).prod(axes)))
    }

    /// Largest over `axes` of the elements that are numbers; NaN where there is none.
    #[track_caller]
    pub fn nanmax(&self, axes: impl Into<Axes>) -> Tensor {
        let axes = axes.into();
        record(Location::caller(), || {
            let top = self.without_nan(f64::NEG_INFINITY).max(axes.clone());
            Ok(self.nan_where_none(top, axes))
        })
    }

    /// Smallest over `axes` of the elements that are numbers; NaN where there is none.
    #[track_caller]
    pub fn nanmin(&self, axes: impl Into<Axes>) -> Tensor {
        let axes = axes.into();
        record(Location::caller(), || {
            let bottom = self.without_nan(f64::INFINITY).min(axes.clone());
            Ok(self.nan_where_none(bottom, axes))
        })
    }

    /// Mean over `axes` of the elements that are numbers; NaN where there is none.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1.0f32, f32::NAN, 4.0], [3]);
    /// assert_eq!(x.nanmean(..).item::<f32>()?, 2.5);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn nanmean(&self, axes: impl Into<Axes>) -> Tensor {
        let axes = axes.into();
        record(Location::caller(), || {
            let x = self.floats()?;
            let count = x.is_nan().logical_not().cast(x.dtype()?).sum(axes.clone());
            Ok(x.without_nan(0.0).sum(axes) / count)
        })
    }

    /// Mean squared distance from the [mean](Tensor::nanmean) over `axes` of the elements that are numbers; NaN where there is none.
    #[track_caller]
    pub fn nanvar(&self, axes: impl Into<Axes>) -> Tensor {
        let axes = axes.into();
        record(Location::caller(), || {
            let x = self.floats()?;
            let there = x.is_nan().logical_not().cast(x.dtype()?);
            let x = x.without_nan(0.0);
            let mean = x.sum_keepdims(axes.clone()) / there.sum_keepdims(axes.clone());
            Ok(((x - mean) * &there).square().sum(axes.clone()) / there.sum(axes))
        })
    }

    /// Root of the [`nanvar`](Tensor::nanvar).
    #[track_caller]
    pub fn nanstd(&self, axes: impl Into<Axes>) -> Tensor {
        self.nanvar(axes).sqrt()
    }

    /// Running sum along `axis`, in which NaN counts as 0.
    #[track_caller]
    pub fn nancumsum(&self, axis: isize) -> Tensor {
        record(Location::caller(), || Ok(self.without_nan(0.0).cumsum(axis)))
    }

    /// Running product along `axis`, in which NaN counts as 1.
    #[track_caller]
    pub fn nancumprod(&self, axis: isize) -> Tensor {
        record(Location::caller(), || Ok(self.without_nan(1.0).cumprod(axis)))
    }

    /// Position along `axis` of the first largest element that is a number, as `I32`; -1 where there is none.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([f32::NAN, 2.0, 3.0, f32::NAN, f32::NAN, f32::NAN], [2, 3]);
    /// assert_eq!(x.nanargmax(1).to_vec::<i32>()?, vec![2, -1]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn nanargmax(&self, axis: isize) -> Tensor {
        record(Location::caller(), || self.first_number(axis, true))
    }

    /// Position along `axis` of the first smallest element that is a number, as `I32`; -1 where there is none.
    #[track_caller]
    pub fn nanargmin(&self, axis: isize) -> Tensor {
        record(Location::caller(), || self.first_number(axis, false))
    }

    fn first_number(&self, axis: isize, falling: bool) -> crate::error::Result<Tensor> {
        if !self.dtype()?.is_float() {
            return Ok(if falling { self.argmax(axis) } else { self.argmin(axis) });
        }
        // NaN equals nothing, so that an infinity beside it is found where it is.
        let best = match falling {
            true => self.without_nan(f64::NEG_INFINITY).max_keepdims(axis),
            false => self.without_nan(f64::INFINITY).min_keepdims(axis),
        };
        let first = self.equal(best).cast(DType::I32).argmax(axis);
        Ok(self.is_nan().all(axis).select(-1i64, first))
    }

    fn floats(&self) -> crate::error::Result<Tensor> {
        Ok(if self.dtype()?.is_float() { self.clone() } else { self.cast(DType::F32) })
    }

    pub(super) fn without_nan(&self, instead: f64) -> Tensor {
        match self.dtype() {
            Ok(dtype) if dtype.is_float() => self.is_nan().select(instead, self),
            _ => self.clone(),
        }
    }

    fn nan_where_none(&self, reduced: Tensor, axes: Axes) -> Tensor {
        match self.dtype() {
            Ok(dtype) if dtype.is_float() => self.is_nan().all(axes).select(f64::NAN, reduced),
            _ => reduced,
        }
    }
}
