//! Writing into tensors: at coordinates, and into a box.

use super::{index::whole_numbers, record};
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::Tensor,
    shape::Shape,
};
use std::panic::Location;

/// What becomes of an element that is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// The last value written takes its place.
    Replace,
    /// The values are added to it.
    Add,
    /// The largest of it and the values.
    Max,
    /// The smallest of it and the values.
    Min,
    /// It is multiplied by the values.
    Mul,
}

impl Tensor {
    /// Zeros of shape `[s0, s1, ..]` to which the values are added at coordinates: `indices [.., d]`, integers, name the first `d`
    /// coordinates of a part of the result each; `self` holds these parts, `[.., sd, ..]`. Negative coordinates count from the end;
    /// what is out of range is left out.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let at = Tensor::from_vec([0, 1, 1, 0, 0, 1], [3, 2]);
    /// let y = Tensor::from_vec([1.0f32, 2.0, 4.0], [3]).scatter(&at, [2, 2]);
    /// assert_eq!(y.to_vec::<f32>()?, vec![0.0, 5.0, 2.0, 0.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn scatter(&self, indices: &Tensor, shape: impl Into<Shape>) -> Tensor {
        let (origin, shape) = (Location::caller(), shape.into());
        record(origin, || {
            let Places { at, values, slots } = places("scatter", indices, self, &shape)?;
            Ok(values.scatter_add(&at, 0, slots).reshape(shape.clone()))
        })
    }

    /// `self` with `updates` written at coordinates, see [`scatter`](Tensor::scatter). With [`Combine::Max`], [`Combine::Min`] and
    /// [`Combine::Mul`] every element looks at every update.
    ///
    /// ```
    /// use addax_tensor::{Tensor, ops::Combine};
    /// let x = Tensor::from_vec([1, 2, 3], [3]);
    /// let (at, new) = (Tensor::from_vec([2, 0, 2], [3, 1]), Tensor::from_vec([7, 8, 9], [3]));
    /// assert_eq!(x.scatter_update(&at, &new, Combine::Replace).to_vec::<i32>()?, vec![8, 2, 9]);
    /// assert_eq!(x.scatter_update(&at, &new, Combine::Add).to_vec::<i32>()?, vec![9, 2, 19]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn scatter_update(&self, indices: &Tensor, updates: &Tensor, combine: Combine) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let shape = self.shape()?;
            let updates = updates.cast_at(self.dtype()?, origin);
            let Places { at, values, slots } = places("scatter_update", indices, &updates, shape)?;
            let [count, width] = values.dims()?;
            let rows = self.reshape([slots, width]);
            let written = match combine {
                Combine::Replace => {
                    // The number of the last update of each slot.
                    let none = Tensor::full(DType::I32, [slots], -1i64);
                    let last = none.put_along_axis(&at, &Tensor::arange(count), 0);
                    let there = last.greater_equal(0i64).expand_dims(-1);
                    there.select(values.gather(&last, 0), rows)
                }
                Combine::Add => rows + values.scatter_add(&at, 0, slots),
                Combine::Max => rows.maximum(values.segment_max(&at, slots)),
                Combine::Min => rows.minimum(values.segment_min(&at, slots)),
                Combine::Mul => rows * values.segment_prod(&at, slots),
            };
            Ok(written.reshape(shape.clone()))
        })
    }

    /// `self` with `updates`, which has as many axes, in the place of the box that begins at `start`.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::zeros([2, 3]).slice_update([1, 1], &Tensor::ones([1, 2]));
    /// assert_eq!(x.to_vec::<f32>()?, vec![0.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn slice_update(&self, start: impl AsRef<[usize]>, updates: &Tensor) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let (shape, part, start) = (self.shape()?, updates.shape()?, start.as_ref());
            let fits = part.rank() == shape.rank() && start.len() == shape.rank();
            if !fits || (0..start.len()).any(|i| start[i] + part[i] > shape[i]) {
                return Err(Error::shape(format!(
                    "slice_update: a box of {part} at {start:?} does not fit shape {shape}"
                )));
            }
            let pads: Vec<_> = (0..start.len()).map(|i| (start[i], shape[i] - start[i] - part[i])).collect();
            let inside = Tensor::full(DType::Bool, part, true).pad(pads.clone(), false);
            Ok(inside.select(updates.cast_at(self.dtype()?, origin).pad(pads, 0i64), self))
        })
    }
}

/// Where values go among the slots of a result: as rows.
struct Places {
    /// The slot of each row, -1 for none.
    at: Tensor,
    /// `[rows, width]`.
    values: Tensor,
    slots: usize,
}

fn places(what: &str, indices: &Tensor, values: &Tensor, shape: &Shape) -> Result<Places> {
    let (at, given) = (indices.shape()?, values.shape()?);
    let wrong = || {
        Error::shape(format!(
            "{what}: indices {at} and values {given} do not fit a result of {shape}; they are [.., d] and [.., rest]"
        ))
    };
    let [rows @ .., depth] = at.dims() else { return Err(wrong()) };
    if *depth == 0 || *depth > shape.rank() || !rows.iter().chain(&shape[*depth..]).eq(given.iter()) {
        return Err(wrong());
    }
    let (count, width): (usize, usize) = (rows.iter().product(), shape[*depth..].iter().product());
    let slots: usize = shape[..*depth].iter().product();
    let coordinates = whole_numbers(indices)?.reshape([count, *depth]);
    let mut place = Tensor::full(DType::I32, [count], 0i64);
    let mut there = Tensor::full(DType::Bool, [count], true);
    for (axis, &n) in shape[..*depth].iter().enumerate() {
        let given = coordinates.slice(1, axis..axis + 1).squeeze(1);
        let from_start = given.less(0i64).select(&given + n as i64, &given);
        there = there.logical_and(from_start.greater_equal(0i64)).logical_and(from_start.less(n as i64));
        place = place * n as i64 + from_start;
    }
    Ok(Places { at: there.select(place, -1i64), values: values.reshape([count, width]), slots })
}
