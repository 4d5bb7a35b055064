//! Composites of reductions and comparisons: spread, norms, tests of single numbers, whole-number division.

use super::{operators::Operand, record};
use crate::{
    dtype::DType,
    error::Error,
    graph::Tensor,
    shape::{Axes, Shape},
};
use std::panic::Location;

impl Tensor {
    /// Mean squared distance from the mean over `axes` (divided by the count, as NumPy does).
    #[track_caller]
    pub fn variance(&self, axes: impl Into<Axes>) -> Tensor {
        let axes = axes.into();
        self.variance_about(&self.mean(axes.clone()), &axes)
    }

    /// The variance over `axes`, where the mean is at hand.
    #[track_caller]
    pub(super) fn variance_about(&self, mean: &Tensor, axes: &Axes) -> Tensor {
        record(Location::caller(), || {
            let shape = self.shape()?;
            let reduced = axes.resolve(shape)?;
            let wide: Shape = (0..shape.rank()).map(|a| if reduced.contains(&a) { 1 } else { shape[a] }).collect();
            // `Σ (x - s)² / n - (m - s)²` is the variance for every constant `s`. With `s = m` the second term is 0, but its slope
            // is that of the first one in `m`: so no gradient has to be summed up once more for the mean.
            let about = mean.stop_gradient();
            Ok((self - about.reshape(wide)).square().mean(axes.clone()) - (mean - about).square())
        })
    }

    /// Root of the [`variance`](Tensor::variance).
    #[track_caller]
    pub fn std(&self, axes: impl Into<Axes>) -> Tensor {
        self.variance(axes).sqrt()
    }

    /// Norm of order `order` over `axes`, taken as one vector: `(Σ |x|^p)^(1/p)`; infinity gives the largest magnitude, negative
    /// infinity the smallest, 0 the number of elements other than 0.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([3.0f32, -4.0], [2]);
    /// assert_eq!(x.norm(2.0, -1).item::<f32>()?, 5.0);
    /// assert_eq!(x.norm(f64::INFINITY, -1).item::<f32>()?, 4.0);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn norm(&self, order: f64, axes: impl Into<Axes>) -> Tensor {
        let axes = axes.into();
        let x = match self.dtype() {
            Ok(dtype) if !dtype.is_float() => self.cast(DType::F32),
            _ => self.clone(),
        };
        match order {
            1.0 => x.abs().sum(axes),
            2.0 => x.square().sum(axes).sqrt(),
            0.0 => x.not_equal(0.0).cast(x.dtype().unwrap_or(DType::F32)).sum(axes),
            f64::INFINITY => x.abs().max(axes),
            f64::NEG_INFINITY => x.abs().min(axes),
            p => x.abs().pow(p).sum(axes).pow(1.0 / p),
        }
    }

    /// Whether each element is not a number; gives `Bool`, false for integers.
    #[track_caller]
    pub fn is_nan(&self) -> Tensor {
        // Only NaN differs from itself.
        self.not_equal(self)
    }

    /// Whether each element is infinite, of either sign; gives `Bool`, false for integers.
    #[track_caller]
    pub fn is_inf(&self) -> Tensor {
        let origin = Location::caller();
        record(origin, || match self.dtype()?.is_float() {
            true => Ok(self.abs().equal(f64::INFINITY)),
            false => Ok(self.not_equal(self)),
        })
    }

    /// The quotient, rounded toward negative infinity. Integers stay integers; division by 0 gives 0 for them.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([7, -7], [2]);
    /// assert_eq!(x.floor_divide(2i64).to_vec::<i32>()?, vec![3, -4]);
    /// assert_eq!(x.modulo(4i64).to_vec::<i32>()?, vec![3, 1]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn floor_divide(&self, other: impl Into<Operand>) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let (a, b) = (self.clone(), operand(self, other.into(), origin)?);
            let dtype = a.dtype()?.promote(b.dtype()?);
            match dtype {
                float if float.is_float() => Ok((a / b).floor()),
                // Cut toward zero, it is one too large where a remainder of the other sign is left.
                DType::I32 => {
                    let rest = &a % &b;
                    let cut = rest.not_equal(0i64).logical_and(rest.less(0i64).not_equal(b.less(0i64)));
                    Ok(a / b - cut.cast(DType::I32))
                }
                _ => Ok(a / b),
            }
        })
    }

    /// The remainder with the sign of `other`: `self - other * floor(self / other)`, as Python's `%`. (The operator `%` has the sign
    /// of `self`.) By 0 it is 0 for integers, NaN for floats.
    #[track_caller]
    pub fn modulo(&self, other: impl Into<Operand>) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let (a, b) = (self.clone(), operand(self, other.into(), origin)?);
            let rest = &a % &b;
            match a.dtype()?.promote(b.dtype()?) {
                DType::U8 | DType::U32 | DType::Bool => Ok(rest),
                float_or_signed => {
                    let zero = if float_or_signed.is_float() { Operand::from(0.0) } else { Operand::from(0i64) };
                    let other_sign = rest.less(zero.clone()).not_equal(b.less(zero.clone()));
                    let turned = rest.not_equal(zero).logical_and(other_sign);
                    Ok(turned.select(&rest + &b, rest))
                }
            }
        })
    }
}

/// The other operand as a tensor.
pub(super) fn operand(of: &Tensor, other: Operand, origin: crate::graph::Origin) -> Result<Tensor, Error> {
    Ok(match other {
        Operand::Tensor(tensor) => tensor,
        Operand::Scalar(value) => super::elementwise::scalar_of(value, value.meet(of.dtype()?), origin),
    })
}
