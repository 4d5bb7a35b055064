//! The formulas of the elementary functions, for both ways of multiplying and adding; [`math`](super) says what they are.

// Digits past what f32 holds are kept as they came from the fit: they say which value was rounded.
#![allow(clippy::excessive_precision)]

use super::{INFINITY_BITS, MAGNITUDE, is_finite, is_nan};
use std::f32::consts::{FRAC_2_PI, LOG2_E, SQRT_2};

/// How a product and a sum are rounded.
pub trait MulAdd {
    /// `a·b + c`.
    fn mul_add(a: f32, b: f32, c: f32) -> f32;
    /// What rounding lost in `product = a·b`.
    fn rest(a: f32, b: f32, product: f32) -> f32;
}

/// The product is rounded, then the sum: on every machine the same.
#[derive(Clone, Copy, Debug)]
pub struct Separate;

impl MulAdd for Separate {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
    #[inline(always)]
    fn rest(a: f32, b: f32, product: f32) -> f32 {
        let (ah, bh) = (upper(a), upper(b));
        let (al, bl) = (a - ah, b - bh);
        ((ah * bh - product) + (ah * bl + al * bh)) + al * bl
    }
}

/// Only the sum is rounded. For code that is compiled for a machine with such an instruction; elsewhere it is a slow library call.
#[derive(Clone, Copy, Debug)]
pub struct Fused;

impl MulAdd for Fused {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn rest(a: f32, b: f32, product: f32) -> f32 {
        a.mul_add(b, -product)
    }
}

/// ln 2 in two parts: the first has nine bits, so that its product with an exponent is exact.
const LN2_HI: f32 = 0.693_359_375;
const LN2_LO: f32 = -2.121_944_4e-4;
const SQRT_HALF_BITS: u32 = 0x3f35_04f3;
const NAN_BITS: u32 = 0x7fc0_0000;
const SIGN: u32 = 0x8000_0000;

/// WGSL's `select`: `yes` where `condition` holds. Both are already computed, so this never branches.
#[inline(always)]
fn select(no: f32, yes: f32, condition: bool) -> f32 {
    if condition { yes } else { no }
}

/// The integer nearest to `x · factor` as float and as int, while it is below 2²²; what `round` and `i32` are in WGSL.
///
/// Adding 1.5·2²³ leaves no room for a fraction. `f32::round_ties_even` gives the same, but is a library call on a CPU
/// without SSE 4.1, and a checked cast costs three more instructions.
#[inline(always)]
fn nearest<M: MulAdd>(x: f32, factor: f32) -> (f32, i32) {
    const MAGIC: f32 = 12_582_912.0;
    let shifted = M::mul_add(x, factor, MAGIC);
    (shifted - MAGIC, shifted.to_bits().wrapping_sub(MAGIC.to_bits()) as i32)
}

