//! Signs, not-a-numbers and infinities: telling them, replacing them, computing around them.

use super::{measure::operand, operators::Operand, record};
use crate::{
    dtype::{DType, Scalar},
    graph::Tensor,
};
use std::panic::Location;

impl Tensor {
    /// The whole number next to `x` toward 0; integers stay.
    #[track_caller]
    pub fn trunc(&self) -> Tensor {
        record(Location::caller(), || {
            Ok(match self.dtype()?.is_float() {
                true => self.less(0.0).select(self.ceil(), self.floor()),
                false => self.clone(),
            })
        })
    }

    /// Whether the sign is minus, of zeros too; gives `Bool`, false for NaN.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([-0.0f32, 0.0, -3.0], [3]);
    /// assert_eq!(x.signbit().to_vec::<bool>()?, vec![true, false, true]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn signbit(&self) -> Tensor {
        record(Location::caller(), || {
            Ok(match self.dtype()? {
                DType::I32 => self.less(0i64),
                // Zeros are told apart by their reciprocals.
                float if float.is_float() => self.equal(0.0).select(self.reciprocal(), self).less(0.0),
                _ => self.not_equal(self),
            })
        })
    }

    /// 0 where `self` is negative, 1 where it is positive, `at_zero` where it is 0, NaN where it is NaN. No gradient flows to `self`.
    #[track_caller]
    pub fn heaviside(&self, at_zero: impl Into<Operand>) -> Tensor {
        let (origin, at_zero) = (Location::caller(), at_zero.into());
        record(origin, || {
            let at_zero = operand(self, at_zero, origin)?;
            let x = self.cast_at(self.dtype()?.promote(at_zero.dtype()?), origin).stop_gradient();
            let step = x.is_nan().select(&x, x.greater(0i64).cast_at(x.dtype()?, origin));
            Ok(x.equal(0i64).select(at_zero, step))
        })
    }

    /// Whether each element is `+∞`; gives `Bool`, false for integers.
    #[doc(alias = "isposinf")]
    #[track_caller]
    pub fn is_posinf(&self) -> Tensor {
        self.is_inf().logical_and(self.greater(0i64))
    }

    /// Whether each element is `-∞`; gives `Bool`, false for integers.
    #[doc(alias = "isneginf")]
    #[track_caller]
    pub fn is_neginf(&self) -> Tensor {
        self.is_inf().logical_and(self.less(0i64))
    }

    /// Whether `|self - other| ≤ atol + rtol · |other|`; gives `Bool`. Equal infinities are close, NaN is close to NaN only with
    /// `equal_nan`. NumPy's tolerances are `rtol` 1e-5 and `atol` 1e-8.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1.0f32, f32::INFINITY], [2]);
    /// let y = Tensor::from_vec([1.000001f32, 3.0], [2]);
    /// assert_eq!(x.is_close(&y, 1e-5, 1e-8, false).to_vec::<bool>()?, vec![true, false]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[doc(alias = "isclose")]
    #[track_caller]
    pub fn is_close(&self, other: impl Into<Operand>, rtol: f64, atol: f64, equal_nan: bool) -> Tensor {
        let (origin, other) = (Location::caller(), other.into());
        record(origin, || {
            let other = operand(self, other, origin)?;
            let (a, b) = (self.cast_at(DType::F32, origin), other.cast_at(DType::F32, origin));
            let near = (&a - &b).abs().less_equal(b.abs() * rtol + atol);
            let close = near.logical_and(a.is_finite()).logical_and(b.is_finite()).logical_or(a.equal(&b));
            Ok(if equal_nan { close.logical_or(a.is_nan().logical_and(b.is_nan())) } else { close })
        })
    }

    /// Whether all elements are [close](Tensor::is_close): one `Bool`.
    #[doc(alias = "allclose")]
    #[track_caller]
    pub fn all_close(&self, other: impl Into<Operand>, rtol: f64, atol: f64, equal_nan: bool) -> Tensor {
        self.is_close(other, rtol, atol, equal_nan).all(..)
    }

    /// `nan` instead of NaN, `posinf` and `neginf` instead of the infinities: by default the largest and the smallest number of the
    /// type. Integers stay.
    #[track_caller]
    pub fn nan_to_num(&self, nan: f64, posinf: Option<f64>, neginf: Option<f64>) -> Tensor {
        record(Location::caller(), || {
            let dtype = self.dtype()?;
            if !dtype.is_float() {
                return Ok(self.clone());
            }
            let (low, high) = range(dtype);
            let high = posinf.map_or(high, Scalar::from);
            let low = neginf.map_or(low, Scalar::from);
            let finite =
                self.is_finite().select(self, self.greater(0.0).select(self.full_like(high), self.full_like(low)));
            Ok(self.is_nan().select(nan, finite))
        })
    }

    /// `self / other`, and 0 where `other` is 0, whose gradients are 0 there too. Integers are divided as floats.
    #[track_caller]
    pub fn divide_no_nan(&self, other: impl Into<Operand>) -> Tensor {
        let (origin, other) = (Location::caller(), other.into());
        record(origin, || {
            let other = operand(self, other, origin)?;
            let dtype = self.dtype()?.promote(other.dtype()?);
            let to = if dtype.is_float() { dtype } else { DType::F32 };
            let (a, b) = (self.cast_at(to, origin), other.cast_at(to, origin));
            let zero = b.equal(0.0);
            Ok(zero.select(0.0, a / zero.select(1.0, &b)))
        })
    }

    /// The remainder with the sign of `self`, as C's `fmod` and the operator `%`; by 0 it is NaN for floats, 0 for integers.
    #[track_caller]
    pub fn fmod(&self, other: impl Into<Operand>) -> Tensor {
        self % other
    }

    /// The larger of both; the other one where one is NaN.
    #[track_caller]
    pub fn fmax(&self, other: impl Into<Operand>) -> Tensor {
        let (origin, other) = (Location::caller(), other.into());
        record(origin, || {
            let other = operand(self, other, origin)?;
            Ok(self.is_nan().select(&other, other.is_nan().select(self, self.maximum(&other))))
        })
    }

    /// The smaller of both; the other one where one is NaN.
    #[track_caller]
    pub fn fmin(&self, other: impl Into<Operand>) -> Tensor {
        let (origin, other) = (Location::caller(), other.into());
        record(origin, || {
            let other = operand(self, other, origin)?;
            Ok(self.is_nan().select(&other, other.is_nan().select(self, self.minimum(&other))))
        })
    }

    /// Elements as `dtype`, where those beyond its range become its first or last number instead of wrapping around or becoming
    /// infinite. NaN stays NaN for floats and becomes 0 otherwise.
    ///
    /// ```
    /// use addax_tensor::{DType, Tensor};
    /// let x = Tensor::from_vec([-3, 300], [2]);
    /// assert_eq!(x.saturate_cast(DType::U8).to_vec::<u8>()?, vec![0, 255]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn saturate_cast(&self, dtype: DType) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let from = self.dtype()?;
            let x = match (from, dtype) {
                (_, DType::Bool | DType::F32 | DType::BF16) if !from.is_float() => self.clone(),
                (_, DType::Bool) => self.clone(),
                (float, _) if float.is_float() && dtype.is_int() => self.clone(),
                (float, _) if float.is_float() => {
                    let (low, high) = range(dtype);
                    self.cast_at(DType::F32, origin).clip(low, high)
                }
                (DType::I32, DType::F16) => self.clip(-65504i64, 65504i64),
                (DType::U32, DType::F16) => self.minimum(65504i64),
                (DType::I32, DType::U8) => self.clip(0i64, 255i64),
                (DType::I32, DType::U32) => self.maximum(0i64),
                (DType::U32, DType::U8) => self.minimum(255i64),
                (DType::U32, DType::I32) => self.minimum(i64::from(i32::MAX)),
                _ => self.clone(),
            };
            Ok(x.cast_at(dtype, origin))
        })
    }
}

/// The smallest and the largest number of a float.
fn range(dtype: DType) -> (Scalar, Scalar) {
    let high = match dtype {
        DType::F16 => f64::from(half::f16::MAX),
        DType::BF16 => f64::from(half::bf16::MAX),
        _ => f64::from(f32::MAX),
    };
    (Scalar::from(-high), Scalar::from(high))
}
