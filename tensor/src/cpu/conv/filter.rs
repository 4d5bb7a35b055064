//! The filter gradient: for every tap and channel, the image at that tap times the result's gradient, summed over all
//! positions. The positions are cut into parts by shape alone; the parts are added in order.

use super::{
    super::{
        Env,
        gemm::{Strides, pack, panel_width},
        matmul::join_parts,
        memory::Mem,
        micro::{MAX_ROWS, Product, Segments, product, tile_shape},
        program::Program,
    },
    Frame, PIECE, Sizes, aligned,
};
use std::ops::Range;

/// Positions of a block: a tile's sums are written and read again for each.
const POSITIONS: usize = 512;
/// Most parts, and most elements of all of them.
const PARTS: usize = 16;
const PART_ELEMENTS: usize = 1 << 22;

/// See the module.
pub(super) struct Filter {
    frame: Frame,
    /// Rows of a full block and of the last one of an image, with their segments.
    rows: usize,
    segments: [Segments; 2],
    blocks: usize,
    /// Parts of the positions, and blocks of each.
    parts: usize,
    per_part: usize,
    /// Rows of the gradient (taps times channels) of a piece.
    tall: usize,
    /// Whether gradients must be copied to be read as whole vectors.
    packed: bool,
    /// Places in scratch.
    partial: usize,
    workers: usize,
    per_worker: usize,
    packed_at: usize,
}

impl Filter {
    pub(super) fn new(sizes: &Sizes, scratch: usize) -> Filter {
        let Sizes { conv, x, w, y } = *sizes;
        let (cg, fg) = sizes.per_group();
        let shape = tile_shape();
        let span = |i: usize| (y[1 + i].max(1) - 1) * conv.strides[i] + (w[i].max(1) - 1) * conv.dilation[i] + 1;
        let frame = Frame::new(x, [conv.pads[0].0, conv.pads[1].0], [span(0), span(1)]);
        let rows = (POSITIONS / y[2].max(1)).clamp(1, y[1].max(1));
        let blocks_per_image = y[1].div_ceil(rows);
        let rows = y[1].div_ceil(blocks_per_image.max(1)).max(1);
        let last = y[1] - (blocks_per_image.max(1) - 1).min(y[1]) * rows.min(y[1]);
        let pitch = frame.pitch();
        let segments = [rows, last].map(|rows| {
            let starts = (0..rows).map(|row| (row * conv.strides[0] * pitch) as i64).collect();
            Segments::new(starts, y[2], (conv.strides[1] * frame.channels) as i64)
        });
        let blocks = y[0] * blocks_per_image;
        let numel: usize = w.iter().product();
        let wanted = (sizes.flops() / PIECE).clamp(1, PARTS);
        let parts = wanted.min(PART_ELEMENTS / numel.max(1)).min(blocks).max(1);
        let per_part = blocks.div_ceil(parts).max(1);
        let parts = blocks.div_ceil(per_part).max(1);
        let m = w[0] * w[1] * cg;
        // Where the sums are too large for many parts, their rows are cut instead.
        let splits = wanted.div_ceil(parts).min(m.div_ceil(shape.rows)).max(1);
        let tall = m.div_ceil(splits).next_multiple_of(shape.rows);
        let packed = !fg.is_multiple_of(shape.lanes);
        let partial = scratch;
        let workers = partial + aligned(parts * numel);
        let seen = (rows - 1) * conv.strides[0] + (w[0].max(1) - 1) * conv.dilation[0] + 1;
        let packed_at = aligned(frame.copy_len(seen));
        let own = if packed { aligned(rows * y[2] * fg.next_multiple_of(shape.lanes)) } else { 0 };
        Filter {
            frame,
            rows,
            segments,
            blocks,
            parts,
            per_part,
            tall,
            packed,
            partial,
            workers,
            per_worker: packed_at + own,
            packed_at,
        }
    }

    pub(super) fn end(&self, threads: usize) -> usize {
        self.workers + threads * self.per_worker
    }

