//! The kernel language: what every executor runs.

use super::expr::Block;
use crate::{
    dtype::DType,
    graph::{Conv2d, ConvKind, LineKind, Pool2d, PoolKind, ReduceOp},
};

/// How a kernel uses an argument. One argument may be read and written in place, at the same index by the same invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Use {
    /// Read only.
    Read,
    /// Written only.
    Write,
    /// Read and written.
    ReadWrite,
}

/// One argument: a view into a buffer that begins at the argument's offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ArgSpec {
    /// Element type in memory.
    pub dtype: DType,
    /// How it is used.
    pub usage: Use,
}

/// A matrix operand in memory: element `(batch, row, col)` of argument `arg` is at
/// `offset + Σ batch_strides·batch + row_stride·row + col_stride·col`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MatrixView {
    /// Number of the kernel's argument.
    pub arg: u16,
    /// Element of row 0, column 0.
    pub offset: i64,
    /// One stride per batch axis; 0 broadcasts.
    pub batch_strides: Vec<i64>,
    /// Elements from row to row.
    pub row_stride: i64,
    /// Elements from column to column.
    pub col_stride: i64,
}

/// What a kernel computes before its block sees it as `Acc`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Core {
    /// Nothing: the block is everything.
    Map,
    /// `op` over the reduced axes of `space` of the last register of `load`. The kernel's shape is `space` without its reduced axes.
    /// For `ArgMax`/`ArgMin` exactly one axis is reduced and `Acc` is the `I32` position.
    Reduce {
        /// What is computed.
        op: ReduceOp,
        /// All axes, in the order of `load`'s index.
        space: Vec<usize>,
        /// Which axes of `space` vanish.
        reduced: Vec<bool>,
        /// Value at an index of `space`; its stores are empty.
        load: Block,
    },
    /// Rows: the kernel's last axes are a row, those before count rows. The stages reduce a row, one after the other; then the
    /// kernel's block runs over the row, whose memory nothing of the kernel has written before. What is handed on lies in slots:
    /// slot `n` holds the result of stage `n` for each row, further ones hold what blocks put there ([`Inst::Keep`](super::expr::Inst::Keep)).
    Rows {
        /// Number of axes that are a row.
        axes: usize,
        /// What is reduced, in order.
        stages: Vec<Stage>,
        /// Number of slots with an element per row, those of the stages' results included. They come first.
        row_slots: usize,
        /// Number of slots with an element per index.
        slots: usize,
    },
    /// `Acc[batch.., m, n] = Σ_k a[batch.., m, k] · b[batch.., k, n]`; the kernel's shape is `[batch.., m, n]`. Operands are floats.
    MatMul {
        /// Length of the contracted axis.
        k: usize,
        /// Left operand, `m` rows and `k` columns.
        a: MatrixView,
        /// Right operand, `k` rows and `n` columns.
        b: MatrixView,
    },
    /// 2-D convolution of dense row-major arguments; the kernel's shape is the result's.
    Conv2d {
        /// Which member of the family.
        kind: ConvKind,
        /// Geometry.
        conv: Conv2d,
        /// The two operands in the order of [`ConvKind`]: argument and shape.
        operands: [(u16, [usize; 4]); 2],
    },
    /// 2-D pooling of dense row-major arguments; the kernel's shape is the result's.
    Pool2d {
        /// Which member of the family.
        kind: PoolKind,
        /// Geometry.
        pool: Pool2d,
        /// The operands in the order of [`PoolKind`]: argument and shape.
        operands: Vec<(u16, [usize; 4])>,
    },
    /// `Acc[outer, i, inner] = data[outer, indices[i], inner]`, 0 where the index is out of range. The kernel's shape is `[outer, i, inner]`.
    Gather {
        /// Dense argument `[outer, len, inner]`.
        data: u16,
        /// Dense `I32` argument.
        indices: u16,
        /// Length of the gathered axis.
        len: usize,
    },
    /// `Acc[outer, l, inner] = Σ updates[outer, i, inner]` over `i` with `indices[i] == l`, in the order of `i`. The kernel's shape is `[outer, len, inner]`.
    ScatterAdd {
        /// Dense `I32` argument of `count` elements.
        indices: u16,
        /// Dense argument `[outer, count, inner]`.
        updates: u16,
        /// Number of indices.
        count: usize,
    },
    /// Every line of the middle axis for itself. The kernel's shape is `[outer, length of the result's lines, inner]`.
    Line {
        /// Which member of the family.
        kind: LineKind,
        /// The operands in the order of [`LineKind`]: dense argument and the length of its lines.
        operands: Vec<(u16, usize)>,
    },
}

/// A stage of a `Rows` kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stage {
    /// How a row is reduced. For `ArgMax`/`ArgMin` the row is one axis, and the result is the `I32` position.
    pub op: ReduceOp,
    /// Over the kernel's shape: its last register is reduced. It stores nothing.
    pub load: Block,
    /// Over the rows: what follows from the results so far, once per row.
    pub block: Block,
}

