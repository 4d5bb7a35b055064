//! How a product is cut into blocks, and where its parts lie in scratch: decided by the kernel alone.

use super::super::{gemm, micro::tile_shape};
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::{Binary, Unary},
    plan::{
        Core, Kernel, MatrixView,
        expr::{Access, Affine, Block, Inst},
    },
};

/// Floating-point operations of the smallest piece of work: some 10 microseconds.
pub(super) const PIECE: usize = 1_500_000;
/// Pieces of a product that is large enough to be cut.
const PIECES: usize = 12;
/// Floating-point operations from which on a piece is cut further: some 100 microseconds.
const LARGE_PIECE: usize = 16_000_000;
/// Most pieces.
const MOST_PIECES: usize = 48;

/// A right operand of more elements than this does not stay in the second cache.
const LARGE_RIGHT: usize = 1 << 19;
/// One of so few elements does, beside all else.
const SMALL_RIGHT: usize = 1 << 17;

/// What the block does to an element of the result, in floating-point operations of a product that take as long.
fn block_flops(block: &Block) -> usize {
    const INSTRUCTION: usize = 15;
    let costs = block.insts.iter().map(|inst| match inst {
        Inst::Acc | Inst::Const { .. } | Inst::Scalar { .. } => 0,
        Inst::Random { .. } => 20 * INSTRUCTION,
        Inst::Unary(Unary::Neg | Unary::Abs | Unary::Relu | Unary::Square | Unary::Not, _) => INSTRUCTION,
        Inst::Unary(..) | Inst::Binary(Binary::Pow | Binary::Rem, ..) => 8 * INSTRUCTION,
        _ => INSTRUCTION,
    });
    costs.sum()
}

/// Pieces that a product of so many operations should be cut into: each costs packing, and an even share for every thread.
fn wanted(flops: usize) -> usize {
    (flops / PIECE).min(PIECES).max(flops / LARGE_PIECE).clamp(1, MOST_PIECES)
}

/// Rows and columns of the largest block: its result stays in the second cache.
const LARGEST: (usize, usize) = (144, 512);
/// Longest part of the contracted axis that is done in one go: a panel of it stays in the second cache.
const LONGEST: usize = 768;
/// A contracted axis is cut among threads only into parts at least this long.
const PART: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Packing {
    /// The operand is read where it is.
    None,
    /// All of it, before the blocks.
    Shared,
    /// What a block needs, by the block's thread.
    Worker,
}

/// How a product is cut: decided by the kernel alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub batch: usize,
    /// Floating-point operations for an element of the result.
    pub work: usize,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// Rows and columns of a block.
    pub rows: usize,
    pub cols: usize,
    /// Whether blocks of the same rows are neighbours, not those of the same columns: a thread then has most of its rows to
    /// itself, from this product to the next.
    pub rows_together: bool,
    /// Length of a chunk of the contracted axis, and chunks per part.
    pub chunk: usize,
    pub chunks_per_part: usize,
    pub parts: usize,
    pub packing: Packing,
    /// Whether and how the left operand is copied too.
    pub left: Packing,
    /// Elements of converted operands.
    pub converted: [usize; 2],
}

/// Where things lie in scratch, in elements.
pub(super) struct Places {
    pub converted: [usize; 2],
    pub packed: usize,
    pub shared_left: usize,
    pub partial: usize,
    pub workers: usize,
    pub per_worker: usize,
    /// Within a worker's part: result and left operand follow the panels.
    pub result: usize,
    pub left: usize,
}

fn aligned(elements: usize) -> usize {
    elements.next_multiple_of(16)
}

