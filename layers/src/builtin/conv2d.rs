//! Conv2D.

use super::{base_methods, setters};
use crate::{
    Base, Constraint, Cx, DataFormat, Fields, Initializer, Layer, Padding, Pair, Regularizer, Weight,
    activations::Activation,
};
use addax_tensor::{Error, Result, Tensor, graph::Conv2d};

/// `activation(x * kernel + bias)`, a cross-correlation over height and width: `[n, h, w, c] -> [n, oh, ow, filters]`.
///
/// With `padding("same")` there are `ceil(h / stride)` positions; the odd cell of padding is at the end.
///
/// ```
/// use addax_layers::{Conv2D, Cx};
/// use addax_tensor::Tensor;
/// let conv = Conv2D::new(4, 3).strides(2).padding("same").activation("relu");
/// let y = Cx::inference().call(&conv, Tensor::ones([1, 7, 5, 3]))?;
/// assert_eq!(y.shape()?.dims(), [1, 4, 3, 4]);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[derive(Fields)]
#[fields(keras, blank = Conv2D::new(0, 1))]
pub struct Conv2D {
    base: Base,
    #[fields(required)]
    filters: usize,
    #[fields(required)]
    kernel_size: Pair,
    strides: Pair,
    padding: Padding,
    data_format: DataFormat,
    dilation_rate: Pair,
    groups: usize,
    activation: Activation,
    use_bias: bool,
    kernel_initializer: Initializer,
    bias_initializer: Initializer,
    kernel_regularizer: Option<Regularizer>,
    bias_regularizer: Option<Regularizer>,
    activity_regularizer: Option<Regularizer>,
    kernel_constraint: Option<Constraint>,
    bias_constraint: Option<Constraint>,
    kernel: Weight,
    bias: Weight,
}

impl Conv2D {
    /// With Keras' defaults: strides 1, no padding, `glorot_uniform` kernel, zero bias, no activation.
    pub fn new(filters: usize, kernel_size: impl Into<Pair>) -> Self {
        Conv2D {
            base: Base::default(),
            filters,
            kernel_size: kernel_size.into(),
            strides: 1.into(),
            padding: Padding::Valid,
            data_format: DataFormat::ChannelsLast,
            dilation_rate: 1.into(),
            groups: 1,
            activation: Activation::Linear,
            use_bias: true,
            kernel_initializer: "glorot_uniform".into(),
            bias_initializer: Initializer::Zeros,
            kernel_regularizer: None,
            bias_regularizer: None,
            activity_regularizer: None,
            kernel_constraint: None,
            bias_constraint: None,
            kernel: Weight::new(),
            bias: Weight::new(),
        }
    }
    /// The geometry for an image of this size; fails for arguments that contradict each other.
    fn geometry(&self, image: [usize; 2]) -> Result<Conv2d> {
        let (Pair(kernel), Pair(strides), Pair(dilation)) = (self.kernel_size, self.strides, self.dilation_rate);
        let positive = |n: [usize; 2]| !n.contains(&0);
        if self.filters == 0 || self.groups == 0 || !positive(kernel) || !positive(strides) || !positive(dilation) {
            return Err(Error::argument(format!(
                "filters, kernel_size, strides, dilation_rate and groups are at least 1, got {}, {kernel:?}, {strides:?}, {dilation:?} and {}",
                self.filters, self.groups
            )));
        }
        if strides != [1, 1] && dilation != [1, 1] {
            return Err(Error::argument(format!(
                "strides {strides:?} and dilation_rate {dilation:?} cannot both be above 1; set one of them to 1"
            )));
        }
        if !self.filters.is_multiple_of(self.groups) {
            return Err(Error::argument(format!(
                "{} filters cannot be split evenly into {} groups",
                self.filters, self.groups
            )));
        }
        let [h, w] = image;
        let window = |i: usize| (kernel[i] - 1) * dilation[i] + 1;
        let pads = [self.padding.cells(h, window(0), strides[0])?, self.padding.cells(w, window(1), strides[1])?];
        Ok(Conv2d { strides, pads, dilation, groups: self.groups })
    }
}
base_methods!(Conv2D);
setters!(Conv2D {
    /// Steps of the window.
    strides: Pair,
    /// `"valid"` or `"same"`.
    padding: Padding,
    /// `"channels_last"` or `"channels_first"`.
    data_format: DataFormat,
    /// Distance of the kernel's cells; not together with strides.
    dilation_rate: Pair,
    /// Channels and filters are split in this many independent groups.
    groups: usize,
    /// What is applied to the result.
    activation: Activation,
    /// Whether there is a bias.
    use_bias: bool,
    /// First values of the kernel `[kh, kw, c / groups, filters]`.
    kernel_initializer: Initializer,
    /// First values of the bias `[filters]`.
    bias_initializer: Initializer,
    /// Penalty on the kernel.
    kernel_regularizer: Regularizer => Some,
    /// Penalty on the bias.
    bias_regularizer: Regularizer => Some,
    /// Penalty on the output, divided by the batch.
    activity_regularizer: Regularizer => Some,
    /// What the kernel is held to.
    kernel_constraint: Constraint => Some,
    /// What the bias is held to.
    bias_constraint: Constraint => Some,
});

impl Layer for Conv2D {
    type In = Tensor;
    type Out = Tensor;

    fn forward(&self, x: Tensor, cx: &mut Cx) -> Result<Tensor> {
        let x = super::image("Conv2D", &self.data_format.to_last(&x)?)?.cast(cx.policy().compute);
        let [_, h, w, channels] = x.dims()?;
        let geometry = self.geometry([h, w])?;
        if !channels.is_multiple_of(self.groups) {
            return Err(Error::shape(format!(
                "{channels} channels cannot be split evenly into {} groups",
                self.groups
            )));
        }
        let [kh, kw] = self.kernel_size.0;
        let kernel = cx.parameter(
            &self.kernel,
            [kh, kw, channels / self.groups, self.filters],
            &self.kernel_initializer,
            &self.kernel_regularizer,
            &self.kernel_constraint,
        )?;
        let mut y = x.conv2d(&kernel, geometry);
        if self.use_bias {
            y = y + cx.parameter(
                &self.bias,
                [self.filters],
                &self.bias_initializer,
                &self.bias_regularizer,
                &self.bias_constraint,
            )?;
        }
        y.check()?;
        let y = self.activation.apply(&self.data_format.from_last(&y)?)?;
        cx.regularize_activity(&y, &self.activity_regularizer)?;
        Ok(y)
    }
}
