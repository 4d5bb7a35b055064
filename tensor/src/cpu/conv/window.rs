//! Results that are images: every result position is a window of the source times the filters.
//!
//! The input gradient of a convolution with strides falls into phases: result positions of equal remainder modulo the
//! strides see the same filter taps, so each phase is a convolution without strides.

use super::{
    super::{
        Env,
        gemm::{Right, Strides, block, pack_panel, panel_width},
        memory::Mem,
        micro::{MAX_ROWS, Product, Segments, product, tile_shape},
        program::Program,
    },
    Frame, PIECE, Sizes, aligned,
};
use std::ops::Range;

/// Elements of a block of the result: it stays in the second cache.
const BLOCK: usize = 1 << 16;

/// Where a filter tap is, and where it reads the source.
#[derive(Clone, Copy, Debug)]
struct Tap {
    ky: usize,
    kx: usize,
    /// Row and column of the source, relative to the position's.
    at: [i64; 2],
}

/// Result positions that see the same taps.
#[derive(Clone, Debug)]
struct Phase {
    /// First result position and distance of positions, for rows and columns.
    first: [usize; 2],
    step: [usize; 2],
    /// Source position of the first result position, and distance.
    source: [i64; 2],
    source_step: [usize; 2],
    taps: Vec<Tap>,
    segments: Segments,
    /// First element of the packed filters, and elements of a group.
    packed: usize,
    per_group: usize,
}

/// See the module.
pub(super) struct Window {
    /// Images, rows and columns of the result.
    result: [usize; 3],
    /// Channels of the result and of the source in a group.
    out: usize,
    into: usize,
    frame: Frame,
    phases: Vec<Phase>,
    /// Whether windows are single positions and all of them count, in their order: then the image is a matrix.
    flat: bool,
    /// Elements from row to row and column to column of the filters, per tap: of the contracted index and of the result's.
    filter_strides: [i64; 2],
    /// Elements from group to group of the filters.
    filter_group: usize,
    /// Result rows of a block; blocks per image; blocks per piece.
    rows: usize,
    blocks: usize,
    grain: usize,
    /// Places in scratch.
    packed: usize,
    workers: usize,
    per_worker: usize,
    result_at: usize,
    plain: Option<(usize, i64)>,
}

impl Window {
    pub(super) fn forward(sizes: &Sizes, scratch: usize, plain: Option<(usize, i64)>) -> Window {
        let Sizes { conv, x, w, y } = *sizes;
        let (cg, fg) = sizes.per_group();
        let span = |i: usize| (y[1 + i] - 1) * conv.strides[i] + (w[i] - 1) * conv.dilation[i] + 1;
        let frame = Frame::new(x, [conv.pads[0].0, conv.pads[1].0], [span(0), span(1)]);
        let taps = (0..w[0] * w[1]).map(|i| {
            let (ky, kx) = (i / w[1], i % w[1]);
            Tap { ky, kx, at: [(ky * conv.dilation[0]) as i64, (kx * conv.dilation[1]) as i64] }
        });
        let taps: Vec<Tap> = taps.collect();
        let phase = (taps, [0, 0], [1, 1], [0, 0], conv.strides);
        let result = [y[0], y[1], y[2]];
        Window::new(sizes, frame, result, (fg, cg), vec![phase], [w[3] as i64, 1], fg, scratch, plain)
    }

    pub(super) fn input_grad(sizes: &Sizes, scratch: usize, plain: Option<(usize, i64)>) -> Window {
        let Sizes { conv, x, w, y } = *sizes;
        let (cg, fg) = sizes.per_group();
        let mut front = [0; 2];
        let mut span = [0; 2];
        for i in 0..2 {
            let (pad, stride) = (conv.pads[i].0 as i64, conv.strides[i] as i64);
            let lowest = (pad - ((w[i] - 1) * conv.dilation[i]) as i64).div_euclid(stride).min(0);
            let highest = (x[1 + i] as i64 - 1 + pad).div_euclid(stride).max(y[1 + i] as i64 - 1);
            front[i] = (-lowest) as usize;
            span[i] = (highest - lowest + 1) as usize;
        }
        let frame = Frame::new(y, front, span);
        let mut phases = Vec::new();
        for ry in 0..conv.strides[0].min(x[1]) {
            for rx in 0..conv.strides[1].min(x[2]) {
                // Taps of one remainder; the columns from last to first, so that they read the source in its own order.
                let taken = |i: usize, r: usize, k: usize| {
                    let q = (r + conv.pads[i].0) as i64 - (k * conv.dilation[i]) as i64;
                    (q.rem_euclid(conv.strides[i] as i64) == 0).then(|| q.div_euclid(conv.strides[i] as i64))
                };
                let mut taps = Vec::new();
                for ky in (0..w[0]).rev() {
                    for kx in (0..w[1]).rev() {
                        if let (Some(y), Some(x)) = (taken(0, ry, ky), taken(1, rx, kx)) {
                            taps.push(Tap { ky, kx, at: [y, x] });
                        }
                    }
                }
                phases.push((taps, [ry, rx], conv.strides, front.map(|f| f as i64), [1, 1]));
            }
        }
        let result = [x[0], x[1], x[2]];
        Window::new(sizes, frame, result, (cg, fg), phases, [1, w[3] as i64], fg, scratch, plain)
    }

