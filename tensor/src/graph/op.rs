//! The primitives. Each has one meaning, given by the `reference` executor; everything else is composed of them.

use crate::{
    dtype::{DType, Scalar},
    error::Error,
    graph::Tensor,
    shape::Shape,
};
use std::sync::Arc;

/// Functions of one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unary {
    /// `-x` (wraps for integers).
    Neg,
    /// `|x|`.
    Abs,
    /// -1, 0 or 1.
    Sign,
    /// `e^x`.
    Exp,
    /// Natural logarithm.
    Log,
    /// `e^x - 1`, exact near 0.
    Expm1,
    /// `log(1 + x)`, exact near 0.
    Log1p,
    /// Square root.
    Sqrt,
    /// `1 / sqrt(x)`.
    Rsqrt,
    /// `1 / x`.
    Reciprocal,
    /// `x * x`.
    Square,
    /// Sine of radians.
    Sin,
    /// Cosine of radians.
    Cos,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `log(1 + e^x)`.
    Softplus,
    /// Error function.
    Erf,
    /// Inverse error function on (-1, 1).
    Erfinv,
    /// `max(x, 0)`.
    Relu,
    /// Largest whole number not above.
    Floor,
    /// Smallest whole number not below.
    Ceil,
    /// Nearest whole number, ties to even.
    Round,
    /// Logical not of `Bool`, bitwise not of integers.
    Not,
    /// Whether a float is neither infinite nor NaN; gives `Bool`.
    IsFinite,
}

impl Unary {
    /// Every unary primitive.
    pub const ALL: [Unary; 24] = [
        Unary::Neg,
        Unary::Abs,
        Unary::Sign,
        Unary::Exp,
        Unary::Log,
        Unary::Expm1,
        Unary::Log1p,
        Unary::Sqrt,
        Unary::Rsqrt,
        Unary::Reciprocal,
        Unary::Square,
        Unary::Sin,
        Unary::Cos,
        Unary::Tanh,
        Unary::Sigmoid,
        Unary::Softplus,
        Unary::Erf,
        Unary::Erfinv,
        Unary::Relu,
        Unary::Floor,
        Unary::Ceil,
        Unary::Round,
        Unary::Not,
        Unary::IsFinite,
    ];
    /// Whether integers are accepted too (`Not` accepts only integers and `Bool`).
    pub fn accepts(self, dtype: DType) -> bool {
        match self {
            Unary::Neg | Unary::Abs | Unary::Sign | Unary::Square | Unary::Relu => dtype != DType::Bool,
            Unary::Not => !dtype.is_float(),
            _ => dtype.is_float(),
        }
    }
}

/// Functions of two elements of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Binary {
    /// `a + b`; integers wrap.
    Add,
    /// `a - b`; integers wrap.
    Sub,
    /// `a * b`; integers wrap.
    Mul,
    /// `a / b`; integers round toward zero, and division by 0 gives 0.
    Div,
    /// Remainder with the sign of `a`; by 0 gives 0 for integers.
    Rem,
    /// `a^b`, floats only.
    Pow,
    /// The larger.
    Max,
    /// The smaller.
    Min,
    /// Logical and (`Bool`), bitwise and (integers).
    And,
    /// Logical or (`Bool`), bitwise or (integers).
    Or,
    /// Exclusive or.
    Xor,
    /// Shift left; the amount is taken modulo 32.
    Shl,
    /// Shift right (arithmetic for `i32`); the amount is taken modulo 32.
    Shr,
    /// `a == b`, gives `Bool`.
    Eq,
    /// `a != b`, gives `Bool`.
    Ne,
    /// `a < b`, gives `Bool`.
    Lt,
    /// `a <= b`, gives `Bool`.
    Le,
}

