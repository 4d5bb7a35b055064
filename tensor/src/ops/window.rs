//! How windows of any number of axes move over an input: strides, dilation, and what surrounds it, by Keras' rules.

use crate::{
    error::{Error, Result},
    graph::Conv2d,
};

/// What surrounds the input of a convolution or pooling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pads<const N: usize> {
    /// Nothing: windows lie inside.
    Valid,
    /// As much as gives `ceil(n / stride)` windows; the odd cell comes last.
    Same,
    /// All before: no window sees what comes after its place. Only for one axis.
    Causal,
    /// These many cells `(before, after)` per axis.
    Explicit([(usize, usize); N]),
}

/// Geometry of a convolution over `N` axes, channels last: `x [batch, spatial.., c]`, `kernel [window.., c / groups, f]`.
///
/// ```
/// use addax_tensor::ops::{ConvNd, Pads};
/// let conv = ConvNd::<1> { pads: Pads::Causal, ..ConvNd::default() };
/// assert_eq!(conv.strides, [1]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvNd<const N: usize> {
    /// Steps of the window.
    pub strides: [usize; N],
    /// What surrounds the input.
    pub pads: Pads<N>,
    /// Distance of kernel elements.
    pub dilation: [usize; N],
    /// Channels and filters are split in this many independent groups.
    pub groups: usize,
}

impl<const N: usize> Default for ConvNd<N> {
    fn default() -> Self {
        ConvNd { strides: [1; N], pads: Pads::Valid, dilation: [1; N], groups: 1 }
    }
}

/// Geometry of a transposed convolution over `N` axes: `x [batch, spatial.., c]`, `kernel [window.., f, c]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvTransposeNd<const N: usize> {
    /// How far neighbours of the input lie apart in the output.
    pub strides: [usize; N],
    /// `Valid` or `Same`.
    pub pads: Pads<N>,
    /// Distance of kernel elements.
    pub dilation: [usize; N],
    /// Cells that the output is longer than it must be; `None` leaves the choice to the rule.
    pub output_padding: [Option<usize>; N],
}

impl<const N: usize> Default for ConvTransposeNd<N> {
    fn default() -> Self {
        ConvTransposeNd { strides: [1; N], pads: Pads::Valid, dilation: [1; N], output_padding: [None; N] }
    }
}

/// Geometry of a pooling over `N` axes, channels last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolNd<const N: usize> {
    /// Lengths of the window.
    pub window: [usize; N],
    /// Steps of the window.
    pub strides: [usize; N],
    /// What surrounds the input: cells that never win and are not counted.
    pub pads: Pads<N>,
}

impl<const N: usize> PoolNd<N> {
    /// Windows side by side.
    pub fn new(window: [usize; N]) -> Self {
        PoolNd { window, strides: window, pads: Pads::Valid }
    }
}

impl<const N: usize> Pads<N> {
    /// Cells before and after axis `i` of length `n`, for a window that spans `span` cells and moves by `stride`.
    pub fn cells(&self, i: usize, n: usize, span: usize, stride: usize) -> Result<(usize, usize)> {
        Ok(match self {
            Pads::Valid => (0, 0),
            Pads::Same => {
                let windows = n.div_ceil(stride.max(1)).max(1);
                let total = ((windows - 1) * stride + span).saturating_sub(n);
                (total / 2, total - total / 2)
            }
            Pads::Causal if N == 1 => (span - 1, 0),
            Pads::Causal => return Err(Error::argument(format!("causal padding is for one axis, not for {N}"))),
            Pads::Explicit(pads) => pads.get(i).copied().unwrap_or((0, 0)),
        })
    }
}

/// Cells from the first element of a window to its last, with `dilation` between them.
pub(super) fn span(window: usize, dilation: usize) -> usize {
    (window.max(1) - 1) * dilation + 1
}

impl<const N: usize> ConvNd<N> {
    /// Pads of every axis, for an input and a window of these lengths.
    pub(super) fn resolved(&self, image: [usize; N], window: [usize; N]) -> Result<[(usize, usize); N]> {
        let mut pads = [(0, 0); N];
        for (i, pads) in pads.iter_mut().enumerate() {
            *pads = self.pads.cells(i, image[i], span(window[i], self.dilation[i]), self.strides[i])?;
        }
        Ok(pads)
    }
}

/// Output length of a transposed convolution along an axis, and the pads of the convolution whose input gradient it is.
pub(super) struct Transposed {
    pub len: usize,
    pub pads: (usize, usize),
}

impl<const N: usize> ConvTransposeNd<N> {
    /// Keras' rule along axis `i`, for an input of length `n` and a window of length `k`.
    pub(super) fn resolved(&self, i: usize, n: usize, k: usize) -> Result<Transposed> {
        let (stride, k) = (self.strides[i], span(k, self.dilation[i]));
        if stride == 0 || self.dilation[i] == 0 || n == 0 {
            return Err(Error::argument(format!(
                "a transposed convolution needs strides, dilation and lengths of at least 1, got {self:?} for axis {i} of {n}"
            )));
        }
        let reach = (n - 1) * stride;
        let (len, before) = match (&self.pads, self.output_padding[i]) {
            (Pads::Valid, more) => (reach + k + more.unwrap_or(k.max(stride) - k), 0),
            (Pads::Same, more) => {
                // Cells around the input after zeros were put between its elements.
                let around = match more {
                    None => stride + k - 2,
                    Some(more) => (k + k % 2 + more).saturating_sub(2),
                };
                let left = (around / 2 + around % 2).min(k - 1);
                let len = if more.is_none() { n * stride } else { (reach + k % 2 + more.unwrap_or(0)).max(1) };
                (len, k - 1 - left)
            }
            (other, _) => {
                return Err(Error::argument(format!(
                    "a transposed convolution is padded `Valid` or `Same`, got {other:?}"
                )));
            }
        };
        // What the convolution lacks at the end of this output to have `n` windows.
        let after = (reach + k).saturating_sub(len + before);
        Ok(Transposed { len, pads: (before, after) })
    }
}

/// The geometry of the two-dimensional family.
pub(super) fn two(strides: [usize; 2], pads: [(usize, usize); 2], dilation: [usize; 2], groups: usize) -> Conv2d {
    Conv2d { strides, pads, dilation, groups }
}
