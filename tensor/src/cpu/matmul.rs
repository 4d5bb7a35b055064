//! Batched matrix products. The result is cut into blocks by shape alone; each block is computed by one thread and goes
//! through the kernel's block while it is hot. A long contracted axis with few blocks is cut too, and its parts are added
//! in order.

use super::{
    Env, bounds,
    gemm::{self, Right, Strides},
    memory::Mem,
    micro::tile_shape,
    program::{ArgInfo, Program},
    storage,
};
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::{Binary, Unary},
    plan::{
        Core, Kernel, MatrixView,
        expr::{Access, Affine, Block, Inst},
    },
};
use std::ops::Range;

/// Floating-point operations of the smallest piece of work: some 10 microseconds.
const PIECE: usize = 1_500_000;
/// Pieces of a product that is large enough to be cut.
const PIECES: usize = 12;
/// Floating-point operations from which on a piece is cut further: some 100 microseconds.
const LARGE_PIECE: usize = 16_000_000;
/// Most pieces.
const MOST_PIECES: usize = 48;

/// Rows of the right operand that are packed in one go, where they are consecutive in memory.
const PACKED_ROWS: usize = 48;
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
enum Packing {
    /// The operand is read where it is.
    None,
    /// All of it, before the blocks.
    Shared,
    /// What a block needs, by the block's thread.
    Worker,
}

/// How a product is cut: decided by the kernel alone.
#[derive(Clone, Copy, Debug)]
struct Cut {
    batch: usize,
    /// Floating-point operations for an element of the result.
    work: usize,
    m: usize,
    n: usize,
    k: usize,
    /// Rows and columns of a block.
    rows: usize,
    cols: usize,
    /// Whether blocks of the same rows are neighbours, not those of the same columns: a thread then has most of its rows to
    /// itself, from this product to the next.
    rows_together: bool,
    /// Length of a chunk of the contracted axis, and chunks per part.
    chunk: usize,
    chunks_per_part: usize,
    parts: usize,
    packing: Packing,
    /// Whether and how the left operand is copied too.
    left: Packing,
    /// Elements of converted operands.
    converted: [usize; 2],
}

/// Where things lie in scratch, in elements.
struct Places {
    converted: [usize; 2],
    packed: usize,
    shared_left: usize,
    partial: usize,
    workers: usize,
    per_worker: usize,
    /// Within a worker's part: result and left operand follow the panels.
    result: usize,
    left: usize,
}

fn aligned(elements: usize) -> usize {
    elements.next_multiple_of(16)
}