impl Stage {
    /// Most stages of a kernel.
    pub const MOST: usize = 8;
    /// Most slots with an element per row.
    pub const ROW_SLOTS: usize = 24;
    /// Most slots with an element per index.
    pub const SLOTS: usize = 4;
}

/// One kernel: for every index of `shape`, `block` with the core's result as `Acc`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// For people: the primitives it covers, such as `matmul+add+relu`.
    pub label: String,
    /// Iteration space of the block.
    pub shape: Vec<usize>,
    /// What comes before the block.
    pub core: Core,
    /// Epilogue and stores.
    pub block: Block,
    /// Arguments.
    pub args: Vec<ArgSpec>,
    /// Whether it is to do with as little scratch as it can, though that takes longer.
    pub lean: bool,
}

impl Kernel {
    /// Number of indices the block runs for.
    pub fn numel(&self) -> usize {
        self.shape.iter().product()
    }
    /// All code of the kernel: its block, and those of its core.
    pub fn blocks(&self) -> Vec<&Block> {
        let mut blocks = vec![&self.block];
        match &self.core {
            Core::Reduce { load, .. } => blocks.push(load),
            Core::Rows { stages, .. } => blocks.extend(stages.iter().flat_map(|stage| [&stage.load, &stage.block])),
            _ => {}
        }
        blocks
    }
    /// Floating-point operations of the core and the block, roughly: one per instruction, two per multiply-add.
    pub fn flops(&self) -> u64 {
        let numel = self.numel() as u64;
        let core = match &self.core {
            Core::Map | Core::Gather { .. } => 0,
            Core::Reduce { space, load, .. } => {
                space.iter().product::<usize>() as u64 * (1 + load.insts.len() as u64 / 2)
            }
            Core::Rows { axes, stages, .. } => {
                let rows = self.rows(*axes) as u64;
                let of = |s: &Stage| {
                    numel * (1 + s.load.insts.len() as u64 / 2) + rows * (s.block.insts.len() as u64).div_ceil(2)
                };
                stages.iter().map(of).sum()
            }
            Core::MatMul { k, .. } => 2 * numel * *k as u64,
            Core::Conv2d { kind, operands, .. } => {
                let [(_, first), (_, second)] = operands;
                let (y, w): (u64, &[usize]) = match kind {
                    ConvKind::Forward => (numel, second),
                    ConvKind::InputGrad(_) => (first.iter().product::<usize>() as u64, second),
                    ConvKind::FilterGrad(shape) => (second.iter().product::<usize>() as u64, shape),
                };
                2 * y * w.iter().take(3).product::<usize>() as u64
            }
            Core::Pool2d { pool, .. } => numel * (pool.window[0] * pool.window[1]) as u64,
            Core::ScatterAdd { count, .. } => numel.max(*count as u64),
            Core::Line { kind: LineKind::Cumulate(_), .. } => numel,
            Core::Line { kind: LineKind::ArgSort { .. }, operands } => {
                let len = operands.first().map_or(1, |(_, len)| *len);
                numel * u64::from(len.max(2).ilog2())
            }
            Core::Line { kind: LineKind::Take, .. } => 0,
            Core::Line { kind: LineKind::Add, operands } => {
                let count: usize = operands.iter().map(|(_, len)| *len).max().unwrap_or(0);
                numel.max((self.shape[0] * count * self.shape[2]) as u64)
            }
        };
        core + numel * self.block.insts.len() as u64 / 2
    }
    /// Number of rows, where the last axes are one.
    pub fn rows(&self, axes: usize) -> usize {
        self.shape.iter().take(self.shape.len().saturating_sub(axes)).product()
    }
    /// Bytes that must move at least: every argument's touched elements once.
    pub fn bytes(&self) -> u64 {
        if let Core::Rows { axes, stages, .. } = &self.core {
            // An argument that no block over rows touches at several indices of a row has an element per row.
            let first = self.shape.len().saturating_sub(*axes);
            let whole = |arg: usize| {
                let mut accesses = stages.iter().flat_map(|s| s.load.accesses()).chain(self.block.accesses());
                accesses.any(|a| usize::from(a.arg) == arg && a.index.strides.iter().skip(first).any(|&s| s != 0))
            };
            let count = |arg: usize| if whole(arg) { self.numel() } else { self.rows(*axes) };
            return self.args.iter().enumerate().map(|(n, arg)| (arg.dtype.size() * count(n)) as u64).sum();
        }
        let space = match &self.core {
            Core::Reduce { space, .. } => space.iter().product::<usize>() as u64,
            _ => 0,
        };
        self.args.iter().map(|a| a.dtype.size() as u64 * (self.numel() as u64).max(space)).sum()
    }
}
