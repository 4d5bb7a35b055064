//! Data types of tensors, and the Rust types they are read and written as.

use crate::error::{Error, Result};
use half::{bf16, f16};
use std::fmt;

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// 32-bit float, the default.
    F32,
    /// 16-bit float (IEEE half).
    F16,
    /// 16-bit float with the range of `F32` (bfloat16).
    BF16,
    /// 32-bit signed integer.
    I32,
    /// 32-bit unsigned integer.
    U32,
    /// 8-bit unsigned integer: images as they come.
    U8,
    /// Truth value, one byte of 0 or 1.
    Bool,
}

impl DType {
    /// Every data type.
    pub const ALL: [DType; 7] = [DType::F32, DType::F16, DType::BF16, DType::I32, DType::U32, DType::U8, DType::Bool];

    /// Bytes of one element on the host.
    pub const fn size(self) -> usize {
        match self {
            DType::F32 | DType::I32 | DType::U32 => 4,
            DType::F16 | DType::BF16 => 2,
            DType::U8 | DType::Bool => 1,
        }
    }
    /// Whether it is a floating-point type.
    pub const fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F16 | DType::BF16)
    }
    /// Whether it is an integer type (`Bool` is not).
    pub const fn is_int(self) -> bool {
        matches!(self, DType::I32 | DType::U32 | DType::U8)
    }
    /// The type it is computed in: floats as `F32`, `U8` as `U32`; results are rounded when stored or cast.
    pub const fn compute(self) -> DType {
        match self {
            DType::F32 | DType::F16 | DType::BF16 => DType::F32,
            DType::I32 => DType::I32,
            DType::U32 | DType::U8 => DType::U32,
            DType::Bool => DType::Bool,
        }
    }
    /// Keras' name: `"float32"`, `"int32"`, ….
    pub const fn name(self) -> &'static str {
        match self {
            DType::F32 => "float32",
            DType::F16 => "float16",
            DType::BF16 => "bfloat16",
            DType::I32 => "int32",
            DType::U32 => "uint32",
            DType::U8 => "uint8",
            DType::Bool => "bool",
        }
    }
    /// The type with this Keras name.
    pub fn parse(name: &str) -> Result<DType> {
        DType::ALL
            .into_iter()
            .find(|d| d.name() == name)
            .ok_or_else(|| Error::unknown_name("dtype", name, DType::ALL.map(DType::name)))
    }
    /// The type two tensors meet in. Bool < u8 < u32/i32 < floats; `u32` with `i32` gives `i32`; `f16` with `bf16` gives `f32`.
    pub fn promote(self, other: DType) -> DType {
        use DType::*;
        match (self, other) {
            (a, b) if a == b => a,
            (Bool, x) | (x, Bool) => x,
            (F32, _) | (_, F32) | (F16, BF16) | (BF16, F16) => F32,
            (F16, _) | (_, F16) => F16,
            (BF16, _) | (_, BF16) => BF16,
            (I32, _) | (_, I32) => I32,
            (U32, _) | (_, U32) => U32,
            (U8, U8) => U8,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that tensors are made from and read as.
///
/// `f64` and `i64` live on the host only: they enter as `F32` and `I32`, range-checked, and leave widened.
pub trait Element: Copy + Send + Sync + 'static + sealed::Sealed {
    /// The data type a vector of `Self` becomes.
    const DTYPE: DType;
    /// Appends the element's bytes, or refuses a value that the data type cannot hold.
    fn encode(values: &[Self], to: &mut Vec<u8>) -> Result<()>;
    /// Reads elements of `dtype` from bytes; refuses a conversion that loses information.
    fn decode(dtype: DType, bytes: &[u8]) -> Result<Vec<Self>>;
}

fn wrong_read(dtype: DType, wanted: &str) -> Error {
    Error::dtype(format!("cannot read {dtype} as {wanted}; cast the tensor first"))
}

fn pod<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(bytes: &[u8]) -> Vec<T> {
    bytemuck::pod_collect_to_vec(bytes)
}

macro_rules! plain_element {
    ($($t:ty => $d:ident),*) => {$(
        impl sealed::Sealed for $t {}
        impl Element for $t {
            const DTYPE: DType = DType::$d;
            fn encode(values: &[Self], to: &mut Vec<u8>) -> Result<()> {
                to.extend_from_slice(bytemuck::cast_slice(values));
                Ok(())
            }
            fn decode(dtype: DType, bytes: &[u8]) -> Result<Vec<Self>> {
                if dtype == DType::$d { Ok(pod(bytes)) } else { Err(wrong_read(dtype, stringify!($t))) }
            }
        }
    )*};
}
plain_element!(f16 => F16, bf16 => BF16, u32 => U32, u8 => U8);

impl sealed::Sealed for f32 {}
impl Element for f32 {
    const DTYPE: DType = DType::F32;
    fn encode(values: &[Self], to: &mut Vec<u8>) -> Result<()> {
        to.extend_from_slice(bytemuck::cast_slice(values));
        Ok(())
    }
    fn decode(dtype: DType, bytes: &[u8]) -> Result<Vec<Self>> {
        match dtype {
            DType::F32 => Ok(pod(bytes)),
            DType::F16 => Ok(pod::<f16>(bytes).into_iter().map(f32::from).collect()),
            DType::BF16 => Ok(pod::<bf16>(bytes).into_iter().map(f32::from).collect()),
            other => Err(wrong_read(other, "f32")),
        }
    }
}

impl sealed::Sealed for i32 {}
impl Element for i32 {
    const DTYPE: DType = DType::I32;
    fn encode(values: &[Self], to: &mut Vec<u8>) -> Result<()> {
        to.extend_from_slice(bytemuck::cast_slice(values));
        Ok(())
    }
    fn decode(dtype: DType, bytes: &[u8]) -> Result<Vec<Self>> {
        match dtype {
            DType::I32 => Ok(pod(bytes)),
            DType::U8 => Ok(bytes.iter().map(|&b| i32::from(b)).collect()),
            other => Err(wrong_read(other, "i32")),
        }
    }
}

impl sealed::Sealed for f64 {}
impl Element for f64 {
    const DTYPE: DType = DType::F32;
    fn encode(values: &[Self], to: &mut Vec<u8>) -> Result<()> {
        for (i, &v) in values.iter().enumerate() {
            let narrow = v as f32;
            if narrow.is_infinite() && v.is_finite() {
                return Err(Error::data(format!("value {v:e} at position {i} is too large for float32")));
            }
            to.extend_from_slice(&narrow.to_ne_bytes());
        }
        Ok(())
    }
    fn decode(dtype: DType, bytes: &[u8]) -> Result<Vec<Self>> {
        Ok(f32::decode(dtype, bytes).map_err(|_| wrong_read(dtype, "f64"))?.into_iter().map(f64::from).collect())
    }
}

impl sealed::Sealed for i64 {}
impl Element for i64 {
    const DTYPE: DType = DType::I32;
    fn encode(values: &[Self], to: &mut Vec<u8>) -> Result<()> {
        for (i, &v) in values.iter().enumerate() {
            let narrow = i32::try_from(v)
                .map_err(|_| Error::data(format!("value {v} at position {i} does not fit in int32")))?;
            to.extend_from_slice(&narrow.to_ne_bytes());
        }
        Ok(())
    }
    fn decode(dtype: DType, bytes: &[u8]) -> Result<Vec<Self>> {
        match dtype {
            DType::U32 => Ok(pod::<u32>(bytes).into_iter().map(i64::from).collect()),
            other => Ok(i32::decode(other, bytes)
                .map_err(|_| wrong_read(other, "i64"))?
                .into_iter()
                .map(i64::from)
                .collect()),
        }
    }
}

impl sealed::Sealed for bool {}
impl Element for bool {
    const DTYPE: DType = DType::Bool;
    fn encode(values: &[Self], to: &mut Vec<u8>) -> Result<()> {
        to.extend(values.iter().map(|&b| u8::from(b)));
        Ok(())
    }
    fn decode(dtype: DType, bytes: &[u8]) -> Result<Vec<Self>> {
        match dtype {
            DType::Bool => Ok(bytes.iter().map(|&b| b != 0).collect()),
            other => Err(wrong_read(other, "bool")),
        }
    }
}

/// A host number that meets a tensor: it is weak, the tensor's type wins.
#[derive(Clone, Copy, Debug)]
pub enum Scalar {
    /// A real number.
    Float(f64),
    /// A whole number.
    Int(i64),
    /// A truth value.
    Bool(bool),
}

/// Equal means the same variant and bits, so that scalars can be keys.
impl PartialEq for Scalar {
    fn eq(&self, other: &Scalar) -> bool {
        match (self, other) {
            (Scalar::Float(a), Scalar::Float(b)) => a.to_bits() == b.to_bits(),
            (Scalar::Int(a), Scalar::Int(b)) => a == b,
            (Scalar::Bool(a), Scalar::Bool(b)) => a == b,
            _ => false,
        }
    }
}
impl Eq for Scalar {}
impl std::hash::Hash for Scalar {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        match self {
            Scalar::Float(v) => (0u8, v.to_bits()).hash(state),
            Scalar::Int(v) => (1u8, *v as u64).hash(state),
            Scalar::Bool(v) => (2u8, u64::from(*v)).hash(state),
        }
    }
}

