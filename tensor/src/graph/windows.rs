//! Windows that move over images: the convolution and the pooling family, channels last.

use crate::shape::Shape;

/// Geometry of a 2-D convolution (cross-correlation), channels last: `x [n, h, w, c]`, `w [kh, kw, c / groups, f]`, `y [n, oh, ow, f]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv2d {
    /// Steps of the window in h and w.
    pub strides: [usize; 2],
    /// Zeros around x: `(before, after)` for h and w.
    pub pads: [(usize, usize); 2],
    /// Distance of kernel elements.
    pub dilation: [usize; 2],
    /// Channels and filters are split in this many independent groups.
    pub groups: usize,
}

/// The three members of the convolution family; it is closed under differentiation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ConvKind {
    /// `(x, w) -> y`.
    Forward,
    /// `(dy, w) -> dx`, of this shape.
    InputGrad(Shape),
    /// `(x, dy) -> dw`, of this shape.
    FilterGrad(Shape),
}

/// Geometry of 2-D pooling, channels last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pool2d {
    /// Height and width of the window.
    pub window: [usize; 2],
    /// Steps of the window.
    pub strides: [usize; 2],
    /// Cells around x that do not exist: `(before, after)` for h and w. They never win and are not counted.
    pub pads: [(usize, usize); 2],
}

/// The members of the pooling family; it is closed under differentiation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PoolKind {
    /// `(x) -> y`: largest of each window.
    Max,
    /// `(x, dy) -> dx`: each `dy` goes to the first largest of its window; overlaps add up.
    MaxGrad,
    /// `(x, v) -> y`: the `v` that stands where the first largest x of each window stands.
    MaxGather,
    /// `(x) -> y`: mean of the cells of each window that exist.
    Avg,
    /// `(dy) -> dx`, of this shape.
    AvgGrad(Shape),
}

impl Conv2d {
    /// Output length along spatial axis `i` for an input of length `n` and a kernel of length `k`; 0 if the window does not fit.
    pub fn output_len(&self, i: usize, n: usize, k: usize) -> usize {
        let window = (k.max(1) - 1) * self.dilation[i] + 1;
        (n + self.pads[i].0 + self.pads[i].1).checked_sub(window).map_or(0, |room| room / self.strides[i] + 1)
    }
}

impl Pool2d {
    /// Output length along spatial axis `i` for an input of length `n`; 0 if the window does not fit.
    pub fn output_len(&self, i: usize, n: usize) -> usize {
        (n + self.pads[i].0 + self.pads[i].1).checked_sub(self.window[i]).map_or(0, |room| room / self.strides[i] + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The output has as many cells as the window has places, along each axis by that axis' own settings.
        #[test]
        fn output_lengths_count_the_places_of_the_window(
            i in 0usize..2, n in 0usize..12, k in 1usize..5,
            strides in [1usize..4, 1usize..4], dilation in [1usize..4, 1usize..4],
            pads in [(0usize..3, 0usize..3), (0usize..3, 0usize..3)],
        ) {
            let room = n + pads[i].0 + pads[i].1;
            let places = |span: usize| (0..room).filter(|at| at % strides[i] == 0 && at + span <= room).count();
            let conv = Conv2d { strides, pads, dilation, groups: 1 };
            prop_assert_eq!(conv.output_len(i, n, k), places((k - 1) * dilation[i] + 1));
            let pool = Pool2d { window: [k, k], strides, pads };
            prop_assert_eq!(pool.output_len(i, n), places(k));
        }
    }
}
