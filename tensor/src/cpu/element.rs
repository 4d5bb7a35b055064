//! The functions of one, two and three elements, over slices of registers. A register is a slice of 32-bit words; `Bool` is
//! 0 or 1. Results go to a slice of their own.

use super::simd::vectorised;
use crate::{
    dtype::DType,
    graph::{Binary, Unary},
};
use addax_shaders::math;
use half::{bf16, f16, slice::HalfFloatSliceExt};

/// An operand: one word for all elements, or a word for each.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operand<'a, T> {
    One(T),
    Many(&'a [T]),
}

impl<'a> Operand<'a, u32> {
    fn floats(self) -> Operand<'a, f32> {
        match self {
            Operand::One(word) => Operand::One(f32::from_bits(word)),
            Operand::Many(words) => Operand::Many(bytemuck::cast_slice(words)),
        }
    }
    fn ints(self) -> Operand<'a, i32> {
        match self {
            Operand::One(word) => Operand::One(word as i32),
            Operand::Many(words) => Operand::Many(bytemuck::cast_slice(words)),
        }
    }
}

#[inline(always)]
fn map<T: Copy, R>(to: &mut [R], a: &[T], f: impl Fn(T) -> R) {
    for (r, &x) in to.iter_mut().zip(a) {
        *r = f(x);
    }
}

#[inline(always)]
fn zip<T: Copy, R>(to: &mut [R], a: Operand<'_, T>, b: Operand<'_, T>, f: impl Fn(T, T) -> R) {
    match (a, b) {
        (Operand::Many(a), Operand::Many(b)) => {
            for (r, (&x, &y)) in to.iter_mut().zip(a.iter().zip(b)) {
                *r = f(x, y);
            }
        }
        (Operand::Many(a), Operand::One(y)) => map(to, a, |x| f(x, y)),
        (Operand::One(x), Operand::Many(b)) => map(to, b, |y| f(x, y)),
        (Operand::One(x), Operand::One(y)) => to.iter_mut().for_each(|r| *r = f(x, y)),
    }
}

/// One element to one. `dtype` is the operand's type.
#[inline(always)]
pub(super) fn unary(op: Unary, dtype: DType, to: &mut [u32], a: &[u32]) {
    match dtype {
        DType::F32 => unary_float(op, to, bytemuck::cast_slice(a)),
        DType::I32 => unary_int(op, bytemuck::cast_slice_mut(to), bytemuck::cast_slice(a)),
        DType::Bool => map(to, a, |x| x ^ 1),
        _ => unary_uint(op, to, a),
    }
}

vectorised! {
    fn unary_float(op: Unary, to: &mut [u32], a: &[f32]) {
        if op == Unary::IsFinite {
            return map(to, a, |x| u32::from(math::is_finite(x)));
        }
        let to: &mut [f32] = bytemuck::cast_slice_mut(to);
        match op {
            Unary::Neg => map(to, a, |x| -x),
            Unary::Abs => map(to, a, |x| x.abs()),
            // The comparison is false for NaN and 0, which stay what they are.
            Unary::Sign => map(to, a, |x| if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { x }),
            Unary::Exp => map(to, a, math::exp),
            Unary::Log => map(to, a, math::log),
            Unary::Expm1 => map(to, a, math::expm1),
            Unary::Log1p => map(to, a, math::log1p),
            Unary::Sqrt => map(to, a, |x| x.sqrt()),
            Unary::Rsqrt => map(to, a, |x| 1.0 / x.sqrt()),
            Unary::Reciprocal => map(to, a, |x| 1.0 / x),
            Unary::Square => map(to, a, |x| x * x),
            Unary::Sin => map(to, a, math::sin),
            Unary::Cos => map(to, a, math::cos),
            Unary::Tanh => map(to, a, math::tanh),
            Unary::Sigmoid => map(to, a, math::sigmoid),
            Unary::Softplus => map(to, a, math::softplus),
            Unary::Erf => map(to, a, math::erf),
            Unary::Erfinv => map(to, a, math::erfinv),
            Unary::Relu => map(to, a, |x| if x < 0.0 { 0.0 } else { x }),
            Unary::Floor => map(to, a, |x| x.floor()),
            Unary::Ceil => map(to, a, |x| x.ceil()),
            Unary::Round => map(to, a, |x| x.round_ties_even()),
            // Refused when the program is made.
            Unary::Not | Unary::IsFinite => {}
        }
    }
    fn unary_int(op: Unary, to: &mut [i32], a: &[i32]) {
        match op {
            Unary::Neg => map(to, a, |x| x.wrapping_neg()),
            Unary::Abs => map(to, a, |x| x.wrapping_abs()),
            Unary::Sign => map(to, a, |x| x.signum()),
            Unary::Square => map(to, a, |x| x.wrapping_mul(x)),
            Unary::Relu => map(to, a, |x| x.max(0)),
            Unary::Not => map(to, a, |x| !x),
            // Refused when the program is made.
            _ => {}
        }
    }
    fn unary_uint(op: Unary, to: &mut [u32], a: &[u32]) {
        match op {
            Unary::Neg => map(to, a, |x| x.wrapping_neg()),
            Unary::Abs | Unary::Relu => map(to, a, |x| x),
            Unary::Sign => map(to, a, |x| x.min(1)),
            Unary::Square => map(to, a, |x| x.wrapping_mul(x)),
            Unary::Not => map(to, a, |x| !x),
            // Refused when the program is made.
            _ => {}
        }
    }
}

