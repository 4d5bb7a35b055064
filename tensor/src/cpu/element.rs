//! The functions of elements. A register is a slice of 32-bit words; `Bool` is 0 or 1.
//!
//! Each is a type, so that functions of functions are functions too: a pair of instructions is one loop. The arithmetic stays
//! that of its parts.

use super::{
    lanes::{Function, Loop, OPERANDS, Source, kernel},
    memory::Mem,
    simd::vectorised,
};
use crate::{
    dtype::DType,
    graph::{Binary, Unary},
};
use addax_shaders::math::{
    self,
    formulas::{self, MulAdd, Separate},
};
use half::{bf16, f16, slice::HalfFloatSliceExt};
use std::marker::PhantomData;

/// An operand: one word for all elements, or a word for each.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operand<'a, T> {
    One(T),
    Many(&'a [T]),
}

#[inline(always)]
fn map<T: Copy, R>(to: &mut [R], a: &[T], f: impl Fn(T) -> R) {
    for (r, &x) in to.iter_mut().zip(a) {
        *r = f(x);
    }
}

/// What a word can stand for.
trait Word: Copy {
    fn of(word: u32) -> Self;
    fn word(self) -> u32;
}

macro_rules! words {
    ($($type:ty: $of:expr, $word:expr;)*) => {$(
        impl Word for $type {
            #[inline(always)]
            fn of(word: u32) -> $type {
                $of(word)
            }
            #[inline(always)]
            fn word(self) -> u32 {
                $word(self)
            }
        }
    )*};
}

words! {
    f32: f32::from_bits, f32::to_bits;
    u32: |word| word, |word| word;
    i32: |word| word as i32, |word| word as u32;
    bool: |word| word != 0, u32::from;
}

/// Defines functions: name, operands and formula. `M` says how products and sums are rounded.
macro_rules! functions {
    ($($(($long:ident))? $name:ident($($x:ident: $type:ty),*) = $formula:expr;)*) => {$(
        struct $name;
        impl Function<{ [$(stringify!($x)),*].len() }> for $name {
            $(const LONG: bool = stringify!($long).len() == 4;)?
            #[inline(always)]
            fn of<M: MulAdd>([$($x),*]: [u32; [$(stringify!($x)),*].len()]) -> u32 {
                $(let $x = <$type>::of($x);)*
                Word::word($formula)
            }
        }
    )*};
}

