//! Images cut into blocks and windows.

use super::record;
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::{SliceAxis, Tensor},
    shape::Shape,
};
use std::panic::Location;

impl Tensor {
    /// Blocks of `block × block` pixels as channels: `[n, h, w, c] -> [n, h / block, w / block, block² · c]`, a block's rows first.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::arange(8).reshape([1, 2, 4, 1]);
    /// let y = x.space_to_depth(2);
    /// assert_eq!(y.to_vec::<i32>()?, vec![0, 1, 4, 5, 2, 3, 6, 7]);
    /// assert_eq!(y.depth_to_space(2).to_vec::<i32>()?, x.to_vec::<i32>()?);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn space_to_depth(&self, block: usize) -> Tensor {
        record(Location::caller(), || {
            let [n, h, w, c] = self.dims()?;
            if block == 0 || h % block != 0 || w % block != 0 {
                return Err(misfit("space_to_depth", block, "height and width", self.shape()?));
            }
            let (rows, columns) = (h / block, w / block);
            let cut = self.reshape([n, rows, block, columns, block, c]).permute([0, 1, 3, 2, 4, 5]);
            Ok(cut.reshape([n, rows, columns, block * block * c]))
        })
    }

    /// Channels as blocks of `block × block` pixels: `[n, h, w, block² · c] -> [n, h · block, w · block, c]`, the inverse of
    /// [`space_to_depth`](Tensor::space_to_depth).
    #[track_caller]
    pub fn depth_to_space(&self, block: usize) -> Tensor {
        record(Location::caller(), || {
            let [n, h, w, c] = self.dims()?;
            if block == 0 || c % (block * block) != 0 {
                return Err(misfit("depth_to_space", block, "channels", self.shape()?));
            }
            let left = c / (block * block);
            let cut = self.reshape([n, h, w, block, block, left]).permute([0, 1, 3, 2, 4, 5]);
            Ok(cut.reshape([n, h * block, w * block, left]))
        })
    }

    /// The windows that a convolution would see, one per column, channels first: `[n, c, h, w] -> [n, c · kh · kw, windows]`. Around
    /// the image are `padding` zeros on each side; a window's pixels are `dilation` apart, windows `stride`.
    #[track_caller]
    pub fn unfold(&self, kernel: [usize; 2], dilation: [usize; 2], padding: [usize; 2], stride: [usize; 2]) -> Tensor {
        record(Location::caller(), || {
            let [n, c, h, w] = self.dims()?;
            let windows = Windows { kernel, dilation, padding, stride };
            let (rows, columns) = (windows.places("unfold", 0, h)?, windows.places("unfold", 1, w)?);
            let [ph, pw] = padding.map(|p| (p, p));
            let wide = self.pad([(0, 0), (0, 0), ph, pw], 0i64);
            let along = |axis: usize, i: usize, count: usize| {
                let start = i * dilation[axis];
                SliceAxis { start, stop: start + (count - 1) * stride[axis] + 1, step: stride[axis] }
            };
            let all = |stop: usize| SliceAxis { start: 0, stop, step: 1 };
            let pixels: Vec<_> = (0..kernel[0] * kernel[1])
                .map(|i| {
                    let (row, column) = (along(0, i / kernel[1], rows), along(1, i % kernel[1], columns));
                    wide.slice_axes([all(n), all(c), row, column]).reshape([n, c, 1, rows * columns])
                })
                .collect();
            Ok(Tensor::concat(&pixels, 2).reshape([n, c * kernel[0] * kernel[1], rows * columns]))
        })
    }

    /// The windows of [`unfold`](Tensor::unfold) put back where they were taken from, what they share added up: `[n, c · kh · kw,
    /// windows] -> [n, c, h, w]` with `size = [h, w]`.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::ones([1, 2, 2]);
    /// // Two windows of two pixels, one pixel apart: the middle one is in both.
    /// assert_eq!(x.fold([1, 3], [1, 2], [1, 1], [0, 0], [1, 1]).to_vec::<f32>()?, vec![1.0, 2.0, 1.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn fold(
        &self,
        size: [usize; 2],
        kernel: [usize; 2],
        dilation: [usize; 2],
        padding: [usize; 2],
        stride: [usize; 2],
    ) -> Tensor {
        record(Location::caller(), || {
            let ([n, all, count], [h, w]) = (self.dims()?, size);
            let windows = Windows { kernel, dilation, padding, stride };
            let (rows, columns) = (windows.places("fold", 0, h)?, windows.places("fold", 1, w)?);
            let cells = kernel[0] * kernel[1];
            if count != rows * columns || !all.is_multiple_of(cells) {
                return Err(Error::shape(format!(
                    "fold: {h} by {w} pixels have {rows} by {columns} windows of {kernel:?}, got windows of shape {}",
                    self.shape()?
                )));
            }
            // Where each pixel of each window lies; -1 in the padding, which is left out.
            let along = |axis: usize, cell: usize, place: usize| {
                let at = cell * dilation[axis] + place * stride[axis];
                at.checked_sub(padding[axis]).filter(|&at| at < size[axis])
            };
            let mut at = Vec::with_capacity(cells * count);
            for cell in 0..cells {
                for place in 0..count {
                    let row = along(0, cell / kernel[1], place / columns);
                    let column = along(1, cell % kernel[1], place % columns);
                    at.push(row.zip(column).map_or(-1, |(row, column)| (row * w + column) as i32));
                }
            }
            let (at, c) = (Tensor::from_vec(at, [cells * count]), all / cells);
            Ok(self.reshape([n, c, cells * count]).scatter_add(&at, 2, h * w).reshape([n, c, h, w]))
        })
    }

    /// The parts of `length` elements along the last axis that begin every `stride` elements, and lie in it whole: `[.., n] ->
    /// [.., parts, length]`.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::arange(5).extract_sequences(3, 2);
    /// assert_eq!(x.to_vec::<i32>()?, vec![0, 1, 2, 2, 3, 4]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn extract_sequences(&self, length: usize, stride: usize) -> Tensor {
        record(Location::caller(), || {
            let shape = self.shape()?;
            let n = shape[shape.axis(-1)?];
            if length == 0 || stride == 0 {
                return Err(Error::argument(format!(
                    "extract_sequences: length {length} and stride {stride} are at least 1"
                )));
            }
            let parts = n.checked_sub(length).map_or(0, |free| free / stride + 1);
            let grid = |axis| Tensor::iota(DType::I32, [parts, length], axis);
            Ok(self.gather(&(grid(0) * stride as i64 + grid(1)), -1))
        })
    }
}

/// Windows that move over an image.
struct Windows {
    kernel: [usize; 2],
    dilation: [usize; 2],
    padding: [usize; 2],
    stride: [usize; 2],
}

impl Windows {
    /// How many there are along an axis of `length` pixels.
    fn places(&self, what: &str, axis: usize, length: usize) -> Result<usize> {
        let Windows { kernel, dilation, padding, stride } = self;
        let span = (kernel[axis].max(1) - 1) * dilation[axis] + 1;
        let free = (length + 2 * padding[axis]).checked_sub(span);
        let positive = kernel[axis] > 0 && dilation[axis] > 0 && stride[axis] > 0;
        free.filter(|_| positive).map(|free| free / stride[axis] + 1).ok_or_else(|| {
            Error::shape(format!(
                "{what}: a window of {kernel:?} with dilation {dilation:?}, padding {padding:?} and stride {stride:?} does not fit \
                 {length} pixels"
            ))
        })
    }
}

fn misfit(what: &str, block: usize, axes: &str, shape: &Shape) -> Error {
    Error::shape(format!("{what}: the {axes} of shape {shape} cannot be cut into blocks of {block} by {block}"))
}
