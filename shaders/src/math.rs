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
//! | [`softplus`] | 1.6 ulp | |
//! | [`erf`] | 1.3 ulp | 8e-8 absolute |
//! | [`erfinv`] | 3.2 ulp | |
//! | [`pow`] | 2.0 ulp | |
//! | [`sin`], [`cos`] | 1.0e-7 absolute | for arguments within ±8192 |
//!
//! A product and a sum are rounded one after the other here, so that every machine gives the same bits. [`formulas`] has the
//! same functions for code compiled for a machine that multiplies and adds in one rounding, which halves their cost; the stated
//! errors hold for both.
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

pub mod formulas;

const INFINITY_BITS: u32 = 0x7f80_0000;
const MAGNITUDE: u32 = 0x7fff_ffff;

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

/// Defines the functions of [`formulas`] with separate products and sums.
macro_rules! separate {
    ($($(#[$meta:meta])* $name:ident($($x:ident),*);)*) => {$(
        $(#[$meta])*
        #[inline(always)]
        pub fn $name($($x: f32),*) -> f32 {
            formulas::$name::<formulas::Separate>($($x),*)
        }
    )*};
}

separate! {
    /// `e^x`.
    exp(x);
    /// `e^x - 1`, exact in relative terms around zero.
    expm1(x);
    /// Natural logarithm; `-inf` at zero, NaN below.
    log(x);
    /// `log(1 + x)`, exact in relative terms around zero.
    log1p(x);
    /// Hyperbolic tangent.
    tanh(x);
    /// Logistic function `1 / (1 + e^-x)`.
    sigmoid(x);
    /// `log(1 + e^x)`, without overflow.
    softplus(x);
    /// Error function: an odd polynomial up to 0.92, from there `1 - e^-t(..)` up to where it rounds to one.
    erf(x);
    /// Inverse of the error function: `±inf` at ±1, NaN beyond.
    erfinv(x);
    /// `|x|^y · sign`, with C's rules: `pow(x, 0) = pow(1, y) = 1`; a negative `x` needs an integer `y`, else NaN.
    pow(x, y);
    /// Sine, for arguments in radians.
    sin(x);
    /// Cosine, for arguments in radians.
    cos(x);
}

#[cfg(test)]
mod tests {
    use super::{
        formulas::{self as of, Fused, MulAdd, Separate},
        *,
    };

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
        errors::<Separate>();
        errors::<Fused>();
    }

    fn errors<M: MulAdd>() {
        assert!(worst("exp", of::exp::<M>, f64::exp, -ALL, ALL) <= 1.0);
        assert!(worst("expm1", of::expm1::<M>, f64::exp_m1, -ALL, ALL) <= 1.7);
        assert!(worst("log", of::log::<M>, f64::ln, 0.0, ALL) <= 0.8);
        assert!(worst("log1p", of::log1p::<M>, f64::ln_1p, -0.999_999_9, ALL) <= 2.1);
        assert!(worst("tanh", of::tanh::<M>, f64::tanh, -ALL, ALL) <= 2.5);
        assert!(worst("sigmoid", of::sigmoid::<M>, |x| 1.0 / (1.0 + (-x).exp()), -87.3, ALL) <= 2.2);
        assert!(worst("softplus", of::softplus::<M>, |x| x.max(0.0) + (-x.abs()).exp().ln_1p(), -80.0, ALL) <= 1.6);
        assert!(worst("erf", of::erf::<M>, erf64, -ALL, ALL) <= 1.3);
        assert!(worst("erfinv", of::erfinv::<M>, erfinv64, -0.999_999_94, 0.999_999_94) <= 3.2);
    }

    #[test]
    fn absolute_errors_are_as_stated() {
        absolute_errors::<Separate>();
        absolute_errors::<Fused>();
    }

    fn absolute_errors<M: MulAdd>() {
        let (mut erf_error, mut turn_error) = (0.0_f64, 0.0_f64);
        for i in -400_000..=400_000 {
            let x = i as f32 / 90_000.0;
            erf_error = erf_error.max((f64::from(of::erf::<M>(x)) - erf64(f64::from(x))).abs());
            assert!(of::erf::<M>(x).abs() <= 1.0);
            let x = i as f32 / 48.828;
            turn_error = turn_error.max((f64::from(of::sin::<M>(x)) - f64::from(x).sin()).abs());
            turn_error = turn_error.max((f64::from(of::cos::<M>(x)) - f64::from(x).cos()).abs());
        }
        println!("erf {erf_error:.2e}, sin and cos {turn_error:.2e}");
        assert!(erf_error <= 8e-8 && turn_error <= 1.0e-7);
        assert!(
            of::sin::<M>(1e9).abs() <= 1.0 && of::cos::<M>(-3e30).abs() <= 1.0 && of::sin::<M>(f32::INFINITY).is_nan()
        );
    }

    #[test]
    fn pow_error_is_as_stated() {
        pow_error::<Separate>();
        pow_error::<Fused>();
    }

    fn pow_error<M: MulAdd>() {
        let mut worst = 0.0_f64;
        for i in 0..3000_u32 {
            let x = f32::from_bits(0x0080_0000 + i * 709_001 % 0x7e80_0000);
            for j in 0..400 {
                let y = (j as f32 - 200.0) * 0.137 * if j % 3 == 0 { 0.03 } else { 1.0 };
                let want = f64::from(x).powf(f64::from(y));
                if want.abs() < f64::from(f32::MIN_POSITIVE) || want > f64::from(f32::MAX) {
                    continue;
                }
                worst = worst.max((f64::from(of::pow::<M>(x, y)) - want).abs() / ulp(want));
            }
        }
        println!("pow: {worst:.2} ulp");
        assert!(worst <= 2.0);
    }

    #[test]
    fn edges_follow_the_limits() {
        edges::<Separate>();
        edges::<Fused>();
    }

    fn edges<M: MulAdd>() {
        let inf = f32::INFINITY;
        let (exp, expm1, log, log1p) = (of::exp::<M>, of::expm1::<M>, of::log::<M>, of::log1p::<M>);
        let (tanh, sigmoid, softplus) = (of::tanh::<M>, of::sigmoid::<M>, of::softplus::<M>);
        let (erf, erfinv, sin, cos) = (of::erf::<M>, of::erfinv::<M>, of::sin::<M>, of::cos::<M>);
        for f in [exp, expm1, log, log1p, tanh, sigmoid, softplus, erf, erfinv, sin, cos] as [fn(f32) -> f32; 11] {
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
        pow_edges::<Separate>();
        pow_edges::<Fused>();
    }

    fn pow_edges<M: MulAdd>() {
        let inf = f32::INFINITY;
        let points =
            [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 2.5, -7.0, inf, -inf, f32::NAN, 1e30, -1e30];
        for x in points {
            for y in points {
                let (got, want) = (of::pow::<M>(x, y), x.powf(y));
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