functions! {
    Same(x: u32) = x;
    FloatNeg(x: f32) = -x;
    FloatAbs(x: f32) = x.abs();
    // The comparison is false for NaN and 0, which stay what they are.
    FloatSign(x: f32) = if x.abs() > 0.0 { 1.0_f32.copysign(x) } else { x };
    (long) Exp(x: f32) = formulas::exp::<M>(x);
    (long) Log(x: f32) = formulas::log::<M>(x);
    (long) Expm1(x: f32) = formulas::expm1::<M>(x);
    (long) Log1p(x: f32) = formulas::log1p::<M>(x);
    FloatSqrt(x: f32) = x.sqrt();
    Rsqrt(x: f32) = 1.0 / x.sqrt();
    Reciprocal(x: f32) = 1.0 / x;
    FloatSquare(x: f32) = x * x;
    (long) Sin(x: f32) = formulas::sin::<M>(x);
    (long) Cos(x: f32) = formulas::cos::<M>(x);
    (long) Tanh(x: f32) = formulas::tanh::<M>(x);
    (long) Sigmoid(x: f32) = formulas::sigmoid::<M>(x);
    (long) Softplus(x: f32) = formulas::softplus::<M>(x);
    (long) Erf(x: f32) = formulas::erf::<M>(x);
    (long) Erfinv(x: f32) = formulas::erfinv::<M>(x);
    FloatRelu(x: f32) = if x < 0.0 { 0.0 } else { x };
    Floor(x: f32) = x.floor();
    Ceil(x: f32) = x.ceil();
    Round(x: f32) = x.round_ties_even();
    IsFinite(x: f32) = math::is_finite(x);
    IntNeg(x: i32) = x.wrapping_neg();
    IntAbs(x: i32) = x.wrapping_abs();
    IntSign(x: i32) = x.signum();
    IntSquare(x: i32) = x.wrapping_mul(x);
    IntRelu(x: i32) = x.max(0);
    UintSign(x: u32) = x.min(1);
    BitsNot(x: u32) = !x;
    BoolNot(x: u32) = x ^ 1;

    FloatAdd(x: f32, y: f32) = x + y;
    FloatSub(x: f32, y: f32) = x - y;
    FloatMul(x: f32, y: f32) = x * y;
    FloatDiv(x: f32, y: f32) = x / y;
    (long) FloatRem(x: f32, y: f32) = x % y;
    (long) Pow(x: f32, y: f32) = formulas::pow::<M>(x, y);
    // NaN in either operand is the result.
    FloatMax(x: f32, y: f32) = if x > y || math::is_nan(x) { x } else { y };
    FloatMin(x: f32, y: f32) = if x < y || math::is_nan(x) { x } else { y };
    FloatEq(x: f32, y: f32) = x == y;
    FloatNe(x: f32, y: f32) = x != y;
    FloatLt(x: f32, y: f32) = x < y;
    FloatLe(x: f32, y: f32) = x <= y;
    // Sums, differences and products of whole numbers have the same bits with a sign and without.
    IntAdd(x: u32, y: u32) = x.wrapping_add(y);
    IntSub(x: u32, y: u32) = x.wrapping_sub(y);
    IntMul(x: u32, y: u32) = x.wrapping_mul(y);
    (long) IntDiv(x: i32, y: i32) = if y == 0 { 0 } else { x.wrapping_div(y) };
    (long) IntRem(x: i32, y: i32) = if y == 0 { 0 } else { x.wrapping_rem(y) };
    (long) UintDiv(x: u32, y: u32) = x.checked_div(y).unwrap_or(0);
    (long) UintRem(x: u32, y: u32) = x.checked_rem(y).unwrap_or(0);
    IntMax(x: i32, y: i32) = x.max(y);
    IntMin(x: i32, y: i32) = x.min(y);
    UintMax(x: u32, y: u32) = x.max(y);
    UintMin(x: u32, y: u32) = x.min(y);
    IntLt(x: i32, y: i32) = x < y;
    IntLe(x: i32, y: i32) = x <= y;
    UintLt(x: u32, y: u32) = x < y;
    UintLe(x: u32, y: u32) = x <= y;
    BitsEq(x: u32, y: u32) = x == y;
    BitsNe(x: u32, y: u32) = x != y;
    And(x: u32, y: u32) = x & y;
    Or(x: u32, y: u32) = x | y;
    Xor(x: u32, y: u32) = x ^ y;
    Shl(x: u32, y: u32) = x.wrapping_shl(y);
    IntShr(x: i32, y: u32) = x.wrapping_shr(y);
    UintShr(x: u32, y: u32) = x.wrapping_shr(y);

    Select(condition: bool, yes: u32, no: u32) = if condition { yes } else { no };

    FloatToInt(x: f32) = x as i32;
    FloatToUint(x: f32) = x as u32;
    FloatToByte(x: f32) = u32::from(x as u8);
    FloatToBool(x: f32) = x != 0.0;
    FloatToBf16(x: u32) = u32::from(bf16_bits(x)) << 16;
    IntToFloat(x: i32) = x as f32;
    UintToFloat(x: u32) = x as f32;
    ToByte(x: u32) = x & 0xff;
    ToBool(x: u32) = x != 0;
}

/// `G(F(x..))`.
struct After<F, G>(PhantomData<(F, G)>);

impl<F: Function<N>, G: Function<1>, const N: usize> Function<N> for After<F, G> {
    const LONG: bool = F::LONG || G::LONG;
    #[inline(always)]
    fn of<M: MulAdd>(words: [u32; N]) -> u32 {
        G::of::<M>([F::of::<M>(words)])
    }
}

/// `G(F(x..), y)`.
struct Then<F, G>(PhantomData<(F, G)>);

/// `G(y, F(x..))`.
struct Turned<F, G>(PhantomData<(F, G)>);

