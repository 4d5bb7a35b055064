//! Folding over the trips of a loop: what is joined by what, and what it begins with.

use super::{
    ArgSpec, Core, Kernel, Step, Use,
    emit::Location,
    expr::{Access, Affine, Block, Inst, Store},
    trace::TracedNode,
};
use crate::{
    dtype::{DType, Scalar},
    error::{Error, Result},
    graph::{Binary, ReduceOp},
};
use std::sync::Arc;

impl ReduceOp {
    /// What reducing nothing gives, as a word of the type's compute type.
    pub(crate) fn identity(self, dtype: DType) -> Result<u32> {
        let (low, high) = match dtype.compute() {
            DType::F32 => (f32::NEG_INFINITY.to_bits(), f32::INFINITY.to_bits()),
            DType::I32 => (i32::MIN as u32, i32::MAX as u32),
            _ => (0, u32::MAX),
        };
        Ok(match self {
            ReduceOp::Sum | ReduceOp::Any => 0,
            ReduceOp::Prod => Scalar::Int(1).word(dtype.compute()),
            ReduceOp::All => 1,
            ReduceOp::Max => low,
            ReduceOp::Min if dtype == DType::U8 => u32::from(u8::MAX),
            ReduceOp::Min => high,
            ReduceOp::ArgMax | ReduceOp::ArgMin => return Err(no_fold(self)),
        })
    }
    /// The operation that joins two partial results.
    pub(crate) fn joining(self) -> Result<Binary> {
        Ok(match self {
            ReduceOp::Sum => Binary::Add,
            ReduceOp::Prod => Binary::Mul,
            ReduceOp::Max => Binary::Max,
            ReduceOp::Min => Binary::Min,
            ReduceOp::Any => Binary::Or,
            ReduceOp::All => Binary::And,
            ReduceOp::ArgMax | ReduceOp::ArgMin => return Err(no_fold(self)),
        })
    }
}

fn no_fold(op: ReduceOp) -> Error {
    Error::argument(format!("partial results of `{}` cannot be joined", op.name()))
}

/// A kernel that writes what folding nothing gives; none for values without elements.
pub fn fill(op: ReduceOp, node: &TracedNode, to: &Location) -> Result<Option<Step>> {
    let (shape, dtype) = (node.meta.shape.to_vec(), node.meta.dtype);
    if node.meta.shape.numel() == 0 {
        return Ok(None);
    }
    let mut block = Block::default();
    let reg = block.push(Inst::Const { word: op.identity(dtype)? }, dtype.compute());
    let access = Access { arg: 0, index: Affine::row_major(&shape), guards: Vec::new() };
    block.stores.push(Store { reg, access });
    let args = vec![ArgSpec { dtype, usage: Use::Write }];
    let kernel = Kernel { label: "fill".into(), shape, core: Core::Map, block, args, lean: false };
    Ok(Some(Step::Run { kernel: Arc::new(kernel), args: vec![to.clone().into()] }))
}
