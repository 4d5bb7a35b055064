//! Reductions over slices that share a number.

use super::{index::whole_numbers, record};
use crate::{
    dtype::{DType, Scalar},
    error::{Error, Result},
    graph::Tensor,
};
use std::panic::Location;

impl Tensor {
    /// Sums of the slices along axis 0 that have the same one of `ids` (a vector of integers): `[n, ..], [n] -> [segments, ..]`.
    /// Slices whose id is not below `segments` are left out; a segment without slices is 0.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1.0f32, 2.0, 4.0], [3]);
    /// let ids = Tensor::from_vec([0, 2, 0], [3]);
    /// assert_eq!(x.segment_sum(&ids, 3).to_vec::<f32>()?, vec![5.0, 0.0, 2.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn segment_sum(&self, ids: &Tensor, segments: usize) -> Tensor {
        self.scatter_add(ids, 0, segments)
    }

    /// The product of each segment, see [`segment_sum`](Tensor::segment_sum); 1 for a segment without slices. Every segment looks at
    /// every slice.
    #[track_caller]
    pub fn segment_prod(&self, ids: &Tensor, segments: usize) -> Tensor {
        record(Location::caller(), || Ok(in_segments(self, ids, segments, Scalar::from(1i64))?.prod(1)))
    }

    /// The largest element of each segment, see [`segment_sum`](Tensor::segment_sum). A segment without slices is the smallest number
    /// of the type, `-∞` for floats. Every segment looks at every slice.
    #[track_caller]
    pub fn segment_max(&self, ids: &Tensor, segments: usize) -> Tensor {
        record(Location::caller(), || {
            let lowest = match self.dtype()? {
                DType::I32 => Scalar::from(i32::MIN),
                float if float.is_float() => Scalar::from(f64::NEG_INFINITY),
                _ => Scalar::from(0i64),
            };
            Ok(in_segments(self, ids, segments, lowest)?.max(1))
        })
    }

    /// The smallest element of each segment, see [`segment_sum`](Tensor::segment_sum). A segment without slices is the largest number
    /// of the type, `∞` for floats. Every segment looks at every slice.
    #[track_caller]
    pub fn segment_min(&self, ids: &Tensor, segments: usize) -> Tensor {
        record(Location::caller(), || {
            let highest = match self.dtype()? {
                DType::I32 => Scalar::from(i32::MAX),
                DType::U32 => Scalar::from(u32::MAX),
                DType::U8 => Scalar::from(255i64),
                float if float.is_float() => Scalar::from(f64::INFINITY),
                _ => Scalar::from(1i64),
            };
            Ok(in_segments(self, ids, segments, highest)?.min(1))
        })
    }
}

/// `[segments, n, ..]`: the slices of each segment, `other` in place of those of other segments.
fn in_segments(x: &Tensor, ids: &Tensor, segments: usize, other: Scalar) -> Result<Tensor> {
    let ([n], shape) = (ids.dims()?, x.shape()?);
    if shape.first() != Some(&n) {
        return Err(Error::shape(format!("{n} segment ids do not fit the first axis of shape {shape}")));
    }
    let mut mask = vec![1; shape.rank() + 1];
    (mask[0], mask[1]) = (segments, n);
    let own = whole_numbers(ids)?.expand_dims(0).equal(Tensor::iota(DType::I32, [segments, n], 0));
    Ok(own.reshape(mask).select(x.expand_dims(0), x.full_like(other).expand_dims(0)))
}
