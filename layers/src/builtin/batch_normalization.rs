//! BatchNormalization.

use super::{base_methods, setters};
use crate::{Base, Constraint, Cx, Fields, Initializer, Layer, Never, Regularizer, Weight};
use addax_tensor::{DType, Error, Result, Tensor};

/// `gamma · (x - mean) / √(variance + epsilon) + beta`, per channel; the shape stays.
///
/// While training (and not frozen) mean and variance are those of the batch, and the moving statistics follow them:
/// `moving · momentum + batch · (1 - momentum)`, with the biased variance. Else the moving statistics are used. It
/// computes in `float32` under any policy.
///
/// ```
/// use addax_layers::{BatchNormalization, Cx};
/// use addax_tensor::Tensor;
/// let norm = BatchNormalization::new();
/// let cx = Cx::inference().with_training(true);
/// let y = cx.call(&norm, Tensor::from_vec([1.0f32, 3.0], [2, 1]))?.to_vec::<f32>()?;
/// assert!((y[1] - 1.0).abs() < 1e-3);
/// assert_eq!(cx.finish().updates.len(), 2);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[derive(Fields)]
#[fields(keras, blank = BatchNormalization::new())]
pub struct BatchNormalization {
    base: Base,
    axis: isize,
    momentum: f64,
    epsilon: f64,
    center: bool,
    scale: bool,
    beta_initializer: Initializer,
    gamma_initializer: Initializer,
    moving_mean_initializer: Initializer,
    moving_variance_initializer: Initializer,
    beta_regularizer: Option<Regularizer>,
    gamma_regularizer: Option<Regularizer>,
    beta_constraint: Option<Constraint>,
    gamma_constraint: Option<Constraint>,
    renorm: Never,
    renorm_clipping: Never,
    renorm_momentum: crate::Ignored,
    synchronized: Never,
    gamma: Weight,
    beta: Weight,
    moving_mean: Weight,
    moving_variance: Weight,
}

impl Default for BatchNormalization {
    fn default() -> Self {
        BatchNormalization::new()
    }
}

impl BatchNormalization {
    /// With Keras' defaults: the last axis, momentum 0.99, epsilon 0.001.
    pub fn new() -> Self {
        BatchNormalization {
            base: Base::default(),
            axis: -1,
            momentum: 0.99,
            epsilon: 1e-3,
            center: true,
            scale: true,
            beta_initializer: Initializer::Zeros,
            gamma_initializer: Initializer::Ones,
            moving_mean_initializer: Initializer::Zeros,
            moving_variance_initializer: Initializer::Ones,
            beta_regularizer: None,
            gamma_regularizer: None,
            beta_constraint: None,
            gamma_constraint: None,
            renorm: Never,
            renorm_clipping: Never,
            renorm_momentum: crate::Ignored,
            synchronized: Never,
            gamma: Weight::new(),
            beta: Weight::new(),
            moving_mean: Weight::new(),
            moving_variance: Weight::new(),
        }
    }
}
base_methods!(BatchNormalization);
setters!(BatchNormalization {
    /// The axis of the channels.
    axis: isize,
    /// How slowly the moving statistics follow.
    momentum: f64,
    /// Added to the variance.
    epsilon: f64,
    /// Whether there is a `beta`.
    center: bool,
    /// Whether there is a `gamma`.
    scale: bool,
    /// First values of `beta`.
    beta_initializer: Initializer,
    /// First values of `gamma`.
    gamma_initializer: Initializer,
    /// First values of the moving mean.
    moving_mean_initializer: Initializer,
    /// First values of the moving variance.
    moving_variance_initializer: Initializer,
    /// Penalty on `beta`.
    beta_regularizer: Regularizer => Some,
    /// Penalty on `gamma`.
    gamma_regularizer: Regularizer => Some,
    /// What `beta` is held to.
    beta_constraint: Constraint => Some,
    /// What `gamma` is held to.
    gamma_constraint: Constraint => Some,
});

impl Layer for BatchNormalization {
    type In = Tensor;
    type Out = Tensor;

    fn forward(&self, x: Tensor, cx: &mut Cx) -> Result<Tensor> {
        let dtype = cx.policy().compute;
        let cx = &cx.in_float32();
        let x = x.cast(DType::F32);
        let shape = x.shape()?.clone();
        let axis = shape.axis(self.axis)?;
        let channels = shape.get(axis).copied().unwrap_or(1);
        if shape.rank() < 2 {
            return Err(Error::shape(format!("BatchNormalization needs at least two axes, got shape {shape}")));
        }
        let mut wide = vec![1; shape.rank()];
        wide.iter_mut().skip(axis).take(1).for_each(|n| *n = channels);
        let others: Vec<isize> = (0..shape.rank()).filter(|&a| a != axis).map(|a| a as isize).collect();

        let gamma = match self.scale {
            true => Some(cx.weight(&self.gamma, [channels], &self.gamma_initializer)?),
            false => None,
        };
        let beta = match self.center {
            true => Some(cx.weight(&self.beta, [channels], &self.beta_initializer)?),
            false => None,
        };
        if self.scale {
            cx.regularize(&self.gamma, &self.gamma_regularizer)?;
            cx.constrain(&self.gamma, &self.gamma_constraint)?;
        }
        if self.center {
            cx.regularize(&self.beta, &self.beta_regularizer)?;
            cx.constrain(&self.beta, &self.beta_constraint)?;
        }
        let moving_mean = cx.state(&self.moving_mean, [channels], &self.moving_mean_initializer)?;
        let moving_variance = cx.state(&self.moving_variance, [channels], &self.moving_variance_initializer)?;

        let (mean, variance) = match cx.training() && self.base.trainable() {
            true => {
                let (mean, variance) = x.moments(others);
                let follow = |moving: &Tensor, batch: &Tensor| {
                    moving * self.momentum + batch.stop_gradient() * (1.0 - self.momentum)
                };
                cx.set(&self.moving_mean, follow(&moving_mean, &mean))?;
                cx.set(&self.moving_variance, follow(&moving_variance, &variance))?;
                (mean, variance)
            }
            false => (moving_mean, moving_variance),
        };
        let mut factor = (variance + self.epsilon).rsqrt();
        if let Some(gamma) = gamma {
            factor = factor * gamma;
        }
        let mut y = (x - mean.reshape(wide.clone())) * factor.reshape(wide.clone());
        if let Some(beta) = beta {
            y = y + beta.reshape(wide);
        }
        Ok(y.cast(dtype))
    }
}
