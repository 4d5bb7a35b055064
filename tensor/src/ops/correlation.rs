//! How much signals and variables go together.

use super::{
    record,
    window::{ConvNd, Pads},
};
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::Tensor,
};
use std::panic::Location;

/// Which places of one signal under another count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// Where the shorter one lies within the longer one.
    Valid,
    /// As many as the longer one is long, in the middle of all.
    Same,
    /// Wherever they share an element.
    Full,
}

impl Tensor {
    /// Correlation of two vectors `[n]`, `[m]`: `y[k] = Σ_i self[i + k] · other[i]`, for the shifts `k` that `overlap` names, in
    /// rising order. Integers give integers.
    ///
    /// ```
    /// use addax_tensor::{Tensor, ops::Overlap};
    /// let (x, y) = (Tensor::from_vec([1.0f32, 2.0, 3.0], [3]), Tensor::from_vec([0.0f32, 1.0, 0.5], [3]));
    /// assert_eq!(x.correlate(&y, Overlap::Full).to_vec::<f32>()?, vec![0.5, 2.0, 3.5, 3.0, 0.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn correlate(&self, other: &Tensor, overlap: Overlap) -> Tensor {
        record(Location::caller(), || {
            let ([n], [m]) = (self.dims()?, other.dims()?);
            if n == 0 || m == 0 {
                return Err(Error::shape(format!("correlate: vectors of {n} and {m} elements have no overlap")));
            }
            // The shorter one moves; turned around where that is the first.
            let (long, short) = if n < m { (other, self) } else { (self, other) };
            let y = moved_over(long, short, n.max(m), n.min(m), overlap)?;
            Ok(if n < m { y.flip(0) } else { y })
        })
    }

    /// The coefficients of correlation of the rows of `[n, m]`, each a variable with `m` observations: `[n, n]` from -1 to 1, 1 on
    /// the diagonal; NaN for a variable that does not vary. Of a vector, which is one variable, it is a scalar.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1.0f32, 2.0, 3.0, 5.0, 3.0, 1.0], [2, 3]);
    /// assert!((x.corrcoef().to_vec::<f32>()?[1] + 1.0).abs() < 1e-6);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn corrcoef(&self) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let float = if self.dtype()?.is_float() { self.clone() } else { self.cast_at(DType::F32, origin) };
            let shape = float.shape()?;
            let rows = match shape.rank() {
                1 => float.expand_dims(0),
                2 => float.clone(),
                _ => return Err(Error::shape(format!("corrcoef needs [m] or [n, m], got shape {shape}"))),
            };
            let apart = &rows - rows.mean_keepdims(1);
            // Each row by its own length: nothing overflows that the result does not need.
            let unit = &apart / apart.square().sum_keepdims(1).sqrt();
            let all = unit.matmul(&unit.t()).clip(-1.0, 1.0);
            Ok(if shape.rank() == 1 { all.reshape(()) } else { all })
        })
    }
}

/// The products of `short [m]` with the parts of `long [n]` that it lies over, `m ≤ n`.
fn moved_over(long: &Tensor, short: &Tensor, n: usize, m: usize, overlap: Overlap) -> Result<Tensor> {
    let pads = match overlap {
        Overlap::Valid => (0, 0),
        Overlap::Same => (m / 2, m - m / 2 - 1),
        Overlap::Full => (m - 1, m - 1),
    };
    if long.dtype()?.promote(short.dtype()?).is_float() {
        let conv = ConvNd { pads: Pads::Explicit([pads]), ..ConvNd::default() };
        let (x, kernel) = (long.reshape([1, n, 1]), short.reshape([m, 1, 1]));
        let dtype = long.dtype()?.promote(short.dtype()?);
        return Ok(x.cast(dtype).conv1d(&kernel.cast(dtype), &conv).ravel());
    }
    let count = n + pads.0 + pads.1 + 1 - m;
    let at = Tensor::iota(DType::I32, [count, m], 0) + Tensor::iota(DType::I32, [count, m], 1);
    Ok((long.pad([pads], 0i64).gather(&at, 0) * short).sum(1))
}