macro_rules! compositions {
    ($($inner:literal + 1 = $all:literal: $($x:ident),*;)*) => {$(
        impl<F: Function<$inner>, G: Function<2>> Function<$all> for Then<F, G> {
            #[inline(always)]
            fn of<M: MulAdd>([$($x),*, y]: [u32; $all]) -> u32 {
                G::of::<M>([F::of::<M>([$($x),*]), y])
            }
        }
        impl<F: Function<$inner>, G: Function<2>> Function<$all> for Turned<F, G> {
            #[inline(always)]
            fn of<M: MulAdd>([$($x),*, y]: [u32; $all]) -> u32 {
                G::of::<M>([y, F::of::<M>([$($x),*])])
            }
        }
    )*};
}

compositions! {
    1 + 1 = 2: a;
    2 + 1 = 3: a, b;
    3 + 1 = 4: a, b, c;
}

/// `F(a, b) ? yes : no`.
struct Choose<F>(PhantomData<F>);

impl<F: Function<2>> Function<4> for Choose<F> {
    #[inline(always)]
    fn of<M: MulAdd>([a, b, yes, no]: [u32; 4]) -> u32 {
        if F::of::<M>([a, b]) != 0 { yes } else { no }
    }
}

/// The loop of a function of one element of this type. What no type has was refused when the program was made.
pub(super) fn unary(op: Unary, dtype: DType) -> Loop {
    match dtype {
        DType::F32 => unary_float(op),
        DType::I32 => match op {
            Unary::Neg => kernel::<IntNeg, 1>(),
            Unary::Abs => kernel::<IntAbs, 1>(),
            Unary::Sign => kernel::<IntSign, 1>(),
            Unary::Square => kernel::<IntSquare, 1>(),
            Unary::Relu => kernel::<IntRelu, 1>(),
            Unary::Not => kernel::<BitsNot, 1>(),
            _ => kernel::<Same, 1>(),
        },
        DType::Bool => kernel::<BoolNot, 1>(),
        _ => match op {
            Unary::Neg => kernel::<IntNeg, 1>(),
            Unary::Sign => kernel::<UintSign, 1>(),
            Unary::Square => kernel::<IntSquare, 1>(),
            Unary::Not => kernel::<BitsNot, 1>(),
            _ => kernel::<Same, 1>(),
        },
    }
}

fn unary_float(op: Unary) -> Loop {
    match op {
        Unary::Neg => kernel::<FloatNeg, 1>(),
        Unary::Abs => kernel::<FloatAbs, 1>(),
        Unary::Sign => kernel::<FloatSign, 1>(),
        Unary::Exp => kernel::<Exp, 1>(),
        Unary::Log => kernel::<Log, 1>(),
        Unary::Expm1 => kernel::<Expm1, 1>(),
        Unary::Log1p => kernel::<Log1p, 1>(),
        Unary::Sqrt => kernel::<FloatSqrt, 1>(),
        Unary::Rsqrt => kernel::<Rsqrt, 1>(),
        Unary::Reciprocal => kernel::<Reciprocal, 1>(),
        Unary::Square => kernel::<FloatSquare, 1>(),
        Unary::Sin => kernel::<Sin, 1>(),
        Unary::Cos => kernel::<Cos, 1>(),
        Unary::Tanh => kernel::<Tanh, 1>(),
        Unary::Sigmoid => kernel::<Sigmoid, 1>(),
        Unary::Softplus => kernel::<Softplus, 1>(),
        Unary::Erf => kernel::<Erf, 1>(),
        Unary::Erfinv => kernel::<Erfinv, 1>(),
        Unary::Relu => kernel::<FloatRelu, 1>(),
        Unary::Floor => kernel::<Floor, 1>(),
        Unary::Ceil => kernel::<Ceil, 1>(),
        Unary::Round => kernel::<Round, 1>(),
        Unary::IsFinite => kernel::<IsFinite, 1>(),
        Unary::Not => kernel::<Same, 1>(),
    }
}

