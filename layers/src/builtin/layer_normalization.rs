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

/// `(x - mean) / √(variance + epsilon)` over `axes`.
fn normalized(x: &Tensor, axes: impl Into<Axes>, epsilon: f64) -> Result<Tensor> {
    let (axes, shape) = (axes.into(), x.shape()?);
    let reduced = axes.resolve(shape)?;
    let wide: Shape = (0..shape.rank()).map(|a| if reduced.contains(&a) { 1 } else { shape[a] }).collect();
    let (mean, variance) = x.moments(axes);
    Ok((x - mean.reshape(&wide)) * (variance + epsilon).rsqrt().reshape(&wide))
}

/// A normalization that ends in `gamma · x + beta`: what Layer- and GroupNormalization have in common, and the settings that only
/// one of them has.
macro_rules! affine_layer {
    (
        $(#[$doc:meta])*
        $layer:ident,
        $(#[$new_doc:meta])* new,
        { $($(#[$own_doc:meta])* $own:ident: $type:ty = $default:expr,)* }
        { $($hidden:ident: $hidden_type:ty = $value:expr,)* }
    ) => {
        $(#[$doc])*
        #[derive(Fields)]
        #[fields(keras, blank = $layer::new())]
        pub struct $layer {
            base: Base,
            $($own: $type,)*
            center: bool,
            scale: bool,
            beta_initializer: Initializer,
            gamma_initializer: Initializer,
            beta_regularizer: Option<Regularizer>,
            gamma_regularizer: Option<Regularizer>,
            beta_constraint: Option<Constraint>,
            gamma_constraint: Option<Constraint>,
            $($hidden: $hidden_type,)*
            gamma: Weight,
            beta: Weight,
        }

        impl Default for $layer {
            fn default() -> Self {
                $layer::new()
            }
        }

        impl $layer {
            $(#[$new_doc])*
            pub fn new() -> Self {
                $layer {
                    base: Base::default(),
                    $($own: $default,)*
                    center: true,
                    scale: true,
                    beta_initializer: Initializer::Zeros,
                    gamma_initializer: Initializer::Ones,
                    beta_regularizer: None,
                    gamma_regularizer: None,
                    beta_constraint: None,
                    gamma_constraint: None,
                    $($hidden: $value,)*
                    gamma: Weight::new(),
                    beta: Weight::new(),
                }
            }
            /// `gamma · x + beta`, of lengths `own`, seen as `wide`.
            fn affine(&self, x: Tensor, (own, wide): (Vec<usize>, Vec<usize>), cx: &Cx) -> Result<Tensor> {
                let mut y = x;
                if self.scale {
                    let (first, penalty, bound) = (&self.gamma_initializer, &self.gamma_regularizer, &self.gamma_constraint);
                    y = y * cx.parameter(&self.gamma, own.clone(), first, penalty, bound)?.reshape(wide.clone());
                }
                if self.center {
                    let (first, penalty, bound) = (&self.beta_initializer, &self.beta_regularizer, &self.beta_constraint);
                    y = y + cx.parameter(&self.beta, own, first, penalty, bound)?.reshape(wide);
                }
                Ok(y)
            }
        }
        base_methods!($layer);
        setters!($layer {
            $($(#[$own_doc])* $own: $type,)*
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
    };
}

affine_layer! {
    /// `gamma · (x - mean) / √(variance + epsilon) + beta`, with mean and variance of each sample over `axis`; the shape stays.
    LayerNormalization,
    /// With Keras' defaults: the last axis, epsilon 0.001.
    new,
    {
        /// The axes that are normalized together.
        axis: AxisList = AxisList(vec![-1]),
        /// Added to the variance.
        epsilon: f64 = 1e-3,
    }
    { rms_scaling: Never = Never, }
}

impl Layer for LayerNormalization {
    type In = Tensor;
    type Out = Tensor;
    /// The statistics are those of the input as it came.
    fn autocast(&self) -> bool {
        false
    }
    fn forward(&self, x: Tensor, cx: &mut Cx) -> Result<Tensor> {
        let dtype = cx.policy().compute;
        let cx = &cx.in_float32();
        let x = x.cast(DType::F32);
        let shape = x.shape()?.clone();
        let axes = Axes::from(self.axis.0.as_slice()).resolve(&shape)?;
        let lengths = along(&shape, &axes);
        let y = normalized(&x, axes, self.epsilon)?;
        Ok(self.affine(y, lengths, cx)?.cast(dtype))
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

affine_layer! {
    /// Normalizes each sample in groups of channels: `gamma · (x - mean) / √(variance + epsilon) + beta`; the shape stays.
    GroupNormalization,
    /// With Keras' defaults: 32 groups, epsilon 0.001.
    new,
    {
        /// Number of groups; -1 for one per channel.
        groups: isize = 32,
        /// The axis of the channels.
        axis: isize = -1,
        /// Added to the variance.
        epsilon: f64 = 1e-3,
    }
    {}
}

impl Layer for GroupNormalization {
    type In = Tensor;
    type Out = Tensor;
    /// The statistics are those of the input as it came.
    fn autocast(&self) -> bool {
        false
    }
    fn forward(&self, x: Tensor, cx: &mut Cx) -> Result<Tensor> {
        let dtype = cx.policy().compute;
        let cx = &cx.in_float32();
        let x = x.cast(DType::F32);
        let shape = x.shape()?.clone();
        let axis = shape.axis(self.axis)?;
        let lengths = along(&shape, &[axis]);
        let channels = lengths.0.iter().product::<usize>();
        let groups = usize::try_from(self.groups).unwrap_or(channels).max(1);
        if !channels.is_multiple_of(groups) {
            return Err(Error::shape(format!("{channels} channels cannot be split evenly into {groups} groups")));
        }
        let mut split = shape.to_vec();
        split.splice(axis..=axis, [groups, channels / groups]);
        let grouped = x.reshape(split.clone());
        let together: Vec<isize> = (1..split.len()).filter(|&a| a != axis).map(|a| a as isize).collect();
        let y = normalized(&grouped, together, self.epsilon)?.reshape(&shape);
        Ok(self.affine(y, lengths, cx)?.cast(dtype))
    }
}