/// `second(first(a, b), c)` of floats, or `second(c, first(a, b))` if turned: `first` adds, subtracts or multiplies, `second`
/// may divide too.
#[inline(always)]
pub(super) fn pair(
    how: (Binary, Binary, bool),
    to: &mut [u32],
    a: Operand<'_, u32>,
    b: Operand<'_, u32>,
    c: Operand<'_, u32>,
) {
    pair_float(how, bytemuck::cast_slice_mut(to), a.floats(), b.floats(), c.floats());
}

/// `compare(a, b) ? yes : no` of floats: `compare` is `Lt` or `Le`.
#[inline(always)]
pub(super) fn choose(compare: Binary, to: &mut [u32], [a, b]: [Operand<'_, u32>; 2], [yes, no]: [Operand<'_, u32>; 2]) {
    choose_float(compare, to, [a.floats(), b.floats()], [yes, no]);
}

/// Three elements to one; not all operands are one word.
#[inline(always)]
fn zip3<T: Copy, U: Copy, R>(
    to: &mut [R],
    a: Operand<'_, T>,
    b: Operand<'_, T>,
    c: Operand<'_, U>,
    f: impl Fn(T, T, U) -> R,
) {
    match (a, b) {
        (Operand::Many(a), Operand::Many(b)) => match c {
            Operand::Many(c) => {
                for ((r, &z), (&x, &y)) in to.iter_mut().zip(c).zip(a.iter().zip(b)) {
                    *r = f(x, y, z);
                }
            }
            Operand::One(z) => zip(to, Operand::Many(a), Operand::Many(b), |x, y| f(x, y, z)),
        },
        (Operand::Many(a), Operand::One(y)) => match c {
            Operand::Many(c) => {
                for ((r, &z), &x) in to.iter_mut().zip(c).zip(a) {
                    *r = f(x, y, z);
                }
            }
            Operand::One(z) => map(to, a, |x| f(x, y, z)),
        },
        (Operand::One(x), Operand::Many(b)) => match c {
            Operand::Many(c) => {
                for ((r, &z), &y) in to.iter_mut().zip(c).zip(b) {
                    *r = f(x, y, z);
                }
            }
            Operand::One(z) => map(to, b, |y| f(x, y, z)),
        },
        (Operand::One(x), Operand::One(y)) => match c {
            Operand::Many(c) => map(to, c, |z| f(x, y, z)),
            Operand::One(z) => to.iter_mut().for_each(|r| *r = f(x, y, z)),
        },
    }
}

