//! Functions that `f64` lacks, to nearly its full precision.

use std::f64::consts::PI;

/// Error function. By its series `2/sqrt(pi) e^(-x²) Σ 2ⁿ x^(2n+1) / (1·3·…·(2n+1))`, whose terms all have one sign.
pub fn erf(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x.abs() >= 6.0 {
        return 1f64.copysign(x);
    }
    let (mut term, mut sum, mut n) = (x, x, 0.0);
    while term.abs() > sum.abs() * 1e-18 {
        n += 1.0;
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
    }
    2.0 / PI.sqrt() * (-x * x).exp() * sum
}

/// Inverse error function: Winitzki's approximation, improved by Halley's method on [`erf`].
pub fn erfinv(y: f64) -> f64 {
    if y == 0.0 || y.is_nan() {
        return y;
    }
    if y.abs() >= 1.0 {
        return if y.abs() == 1.0 { f64::INFINITY.copysign(y) } else { f64::NAN };
    }
    let a = 0.147;
    let log = (-y * y).ln_1p();
    let half = 2.0 / (PI * a) + log / 2.0;
    let mut x = ((half * half - log / a).sqrt() - half).sqrt().copysign(y);
    for _ in 0..4 {
        let step = (erf(x) - y) / (2.0 / PI.sqrt() * (-x * x).exp());
        x -= step / (1.0 + x * step);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erf_has_its_known_values() {
        for (x, y) in [
            (0.5, 0.5204998778130465),
            (1.0, 0.8427007929497149),
            (2.0, 0.9953222650189527),
            (-3.5, -0.999999256901628),
        ] {
            assert!((erf(x) - y).abs() < 2e-15, "erf({x}) = {}", erf(x));
        }
        assert_eq!(erf(0.0), 0.0);
        assert_eq!(erf(7.0), 1.0);
    }

    #[test]
    fn erfinv_undoes_erf() {
        for i in -350..=350 {
            let x = f64::from(i) / 100.0;
            // Near ±1 a last bit of y is worth many of x.
            let tolerance = 2e-15 * (1.0 + (x * x).exp());
            assert!((erfinv(erf(x)) - x).abs() <= tolerance, "{x} became {}", erfinv(erf(x)));
        }
        assert_eq!(erfinv(1.0), f64::INFINITY);
        assert!(erfinv(1.5).is_nan());
    }
}