impl Cut {
    pub(super) fn new(kernel: &Kernel) -> Result<Cut> {
        let wrong = |what: String| Error::argument(format!("kernel \"{}\": {what}", kernel.label));
        let (Core::MatMul { k, a, b }, [batch_shape @ .., m, n]) = (&kernel.core, kernel.shape.as_slice()) else {
            return Err(wrong(format!("a product of shape {:?}", kernel.shape)));
        };
        let (m, n, k, batch) = (*m, *n, *k, batch_shape.iter().product::<usize>());
        let shape = tile_shape();
        let work = 2 * k.max(1) + block_flops(&kernel.block);
        let wanted = wanted((m * n).saturating_mul(work).saturating_mul(batch)).div_ceil(batch);
        let even = |len: usize, parts: usize, unit: usize| len.div_ceil(parts).next_multiple_of(unit).max(unit);
        // Rows are cut first: whole rows are long runs for the block, and the left operand is copied once. Then columns, and
        // single tiles only where there is nothing else to give to threads.
        let least = (m.div_ceil(LARGEST.0), n.div_ceil(LARGEST.1));
        let row_blocks = wanted.div_ceil(least.1).min(m.div_ceil(2 * shape.rows)).max(least.0).max(1);
        // Every block of rows goes through the whole right operand: one that is large is cut by columns instead.
        let row_blocks = if k.saturating_mul(n) > LARGE_RIGHT { least.0.max(1) } else { row_blocks };
        let rows = even(m, row_blocks, shape.rows);
        // Rather some blocks more than one less: then columns would be cut, and the block behind the product run on shorter runs.
        let lower = (m / row_blocks / shape.rows * shape.rows).max(2 * shape.rows);
        let rows = if m.div_ceil(rows) < row_blocks { rows.min(lower) } else { rows };
        let (mut rows, mut cols) = (rows, even(n, least.1, shape.cols));
        while m.div_ceil(rows) * n.div_ceil(cols) < wanted {
            if cols > 2 * shape.cols {
                cols = (cols / 2).next_multiple_of(shape.cols);
            } else if k.saturating_mul(n) > LARGE_RIGHT && m.div_ceil(rows) * n.div_ceil(cols) >= 8 {
                break;
            } else if rows > shape.rows {
                rows = (rows / 2).next_multiple_of(shape.rows);
            } else if cols > shape.cols {
                cols = shape.cols;
            } else {
                break;
            }
        }
        // A step of a recurrence: what one thread leaves in its rows, the other one need not fetch.
        let tall = (4 * shape.rows..=6 * shape.rows).contains(&m) && n >= 8 * shape.cols;
        // A left operand that is copied lies in strips of whole tiles, and blocks of rows must begin with one.
        let in_place = a.col_stride == 1;
        let rows_together = batch == 1 && tall && in_place && k.saturating_mul(n) <= SMALL_RIGHT;
        if rows_together {
            rows = even(m, 2, 4);
            cols = even(n, wanted.div_ceil(2).next_power_of_two(), shape.cols);
        }
        let (rows, cols) = (rows.min(m), cols.min(n));
        let blocks = m.div_ceil(rows) * n.div_ceil(cols);
        let parts = if blocks * batch < 8 { wanted.div_ceil(blocks).min(k / PART).clamp(1, 16) } else { 1 };
        let chunks = k.div_ceil(LONGEST).max(1).next_multiple_of(parts);
        let chunk = k.div_ceil(chunks).max(1);
        let chunks_per_part = chunks / parts;
        let parts = k.div_ceil(chunk * chunks_per_part).max(1);
        let packing = if b.col_stride == 1 && n.is_multiple_of(shape.lanes) && m <= 6 * shape.rows {
            Packing::None
        } else if m > rows && (batch == 1 || b.batch_strides.iter().all(|&s| s == 0)) {
            Packing::Shared
        } else {
            Packing::Worker
        };
        let left = if a.col_stride == 1 || k <= 1 || n <= shape.cols {
            Packing::None
        } else if n > cols && batch == 1 {
            Packing::Shared
        } else {
            Packing::Worker
        };
        let extent = |view: &MatrixView, rows: usize, columns: usize| {
            let dtype = kernel.args.get(view.arg as usize).map_or(DType::F32, |spec| spec.dtype);
            if dtype == DType::F32 || k == 0 {
                return 0;
            }
            let (low, high) = access(view).index.range(&space(batch_shape, rows, columns));
            (high - low + 1).max(0) as usize
        };
        let converted = [extent(a, m, k), extent(b, k, n)];
        Ok(Cut {
            batch,
            work,
            m,
            n,
            k,
            rows,
            cols,
            rows_together,
            chunk,
            chunks_per_part,
            parts,
            packing,
            left,
            converted,
        })
    }
    pub(super) fn padded(&self) -> usize {
        self.n.next_multiple_of(tile_shape().lanes)
    }
    pub(super) fn places(&self) -> Places {
        let converted = [0, aligned(self.converted[0])];
        let packed = converted[1] + aligned(self.converted[1]);
        let shared_left = packed + if self.packing == Packing::Shared { aligned(self.k * self.padded()) } else { 0 };
        let partial = shared_left + if self.left == Packing::Shared { aligned(self.m * self.k) } else { 0 };
        let workers = partial + if self.parts > 1 { aligned(self.parts * self.batch * self.m * self.n) } else { 0 };
        let panels = if self.packing == Packing::Worker { gemm::packed_len(self.chunk, self.cols) } else { 0 };
        let result = aligned(panels);
        let left = result + aligned(self.rows * self.cols);
        let per_worker = left + if self.left == Packing::Worker { aligned(self.rows * self.chunk) } else { 0 };
        Places { converted, packed, shared_left, partial, workers, per_worker, result, left }
    }
}

pub(super) fn space(batch: &[usize], rows: usize, cols: usize) -> Vec<usize> {
    batch.iter().copied().chain([rows, cols]).collect()
}

pub(super) fn access(view: &MatrixView) -> Access {
    let strides = view.batch_strides.iter().copied().chain([view.row_stride, view.col_stride]).collect();
    Access { arg: view.arg, index: Affine { offset: view.offset, strides }, guards: Vec::new() }
}
