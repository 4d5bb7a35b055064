//! The lazy graph: recording computes nothing; nodes are values that know how they come about.

mod node;
mod op;
mod walk;

pub(crate) use node::lock;
pub use node::{Meta, Node, Origin, Tensor, Value, recorded_at, scope, try_recorded_at};
pub use op::{
    Binary, Body, Conv2d, ConvKind, Cumulate, CumulateOp, LineKind, MatMul, Op, Pool2d, PoolKind, ReduceOp, ScanSpec,
    SliceAxis, Unary, View,
};
pub use walk::{graph_len, topological};
