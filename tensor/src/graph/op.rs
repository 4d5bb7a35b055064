//! The primitives. Each has one meaning, given by the `reference` executor; everything else is composed of them.

use crate::{
    dtype::Scalar,
    error::Error,
    graph::{Binary, Conv2d, ConvKind, CumulateOp, Pool2d, PoolKind, ReduceOp, Tensor, Unary},
    shape::Shape,
};
use std::sync::Arc;

/// One axis of a slice: `start, start + step, …` below `stop`; `step` is at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SliceAxis {
    /// First index.
    pub start: usize,
    /// One past the last index.
    pub stop: usize,
    /// Distance of neighbours.
    pub step: usize,
}

impl SliceAxis {
    /// Number of indices.
    pub fn len(&self) -> usize {
        self.stop.saturating_sub(self.start).div_ceil(self.step)
    }
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Ways to see the same elements under other indices.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum View {
    /// Same elements in row-major order under another shape.
    Reshape(Shape),
    /// Output axis `i` is input axis `order[i]`.
    Permute(Vec<usize>),
    /// NumPy broadcasting to this shape.
    Broadcast(Shape),
    /// A regular part of every axis.
    Slice(Vec<SliceAxis>),
    /// Surrounds with `value`: `(before, after)` per axis.
    Pad(Vec<(usize, usize)>, Scalar),
    /// Reverses these axes.
    Flip(Vec<usize>),
}

/// Batched matrix product. Operands have equal batch axes in front (broadcast views make them equal).
/// `a: [.., m, k]` (or `[.., k, m]` if `transpose_a`), `b: [.., k, n]` (or `[.., n, k]`), result `[.., m, n]` in `F32` accumulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct MatMul {
    /// `a` is stored `[.., k, m]`.
    pub transpose_a: bool,
    /// `b` is stored `[.., n, k]`.
    pub transpose_b: bool,
}

/// A running fold: element `i` is the fold of the elements up to `i`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cumulate {
    /// What is computed.
    pub op: CumulateOp,
    /// Whether it runs from the last element to the first.
    pub reverse: bool,
    /// Whether element `i` itself is left out: the first result is the fold of nothing.
    pub exclusive: bool,
}

/// Primitives that treat every line of a tensor along one axis for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineKind {
    /// `(x) -> y`: a running fold.
    Cumulate(Cumulate),
    /// `(x) -> I32`: where the elements of the sorted line stand in `x`. Stable; NaN comes last, whatever the order.
    ArgSort {
        /// Whether the largest comes first.
        descending: bool,
    },
    /// `(data, indices: I32) -> y`: `y[i] = data[indices[i]]` within each line; an index out of range gives 0. Other axes are equal.
    Take,
    /// `(indices: I32, updates) -> y`: zeros of the output's shape, with `updates[i]` added at `indices[i]` within each line, in
    /// order. Other axes are equal.
    Add,
}

/// A subgraph with parameters: the meaning of a `Call` and the step of a `Scan`.
#[derive(Debug)]
pub struct Body {
    /// What it computes, such as `"lstm"`.
    pub name: &'static str,
    /// The parameters, each an [`Op::Param`] leaf that belongs to this body alone.
    pub params: Vec<Tensor>,
    /// The results, built from the parameters (and from nothing outside but scalars).
    pub outputs: Vec<Tensor>,
    /// Whether the gradient of a loop over it computes the values of each step again instead of keeping those of all steps.
    /// It changes no value, only what is in memory: see [`Body::recomputed`].
    pub recompute: bool,
}

/// How a [`Body`] is looped over. The body's parameters are `carries, per-step inputs, invariants`, in this order;
/// its outputs are `carries, per-step outputs`. The node's inputs are `initial carries, stacked inputs [steps, ..], invariants`,
/// its outputs `final carries, stacked outputs [steps, ..]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScanSpec {
    /// Number of steps.
    pub steps: usize,
    /// Number of values handed from step to step.
    pub carries: usize,
    /// Number of inputs of which each step sees one row.
    pub inputs: usize,
    /// Whether steps run from the last row to the first; outputs keep the row of their step.
    pub reverse: bool,
}

