//! The 2-D convolution family, channels last.

use super::record;
use crate::{
    error::{Error, Result},
    graph::{Conv2d, ConvKind, Meta, Op, Origin, Tensor},
    shape::Shape,
};
use std::panic::Location;

impl Tensor {
    /// Cross-correlation: `x [n, h, w, c]`, `kernel [kh, kw, c / groups, f]` give `[n, oh, ow, f]`.
    #[track_caller]
    pub fn conv2d(&self, kernel: &Tensor, conv: Conv2d) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let [n, h, w, c] = self.dims()?;
            let [kh, kw, cin, f] = kernel.dims()?;
            check(&conv, c, cin, f)?;
            let y = [n, conv.output_len(0, h, kh), conv.output_len(1, w, kw), f];
            if y[1] == 0 || y[2] == 0 {
                return Err(Error::shape(format!(
                    "conv2d: the window {kh}x{kw} (dilation {:?}) does not fit the image {h}x{w} with pads {:?}",
                    conv.dilation, conv.pads
                )));
            }
            self.family(ConvKind::Forward, conv, kernel, y.into(), origin)
        })
    }

    /// Gradient of [`conv2d`](Tensor::conv2d) with respect to its input of shape `input`: `self` is `dy`.
    #[track_caller]
    pub fn conv2d_input_grad(&self, kernel: &Tensor, input: impl Into<Shape>, conv: Conv2d) -> Tensor {
        let (origin, shape) = (Location::caller(), input.into());
        record(origin, || {
            let (dy, k) = (self.dims::<4>()?, kernel.dims::<4>()?);
            fits(&conv, &shape, k, dy)?;
            self.family(ConvKind::InputGrad(shape.clone()), conv, kernel, shape, origin)
        })
    }

    /// Gradient of [`conv2d`](Tensor::conv2d) with respect to its kernel of shape `kernel`: `self` is `x`.
    #[track_caller]
    pub fn conv2d_filter_grad(&self, dy: &Tensor, kernel: impl Into<Shape>, conv: Conv2d) -> Tensor {
        let (origin, shape) = (Location::caller(), kernel.into());
        record(origin, || {
            let k = <[usize; 4]>::try_from(shape.dims())
                .map_err(|_| Error::shape(format!("conv2d: a kernel has 4 axes, got {shape}")))?;
            fits(&conv, self.shape()?, k, dy.dims::<4>()?)?;
            self.family(ConvKind::FilterGrad(shape.clone()), conv, dy, shape, origin)
        })
    }

    fn family(&self, kind: ConvKind, conv: Conv2d, other: &Tensor, shape: Shape, origin: Origin) -> Result<Tensor> {
        let dtype = self.dtype()?.promote(other.dtype()?);
        if !dtype.is_float() {
            return Err(Error::dtype(format!("conv2d needs floats, got {} and {}", self.dtype()?, other.dtype()?)));
        }
        let inputs = vec![self.cast_at(dtype, origin), other.cast_at(dtype, origin)];
        Ok(Tensor::record_one(Op::Conv2d(kind, conv), inputs, Meta { shape, dtype }, origin))
    }
}

fn check(conv: &Conv2d, channels: usize, kernel_channels: usize, filters: usize) -> Result<()> {
    if conv.groups == 0 || conv.strides.contains(&0) || conv.dilation.contains(&0) {
        return Err(Error::argument(format!("conv2d: strides, dilation and groups are at least 1, got {conv:?}")));
    }
    if channels != kernel_channels * conv.groups || !filters.is_multiple_of(conv.groups) {
        return Err(Error::shape(format!(
            "conv2d: {channels} input channels and {filters} filters do not fit a kernel of {kernel_channels} channels in {} groups",
            conv.groups
        )));
    }
    Ok(())
}

fn fits(conv: &Conv2d, x: &Shape, k: [usize; 4], dy: [usize; 4]) -> Result<()> {
    let wrong = || Error::shape(format!("conv2d gradient: input {x}, kernel {k:?} and dy {dy:?} do not fit"));
    let [n, h, w, c] = <[usize; 4]>::try_from(x.dims()).map_err(|_| wrong())?;
    check(conv, c, k[2], k[3])?;
    match dy == [n, conv.output_len(0, h, k[0]), conv.output_len(1, w, k[1]), k[3]] {
        true => Ok(()),
        false => Err(wrong()),
    }
}
