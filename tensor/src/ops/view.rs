//! Other indices for the same elements: nothing is computed, and seldom is anything moved.

use super::record;
use crate::{
    dtype::Scalar,
    error::{Error, Result},
    graph::{Meta, Op, Origin, SliceAxis, Tensor, View},
    shape::{Axes, Shape},
};
use std::{ops::Bound, ops::RangeBounds, panic::Location};

impl Tensor {
    fn view_at(&self, view: View, shape: Shape, origin: Origin) -> Result<Tensor> {
        let meta = self.meta()?;
        if meta.shape == shape && !matches!(view, View::Permute(_) | View::Flip(_)) {
            return Ok(self.clone());
        }
        let meta = Meta { shape, dtype: meta.dtype };
        Ok(Tensor::record_one(Op::View(view), vec![self.clone()], meta, origin))
    }

    /// Same elements in row-major order under another shape with equally many elements.
    #[track_caller]
    pub fn reshape(&self, shape: impl Into<Shape>) -> Tensor {
        let (origin, to) = (Location::caller(), shape.into());
        record(origin, || {
            let from = self.shape()?;
            if from.numel() != to.numel() {
                return Err(Error::shape(format!(
                    "cannot reshape {from} ({} elements) to {to} ({} elements)",
                    from.numel(),
                    to.numel()
                )));
            }
            self.view_at(View::Reshape(to.clone()), to, origin)
        })
    }

    /// Output axis `i` is input axis `order[i]`; negative axes count from the end.
    #[track_caller]
    pub fn permute(&self, order: impl AsRef<[isize]>) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let shape = self.shape()?;
            let order = order.as_ref().iter().map(|&a| shape.axis(a)).collect::<Result<Vec<_>>>()?;
            let mut sorted = order.clone();
            sorted.sort_unstable();
            if !sorted.iter().copied().eq(0..shape.rank()) {
                return Err(Error::shape(format!("axes {order:?} are no permutation of shape {shape}")));
            }
            if sorted == order {
                return Ok(self.clone());
            }
            let to = order.iter().map(|&a| shape[a]).collect();
            self.view_at(View::Permute(order), to, origin)
        })
    }

    /// Swaps two axes.
    #[track_caller]
    pub fn swap_axes(&self, a: isize, b: isize) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let shape = self.shape()?;
            let mut order: Vec<isize> = (0..shape.rank() as isize).collect();
            order.swap(shape.axis(a)?, shape.axis(b)?);
            Ok(self.permute(order))
        })
    }

    /// Swaps the last two axes: the matrix transpose.
    #[track_caller]
    pub fn t(&self) -> Tensor {
        self.swap_axes(-2, -1)
    }

    /// Repeats axes of length 1, and adds axes in front, until the shape is `shape`.
    #[track_caller]
    pub fn broadcast_to(&self, shape: impl Into<Shape>) -> Tensor {
        let (origin, to) = (Location::caller(), shape.into());
        record(origin, || {
            let from = self.shape()?;
            if from.broadcast(&to).ok().as_ref() != Some(&to) {
                return Err(Error::shape(format!("shape {from} does not broadcast to {to}")));
            }
            Ok(self.broadcast_at(&to, origin))
        })
    }

    /// Broadcasts to a shape that is known to fit.
    pub(crate) fn broadcast_at(&self, shape: &Shape, origin: Origin) -> Tensor {
        record(origin, || self.view_at(View::Broadcast(shape.clone()), shape.clone(), origin))
    }

    /// The part of one axis in `range`, such as `1..3`, `..2` or `5..`.
    #[track_caller]
    pub fn slice(&self, axis: isize, range: impl RangeBounds<usize>) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let shape = self.shape()?;
            let axis = shape.axis(axis)?;
            let start = match range.start_bound() {
                Bound::Included(&s) => s,
                Bound::Excluded(&s) => s + 1,
                Bound::Unbounded => 0,
            };
            let stop = match range.end_bound() {
                Bound::Included(&s) => s + 1,
                Bound::Excluded(&s) => s,
                Bound::Unbounded => shape[axis],
            };
            let mut axes = whole(shape);
            axes[axis] = SliceAxis { start, stop, step: 1 };
            self.slice_axes_at(axes, origin)
        })
    }

    /// The part of every axis given by `axes`, one entry per axis.
    #[track_caller]
    pub fn slice_axes(&self, axes: impl Into<Vec<SliceAxis>>) -> Tensor {
        let origin = Location::caller();
        record(origin, || self.slice_axes_at(axes.into(), origin))
    }

    fn slice_axes_at(&self, axes: Vec<SliceAxis>, origin: Origin) -> Result<Tensor> {
        let shape = self.shape()?;
        let fits = |(a, &n): (&SliceAxis, &usize)| a.start <= a.stop && a.stop <= n && a.step > 0;
        if axes.len() != shape.rank() || !axes.iter().zip(shape.iter()).all(fits) {
            let wanted: Vec<_> = axes.iter().map(|a| format!("{}..{} by {}", a.start, a.stop, a.step)).collect();
            return Err(Error::shape(format!("slice [{}] does not fit shape {shape}", wanted.join(", "))));
        }
        let to = axes.iter().map(SliceAxis::len).collect();
        self.view_at(View::Slice(axes), to, origin)
    }

    /// Surrounds with `value`: `(before, after)` cells per axis.
    #[track_caller]
    pub fn pad(&self, pads: impl Into<Vec<(usize, usize)>>, value: impl Into<Scalar>) -> Tensor {
        let (origin, pads) = (Location::caller(), pads.into());
        record(origin, || {
            let shape = self.shape()?;
            if pads.len() != shape.rank() {
                return Err(Error::shape(format!("{} pads do not fit shape {shape}", pads.len())));
            }
            let to = shape.iter().zip(&pads).map(|(n, (before, after))| n + before + after).collect();
            self.view_at(View::Pad(pads, value.into()), to, origin)
        })
    }

    /// Reverses the order along these axes.
    #[track_caller]
    pub fn flip(&self, axes: impl Into<Axes>) -> Tensor {
        let (origin, axes) = (Location::caller(), axes.into());
        record(origin, || {
            let shape = self.shape()?.clone();
            let axes = axes.resolve(&shape)?;
            if axes.is_empty() {
                return Ok(self.clone());
            }
            self.view_at(View::Flip(axes), shape, origin)
        })
    }

    /// Adds an axis of length 1 at `axis` (negative from the end of the result).
    #[track_caller]
    pub fn expand_dims(&self, axis: isize) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let mut dims = self.shape()?.to_vec();
            let at = crate::shape::resolve_axis(axis, dims.len() + 1).ok_or_else(|| {
                Error::shape(format!("axis {axis} is out of range for a result of {} axes", dims.len() + 1))
            })?;
            dims.insert(at, 1);
            self.view_at(View::Reshape(dims.clone().into()), dims.into(), origin)
        })
    }

    /// Removes an axis of length 1.
    #[track_caller]
    pub fn squeeze(&self, axis: isize) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let shape = self.shape()?;
            let at = shape.axis(axis)?;
            if shape[at] != 1 {
                return Err(Error::shape(format!("axis {axis} of shape {shape} has length {}, not 1", shape[at])));
            }
            let mut dims = shape.to_vec();
            dims.remove(at);
            self.view_at(View::Reshape(dims.clone().into()), dims.into(), origin)
        })
    }
}

/// The slice that keeps everything.
fn whole(shape: &Shape) -> Vec<SliceAxis> {
    shape.iter().map(|&stop| SliceAxis { start: 0, stop, step: 1 }).collect()
}
