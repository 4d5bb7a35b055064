//! Rounding and casts.

use super::{Ranged, approx::Approx};
use crate::{
    dtype::{DType, Scalar},
    graph::Meta,
};

/// A weak number as a tensor of this type.
pub fn scalar(value: Scalar, meta: Meta) -> Ranged {
    let dtype = meta.dtype;
    Ranged::build(meta, |_| number(value, dtype))
}

/// The value a weak number has in a tensor of this type.
pub fn number(value: Scalar, dtype: DType) -> Approx {
    Approx::exact(match (dtype, value) {
        (DType::F32 | DType::F16 | DType::BF16, _) => {
            return Approx::exact(round(value.as_f64(), DType::F32)).correctly_rounded(dtype);
        }
        (DType::Bool, _) => truth(value.as_f64() != 0.0),
        (_, Scalar::Float(v)) => convert(v, DType::F32, dtype),
        (_, Scalar::Int(v)) => wrap(v, dtype),
        (_, Scalar::Bool(v)) => truth(v),
    })
}

/// Elements as another type.
pub fn apply(x: &Ranged, meta: Meta) -> Ranged {
    let (from, to) = (x.meta.dtype, meta.dtype);
    Ranged::build(meta, |i| element(x.at(i), from, to))
}

/// One element of type `from` as type `to`, over an interval.
fn element(x: Approx, from: DType, to: DType) -> Approx {
    let value = convert(x.value, from, to);
    if !x.is_bounded() {
        return Approx::anything(value);
    }
    match to {
        // An operand of 16 bits may stay unrounded in a register; its radius says so already.
        DType::F32 if from.is_float() => x,
        DType::F32 => x.correctly_rounded(to),
        DType::F16 | DType::BF16 => {
            // Whole numbers pass through `F32`.
            let x = if from.is_float() { x } else { x.correctly_rounded(DType::F32) };
            match value.is_finite() {
                true => Approx::between(value, round(x.low(), to), round(x.high(), to)),
                false => Approx::anything(value),
            }
        }
        DType::Bool => Approx::known(value, x.is_exact() || x.low() > 0.0 || x.high() < 0.0),
        _ if from.is_float() => Approx::between(value, convert(x.low(), from, to), convert(x.high(), from, to)),
        _ => Approx::whole(x.value as i64, x.radius, to),
    }
}

/// 1 or 0.
pub fn truth(v: bool) -> f64 {
    f64::from(u8::from(v))
}

/// A whole number in the bits of an integer type.
pub fn wrap(v: i64, dtype: DType) -> f64 {
    match dtype {
        DType::I32 => f64::from(v as i32),
        DType::U32 => f64::from(v as u32),
        DType::U8 => f64::from(v as u8),
        _ => v as f64,
    }
}

/// One element of type `from` as type `to`: floats saturate in integers, integers wrap.
pub fn convert(v: f64, from: DType, to: DType) -> f64 {
    match to {
        DType::F32 | DType::F16 | DType::BF16 => round(v, to),
        DType::Bool => truth(v != 0.0),
        DType::I32 if from.is_float() => f64::from(v as i32),
        DType::U32 if from.is_float() => f64::from(v as u32),
        DType::U8 if from.is_float() => f64::from(v as u8),
        _ => wrap(v as i64, to),
    }
}

/// To the nearest number of a type, ties to even; too large ones become infinite. Integers are whole already.
pub fn round(v: f64, dtype: DType) -> f64 {
    let (digits, lowest, largest) = match dtype {
        DType::F32 => return f64::from(v as f32),
        DType::F16 => (11, -14, 65504.0),
        DType::BF16 => (8, -126, f64::from(half::bf16::MAX)),
        _ => return v,
    };
    if !v.is_finite() || v == 0.0 {
        return v;
    }
    // The distance of neighbours: below the smallest normal number it no longer shrinks.
    let exponent = ((v.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    let step = 2f64.powi(exponent.max(lowest) - digits + 1);
    let rounded = (v / step).round_ties_even() * step;
    if rounded.abs() > largest { f64::INFINITY.copysign(v) } else { rounded }
}