vectorised! {
    fn pair_float(
        how: (Binary, Binary, bool),
        to: &mut [f32],
        a: Operand<'_, f32>,
        b: Operand<'_, f32>,
        c: Operand<'_, f32>,
    ) {
        match how {
            (Binary::Add, Binary::Add, _) => zip3(to, a, b, c, |x, y, z| (x + y) + z),
            (Binary::Add, Binary::Mul, _) => zip3(to, a, b, c, |x, y, z| (x + y) * z),
            (Binary::Add, Binary::Sub, false) => zip3(to, a, b, c, |x, y, z| (x + y) - z),
            (Binary::Add, Binary::Sub, true) => zip3(to, a, b, c, |x, y, z| z - (x + y)),
            (Binary::Add, Binary::Div, false) => zip3(to, a, b, c, |x, y, z| (x + y) / z),
            (Binary::Add, Binary::Div, true) => zip3(to, a, b, c, |x, y, z| z / (x + y)),
            (Binary::Sub, Binary::Add, _) => zip3(to, a, b, c, |x, y, z| (x - y) + z),
            (Binary::Sub, Binary::Mul, _) => zip3(to, a, b, c, |x, y, z| (x - y) * z),
            (Binary::Sub, Binary::Sub, false) => zip3(to, a, b, c, |x, y, z| (x - y) - z),
            (Binary::Sub, Binary::Sub, true) => zip3(to, a, b, c, |x, y, z| z - (x - y)),
            (Binary::Sub, Binary::Div, false) => zip3(to, a, b, c, |x, y, z| (x - y) / z),
            (Binary::Sub, Binary::Div, true) => zip3(to, a, b, c, |x, y, z| z / (x - y)),
            (Binary::Mul, Binary::Add, _) => zip3(to, a, b, c, |x, y, z| (x * y) + z),
            (Binary::Mul, Binary::Mul, _) => zip3(to, a, b, c, |x, y, z| (x * y) * z),
            (Binary::Mul, Binary::Sub, false) => zip3(to, a, b, c, |x, y, z| (x * y) - z),
            (Binary::Mul, Binary::Sub, true) => zip3(to, a, b, c, |x, y, z| z - (x * y)),
            (Binary::Mul, Binary::Div, false) => zip3(to, a, b, c, |x, y, z| (x * y) / z),
            (Binary::Mul, Binary::Div, true) => zip3(to, a, b, c, |x, y, z| z / (x * y)),
            // No other pairs are made.
            _ => {}
        }
    }
    fn choose_float(compare: Binary, to: &mut [u32], of: [Operand<'_, f32>; 2], from: [Operand<'_, u32>; 2]) {
        match compare {
            Binary::Lt => choose_by(to, of, from, |x, y| x < y),
            _ => choose_by(to, of, from, |x, y| x <= y),
        }
    }
}

