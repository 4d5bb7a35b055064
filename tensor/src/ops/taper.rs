//! Windows that let a signal fade at both ends, and Bessel's function that one of them is made of.

use super::{polynomial::in_floats, polynomial::polynomial, record};
use crate::{array::Array, error::Error, graph::Tensor};
use std::{f64::consts::TAU, panic::Location};

impl Tensor {
    /// The window of Bartlett, `n` values: a triangle from 0 to 1 and back, `1 - |2i / (n - 1) - 1|`.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// assert_eq!(Tensor::bartlett(5).to_vec::<f32>()?, vec![0.0, 0.5, 1.0, 0.5, 0.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn bartlett(n: usize) -> Tensor {
        taper(n, |part| 1.0 - (2.0 * part - 1.0).abs())
    }

    /// The window of Blackman, `n` values: `0.42 - 0.5 cos(2πi / (n - 1)) + 0.08 cos(4πi / (n - 1))`.
    #[track_caller]
    pub fn blackman(n: usize) -> Tensor {
        taper(n, |part| 0.42 - 0.5 * (TAU * part).cos() + 0.08 * (2.0 * TAU * part).cos())
    }

    /// The window of Hamming, `n` values: `0.54 - 0.46 cos(2πi / (n - 1))`.
    #[track_caller]
    pub fn hamming(n: usize) -> Tensor {
        taper(n, |part| 0.54 - 0.46 * (TAU * part).cos())
    }

    /// The window of von Hann, `n` values: `0.5 - 0.5 cos(2πi / (n - 1))`.
    #[track_caller]
    pub fn hanning(n: usize) -> Tensor {
        taper(n, |part| 0.5 - 0.5 * (TAU * part).cos())
    }

    /// The window of Kaiser, `n` values: `I₀(β √(1 - (2i / (n - 1) - 1)²)) / I₀(β)`. The larger `beta`, the narrower it is.
    #[track_caller]
    pub fn kaiser(n: usize, beta: f64) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            if beta.is_nan() || beta.abs() > 700.0 {
                return Err(Error::argument(format!("kaiser: beta is a number of at most 700, got {beta}")));
            }
            Ok(taper(n, |part| bessel(beta * (1.0 - (2.0 * part - 1.0).powi(2)).max(0.0).sqrt()) / bessel(beta)))
        })
    }

    /// Bessel's modified function of the first kind and of order 0, `I₀(x) = Σ (x² / 4)ᵏ / k!²`, within 16 ulp of `F32`.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([0.0f32, -1.0], [2]);
    /// let y = x.i0().to_vec::<f32>()?;
    /// assert!(y[0] == 1.0 && (y[1] - 1.266_065_9).abs() < 1e-6);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn i0(&self) -> Tensor {
        // √x e⁻ˣ I₀(x) in powers of 8 / x for x from 8 on, relative error 2e-9 (least squares, weighted to be even).
        const FAR: [f64; 7] =
            [0.3989422809, 0.0062334244, 0.0004390119, 0.0000531117, 0.0000209760, -0.0000094832, 0.0000070201];
        let mut near = [1.0; 20];
        for k in 1..near.len() {
            near[k] = near[k - 1] / (k * k) as f64;
        }
        in_floats(self, Location::caller(), |x| {
            let a = x.abs();
            let far = a.greater(8.0);
            // Half of the power before and half after, so that nothing overflows before the result does.
            let large = far.select(&a, 8.0);
            let half = (&large * 0.5).exp();
            let tail = &half * (polynomial(&(8.0 / &large), &FAR) * large.rsqrt()) * &half;
            // Only sums of positive numbers.
            let head = polynomial(&(far.select(0.0, x).square() * 0.25), &near);
            let finite = far.select(tail, head);
            a.equal(f64::INFINITY).select(a, finite)
        })
    }
}

/// `shape` of the places from 0 to 1; a window of one value is 1.
#[track_caller]
fn taper(n: usize, shape: impl Fn(f64) -> f64) -> Tensor {
    let origin = Location::caller();
    record(origin, || {
        let value = |i: usize| if n == 1 { 1.0 } else { shape(i as f64 / (n - 1) as f64) };
        let values: Vec<f32> = (0..n).map(|i| value(i) as f32).collect();
        Ok(Tensor::from_array(Array::new([n], &values)?))
    })
}

/// `I₀(x)` by its series, all terms of which are positive.
fn bessel(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut term, mut sum, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-17 {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}
