//! Cutting an axis as NumPy names it: in parts that need not be equal, along a certain axis.

use super::record;
use crate::{
    error::{Error, Result},
    graph::{Tensor, try_recorded_at},
};
use std::panic::Location;

/// How an axis is cut: in so many parts, or before these places.
///
/// ```
/// use addax_tensor::{Tensor, ops::Cuts};
/// let parts = Tensor::arange(5).array_split(2, 0)?;
/// assert_eq!(parts[0].to_vec::<i32>()?, vec![0, 1, 2]);
/// assert_eq!(Tensor::arange(5).array_split([1, 2], 0)?.len(), Cuts::from([1, 2]).count());
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cuts {
    /// So many parts.
    Parts(usize),
    /// Before these places, which do not decrease.
    At(Vec<usize>),
}

impl Cuts {
    /// The number of parts.
    pub fn count(&self) -> usize {
        match self {
            Cuts::Parts(parts) => *parts,
            Cuts::At(places) => places.len() + 1,
        }
    }
}

impl From<usize> for Cuts {
    fn from(parts: usize) -> Self {
        Cuts::Parts(parts)
    }
}
impl<const N: usize> From<[usize; N]> for Cuts {
    fn from(places: [usize; N]) -> Self {
        Cuts::At(places.to_vec())
    }
}
impl From<Vec<usize>> for Cuts {
    fn from(places: Vec<usize>) -> Self {
        Cuts::At(places)
    }
}

impl Tensor {
    /// Parts along `axis`: so many, of which the first ones are longer by one where they cannot be equal, or those between places.
    #[track_caller]
    pub fn array_split(&self, cuts: impl Into<Cuts>, axis: isize) -> Result<Vec<Tensor>> {
        let (origin, cuts) = (Location::caller(), cuts.into());
        try_recorded_at(origin, || match cuts {
            Cuts::At(places) => self.split_at(places, axis),
            Cuts::Parts(0) => Err(Error::argument("array_split: an axis cannot be cut into 0 parts")),
            Cuts::Parts(parts) => {
                let shape = self.shape()?;
                let n = shape[shape.axis(axis)?];
                self.split((0..parts).map(|i| n / parts + usize::from(i < n % parts)).collect::<Vec<_>>(), axis)
            }
        })
    }

    /// Parts side by side: along axis 1, of a vector along its axis. So many parts are equal.
    #[track_caller]
    pub fn hsplit(&self, cuts: impl Into<Cuts>) -> Result<Vec<Tensor>> {
        let (origin, cuts) = (Location::caller(), cuts.into());
        try_recorded_at(origin, || self.cut(cuts, isize::from(self.shape()?.rank() > 1)))
    }

    /// Parts one below the other: along axis 0. So many parts are equal.
    #[track_caller]
    pub fn vsplit(&self, cuts: impl Into<Cuts>) -> Result<Vec<Tensor>> {
        let (origin, cuts) = (Location::caller(), cuts.into());
        try_recorded_at(origin, || self.cut(cuts, 0))
    }

    /// Parts one behind the other: along axis 2. So many parts are equal.
    #[track_caller]
    pub fn dsplit(&self, cuts: impl Into<Cuts>) -> Result<Vec<Tensor>> {
        let (origin, cuts) = (Location::caller(), cuts.into());
        try_recorded_at(origin, || self.cut(cuts, 2))
    }

    fn cut(&self, cuts: Cuts, axis: isize) -> Result<Vec<Tensor>> {
        match cuts {
            Cuts::Parts(parts) => self.split_evenly(parts, axis),
            Cuts::At(places) => self.split_at(places, axis),
        }
    }

    /// Indices `I32` along `axis` that put the element number `kth` of the sorted line to its place, smaller ones before it and
    /// larger ones behind it, NaN last. The line is sorted as a whole. A negative `kth` counts from the end.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([5.0f32, 1.0, 3.0], [3]);
    /// assert_eq!(x.argpartition(1, 0).to_vec::<i32>()?[1], 2);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn argpartition(&self, kth: isize, axis: isize) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let shape = self.shape()?;
            let n = shape[shape.axis(axis)?];
            if crate::shape::resolve_axis(kth, n).is_none() {
                return Err(Error::argument(format!("argpartition: element {kth} of {n} along axis {axis}")));
            }
            Ok(self.argsort(axis, false))
        })
    }

    /// The coordinates, one tensor per axis of `shape`, of the elements that `self`, integers, counts in row-major order. Negative
    /// numbers count from the end; what is out of range goes to the nearest element.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let at = Tensor::from_vec([5, -1], [2]).unravel_index([2, 3])?;
    /// assert_eq!(at[0].to_vec::<i32>()?, vec![1, 1]);
    /// assert_eq!(at[1].to_vec::<i32>()?, vec![2, 2]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn unravel_index(&self, shape: impl Into<crate::shape::Shape>) -> Result<Vec<Tensor>> {
        let (origin, shape) = (Location::caller(), shape.into());
        try_recorded_at(origin, || {
            let count = shape.numel();
            if count == 0 || i32::try_from(count).is_err() {
                return Err(Error::shape(format!(
                    "unravel_index: shape {shape} has no element, or too many for int32"
                )));
            }
            let at = super::index::whole_numbers(self)?;
            let at = at.less(0i64).select(&at + count, &at).clip(0i64, count - 1);
            let strides = shape.strides();
            Ok(shape.iter().zip(strides).map(|(&n, stride)| (&at / stride as i64) % n as i64).collect())
        })
    }
}
