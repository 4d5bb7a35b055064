//! Running folds, sorting, and choosing elements: every line along an axis for itself.

use super::{index::whole_numbers, record};
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::{Cumulate, CumulateOp, LineKind, Meta, Op, Origin, Tensor},
    shape::Shape,
};
use std::panic::Location;

impl Tensor {
    /// Running fold along `axis`: the shape stays. `Bool` counts as `I32`.
    #[track_caller]
    pub fn cumulate(&self, how: Cumulate, axis: isize) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let x = if self.dtype()? == DType::Bool { self.cast_at(DType::I32, origin) } else { self.clone() };
            let meta = x.meta()?.clone();
            let axis = meta.shape.axis(axis)?;
            Ok(Tensor::record_one(Op::Line(LineKind::Cumulate(how), axis), vec![x], meta, origin))
        })
    }

    /// Running log of the sum of exponentials along `axis`, without overflow: `y[i] = log Σ_{j ≤ i} e^x[j]`.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1000.0f32, 1000.0], [2]);
    /// let y = x.logcumsumexp(0).to_vec::<f32>()?;
    /// assert!(y[0] == 1000.0 && (y[1] - 1000.693).abs() < 1e-3);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn logcumsumexp(&self, axis: isize) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let mut y = if self.dtype()?.is_float() { self.clone() } else { self.cast_at(DType::F32, origin) };
            let n = self.shape()?[self.shape()?.axis(axis)?];
            // Each turn doubles how far back an element reaches.
            let mut reach = 1;
            while reach < n {
                let (late, early) = (y.slice(axis, reach..), y.slice(axis, ..n - reach));
                y = Tensor::concat(&[y.slice(axis, ..reach), late.logaddexp(&early)], axis);
                reach *= 2;
            }
            Ok(y)
        })
    }

    /// Where the elements of the sorted lines along `axis` stand, as `I32`: equal elements keep their order, NaN comes last
    /// in either direction. The shape stays.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([2.0f32, 1.0, 2.0], [3]);
    /// assert_eq!(x.argsort(0, false).to_vec::<i32>()?, vec![1, 0, 2]);
    /// assert_eq!(x.argsort(0, true).to_vec::<i32>()?, vec![0, 2, 1]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn argsort(&self, axis: isize, descending: bool) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let shape = self.shape()?.clone();
            let axis = shape.axis(axis)?;
            if i32::try_from(shape[axis]).is_err() {
                return Err(Error::shape(format!("argsort counts positions in int32, got an axis of {}", shape[axis])));
            }
            let meta = Meta { shape, dtype: DType::I32 };
            Ok(Tensor::record_one(Op::Line(LineKind::ArgSort { descending }, axis), vec![self.clone()], meta, origin))
        })
    }

    /// The elements of each line along `axis` in order, NaN last in either direction. Gradients go back to where they came from.
    #[track_caller]
    pub fn sort(&self, axis: isize, descending: bool) -> Tensor {
        self.take_along_axis(&self.argsort(axis, descending), axis)
    }

    /// The `k` largest elements along the last axis, largest first, and where they stand (`I32`): two tensors `[.., k]`. Of
    /// equal elements the first counts first; NaN counts as smallest.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([3.0f32, 1.0, 5.0, 5.0], [4]);
    /// let (values, indices) = x.top_k(3);
    /// assert_eq!(values.to_vec::<f32>()?, vec![5.0, 5.0, 3.0]);
    /// assert_eq!(indices.to_vec::<i32>()?, vec![2, 3, 0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn top_k(&self, k: usize) -> (Tensor, Tensor) {
        let origin = Location::caller();
        let indices = record(origin, || {
            let shape = self.shape()?;
            let n = shape[shape.axis(-1)?];
            if k > n {
                return Err(Error::argument(format!("top_k: {k} elements of a last axis of {n} in shape {shape}")));
            }
            Ok(self.argsort(-1, true).slice(-1, ..k))
        });
        (self.take_along_axis(&indices, -1), indices)
    }

    /// `y[.., i, ..] = self[.., indices[.., i, ..], ..]`: an element of the same line for each index. Axes other than `axis`
    /// broadcast. An index out of range (negative ones too) gives 0.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1.0f32, 2.0, 3.0, 4.0], [2, 2]);
    /// let at = Tensor::from_vec([1, 0], [2, 1]);
    /// assert_eq!(x.take_along_axis(&at, 1).to_vec::<f32>()?, vec![2.0, 3.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn take_along_axis(&self, indices: &Tensor, axis: isize) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let (data, indices, axis) = self.lines_with(indices, axis, "take_along_axis", origin)?;
            let meta = Meta { shape: indices.shape()?.clone(), dtype: data.dtype()? };
            Ok(Tensor::record_one(Op::Line(LineKind::Take, axis), vec![data, indices], meta, origin))
        })
    }

    /// Zeros with length `len` along `axis`, to which the elements of `self` are added at `indices` of the same line: the
    /// counterpart of [`take_along_axis`](Tensor::take_along_axis). `indices` has the shape of `self` (axes other than `axis`
    /// broadcast); indices out of range are left out.
    #[track_caller]
    pub fn add_along_axis(&self, indices: &Tensor, axis: isize, len: usize) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let (updates, indices, axis) = self.lines_with(indices, axis, "add_along_axis", origin)?;
            let updates = if updates.dtype()? == DType::Bool { updates.cast_at(DType::I32, origin) } else { updates };
            let mut meta = updates.meta()?.clone();
            if indices.shape()? != &meta.shape {
                let (want, got) = (&meta.shape, indices.shape()?);
                return Err(Error::shape(format!("add_along_axis: one index for each element of {want}, got {got}")));
            }
            meta.shape = meta.shape.iter().enumerate().map(|(a, &n)| if a == axis { len } else { n }).collect();
            Ok(Tensor::record_one(Op::Line(LineKind::Add, axis), vec![indices, updates], meta, origin))
        })
    }

    /// `self` with `values` in the place of the elements at `indices` along `axis`: `indices` and `values` have one shape, equal
    /// to that of `self` but for `axis`. Where an index occurs more than once, the last one counts. Indices out of range are
    /// left out.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::zeros([2, 3]);
    /// let at = Tensor::from_vec([2, 0], [2, 1]);
    /// let y = x.put_along_axis(&at, &Tensor::from_vec([5.0f32, 6.0], [2, 1]), 1);
    /// assert_eq!(y.to_vec::<f32>()?, vec![0.0, 0.0, 5.0, 6.0, 0.0, 0.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn put_along_axis(&self, indices: &Tensor, values: &Tensor, axis: isize) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let (data, indices, at) = self.lines_with(indices, axis, "put_along_axis", origin)?;
            let values = values.cast_at(data.dtype()?, origin).broadcast_to(indices.shape()?);
            let (shape, count) = (data.shape()?, indices.shape()?[at]);
            // Sorted, equal indices are neighbours in their order: all but the last of each run are dropped.
            let order = indices.argsort(axis, false);
            let sorted = indices.take_along_axis(&order, axis);
            let last = match count {
                0 | 1 => sorted.full_like(1).cast(DType::Bool),
                _ => {
                    let differs = sorted.slice(axis, 1..).not_equal(sorted.slice(axis, ..count - 1));
                    let end = sorted.slice(axis, count - 1..).full_like(1).cast(DType::Bool);
                    Tensor::concat(&[differs, end], axis)
                }
            };
            let kept = last.select(&sorted, -1);
            let len = shape[at];
            let taken = kept.full_like(1).add_along_axis(&kept, axis, len).greater(0);
            let put = values.take_along_axis(&order, axis).add_along_axis(&kept, axis, len);
            let put = put.cast_at(data.dtype()?, origin);
            Ok(taken.select(put, data))
        })
    }

    /// `self` and `indices` with equal axes but for `axis`.
    fn lines_with(&self, indices: &Tensor, axis: isize, name: &str, origin: Origin) -> Result<(Tensor, Tensor, usize)> {
        let indices = whole_numbers(indices)?;
        let (shape, at) = (self.shape()?, indices.shape()?);
        let axis = shape.axis(axis)?;
        let without = |s: &Shape| s.iter().enumerate().map(|(a, &n)| if a == axis { 1 } else { n }).collect::<Shape>();
        let with = |s: &Shape, n: usize| s.iter().enumerate().map(|(a, &m)| if a == axis { n } else { m }).collect();
        let wrong =
            || Error::shape(format!("{name} along axis {axis}: shapes {shape} and {at} of the indices do not fit"));
        if shape.rank() != at.rank() {
            return Err(wrong());
        }
        let common = without(shape).broadcast(&without(at)).map_err(|_| wrong())?;
        let data = self.broadcast_at(&with(&common, shape[axis]), origin);
        let indices = indices.broadcast_at(&with(&common, at[axis]), origin);
        Ok((data, indices, axis))
    }
}

macro_rules! cumulate_methods {
    ($($(#[$doc:meta])* $method:ident => $op:ident),* $(,)?) => {
        impl Tensor {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(&self, axis: isize) -> Tensor {
                self.cumulate(Cumulate::new(CumulateOp::$op), axis)
            }
        )*}
    };
}
cumulate_methods! {
    /// Running sum along `axis`: `y[i] = x[0] + … + x[i]`.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1.0f32, 2.0, 3.0], [3]);
    /// assert_eq!(x.cumsum(0).to_vec::<f32>()?, vec![1.0, 3.0, 6.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    cumsum => Sum,
    /// Running product along `axis`. Its gradient is right at zeros too.
    cumprod => Prod,
    /// Largest so far along `axis`; gradients go to the first element that was as large. NaN from the first NaN on.
    cummax => Max,
    /// Smallest so far along `axis`; gradients go to the first element that was as small. NaN from the first NaN on.
    cummin => Min,
}

impl Cumulate {
    /// From the first element to the last, which counts in its own result.
    pub fn new(op: CumulateOp) -> Self {
        Cumulate { op, reverse: false, exclusive: false }
    }
}
