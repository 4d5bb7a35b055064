//! Kernels that are nothing but a block.

use super::{
    Env,
    memory::Mem,
    program::{ArgInfo, Kind, Program},
};
use crate::{
    error::Result,
    graph::{Binary, Unary},
    plan::Kernel,
};

/// A block over a space, cut into pieces.
pub(super) struct MapKernel {
    program: Program,
    numel: usize,
    chunk: usize,
}

impl MapKernel {
    pub(super) fn new(kernel: &Kernel, args: &[ArgInfo]) -> Result<MapKernel> {
        let program = Program::new(&kernel.block, &kernel.shape, args, &kernel.label)?;
        let numel = kernel.numel();
        let chunk = chunk(numel, cost(&program), program.tile);
        Ok(MapKernel { program, numel, chunk })
    }
    pub(super) fn run(&self, env: &Env<'_>) {
        env.threads.run(self.numel.div_ceil(self.chunk), &|worker, piece| {
            let first = piece * self.chunk;
            let range = first..(first + self.chunk).min(self.numel);
            self.program.run(&env.frame(worker), range, Mem::EMPTY);
        });
    }
}

/// A piece should take at least this many nanoseconds: a hand-off to another thread costs one or two thousand.
const PIECE: f64 = 5_000.0;
/// More pieces than this give no better balance.
const MOST_PIECES: usize = 256;

/// Elements per piece, a multiple of `unit`, when an element costs `cost` nanoseconds. Pieces come in pairs, but for what
/// `unit` rounds, so that of few pieces no thread has one more than another.
pub(super) fn chunk(numel: usize, cost: f64, unit: usize) -> usize {
    let pairs = (numel as f64 * cost / PIECE / 2.0) as usize;
    let pieces = (2 * pairs).clamp(1, MOST_PIECES);
    numel.div_ceil(pieces).next_multiple_of(unit.max(1))
}

/// Nanoseconds an element of a block takes, roughly: it decides where work is cut.
pub(super) fn cost(program: &Program) -> f64 {
    let ops = program.ops.iter().filter(|op| !op.constant).map(|op| match &op.kind {
        Kind::Load(place) if place.linear => 0.1,
        Kind::Load(_) => 0.5,
        Kind::Random { .. } => 1.5,
        Kind::Binary(Binary::Pow | Binary::Rem, ..) => 2.0,
        Kind::Unary(
            Unary::Neg | Unary::Abs | Unary::Square | Unary::Relu | Unary::Not | Unary::IsFinite | Unary::Sign,
            _,
        ) => 0.06,
        Kind::Unary(..) | Kind::Fused { long: true, .. } => 0.5,
        Kind::Pair { .. } | Kind::Fused { .. } => 0.08,
        Kind::Acc | Kind::Const(_) | Kind::Scalar(_) => 0.0,
        _ => 0.06,
    });
    ops.sum::<f64>() + 0.15 * program.stores.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map of 8192 elements that takes 20 µs, as a recurrence has: it was one piece once.
    #[test]
    fn short_maps_are_cut_in_pairs() {
        let pieces = |numel: usize, cost: f64| numel.div_ceil(chunk(numel, cost, 512));
        assert_eq!([0.5, 1.3, 2.4, 3.9, 7.0].map(|cost| pieces(8192, cost)), [1, 2, 2, 6, 8]);
        assert_eq!(pieces(1 << 24, 1.0), MOST_PIECES);
    }
}
