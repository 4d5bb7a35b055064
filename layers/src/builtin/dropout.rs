//! Layers that disturb their input while training: Dropout and GaussianNoise.

use super::{base_methods, setters};
use crate::{Base, Cx, Fields, Layer};
use addax_tensor::{Error, Result, Tensor};

/// While training, each value is 0 with probability `rate`, and the others are divided by `1 - rate`; else the input.
///
/// The mask is a function of seed, step, layer and position, so it is drawn again in the backward pass, never stored.
///
/// ```
/// use addax_layers::{Cx, Dropout};
/// use addax_tensor::Tensor;
/// let drop = Dropout::new(0.5);
/// let x = Tensor::ones([4, 8]);
/// assert_eq!(Cx::inference().call(&drop, &x)?.to_vec::<f32>()?, vec![1.0; 32]);
/// let noisy = Cx::inference().with_training(true).call(&drop, &x)?.to_vec::<f32>()?;
/// assert!(noisy.iter().all(|v| [0.0, 2.0].contains(v)));
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[derive(Fields)]
#[fields(keras, blank = Dropout::new(0.0))]
pub struct Dropout {
    base: Base,
    #[fields(required)]
    rate: f64,
    noise_shape: Option<Vec<Option<usize>>>,
    seed: Option<u64>,
}

impl Dropout {
    /// Drops this fraction, from 0 to 1.
    pub fn new(rate: f64) -> Self {
        Dropout { base: Base::default(), rate, noise_shape: None, seed: None }
    }
    /// Shape of the mask, which is broadcast: 1 shares one decision along an axis, `None` takes the input's length.
    pub fn noise_shape(mut self, shape: impl Into<Vec<Option<usize>>>) -> Self {
        self.noise_shape = Some(shape.into());
        self
    }
}
base_methods!(Dropout);
setters!(Dropout {
    /// A seed of its own: the same masks whatever the model's seed.
    seed: u64 => Some,
});

impl Layer for Dropout {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, cx: &mut Cx) -> Result<Tensor> {
        check_rate(self.rate)?;
        if !cx.training() || self.rate == 0.0 {
            return Ok(x);
        }
        let shape = x.shape()?;
        let mask = match &self.noise_shape {
            None => shape.clone(),
            Some(wanted) if wanted.len() == shape.rank() => {
                wanted.iter().zip(shape.iter()).map(|(w, n)| w.unwrap_or(*n)).collect()
            }
            Some(wanted) => {
                return Err(Error::shape(format!("noise_shape {wanted:?} has other axes than the input {shape}")));
            }
        };
        Ok(drop(&x, &dropout_mask(mask, self.rate, self.seed, cx)))
    }
}

/// Fails unless `rate` is from 0 to 1.
pub(super) fn check_rate(rate: f64) -> Result<()> {
    match (0.0..=1.0).contains(&rate) {
        true => Ok(()),
        false => Err(Error::argument(format!("a dropout rate is from 0 to 1, got {rate}"))),
    }
}

/// What values are multiplied with: 0 with probability `rate`, else `1 / (1 - rate)`.
pub(super) fn dropout_mask(shape: impl Into<addax_tensor::Shape>, rate: f64, seed: Option<u64>, cx: &Cx) -> Tensor {
    let scale = if rate < 1.0 { 1.0 / (1.0 - rate) } else { 0.0 };
    cx.uniform(shape, seed).greater_equal(rate).select(scale, 0.0)
}

/// `x` under a mask, in the type of `x`.
pub(super) fn drop(x: &Tensor, mask: &Tensor) -> Tensor {
    match x.dtype() {
        Ok(dtype) if dtype.is_float() => x * mask.cast(dtype),
        _ => x * mask,
    }
}

/// While training, adds normal noise of this standard deviation.
#[derive(Fields)]
#[fields(keras, blank = GaussianNoise::new(0.0))]
pub struct GaussianNoise {
    base: Base,
    #[fields(required)]
    stddev: f64,
    seed: Option<u64>,
}

impl GaussianNoise {
    /// Noise of this standard deviation, from 0 to 1.
    pub fn new(stddev: f64) -> Self {
        GaussianNoise { base: Base::default(), stddev, seed: None }
    }
}
base_methods!(GaussianNoise);
setters!(GaussianNoise {
    /// A seed of its own.
    seed: u64 => Some,
});

impl Layer for GaussianNoise {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, cx: &mut Cx) -> Result<Tensor> {
        if !(0.0..=1.0).contains(&self.stddev) {
            return Err(Error::argument(format!("stddev is from 0 to 1, got {}", self.stddev)));
        }
        if !cx.training() || self.stddev == 0.0 {
            return Ok(x);
        }
        let noise = cx.normal(x.shape()?, self.seed) * self.stddev;
        Ok(&x + noise.cast(x.dtype()?))
    }
}
