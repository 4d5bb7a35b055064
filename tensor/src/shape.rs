//! Shapes and axes.

use crate::error::{Error, Result};
use std::{fmt, ops::Deref, sync::Arc};

/// The lengths of a tensor's axes, outermost first. A scalar has none.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(Arc<[usize]>);

impl Shape {
    /// Number of elements: the product of all lengths, 1 for a scalar.
    pub fn numel(&self) -> usize {
        self.0.iter().product()
    }
    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }
    /// The lengths.
    pub fn dims(&self) -> &[usize] {
        &self.0
    }
    /// Row-major strides, in elements.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1; self.rank()];
        for i in (1..self.rank()).rev() {
            strides[i - 1] = strides[i] * self.0[i].max(1);
        }
        strides
    }
    /// Axis `axis`, negative from the end, as an index below `rank`.
    pub fn axis(&self, axis: isize) -> Result<usize> {
        resolve_axis(axis, self.rank())
            .ok_or_else(|| Error::shape(format!("axis {axis} is out of range for shape {self}")))
    }
    /// The shape that `self` and `other` broadcast to by NumPy's rules.
    pub fn broadcast(&self, other: &Shape) -> Result<Shape> {
        let rank = self.rank().max(other.rank());
        let at = |s: &Shape, i: usize| if i + s.rank() < rank { 1 } else { s.0[i + s.rank() - rank] };
        (0..rank)
            .map(|i| match (at(self, i), at(other, i)) {
                (a, b) if a == b => Ok(a),
                (1, b) => Ok(b),
                (a, 1) => Ok(a),
                _ => Err(Error::shape(format!("shapes {self} and {other} do not broadcast"))),
            })
            .collect()
    }
}

/// Axis `axis` of a tensor with `rank` axes, negative from the end; `None` when out of range.
pub fn resolve_axis(axis: isize, rank: usize) -> Option<usize> {
    let rank = rank as isize;
    (-rank <= axis && axis < rank).then(|| axis.rem_euclid(rank.max(1)) as usize)
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}
impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(dims: I) -> Self {
        Shape(dims.into_iter().collect())
    }
}
impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        Shape(Arc::from(dims.as_slice()))
    }
}
impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Self {
        Shape(Arc::from(dims))
    }
}
impl From<Vec<usize>> for Shape {
    fn from(dims: Vec<usize>) -> Self {
        Shape(Arc::from(dims))
    }
}
impl From<&Vec<usize>> for Shape {
    fn from(dims: &Vec<usize>) -> Self {
        Shape(Arc::from(dims.as_slice()))
    }
}
impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Self {
        shape.clone()
    }
}
impl From<usize> for Shape {
    fn from(n: usize) -> Self {
        Shape::from([n])
    }
}
impl From<()> for Shape {
    fn from(_: ()) -> Self {
        Shape::default()
    }
}
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter()).finish()
    }
}
impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which axes an operation works on: one (`-1`), several (`[0, 2]`), or all (`..`).
#[derive(Clone, Debug)]
pub enum Axes {
    /// Every axis.
    All,
    /// These, negative from the end.
    Some(Vec<isize>),
}

impl Axes {
    /// Sorted, distinct indices for a tensor of this shape.
    pub fn resolve(&self, shape: &Shape) -> Result<Vec<usize>> {
        let mut axes = match self {
            Axes::All => (0..shape.rank()).collect(),
            Axes::Some(axes) => axes.iter().map(|&a| shape.axis(a)).collect::<Result<Vec<_>>>()?,
        };
        axes.sort_unstable();
        if axes.windows(2).any(|w| w[0] == w[1]) {
            return Err(Error::shape(format!("an axis is named twice for shape {shape}")));
        }
        Ok(axes)
    }
}
impl From<isize> for Axes {
    fn from(axis: isize) -> Self {
        Axes::Some(vec![axis])
    }
}
impl<const N: usize> From<[isize; N]> for Axes {
    fn from(axes: [isize; N]) -> Self {
        Axes::Some(axes.to_vec())
    }
}
impl From<&[isize]> for Axes {
    fn from(axes: &[isize]) -> Self {
        Axes::Some(axes.to_vec())
    }
}
impl From<Vec<isize>> for Axes {
    fn from(axes: Vec<isize>) -> Self {
        Axes::Some(axes)
    }
}
impl From<&[usize]> for Axes {
    fn from(axes: &[usize]) -> Self {
        Axes::Some(axes.iter().map(|&a| a as isize).collect())
    }
}
impl From<Vec<usize>> for Axes {
    fn from(axes: Vec<usize>) -> Self {
        Axes::from(axes.as_slice())
    }
}
impl From<std::ops::RangeFull> for Axes {
    fn from(_: std::ops::RangeFull) -> Self {
        Axes::All
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_follows_numpy() {
        let a = Shape::from([3, 1, 5]);
        assert_eq!(a.broadcast(&Shape::from([4, 1])).unwrap(), Shape::from([3, 4, 5]));
        assert_eq!(
            a.broadcast(&Shape::from([2])).unwrap_err().to_string(),
            "shapes [3, 1, 5] and [2] do not broadcast"
        );
    }

    #[test]
    fn axes_resolve_from_both_ends() {
        let s = Shape::from([2, 3, 4]);
        assert_eq!(Axes::from([-1, 0]).resolve(&s).unwrap(), vec![0, 2]);
        assert!(Axes::from([0, -3]).resolve(&s).is_err());
        assert!(Axes::from(3).resolve(&s).is_err());
    }
}
