//! Results that are images: the convolution itself, and the gradient of its image, which is a convolution with the filters turned
//! round.

use super::{
    super::{
        super::{
            Env,
            gemm::{self, Right, Strides, pack_panel, packed_len, panel_width},
            memory::Mem,
            micro::tile_shape,
            program::Program,
        },
        PIECE, Sizes, aligned,
    },
    POINTS, RESULTS, SEEN, Strip, TAPS, Tiles, rows_of,
    transform::{self, Pass},
};

/// Elements of a block's values at six points: they stay in the first cache.
const BLOCK: usize = 6 << 10;
/// Fewest tiles of a block: the filters are read again for each.
const FEWEST: usize = 24;
/// Channels of the filters that are turned at a time.
const TURNED: usize = 16;

/// See the module.
pub(in super::super) struct Image {
    /// Images, rows and columns of the result and of the source.
    result: [usize; 3],
    source: [usize; 3],
    /// Channels of the result and of the source.
    out: usize,
    into: usize,
    /// Zeros in front of the source.
    front: [i64; 2],
    /// Whether filters are turned round, and elements from one to the next contracted channel and channel of the result.
    turned: bool,
    filter_strides: Strides,
    tiles: Tiles,
    /// Blocks of a piece.
    grain: usize,
    /// Places in scratch.
    filters: usize,
    /// Elements of the filters at a point.
    plane: usize,
    workers: usize,
    own: Own,
    plain: Option<(usize, i64)>,
}

/// Places in a worker's own scratch.
#[derive(Clone, Copy, Debug, Default)]
struct Own {
    zeros: usize,
    strips: usize,
    values: usize,
    products: usize,
    halves: usize,
    dropped: usize,
    result: usize,
    end: usize,
}

impl Image {
    pub(in super::super) fn forward(sizes: &Sizes, scratch: usize, plain: Option<(usize, i64)>) -> Image {
        let Sizes { conv, x, w, y } = *sizes;
        let front = conv.pads.map(|(before, _)| before as i64);
        Image::new([y, x], front, false, Strides { row: w[3] as i64, col: 1 }, scratch, plain)
    }

    pub(in super::super) fn input_grad(sizes: &Sizes, scratch: usize, plain: Option<(usize, i64)>) -> Image {
        let Sizes { conv, x, w, y } = *sizes;
        let front = conv.pads.map(|(before, _)| TAPS as i64 - 1 - before as i64);
        Image::new([x, y], front, true, Strides { row: 1, col: w[3] as i64 }, scratch, plain)
    }

    fn new(
        [result, source]: [[usize; 4]; 2],
        front: [i64; 2],
        turned: bool,
        filter_strides: Strides,
        scratch: usize,
        plain: Option<(usize, i64)>,
    ) -> Image {
        let (out, into) = (result[3], source[3]);
        let [images, height, width, _] = result;
        let tiles = Tiles::new([images, height, width], (BLOCK / (out + into)).max(FEWEST));
        let plane = aligned(packed_len(into, out));
        let per_block = tiles.per_block();
        let flops = 2 * POINTS * into * out * per_block;
        let blocks = tiles.blocks();
        let grain = (PIECE / flops.max(1)).clamp(1, blocks.div_ceil(16).max(1));
        let mut own = Own::default();
        let mut place = |elements: usize| {
            own.end += aligned(elements);
            own.end - aligned(elements)
        };
        let taps = TAPS * TAPS + SEEN * TAPS;
        own.zeros = place((source[2] * into).max(taps * TURNED * panel_width()));
        own.strips = place(SEEN * tiles.tall * wide(&tiles) * into);
        own.values = place(SEEN * per_block * into);
        own.products = place(SEEN * per_block * out);
        own.halves = place(SEEN * per_block * RESULTS * out);
        own.dropped = place(width * out);
        own.result = place(if plain.is_none() { RESULTS * width * out } else { 0 });
        Image {
            result: [images, height, width],
            source: [source[0], source[1], source[2]],
            out,
            into,
            front,
            turned,
            filter_strides,
            tiles,
            grain,
            filters: scratch,
            plane,
            workers: scratch + POINTS * plane,
            own,
            plain,
        }
    }

    /// Elements of scratch up to the last one.
    pub(in super::super) fn end(&self, threads: usize) -> usize {
        self.workers + threads * self.own.end
    }

    pub(in super::super) fn run(&self, env: &Env<'_>, source: Mem<'_>, filters: Mem<'_>, block: &Program) {
        self.turn_filters(env, filters);
        let blocks = self.tiles.blocks();
        env.threads.run(blocks.div_ceil(self.grain), &|worker, piece| {
            for unit in piece * self.grain..((piece + 1) * self.grain).min(blocks) {
                self.unit(env, worker, source, unit, block);
            }
        });
    }

