//! What there is to test: every primitive, on every data type it accepts, reading its operand through every view.

use crate::{
    dtype::DType,
    graph::{Binary, ConvKind, CumulateOp, LineKind, Op, PoolKind, ReduceOp, Tensor, Unary, View, topological},
};
use std::collections::BTreeMap;

/// A primitive without its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Primitive {
    /// One element to one.
    Unary(Unary),
    /// Two elements to one.
    Binary(Binary),
    /// A choice.
    Select,
    /// Another type.
    Cast,
    /// Another index.
    View(ViewKind),
    /// One after the other.
    Concat,
    /// Over axes.
    Reduce(ReduceOp),
    /// Matrix product.
    MatMul,
    /// Convolution.
    Conv2d,
    /// Its gradient for the input.
    Conv2dInputGrad,
    /// Its gradient for the kernel.
    Conv2dFilterGrad,
    /// Largest of windows.
    MaxPool,
    /// Its gradient.
    MaxPoolGrad,
    /// Values at the largest of windows.
    MaxPoolGather,
    /// Mean of windows.
    AvgPool,
    /// Its gradient.
    AvgPoolGrad,
    /// Slices at indices.
    Gather,
    /// Sums at indices.
    ScatterAdd,
    /// A running fold.
    Cumulate(CumulateOp),
    /// Positions in order.
    ArgSort,
    /// An element of the same line for each index.
    TakeAlong,
    /// Sums at indices of the same line.
    AddAlong,
    /// Philox bits.
    RandomBits,
    /// Positions.
    Iota,
    /// No gradient.
    StopGradient,
    /// A named composite.
    Call,
    /// A loop.
    Scan,
}

/// A view without its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ViewKind {
    /// Another shape.
    Reshape,
    /// Another order of axes.
    Permute,
    /// Repeated.
    Broadcast,
    /// A part.
    Slice,
    /// Surrounded.
    Pad,
    /// Reversed.
    Flip,
}

impl ViewKind {
    /// Every view.
    pub const ALL: [ViewKind; 6] =
        [ViewKind::Reshape, ViewKind::Permute, ViewKind::Broadcast, ViewKind::Slice, ViewKind::Pad, ViewKind::Flip];
    fn of(view: &View) -> ViewKind {
        match view {
            View::Reshape(_) => ViewKind::Reshape,
            View::Permute(_) => ViewKind::Permute,
            View::Broadcast(_) => ViewKind::Broadcast,
            View::Slice(_) => ViewKind::Slice,
            View::Pad(..) => ViewKind::Pad,
            View::Flip(_) => ViewKind::Flip,
        }
    }
}