/// The loop of a function of two elements of this type.
pub(super) fn binary(op: Binary, dtype: DType) -> Loop {
    match dtype {
        DType::F32 => match op {
            Binary::Add => kernel::<FloatAdd, 2>(),
            Binary::Sub => kernel::<FloatSub, 2>(),
            Binary::Mul => kernel::<FloatMul, 2>(),
            Binary::Div => kernel::<FloatDiv, 2>(),
            Binary::Rem => kernel::<FloatRem, 2>(),
            Binary::Pow => kernel::<Pow, 2>(),
            Binary::Max => kernel::<FloatMax, 2>(),
            Binary::Min => kernel::<FloatMin, 2>(),
            Binary::Eq => kernel::<FloatEq, 2>(),
            Binary::Ne => kernel::<FloatNe, 2>(),
            Binary::Lt => kernel::<FloatLt, 2>(),
            _ => kernel::<FloatLe, 2>(),
        },
        DType::I32 => match op {
            Binary::Div => kernel::<IntDiv, 2>(),
            Binary::Rem => kernel::<IntRem, 2>(),
            Binary::Max => kernel::<IntMax, 2>(),
            Binary::Min => kernel::<IntMin, 2>(),
            Binary::Lt => kernel::<IntLt, 2>(),
            Binary::Le => kernel::<IntLe, 2>(),
            Binary::Shr => kernel::<IntShr, 2>(),
            _ => binary_bits(op),
        },
        // Also for `Bool`, whose words are 0 and 1.
        _ => match op {
            Binary::Div => kernel::<UintDiv, 2>(),
            Binary::Rem => kernel::<UintRem, 2>(),
            Binary::Max => kernel::<UintMax, 2>(),
            Binary::Min => kernel::<UintMin, 2>(),
            Binary::Lt => kernel::<UintLt, 2>(),
            Binary::Le => kernel::<UintLe, 2>(),
            Binary::Shr => kernel::<UintShr, 2>(),
            _ => binary_bits(op),
        },
    }
}

/// What is the same with a sign and without.
fn binary_bits(op: Binary) -> Loop {
    match op {
        Binary::Add => kernel::<IntAdd, 2>(),
        Binary::Sub => kernel::<IntSub, 2>(),
        Binary::Mul => kernel::<IntMul, 2>(),
        Binary::And => kernel::<And, 2>(),
        Binary::Or => kernel::<Or, 2>(),
        Binary::Xor => kernel::<Xor, 2>(),
        Binary::Shl => kernel::<Shl, 2>(),
        Binary::Ne => kernel::<BitsNe, 2>(),
        _ => kernel::<BitsEq, 2>(),
    }
}

/// The loop of `condition ? yes : no`.
pub(super) fn select() -> Loop {
    kernel::<Select, 3>()
}

/// How a function of two floats uses what a loop has computed so far, and another operand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outer {
    pub op: Binary,
    /// Whether the other operand comes first.
    pub turned: bool,
}

/// The loop of `second(first(a, b), c)` of floats, where there is one.
pub(super) fn pair(first: Binary, second: Outer) -> Option<Loop> {
    match first {
        Binary::Add => outer::<FloatAdd, 2, 3>(second),
        Binary::Sub => outer::<FloatSub, 2, 3>(second),
        Binary::Mul => outer::<FloatMul, 2, 3>(second),
        _ => None,
    }
}

/// The loop of `third(second(first(a, b), c), d)` of floats, where there is one.
pub(super) fn triple(first: Binary, second: Outer, third: Outer) -> Option<Loop> {
    match first {
        Binary::Add => triple_with::<FloatAdd>(second, third),
        Binary::Sub => triple_with::<FloatSub>(second, third),
        Binary::Mul => triple_with::<FloatMul>(second, third),
        _ => None,
    }
}

fn triple_with<F: Function<2>>(second: Outer, third: Outer) -> Option<Loop> {
    match (second.op, second.turned) {
        (Binary::Add, _) => outer::<Then<F, FloatAdd>, 3, 4>(third),
        (Binary::Mul, _) => outer::<Then<F, FloatMul>, 3, 4>(third),
        (Binary::Sub, false) => outer::<Then<F, FloatSub>, 3, 4>(third),
        (Binary::Sub, true) => outer::<Turned<F, FloatSub>, 3, 4>(third),
        (Binary::Div, false) => outer::<Then<F, FloatDiv>, 3, 4>(third),
        _ => None,
    }
}

