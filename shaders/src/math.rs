//! The elementary functions of `shared/math.wgsl`, in Rust: the same formulas in the same order.
//!
//! WGSL's own `exp`, `log`, `tanh` and their like may be off by hundreds of units in the last place, differently on each
//! device. These are polynomials after an exact range reduction, without tables or branches, so a loop over a slice
//! vectorises on a CPU and every device computes the same formula. Errors below are the largest seen over a sweep of all
//! exponents (`cargo test -p addax-shaders math -- --nocapture` prints them), in ulp, units in the last place.
//!
//! | function | largest error | |
//! | --- | --- | --- |
//! | [`exp`] | 1.0 ulp | overflows to infinity past 88.73, denormal results kept |
//! | [`expm1`] | 1.7 ulp | |
//! | [`log`] | 0.8 ulp | denormal arguments kept |
//! | [`log1p`] | 2.1 ulp | |
//! | [`tanh`] | 2.5 ulp | |
//! | [`sigmoid`] | 2.2 ulp | where the result is a normal number |
//! | [`softplus`] | 2.5 ulp | |
//! | [`erf`] | 1.3 ulp | 8e-8 absolute |
//! | [`erfinv`] | 3.2 ulp | |
//! | [`pow`] | 2.0 ulp | |
//! | [`sin`], [`cos`] | 1.0e-7 absolute | for arguments within ±8192 |
//!
//! A device that flushes denormal numbers returns zero in their place. Metal's and Mesa's compilers may reorder sums,
//! which costs about one more ulp (seen: 2.9 at most, on Mesa's lavapipe).
//!
//! ```
//! use addax_shaders::math;
//! let half = math::sigmoid(0.0);
//! assert_eq!(half, 0.5);
//! assert!((math::erfinv(math::erf(0.3)) - 0.3).abs() < 1e-6);
//! ```

// Digits past what f32 holds are kept as they came from the fit: they say which value was rounded.
#![allow(clippy::excessive_precision)]

use std::f32::consts::{FRAC_2_PI, LOG2_E};

/// ln 2 in two parts: the first has nine bits, so that its product with an exponent is exact.
const LN2_HI: f32 = 0.693_359_375;
const LN2_LO: f32 = -2.121_944_4e-4;
const SQRT_HALF_BITS: u32 = 0x3f35_04f3;
const INFINITY_BITS: u32 = 0x7f80_0000;
const NAN_BITS: u32 = 0x7fc0_0000;
const MAGNITUDE: u32 = 0x7fff_ffff;
const SIGN: u32 = 0x8000_0000;

/// WGSL's `select`: `yes` where `condition` holds. Both are already computed, so this never branches.
#[inline(always)]
fn select(no: f32, yes: f32, condition: bool) -> f32 {
    if condition { yes } else { no }
}

/// Nearest integer (ties to even) as float and as int, for `|x| < 2^22`; what `round` and `i32` are in WGSL.
///
/// Adding 1.5·2²³ leaves no room for a fraction. `f32::round_ties_even` gives the same, but is a library call on a CPU
/// without SSE 4.1, and a checked cast costs three more instructions.
#[inline(always)]
fn nearest(x: f32) -> (f32, i32) {
    const MAGIC: f32 = 12_582_912.0;
    let shifted = x + MAGIC;
    (shifted - MAGIC, shifted.to_bits().wrapping_sub(MAGIC.to_bits()) as i32)
}

/// 2ⁿ for -126 <= n <= 127.
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

/// Whether `x` is not a number, by its bits: a shader compiler may assume that comparisons never see one.
#[inline(always)]
pub fn is_nan(x: f32) -> bool {
    x.to_bits() & MAGNITUDE > INFINITY_BITS
}

/// Whether `x` is neither infinite nor not a number, by its bits.
#[inline(always)]
pub fn is_finite(x: f32) -> bool {
    x.to_bits() & MAGNITUDE < INFINITY_BITS
}

/// `e^x`.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Past these the result is infinite or zero anyway; NaN passes both comparisons.
    let low = select(x, -104.0, x < -104.0);
    let y = select(low, 88.8, low > 88.8);
    // y = n ln 2 + r, |r| <= ln 2 / 2
    let (n, k) = nearest(y * LOG2_E);
    let r = (y - n * LN2_HI) - n * LN2_LO;
    let q = 1.381_446_607e-3;
    let q = q * r + 8.368_780_836e-3;
    let q = q * r + 4.166_839_272e-2;
    let q = q * r + 1.666_651_964e-1;
    let q = q * r + 4.999_999_404e-1;
    let p = (q * (r * r) + r) + 1.0;
    // 2ⁿ in two factors, since n goes from -150 to 128.
    let half = k >> 1;
    p * exp2_int(half) * exp2_int(k.wrapping_sub(half))
}