    #[allow(clippy::too_many_arguments, clippy::type_complexity)]
    fn new(
        sizes: &Sizes,
        frame: Frame,
        result: [usize; 3],
        (out, into): (usize, usize),
        phases: Vec<(Vec<Tap>, [usize; 2], [usize; 2], [i64; 2], [usize; 2])>,
        filter_strides: [i64; 2],
        filter_group: usize,
        scratch: usize,
        plain: Option<(usize, i64)>,
    ) -> Window {
        let groups = sizes.groups();
        let padded = out.next_multiple_of(tile_shape().lanes);
        let mut packed = 0;
        let phases = phases.into_iter().map(|(taps, first, step, source, source_step)| {
            let at = |tap: &Tap| tap.at[0] * frame.pitch() as i64 + tap.at[1] * frame.channels as i64;
            let starts: Vec<i64> = taps.iter().map(at).collect();
            // Taps that follow each other in the source are one segment, if all segments become equally long.
            let across = taps.iter().filter(|tap| taps.first().is_some_and(|t| t.at[0] == tap.at[0])).count().max(1);
            let follow = starts.chunks(across).all(|row| row.windows(2).all(|w| w[1] - w[0] == into as i64));
            let follow = follow && taps.len().is_multiple_of(across) && across > 1;
            let segments = if follow {
                Segments::new(starts.iter().step_by(across).copied().collect(), across * into, 1)
            } else {
                Segments::new(starts, into, 1)
            };
            let per_group = aligned(taps.len() * into * padded);
            let phase = Phase { first, step, source, source_step, taps, segments, packed, per_group };
            packed += per_group * groups;
            phase
        });
        let phases: Vec<Phase> = phases.collect();
        let flat = frame.direct
            && (frame.rows, frame.cols) == (result[1], result[2])
            && phases.iter().all(|p| p.taps.len() == 1 && p.step == [1, 1]);
        let width = result[2] * out * groups;
        // A multiple of the strides, so that every phase has its rows.
        let unit = phases.first().map_or(1, |p| p.step[0]);
        let rows = (BLOCK / width.max(1)).clamp(1, result[1]);
        let rows = result[1].div_ceil(result[1].div_ceil(rows)).next_multiple_of(unit);
        let blocks = result[1].div_ceil(rows);
        let flops = sizes.flops() / (result[0] * blocks).max(1);
        // Some sixteen pieces are enough; fewer, larger ones share the cost of starting.
        let units = result[0] * blocks;
        let grain = (PIECE / flops.max(1)).clamp(1, units.div_ceil(16).max(1));
        let grain = if units * flops < PIECE { units } else { grain };
        let mut window = Window {
            result,
            out,
            into,
            frame,
            phases,
            flat,
            filter_strides,
            filter_group,
            rows,
            blocks,
            grain,
            packed: scratch,
            workers: scratch + packed,
            per_worker: 0,
            result_at: 0,
            plain,
        };
        let tallest = (0..blocks).map(|b| window.source_rows(window.block_rows(b)).len()).max().unwrap_or(0);
        window.result_at = aligned(frame.copy_len(tallest));
        window.per_worker = window.result_at + aligned(rows * width);
        window
    }

    pub(super) fn end(&self, threads: usize) -> usize {
        self.workers + threads * self.per_worker
    }

    fn block_rows(&self, block: usize) -> Range<usize> {
        block * self.rows..((block + 1) * self.rows).min(self.result[1])
    }

    /// The rows of the source, zeros included, that some rows of the result see.
    fn source_rows(&self, rows: Range<usize>) -> Range<usize> {
        let (mut low, mut high) = (i64::MAX, i64::MIN);
        for phase in &self.phases {
            let steps = positions(rows.clone(), phase.first[0], phase.step[0]);
            if steps.is_empty() {
                continue;
            }
            for tap in &phase.taps {
                let at = |step: usize| phase.source[0] + (step * phase.source_step[0]) as i64 + tap.at[0];
                low = low.min(at(steps.start));
                high = high.max(at(steps.end - 1));
            }
        }
        if low > high { 0..0 } else { low as usize..high as usize + 1 }
    }

    pub(super) fn run(&self, env: &Env<'_>, sizes: &Sizes, source: Mem<'_>, filters: Mem<'_>, program: &Program) {
        self.pack(env, sizes, filters);
        let units = self.result[0] * self.blocks;
        env.threads.run(units.div_ceil(self.grain), &|worker, piece| {
            for unit in piece * self.grain..((piece + 1) * self.grain).min(units) {
                self.unit(env, worker, sizes.groups(), source, unit / self.blocks, unit % self.blocks, program);
            }
        });
    }

