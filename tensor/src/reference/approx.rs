//! One number with a bound on how far a correct executor may be from it.

use super::cast::{round, wrap};
use crate::dtype::DType;

/// A value and its radius: 0 is exact, infinite is anything (another branch taken, overflow, NaN).
#[derive(Clone, Copy, Debug)]
pub struct Approx {
    /// What it is in `f64`.
    pub value: f64,
    /// How far a correct executor may be.
    pub radius: f64,
}

/// Largest distance of neighbours of `F32`, relative to their size.
pub const ULP: f64 = 1.0 / (1u64 << 23) as f64;
/// Smallest normal `F32`: what a device that flushes smaller numbers to zero loses.
const TINY: f64 = f32::MIN_POSITIVE as f64;

impl Approx {
    /// A number that every executor has without error.
    pub fn exact(value: f64) -> Approx {
        Approx { value, radius: 0.0 }
    }
    /// A value about which nothing is promised.
    pub fn anything(value: f64) -> Approx {
        Approx { value, radius: f64::INFINITY }
    }
    /// A whole number or truth value that is `value` if `sure`.
    pub fn known(value: f64, sure: bool) -> Approx {
        if sure { Approx::exact(value) } else { Approx::anything(value) }
    }
    /// Whether an executor has just this number.
    pub fn is_exact(self) -> bool {
        self.radius == 0.0
    }
    /// Whether both the number and its error are finite.
    pub fn is_bounded(self) -> bool {
        self.value.is_finite() && self.radius.is_finite()
    }
    /// `-self`.
    pub fn negated(self) -> Approx {
        Approx { value: -self.value, radius: self.radius }
    }
    /// Smallest number an executor may have.
    pub fn low(self) -> f64 {
        self.value - self.radius
    }
    /// Largest number an executor may have.
    pub fn high(self) -> f64 {
        self.value + self.radius
    }
    /// Largest magnitude an executor may have.
    pub fn reach(self) -> f64 {
        self.value.abs() + self.radius
    }
    /// `value`, where an executor may have anything between two others. An end that is NaN gives anything.
    pub fn between(value: f64, one: f64, other: f64) -> Approx {
        let radius = [one, other].into_iter().map(|end| distance(value, end)).fold(0.0, f64::max);
        Approx { value, radius }
    }
    /// A number that is either of two, `self` by default.
    pub fn or(self, other: Approx) -> Approx {
        Approx { value: self.value, radius: self.radius.max(distance(self.value, other.value) + other.radius) }
    }
    /// The result of an operation that is off by at most this many units in the last place of `F32`, in a tensor of this
    /// type: 16-bit floats may be rounded when they are stored, or stay in a register.
    pub fn rounded(self, ulps: f64, dtype: DType) -> Approx {
        let reach = self.reach();
        if reach.is_nan() || reach > largest(dtype) {
            return Approx::anything(self.value);
        }
        let (unit, step) = match dtype {
            DType::F16 => (1.0 / 2048.0, 1.0 / 16_777_216.0),
            DType::BF16 => (1.0 / 256.0, TINY),
            _ => (0.0, 0.0),
        };
        Approx { value: self.value, radius: self.radius + reach * (ulps * ULP + unit) + TINY + step }
    }
    /// The result of an operation that IEEE 754 rounds correctly: exact where the exact result has a representation, as
    /// whole numbers have in integer types.
    pub fn correctly_rounded(self, dtype: DType) -> Approx {
        match !dtype.is_float()
            || self.is_exact() && self.reach() <= largest(dtype) && round(self.value, dtype) == self.value
        {
            true => self,
            false => self.rounded(0.5, dtype),
        }
    }
    /// A whole number in an integer type: exact ones wrap around, uncertain ones must not come near the ends.
    pub fn whole(value: i64, radius: f64, dtype: DType) -> Approx {
        let reached = Approx { value: value as f64, radius };
        match smallest(dtype) <= reached.low() && reached.high() <= largest(dtype) {
            true => reached,
            false => Approx::known(wrap(value, dtype), radius == 0.0),
        }
    }
}

fn distance(a: f64, b: f64) -> f64 {
    match (a - b).abs() {
        far if far.is_nan() => f64::INFINITY,
        far => far,
    }
}

/// Largest finite number of a type.
pub fn largest(dtype: DType) -> f64 {
    match dtype {
        DType::F32 => f64::from(f32::MAX),
        DType::F16 => f64::from(half::f16::MAX),
        DType::BF16 => f64::from(half::bf16::MAX),
        DType::I32 => f64::from(i32::MAX),
        DType::U32 => f64::from(u32::MAX),
        DType::U8 => f64::from(u8::MAX),
        DType::Bool => 1.0,
    }
}

/// Smallest finite number of a type.
pub fn smallest(dtype: DType) -> f64 {
    match dtype {
        DType::I32 => f64::from(i32::MIN),
        DType::U32 | DType::U8 | DType::Bool => 0.0,
        _ => -largest(dtype),
    }
}
