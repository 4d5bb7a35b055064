//! Functions of two elements.

use super::{
    Ranged,
    cast::{truth, wrap},
};
use crate::{
    dtype::DType,
    graph::{Binary, Meta},
};

/// Two elements to one.
pub fn apply(op: Binary, a: &Ranged, b: &Ranged, meta: Meta) -> Ranged {
    let dtype = a.meta.dtype;
    Ranged::build(meta, |i| {
        let (x, y) = (a.value[i], b.value[i]);
        match dtype.is_float() {
            true => (float(op, x, y), 0.0),
            false => (integer(op, x, y, dtype), 0.0),
        }
    })
}

/// The function on real numbers. NaN in, NaN out.
pub fn float(op: Binary, x: f64, y: f64) -> f64 {
    match op {
        Binary::Add => x + y,
        Binary::Sub => x - y,
        Binary::Mul => x * y,
        Binary::Div => x / y,
        Binary::Rem => x % y,
        Binary::Pow => x.powf(y),
        Binary::Max | Binary::Min if x.is_nan() || y.is_nan() => f64::NAN,
        Binary::Max => x.max(y),
        Binary::Min => x.min(y),
        Binary::Eq => truth(x == y),
        Binary::Ne => truth(x != y),
        Binary::Lt => truth(x < y),
        Binary::Le => truth(x <= y),
        // Floats have no bits here; recording refuses them.
        Binary::And | Binary::Or | Binary::Xor | Binary::Shl | Binary::Shr => f64::NAN,
    }
}

/// The function on whole numbers of this type.
fn integer(op: Binary, x: f64, y: f64, dtype: DType) -> f64 {
    let (a, b) = (x as i64, y as i64);
    let amount = (b & 31) as u32;
    match op {
        Binary::Add => wrap(a + b, dtype),
        Binary::Sub => wrap(a - b, dtype),
        Binary::Mul => wrap(a.wrapping_mul(b), dtype),
        Binary::Div => wrap(a.checked_div(b).unwrap_or(0), dtype),
        Binary::Rem => wrap(a.checked_rem(b).unwrap_or(0), dtype),
        Binary::And => wrap(a & b, dtype),
        Binary::Or => wrap(a | b, dtype),
        Binary::Xor => wrap(a ^ b, dtype),
        Binary::Shl => wrap(a << amount, dtype),
        Binary::Shr => wrap(a >> amount, dtype),
        Binary::Max => x.max(y),
        Binary::Min => x.min(y),
        Binary::Pow | Binary::Eq | Binary::Ne | Binary::Lt | Binary::Le => float(op, x, y),
    }
}