    fn packed_group<'a>(&self, env: &Env<'a>, phase: &Phase, group: usize) -> Mem<'a> {
        env.scratch.from(4 * (self.packed + phase.packed + group * phase.per_group) as u64)
    }

    fn pack(&self, env: &Env<'_>, sizes: &Sizes, filters: Mem<'_>) {
        let (width, lanes) = (panel_width(), tile_shape().lanes);
        let panels = self.out.div_ceil(width);
        let groups = sizes.groups();
        let units = self.phases.len() * groups * panels;
        let len = sizes.w.iter().product::<usize>();
        let pieces = if len > 1 << 16 { units } else { 1 };
        env.threads.run(pieces, &|_, piece| {
            for unit in if pieces == 1 { 0..units } else { piece..piece + 1 } {
                let (rest, panel) = (unit / panels, unit % panels);
                let (phase, group) = (&self.phases[rest / groups], rest % groups);
                let k = phase.taps.len() * self.into;
                let count = width.min(self.out - panel * width);
                let padded = count.next_multiple_of(lanes);
                let to = self.packed_group(env, phase, group).write::<f32>(panel * width * k, padded * k);
                for (tap, to) in phase.taps.iter().zip(to.chunks_exact_mut((padded * self.into).max(1))) {
                    let first = (tap.ky * sizes.w[1] + tap.kx) * sizes.w[2] * sizes.w[3] + group * self.filter_group;
                    let [row, col] = self.filter_strides;
                    let first = first as i64 + col * (panel * width) as i64;
                    let strides = Strides { row, col };
                    pack_panel(to, filters, first, strides, count, padded);
                }
            }
        });
    }

    #[allow(clippy::too_many_arguments)]
    fn unit(
        &self,
        env: &Env<'_>,
        worker: usize,
        groups: usize,
        source: Mem<'_>,
        image: usize,
        number: usize,
        program: &Program,
    ) {
        let own = env.scratch.from(4 * (self.workers + worker * self.per_worker) as u64).part(0, 4 * self.per_worker);
        let rows = self.block_rows(number);
        let seen = self.source_rows(rows.clone());
        let source = self.frame.rows(source, image, seen.start, seen.len(), own);
        let [_, height, width] = self.result;
        let channels = self.out * groups;
        let position = (image * height + rows.start) * width;
        let to = match self.plain {
            Some((arg, base)) => env.args[arg].from(4 * (base as usize + position * channels) as u64),
            None => own.from(4 * self.result_at as u64),
        };
        for phase in &self.phases {
            for group in 0..groups {
                let filters = self.packed_group(env, phase, group);
                if self.flat {
                    let (left, first) =
                        (Strides { row: self.frame.channels as i64, col: 1 }, (group * self.into) as i64);
                    let size = (rows.len() * width, self.out, self.into);
                    let to = to.from(4 * (group * self.out) as u64);
                    block(source, first, left, Right { memory: filters, row: None }, to, channels, size, false);
                    continue;
                }
                self.phase(phase, rows.clone(), seen.start, group, source, filters, to, channels);
            }
        }
        if self.plain.is_none() {
            let range = position * channels..(position + rows.len() * width) * channels;
            program.run(&env.frame(worker), range, to);
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn phase(
        &self,
        phase: &Phase,
        rows: Range<usize>,
        first_seen: usize,
        group: usize,
        source: Mem<'_>,
        filters: Mem<'_>,
        to: Mem<'_>,
        channels: usize,
    ) {
        let shape = tile_shape();
        let [_, _, width] = self.result;
        let down = positions(rows.clone(), phase.first[0], phase.step[0]);
        let across = positions(0..width, phase.first[1], phase.step[1]);
        let count = down.len() * across.len();
        let k = phase.segments.count();
        let mut col = 0;
        while col < self.out {
            let cols = shape.cols.min(self.out - col);
            let right = filters.from(4 * (col * k) as u64);
            let (mut y, mut x) = (down.start, across.start);
            let mut done = 0;
            while done < count {
                let tall = shape.rows.min(count - done);
                let (mut starts, mut outs) = ([0; MAX_ROWS], [0; MAX_ROWS]);
                for i in 0..tall {
                    let row = phase.source[0] + (y * phase.source_step[0]) as i64 - first_seen as i64;
                    let column = phase.source[1] + (x * phase.source_step[1]) as i64;
                    starts[i] = row * self.frame.pitch() as i64
                        + column * self.frame.channels as i64
                        + (group * self.into) as i64;
                    let (row, column) =
                        (phase.first[0] + y * phase.step[0] - rows.start, phase.first[1] + x * phase.step[1]);
                    outs[i] = ((row * width + column) * channels + group * self.out + col) as i64;
                    x += 1;
                    if x == across.end {
                        (x, y) = (across.start, y + 1);
                    }
                }
                product(&Product {
                    left: source,
                    rows: &starts[..tall],
                    segments: &phase.segments,
                    right,
                    right_step: cols.next_multiple_of(shape.lanes),
                    to,
                    outs: &outs[..tall],
                    cols,
                    add: false,
                });
                done += tall;
            }
            col += cols;
        }
    }
}

/// The steps `t` with `first + step · t` in a range.
fn positions(range: Range<usize>, first: usize, step: usize) -> Range<usize> {
    let upto = |end: usize| end.saturating_sub(first).div_ceil(step);
    upto(range.start)..upto(range.end)
}
