//! The lazy graph: recording computes nothing; nodes are values that know how they come about.

mod functions;
mod node;
mod op;
mod walk;
mod windows;

pub use functions::{Binary, CumulateOp, ReduceOp, Unary};
pub(crate) use node::lock;
pub use node::{Meta, Node, Origin, Tensor, Value, recorded_at, scope, scope_of, try_recorded_at};
pub use op::{Body, Cumulate, LineKind, MatMul, Op, ScanSpec, SliceAxis, View};
pub use walk::{graph_len, topological};
pub use windows::{Conv2d, ConvKind, Pool2d, PoolKind};
