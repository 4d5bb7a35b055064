//! The filter gradient: at every point, the values of the image times those of the result's gradient, summed over tiles. The rows
//! of tiles are cut into parts by shape alone; the parts are added in order.

use super::{
    super::{
        super::{
            Env,
            gemm::{self, Right, Strides},
            matmul::add,
            memory::Mem,
            program::Program,
        },
        PIECE, Sizes, aligned,
    },
    POINTS, RESULTS, SEEN, Strip, TAPS, Tiles, rows_of,
    transform::{self, Pass},
};

/// Elements of a block's values at six points.
const BLOCK: usize = 24 << 10;
/// Fewest tiles of a block: the sums are read and written again for each.
const FEWEST: usize = 48;
/// Most parts, and most elements of the sums of all of them.
const PARTS: usize = 16;
const PART_ELEMENTS: usize = 1 << 22;
/// Channels of the image whose sums are turned into taps at a time.
const TURNED: usize = 4;

/// See the module.
pub(in super::super) struct Filter {
    /// Rows, columns and channels of the image and of the result's gradient.
    image: [usize; 3],
    grad: [usize; 3],
    /// Zeros in front of the image.
    front: [i64; 2],
    tiles: Tiles,
    /// Parts of the blocks, and blocks of each.
    parts: usize,
    per_part: usize,
    /// Places in scratch.
    sums: usize,
    workers: usize,
    own: Own,
}

/// Places in a worker's own scratch.
#[derive(Clone, Copy, Debug, Default)]
struct Own {
    zeros: usize,
    image_strips: usize,
    grad_strips: usize,
    image: usize,
    grad: usize,
    end: usize,
}

impl Filter {
    pub(in super::super) fn new(sizes: &Sizes, scratch: usize) -> Filter {
        let Sizes { conv, x, w, y } = *sizes;
        let (c, f) = (w[2], w[3]);
        let tiles = Tiles::new([y[0], y[1], y[2]], (BLOCK / (c + f)).max(FEWEST));
        let blocks = tiles.blocks();
        let flops = 2 * POINTS * c * f * tiles.per_block() * blocks;
        let wanted = (flops / PIECE).clamp(1, PARTS);
        let parts = wanted.min(PART_ELEMENTS / (POINTS * c * f)).min(blocks).max(1);
        let per_part = blocks.div_ceil(parts);
        let parts = blocks.div_ceil(per_part);
        let mut own = Own::default();
        let mut place = |elements: usize| {
            own.end += aligned(elements);
            own.end - aligned(elements)
        };
        let (wide, narrow) = (tiles.across * RESULTS + SEEN - RESULTS, tiles.across * RESULTS);
        own.zeros = place((x[2] * c).max(y[2] * f).max((POINTS + TAPS * SEEN + TAPS * TAPS) * TURNED * f));
        own.image_strips = place(SEEN * tiles.tall * wide * c);
        own.grad_strips = place(SEEN * tiles.tall * narrow * f);
        own.image = place(SEEN * tiles.per_block() * c);
        own.grad = place(SEEN * tiles.per_block() * f);
        Filter {
            image: [x[1], x[2], c],
            grad: [y[1], y[2], f],
            front: conv.pads.map(|(before, _)| before as i64),
            tiles,
            parts,
            per_part,
            sums: scratch,
            workers: scratch + parts * POINTS * c * f,
            own,
        }
    }

    /// Elements of scratch up to the last one.
    pub(in super::super) fn end(&self, threads: usize) -> usize {
        self.workers + threads * self.own.end
    }

    pub(in super::super) fn run(&self, env: &Env<'_>, image: Mem<'_>, grad: Mem<'_>, block: &Program) {
        let blocks = self.tiles.blocks();
        env.threads.run(self.parts, &|worker, part| {
            let sums = self.sums_of(env, part);
            let range = part * self.per_part..((part + 1) * self.per_part).min(blocks);
            for block in range.clone() {
                self.block(self.own(env, worker), image, grad, block, sums, block > range.start);
            }
        });
        self.join(env, block);
    }

