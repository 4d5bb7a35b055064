//! Functions of one element.

use super::{
    Ranged,
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
    Ranged::build(meta, |i| {
        let v = x.value[i];
        match dtype.is_float() {
            true => (float(op, v), 0.0),
            false => (integer(op, v, dtype), 0.0),
        }
    })
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
        Unary::Relu => {
            if x < 0.0 {
                0.0
            } else {
                x
            }
        }
        Unary::Floor => x.floor(),
        Unary::Ceil => x.ceil(),
        Unary::Round => x.round_ties_even(),
        Unary::Not => truth(x == 0.0),
        Unary::IsFinite => truth(x.is_finite()),
    }
}

/// The function on whole numbers of this type.
fn integer(op: Unary, x: f64, dtype: DType) -> f64 {
    let v = x as i64;
    match op {
        Unary::Neg => wrap(v.wrapping_neg(), dtype),
        Unary::Abs => wrap(v.abs(), dtype),
        Unary::Sign => v.signum() as f64,
        Unary::Square => wrap(v.wrapping_mul(v), dtype),
        Unary::Relu => v.max(0) as f64,
        Unary::Not if dtype == DType::Bool => truth(v == 0),
        Unary::Not => wrap(!v, dtype),
        other => float(other, x),
    }
}
