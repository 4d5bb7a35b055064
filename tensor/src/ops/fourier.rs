//! Fourier transforms along the last axis, by products with matrices of roots of unity. A complex tensor is a pair: real and
//! imaginary part, of one shape. Lengths are split into factors as far as they have them (Cooley and Tukey), each at most
//! [`LEAF`]; of a longer prime the matrix is square. Sums are taken in `F32`, whatever the type.

use super::record;
use crate::{
    array::Array,
    dtype::DType,
    error::{Error, Result},
    graph::{Tensor, try_recorded_at},
    shape::Shape,
};
use std::{f64::consts::TAU, panic::Location};

/// The longest transform that is one product if its length has factors.
const LEAF: usize = 64;

/// Real and imaginary part.
type Pair = (Tensor, Tensor);

impl Tensor {
    /// `X[k] = Σ_j x[j] e^(-2πi jk / n)` along the last axis, of a real part (self) and an imaginary part: both parts of it.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let (re, im) = (Tensor::from_vec([0.0f32, 1.0], [2]), Tensor::from_vec([2.0f32, 0.0], [2]));
    /// let (re, im) = re.fft(&im)?;
    /// assert_eq!(re.to_vec::<f32>()?, vec![1.0, -1.0]);
    /// assert_eq!(im.to_vec::<f32>()?, vec![2.0, 2.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn fft(&self, imaginary: &Tensor) -> Result<Pair> {
        try_recorded_at(Location::caller(), || {
            let (re, im, dtype) = pair(self, imaginary, 1, "fft")?;
            back(transformed(&re, Some(&im))?, dtype)
        })
    }

    /// The inverse of [`fft`](Tensor::fft).
    #[track_caller]
    pub fn ifft(&self, imaginary: &Tensor) -> Result<Pair> {
        try_recorded_at(Location::caller(), || {
            let (re, im, dtype) = pair(self, imaginary, 1, "ifft")?;
            back(inverse(&re, &im)?, dtype)
        })
    }

    /// [`fft`](Tensor::fft) along the last two axes.
    #[track_caller]
    pub fn fft2(&self, imaginary: &Tensor) -> Result<Pair> {
        try_recorded_at(Location::caller(), || {
            let (re, im, dtype) = pair(self, imaginary, 2, "fft2")?;
            let (re, im) = transformed(&re, Some(&im))?;
            let (re, im) = transformed(&re.t(), Some(&im.t()))?;
            back((re.t(), im.t()), dtype)
        })
    }

    /// The inverse of [`fft2`](Tensor::fft2).
    #[track_caller]
    pub fn ifft2(&self, imaginary: &Tensor) -> Result<Pair> {
        try_recorded_at(Location::caller(), || {
            let (re, im, dtype) = pair(self, imaginary, 2, "ifft2")?;
            let (re, im) = inverse(&re, &im)?;
            let (re, im) = inverse(&re.t(), &im.t())?;
            back((re.t(), im.t()), dtype)
        })
    }

    /// The first `n / 2 + 1` values of the [`fft`](Tensor::fft) of real numbers, cut or filled up with zeros to `length` if it is
    /// said: the others are the conjugates of these.
    #[track_caller]
    pub fn rfft(&self, length: Option<usize>) -> Result<Pair> {
        try_recorded_at(Location::caller(), || {
            let (x, _, dtype) = pair(self, self, 1, "rfft")?;
            let n = length.map_or_else(|| last(&x), Ok)?;
            back(real(&resized(&x, n)?, n)?, dtype)
        })
    }

    /// The real numbers, `length` of them, whose [`rfft`](Tensor::rfft) has this real part (self) and imaginary part. If the length is
    /// not said it is even.
    #[track_caller]
    pub fn irfft(&self, imaginary: &Tensor, length: Option<usize>) -> Tensor {
        record(Location::caller(), || {
            let (re, im, dtype) = pair(self, imaginary, 1, "irfft")?;
            let n = length.map_or_else(|| Ok(2 * last(&re)?.saturating_sub(1)), Ok)?;
            Ok(whole(&re, &im, n)?.cast(dtype))
        })
    }

    /// Spectra of parts of a signal: those that begin every `stride` elements, as long as the `window` each is multiplied by, which
    /// stands in the middle of `fft_length` elements; with `center` the signal is mirrored at its ends first. `[.., n] -> [.., parts,
    /// fft_length / 2 + 1]`, real and imaginary part. Keras' window `"hann"` of length `l` is `Tensor::hanning(l + 1).slice(0, ..l)`.
    #[track_caller]
    pub fn stft(&self, stride: usize, fft_length: usize, window: &Tensor, center: bool) -> Result<Pair> {
        try_recorded_at(Location::caller(), || {
            let (x, _, dtype) = pair(self, self, 1, "stft")?;
            let window = middle(window, fft_length, "stft")?;
            let x = match center {
                true => {
                    let mut pads = vec![(0, 0); x.rank()?];
                    pads.iter_mut().last().into_iter().for_each(|last| *last = (fft_length / 2, fft_length / 2));
                    x.pad_with(pads, super::margin::Margin::Reflect)
                }
                false => x,
            };
            back(real(&(x.extract_sequences(fft_length, stride) * window), fft_length)?, dtype)
        })
    }

    /// The signal of which [`stft`](Tensor::stft) with the same arguments gives these spectra, or the nearest one: parts are
    /// multiplied by the window once more, added up, and divided by the sum of its squares. `length` cuts it off.
    #[track_caller]
    pub fn istft(
        &self,
        imaginary: &Tensor,
        stride: usize,
        fft_length: usize,
        length: Option<usize>,
        window: &Tensor,
        center: bool,
    ) -> Tensor {
        record(Location::caller(), || {
            let (re, im, dtype) = pair(self, imaginary, 2, "istft")?;
            let window = middle(window, fft_length, "istft")?;
            let shape = re.shape()?.clone();
            let (batch, parts) = (&shape[..shape.rank() - 2], shape[shape.rank() - 2]);
            if parts == 0 || stride == 0 {
                return Err(Error::argument(format!(
                    "istft: {parts} parts, each {stride} elements on, make no signal"
                )));
            }
            let total = fft_length + stride * (parts - 1);
            let at: Vec<i32> =
                (0..parts * fft_length).map(|i| (i / fft_length * stride + i % fft_length) as i32).collect();
            let at = Tensor::from_array(Array::new([at.len()], &at)?);
            let flat: Shape = batch.iter().copied().chain([parts * fft_length]).collect();
            let sum = (whole(&re, &im, fft_length)? * &window).reshape(flat).scatter_add(&at, -1, total);
            let weights = window.square().broadcast_to([parts, fft_length]).ravel().scatter_add(&at, 0, total);
            let signal = sum / weights.greater(1e-10).select(&weights, 1.0);
            let start = if center { fft_length / 2 } else { 0 };
            let end = length.map_or(total - start, |length| start + length);
            if start > end || end > total {
                return Err(Error::argument(format!(
                    "istft: {parts} parts make {total} elements, not {start} to {end}"
                )));
            }
            Ok(signal.slice(-1, start..end).cast(dtype))
        })
    }
}

