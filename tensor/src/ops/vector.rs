//! Products of vectors and matrices as NumPy names them, differences and integrals along an axis.

use super::record;
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::Tensor,
};
use std::panic::Location;

impl Tensor {
    /// Every element times the whole of `other`, block by block: `[m, n], [p, q] -> [m·p, n·q]`, likewise for other ranks; the shorter
    /// shape gets axes in front.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1, 10], [2]);
    /// assert_eq!(x.kron(&Tensor::from_vec([1, 2], [2])).to_vec::<i32>()?, vec![1, 2, 10, 20]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn kron(&self, other: &Tensor) -> Tensor {
        record(Location::caller(), || {
            let (a, b) = (self.shape()?, other.shape()?);
            let rank = a.rank().max(b.rank());
            let at = |list: &[usize], i: usize| (i + list.len()).checked_sub(rank).map_or(1, |i| list[i]);
            let (mut outer, mut inner, mut joined) = (Vec::new(), Vec::new(), Vec::new());
            for i in 0..rank {
                let (m, p) = (at(a, i), at(b, i));
                outer.extend([m, 1]);
                inner.extend([1, p]);
                joined.push(m * p);
            }
            Ok((self.reshape(outer) * other.reshape(inner)).reshape(joined))
        })
    }

    /// The cross product along the last axis, of length 3 in both: `a × b = [a1·b2 - a2·b1, a2·b0 - a0·b2, a0·b1 - a1·b0]`. The other
    /// axes broadcast.
    #[track_caller]
    pub fn cross(&self, other: &Tensor) -> Tensor {
        record(Location::caller(), || {
            let (a, b) = (self.shape()?, other.shape()?);
            if a.last() != Some(&3) || b.last() != Some(&3) {
                return Err(Error::shape(format!("cross needs last axes of length 3, got shapes {a} and {b}")));
            }
            Ok(self.roll(-1, -1) * other.roll(-2, -1) - self.roll(-2, -1) * other.roll(-1, -1))
        })
    }

    /// The sum of the products of all elements, whatever the shapes, which hold equally many.
    #[track_caller]
    pub fn vdot(&self, other: &Tensor) -> Tensor {
        record(Location::caller(), || Ok((self.ravel() * same_size(self, other)?).sum(..)))
    }

    /// Differences of neighbours along `axis`, `x[i + 1] - x[i]`, taken `n` times: the axis is `n` shorter, but not below 0. Of
    /// truth values it is whether they differ.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1, 4, 9, 16], [4]);
    /// assert_eq!(x.diff(1, 0).to_vec::<i32>()?, vec![3, 5, 7]);
    /// assert_eq!(x.diff(2, 0).to_vec::<i32>()?, vec![2, 2]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn diff(&self, n: usize, axis: isize) -> Tensor {
        record(Location::caller(), || {
            let shape = self.shape()?;
            let len = shape[shape.axis(axis)?];
            if n > len {
                return Ok(self.slice(axis, ..0));
            }
            let truth = self.dtype()? == DType::Bool;
            Ok((0..n).fold(self.clone(), |x, done| {
                let len = len - done;
                let (late, early) = (x.slice(axis, 1.min(len)..), x.slice(axis, ..len - 1.min(len)));
                if truth { late.not_equal(early) } else { late - early }
            }))
        })
    }

    /// The area under points at distance `dx` along `axis`, which vanishes, by trapezoids: `dx · Σ (y[i] + y[i + 1]) / 2`.
    #[track_caller]
    pub fn trapezoid(&self, dx: f64, axis: isize) -> Tensor {
        record(Location::caller(), || {
            let shape = self.shape()?;
            let n = shape[shape.axis(axis)?];
            let y = if self.dtype()?.is_float() { self.clone() } else { self.cast(DType::F32) };
            Ok((y.slice(axis, 1.min(n)..) + y.slice(axis, ..n.saturating_sub(1))).sum(axis) * (dx / 2.0))
        })
    }

    /// [`trapezoid`](Tensor::trapezoid) for points at the places `x`, a vector of the length of `axis`:
    /// `Σ (x[i + 1] - x[i]) (y[i] + y[i + 1]) / 2`.
    #[track_caller]
    pub fn trapezoid_at(&self, x: &Tensor, axis: isize) -> Tensor {
        record(Location::caller(), || {
            let shape = self.shape()?;
            let at = shape.axis(axis)?;
            let [n] = x.dims()?;
            if n != shape[at] {
                return Err(Error::shape(format!("trapezoid: {n} places for axis {axis} of shape {shape}")));
            }
            let float = |t: &Tensor| -> Result<Tensor> {
                Ok(if t.dtype()?.is_float() { t.clone() } else { t.cast(DType::F32) })
            };
            let y = float(self)?.move_axis(axis, -1);
            let heights = y.slice(-1, 1.min(n)..) + y.slice(-1, ..n.saturating_sub(1));
            let widths = float(x)?.diff(1, 0);
            Ok((heights * widths).sum(-1) * 0.5)
        })
    }

    /// Powers of a vector's elements side by side, `[n] -> [n, count]`: from `count - 1` down to 0, or from 0 up if `increasing`.
    #[track_caller]
    pub fn vander(&self, count: usize, increasing: bool) -> Tensor {
        record(Location::caller(), || {
            let [n] = self.dims()?;
            let one = self.ones_like().reshape([n, 1]);
            let mut columns = vec![one.slice(1, ..count.min(1))];
            let mut power = one;
            for _ in 1..count {
                power = power * self.reshape([n, 1]);
                columns.push(power.clone());
            }
            if !increasing {
                columns.reverse();
            }
            Ok(Tensor::concat(&columns, 1))
        })
    }
}

/// The elements of `b` in one axis, if there are as many as in `a`.
fn same_size(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (a, of) = (a.shape()?, b.shape()?);
    match a.numel() == of.numel() {
        true => Ok(b.ravel()),
        false => Err(Error::shape(format!("vdot needs equally many elements, got shapes {a} and {of}"))),
    }
}