impl Binary {
    /// Every binary primitive.
    pub const ALL: [Binary; 17] = [
        Binary::Add,
        Binary::Sub,
        Binary::Mul,
        Binary::Div,
        Binary::Rem,
        Binary::Pow,
        Binary::Max,
        Binary::Min,
        Binary::And,
        Binary::Or,
        Binary::Xor,
        Binary::Shl,
        Binary::Shr,
        Binary::Eq,
        Binary::Ne,
        Binary::Lt,
        Binary::Le,
    ];
    /// Whether the result is `Bool` whatever the operands are.
    pub fn is_comparison(self) -> bool {
        matches!(self, Binary::Eq | Binary::Ne | Binary::Lt | Binary::Le)
    }
    /// Whether operands of this type are accepted.
    pub fn accepts(self, dtype: DType) -> bool {
        match self {
            Binary::Eq | Binary::Ne => true,
            Binary::And | Binary::Or | Binary::Xor => !dtype.is_float(),
            Binary::Shl | Binary::Shr => dtype.is_int(),
            Binary::Pow => dtype.is_float(),
            _ => dtype != DType::Bool,
        }
    }
    /// The same function of truth values, where it gives a truth value again.
    pub(crate) const fn of_truths(self) -> Option<Binary> {
        match self {
            Binary::Add | Binary::Max => Some(Binary::Or),
            Binary::Mul | Binary::Min => Some(Binary::And),
            _ => None,
        }
    }
}

/// What a reduction over axes computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReduceOp {
    /// Sum; floats accumulate in `f32` or better.
    Sum,
    /// Product.
    Prod,
    /// Largest.
    Max,
    /// Smallest.
    Min,
    /// Position of the first largest along one axis, as `I32`.
    ArgMax,
    /// Position of the first smallest along one axis, as `I32`.
    ArgMin,
    /// Whether any is true.
    Any,
    /// Whether all are true.
    All,
}

impl ReduceOp {
    /// Every reduction.
    pub const ALL: [ReduceOp; 8] = [
        ReduceOp::Sum,
        ReduceOp::Prod,
        ReduceOp::Max,
        ReduceOp::Min,
        ReduceOp::ArgMax,
        ReduceOp::ArgMin,
        ReduceOp::Any,
        ReduceOp::All,
    ];
    /// Whether elements of this type are accepted.
    pub fn accepts(self, dtype: DType) -> bool {
        match self {
            ReduceOp::Any | ReduceOp::All => dtype == DType::Bool,
            _ => dtype != DType::Bool,
        }
    }
    /// The same function of truth values, where it gives a truth value again.
    pub(crate) const fn of_truths(self) -> Option<ReduceOp> {
        match self {
            ReduceOp::Max => Some(ReduceOp::Any),
            ReduceOp::Min => Some(ReduceOp::All),
            _ => None,
        }
    }
}

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

/// Geometry of a 2-D convolution (cross-correlation), channels last: `x [n, h, w, c]`, `w [kh, kw, c / groups, f]`, `y [n, oh, ow, f]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv2d {
    /// Steps of the window in h and w.
    pub strides: [usize; 2],
    /// Zeros around x: `(before, after)` for h and w.
    pub pads: [(usize, usize); 2],
    /// Distance of kernel elements.
    pub dilation: [usize; 2],
    /// Channels and filters are split in this many independent groups.
    pub groups: usize,
}

/// The three members of the convolution family; it is closed under differentiation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ConvKind {
    /// `(x, w) -> y`.
    Forward,
    /// `(dy, w) -> dx`, of this shape.
    InputGrad(Shape),
    /// `(x, dy) -> dw`, of this shape.
    FilterGrad(Shape),
}

/// Geometry of 2-D pooling, channels last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pool2d {
    /// Height and width of the window.
    pub window: [usize; 2],
    /// Steps of the window.
    pub strides: [usize; 2],
    /// Cells around x that do not exist: `(before, after)` for h and w. They never win and are not counted.
    pub pads: [(usize, usize); 2],
}

/// The members of the pooling family; it is closed under differentiation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PoolKind {
    /// `(x) -> y`: largest of each window.
    Max,
    /// `(x, dy) -> dx`: each `dy` goes to the first largest of its window; overlaps add up.
    MaxGrad,
    /// `(x, v) -> y`: the `v` that stands where the first largest x of each window stands.
    MaxGather,
    /// `(x) -> y`: mean of the cells of each window that exist.
    Avg,
    /// `(dy) -> dx`, of this shape.
    AvgGrad(Shape),
}

/// What a running fold along an axis computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CumulateOp {
    /// Running sum.
    Sum,
    /// Running product.
    Prod,
    /// Largest so far; NaN from the first NaN on.
    Max,
    /// Smallest so far; NaN from the first NaN on.
    Min,
}

