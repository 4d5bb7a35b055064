//! Normalization of each sample: LayerNormalization, RMSNormalization, UnitNormalization, GroupNormalization.

use super::{base_methods, setters};
use crate::{AxisList, Base, Constraint, Cx, Fields, Initializer, Layer, Never, Regularizer, Weight};
use addax_tensor::{Axes, DType, Error, Result, Shape, Tensor};

/// The shape of `shape` along `axes`, and with 1 for the others.
fn along(shape: &Shape, axes: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let own = axes.iter().filter_map(|&a| shape.get(a).copied()).collect();
    let wide = shape.iter().enumerate().map(|(a, &n)| if axes.contains(&a) { n } else { 1 }).collect();
    (own, wide)
}

/// `gamma · (x - mean) / √(variance + epsilon) + beta`, with mean and variance of each sample over `axis`; the shape stays.
#[derive(Fields)]
#[fields(keras, blank = LayerNormalization::new())]
pub struct LayerNormalization {
    base: Base,
    axis: AxisList,
    epsilon: f64,
    center: bool,
    scale: bool,
    beta_initializer: Initializer,
    gamma_initializer: Initializer,
    beta_regularizer: Option<Regularizer>,
    gamma_regularizer: Option<Regularizer>,
    beta_constraint: Option<Constraint>,
    gamma_constraint: Option<Constraint>,
    rms_scaling: Never,
    gamma: Weight,
    beta: Weight,
}

impl Default for LayerNormalization {
    fn default() -> Self {
        LayerNormalization::new()
    }
}

impl LayerNormalization {
    /// With Keras' defaults: the last axis, epsilon 0.001.
    pub fn new() -> Self {
        LayerNormalization {
            base: Base::default(),
            axis: AxisList(vec![-1]),
            epsilon: 1e-3,
            center: true,
            scale: true,
            beta_initializer: Initializer::Zeros,
            gamma_initializer: Initializer::Ones,
            beta_regularizer: None,
            gamma_regularizer: None,
            beta_constraint: None,
            gamma_constraint: None,
            rms_scaling: Never,
            gamma: Weight::new(),
            beta: Weight::new(),
        }
    }
}
base_methods!(LayerNormalization);
setters!(LayerNormalization {
    /// The axes that are normalized together.
    axis: AxisList,
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
    /// Penalty on `beta`.
    beta_regularizer: Regularizer => Some,
    /// Penalty on `gamma`.
    gamma_regularizer: Regularizer => Some,
    /// What `beta` is held to.
    beta_constraint: Constraint => Some,
    /// What `gamma` is held to.
    gamma_constraint: Constraint => Some,
});

impl Layer for LayerNormalization {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, cx: &mut Cx) -> Result<Tensor> {
        let dtype = cx.policy().compute;
        let cx = &cx.in_float32();
        let x = x.cast(DType::F32);
        let shape = x.shape()?.clone();
        let axes = Axes::from(self.axis.0.as_slice()).resolve(&shape)?;
        let (own, wide) = along(&shape, &axes);
        let centered = &x - x.mean_keepdims(axes.clone());
        let variance = centered.square().mean_keepdims(axes);
        let mut y = centered * (variance + self.epsilon).rsqrt();
        if self.scale {
            y = y * cx.weight(&self.gamma, own.clone(), &self.gamma_initializer)?.reshape(wide.clone());
            cx.regularize(&self.gamma, &self.gamma_regularizer)?;
            cx.constrain(&self.gamma, &self.gamma_constraint)?;
        }
        if self.center {
            y = y + cx.weight(&self.beta, own, &self.beta_initializer)?.reshape(wide);
            cx.regularize(&self.beta, &self.beta_regularizer)?;
            cx.constrain(&self.beta, &self.beta_constraint)?;
        }
        Ok(y.cast(dtype))
    }
}

/// `scale · x / √(mean x² + epsilon)` over `axis`; the shape stays.
#[derive(Fields)]
#[fields(keras, blank = RMSNormalization::new())]
pub struct RMSNormalization {
    base: Base,
    axis: AxisList,
    epsilon: f64,
    scale: Weight,
}

impl Default for RMSNormalization {
    fn default() -> Self {
        RMSNormalization::new()
    }
}

impl RMSNormalization {
    /// Over the last axis, epsilon 1e-6.
    pub fn new() -> Self {
        RMSNormalization { base: Base::default(), axis: AxisList(vec![-1]), epsilon: 1e-6, scale: Weight::new() }
    }
}
base_methods!(RMSNormalization);
setters!(RMSNormalization {
    /// The axes that are normalized together.
    axis: AxisList,
    /// Added to the mean square.
    epsilon: f64,
});

