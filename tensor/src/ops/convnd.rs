//! Convolutions over one and three axes, transposed and depthwise ones: compositions of the two-dimensional family, so that
//! kernels and gradients are the same.

use super::{
    record,
    window::{ConvNd, ConvTransposeNd, span, two},
};
use crate::{
    error::{Error, Result},
    graph::{Conv2d, SliceAxis, Tensor},
};
use std::panic::Location;

impl Tensor {
    /// Cross-correlation along one axis: `x [n, l, c]`, `kernel [k, c / groups, f]` give `[n, ol, f]`.
    ///
    /// ```
    /// use addax_tensor::{Tensor, ops::{ConvNd, Pads}};
    /// let x = Tensor::from_vec([1.0f32, 2.0, 3.0], [1, 3, 1]);
    /// let kernel = Tensor::from_vec([10.0f32, 1.0], [2, 1, 1]);
    /// let causal = ConvNd { pads: Pads::Causal, ..ConvNd::default() };
    /// assert_eq!(x.conv1d(&kernel, &causal).to_vec::<f32>()?, vec![1.0, 12.0, 23.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn conv1d(&self, kernel: &Tensor, conv: &ConvNd<1>) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let ([_, l, _], [k, ..]) = (self.dims()?, kernel.dims::<3>()?);
            let [pads] = conv.resolved([l], [k])?;
            let flat = two([1, conv.strides[0]], [(0, 0), pads], [1, conv.dilation[0]], conv.groups);
            Ok(self.expand_dims(1).conv2d(&kernel.expand_dims(0), flat).squeeze(1))
        })
    }

    /// Cross-correlation along three axes: `x [n, d, h, w, c]`, `kernel [kd, kh, kw, c / groups, f]` give `[n, od, oh, ow, f]`. It is
    /// the sum over the kernel's depth of two-dimensional ones.
    #[track_caller]
    pub fn conv3d(&self, kernel: &Tensor, conv: &ConvNd<3>) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let ([n, d, h, w, c], [kd, kh, kw, ..]) = (self.dims()?, kernel.dims::<5>()?);
            let [deep, rows, columns] = conv.resolved([d, h, w], [kd, kh, kw])?;
            let ([sd, sh, sw], [dd, dh, dw]) = (conv.strides, conv.dilation);
            let depth = d + deep.0 + deep.1;
            let steps = depth.checked_sub(span(kd, dd)).filter(|_| sd > 0 && kd > 0).map(|room| room / sd + 1);
            let steps = steps.ok_or_else(|| {
                Error::shape(format!("conv3d: a window {kd} deep (dilation {dd}) does not fit {d} with pads {deep:?}"))
            })?;
            let padded = self.pad([(0, 0), deep, (0, 0), (0, 0), (0, 0)], 0.0);
            let flat = two([sh, sw], [rows, columns], [dh, dw], conv.groups);
            let mut sum: Option<Tensor> = None;
            for tap in 0..kd {
                let start = tap * dd;
                let layers = every(&padded, 1, start, start + (steps - 1) * sd + 1, sd)?.reshape([n * steps, h, w, c]);
                let part = layers.conv2d(&kernel.slice(0, tap..tap + 1).squeeze(0), flat);
                sum = Some(sum.map_or(part.clone(), |sum| sum + part));
            }
            let sum = sum.ok_or_else(|| Error::shape("conv3d: the kernel has no depth"))?;
            let [_, oh, ow, f] = sum.dims()?;
            Ok(sum.reshape([n, steps, oh, ow, f]))
        })
    }

    /// Transposed convolution along one axis: `x [n, l, c]`, `kernel [k, f, c]` give `[n, ol, f]`.
    #[track_caller]
    pub fn conv_transpose1d(&self, kernel: &Tensor, conv: &ConvTransposeNd<1>) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let ([n, l, _], [k, f, _]) = (self.dims()?, kernel.dims()?);
            let along = conv.resolved(0, l, k)?;
            let flat = two([1, conv.strides[0]], [(0, 0), along.pads], [1, conv.dilation[0]], 1);
            let (x, kernel) = (self.expand_dims(1), kernel.expand_dims(0));
            Ok(x.conv2d_input_grad(&kernel, [n, 1, along.len, f], flat).squeeze(1))
        })
    }

    /// Transposed convolution: `x [n, h, w, c]`, `kernel [kh, kw, f, c]` give `[n, oh, ow, f]`. It is the gradient of
    /// [`conv2d`](Tensor::conv2d) with respect to its input, with Keras' rules for the output's shape.
    #[track_caller]
    pub fn conv_transpose2d(&self, kernel: &Tensor, conv: &ConvTransposeNd<2>) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let ([n, h, w, _], [kh, kw, f, _]) = (self.dims()?, kernel.dims()?);
            let (rows, columns) = (conv.resolved(0, h, kh)?, conv.resolved(1, w, kw)?);
            let flat = two(conv.strides, [rows.pads, columns.pads], conv.dilation, 1);
            Ok(self.conv2d_input_grad(kernel, [n, rows.len, columns.len, f], flat))
        })
    }

    /// Transposed convolution along three axes: `x [n, d, h, w, c]`, `kernel [kd, kh, kw, f, c]` give `[n, od, oh, ow, f]`.
    #[track_caller]
    pub fn conv_transpose3d(&self, kernel: &Tensor, conv: &ConvTransposeNd<3>) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let ([n, d, h, w, c], [kd, kh, kw, f, _]) = (self.dims()?, kernel.dims()?);
            let [deep, rows, columns] = [(0, d, kd), (1, h, kh), (2, w, kw)].map(|(i, n, k)| conv.resolved(i, n, k));
            let (deep, rows, columns) = (deep?, rows?, columns?);
            let ([sd, sh, sw], [dd, dh, dw]) = (conv.strides, conv.dilation);
            let flat = two([sh, sw], [rows.pads, columns.pads], [dh, dw], 1);
            let layers = self.reshape([n * d, h, w, c]);
            let result = [n, deep.len, rows.len, columns.len, f];
            // As deep as all layers reach, before the pads are cut off.
            let whole = (d - 1) * sd + span(kd, dd);
            let mut sum: Option<Tensor> = None;
            for tap in 0..kd {
                let kernel = kernel.slice(0, tap..tap + 1).squeeze(0);
                let part = layers.conv2d_input_grad(&kernel, [n * d, rows.len, columns.len, f], flat);
                // Layer i goes to depth i·stride + tap·dilation.
                let apart = part
                    .reshape([n, d, 1, rows.len, columns.len, f])
                    .pad([(0, 0), (0, 0), (0, sd - 1), (0, 0), (0, 0), (0, 0)], 0.0);
                let apart = apart.reshape([n, d * sd, rows.len, columns.len, f]).slice(1, ..(d - 1) * sd + 1);
                let (before, after) = (tap * dd, whole - (d - 1) * sd - 1 - tap * dd);
                let placed = apart.pad([(0, 0), (before, after), (0, 0), (0, 0), (0, 0)], 0.0);
                sum = Some(sum.map_or(placed.clone(), |sum| sum + placed));
            }
            let sum = sum.ok_or_else(|| Error::shape("conv_transpose3d: the kernel has no depth"))?;
            let kept = deep.pads.0..(deep.pads.0 + deep.len).min(whole);
            let missing = deep.len - kept.len();
            Ok(sum.slice(1, kept).pad([(0, 0), (0, missing), (0, 0), (0, 0), (0, 0)], 0.0).reshape(result))
        })
    }

    /// Convolution of every channel for itself along one axis: `x [n, l, c]`, `kernel [k, c, m]` give `[n, ol, c·m]`.
    #[track_caller]
    pub fn depthwise_conv1d(&self, kernel: &Tensor, conv: &ConvNd<1>) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let [k, c, m] = kernel.dims()?;
            own_channels(self, c, conv.groups)?;
            Ok(self.conv1d(&kernel.reshape([k, 1, c * m]), &ConvNd { groups: c, ..conv.clone() }))
        })
    }

    /// Convolution of every channel for itself: `x [n, h, w, c]`, `kernel [kh, kw, c, m]` give `[n, oh, ow, c·m]`.
    #[track_caller]
    pub fn depthwise_conv2d(&self, kernel: &Tensor, conv: &ConvNd<2>) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let ([_, h, w, _], [kh, kw, c, m]) = (self.dims()?, kernel.dims()?);
            own_channels(self, c, conv.groups)?;
            let pads = conv.resolved([h, w], [kh, kw])?;
            Ok(self.conv2d(&kernel.reshape([kh, kw, 1, c * m]), two(conv.strides, pads, conv.dilation, c)))
        })
    }

    /// Convolution of every channel for itself along three axes: `x [n, d, h, w, c]`, `kernel [kd, kh, kw, c, m]` give
    /// `[n, od, oh, ow, c·m]`.
    #[track_caller]
    pub fn depthwise_conv3d(&self, kernel: &Tensor, conv: &ConvNd<3>) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let [kd, kh, kw, c, m] = kernel.dims()?;
            own_channels(self, c, conv.groups)?;
            Ok(self.conv3d(&kernel.reshape([kd, kh, kw, 1, c * m]), &ConvNd { groups: c, ..conv.clone() }))
        })
    }

    /// A depthwise convolution by `depthwise [k, c, m]`, then a product over channels by `pointwise [1, c·m, f]`.
    #[track_caller]
    pub fn separable_conv1d(&self, depthwise: &Tensor, pointwise: &Tensor, conv: &ConvNd<1>) -> Tensor {
        self.depthwise_conv1d(depthwise, conv).conv1d(pointwise, &ConvNd::default())
    }

    /// A depthwise convolution by `depthwise [kh, kw, c, m]`, then a product over channels by `pointwise [1, 1, c·m, f]`.
    #[track_caller]
    pub fn separable_conv2d(&self, depthwise: &Tensor, pointwise: &Tensor, conv: &ConvNd<2>) -> Tensor {
        let single = Conv2d { strides: [1, 1], pads: [(0, 0); 2], dilation: [1, 1], groups: 1 };
        self.depthwise_conv2d(depthwise, conv).conv2d(pointwise, single)
    }

    /// A depthwise convolution by `depthwise [kd, kh, kw, c, m]`, then a product over channels by `pointwise [1, 1, 1, c·m, f]`.
    #[track_caller]
    pub fn separable_conv3d(&self, depthwise: &Tensor, pointwise: &Tensor, conv: &ConvNd<3>) -> Tensor {
        self.depthwise_conv3d(depthwise, conv).conv3d(pointwise, &ConvNd::default())
    }
}

fn own_channels(x: &Tensor, channels: usize, groups: usize) -> Result<()> {
    let shape = x.shape()?;
    if shape.last() != Some(&channels) || groups != 1 {
        return Err(Error::shape(format!(
            "a depthwise convolution of shape {shape} needs a kernel for as many channels and one group, got {channels} and {groups}"
        )));
    }
    Ok(())
}

/// Elements `start, start + step, …` below `stop` along `axis`.
pub(super) fn every(x: &Tensor, axis: usize, start: usize, stop: usize, step: usize) -> Result<Tensor> {
    let whole = x.shape()?.iter().map(|&stop| SliceAxis { start: 0, stop, step: 1 });
    let axes: Vec<_> =
        whole.enumerate().map(|(a, all)| if a == axis { SliceAxis { start, stop, step } } else { all }).collect();
    Ok(x.slice_axes(axes))
}
