//! Functions of one element.

use super::{
    Ranged,
    approx::{Approx, ULP, largest},
    cast::{truth, wrap},
    special::{erf, erfinv},
};
use crate::{
    dtype::DType,
    graph::{Meta, Unary},
};

/// One element to one.
pub fn apply(op: Unary, x: &Ranged, meta: Meta) -> Ranged {
    let dtype = x.meta.dtype;
    Ranged::build(meta, |i| match dtype.is_float() {
        true => real(op, x.at(i), dtype),
        false => whole(op, x.at(i), dtype),
    })
}

/// How well an executor computes a function.
enum Accuracy {
    /// The result has a representation wherever the argument has one.
    Exact,
    /// To the nearest representation.
    Correct,
    /// To so many units in the last place of `F32`.
    Ulps(f64),
    /// To this distance, for arguments up to this magnitude.
    Absolute(f64, f64),
}

/// What is asked of executors: what WGSL promises, and what measurements of the shared formulas promise, with a margin.
fn accuracy(op: Unary) -> Accuracy {
    match op {
        Unary::Neg | Unary::Abs | Unary::Sign | Unary::Relu | Unary::Floor | Unary::Ceil | Unary::Round => {
            Accuracy::Exact
        }
        Unary::Not | Unary::IsFinite => Accuracy::Exact,
        Unary::Square => Accuracy::Correct,
        Unary::Exp | Unary::Log => Accuracy::Ulps(2.0),
        Unary::Expm1 | Unary::Log1p | Unary::Sqrt | Unary::Rsqrt | Unary::Reciprocal | Unary::Erf => {
            Accuracy::Ulps(3.0)
        }
        Unary::Tanh | Unary::Sigmoid | Unary::Softplus => Accuracy::Ulps(4.0),
        Unary::Erfinv => Accuracy::Ulps(5.0),
        Unary::Sin | Unary::Cos => Accuracy::Absolute(2.0 * ULP, 8192.0),
    }
}

/// The function over an interval of real numbers.
fn real(op: Unary, x: Approx, dtype: DType) -> Approx {
    let value = float(op, x.value);
    if op == Unary::IsFinite {
        return Approx::known(value, x.is_exact() || x.reach() <= largest(dtype));
    }
    if !x.is_bounded() || !value.is_finite() {
        return Approx::anything(value);
    }
    let spread = match op {
        _ if x.is_exact() => Approx::exact(value),
        Unary::Neg | Unary::Abs => Approx { value, radius: x.radius },
        Unary::Square => Approx { value, radius: x.radius * (x.value.abs() + x.reach()) },
        Unary::Sin | Unary::Cos => Approx { value, radius: x.radius.min(2.0) },
        Unary::Reciprocal if x.radius >= x.value.abs() => return Approx::anything(value),
        // The others rise, or fall, from end to end. An end outside of the domain gives NaN, and that gives anything.
        _ => Approx::between(value, float(op, x.low()), float(op, x.high())),
    };
    match accuracy(op) {
        Accuracy::Exact => spread,
        Accuracy::Correct => spread.correctly_rounded(dtype),
        Accuracy::Ulps(ulps) => spread.rounded(ulps, dtype),
        Accuracy::Absolute(_, limit) if x.reach() > limit => Approx::anything(value),
        Accuracy::Absolute(error, _) => Approx { value, radius: spread.radius + error }.rounded(0.0, dtype),
    }
}

/// The function on whole numbers of this type.
fn whole(op: Unary, x: Approx, dtype: DType) -> Approx {
    let v = x.value as i64;
    match op {
        Unary::Neg => Approx::whole(-v, x.radius, dtype),
        Unary::Abs => Approx::whole(v.abs(), x.radius, dtype),
        Unary::Sign | Unary::Relu => Approx::between(float(op, x.value), float(op, x.low()), float(op, x.high())),
        Unary::Square => Approx::known(wrap(v.wrapping_mul(v), dtype), x.is_exact()),
        Unary::Not if dtype == DType::Bool => Approx { value: truth(v == 0), radius: x.radius },
        Unary::Not => Approx::known(wrap(!v, dtype), x.is_exact()),
        other => Approx::known(float(other, x.value), x.is_exact()),
    }
}

/// The function on real numbers.
pub fn float(op: Unary, x: f64) -> f64 {
    match op {
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        Unary::Sign => match x {
            _ if x > 0.0 => 1.0,
            _ if x < 0.0 => -1.0,
            _ => x,
        },
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Expm1 => x.exp_m1(),
        Unary::Log1p => x.ln_1p(),
        Unary::Sqrt => x.sqrt(),
        Unary::Rsqrt => x.sqrt().recip(),
        Unary::Reciprocal => x.recip(),
        Unary::Square => x * x,
        Unary::Sin => x.sin(),
        Unary::Cos => x.cos(),
        Unary::Tanh => x.tanh(),
        Unary::Sigmoid => (1.0 + (-x).exp()).recip(),
        Unary::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
        Unary::Erf => erf(x),
        Unary::Erfinv => erfinv(x),
        Unary::Relu if x < 0.0 => 0.0,
        Unary::Relu => x,
        Unary::Floor => x.floor(),
        Unary::Ceil => x.ceil(),
        Unary::Round => x.round_ties_even(),
        Unary::Not => truth(x == 0.0),
        Unary::IsFinite => truth(x.is_finite()),
    }
}