impl Layer for RMSNormalization {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, cx: &mut Cx) -> Result<Tensor> {
        let dtype = cx.policy().compute;
        let cx = &cx.in_float32();
        let x = x.cast(DType::F32);
        let shape = x.shape()?.clone();
        let axes = Axes::from(self.axis.0.as_slice()).resolve(&shape)?;
        let (own, wide) = along(&shape, &axes);
        let factor = (x.square().mean_keepdims(axes) + self.epsilon).rsqrt();
        Ok((x * factor * cx.weight(&self.scale, own, "ones")?.reshape(wide)).cast(dtype))
    }
}

/// `x / ‖x‖` over `axis`; the shape stays.
#[derive(Fields)]
#[fields(keras, blank = UnitNormalization::new())]
pub struct UnitNormalization {
    base: Base,
    axis: AxisList,
}

impl Default for UnitNormalization {
    fn default() -> Self {
        UnitNormalization::new()
    }
}

impl UnitNormalization {
    /// Over the last axis.
    pub fn new() -> Self {
        UnitNormalization { base: Base::default(), axis: AxisList(vec![-1]) }
    }
}
base_methods!(UnitNormalization);
setters!(UnitNormalization {
    /// The axes of the norm.
    axis: AxisList,
});

impl Layer for UnitNormalization {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, _: &mut Cx) -> Result<Tensor> {
        let square = x.square().sum_keepdims(Axes::from(self.axis.0.as_slice()));
        Ok(&x * square.maximum(1e-12).rsqrt())
    }
}

/// Normalizes each sample in groups of channels: `gamma · (x - mean) / √(variance + epsilon) + beta`; the shape stays.
#[derive(Fields)]
#[fields(keras, blank = GroupNormalization::new())]
pub struct GroupNormalization {
    base: Base,
    groups: isize,
    axis: isize,
    epsilon: f64,
    center: bool,
    scale: bool,
    beta_initializer: Initializer,
    gamma_initializer: Initializer,
    beta_regularizer: Option<Regularizer>,
    gamma_regularizer: Option<Regularizer>,
    beta_constraint: Option<Constraint>,
    gamma_constraint: Option<Constraint>,
    gamma: Weight,
    beta: Weight,
}

impl Default for GroupNormalization {
    fn default() -> Self {
        GroupNormalization::new()
    }
}

impl GroupNormalization {
    /// With Keras' defaults: 32 groups, epsilon 0.001.
    pub fn new() -> Self {
        GroupNormalization {
            base: Base::default(),
            groups: 32,
            axis: -1,
            epsilon: 1e-3,
            center: true,
            scale: true,
            beta_initializer: Initializer::Zeros,
            gamma_initializer: Initializer::Ones,
            beta_regularizer: None,
            gamma_regularizer: None,
            beta_constraint: None,
            gamma_constraint: None,
            gamma: Weight::new(),
            beta: Weight::new(),
        }
    }
}
base_methods!(GroupNormalization);
setters!(GroupNormalization {
    /// Number of groups; -1 for one per channel.
    groups: isize,
    /// The axis of the channels.
    axis: isize,
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
    /// Penalty on `beta`.
    beta_regularizer: Regularizer => Some,
    /// Penalty on `gamma`.
    gamma_regularizer: Regularizer => Some,
    /// What `beta` is held to.
    beta_constraint: Constraint => Some,
    /// What `gamma` is held to.
    gamma_constraint: Constraint => Some,
});

impl Layer for GroupNormalization {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, cx: &mut Cx) -> Result<Tensor> {
        let dtype = cx.policy().compute;
        let cx = &cx.in_float32();
        let x = x.cast(DType::F32);
        let shape = x.shape()?.clone();
        let axis = shape.axis(self.axis)?;
        let (own, wide) = along(&shape, &[axis]);
        let channels = own.iter().product::<usize>();
        let groups = usize::try_from(self.groups).unwrap_or(channels).max(1);
        if !channels.is_multiple_of(groups) {
            return Err(Error::shape(format!("{channels} channels cannot be split evenly into {groups} groups")));
        }
        let mut split = shape.to_vec();
        split.splice(axis..=axis, [groups, channels / groups]);
        let grouped = x.reshape(split.clone());
        let together: Vec<isize> = (1..split.len()).filter(|&a| a != axis).map(|a| a as isize).collect();
        let centered = &grouped - grouped.mean_keepdims(together.clone());
        let variance = centered.square().mean_keepdims(together);
        let mut y = (centered * (variance + self.epsilon).rsqrt()).reshape(&shape);
        if self.scale {
            y = y * cx.weight(&self.gamma, own.clone(), &self.gamma_initializer)?.reshape(wide.clone());
            cx.regularize(&self.gamma, &self.gamma_regularizer)?;
            cx.constrain(&self.gamma, &self.gamma_constraint)?;
        }
        if self.center {
            y = y + cx.weight(&self.beta, own, &self.beta_initializer)?.reshape(wide);
            cx.regularize(&self.beta, &self.beta_regularizer)?;
            cx.constrain(&self.beta, &self.beta_constraint)?;
        }
        Ok(y.cast(dtype))
    }
}
