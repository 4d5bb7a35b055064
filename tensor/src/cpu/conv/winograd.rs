//! Convolutions of 3 by 3 without strides with a quarter of the multiplications: Winograd's algorithm on tiles of 4 by 4 results.
//!
//! Each tile of the result sees 6 by 6 elements of the image. `transform` turns them into values at 36 points; at each point the
//! convolution is a product of matrices over channels, of all tiles at once; `transform` turns the products into results.
//! Rounding is about twice that of the plain sums.
//!
//! Tiles are worked at by rows of tiles, of whichever image, and points by rows of six: what belongs to six points of a block of
//! tiles stays in the first cache. `image` has the results that are images, `filter` the filter gradient.

mod filter;
mod image;
mod transform;

use super::{super::memory::Mem, Sizes};
use crate::graph::ConvKind;
pub(super) use filter::Filter;
pub(super) use image::Image;
use transform::{LANES, Matrix, Pass};

/// Results of a tile in each direction, elements that it sees, and taps of a filter.
const RESULTS: usize = 4;
const SEEN: usize = 6;
const TAPS: usize = 3;
/// Points of the plane.
const POINTS: usize = SEEN * SEEN;
/// Tiles below which turning the filters costs more than it saves.
const TILES: usize = 64;

/// Most filters times channels: of images, where the filters at 36 points are four times what they were, and of the filter gradient,
/// where every part has sums as large as that, and there must be some parts.
const FILTERS: usize = 1 << 16;
const FILTER_SUMS: usize = 1 << 14;

/// Whether this member of a convolution's family is one for this algorithm.
pub(super) fn serves(sizes: &Sizes, kind: &ConvKind) -> bool {
    let Sizes { conv, w, y, .. } = sizes;
    let plain = conv.strides == [1, 1] && conv.dilation == [1, 1] && conv.groups == 1;
    let pads = conv.pads.iter().all(|&(before, _)| before < TAPS);
    let channels = w[2].is_multiple_of(LANES) && w[3].is_multiple_of(LANES) && w[2] > 0 && w[3] > 0;
    let tiles = y[0] * y[1].div_ceil(RESULTS) * y[2].div_ceil(RESULTS);
    let most = if matches!(kind, ConvKind::FilterGrad(_)) { FILTER_SUMS } else { FILTERS };
    w[2] * w[3] <= most && w[..2] == [TAPS, TAPS] && plain && pads && channels && tiles >= TILES
}

/// An image cut into tiles, which are worked at by rows of tiles.
#[derive(Clone, Copy, Debug)]
struct Tiles {
    /// Images; rows and columns of tiles of each.
    images: usize,
    down: usize,
    across: usize,
    /// Rows of tiles of a block.
    tall: usize,
}

impl Tiles {
    /// For results of these images, rows and columns; blocks of about `wanted` tiles.
    fn new([images, rows, cols]: [usize; 3], wanted: usize) -> Tiles {
        let (down, across) = (rows.div_ceil(RESULTS), cols.div_ceil(RESULTS));
        let tall = wanted.div_ceil(across.max(1)).clamp(1, (images * down).max(1));
        Tiles { images, down, across, tall }
    }
    fn blocks(&self) -> usize {
        (self.images * self.down).div_ceil(self.tall)
    }
    /// Tiles of a full block.
    fn per_block(&self) -> usize {
        self.tall * self.across
    }
    /// The image of each row of tiles of a block, and the row's first row of results.
    fn rows(&self, block: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (down, end) = (self.down, self.images * self.down);
        (block * self.tall..((block + 1) * self.tall).min(end)).map(move |row| (row / down, row % down * RESULTS))
    }
}

/// A row of tiles of the image `[rows, cols, channels]` at six points in the vertical direction: `N` of its rows, the first of
/// which is `first`, from column `left` on, with zeros around them.
struct Strip<'a> {
    image: Mem<'a>,
    shape: [usize; 3],
    first: i64,
    left: i64,
    /// A row of zeros as long as a row of the image.
    zeros: Mem<'a>,
    /// Where the six rows begin; each has `wide` columns.
    to: [Mem<'a>; SEEN],
    wide: usize,
}

impl Strip<'_> {
    fn transform<M: Matrix<N, SEEN>, const N: usize>(&self) {
        let [rows, cols, channels] = self.shape;
        let row = |i: usize| {
            let at = usize::try_from(self.first + i as i64).ok().filter(|&at| at < rows);
            at.map_or(self.zeros, |at| self.image.from(4 * (at * cols * channels) as u64))
        };
        let skipped = self.left.max(0) as usize;
        let front = ((-self.left).max(0) as usize).min(self.wide);
        let inside = cols.saturating_sub(skipped).min(self.wide - front);
        let behind = front + inside;
        for to in self.to {
            to.write::<f32>(0, front * channels).fill(0.0);
            to.write::<f32>(behind * channels, (self.wide - behind) * channels).fill(0.0);
        }
        Pass::<N, SEEN> {
            from: std::array::from_fn(|i| row(i).from(4 * (skipped * channels) as u64)),
            from_step: 0,
            to: self.to.map(|to| to.from(4 * (front * channels) as u64)),
            to_step: 0,
            count: 1,
            run: inside * channels,
        }
        .run::<M>();
    }
}

/// Rows of equal length, one behind the other.
fn rows_of<const N: usize>(first: Mem<'_>, len: usize) -> [Mem<'_>; N] {
    std::array::from_fn(|i| first.from(4 * (i * len) as u64))
}
