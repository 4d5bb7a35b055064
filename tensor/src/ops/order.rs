//! Composites of sorting: quantiles.

use super::record;
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::Tensor,
};
use std::panic::Location;

impl Tensor {
    /// The value below which a fraction `q` (0 to 1) of the elements along `axis` lies, interpolated linearly between neighbours:
    /// NumPy's default. `axis` vanishes.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([4.0f32, 1.0, 3.0, 2.0], [4]);
    /// assert_eq!(x.quantile(0.25, 0).item::<f32>()?, 1.75);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn quantile(&self, q: f64, axis: isize) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let x = if self.dtype()?.is_float() { self.clone() } else { self.cast_at(DType::F32, origin) };
            let n = length(&x, axis)?;
            if !(0.0..=1.0).contains(&q) {
                return Err(Error::argument(format!("quantile: {q} is not between 0 and 1")));
            }
            if n == 0 {
                return Err(Error::shape(format!("quantile of an empty axis of shape {} has no value", x.shape()?)));
            }
            let sorted = x.sort(axis, false);
            let place = q * (n - 1) as f64;
            let (low, part) = (place.floor() as usize, place.fract());
            let at = |i: usize| sorted.slice(axis, i..i + 1).squeeze(axis);
            match part == 0.0 {
                true => Ok(at(low)),
                false => Ok(at(low) * (1.0 - part) + at(low + 1) * part),
            }
        })
    }

    /// The middle element along `axis`, which vanishes: the mean of the two middle ones if there are evenly many.
    #[track_caller]
    pub fn median(&self, axis: isize) -> Tensor {
        self.quantile(0.5, axis)
    }
}

fn length(x: &Tensor, axis: isize) -> Result<usize> {
    let shape = x.shape()?;
    Ok(shape[shape.axis(axis)?])
}