/// The loop of `second(first(a), b)` of floats, where there is one.
pub(super) fn over(first: Unary, second: Outer) -> Option<Loop> {
    match first {
        Unary::Sqrt => outer::<FloatSqrt, 1, 2>(second),
        Unary::Relu => outer::<FloatRelu, 1, 2>(second),
        Unary::Abs => outer::<FloatAbs, 1, 2>(second),
        _ => None,
    }
}

fn outer<F: Function<N>, const N: usize, const ALL: usize>(outer: Outer) -> Option<Loop>
where
    Then<F, FloatAdd>: Function<ALL>,
    Then<F, FloatMul>: Function<ALL>,
    Then<F, FloatSub>: Function<ALL>,
    Turned<F, FloatSub>: Function<ALL>,
    Then<F, FloatDiv>: Function<ALL>,
    Turned<F, FloatDiv>: Function<ALL>,
{
    match (outer.op, outer.turned) {
        (Binary::Add, _) => Some(kernel::<Then<F, FloatAdd>, ALL>()),
        (Binary::Mul, _) => Some(kernel::<Then<F, FloatMul>, ALL>()),
        (Binary::Sub, false) => Some(kernel::<Then<F, FloatSub>, ALL>()),
        (Binary::Sub, true) => Some(kernel::<Turned<F, FloatSub>, ALL>()),
        (Binary::Div, false) => Some(kernel::<Then<F, FloatDiv>, ALL>()),
        (Binary::Div, true) => Some(kernel::<Turned<F, FloatDiv>, ALL>()),
        _ => None,
    }
}

/// The loop of `second(first(a, b))` of floats, where there is one, and whether it takes long.
pub(super) fn after(first: Binary, second: Unary) -> Option<(Loop, bool)> {
    match first {
        Binary::Add => after_with::<FloatAdd>(second),
        Binary::Sub => after_with::<FloatSub>(second),
        Binary::Mul => after_with::<FloatMul>(second),
        _ => None,
    }
}

fn after_with<F: Function<2>>(second: Unary) -> Option<(Loop, bool)> {
    match second {
        Unary::Neg => Some((kernel::<After<F, FloatNeg>, 2>(), false)),
        Unary::Abs => Some((kernel::<After<F, FloatAbs>, 2>(), false)),
        Unary::Square => Some((kernel::<After<F, FloatSquare>, 2>(), false)),
        Unary::Sqrt => Some((kernel::<After<F, FloatSqrt>, 2>(), true)),
        Unary::Rsqrt => Some((kernel::<After<F, Rsqrt>, 2>(), true)),
        Unary::Relu => Some((kernel::<After<F, FloatRelu>, 2>(), false)),
        Unary::Exp => Some((kernel::<After<F, Exp>, 2>(), true)),
        Unary::Tanh => Some((kernel::<After<F, Tanh>, 2>(), true)),
        Unary::Sigmoid => Some((kernel::<After<F, Sigmoid>, 2>(), true)),
        Unary::Erf => Some((kernel::<After<F, Erf>, 2>(), true)),
        _ => None,
    }
}

/// The loop of `float(bits >> shift) * scale`.
pub(super) fn uniform() -> Loop {
    kernel::<Then<After<UintShr, UintToFloat>, FloatMul>, 3>()
}

/// The loop of `compare(a, b) ? yes : no` of floats, where there is one.
pub(super) fn choose(compare: Binary) -> Option<Loop> {
    match compare {
        Binary::Lt => Some(kernel::<Choose<FloatLt>, 4>()),
        Binary::Le => Some(kernel::<Choose<FloatLe>, 4>()),
        _ => None,
    }
}

