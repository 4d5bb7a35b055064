//! Joining and turning whole tensors as NumPy names it.

use super::record;
use crate::{
    error::{Error, Result},
    graph::{Tensor, try_recorded_at},
};
use std::panic::Location;

impl Tensor {
    /// All elements in row-major order along one axis.
    #[track_caller]
    pub fn ravel(&self) -> Tensor {
        record(Location::caller(), || Ok(self.reshape([self.shape()?.numel()])))
    }

    /// `self`, then `other` along `axis`.
    #[track_caller]
    pub fn append(&self, other: &Tensor, axis: isize) -> Tensor {
        Tensor::concat(&[self.clone(), other.clone()], axis)
    }

    /// Turned by `turns` right angles from the first of two axes toward the second; negative turns go back.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1, 2, 3, 4], [2, 2]);
    /// assert_eq!(x.rot90(1, [0, 1]).to_vec::<i32>()?, vec![2, 4, 1, 3]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn rot90(&self, turns: isize, axes: [isize; 2]) -> Tensor {
        record(Location::caller(), || {
            let shape = self.shape()?;
            let [from, to] = axes;
            if shape.axis(from)? == shape.axis(to)? {
                return Err(Error::argument(format!("rot90 needs two different axes, got {axes:?}")));
            }
            Ok(match turns.rem_euclid(4) {
                1 => self.flip(to).swap_axes(from, to),
                2 => self.flip(axes),
                3 => self.swap_axes(from, to).flip(to),
                _ => self.clone(),
            })
        })
    }

    /// The order of the columns (axis 1) reversed.
    #[track_caller]
    pub fn fliplr(&self) -> Tensor {
        self.flip(1)
    }

    /// The order of the rows (axis 0) reversed.
    #[track_caller]
    pub fn flipud(&self) -> Tensor {
        self.flip(0)
    }

    /// Side by side: vectors along their axis, others along axis 1.
    #[track_caller]
    pub fn hstack(tensors: &[Tensor]) -> Tensor {
        record(Location::caller(), || {
            let tensors = at_least(tensors, 1)?;
            let axis = tensors.first().map_or(Ok(0), |t| t.shape().map(|s| usize::from(s.rank() > 1)))?;
            Ok(Tensor::concat(&tensors, axis as isize))
        })
    }

    /// One below the other along axis 0; a vector is a row.
    #[track_caller]
    pub fn vstack(tensors: &[Tensor]) -> Tensor {
        record(Location::caller(), || Ok(Tensor::concat(&at_least(tensors, 2)?, 0)))
    }

    /// One behind the other along axis 2; a vector of length n is `[1, n, 1]`, a matrix gets a last axis.
    #[track_caller]
    pub fn dstack(tensors: &[Tensor]) -> Tensor {
        record(Location::caller(), || {
            let deep = at_least(tensors, 2)?;
            let deep: Vec<_> = deep
                .iter()
                .map(|t| Ok(if t.shape()?.rank() == 2 { t.expand_dims(-1) } else { t.clone() }))
                .collect::<Result<_>>()?;
            Ok(Tensor::concat(&deep, 2))
        })
    }

    /// Side by side along axis 1; a vector is a column.
    #[track_caller]
    pub fn column_stack(tensors: &[Tensor]) -> Tensor {
        record(Location::caller(), || {
            let columns: Vec<_> = tensors
                .iter()
                .map(|t| match t.shape()?.rank() {
                    0 | 1 => Ok(t.reshape([t.shape()?.numel(), 1])),
                    _ => Ok(t.clone()),
                })
                .collect::<Result<_>>()?;
            Ok(Tensor::concat(&columns, 1))
        })
    }

    /// The parts of `axis` before, between and after these places, which do not decrease and are no farther than its end.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let parts = Tensor::arange(5).split_at([1, 3], 0)?;
    /// assert_eq!(parts[1].to_vec::<i32>()?, vec![1, 2]);
    /// assert_eq!(parts[2].to_vec::<i32>()?, vec![3, 4]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn split_at(&self, places: impl AsRef<[usize]>, axis: isize) -> Result<Vec<Tensor>> {
        let origin = Location::caller();
        try_recorded_at(origin, || {
            let shape = self.shape()?;
            let n = shape[shape.axis(axis)?];
            let mut from = 0;
            let mut lengths = Vec::new();
            for &to in places.as_ref().iter().chain([&n]) {
                lengths.push(to.checked_sub(from).ok_or_else(|| {
                    let places = places.as_ref();
                    Error::argument(format!(
                        "split_at: places {places:?} do not rise to {n}, the length of axis {axis}"
                    ))
                })?);
                from = to;
            }
            self.split(lengths, axis)
        })
    }

    /// Coordinates of a grid: one tensor per vector, each of shape `[n0, n1, …]`, that varies along its own axis (NumPy's indexing
    /// `"ij"`). With `cartesian` the first two axes are swapped (`"xy"`, the default there).
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let grid = Tensor::meshgrid(&[Tensor::arange(3), Tensor::arange(2)], true)?;
    /// assert_eq!(grid[0].to_vec::<i32>()?, vec![0, 1, 2, 0, 1, 2]);
    /// assert_eq!(grid[1].to_vec::<i32>()?, vec![0, 0, 0, 1, 1, 1]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn meshgrid(vectors: &[Tensor], cartesian: bool) -> Result<Vec<Tensor>> {
        let origin = Location::caller();
        let lengths = vectors.iter().map(|v| v.dims::<1>().map(|[n]| n)).collect::<Result<Vec<_>>>();
        let lengths = lengths.map_err(|e| e.at(origin))?;
        let along = |i: usize| {
            record(origin, || {
                let mut shape = vec![1; lengths.len()];
                shape[i] = lengths[i];
                let grid = vectors[i].reshape(shape).broadcast_to(lengths.as_slice());
                Ok(if cartesian && lengths.len() > 1 { grid.swap_axes(0, 1) } else { grid })
            })
        };
        Ok((0..lengths.len()).map(along).collect())
    }
}

/// With axes of length 1 in front until there are `rank`.
fn at_least(tensors: &[Tensor], rank: usize) -> Result<Vec<Tensor>> {
    let wide = |t: &Tensor| {
        let shape = t.shape()?;
        let missing = rank.saturating_sub(shape.rank());
        let shape: Vec<_> = std::iter::repeat_n(1, missing).chain(shape.iter().copied()).collect();
        Ok(t.reshape(shape))
    };
    tensors.iter().map(wide).collect()
}