impl Primitive {
    /// Every primitive.
    pub fn all() -> Vec<Primitive> {
        let mut all: Vec<_> = Unary::ALL.map(Primitive::Unary).to_vec();
        all.extend(Binary::ALL.map(Primitive::Binary));
        all.extend(ViewKind::ALL.map(Primitive::View));
        all.extend(ReduceOp::ALL.map(Primitive::Reduce));
        all.extend(CumulateOp::ALL.map(Primitive::Cumulate));
        all.extend([Primitive::ArgSort, Primitive::TakeAlong, Primitive::AddAlong]);
        use Primitive::{
            AvgPool, AvgPoolGrad, Call, Cast, Concat, Conv2d, Conv2dFilterGrad, Conv2dInputGrad, Gather, Iota, MatMul,
            MaxPool, MaxPoolGather, MaxPoolGrad, RandomBits, Scan, ScatterAdd, Select, StopGradient,
        };
        all.extend([Select, Cast, Concat, MatMul, Conv2d, Conv2dInputGrad, Conv2dFilterGrad]);
        all.extend([MaxPool, MaxPoolGrad, MaxPoolGather, AvgPool, AvgPoolGrad]);
        all.extend([Gather, ScatterAdd, RandomBits, Iota, StopGradient, Call, Scan]);
        all
    }
    /// The primitive of a node; leaves and the like are none.
    pub fn of(op: &Op) -> Option<Primitive> {
        Some(match op {
            Op::Unary(op) => Primitive::Unary(*op),
            Op::Binary(op) => Primitive::Binary(*op),
            Op::Select => Primitive::Select,
            Op::Cast => Primitive::Cast,
            Op::View(view) => Primitive::View(ViewKind::of(view)),
            Op::Concat(_) => Primitive::Concat,
            Op::Reduce(op, _) => Primitive::Reduce(*op),
            Op::MatMul(_) => Primitive::MatMul,
            Op::Conv2d(ConvKind::Forward, _) => Primitive::Conv2d,
            Op::Conv2d(ConvKind::InputGrad(_), _) => Primitive::Conv2dInputGrad,
            Op::Conv2d(ConvKind::FilterGrad(_), _) => Primitive::Conv2dFilterGrad,
            Op::Pool2d(PoolKind::Max, _) => Primitive::MaxPool,
            Op::Pool2d(PoolKind::MaxGrad, _) => Primitive::MaxPoolGrad,
            Op::Pool2d(PoolKind::MaxGather, _) => Primitive::MaxPoolGather,
            Op::Pool2d(PoolKind::Avg, _) => Primitive::AvgPool,
            Op::Pool2d(PoolKind::AvgGrad(_), _) => Primitive::AvgPoolGrad,
            Op::Gather(_) => Primitive::Gather,
            Op::ScatterAdd(_) => Primitive::ScatterAdd,
            Op::Line(LineKind::Cumulate(how), _) => Primitive::Cumulate(how.op),
            Op::Line(LineKind::ArgSort { .. }, _) => Primitive::ArgSort,
            Op::Line(LineKind::Take, _) => Primitive::TakeAlong,
            Op::Line(LineKind::Add, _) => Primitive::AddAlong,
            Op::RandomBits { .. } => Primitive::RandomBits,
            Op::Iota(_) => Primitive::Iota,
            Op::StopGradient => Primitive::StopGradient,
            Op::Call(_) => Primitive::Call,
            Op::Scan(..) => Primitive::Scan,
            Op::Leaf | Op::Param(_) | Op::Scalar(_) | Op::Error(_) => return None,
        })
    }
    /// Whether it takes operands of this type (for positions: gives it) without a cast in front.
    pub fn accepts(self, dtype: DType) -> bool {
        match self {
            Primitive::Unary(op) => op.accepts(dtype),
            Primitive::Binary(op) => op.accepts(dtype),
            Primitive::Reduce(op) => op.accepts(dtype),
            Primitive::MatMul | Primitive::Conv2d | Primitive::Conv2dInputGrad | Primitive::Conv2dFilterGrad => {
                dtype.is_float()
            }
            Primitive::MaxPool
            | Primitive::MaxPoolGrad
            | Primitive::MaxPoolGather
            | Primitive::AvgPool
            | Primitive::AvgPoolGrad => dtype.is_float(),
            Primitive::ScatterAdd | Primitive::Iota | Primitive::Cumulate(_) | Primitive::AddAlong => {
                dtype != DType::Bool
            }
            Primitive::RandomBits => dtype == DType::U32,
            _ => true,
        }
    }
    /// Whether its result has a gradient almost everywhere.
    pub fn is_differentiable(self) -> bool {
        match self {
            Primitive::Unary(op) => {
                use Unary::*;
                !matches!(op, Sign | Floor | Ceil | Round | Not | IsFinite)
            }
            Primitive::Binary(op) => {
                use Binary::*;
                matches!(op, Add | Sub | Mul | Div | Pow | Max | Min)
            }
            Primitive::Reduce(op) => matches!(op, ReduceOp::Sum | ReduceOp::Prod | ReduceOp::Max | ReduceOp::Min),
            Primitive::Cast
            | Primitive::ArgSort
            | Primitive::RandomBits
            | Primitive::Iota
            | Primitive::StopGradient => false,
            _ => true,
        }
    }
    /// Which of its inputs a [`Cell`] is about; `None` if it has no such input.
    fn subject(self) -> Option<usize> {
        match self {
            Primitive::Iota | Primitive::RandomBits => None,
            Primitive::Select | Primitive::ScatterAdd | Primitive::AddAlong => Some(1),
            _ => Some(0),
        }
    }
}

/// A primitive on operands of a type, the first of which is read through a view (or none).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell {
    /// What is computed.
    pub primitive: Primitive,
    /// Type of the data operand.
    pub dtype: DType,
    /// What the data operand is, if it is a view.
    pub view: Option<ViewKind>,
}

impl Cell {
    /// Every cell that can exist.
    pub fn all() -> Vec<Cell> {
        let mut all = Vec::new();
        for primitive in Primitive::all() {
            let views = std::iter::once(None).chain(ViewKind::ALL.map(Some));
            for view in views.filter(|view| view.is_none() || primitive.subject().is_some()) {
                let dtypes = DType::ALL.into_iter().filter(|&dtype| primitive.accepts(dtype));
                all.extend(dtypes.map(|dtype| Cell { primitive, dtype, view }));
            }
        }
        all
    }
    /// The cell of a node; leaves and the like are in none.
    pub fn of(tensor: &Tensor) -> Option<Cell> {
        let primitive = Primitive::of(tensor.node().op())?;
        let inputs = tensor.node().inputs();
        let subject = match primitive.subject() {
            Some(at) => inputs.get(at)?,
            None => tensor,
        };
        let view = match subject.node().op() {
            Op::View(view) if primitive.subject().is_some() => Some(ViewKind::of(view)),
            _ => None,
        };
        Some(Cell { primitive, dtype: subject.dtype().ok()?, view })
    }
}

/// How often each cell occurs in some graphs.
#[derive(Clone, Debug, Default)]
pub struct Histogram(BTreeMap<Cell, usize>);

impl Histogram {
    /// Counts the nodes that these tensors depend on.
    pub fn count(&mut self, roots: &[Tensor]) {
        for cell in topological(roots, |_| false).iter().filter_map(Cell::of) {
            *self.0.entry(cell).or_default() += 1;
        }
    }
    /// How often a cell was seen.
    pub fn of(&self, cell: &Cell) -> usize {
        self.0.get(cell).copied().unwrap_or(0)
    }
    /// The cells among `wanted` that were never seen.
    pub fn missing(&self, wanted: &[Cell]) -> Vec<Cell> {
        wanted.iter().filter(|cell| self.of(cell) == 0).copied().collect()
    }
}
