//! Images of another size.

use super::record;
use crate::{
    array::Array,
    error::{Error, Result},
    graph::Tensor,
};
use std::{f64::consts::PI, panic::Location};

/// How pixels between pixels are made up. Pixel `i` of an axis has its centre at `i + 1/2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// The pixel that contains the place.
    Nearest,
    /// Linear between the two neighbours.
    Bilinear,
    /// Cubic convolution over four neighbours (Keys, a = -1/2).
    Bicubic,
    /// Lanczos' windowed sinc over six neighbours.
    Lanczos3,
    /// Lanczos' windowed sinc over ten neighbours.
    Lanczos5,
}

impl Interpolation {
    /// Pixels that count on either side of a place, and the weight of one that far away.
    fn kernel(self) -> (usize, fn(f64) -> f64) {
        match self {
            Interpolation::Nearest => (1, |_| 1.0),
            Interpolation::Bilinear => (1, |far| (1.0 - far).max(0.0)),
            Interpolation::Bicubic => (2, |far| match far {
                _ if far < 1.0 => (1.5 * far - 2.5) * far * far + 1.0,
                _ if far < 2.0 => ((-0.5 * far + 2.5) * far - 4.0) * far + 2.0,
                _ => 0.0,
            }),
            Interpolation::Lanczos3 => (3, |far| lanczos(3.0, far)),
            Interpolation::Lanczos5 => (5, |far| lanczos(5.0, far)),
        }
    }
}

/// `sinc(far) · sinc(far / reach)` as far as it reaches.
fn lanczos(reach: f64, far: f64) -> f64 {
    let sinc = |x: f64| if x < 1e-9 { 1.0 } else { (PI * x).sin() / (PI * x) };
    if far < reach { sinc(far) * sinc(far / reach) } else { 0.0 }
}

impl Tensor {
    /// Images `[n, h, w, c]` of another height and width, as Keras' `image.resize` without antialiasing: the edges' missing
    /// neighbours are left out and the other weights scaled up. The type stays with `Nearest`; else integers become `F32`.
    ///
    /// ```
    /// use addax_tensor::{Tensor, ops::Interpolation};
    /// let x = Tensor::from_vec([0.0f32, 4.0], [1, 1, 2, 1]);
    /// let wide = x.resize([1, 4], Interpolation::Bilinear);
    /// assert_eq!(wide.to_vec::<f32>()?, vec![0.0, 1.0, 3.0, 4.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn resize(&self, size: [usize; 2], interpolation: Interpolation) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let [_, h, w, _] = self.dims()?;
            if size.contains(&0) || h == 0 || w == 0 {
                return Err(Error::shape(format!("resize: images of {h}x{w} to {}x{} pixels", size[0], size[1])));
            }
            let float = self.dtype()?.is_float() || interpolation == Interpolation::Nearest;
            let x = if float { self.clone() } else { self.cast_at(crate::DType::F32, origin) };
            along(&along(&x, 1, size[0], interpolation)?, 2, size[1], interpolation)
        })
    }
}

/// Axis `axis` with `wanted` pixels: a sum of as many gathered copies as neighbours count.
fn along(x: &Tensor, axis: usize, wanted: usize, interpolation: Interpolation) -> Result<Tensor> {
    let n = x.shape()?[axis];
    if n == wanted {
        return Ok(x.clone());
    }
    let centre = |i: usize| (i as f64 + 0.5) * n as f64 / wanted as f64;
    let at = |list: Vec<i32>| Tensor::from_vec(list, [wanted]);
    let (reach, weight) = interpolation.kernel();
    if interpolation == Interpolation::Nearest {
        let nearest = (0..wanted).map(|i| (centre(i).floor() as usize).min(n - 1) as i32).collect();
        return Ok(x.gather(&at(nearest), axis as isize));
    }
    let mut columns = vec![1; x.rank()?];
    columns[axis] = wanted;
    let reach = reach as i64;
    let mut sum: Option<Tensor> = None;
    for tap in 1 - reach..=reach {
        let (mut places, mut weights) = (Vec::with_capacity(wanted), Vec::with_capacity(wanted));
        for i in 0..wanted {
            let place = centre(i) - 0.5;
            let one = |tap: i64| {
                let pixel = place.floor() as i64 + tap;
                let inside = 0 <= pixel && pixel < n as i64;
                (pixel, if inside { weight((place - pixel as f64).abs()) } else { 0.0 })
            };
            let total: f64 = (1 - reach..=reach).map(|tap| one(tap).1).sum();
            let (pixel, weight) = one(tap);
            places.push(pixel.clamp(0, n as i64 - 1) as i32);
            weights.push((weight / total) as f32);
        }
        let weights = Tensor::from_array(Array::new(columns.as_slice(), &weights)?).cast(x.dtype()?);
        let part = x.gather(&at(places), axis as isize) * weights;
        sum = Some(sum.map_or(part.clone(), |sum| sum + part));
    }
    sum.ok_or_else(|| Error::argument("resize: no neighbour counts"))
}