/// The loop from a compute type to what the storage type `dtype` can hold, in that type's compute type.
///
/// Floats become integers by rounding toward zero; what does not fit saturates, NaN gives 0. Integers become `U8`
/// modulo 256. `Bool` is whether the value is not 0.
pub(super) fn cast(from: DType, dtype: DType) -> Loop {
    match (from, dtype) {
        (DType::F32, DType::F16) => round_half::<Same>,
        (DType::F32, DType::BF16) => kernel::<FloatToBf16, 1>(),
        (DType::F32, DType::I32) => kernel::<FloatToInt, 1>(),
        (DType::F32, DType::U32) => kernel::<FloatToUint, 1>(),
        (DType::F32, DType::U8) => kernel::<FloatToByte, 1>(),
        (DType::F32, DType::Bool) => kernel::<FloatToBool, 1>(),
        (DType::I32, DType::F32) => kernel::<IntToFloat, 1>(),
        (DType::I32, DType::F16) => round_half::<IntToFloat>,
        (DType::I32, DType::BF16) => kernel::<After<IntToFloat, FloatToBf16>, 1>(),
        (DType::U32 | DType::Bool, DType::F32) => kernel::<UintToFloat, 1>(),
        (DType::U32 | DType::Bool, DType::F16) => round_half::<UintToFloat>,
        (DType::U32 | DType::Bool, DType::BF16) => kernel::<After<UintToFloat, FloatToBf16>, 1>(),
        (DType::I32 | DType::U32, DType::U8) => kernel::<ToByte, 1>(),
        (DType::I32 | DType::U32, DType::Bool) => kernel::<ToBool, 1>(),
        _ => kernel::<Same, 1>(),
    }
}

/// What `F` makes of words, rounded to half floats: the library converts slices.
fn round_half<F: Function<1>>(to: Mem<'_>, len: usize, values: &[Source<'_>], operands: &[usize; OPERANDS]) {
    let Some(source) = values.get(operands[0]) else { return };
    let mut at = 0;
    while at < len {
        let n = (len - at).min(256);
        let (mut floats, mut narrow) = ([0.0; 256], [f16::ZERO; 256]);
        match source.word() {
            Some(word) => floats.fill(f32::of(F::of::<Separate>([word]))),
            None => map(&mut floats[..n], source.words().read(at, n), |word| f32::of(F::of::<Separate>([word]))),
        }
        narrow[..n].convert_from_f32_slice(&floats[..n]);
        narrow[..n].convert_to_f32_slice(to.write(at, n));
        at += n;
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

#[cfg(test)]
mod tests {
    use super::{
        super::simd::{Isa, isa},
        *,
    };
    use formulas::Fused;

    /// What a loop makes of every 4099th word, and of the ends of all ranges.
    fn all_words() -> Vec<u32> {
        let ends = [0.0, 1.0, f32::MIN_POSITIVE, f32::MAX, f32::INFINITY, f32::NAN, 1e-45, 88.8, 104.0, 0.921_875];
        let ends = ends.into_iter().flat_map(|x| [x, -x]).map(f32::to_bits);
        ends.clone().chain(ends.map(|word| word.wrapping_add(1))).chain((0..=u32::MAX).step_by(4099)).collect()
    }

    fn agrees<F: Function<1>>(name: &str) {
        let mut words = all_words();
        let mut got = vec![0; words.len()];
        let want: Vec<u32> = words
            .iter()
            .map(|&word| if isa() == Isa::Base { F::of::<Separate>([word]) } else { F::of::<Fused>([word]) })
            .collect();
        let mut values = [Source::EMPTY];
        values[0].set_many(Mem::over(&mut words));
        kernel::<F, 1>()(Mem::over(&mut got), want.len(), &values, &[0; OPERANDS]);
        for ((&word, &got), &want) in words.iter().zip(&got).zip(&want) {
            let (x, got, want) = (f32::from_bits(word), f32::from_bits(got), f32::from_bits(want));
            assert!(
                got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(),
                "{name}({x:e}): {got:e}, not {want:e}"
            );
        }
    }

    /// Vectors hold what the formula gives for each element alone, over the whole range of floats.
    #[test]
    fn loops_compute_their_formulas() {
        agrees::<Exp>("exp");
        agrees::<Log>("log");
        agrees::<Expm1>("expm1");
        agrees::<Log1p>("log1p");
        agrees::<Sin>("sin");
        agrees::<Cos>("cos");
        agrees::<Tanh>("tanh");
        agrees::<Sigmoid>("sigmoid");
        agrees::<Softplus>("softplus");
        agrees::<Erf>("erf");
        agrees::<Erfinv>("erfinv");
        agrees::<FloatSign>("sign");
        agrees::<FloatRelu>("relu");
        agrees::<FloatToBf16>("bf16");
        agrees::<FloatToInt>("int");
        agrees::<FloatToByte>("byte");
    }
}