/// 2ⁿ for -126 <= n <= 127; 0 and infinity for the numbers next to these.
#[inline(always)]
fn exp2_int(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

#[inline(always)]
fn copy_sign(magnitude: f32, sign: f32) -> f32 {
    f32::from_bits(magnitude.to_bits() ^ (sign.to_bits() & SIGN))
}

#[inline(always)]
fn abs(x: f32) -> f32 {
    f32::from_bits(x.to_bits() & MAGNITUDE)
}

/// `y = n ln 2 + r` with `|r| <= ln 2 / 2`; gives r and n.
#[inline(always)]
fn halvings<M: MulAdd>(y: f32) -> (f32, i32) {
    let (n, k) = nearest::<M>(y, LOG2_E);
    let r = M::mul_add(n, -LN2_HI, y);
    (M::mul_add(n, -LN2_LO, r), k)
}

/// `e^y = 2ᵏ(1 + p)`; gives p and k.
#[inline(always)]
fn exp_parts<M: MulAdd>(y: f32) -> (f32, i32) {
    let (r, k) = halvings::<M>(y);
    let q = 1.381_446_607e-3;
    let q = M::mul_add(q, r, 8.368_780_836e-3);
    let q = M::mul_add(q, r, 4.166_839_272e-2);
    let q = M::mul_add(q, r, 1.666_651_964e-1);
    let q = M::mul_add(q, r, 4.999_999_404e-1);
    (M::mul_add(q, r * r, r), k)
}

/// As `exp_parts`, with a p that is exact in relative terms around zero.
#[inline(always)]
fn expm1_parts<M: MulAdd>(y: f32) -> (f32, i32) {
    let (r, k) = halvings::<M>(y);
    let q = 1.388_250_384e-3;
    let q = M::mul_add(q, r, 8.366_581_053e-3);
    let q = M::mul_add(q, r, 4.166_720_062e-2);
    let q = M::mul_add(q, r, 1.666_654_348e-1);
    let q = M::mul_add(q, r, 4.999_999_702e-1);
    (M::mul_add(q, r * r, r), k)
}

/// See [`super::exp`].
#[inline(always)]
pub fn exp<M: MulAdd>(x: f32) -> f32 {
    // Past these the result is infinite or zero anyway; NaN passes both comparisons.
    let low = select(x, -104.0, x < -104.0);
    let y = select(low, 88.8, low > 88.8);
    let (p, k) = exp_parts::<M>(y);
    // 2ᵏ in two factors, since k goes from -150 to 128.
    let half = k >> 1;
    (1.0 + p) * exp2_int(half) * exp2_int(k.wrapping_sub(half))
}

/// See [`super::expm1`].
#[inline(always)]
pub fn expm1<M: MulAdd>(x: f32) -> f32 {
    let low = select(x, -25.0, x < -25.0);
    let y = select(low, 88.8, low > 88.8);
    let (p, k) = expm1_parts::<M>(y);
    // 2ᵏ(1 + p) - 1 = 2(2ᵏ⁻¹ p + (2ᵏ⁻¹ - 1/2)): halved, so that k = 128 stays in range.
    let t = exp2_int(k.wrapping_sub(1));
    2.0 * M::mul_add(p, t, t - 0.5)
}

/// `log(1 + f) + c + e·ln 2` for `f` in `[√½ - 1, √2 - 1]`.
#[inline(always)]
fn log_reduced<M: MulAdd>(f: f32, c: f32, e: f32) -> f32 {
    let z = f * f;
    let p = -7.634_387_165e-2;
    let p = M::mul_add(p, f, 1.276_542_693e-1);
    let p = M::mul_add(p, f, -1.316_200_346e-1);
    let p = M::mul_add(p, f, 1.420_136_839e-1);
    let p = M::mul_add(p, f, -1.662_314_385e-1);
    let p = M::mul_add(p, f, 2.000_123_560e-1);
    let p = M::mul_add(p, f, -2.500_082_552e-1);
    let p = M::mul_add(p, f, 3.333_333_135e-1);
    let y = M::mul_add(p, f * z, M::mul_add(e, LN2_LO, c));
    let y = M::mul_add(z, -0.5, y);
    M::mul_add(e, LN2_HI, f + y)
}

/// See [`super::log`].
#[inline(always)]
pub fn log<M: MulAdd>(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let y = select(x, x * 8_388_608.0, tiny);
    // y = 2ᵉ(1 + f)
    let i = y.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let e = ((i as i32) >> 23) as f32 - select(0.0, 23.0, tiny);
    let f = f32::from_bits((i & 0x007f_ffff).wrapping_add(SQRT_HALF_BITS)) - 1.0;
    log_edges(log_reduced::<M>(f, 0.0, e), x)
}

/// Puts right what the reduction of `log(x)` makes of 0, negative numbers, infinity and NaN.
#[inline(always)]
fn log_edges(y: f32, x: f32) -> f32 {
    let bits = x.to_bits();
    let y = select(y, f32::from_bits(INFINITY_BITS), bits == INFINITY_BITS);
    let y = select(y, f32::from_bits(NAN_BITS), bits > INFINITY_BITS);
    select(y, f32::from_bits(INFINITY_BITS | SIGN), x == 0.0)
}

/// See [`super::log1p`].
#[inline(always)]
pub fn log1p<M: MulAdd>(x: f32) -> f32 {
    let u = 1.0 + x;
    let i = u.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let k = (i as i32) >> 23;
    let e = k as f32;
    let f = f32::from_bits((i & 0x007f_ffff).wrapping_add(SQRT_HALF_BITS)) - 1.0;
    // Near zero x is itself the reduced argument; elsewhere c gives back what rounding 1 + x lost.
    let lost = select(x - (u - 1.0), 1.0 - (u - x), k > 0);
    let c = select(lost / u, 0.0, k == 0);
    log_edges(log_reduced::<M>(select(f, x, k == 0), c, e), u)
}

/// `log(1 + x)` for `x` in [0, 1], where it needs no division.
#[inline(always)]
fn log1p_of_unit<M: MulAdd>(x: f32) -> f32 {
    // 1 + x = 2(1 + f) above √2.
    let large = x > SQRT_2 - 1.0;
    log_reduced::<M>(select(x, 0.5 * x - 0.5, large), 0.0, select(0.0, 1.0, large))
}

/// See [`super::tanh`].
#[inline(always)]
pub fn tanh<M: MulAdd>(x: f32) -> f32 {
    let a = abs(x);
    let b = select(a, 10.0, a > 10.0);
    let (p, k) = expm1_parts::<M>(b + b);
    let t = exp2_int(k);
    let e = M::mul_add(p, t, t - 1.0);
    copy_sign(e / (e + 2.0), x)
}

/// See [`super::sigmoid`].
#[inline(always)]
pub fn sigmoid<M: MulAdd>(x: f32) -> f32 {
    // Past these the result is 1 or 0 anyway.
    let low = select(-x, -86.0, -x < -86.0);
    let y = select(low, 89.5, low > 89.5);
    let (p, k) = exp_parts::<M>(y);
    // 1 / (1 + e^y) with both halved, so that one power of two does: at the upper end it is infinite.
    0.5 / M::mul_add(1.0 + p, exp2_int(k.wrapping_sub(1)), 0.5)
}

/// See [`super::softplus`].
#[inline(always)]
pub fn softplus<M: MulAdd>(x: f32) -> f32 {
    select(0.0, x, x > 0.0) + log1p_of_unit::<M>(exp::<M>(-abs(x)))
}

/// See [`super::erf`].
#[inline(always)]
pub fn erf<M: MulAdd>(x: f32) -> f32 {
    let z = x * x;
    let p = -5.988_750_490e-4;
    let p = M::mul_add(p, z, 4.992_773_291e-3);
    let p = M::mul_add(p, z, -2.676_634_304e-2);
    let p = M::mul_add(p, z, 1.128_180_847e-1);
    let p = M::mul_add(p, z, -3.761_249_185e-1);
    let p = M::mul_add(p, z, 1.283_791_512e-1);
    let near = M::mul_add(p, x, x);
    let a = abs(x);
    let t = select(a, 3.95, a > 3.95);
    let q = 1.130_362_762e-5;
    let q = M::mul_add(q, t, -3.235_274_344e-4);
    let q = M::mul_add(q, t, 3.645_399_818e-3);
    let q = M::mul_add(q, t, -2.376_827_970e-2);
    let q = M::mul_add(q, t, 1.062_440_947e-1);
    let q = M::mul_add(q, t, 6.351_469_755e-1);
    let q = M::mul_add(q, t, 1.128_649_592);
    // The exponent is between -17 and 0, so that one power of two does.
    let (p, k) = exp_parts::<M>(-(q * t));
    let power = exp2_int(k);
    let far = copy_sign(1.0 - M::mul_add(p, power, power), x);
    select(far, near, a < 0.921_875)
}

/// See [`super::erfinv`].
#[inline(always)]
pub fn erfinv<M: MulAdd>(x: f32) -> f32 {
    let w = -log::<M>((1.0 - x) * (1.0 + x));
    // erfinv(x) / x is smooth in w up to w = 5, and in √w from there on.
    let a = w - 2.5;
    let p = -8.791_015_915e-9;
    let p = M::mul_add(p, a, 2.323_262_294e-8);
    let p = M::mul_add(p, a, 4.661_700_927e-7);
    let p = M::mul_add(p, a, -3.462_704_399e-6);
    let p = M::mul_add(p, a, -4.963_345_418e-6);
    let p = M::mul_add(p, a, 2.183_444_449e-4);
    let p = M::mul_add(p, a, -1.252_741_902e-3);
    let p = M::mul_add(p, a, -4.177_386_872e-3);
    let p = M::mul_add(p, a, 2.466_402_799e-1);
    let p = M::mul_add(p, a, 1.501_409_411);
    let b = select(w, 5.0, w < 5.0).sqrt() - 3.0;
    let q = 1.027_822_364e-4;
    let q = M::mul_add(q, b, -2.963_515_872e-4);
    let q = M::mul_add(q, b, -3.857_912_088e-5);
    let q = M::mul_add(q, b, 1.468_485_920e-3);
    let q = M::mul_add(q, b, -3.606_771_352e-3);
    let q = M::mul_add(q, b, 5.693_391_897e-3);
    let q = M::mul_add(q, b, -7.635_287_475e-3);
    let q = M::mul_add(q, b, 9.444_526_397e-3);
    let q = M::mul_add(q, b, 1.001_674_891);
    let q = M::mul_add(q, b, 2.832_976_818);
    let y = x * select(q, p, w < 5.0);
    let edge = copy_sign(f32::from_bits(INFINITY_BITS), x);
    select(y, edge, abs(x) == 1.0)
}

/// The upper twelve bits of `x`, so that a product of two such parts is exact.
#[inline(always)]
fn upper(x: f32) -> f32 {
    f32::from_bits(x.to_bits() & 0xffff_f000)
}

/// `x` without its last bit, by which compilers that think `(a + b) - a` is `b` cannot see what it was.
#[inline(always)]
fn sealed(x: f32) -> f32 {
    f32::from_bits(x.to_bits() & 0xffff_fffe)
}

/// See [`super::pow`].
#[inline(always)]
pub fn pow<M: MulAdd>(x: f32, y: f32) -> f32 {
    let a = abs(x);
    let tiny = a < f32::MIN_POSITIVE;
    let scaled = select(a, a * 8_388_608.0, tiny);
    let i = scaled.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let e = ((i as i32) >> 23) as f32 - select(0.0, 23.0, tiny);
    let f = f32::from_bits((i & 0x007f_ffff).wrapping_add(SQRT_HALF_BITS)) - 1.0;
    // log a = hi + lo: f - f²/2 with the square split into its rounded value and the rest, the cubic part on top.
    let z = f * f;
    let rest = M::rest(f, f, z);
    let p = 6.746_599_078e-2;
    let p = M::mul_add(p, f, -1.167_965_382e-1);
    let p = M::mul_add(p, f, 1.189_032_346e-1);
    let p = M::mul_add(p, f, -1.240_513_548e-1);
    let p = M::mul_add(p, f, 1.421_922_445e-1);
    let p = M::mul_add(p, f, -1.666_800_678e-1);
    let p = M::mul_add(p, f, 2.000_213_414e-1);
    let p = M::mul_add(p, f, -2.500_000_894e-1);
    let p = M::mul_add(p, f, 3.333_331_347e-1);
    let third = p * (f * z);
    let half = 0.5 * z;
    let s = sealed(f - half);
    let s_rest = (f - s) - half;
    let big = e * LN2_HI;
    let h = sealed(big + s);
    let h_rest = (big - h) + s;
    let low = (M::mul_add(e, LN2_LO, third) + M::mul_add(rest, -0.5, s_rest)) + h_rest;
    let hi = sealed(h + low);
    let lo = low - (hi - h);
    // y log a = u + v, then e^u (1 + v); past ±200 the result is 0 or infinity and the rest may be NaN.
    let u = y * hi;
    let v = M::mul_add(y, lo, M::rest(y, hi, u));
    let v = select(0.0, v, abs(u) < 200.0);
    let w = exp::<M>(u);
    let r = select(M::mul_add(w, v, w), w, !is_finite(w));
    // The limits of the logarithm: a = 0 or infinity, or y infinite.
    let grows = (a > 1.0) == (y > 0.0);
    let limit = select(0.0, f32::from_bits(INFINITY_BITS), grows);
    let r = select(r, limit, a == 0.0 || !is_finite(a) || !is_finite(y));
    // An odd integer keeps its last bit; floats past 2²⁴ are all even.
    let whole = y.floor() == y;
    let halved = y * 0.5;
    let odd = whole && halved.floor() != halved;
    let r = select(r, copy_sign(r, x), odd);
    let r = select(r, f32::from_bits(NAN_BITS), x < 0.0 && !whole && is_finite(x));
    let r = select(r, f32::from_bits(NAN_BITS), is_nan(x) || is_nan(y));
    let one = y == 0.0 || x == 1.0 || (x == -1.0 && !is_finite(y) && !is_nan(y));
    select(r, 1.0, one)
}

/// Sine and cosine of the reduced argument, and the quarter turn it was in.
#[inline(always)]
fn quarter_turn<M: MulAdd>(x: f32) -> (f32, f32, i32) {
    let (n, k) = nearest::<M>(x, FRAC_2_PI);
    // π/2 in three parts; the products with n are exact while |x| <= 8192.
    let r = M::mul_add(n, -1.570_312_5, x);
    let r = M::mul_add(n, -4.837_512_969_970_703e-4, r);
    let r = M::mul_add(n, -7.549_789_954_891_88e-8, r);
    // Far outside the stated range r is meaningless, but the result should stay within ±1.
    let r = select(r, 0.8, r > 0.8);
    let r = select(r, -0.8, r < -0.8);
    let z = r * r;
    let s = -1.951_463_055e-4;
    let s = M::mul_add(s, z, 8.332_155_645e-3);
    let s = M::mul_add(s, z, -1.666_665_524e-1);
    let c = 2.443_241_283e-5;
    let c = M::mul_add(c, z, -1.388_730_947e-3);
    let c = M::mul_add(c, z, 4.166_664_556e-2);
    (M::mul_add(s, z * r, r), M::mul_add(c, z * z, M::mul_add(z, -0.5, 1.0)), k)
}

/// See [`super::sin`].
#[inline(always)]
pub fn sin<M: MulAdd>(x: f32) -> f32 {
    let (s, c, k) = quarter_turn::<M>(x);
    let y = select(s, c, k & 1 == 1);
    select(y, -y, k & 2 == 2)
}

/// See [`super::cos`].
#[inline(always)]
pub fn cos<M: MulAdd>(x: f32) -> f32 {
    let (s, c, k) = quarter_turn::<M>(x);
    let y = select(c, s, k & 1 == 1);
    select(y, -y, k.wrapping_add(1) & 2 == 2)
}
