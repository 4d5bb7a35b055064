//! Moving, repeating and cutting whole axes: composites of views, as NumPy names them.

use super::record;
use crate::{
    error::{Error, Result},
    graph::{Tensor, try_recorded_at},
    shape::Shape,
};
use std::panic::Location;

impl Tensor {
    /// Shifts the elements along `axis` by `shift` places, toward the end if positive; what leaves one end enters at the other.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1, 2, 3, 4], [4]);
    /// assert_eq!(x.roll(1, 0).to_vec::<i32>()?, vec![4, 1, 2, 3]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn roll(&self, shift: isize, axis: isize) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let shape = self.shape()?;
            let n = shape[shape.axis(axis)?];
            let by = shift.rem_euclid(n.max(1) as isize) as usize;
            match by {
                0 => Ok(self.clone()),
                _ => Ok(Tensor::concat(&[self.slice(axis, n - by..), self.slice(axis, ..n - by)], axis)),
            }
        })
    }

    /// The whole tensor repeated `reps[i]` times along axis `i`; a shorter list counts from the last axis, a longer one adds axes
    /// in front.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1, 2], [2]);
    /// assert_eq!(x.tile([2, 2]).to_vec::<i32>()?, vec![1, 2, 1, 2, 1, 2, 1, 2]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn tile(&self, reps: impl AsRef<[usize]>) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let (shape, reps) = (self.shape()?, reps.as_ref());
            let rank = shape.rank().max(reps.len());
            let at = |list: &[usize], i: usize| (i + list.len()).checked_sub(rank).map_or(1, |i| list[i]);
            let (mut split, mut wide, mut joined) = (Vec::new(), Vec::new(), Vec::new());
            for i in 0..rank {
                let (n, times) = (at(shape, i), at(reps, i));
                split.extend([1, n]);
                wide.extend([times, n]);
                joined.push(times * n);
            }
            Ok(self.reshape(split).broadcast_to(wide).reshape(joined))
        })
    }

    /// Every element along `axis` repeated `repeats` times in place.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1, 2], [2]);
    /// assert_eq!(x.repeat(2, 0).to_vec::<i32>()?, vec![1, 1, 2, 2]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn repeat(&self, repeats: usize, axis: isize) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let shape = self.shape()?;
            let axis = shape.axis(axis)?;
            let with = |tail: &[usize]| -> Shape {
                shape[..axis].iter().chain(tail).chain(&shape[axis + 1..]).copied().collect()
            };
            let n = shape[axis];
            Ok(self.reshape(with(&[n, 1])).broadcast_to(with(&[n, repeats])).reshape(with(&[n * repeats])))
        })
    }

    /// Parts of these lengths along `axis`, in order; together they are the whole axis.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1, 2, 3], [3]);
    /// let parts = x.split([1, 2], 0)?;
    /// assert_eq!(parts[1].to_vec::<i32>()?, vec![2, 3]);
    /// assert!(x.split([1, 1], 0).is_err());
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn split(&self, lengths: impl AsRef<[usize]>, axis: isize) -> Result<Vec<Tensor>> {
        let origin = Location::caller();
        let cut = || {
            let (shape, lengths) = (self.shape()?, lengths.as_ref());
            let n = shape[shape.axis(axis)?];
            if lengths.iter().sum::<usize>() != n {
                return Err(Error::shape(format!(
                    "split: lengths {lengths:?} do not add up to axis {axis} of shape {shape}"
                )));
            }
            let mut start = 0;
            Ok(lengths
                .iter()
                .map(|len| {
                    start += len;
                    self.slice(axis, start - len..start)
                })
                .collect())
        };
        try_recorded_at(origin, cut)
    }

    /// `sections` equal parts along `axis`.
    #[track_caller]
    pub fn split_evenly(&self, sections: usize, axis: isize) -> Result<Vec<Tensor>> {
        let origin = Location::caller();
        try_recorded_at(origin, || {
            let shape = self.shape()?;
            let n = shape[shape.axis(axis)?];
            if sections == 0 || !n.is_multiple_of(sections) {
                return Err(Error::shape(format!(
                    "split: axis {axis} of shape {shape} cannot be cut into {sections} equal parts"
                )));
            }
            self.split(vec![n / sections; sections], axis)
        })
    }

    /// The slices along `axis`, which vanishes: the inverse of [`stack`](Tensor::stack).
    #[track_caller]
    pub fn unstack(&self, axis: isize) -> Result<Vec<Tensor>> {
        let origin = Location::caller();
        try_recorded_at(origin, || {
            let shape = self.shape()?;
            let n = shape[shape.axis(axis)?];
            Ok((0..n).map(|i| self.slice(axis, i..i + 1).squeeze(axis)).collect())
        })
    }

    /// Axis `from` moved to place `to`; the others keep their order.
    #[track_caller]
    pub fn move_axis(&self, from: isize, to: isize) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let shape = self.shape()?;
            let (from, to) = (shape.axis(from)?, shape.axis(to)?);
            let mut order: Vec<isize> = (0..shape.rank() as isize).collect();
            let axis = order.remove(from);
            order.insert(to, axis);
            Ok(self.permute(order))
        })
    }
}