/// `e^x - 1`, exact in relative terms around zero.
#[inline(always)]
pub fn expm1(x: f32) -> f32 {
    let low = select(x, -25.0, x < -25.0);
    let y = select(low, 88.8, low > 88.8);
    let (n, k) = nearest(y * LOG2_E);
    let r = (y - n * LN2_HI) - n * LN2_LO;
    let q = 1.388_250_384e-3;
    let q = q * r + 8.366_581_053e-3;
    let q = q * r + 4.166_720_062e-2;
    let q = q * r + 1.666_654_348e-1;
    let q = q * r + 4.999_999_702e-1;
    let p = q * (r * r) + r;
    // 2ⁿ(1 + p) - 1 = 2(2ⁿ⁻¹ p + (2ⁿ⁻¹ - 1/2)): halved, so that n = 128 stays in range.
    let t = exp2_int(k.wrapping_sub(1));
    2.0 * (p * t + (t - 0.5))
}

/// `log(1 + f) + c + e·ln 2` for `f` in `[√½ - 1, √2 - 1]`.
#[inline(always)]
fn log_reduced(f: f32, c: f32, e: f32) -> f32 {
    let z = f * f;
    let p = -7.634_387_165e-2;
    let p = p * f + 1.276_542_693e-1;
    let p = p * f - 1.316_200_346e-1;
    let p = p * f + 1.420_136_839e-1;
    let p = p * f - 1.662_314_385e-1;
    let p = p * f + 2.000_123_560e-1;
    let p = p * f - 2.500_082_552e-1;
    let p = p * f + 3.333_333_135e-1;
    let y = p * (f * z) + (e * LN2_LO + c);
    let y = y - 0.5 * z;
    (f + y) + e * LN2_HI
}

/// Natural logarithm; `-inf` at zero, NaN below.
#[inline(always)]
pub fn log(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let y = select(x, x * 8_388_608.0, tiny);
    // y = 2ᵉ(1 + f)
    let i = y.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let e = ((i as i32) >> 23) as f32 - select(0.0, 23.0, tiny);
    let f = f32::from_bits((i & 0x007f_ffff).wrapping_add(SQRT_HALF_BITS)) - 1.0;
    log_edges(log_reduced(f, 0.0, e), x)
}

/// Puts right what the reduction of `log(x)` makes of 0, negative numbers, infinity and NaN.
#[inline(always)]
fn log_edges(y: f32, x: f32) -> f32 {
    let bits = x.to_bits();
    let y = select(y, f32::from_bits(INFINITY_BITS), bits == INFINITY_BITS);
    let y = select(y, f32::from_bits(NAN_BITS), bits > INFINITY_BITS);
    select(y, f32::from_bits(INFINITY_BITS | SIGN), x == 0.0)
}

/// `log(1 + x)`, exact in relative terms around zero.
#[inline(always)]
pub fn log1p(x: f32) -> f32 {
    let u = 1.0 + x;
    let i = u.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let k = (i as i32) >> 23;
    let e = k as f32;
    let f = f32::from_bits((i & 0x007f_ffff).wrapping_add(SQRT_HALF_BITS)) - 1.0;
    // Near zero x is itself the reduced argument; elsewhere c gives back what rounding 1 + x lost.
    let lost = select(x - (u - 1.0), 1.0 - (u - x), k > 0);
    let c = select(lost / u, 0.0, k == 0);
    log_edges(log_reduced(select(f, x, k == 0), c, e), u)
}

/// Hyperbolic tangent.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let a = abs(x);
    let b = select(a, 10.0, a > 10.0);
    let e = expm1(b + b);
    copy_sign(e / (e + 2.0), x)
}

/// Logistic function `1 / (1 + e^-x)`.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `log(1 + e^x)`, without overflow.
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    select(0.0, x, x > 0.0) + log1p(exp(-abs(x)))
}