/// A primitive.
#[derive(Clone, Debug)]
pub enum Op {
    /// Data: the node has a value from the start.
    Leaf,
    /// A placeholder: of a body, or of a captured program.
    Param(usize),
    /// A host number under all plans alike: changing it makes no new plan.
    Scalar(Scalar),
    /// One element to one.
    Unary(Unary),
    /// Two elements to one.
    Binary(Binary),
    /// `(condition, a, b)`: a where true, else b.
    Select,
    /// To the data type of the output.
    Cast,
    /// Other indices for the same elements.
    View(View),
    /// One after the other along this axis.
    Concat(usize),
    /// Over these axes (ascending), which vanish.
    Reduce(ReduceOp, Vec<usize>),
    /// Batched matrix product.
    MatMul(MatMul),
    /// 2-D convolution family.
    Conv2d(ConvKind, Conv2d),
    /// 2-D pooling family.
    Pool2d(PoolKind, Pool2d),
    /// `(data, indices: I32)`: rows of `data` along this axis; an index out of range gives zeros.
    Gather(usize),
    /// `(indices: I32, updates)`: zeros of the output's shape, with `updates` added at `indices` along this axis, in index order.
    ScatterAdd(usize),
    /// Line by line along this axis.
    Line(LineKind, usize),
    /// `(key: U32 [3] = seed low, seed high, step)`: Philox 4x32-10 bits of this stream, counted by sample (axis 0) and element.
    RandomBits {
        /// Stream: a hash of who asks.
        stream: u32,
    },
    /// Position along this axis.
    Iota(usize),
    /// The value, without its gradient.
    StopGradient,
    /// A named composite; its body is its meaning.
    Call(Arc<Body>),
    /// A loop.
    Scan(Arc<Body>, ScanSpec),
    /// A mistake that was recorded; every boundary returns it.
    Error(Error),
}

impl Op {
    /// The primitive's name, without its parameters: one name everywhere.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Leaf => "leaf",
            Op::Param(_) => "param",
            Op::Scalar(_) => "scalar",
            Op::Unary(u) => u.name(),
            Op::Binary(b) => b.name(),
            Op::Select => "select",
            Op::Cast => "cast",
            Op::View(v) => v.name(),
            Op::Concat(_) => "concat",
            Op::Reduce(r, _) => r.name(),
            Op::MatMul(_) => "matmul",
            Op::Conv2d(ConvKind::Forward, _) => "conv2d",
            Op::Conv2d(ConvKind::InputGrad(_), _) => "conv2d_input_grad",
            Op::Conv2d(ConvKind::FilterGrad(_), _) => "conv2d_filter_grad",
            Op::Pool2d(PoolKind::Max, _) => "max_pool2d",
            Op::Pool2d(PoolKind::MaxGrad, _) => "max_pool2d_grad",
            Op::Pool2d(PoolKind::MaxGather, _) => "max_pool2d_gather",
            Op::Pool2d(PoolKind::Avg, _) => "avg_pool2d",
            Op::Pool2d(PoolKind::AvgGrad(_), _) => "avg_pool2d_grad",
            Op::Gather(_) => "gather",
            Op::ScatterAdd(_) => "scatter_add",
            Op::Line(kind, _) => kind.name(),
            Op::RandomBits { .. } => "random_bits",
            Op::Iota(_) => "iota",
            Op::StopGradient => "stop_gradient",
            Op::Call(_) => "call",
            Op::Scan(..) => "scan",
            Op::Error(_) => "error",
        }
    }
    /// Whether each output element depends on the input elements of the same (broadcast) index alone.
    pub fn is_elementwise(&self) -> bool {
        matches!(self, Op::Unary(_) | Op::Binary(_) | Op::Select | Op::Cast | Op::StopGradient)
    }
}

impl LineKind {
    /// The primitive's name.
    pub const fn name(&self) -> &'static str {
        match self {
            LineKind::Cumulate(how) => how.op.name(),
            LineKind::ArgSort { .. } => "argsort",
            LineKind::Take => "take_along_axis",
            LineKind::Add => "add_along_axis",
        }
    }
}

impl View {
    /// The primitive's name.
    pub const fn name(&self) -> &'static str {
        match self {
            View::Reshape(_) => "reshape",
            View::Permute(_) => "permute",
            View::Broadcast(_) => "broadcast",
            View::Slice(_) => "slice",
            View::Pad(..) => "pad",
            View::Flip(_) => "flip",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A slice has as many indices as one counts.
        #[test]
        fn a_slice_is_as_long_as_its_indices(start in 0usize..9, stop in 0usize..9, step in 1usize..5) {
            let slice = SliceAxis { start, stop, step };
            prop_assert_eq!(slice.len(), (start..stop).step_by(step).count());
            prop_assert_eq!(slice.is_empty(), start >= stop);
        }
    }
}