#[inline(always)]
fn choose_by(
    to: &mut [u32],
    [a, b]: [Operand<'_, f32>; 2],
    [yes, no]: [Operand<'_, u32>; 2],
    holds: impl Fn(f32, f32) -> bool,
) {
    match (yes, no) {
        (Operand::One(yes), Operand::One(no)) => zip(to, a, b, |x, y| if holds(x, y) { yes } else { no }),
        (Operand::Many(_), Operand::One(no)) => zip3(to, a, b, yes, |x, y, z| if holds(x, y) { z } else { no }),
        (Operand::One(yes), Operand::Many(_)) => zip3(to, a, b, no, |x, y, z| if holds(x, y) { yes } else { z }),
        (Operand::Many(yes), Operand::Many(no)) => {
            let of = to.iter_mut().zip(yes.iter().zip(no));
            match (a, b) {
                (Operand::Many(a), Operand::Many(b)) => {
                    for ((r, (&p, &q)), (&x, &y)) in of.zip(a.iter().zip(b)) {
                        *r = if holds(x, y) { p } else { q };
                    }
                }
                (Operand::Many(a), Operand::One(y)) => {
                    for ((r, (&p, &q)), &x) in of.zip(a) {
                        *r = if holds(x, y) { p } else { q };
                    }
                }
                (Operand::One(x), Operand::Many(b)) => {
                    for ((r, (&p, &q)), &y) in of.zip(b) {
                        *r = if holds(x, y) { p } else { q };
                    }
                }
                (Operand::One(x), Operand::One(y)) => to.copy_from_slice(if holds(x, y) { yes } else { no }),
            }
        }
    }
}

/// Two elements to one. `dtype` is the operands' type.
#[inline(always)]
pub(super) fn binary(op: Binary, dtype: DType, to: &mut [u32], a: Operand<'_, u32>, b: Operand<'_, u32>) {
    match dtype {
        DType::F32 if op.is_comparison() => compare_float(op, to, a.floats(), b.floats()),
        DType::F32 => binary_float(op, bytemuck::cast_slice_mut(to), a.floats(), b.floats()),
        DType::I32 if op.is_comparison() => compare_int(op, to, a.ints(), b.ints()),
        DType::I32 => binary_int(op, bytemuck::cast_slice_mut(to), a.ints(), b.ints()),
        _ => binary_uint(op, to, a, b),
    }
}

vectorised! {
    fn binary_float(op: Binary, to: &mut [f32], a: Operand<'_, f32>, b: Operand<'_, f32>) {
        match op {
            Binary::Add => zip(to, a, b, |x, y| x + y),
            Binary::Sub => zip(to, a, b, |x, y| x - y),
            Binary::Mul => zip(to, a, b, |x, y| x * y),
            Binary::Div => zip(to, a, b, |x, y| x / y),
            Binary::Rem => zip(to, a, b, |x, y| x % y),
            Binary::Pow => zip(to, a, b, math::pow),
            // NaN in either operand is the result.
            Binary::Max => zip(to, a, b, |x, y| if x > y || math::is_nan(x) { x } else { y }),
            Binary::Min => zip(to, a, b, |x, y| if x < y || math::is_nan(x) { x } else { y }),
            // Refused when the program is made.
            _ => {}
        }
    }
    fn compare_float(op: Binary, to: &mut [u32], a: Operand<'_, f32>, b: Operand<'_, f32>) {
        match op {
            Binary::Eq => zip(to, a, b, |x, y| u32::from(x == y)),
            Binary::Ne => zip(to, a, b, |x, y| u32::from(x != y)),
            Binary::Lt => zip(to, a, b, |x, y| u32::from(x < y)),
            _ => zip(to, a, b, |x, y| u32::from(x <= y)),
        }
    }
    fn binary_int(op: Binary, to: &mut [i32], a: Operand<'_, i32>, b: Operand<'_, i32>) {
        match op {
            Binary::Add => zip(to, a, b, |x, y| x.wrapping_add(y)),
            Binary::Sub => zip(to, a, b, |x, y| x.wrapping_sub(y)),
            Binary::Mul => zip(to, a, b, |x, y| x.wrapping_mul(y)),
            Binary::Div => zip(to, a, b, |x, y| if y == 0 { 0 } else { x.wrapping_div(y) }),
            Binary::Rem => zip(to, a, b, |x, y| if y == 0 { 0 } else { x.wrapping_rem(y) }),
            Binary::Max => zip(to, a, b, |x, y| x.max(y)),
            Binary::Min => zip(to, a, b, |x, y| x.min(y)),
            Binary::And => zip(to, a, b, |x, y| x & y),
            Binary::Or => zip(to, a, b, |x, y| x | y),
            Binary::Xor => zip(to, a, b, |x, y| x ^ y),
            Binary::Shl => zip(to, a, b, |x, y| x.wrapping_shl(y as u32)),
            Binary::Shr => zip(to, a, b, |x, y| x.wrapping_shr(y as u32)),
            // Refused when the program is made.
            _ => {}
        }
    }
    fn compare_int(op: Binary, to: &mut [u32], a: Operand<'_, i32>, b: Operand<'_, i32>) {
        match op {
            Binary::Eq => zip(to, a, b, |x, y| u32::from(x == y)),
            Binary::Ne => zip(to, a, b, |x, y| u32::from(x != y)),
            Binary::Lt => zip(to, a, b, |x, y| u32::from(x < y)),
            _ => zip(to, a, b, |x, y| u32::from(x <= y)),
        }
    }
    // Also for `Bool`, whose words are 0 and 1.
    fn binary_uint(op: Binary, to: &mut [u32], a: Operand<'_, u32>, b: Operand<'_, u32>) {
        match op {
            Binary::Add => zip(to, a, b, |x, y| x.wrapping_add(y)),
            Binary::Sub => zip(to, a, b, |x, y| x.wrapping_sub(y)),
            Binary::Mul => zip(to, a, b, |x, y| x.wrapping_mul(y)),
            Binary::Div => zip(to, a, b, |x, y| x.checked_div(y).unwrap_or(0)),
            Binary::Rem => zip(to, a, b, |x, y| x.checked_rem(y).unwrap_or(0)),
            Binary::Max => zip(to, a, b, |x, y| x.max(y)),
            Binary::Min => zip(to, a, b, |x, y| x.min(y)),
            Binary::And => zip(to, a, b, |x, y| x & y),
            Binary::Or => zip(to, a, b, |x, y| x | y),
            Binary::Xor => zip(to, a, b, |x, y| x ^ y),
            Binary::Shl => zip(to, a, b, |x, y| x.wrapping_shl(y)),
            Binary::Shr => zip(to, a, b, |x, y| x.wrapping_shr(y)),
            Binary::Eq => zip(to, a, b, |x, y| u32::from(x == y)),
            Binary::Ne => zip(to, a, b, |x, y| u32::from(x != y)),
            Binary::Lt => zip(to, a, b, |x, y| u32::from(x < y)),
            Binary::Le => zip(to, a, b, |x, y| u32::from(x <= y)),
            Binary::Pow => {}
        }
    }
    /// `condition ? a : b` where the condition is given for each element.
    pub(super) fn select(to: &mut [u32], condition: &[u32], a: Operand<'_, u32>, b: Operand<'_, u32>) {
        match (a, b) {
            (Operand::Many(a), Operand::Many(b)) => {
                for ((r, &c), (&x, &y)) in to.iter_mut().zip(condition).zip(a.iter().zip(b)) {
                    *r = if c != 0 { x } else { y };
                }
            }
            (Operand::Many(a), Operand::One(y)) => {
                for ((r, &c), &x) in to.iter_mut().zip(condition).zip(a) {
                    *r = if c != 0 { x } else { y };
                }
            }
            (Operand::One(x), Operand::Many(b)) => {
                for ((r, &c), &y) in to.iter_mut().zip(condition).zip(b) {
                    *r = if c != 0 { x } else { y };
                }
            }
            (Operand::One(x), Operand::One(y)) => map(to, condition, |c| if c != 0 { x } else { y }),
        }
    }
    fn cast_once(from: DType, dtype: DType, to: &mut [u32], a: &[u32]) {
        match (from, dtype) {
            (DType::F32, DType::F16) => round_half(bytemuck::cast_slice_mut(to), bytemuck::cast_slice(a)),
            (DType::F32, DType::BF16) => map(to, a, |x| u32::from(bf16_bits(x)) << 16),
            (DType::F32, DType::I32) => map(to, a, |x| f32::from_bits(x) as i32 as u32),
            (DType::F32, DType::U32) => map(to, a, |x| f32::from_bits(x) as u32),
            (DType::F32, DType::U8) => map(to, a, |x| u32::from(f32::from_bits(x) as u8)),
            (DType::F32, DType::Bool) => map(to, a, |x| u32::from(f32::from_bits(x) != 0.0)),
            (DType::I32, DType::F32) => map(to, a, |x| (x as i32 as f32).to_bits()),
            (DType::U32 | DType::Bool, DType::F32) => map(to, a, |x| (x as f32).to_bits()),
            (DType::I32 | DType::U32, DType::U8) => map(to, a, |x| x & 0xff),
            (DType::I32 | DType::U32, DType::Bool) => map(to, a, |x| u32::from(x != 0)),
            _ => map(to, a, |x| x),
        }
    }
}

/// From a compute type to what the storage type `dtype` can hold, in that type's compute type.
///
/// Floats become integers by rounding toward zero; what does not fit saturates, NaN gives 0. Integers become `U8`
/// modulo 256. `Bool` is whether the value is not 0.
pub(super) fn cast(from: DType, dtype: DType, to: &mut [u32], a: &[u32]) {
    if from == DType::F32 || !matches!(dtype, DType::F16 | DType::BF16) {
        return cast_once(from, dtype, to, a);
    }
    let mut floats = [0; 256];
    for (to, a) in to.chunks_mut(floats.len()).zip(a.chunks(floats.len())) {
        let floats = &mut floats[..a.len()];
        cast_once(from, DType::F32, floats, a);
        cast_once(DType::F32, dtype, to, floats);
    }
}

#[inline(always)]
fn round_half(to: &mut [f32], a: &[f32]) {
    let mut narrow = [f16::ZERO; 256];
    for (to, a) in to.chunks_mut(256).zip(a.chunks(256)) {
        let narrow = &mut narrow[..a.len().min(256)];
        narrow.convert_from_f32_slice(a);
        narrow.convert_to_f32_slice(to);
    }
}

/// The upper half of a float, rounded to nearest even; NaN stays NaN.
#[inline(always)]
pub(super) fn bf16_bits(word: u32) -> u16 {
    let rounded = word.wrapping_add(0x7fff + ((word >> 16) & 1));
    let nan = word & 0x7fff_ffff > 0x7f80_0000;
    ((if nan { word | 0x0040_0000 } else { rounded }) >> 16) as u16
}

vectorised! {
    /// Widens stored elements.
    pub(super) fn widen_bf16(to: &mut [u32], from: &[bf16]) {
        map(to, from, |x| u32::from(x.to_bits()) << 16);
    }
    /// Widens stored elements.
    pub(super) fn widen_bytes(to: &mut [u32], from: &[u8]) {
        map(to, from, u32::from);
    }
    /// Widens stored truth values.
    pub(super) fn widen_bools(to: &mut [u32], from: &[u8]) {
        map(to, from, |x| u32::from(x != 0));
    }
    /// Rounds words to stored elements.
    pub(super) fn narrow_bf16(to: &mut [u16], from: &[u32]) {
        map(to, from, bf16_bits);
    }
    /// Cuts words to stored elements.
    pub(super) fn narrow_bytes(to: &mut [u8], from: &[u32]) {
        map(to, from, |x| x as u8);
    }
}
