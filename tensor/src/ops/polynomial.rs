//! What functions made of series share.

use super::record;
use crate::{
    dtype::DType,
    graph::{Origin, Tensor},
};

/// `formula` of the elements as `F32`, rounded once to their own type; integers and `Bool` give `F32`.
pub(super) fn in_floats(x: &Tensor, origin: Origin, formula: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
    record(origin, || {
        let dtype = x.dtype()?;
        let y = formula(&x.cast_at(DType::F32, origin));
        Ok(if dtype.is_float() { y.cast_at(dtype, origin) } else { y })
    })
}

/// `c[0] + c[1]·z + c[2]·z² + …`.
pub(super) fn polynomial(z: &Tensor, coefficients: &[f64]) -> Tensor {
    let mut terms = coefficients.iter().rev();
    let first = terms.next().copied().unwrap_or(0.0);
    terms.fold(z.full_like(first), |sum, &c| sum * z + c)
}

/// `x · (1 + rise)` for a small `rise`, the rounding of which then counts little.
pub(super) fn times(x: &Tensor, rise: Tensor) -> Tensor {
    x + x * rise
}

/// -1 below 0 and at -0, else 1. Where an odd function is `f(x · signs(x)) · signs(x)`, its slope at 0 is that of `f`, which with
/// `|x|` would be lost, and zeros keep their sign.
pub(super) fn signs(x: &Tensor) -> Tensor {
    x.signbit().select(-1.0, 1.0)
}
