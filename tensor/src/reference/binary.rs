//! Functions of two elements.

use super::{
    Ranged,
    approx::{Approx, ULP},
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
        let (x, y) = (a.at(i), b.at(i));
        match dtype {
            _ if op.is_comparison() => compare(op, x, y),
            _ if dtype.is_float() => real(op, x, y, dtype),
            DType::Bool => logical(op, x, y),
            _ => whole(op, x, y, dtype),
        }
    })
}

/// The function over intervals of real numbers.
fn real(op: Binary, x: Approx, y: Approx, dtype: DType) -> Approx {
    let value = float(op, x.value, y.value);
    if !x.is_bounded() || !y.is_bounded() || !value.is_finite() {
        return Approx::anything(value);
    }
    let with = |radius: f64| Approx { value, radius };
    match op {
        Binary::Add | Binary::Sub => with(x.radius + y.radius).correctly_rounded(dtype),
        Binary::Mul => {
            with(x.value.abs() * y.radius + y.value.abs() * x.radius + x.radius * y.radius).correctly_rounded(dtype)
        }
        Binary::Div | Binary::Rem if y.radius >= y.value.abs() => Approx::anything(value),
        Binary::Div => {
            with((x.radius + value.abs() * y.radius) / (y.value.abs() - y.radius)).rounded(QUOTIENT_ULPS, dtype)
        }
        Binary::Rem => remainder(x, y, dtype),
        Binary::Pow => power(x, y).rounded(4.0, dtype),
        Binary::Max | Binary::Min => extreme(op, x, y),
        _ => Approx::anything(value),
    }
}

/// What WGSL promises of a division, with a margin.
const QUOTIENT_ULPS: f64 = 3.0;

/// `x - y·trunc(x / y)`, as far as the quotient is known well enough to truncate it.
fn remainder(x: Approx, y: Approx, dtype: DType) -> Approx {
    let value = x.value % y.value;
    let quotient = x.value / y.value;
    let error =
        (x.radius + quotient.abs() * y.radius) / (y.value.abs() - y.radius) + QUOTIENT_ULPS * ULP * quotient.abs();
    let whole = quotient.trunc();
    let sure = (quotient - error).trunc() == whole && (quotient + error).trunc() == whole;
    let radius = match sure {
        true => x.radius + whole.abs() * y.radius + (whole * y.value).abs() * ULP,
        // Whatever the quotient was cut to, the remainder stays below the divisor.
        false => value.abs() + y.reach() + x.reach() * 2.0 * QUOTIENT_ULPS * ULP,
    };
    Approx { value, radius }.rounded(0.5, dtype)
}

/// The power over a rectangle: its extremes are at the corners for positive bases.
fn power(x: Approx, y: Approx) -> Approx {
    let value = x.value.powf(y.value);
    if x.is_exact() && y.is_exact() {
        return Approx::exact(value);
    }
    if x.low() > 0.0 {
        let corner = |base: f64, exponent: f64| Approx::exact(base.powf(exponent));
        let base = [x.low(), x.high()];
        let corners = base.into_iter().flat_map(|b| [corner(b, y.low()), corner(b, y.high())]);
        return corners.fold(Approx::exact(value), Approx::or);
    }
    // Elsewhere only whole powers are numbers, and those from 1 on are bounded by their slope.
    match y.is_exact() && y.value.fract() == 0.0 && y.value >= 1.0 {
        true => Approx { value, radius: y.value * x.reach().powf(y.value - 1.0) * x.radius },
        false => Approx::anything(value),
    }
}

/// The larger or smaller of two intervals' numbers.
pub fn extreme(op: Binary, x: Approx, y: Approx) -> Approx {
    let of = |a: f64, b: f64| float(op, a, b);
    match x.is_bounded() && y.is_bounded() {
        true => Approx::between(of(x.value, y.value), of(x.low(), y.low()), of(x.high(), y.high())),
        false => Approx::anything(of(x.value, y.value)),
    }
}

/// A comparison is sure where the intervals do not meet, or both are points.
fn compare(op: Binary, x: Approx, y: Approx) -> Approx {
    let value = float(op, x.value, y.value);
    let points = x.is_exact() && y.is_exact() && !x.value.is_nan() && !y.value.is_nan();
    let apart = x.high() < y.low() || y.high() < x.low();
    Approx::known(value, points || apart)
}

/// The function on truth values: one sure operand may decide.
fn logical(op: Binary, x: Approx, y: Approx) -> Approx {
    let (a, b) = (x.value != 0.0, y.value != 0.0);
    let both = x.is_exact() && y.is_exact();
    let decides = |truth: bool| (x.is_exact() && a == truth) || (y.is_exact() && b == truth);
    match op {
        Binary::And => Approx::known(truth(a && b), both || decides(false)),
        Binary::Or => Approx::known(truth(a || b), both || decides(true)),
        _ => Approx::known(truth(a != b), both),
    }
}

/// The function on whole numbers of this type.
fn whole(op: Binary, x: Approx, y: Approx, dtype: DType) -> Approx {
    let (a, b) = (x.value as i64, y.value as i64);
    let amount = (b & 31) as u32;
    let bits = |v: i64| Approx::known(wrap(v, dtype), x.is_exact() && y.is_exact());
    match op {
        Binary::Add => Approx::whole(a + b, x.radius + y.radius, dtype),
        Binary::Sub => Approx::whole(a - b, x.radius + y.radius, dtype),
        Binary::Mul => bits(a.wrapping_mul(b)),
        Binary::Div => bits(a.checked_div(b).unwrap_or(0)),
        Binary::Rem => bits(a.checked_rem(b).unwrap_or(0)),
        Binary::And => bits(a & b),
        Binary::Or => bits(a | b),
        Binary::Xor => bits(a ^ b),
        Binary::Shl => bits(a << amount),
        Binary::Shr => bits(a >> amount),
        Binary::Max | Binary::Min => extreme(op, x, y),
        // Recording lets no others come here.
        Binary::Pow | Binary::Eq | Binary::Ne | Binary::Lt | Binary::Le => compare(op, x, y),
    }
}

/// The function on real numbers. NaN in, NaN out.
fn float(op: Binary, x: f64, y: f64) -> f64 {
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
