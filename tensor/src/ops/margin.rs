//! Margins made of a tensor's own elements.

use super::record;
use crate::{
    error::{Error, Result},
    graph::Tensor,
};
use std::panic::Location;

/// Where the elements of a margin come from; NumPy's names. The one of a constant is [`Tensor::pad`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Margin {
    /// Mirrored at the last element: `c b | a b c | b a`.
    Reflect,
    /// Mirrored behind the last element: `b a | a b c | c b`.
    Symmetric,
    /// The last element: `a a | a b c | c c`.
    Edge,
    /// From the other end: `b c | a b c | a b`.
    Wrap,
}

impl Margin {
    /// The element of `n` that stands at place `at`, which may lie before or behind them.
    fn source(self, at: i64, n: i64) -> i64 {
        let mirrored = |period: i64, last: i64| {
            let at = at.rem_euclid(period.max(1));
            if at < n { at } else { last - at }
        };
        match self {
            Margin::Reflect => mirrored(2 * (n - 1), 2 * (n - 1)),
            Margin::Symmetric => mirrored(2 * n, 2 * n - 1),
            Margin::Edge => at.clamp(0, n - 1),
            Margin::Wrap => at.rem_euclid(n),
        }
    }
}

impl Tensor {
    /// Surrounds with elements of its own: `(before, after)` cells per axis, as many as wanted.
    ///
    /// ```
    /// use addax_tensor::{Tensor, ops::Margin};
    /// let x = Tensor::from_vec([1, 2, 3], [3]);
    /// assert_eq!(x.pad_with([(2, 1)], Margin::Reflect).to_vec::<i32>()?, vec![3, 2, 1, 2, 3, 2]);
    /// assert_eq!(x.pad_with([(1, 2)], Margin::Symmetric).to_vec::<i32>()?, vec![1, 1, 2, 3, 3, 2]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn pad_with(&self, pads: impl Into<Vec<(usize, usize)>>, margin: Margin) -> Tensor {
        let (origin, pads) = (Location::caller(), pads.into());
        record(origin, || {
            let shape = self.shape()?;
            if pads.len() != shape.rank() {
                return Err(Error::shape(format!("{} pads do not fit shape {shape}", pads.len())));
            }
            let wide = |(axis, &(before, after)): (usize, &(usize, usize))| {
                (before + after > 0).then_some((axis, before, after))
            };
            pads.iter().enumerate().filter_map(wide).try_fold(
                self.clone(),
                |x, (axis, before, after)| -> Result<Tensor> {
                    let n = shape[axis] as i64;
                    if n == 0 {
                        return Err(Error::shape(format!("axis {axis} of shape {shape} has no element to pad with")));
                    }
                    let (first, end) = (-(before as i64), n + after as i64);
                    let at: Vec<i32> = (first..end).map(|at| margin.source(at, n) as i32).collect();
                    let len = at.len();
                    Ok(x.gather(&Tensor::from_vec(at, [len]), axis as isize))
                },
            )
        })
    }
}