/// Both parts as `F32`, and the type of the result.
fn pair(re: &Tensor, im: &Tensor, axes: usize, what: &str) -> Result<(Tensor, Tensor, DType)> {
    let (shape, other, dtype) = (re.shape()?, im.shape()?, re.dtype()?.promote(im.dtype()?));
    if !re.dtype()?.is_float() || !im.dtype()?.is_float() {
        return Err(Error::dtype(format!("{what} needs floats, got {} and {}", re.dtype()?, im.dtype()?)));
    }
    if shape != other || shape.rank() < axes || shape.iter().rev().take(axes).any(|&n| n == 0) {
        return Err(Error::shape(format!(
            "{what} needs two parts of one shape with {axes} axes or more that are not empty, got {shape} and {other}"
        )));
    }
    Ok((re.cast(DType::F32), im.cast(DType::F32), dtype))
}

fn back((re, im): Pair, dtype: DType) -> Result<Pair> {
    re.check()?;
    im.check()?;
    Ok((re.cast(dtype), im.cast(dtype)))
}

fn last(x: &Tensor) -> Result<usize> {
    x.shape()?.last().copied().ok_or_else(|| Error::shape("a transform needs an axis"))
}

/// The last axis cut or filled up with zeros.
fn resized(x: &Tensor, n: usize) -> Result<Tensor> {
    let have = last(x)?;
    let mut pads = vec![(0, 0); x.rank()?];
    pads.iter_mut().last().into_iter().for_each(|last| *last = (0, n.saturating_sub(have)));
    Ok(x.slice(-1, ..n.min(have)).pad(pads, 0.0))
}