    fn own<'a>(&self, env: &Env<'a>, worker: usize) -> Mem<'a> {
        env.scratch.from(4 * (self.workers + worker * self.own.end) as u64).part(0, 4 * self.own.end)
    }

    fn filters_at<'a>(&self, env: &Env<'a>, point: usize) -> Mem<'a> {
        env.scratch.from(4 * (self.filters + point * self.plane) as u64)
    }

    /// The filters at every point, in panels.
    fn turn_filters(&self, env: &Env<'_>, filters: Mem<'_>) {
        let (width, chunks) = (panel_width(), self.into.div_ceil(TURNED));
        let units = self.out.div_ceil(width) * chunks;
        let pieces = if self.into * self.out > 1 << 10 { units } else { 1 };
        env.threads.run(pieces, &|worker, piece| {
            for unit in if pieces == 1 { 0..units } else { piece..piece + 1 } {
                let (col, row) = (unit / chunks * width, unit % chunks * TURNED);
                let (count, tall) = (width.min(self.out - col), TURNED.min(self.into - row));
                let padded = count.next_multiple_of(tile_shape().lanes);
                let run = tall * padded;
                let taps = self.own(env, worker);
                let halves = taps.from(4 * (TAPS * TAPS * run) as u64);
                for tap in 0..TAPS * TAPS {
                    let at = if self.turned { TAPS * TAPS - 1 - tap } else { tap } * self.into * self.out;
                    let strides = self.filter_strides;
                    let first = at as i64 + strides.row * row as i64 + strides.col * col as i64;
                    pack_panel(taps.write(tap * run, run), filters, first, strides, count, padded);
                }
                let down = Pass::<TAPS, SEEN> {
                    from: rows_of(taps, TAPS * run),
                    from_step: run,
                    to: rows_of(halves, TAPS * run),
                    to_step: run,
                    count: TAPS,
                    run,
                };
                down.run::<transform::Taps>();
                for point in 0..SEEN {
                    let at = (col * self.into + row * padded) as u64;
                    let across = Pass::<TAPS, SEEN> {
                        from: rows_of(halves.from(4 * (point * TAPS * run) as u64), run),
                        from_step: 0,
                        to: std::array::from_fn(|i| self.filters_at(env, point * SEEN + i).from(4 * at)),
                        to_step: 0,
                        count: 1,
                        run,
                    };
                    across.run::<transform::Taps>();
                }
            }
        });
    }

    /// A block of rows of tiles.
    fn unit(&self, env: &Env<'_>, worker: usize, source: Mem<'_>, block: usize, program: &Program) {
        let own = self.own(env, worker);
        let at = |place: usize| own.from(4 * place as u64);
        let (wide, across, full) = (wide(&self.tiles), self.tiles.across, self.tiles.per_block());
        let (into, out) = (self.into, self.out);
        let [_, rows, cols] = self.source;
        let zeros = at(self.own.zeros);
        zeros.write::<f32>(0, cols * into).fill(0.0);
        for (i, (image, y)) in self.tiles.rows(block).enumerate() {
            let strip = Strip {
                image: source.from(4 * (image * rows * cols * into) as u64),
                shape: [rows, cols, into],
                first: y as i64 - self.front[0],
                left: -self.front[1],
                zeros,
                to: rows_of(at(self.own.strips + i * wide * into), self.tiles.tall * wide * into),
                wide,
            };
            strip.transform::<transform::Image, SEEN>();
        }
        let tall = self.tiles.rows(block).count();
        let tiles = tall * across;
        for point in 0..SEEN {
            for i in 0..tall {
                let strip = self.own.strips + (point * self.tiles.tall + i) * wide * into;
                let pass = Pass::<SEEN, SEEN> {
                    from: rows_of(at(strip), into),
                    from_step: RESULTS * into,
                    to: rows_of(at(self.own.values + i * across * into), full * into),
                    to_step: into,
                    count: across,
                    run: into,
                };
                pass.run::<transform::Image>();
            }
            for i in 0..SEEN {
                let left = at(self.own.values + i * full * into);
                let right = Right { memory: self.filters_at(env, point * SEEN + i), row: None };
                let to = at(self.own.products + i * full * out);
                gemm::block(left, 0, Strides { row: into as i64, col: 1 }, right, to, out, (tiles, out, into), false);
            }
            let pass = Pass::<SEEN, RESULTS> {
                from: rows_of(at(self.own.products), full * out),
                from_step: out,
                to: rows_of(at(self.own.halves + point * full * RESULTS * out), out),
                to_step: RESULTS * out,
                count: tiles,
                run: out,
            };
            pass.run::<transform::Result>();
        }
        for (i, (image, y)) in self.tiles.rows(block).enumerate() {
            let halves = at(self.own.halves + i * across * RESULTS * out);
            self.results(env, worker, own, halves, image, y, program);
        }
    }

    /// The results of a row of tiles, from their values at six points in the vertical direction.
    #[allow(clippy::too_many_arguments)]
    fn results(
        &self,
        env: &Env<'_>,
        worker: usize,
        own: Mem<'_>,
        halves: Mem<'_>,
        image: usize,
        y: usize,
        program: &Program,
    ) {
        let [_, height, width] = self.result;
        let run = width * self.out;
        let tall = RESULTS.min(height - y);
        let first = (image * height + y) * run;
        let to = match self.plain {
            Some((arg, base)) => env.args[arg].from(4 * (base as usize + first) as u64),
            None => own.from(4 * self.own.result as u64),
        };
        let pass = Pass::<SEEN, RESULTS> {
            from: rows_of(halves, self.tiles.per_block() * RESULTS * self.out),
            from_step: 0,
            to: std::array::from_fn(|i| {
                if i < tall { to.from(4 * (i * run) as u64) } else { own.from(4 * self.own.dropped as u64) }
            }),
            to_step: 0,
            count: 1,
            run,
        };
        pass.run::<transform::Result>();
        if self.plain.is_none() {
            program.run(&env.frame(worker), first..first + tall * run, to);
        }
    }
}

/// Columns of the source that a row of tiles sees.
fn wide(tiles: &Tiles) -> usize {
    tiles.across * RESULTS + SEEN - RESULTS
}
