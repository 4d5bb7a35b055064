//! Batched matrix products. The result is cut into blocks by shape alone; each block is computed by one thread and goes
//! through the kernel's block while it is hot. A long contracted axis with few blocks is cut too, and its parts are added
//! in order.

mod cut;

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
    plan::{Core, Kernel, MatrixView},
};
use cut::{Cut, PIECE, Packing, Places, access, space};
use std::ops::Range;

/// Rows of the right operand that are packed in one go, where they are consecutive in memory.
const PACKED_ROWS: usize = 48;

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
