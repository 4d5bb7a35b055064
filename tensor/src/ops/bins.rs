//! Finding the bins that elements fall into, and counting them.

use super::{index::whole_numbers, record};
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::Tensor,
};
use std::panic::Location;

impl Tensor {
    /// Where each of `values` (any shape) would have to be put into `self`, a sorted vector, to leave it sorted, as `I32`: before
    /// equal elements, or with `right` after them. NaN belongs at the end.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let sorted = Tensor::from_vec([1.0f32, 2.0, 2.0, 5.0], [4]);
    /// let values = Tensor::from_vec([2.0f32, 9.0], [2]);
    /// assert_eq!(sorted.searchsorted(&values, false).to_vec::<i32>()?, vec![1, 4]);
    /// assert_eq!(sorted.searchsorted(&values, true).to_vec::<i32>()?, vec![3, 4]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn searchsorted(&self, values: &Tensor, right: bool) -> Tensor {
        record(Location::caller(), || {
            let [n] = self.dims()?;
            let each = values.expand_dims(-1);
            let before = if right { self.less_equal(&each) } else { self.less(&each) };
            let place = before.cast(DType::I32).sum(-1);
            Ok(match values.dtype()?.is_float() {
                true => values.is_nan().select(n as i64, place),
                false => place,
            })
        })
    }

    /// The number of the bin each element falls into, as `I32`: 0 below the first of the rising `edges`, `edges.len()` from the last
    /// on; an edge belongs to the bin above it.
    #[track_caller]
    pub fn digitize(&self, edges: &Tensor) -> Tensor {
        edges.searchsorted(self, true)
    }

    /// Whether each element occurs in `among`, which has any shape; gives `Bool`, the other truth with `invert`. NaN occurs nowhere.
    /// Every element is compared with all of `among`.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1, 2, 5], [3]);
    /// assert_eq!(x.is_in(&Tensor::from_vec([5, 1], [2]), false).to_vec::<bool>()?, vec![true, false, true]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[doc(alias = "isin")]
    #[track_caller]
    pub fn is_in(&self, among: &Tensor, invert: bool) -> Tensor {
        record(Location::caller(), || {
            let found = self.expand_dims(-1).equal(among.ravel()).any(-1);
            Ok(if invert { found.logical_not() } else { found })
        })
    }

    /// Whether fewer than `k` scores of each row are larger than the one of its target: `self` are scores `[.., classes]`, `targets`
    /// integers `[..]`; gives `Bool` `[..]`. A target whose score is NaN, or that is no class, is not among them.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let scores = Tensor::from_vec([0.1f32, 0.7, 0.2], [1, 3]);
    /// assert_eq!(scores.in_top_k(&Tensor::from_vec([2], [1]), 2).to_vec::<bool>()?, vec![true]);
    /// assert_eq!(scores.in_top_k(&Tensor::from_vec([0], [1]), 2).to_vec::<bool>()?, vec![false]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn in_top_k(&self, targets: &Tensor, k: usize) -> Tensor {
        record(Location::caller(), || {
            let (shape, at) = (self.shape()?, targets.shape()?);
            let [rows @ .., classes] = shape.dims() else {
                return Err(Error::shape("in_top_k needs scores [.., classes], got a scalar"));
            };
            if rows != at.dims() {
                return Err(Error::shape(format!(
                    "in_top_k: scores {shape} and targets {at}; they are [.., classes] and [..]"
                )));
            }
            let own = whole_numbers(targets)?.expand_dims(-1);
            let there = own.greater_equal(0i64).logical_and(own.less(*classes)).squeeze(-1);
            let score = self.take_along_axis(&own, -1);
            let above = self.greater(&score).cast(DType::I32).sum(-1);
            Ok(above.less(k).logical_and(there).logical_and(score.is_nan().logical_not().squeeze(-1)))
        })
    }

    /// How often each whole number below `len` occurs, or the sum of the `weights` where it does; what is not below is left out.
    /// `[n] -> [len]`, `I32` or the type of the weights. (NumPy and Keras take the length from the data, which a graph cannot.)
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1, 3, 1, 9], [4]);
    /// assert_eq!(x.bincount(None, 4).to_vec::<i32>()?, vec![0, 2, 0, 1]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn bincount(&self, weights: Option<&Tensor>, len: usize) -> Tensor {
        record(Location::caller(), || {
            let [n] = self.dims()?;
            let numbers = whole_numbers(self)?;
            let weights = weights.cloned().unwrap_or_else(|| Tensor::full(DType::I32, [n], 1i64));
            let [given] = weights.dims()?;
            if given != n {
                return Err(Error::shape(format!("bincount: {given} weights for {n} numbers")));
            }
            Ok(weights.scatter_add(&numbers, 0, len))
        })
    }

    /// How many elements fall into each of `bins` equal parts of `range`, as `I32`, and the `bins + 1` edges. The last bin holds its
    /// upper edge too; what is outside is left out. Without a range it is from the smallest to the largest element, or 1 wide around
    /// the only value.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([0.0f32, 1.0, 1.5, 4.0], [4]);
    /// let (counts, edges) = x.histogram(2, None)?;
    /// assert_eq!(counts.to_vec::<i32>()?, vec![3, 1]);
    /// assert_eq!(edges.to_vec::<f32>()?, vec![0.0, 2.0, 4.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn histogram(&self, bins: usize, range: Option<(f64, f64)>) -> Result<(Tensor, Tensor)> {
        let origin = Location::caller();
        if bins == 0 || range.is_some_and(|(low, high)| low > high || !(high - low).is_finite()) {
            let what = format!("histogram needs a bin and a rising range, got {bins} bins, range {range:?}");
            return Err(Error::argument(what).at(origin));
        }
        let x = self.cast_at(DType::F32, origin);
        let edges = record(origin, || {
            let (low, high) = match range {
                Some((low, high)) => (Tensor::full(DType::F32, (), low), Tensor::full(DType::F32, (), high)),
                None => (x.min(..), x.max(..)),
            };
            let one = low.equal(&high);
            let (low, high) = (one.select(&low - 0.5, &low), one.select(&high + 0.5, &high));
            // Both ends are exact.
            let part = Tensor::iota(DType::F32, [bins + 1], 0) * (1.0 / bins as f64);
            let edges = &low + (&high - &low) * part;
            Ok(Tensor::concat(&[edges.slice(0, ..bins), high.reshape([1])], 0))
        });
        let counts = record(origin, || {
            let x = x.ravel();
            let bin = x.digitize(&edges) - 1i64;
            let last = x.equal(edges.slice(0, bins..));
            Ok(last.select(bins as i64 - 1, bin).bincount(None, bins))
        });
        counts.check()?;
        Ok((counts, edges))
    }
}