    fn own<'a>(&self, env: &Env<'a>, worker: usize) -> Mem<'a> {
        env.scratch.from(4 * (self.workers + worker * self.own.end) as u64).part(0, 4 * self.own.end)
    }

    fn sums_of<'a>(&self, env: &Env<'a>, part: usize) -> Mem<'a> {
        let len = POINTS * self.image[2] * self.grad[2];
        env.scratch.from(4 * (self.sums + part * len) as u64).part(0, 4 * len)
    }

    /// Adds what a block of rows of tiles gives to the sums of a part.
    fn block(&self, own: Mem<'_>, image: Mem<'_>, grad: Mem<'_>, block: usize, sums: Mem<'_>, add: bool) {
        let at = |place: usize| own.from(4 * place as u64);
        let Tiles { across, tall, .. } = self.tiles;
        let (c, f) = (self.image[2], self.grad[2]);
        let (wide, narrow) = (across * RESULTS + SEEN - RESULTS, across * RESULTS);
        let zeros = at(self.own.zeros);
        zeros.write::<f32>(0, (self.image[1] * c).max(self.grad[1] * f)).fill(0.0);
        for (i, (n, y)) in self.tiles.rows(block).enumerate() {
            let skip = |shape: [usize; 3]| 4 * (n * shape.iter().product::<usize>()) as u64;
            let strip = Strip {
                image: image.from(skip(self.image)),
                shape: self.image,
                first: y as i64 - self.front[0],
                left: -self.front[1],
                zeros,
                to: rows_of(at(self.own.image_strips + i * wide * c), tall * wide * c),
                wide,
            };
            strip.transform::<transform::Image, SEEN>();
            let strip = Strip {
                image: grad.from(skip(self.grad)),
                shape: self.grad,
                first: y as i64,
                left: 0,
                zeros,
                to: rows_of(at(self.own.grad_strips + i * narrow * f), tall * narrow * f),
                wide: narrow,
            };
            strip.transform::<transform::ResultGrad, RESULTS>();
        }
        let rows = self.tiles.rows(block).count();
        let (tiles, full) = (rows * across, self.tiles.per_block());
        for point in 0..SEEN {
            for i in 0..rows {
                let pass = Pass::<SEEN, SEEN> {
                    from: rows_of(at(self.own.image_strips + (point * tall + i) * wide * c), c),
                    from_step: RESULTS * c,
                    to: rows_of(at(self.own.image + i * across * c), full * c),
                    to_step: c,
                    count: across,
                    run: c,
                };
                pass.run::<transform::Image>();
                let pass = Pass::<RESULTS, SEEN> {
                    from: rows_of(at(self.own.grad_strips + (point * tall + i) * narrow * f), f),
                    from_step: RESULTS * f,
                    to: rows_of(at(self.own.grad + i * across * f), full * f),
                    to_step: f,
                    count: across,
                    run: f,
                };
                pass.run::<transform::ResultGrad>();
            }
            for i in 0..SEEN {
                let left = at(self.own.image + i * full * c);
                let right = Right { memory: at(self.own.grad + i * full * f), row: Some(f) };
                let to = sums.from(4 * ((point * SEEN + i) * c * f) as u64);
                gemm::block(left, 0, Strides { row: 1, col: c as i64 }, right, to, f, (c, f, tiles), add);
            }
        }
    }

    /// Adds the parts, turns the sums into taps, and runs the block on them.
    fn join(&self, env: &Env<'_>, block: &Program) {
        let (c, f) = (self.image[2], self.grad[2]);
        let units = c / TURNED;
        let pieces = if c * f > 1 << 10 { units } else { 1 };
        env.threads.run(pieces, &|worker, piece| {
            let frame = env.frame(worker);
            let own = self.own(env, worker);
            let run = TURNED * f;
            let halves = own.from(4 * (POINTS * run) as u64);
            let taps = halves.from(4 * (TAPS * SEEN * run) as u64);
            for unit in if pieces == 1 { 0..units } else { piece..piece + 1 } {
                for point in 0..POINTS {
                    let sum = own.write::<f32>(point * run, run);
                    let at = (point * c + unit * TURNED) * f;
                    sum.copy_from_slice(self.sums_of(env, 0).read(at, run));
                    for part in 1..self.parts {
                        add(sum, self.sums_of(env, part).read(at, run));
                    }
                }
                let down = Pass::<SEEN, TAPS> {
                    from: rows_of(own, SEEN * run),
                    from_step: run,
                    to: rows_of(halves, SEEN * run),
                    to_step: run,
                    count: SEEN,
                    run,
                };
                down.run::<transform::TapsGrad>();
                let across = Pass::<SEEN, TAPS> {
                    from: rows_of(halves, run),
                    from_step: SEEN * run,
                    to: rows_of(taps, run),
                    to_step: TAPS * run,
                    count: TAPS,
                    run,
                };
                across.run::<transform::TapsGrad>();
                for tap in 0..TAPS * TAPS {
                    let first = (tap * c + unit * TURNED) * f;
                    block.run(&frame, first..first + run, taps.from(4 * (tap * run) as u64));
                }
            }
        });
    }
}