impl CumulateOp {
    /// Every running fold.
    pub const ALL: [CumulateOp; 4] = [CumulateOp::Sum, CumulateOp::Prod, CumulateOp::Max, CumulateOp::Min];
    /// What it is before the first element, in a tensor of this type.
    pub fn identity(self, dtype: DType) -> Scalar {
        let float = dtype.is_float();
        match (self, dtype) {
            (CumulateOp::Sum, _) => Scalar::Int(0),
            (CumulateOp::Prod, _) => Scalar::Int(1),
            (CumulateOp::Max, _) if float => Scalar::Float(f64::NEG_INFINITY),
            (CumulateOp::Min, _) if float => Scalar::Float(f64::INFINITY),
            (CumulateOp::Max, DType::I32) => Scalar::Int(i32::MIN.into()),
            (CumulateOp::Min, DType::I32) => Scalar::Int(i32::MAX.into()),
            (CumulateOp::Max, _) => Scalar::Int(0),
            (CumulateOp::Min, DType::U8) => Scalar::Int(u8::MAX.into()),
            (CumulateOp::Min, _) => Scalar::Int(u32::MAX.into()),
        }
    }
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

macro_rules! names {
    ($t:ty { $($v:ident => $n:literal),* $(,)? }) => {
        impl $t {
            /// The primitive's name: one name everywhere.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$v => $n),* }
            }
        }
    };
}
names!(Unary { Neg => "neg", Abs => "abs", Sign => "sign", Exp => "exp", Log => "log", Expm1 => "expm1", Log1p => "log1p",
    Sqrt => "sqrt", Rsqrt => "rsqrt", Reciprocal => "reciprocal", Square => "square", Sin => "sin", Cos => "cos", Tanh => "tanh",
    Sigmoid => "sigmoid", Softplus => "softplus", Erf => "erf", Erfinv => "erfinv", Relu => "relu", Floor => "floor",
    Ceil => "ceil", Round => "round", Not => "not", IsFinite => "is_finite" });
names!(Binary { Add => "add", Sub => "sub", Mul => "mul", Div => "div", Rem => "rem", Pow => "pow", Max => "maximum", Min => "minimum",
    And => "and", Or => "or", Xor => "xor", Shl => "shl", Shr => "shr", Eq => "eq", Ne => "ne", Lt => "lt", Le => "le" });
names!(ReduceOp { Sum => "sum", Prod => "prod", Max => "max", Min => "min", ArgMax => "argmax", ArgMin => "argmin", Any => "any", All => "all" });

names!(CumulateOp { Sum => "cumsum", Prod => "cumprod", Max => "cummax", Min => "cummin" });

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

impl Conv2d {
    /// Output length along spatial axis `i` for an input of length `n` and a kernel of length `k`; 0 if the window does not fit.
    pub fn output_len(&self, i: usize, n: usize, k: usize) -> usize {
        let window = (k.max(1) - 1) * self.dilation[i] + 1;
        (n + self.pads[i].0 + self.pads[i].1).checked_sub(window).map_or(0, |room| room / self.strides[i] + 1)
    }
}

impl Pool2d {
    /// Output length along spatial axis `i` for an input of length `n`; 0 if the window does not fit.
    pub fn output_len(&self, i: usize, n: usize) -> usize {
        (n + self.pads[i].0 + self.pads[i].1).checked_sub(self.window[i]).map_or(0, |room| room / self.strides[i] + 1)
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

        /// The output has as many cells as the window has places, along each axis by that axis' own settings.
        #[test]
        fn output_lengths_count_the_places_of_the_window(
            i in 0usize..2, n in 0usize..12, k in 1usize..5,
            strides in [1usize..4, 1usize..4], dilation in [1usize..4, 1usize..4],
            pads in [(0usize..3, 0usize..3), (0usize..3, 0usize..3)],
        ) {
            let room = n + pads[i].0 + pads[i].1;
            let places = |span: usize| (0..room).filter(|at| at % strides[i] == 0 && at + span <= room).count();
            let conv = Conv2d { strides, pads, dilation, groups: 1 };
            prop_assert_eq!(conv.output_len(i, n, k), places((k - 1) * dilation[i] + 1));
            let pool = Pool2d { window: [k, k], strides, pads };
            prop_assert_eq!(pool.output_len(i, n), places(k));
        }
    }
}