impl Cut {
    fn new(kernel: &Kernel) -> Result<Cut> {
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
        let rows_together = batch == 1 && tall && k.saturating_mul(n) <= SMALL_RIGHT;
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
    fn padded(&self) -> usize {
        self.n.next_multiple_of(tile_shape().lanes)
    }
    fn places(&self) -> Places {
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

fn space(batch: &[usize], rows: usize, cols: usize) -> Vec<usize> {
    batch.iter().copied().chain([rows, cols]).collect()
}

fn access(view: &MatrixView) -> Access {
    let strides = view.batch_strides.iter().copied().chain([view.row_stride, view.col_stride]).collect();
    Access { arg: view.arg, index: Affine { offset: view.offset, strides }, guards: Vec::new() }
}

/// A product made ready.
pub(super) struct MatMulKernel {
    cut: Cut,
    places: Places,
    batch_shape: Vec<usize>,
    views: [MatrixView; 2],
    dtypes: [DType; 2],
    /// First element of what is converted.
    low: [i64; 2],
    block: Program,
    /// Argument and first element, where the block only stores.
    plain: Option<(usize, i64)>,
}

impl MatMulKernel {
    pub(super) fn scratch(kernel: &Kernel, threads: usize) -> u64 {
        let places = Cut::new(kernel).map(|cut| cut.places());
        places.map_or(0, |p| 4 * (p.workers + threads * p.per_worker) as u64)
    }
    pub(super) fn new(kernel: &Kernel, args: &[ArgInfo]) -> Result<MatMulKernel> {
        let wrong = |what: String| Error::argument(format!("kernel \"{}\": {what}", kernel.label));
        let cut = Cut::new(kernel)?;
        let Core::MatMul { a, b, .. } = &kernel.core else {
            return Err(wrong("is no product".into()));
        };
        let batch_shape = kernel.shape[..kernel.shape.len() - 2].to_vec();
        let mut dtypes = [DType::F32; 2];
        let mut low = [0; 2];
        for (i, (view, rows, cols)) in [(a, cut.m, cut.k), (b, cut.k, cut.n)].into_iter().enumerate() {
            let info =
                args.get(view.arg as usize).ok_or_else(|| wrong(format!("argument {} does not exist", view.arg)))?;
            if !info.dtype.is_float() {
                return Err(wrong(format!("operand {i} is {}, not a float", info.dtype)));
            }
            dtypes[i] = info.dtype;
            if cut.k > 0 {
                let (access, space) = (access(view), space(&batch_shape, rows, cols));
                bounds::check(&access, &space, info.elements).map_err(|e| wrong(format!("operand {i}: {e}")))?;
                low[i] = access.index.range(&space).0;
            }
        }
        let block = Program::new(&kernel.block, &kernel.shape, args, &kernel.label)?;
        if block.acc().is_some_and(|acc| acc != DType::F32) {
            return Err(wrong("the result of a product is float32".into()));
        }
        let plain = block.plain_store().filter(|_| cut.parts == 1);
        Ok(MatMulKernel {
            cut,
            places: cut.places(),
            batch_shape,
            views: [a.clone(), b.clone()],
            dtypes,
            low,
            block,
            plain,
        })
    }

    pub(super) fn run(&self, env: &Env<'_>) {
        let cut = &self.cut;
        let operands = [0, 1].map(|i| self.operand(env, i));
        if cut.packing == Packing::Shared {
            self.pack_shared(env, operands[1]);
        }
        if cut.left == Packing::Shared {
            self.pack_left_shared(env, operands[0]);
        }
        let (row_blocks, col_blocks) = (cut.m.div_ceil(cut.rows), cut.n.div_ceil(cut.cols));
        let pieces = cut.batch * cut.parts * row_blocks * col_blocks;
        // Batches of small products go several to a piece.
        let flops = cut.rows * cut.cols * (cut.work / cut.parts);
        let grain = (PIECE / 2 / flops.max(1)).clamp(1, pieces.div_ceil(8).max(1));
        let grain = if pieces * flops < PIECE { pieces } else { grain };
        env.threads.run(pieces.div_ceil(grain), &|worker, piece| {
            for piece in piece * grain..((piece + 1) * grain).min(pieces) {
                let (rest, block) = (piece / (row_blocks * col_blocks), piece % (row_blocks * col_blocks));
                let (row, col) = match cut.rows_together {
                    true => (block / col_blocks, block % col_blocks),
                    false => (block % row_blocks, block / row_blocks),
                };
                let (row, col) = (row * cut.rows, col * cut.cols);
                let (batch, part) = (rest / cut.parts, rest % cut.parts);
                let rows = row..(row + cut.rows).min(cut.m);
                let cols = col..(col + cut.cols).min(cut.n);
                self.piece(env, worker, &operands, batch, part, rows, cols);
            }
        });
        if cut.parts > 1 {
            self.join(env);
        }
    }

    /// An operand as floats, and the shift of its elements.
    fn operand<'a>(&self, env: &Env<'a>, which: usize) -> (Mem<'a>, i64) {
        let memory = env.args[self.views[which].arg as usize];
        let len = self.cut.converted[which];
        if self.dtypes[which] == DType::F32 || len == 0 {
            return (memory, 0);
        }
        let to = env.scratch.from(4 * self.places.converted[which] as u64);
        let grain = 1 << 15;
        env.threads.run(len.div_ceil(grain), &|_, piece| {
            let first = piece * grain;
            let words = to.write::<u32>(first, grain.min(len - first));
            storage::load(words, memory, self.dtypes[which], self.low[which] + first as i64, 1);
        });
        (to, -self.low[which])
    }

    fn pack_shared(&self, env: &Env<'_>, (memory, shift): (Mem<'_>, i64)) {
        let cut = &self.cut;
        let view = &self.views[1];
        let strides = Strides { row: view.row_stride, col: view.col_stride };
        let chunks = cut.k.div_ceil(cut.chunk);
        // Cut along the axis that is not consecutive in memory.
        let by_rows = strides.col == 1;
        let units = if by_rows { cut.chunk.div_ceil(PACKED_ROWS) } else { cut.n.div_ceil(gemm::panel_width()) };
        let units = chunks * units;
        let pieces = if cut.k * cut.n >= 1 << 15 { units } else { 1 };
        env.threads.run(pieces, &|_, piece| {
            for unit in if pieces > 1 { piece..piece + 1 } else { 0..units } {
                let (chunk, unit) = (unit % chunks, unit / chunks);
                let first = chunk * cut.chunk;
                let k = cut.chunk.min(cut.k - first);
                let to = env.scratch.from(4 * (self.places.packed + first * cut.padded()) as u64);
                let origin = view.offset + shift + view.row_stride * first as i64;
                let size = if by_rows { PACKED_ROWS } else { gemm::panel_width() };
                let range = unit * size..((unit + 1) * size).min(if by_rows { k } else { cut.n });
                if range.start >= range.end {
                    continue;
                }
                match by_rows {
                    true => gemm::pack_whole_rows(to, memory, origin, strides.row, k, range, cut.n),
                    false => gemm::pack(to, memory, origin, strides, k, range, cut.n),
                }
            }
        });
    }

    /// Packs the left operand once for all blocks of columns.
    fn pack_left_shared(&self, env: &Env<'_>, (memory, shift): (Mem<'_>, i64)) {
        let (cut, view) = (&self.cut, &self.views[0]);
        let strides = Strides { row: view.row_stride, col: view.col_stride };
        let (chunks, height) = (cut.k.div_ceil(cut.chunk), tile_shape().rows);
        let units = chunks * cut.m.div_ceil(height);
        let pieces = if cut.m * cut.k > 1 << 16 { units } else { 1 };
        env.threads.run(pieces, &|_, piece| {
            for unit in if pieces > 1 { piece..piece + 1 } else { 0..units } {
                let (start, row) = (unit % chunks * cut.chunk, unit / chunks * height);
                let (k, rows) = (cut.chunk.min(cut.k - start), height.min(cut.m - row));
                let to = env.scratch.from(4 * (self.places.shared_left + cut.m * start + row * k) as u64);
                let first = view.offset + shift + view.row_stride * row as i64 + view.col_stride * start as i64;
                gemm::pack_left(to, memory, first, strides, rows, k);
            }
        });
    }