/// A window in the middle of zeros.
fn middle(window: &Tensor, length: usize, what: &str) -> Result<Tensor> {
    let [n] = window.dims()?;
    let around = length.checked_sub(n).filter(|_| n > 0);
    let around = around.ok_or_else(|| Error::argument(format!("{what}: a window of {n} in transforms of {length}")))?;
    Ok(window.cast(DType::F32).pad([(around / 2, around - around / 2)], 0.0))
}

/// Half of the spectrum of `n` real numbers.
fn real(x: &Tensor, n: usize) -> Result<Pair> {
    if n == 0 {
        return Err(Error::argument("a transform of no element"));
    }
    let (re, im) = transformed(x, None)?;
    Ok((re.slice(-1, ..n / 2 + 1), im.slice(-1, ..n / 2 + 1)))
}

/// The `n` real numbers of half of a spectrum.
fn whole(re: &Tensor, im: &Tensor, n: usize) -> Result<Tensor> {
    if n == 0 {
        return Err(Error::argument("irfft: a signal has an element"));
    }
    let (re, im) = (resized(re, n / 2 + 1)?, resized(im, n / 2 + 1)?);
    // The first value, and the last one of an even length, are real.
    let place = Tensor::arange(n / 2 + 1);
    let real = place.equal(0i64).logical_or((place * 2i64).equal(n as i64));
    let im = real.select(0.0, im);
    let mirrored = |x: &Tensor| x.slice(-1, 1..n.div_ceil(2)).flip(-1);
    let re = Tensor::concat(&[re.clone(), mirrored(&re)], -1);
    let im = Tensor::concat(&[im.clone(), -mirrored(&im)], -1);
    Ok(inverse(&re, &im)?.0)
}

/// With both parts exchanged before and after, a transform is its inverse but for a factor.
fn inverse(re: &Tensor, im: &Tensor) -> Result<Pair> {
    let scale = 1.0 / last(re)? as f64;
    let (im, re) = transformed(im, Some(re))?;
    Ok((re * scale, im * scale))
}

/// The transform along the last axis; without an imaginary part of real numbers.
fn transformed(re: &Tensor, im: Option<&Tensor>) -> Result<Pair> {
    let shape = re.shape()?.clone();
    let (n, batch) = (last(re)?, &shape[..shape.rank() - 1]);
    let with = |tail: &[usize]| -> Shape { batch.iter().chain(tail).copied().collect() };
    let rows = match n > LEAF {
        true => (2..=LEAF).rev().find(|f| n.is_multiple_of(*f)).unwrap_or(n),
        false => n,
    };
    let columns = n / rows;
    // Element j = a · columns + b; first over a, for each b.
    let grid = |x: &Tensor| x.reshape(with(&[rows, columns]));
    let (cos, sin) = (roots(rows, rows, rows, f64::cos)?, roots(rows, rows, rows, f64::sin)?);
    // (re + i·im) · (cos - i·sin)
    let re = grid(re);
    let (mut y, mut z) = (cos.matmul(&re), -sin.matmul(&re));
    if let Some(im) = im.map(grid) {
        (y, z) = (y + sin.matmul(&im), z + cos.matmul(&im));
    }
    if columns == 1 {
        return Ok((y.reshape(shape.clone()), z.reshape(shape)));
    }
    let (cos, sin) = (roots(rows, columns, n, f64::cos)?, roots(rows, columns, n, f64::sin)?);
    let (y, z) = (&y * &cos + &z * &sin, z * cos - y * sin);
    let (y, z) = transformed(&y, Some(&z))?;
    // Value k = ka + rows · kb.
    Ok((y.t().reshape(shape.clone()), z.t().reshape(shape)))
}

/// `of(2π jk / n)` for the first rows `j` and columns `k`.
fn roots(rows: usize, columns: usize, n: usize, of: fn(f64) -> f64) -> Result<Tensor> {
    let at = |i: usize| of(TAU * ((i / columns) * (i % columns) % n) as f64 / n as f64) as f32;
    let values: Vec<f32> = (0..rows * columns).map(at).collect();
    Ok(Tensor::from_array(Array::new([rows, columns], &values)?))
}