impl Scalar {
    /// The type an expression of `dtype` and this scalar has.
    pub fn meet(self, dtype: DType) -> DType {
        match self {
            Scalar::Float(_) if !dtype.is_float() => DType::F32,
            Scalar::Int(_) if dtype == DType::Bool => DType::I32,
            _ => dtype,
        }
    }
    /// The type of the scalar standing alone.
    pub const fn dtype(self) -> DType {
        match self {
            Scalar::Float(_) => DType::F32,
            Scalar::Int(_) => DType::I32,
            Scalar::Bool(_) => DType::Bool,
        }
    }
    /// As `f64`.
    pub fn as_f64(self) -> f64 {
        match self {
            Scalar::Float(v) => v,
            Scalar::Int(v) => v as f64,
            Scalar::Bool(v) => f64::from(u8::from(v)),
        }
    }
    /// The 32-bit word that holds this value in the compute type `dtype` (`Bool` is 0 or 1).
    pub fn word(self, dtype: DType) -> u32 {
        match dtype.compute() {
            DType::I32 => match self {
                Scalar::Float(v) => v as i32 as u32,
                Scalar::Int(v) => v as i32 as u32,
                Scalar::Bool(v) => u32::from(v),
            },
            DType::U32 => match self {
                Scalar::Float(v) => v as u32,
                Scalar::Int(v) => v as u32,
                Scalar::Bool(v) => u32::from(v),
            },
            DType::Bool => u32::from(self.as_f64() != 0.0),
            _ => (self.as_f64() as f32).to_bits(),
        }
    }
}

macro_rules! scalar_from {
    ($($t:ty => $v:ident as $w:ty),*) => {$(
        impl From<$t> for Scalar { fn from(v: $t) -> Self { Scalar::$v(v as $w) } }
    )*};
}
scalar_from!(f32 => Float as f64, f64 => Float as f64, i32 => Int as i64, i64 => Int as i64, u32 => Int as i64,
    usize => Int as i64, u8 => Int as i64, bool => Bool as bool);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promotion_is_symmetric_and_associative() {
        for a in DType::ALL {
            assert_eq!(a.promote(a), a);
            for b in DType::ALL {
                assert_eq!(a.promote(b), b.promote(a));
                for c in DType::ALL {
                    let left = a.promote(b).promote(c);
                    let right = a.promote(b.promote(c));
                    // f16 and bf16 meet in f32, but an integer between them does not matter.
                    assert_eq!(left, right, "{a} {b} {c}");
                }
            }
        }
    }

    #[test]
    fn host_integers_are_range_checked() {
        let error = i64::encode(&[1, 1 << 40], &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "value 1099511627776 at position 1 does not fit in int32");
    }
}
