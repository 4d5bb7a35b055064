//! Composites of sorting: quantiles.

use super::record;
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::{Origin, Tensor},
};
use std::panic::Location;

/// What a quantile is that lies between two elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Between {
    /// On the straight line through both.
    #[default]
    Linear,
    /// The smaller one.
    Lower,
    /// The larger one.
    Higher,
    /// The mean of both.
    Midpoint,
    /// The nearer one; halfway the smaller one.
    Nearest,
}

impl Tensor {
    /// The value below which a fraction `q` (0 to 1) of the elements along `axis` lies, interpolated linearly between neighbours:
    /// NumPy's default. `axis` vanishes. NaN where a line holds one.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([4.0f32, 1.0, 3.0, 2.0], [4]);
    /// assert_eq!(x.quantile(0.25, 0).item::<f32>()?, 1.75);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn quantile(&self, q: f64, axis: isize) -> Tensor {
        self.quantile_between(q, axis, Between::Linear)
    }

    /// The [`quantile`](Tensor::quantile), with a choice of what lies between two elements: Keras' argument `method`.
    #[track_caller]
    pub fn quantile_between(&self, q: f64, axis: isize, between: Between) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let x = fraction_of(self, q, axis, "quantile", origin)?;
            let n = length(&x, axis)?;
            let sorted = x.sort(axis, false);
            let place = q * (n - 1) as f64;
            let at = |i: usize| sorted.slice(axis, i..i + 1).squeeze(axis);
            let (low, high, part) = (place.floor() as usize, place.ceil() as usize, place.fract());
            let y = match between {
                Between::Lower => at(low),
                Between::Higher => at(high),
                Between::Nearest => at((place - 0.5).ceil().max(0.0) as usize),
                _ if low == high => at(low),
                Between::Midpoint => at(low) * 0.5 + at(high) * 0.5,
                Between::Linear => at(low) * (1.0 - part) + at(high) * part,
            };
            // NaN comes last.
            Ok(at(n - 1).is_nan().select(f64::NAN, y))
        })
    }

    /// The middle element along `axis`, which vanishes: the mean of the two middle ones if there are evenly many.
    #[track_caller]
    pub fn median(&self, axis: isize) -> Tensor {
        self.quantile(0.5, axis)
    }

    /// The [`quantile`](Tensor::quantile) of those elements that are numbers; NaN where there is none.
    ///
    /// ```
    /// use addax_tensor::{Tensor, ops::Between};
    /// let x = Tensor::from_vec([4.0f32, f32::NAN, 3.0, 1.0], [4]);
    /// assert_eq!(x.nanquantile(0.75, 0, Between::Linear).item::<f32>()?, 3.5);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn nanquantile(&self, q: f64, axis: isize, between: Between) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let x = fraction_of(self, q, axis, "nanquantile", origin)?;
            let sorted = x.sort(axis, false);
            let count = x.is_nan().logical_not().cast(DType::I32).sum_keepdims(axis);
            let place = (&count - 1i64).maximum(0i64).cast(DType::F32) * q;
            let at = |place: &Tensor| sorted.take_along_axis(&place.cast(DType::I32), axis);
            let (low, high) = (place.floor(), place.ceil());
            let y = match between {
                Between::Lower => at(&low),
                Between::Higher => at(&high),
                Between::Nearest => at(&(&place - 0.5).ceil()),
                Between::Midpoint => at(&low) * 0.5 + at(&high) * 0.5,
                Between::Linear => {
                    let part = (&place - &low).cast(x.dtype()?);
                    // A whole place has no neighbour, which may be infinite.
                    let whole = part.equal(0.0);
                    at(&low) * (1.0 - &part) + whole.select(0.0, at(&high) * part)
                }
            };
            Ok(count.equal(0i64).select(f64::NAN, y).squeeze(axis))
        })
    }

    /// The [`nanquantile`](Tensor::nanquantile) `q / 100`.
    #[track_caller]
    pub fn nanpercentile(&self, q: f64, axis: isize, between: Between) -> Tensor {
        self.nanquantile(q / 100.0, axis, between)
    }

    /// The [`median`](Tensor::median) of those elements along `axis` that are numbers; NaN where there is none.
    #[track_caller]
    pub fn nanmedian(&self, axis: isize) -> Tensor {
        self.nanquantile(0.5, axis, Between::Linear)
    }
}

/// `x` in floats, if it has a quantile `q` along `axis`.
fn fraction_of(x: &Tensor, q: f64, axis: isize, what: &str, origin: Origin) -> Result<Tensor> {
    let x = if x.dtype()?.is_float() { x.clone() } else { x.cast_at(DType::F32, origin) };
    if !(0.0..=1.0).contains(&q) {
        return Err(Error::argument(format!("{what}: {q} is not between 0 and 1")));
    }
    match length(&x, axis)? {
        0 => Err(Error::shape(format!("{what} of an empty axis of shape {} has no value", x.shape()?))),
        _ => Ok(x),
    }
}

fn length(x: &Tensor, axis: isize) -> Result<usize> {
    let shape = x.shape()?;
    Ok(shape[shape.axis(axis)?])
}