/// Error function: an odd polynomial up to 0.92, from there `1 - e^-t(..)` up to where it rounds to one.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let z = x * x;
    let p = -5.988_750_490e-4;
    let p = p * z + 4.992_773_291e-3;
    let p = p * z - 2.676_634_304e-2;
    let p = p * z + 1.128_180_847e-1;
    let p = p * z - 3.761_249_185e-1;
    let p = p * z + 1.283_791_512e-1;
    let near = p * x + x;
    let a = abs(x);
    let t = select(a, 3.95, a > 3.95);
    let q = 1.130_362_762e-5;
    let q = q * t - 3.235_274_344e-4;
    let q = q * t + 3.645_399_818e-3;
    let q = q * t - 2.376_827_970e-2;
    let q = q * t + 1.062_440_947e-1;
    let q = q * t + 6.351_469_755e-1;
    let q = q * t + 1.128_649_592;
    let far = copy_sign(1.0 - exp(-(q * t)), x);
    select(far, near, a < 0.921_875)
}

/// Inverse of the error function: `±inf` at ±1, NaN beyond.
#[inline(always)]
pub fn erfinv(x: f32) -> f32 {
    let w = -log((1.0 - x) * (1.0 + x));
    // erfinv(x) / x is smooth in w up to w = 5, and in √w from there on.
    let a = w - 2.5;
    let p = -8.791_015_915e-9;
    let p = p * a + 2.323_262_294e-8;
    let p = p * a + 4.661_700_927e-7;
    let p = p * a - 3.462_704_399e-6;
    let p = p * a - 4.963_345_418e-6;
    let p = p * a + 2.183_444_449e-4;
    let p = p * a - 1.252_741_902e-3;
    let p = p * a - 4.177_386_872e-3;
    let p = p * a + 2.466_402_799e-1;
    let p = p * a + 1.501_409_411;
    let b = select(w, 5.0, w < 5.0).sqrt() - 3.0;
    let q = 1.027_822_364e-4;
    let q = q * b - 2.963_515_872e-4;
    let q = q * b - 3.857_912_088e-5;
    let q = q * b + 1.468_485_920e-3;
    let q = q * b - 3.606_771_352e-3;
    let q = q * b + 5.693_391_897e-3;
    let q = q * b - 7.635_287_475e-3;
    let q = q * b + 9.444_526_397e-3;
    let q = q * b + 1.001_674_891;
    let q = q * b + 2.832_976_818;
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

/// What rounding lost in `product = a·b`.
#[inline(always)]
fn product_rest(a: f32, b: f32, product: f32) -> f32 {
    let (ah, bh) = (upper(a), upper(b));
    let (al, bl) = (a - ah, b - bh);
    ((ah * bh - product) + (ah * bl + al * bh)) + al * bl
}

/// `|x|^y · sign`, with C's rules: `pow(x, 0) = pow(1, y) = 1`; a negative `x` needs an integer `y`, else NaN.
#[inline(always)]
pub fn pow(x: f32, y: f32) -> f32 {
    let a = abs(x);
    let tiny = a < f32::MIN_POSITIVE;
    let scaled = select(a, a * 8_388_608.0, tiny);
    let i = scaled.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let e = ((i as i32) >> 23) as f32 - select(0.0, 23.0, tiny);
    let f = f32::from_bits((i & 0x007f_ffff).wrapping_add(SQRT_HALF_BITS)) - 1.0;
    // log a = hi + lo: f - f²/2 with the square split into its rounded value and the rest, the cubic part on top.
    let z = f * f;
    let rest = product_rest(f, f, z);
    let p = 6.746_599_078e-2;
    let p = p * f - 1.167_965_382e-1;
    let p = p * f + 1.189_032_346e-1;
    let p = p * f - 1.240_513_548e-1;
    let p = p * f + 1.421_922_445e-1;
    let p = p * f - 1.666_800_678e-1;
    let p = p * f + 2.000_213_414e-1;
    let p = p * f - 2.500_000_894e-1;
    let p = p * f + 3.333_331_347e-1;
    let third = p * (f * z);
    let half = 0.5 * z;
    let s = sealed(f - half);
    let s_rest = (f - s) - half;
    let big = e * LN2_HI;
    let h = sealed(big + s);
    let h_rest = (big - h) + s;
    let low = ((third + e * LN2_LO) + (s_rest - 0.5 * rest)) + h_rest;
    let hi = sealed(h + low);
    let lo = low - (hi - h);
    // y log a = u + v, then e^u (1 + v); past ±200 the result is 0 or infinity and the rest may be NaN.
    let u = y * hi;
    let v = product_rest(y, hi, u) + y * lo;
    let v = select(0.0, v, abs(u) < 200.0);
    let w = exp(u);
    let r = select(w + w * v, w, !is_finite(w));
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
fn quarter_turn(x: f32) -> (f32, f32, i32) {
    let (n, k) = nearest(x * FRAC_2_PI);
    // π/2 in three parts; the products with n are exact while |x| <= 8192.
    let r = ((x - n * 1.570_312_5) - n * 4.837_512_969_970_703e-4) - n * 7.549_789_954_891_88e-8;
    // Far outside the stated range r is meaningless, but the result should stay within ±1.
    let r = select(r, 0.8, r > 0.8);
    let r = select(r, -0.8, r < -0.8);
    let z = r * r;
    let s = -1.951_463_055e-4;
    let s = s * z + 8.332_155_645e-3;
    let s = s * z - 1.666_665_524e-1;
    let c = 2.443_241_283e-5;
    let c = c * z - 1.388_730_947e-3;
    let c = c * z + 4.166_664_556e-2;
    (s * (z * r) + r, c * (z * z) + (1.0 - 0.5 * z), k)
}

/// Sine, for arguments in radians.
#[inline(always)]
pub fn sin(x: f32) -> f32 {
    let (s, c, k) = quarter_turn(x);
    let y = select(s, c, k & 1 == 1);
    select(y, -y, k & 2 == 2)
}

/// Cosine, for arguments in radians.
#[inline(always)]
pub fn cos(x: f32) -> f32 {
    let (s, c, k) = quarter_turn(x);
    let y = select(c, s, k & 1 == 1);
    select(y, -y, k.wrapping_add(1) & 2 == 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest error of `f` against `exact` in ulp of the result, over every `step`th float of `[low, high]`.
    fn worst(name: &str, f: fn(f32) -> f32, exact: fn(f64) -> f64, low: f32, high: f32) -> f64 {
        let mut worst = (0.0, 0.0);
        for bits in (0..=u32::MAX).step_by(1499) {
            let x = f32::from_bits(bits);
            if x.is_nan() || x < low || x > high {
                continue;
            }
            let (got, want) = (f(x), exact(f64::from(x)));
            if want.abs() > f64::from(f32::MAX) {
                assert!(got.abs() >= f32::MAX, "{name}({x}) = {got}, expected {want}");
                continue;
            }
            let error = (f64::from(got) - want).abs() / ulp(want);
            if error > worst.0 || error.is_nan() {
                worst = (error, x);
            }
        }
        println!("{name}: {:.2} ulp at {:e}", worst.0, worst.1);
        worst.0
    }

    fn ulp(x: f64) -> f64 {
        let exponent = (x.abs().max(f64::from(f32::MIN_POSITIVE))).log2().floor();
        (exponent - 23.0).exp2()
    }

    /// erf in f64: the series with only positive terms, `2/√π e^{-x²} Σ 2ⁿ x^{2n+1} / (2n+1)!!`.
    fn erf64(x: f64) -> f64 {
        if x.abs() > 6.0 {
            return x.signum();
        }
        let (mut term, mut sum, mut n) = (x, x, 1.0);
        while term.abs() > 1e-18 * sum.abs() {
            term *= 2.0 * x * x / (2.0 * n + 1.0);
            sum += term;
            n += 1.0;
        }
        sum * (-x * x).exp() * std::f64::consts::FRAC_2_SQRT_PI
    }

    /// erfinv in f64: Newton's method on erf, whose derivative is known.
    fn erfinv64(x: f64) -> f64 {
        let mut y = f64::from(erfinv(x as f32));
        for _ in 0..3 {
            y -= (erf64(y) - x) * (y * y).exp() / std::f64::consts::FRAC_2_SQRT_PI;
        }
        y
    }

    const ALL: f32 = f32::MAX;

    #[test]
    fn errors_are_as_stated() {
        assert!(worst("exp", exp, f64::exp, -ALL, ALL) <= 1.0);
        assert!(worst("expm1", expm1, f64::exp_m1, -ALL, ALL) <= 1.7);
        assert!(worst("log", log, f64::ln, 0.0, ALL) <= 0.8);
        assert!(worst("log1p", log1p, f64::ln_1p, -0.999_999_9, ALL) <= 2.1);
        assert!(worst("tanh", tanh, f64::tanh, -ALL, ALL) <= 2.5);
        assert!(worst("sigmoid", sigmoid, |x| 1.0 / (1.0 + (-x).exp()), -87.3, ALL) <= 2.2);
        assert!(worst("softplus", softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p(), -80.0, ALL) <= 2.5);
        assert!(worst("erf", erf, erf64, -ALL, ALL) <= 1.3);
        assert!(worst("erfinv", erfinv, erfinv64, -0.999_999_94, 0.999_999_94) <= 3.2);
    }

    #[test]
    fn absolute_errors_are_as_stated() {
        let (mut erf_error, mut turn_error) = (0.0_f64, 0.0_f64);
        for i in -400_000..=400_000 {
            let x = i as f32 / 90_000.0;
            erf_error = erf_error.max((f64::from(erf(x)) - erf64(f64::from(x))).abs());
            assert!(erf(x).abs() <= 1.0);
            let x = i as f32 / 48.828;
            turn_error = turn_error.max((f64::from(sin(x)) - f64::from(x).sin()).abs());
            turn_error = turn_error.max((f64::from(cos(x)) - f64::from(x).cos()).abs());
        }
        println!("erf {erf_error:.2e}, sin and cos {turn_error:.2e}");
        assert!(erf_error <= 8e-8 && turn_error <= 1.0e-7);
        assert!(sin(1e9).abs() <= 1.0 && cos(-3e30).abs() <= 1.0 && sin(f32::INFINITY).is_nan());
    }

    #[test]
    fn pow_error_is_as_stated() {
        let mut worst = 0.0_f64;
        for i in 0..3000_u32 {
            let x = f32::from_bits(0x0080_0000 + i * 709_001 % 0x7e80_0000);
            for j in 0..400 {
                let y = (j as f32 - 200.0) * 0.137 * if j % 3 == 0 { 0.03 } else { 1.0 };
                let want = f64::from(x).powf(f64::from(y));
                if want.abs() < f64::from(f32::MIN_POSITIVE) || want > f64::from(f32::MAX) {
                    continue;
                }
                worst = worst.max((f64::from(pow(x, y)) - want).abs() / ulp(want));
            }
        }
        println!("pow: {worst:.2} ulp");
        assert!(worst <= 2.0);
    }

    #[test]
    fn edges_follow_the_limits() {
        let inf = f32::INFINITY;
        for f in [exp, expm1, log, log1p, tanh, sigmoid, softplus, erf, erfinv, sin, cos] {
            assert!(f(f32::NAN).is_nan());
        }
        assert_eq!((exp(-inf), exp(inf), exp(0.0)), (0.0, inf, 1.0));
        assert_eq!((expm1(-inf), expm1(inf), expm1(0.0)), (-1.0, inf, 0.0));
        assert_eq!((log(0.0), log(inf), log(1.0)), (-inf, inf, 0.0));
        assert!(log(-1.0).is_nan() && log1p(-1.5).is_nan() && log(-inf).is_nan());
        assert_eq!((log1p(-1.0), log1p(inf), log1p(0.0)), (-inf, inf, 0.0));
        assert_eq!((tanh(-inf), tanh(inf), tanh(0.0)), (-1.0, 1.0, 0.0));
        assert_eq!((sigmoid(-inf), sigmoid(inf)), (0.0, 1.0));
        assert_eq!((softplus(-inf), softplus(inf)), (0.0, inf));
        assert_eq!((erf(-inf), erf(inf), erf(0.0)), (-1.0, 1.0, 0.0));
        assert_eq!((erfinv(-1.0), erfinv(1.0), erfinv(0.0)), (-inf, inf, 0.0));
        assert!(erfinv(1.1).is_nan());
        assert_eq!(exp(-100.0), (-100.0_f64).exp() as f32, "denormal results are kept");
        assert!((f64::from(log(1e-42)) - f64::from(1e-42_f32).ln()).abs() < 1e-5, "denormal arguments are kept");
    }

    #[test]
    fn pow_follows_c() {
        let inf = f32::INFINITY;
        let points =
            [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 2.5, -7.0, inf, -inf, f32::NAN, 1e30, -1e30];
        for x in points {
            for y in points {
                let (got, want) = (pow(x, y), x.powf(y));
                let same = got == want || (got.is_nan() && want.is_nan()) || (got - want).abs() <= 3e-7 * want.abs();
                assert!(same, "pow({x}, {y}) = {got}, expected {want}");
            }
        }
    }

    #[test]
    fn non_finite_numbers_are_seen_by_their_bits() {
        assert!(is_nan(f32::NAN) && !is_nan(f32::INFINITY) && !is_nan(1.0));
        assert!(is_finite(f32::MAX) && !is_finite(f32::NEG_INFINITY) && !is_finite(f32::NAN));
    }
}