    #[allow(clippy::too_many_arguments)]
    fn piece(
        &self,
        env: &Env<'_>,
        worker: usize,
        operands: &[(Mem<'_>, i64); 2],
        batch: usize,
        part: usize,
        rows: Range<usize>,
        cols: Range<usize>,
    ) {
        let cut = &self.cut;
        let own = env.scratch.from(4 * (self.places.workers + worker * self.places.per_worker) as u64);
        let own = own.part(0, 4 * self.places.per_worker);
        let [a, b] = [0, 1].map(|i| self.views[i].offset + operands[i].1 + self.batch_offset(i, batch));
        let [a_view, b_view] = &self.views;
        let position = (batch * cut.m + rows.start) * cut.n + cols.start;
        let (to, pitch) = if cut.parts > 1 {
            let at = self.places.partial + part * cut.batch * cut.m * cut.n + position;
            (env.scratch.from(4 * at as u64), cut.n)
        } else if let Some((arg, base)) = self.plain {
            (env.args[arg].from(4 * (base as usize + position) as u64), cut.n)
        } else {
            (own.from(4 * self.places.result as u64), cols.len())
        };
        let first_chunk = part * cut.chunks_per_part;
        for chunk in first_chunk..first_chunk + cut.chunks_per_part {
            let start = (chunk * cut.chunk).min(cut.k);
            let k = cut.chunk.min(cut.k - start);
            let add = chunk > first_chunk;
            if k == 0 && add {
                break;
            }
            let origin = b + b_view.row_stride * start as i64 + b_view.col_stride * cols.start as i64;
            let right = match cut.packing {
                Packing::None => {
                    Right { memory: operands[1].0.from(4 * origin as u64), row: Some(b_view.row_stride as usize) }
                }
                Packing::Shared => {
                    let at = self.places.packed + start * cut.padded() + cols.start * k;
                    Right { memory: env.scratch.from(4 * at as u64), row: None }
                }
                Packing::Worker => {
                    let strides = Strides { row: b_view.row_stride, col: b_view.col_stride };
                    gemm::pack(own, operands[1].0, origin, strides, k, 0..cols.len(), cols.len());
                    Right { memory: own, row: None }
                }
            };
            let first = a + a_view.row_stride * rows.start as i64 + a_view.col_stride * start as i64;
            let strides = Strides { row: a_view.row_stride, col: a_view.col_stride };
            let size = (rows.len(), cols.len(), k);
            match cut.left {
                Packing::Worker if k > 0 => {
                    let left = own.from(4 * self.places.left as u64);
                    gemm::pack_left(left, operands[0].0, first, strides, rows.len(), k);
                    gemm::block_packed(left, right, to, pitch, size, add);
                }
                Packing::Shared if k > 0 => {
                    let at = self.places.shared_left + cut.m * start + rows.start * k;
                    gemm::block_packed(env.scratch.from(4 * at as u64), right, to, pitch, size, add);
                }
                _ => gemm::block(operands[0].0, first, strides, right, to, pitch, size, add),
            }
        }
        if cut.parts == 1 && self.plain.is_none() {
            let rows = batch * cut.m + rows.start..batch * cut.m + rows.end;
            self.block.run_rows(&env.frame(worker), cut.n, rows, cols, to, pitch);
        }
    }

    fn batch_offset(&self, which: usize, batch: usize) -> i64 {
        let (mut rest, mut offset) = (batch, 0);
        for (&len, &stride) in self.batch_shape.iter().zip(&self.views[which].batch_strides).rev() {
            offset += stride * (rest % len) as i64;
            rest /= len;
        }
        offset
    }

    /// Adds the parts of the contracted axis in order, and runs the block on the sums.
    fn join(&self, env: &Env<'_>) {
        let len = self.cut.batch * self.cut.m * self.cut.n;
        let partial = env.scratch.from(4 * self.places.partial as u64);
        join_parts(env, partial, self.cut.parts, len, &self.block);
    }
}

/// Adds `parts` results of `len` elements, one after the other in `partial`, in order, and runs the block on the sums.
pub(super) fn join_parts(env: &Env<'_>, partial: Mem<'_>, parts: usize, len: usize, block: &Program) {
    let grain = (1 << 15) / parts.max(1) / 1024 * 1024;
    let grain = grain.max(1024);
    env.threads.run(len.div_ceil(grain), &|worker, piece| {
        let frame = env.frame(worker);
        let mut first = piece * grain;
        let end = (first + grain).min(len);
        while first < end {
            let n = (end - first).min(1024);
            let mut sums = [0_u32; 1024];
            let sums = &mut sums[..n];
            sums.copy_from_slice(partial.read::<u32>(first, n));
            for part in 1..parts {
                add(bytemuck::cast_slice_mut(sums), partial.read(part * len + first, n));
            }
            block.run(&frame, first..first + n, Mem::over(sums));
            first += n;
        }
    });
}

super::simd::vectorised! {
    pub(super) fn add(to: &mut [f32], from: &[f32]) {
        for (to, &x) in to.iter_mut().zip(from) {
            *to += x;
        }
    }
}