    pub(super) fn run(&self, env: &Env<'_>, sizes: &Sizes, x: Mem<'_>, dy: Mem<'_>, block: &Program) {
        let numel: usize = sizes.w.iter().product();
        let m = sizes.w[0] * sizes.w[1] * sizes.w[2];
        let splits = m.div_ceil(self.tall);
        let partial = env.scratch.from(4 * self.partial as u64);
        env.threads.run(self.parts * splits, &|worker, piece| {
            let (part, split) = (piece / splits, piece % splits);
            let to = partial.from(4 * (part * numel) as u64).part(0, 4 * numel);
            let rows = split * self.tall..((split + 1) * self.tall).min(m);
            let blocks = part * self.per_part..((part + 1) * self.per_part).min(self.blocks);
            if blocks.is_empty() {
                let len = rows.len() * sizes.w[3];
                to.write::<f32>(rows.start * sizes.w[3], len).fill(0.0);
            }
            for block in blocks.clone() {
                self.block(env, worker, sizes, x, dy, block, rows.clone(), to, block > blocks.start);
            }
        });
        join_parts(env, partial, self.parts, numel, block);
    }

    /// Adds what one block of positions gives to some rows of the gradient.
    #[allow(clippy::too_many_arguments)]
    fn block(
        &self,
        env: &Env<'_>,
        worker: usize,
        sizes: &Sizes,
        x: Mem<'_>,
        dy: Mem<'_>,
        block: usize,
        wanted: Range<usize>,
        to: Mem<'_>,
        add: bool,
    ) {
        let Sizes { conv, w, y, .. } = *sizes;
        let (cg, fg) = sizes.per_group();
        let shape = tile_shape();
        let per_image = y[1].div_ceil(self.rows);
        let (image, first) = (block / per_image, block % per_image * self.rows);
        let rows = self.rows.min(y[1] - first);
        let segments = &self.segments[usize::from(rows != self.rows)];
        let own = env.scratch.from(4 * (self.workers + worker * self.per_worker) as u64).part(0, 4 * self.per_worker);
        let seen = (rows - 1) * conv.strides[0] + (w[0] - 1) * conv.dilation[0] + 1;
        let x = self.frame.rows(x, image, first * conv.strides[0], seen, own);
        let dy_first = (image * y[1] + first) * y[2] * y[3];
        let k = rows * y[2];
        for group in 0..sizes.groups() {
            let (right, step) = if self.packed {
                let packed = own.from(4 * self.packed_at as u64);
                let strides = Strides { row: y[3] as i64, col: 1 };
                pack(packed, dy, (dy_first + group * fg) as i64, strides, k, 0..fg, fg);
                (packed, None)
            } else {
                (dy.from(4 * (dy_first + group * fg) as u64), Some(y[3]))
            };
            let mut row = wanted.start;
            while row < wanted.end {
                let tall = shape.rows.min(wanted.end - row);
                let (mut starts, mut outs) = ([0; MAX_ROWS], [0; MAX_ROWS]);
                for i in 0..tall {
                    let (tap, channel) = ((row + i) / cg, (row + i) % cg);
                    let (ky, kx) = (tap / w[1] * conv.dilation[0], tap % w[1] * conv.dilation[1]);
                    starts[i] = (ky * self.frame.pitch() + kx * self.frame.channels + group * cg + channel) as i64;
                    outs[i] = ((row + i) * w[3] + group * fg) as i64;
                }
                let mut col = 0;
                while col < fg {
                    let cols = panel_width().min(fg - col);
                    let (right, right_step) = match step {
                        Some(step) => (right.from(4 * col as u64), step),
                        None => (right.from(4 * (col * k) as u64), cols.next_multiple_of(shape.lanes)),
                    };
                    let outs = outs.map(|out| out + col as i64);
                    product(&Product {
                        left: x,
                        rows: &starts[..tall],
                        segments,
                        right,
                        right_step,
                        to,
                        outs: &outs[..tall],
                        cols,
                        add,
                    });
                    col += cols;
                }
                row += tall;
            }
        }
    }
}
