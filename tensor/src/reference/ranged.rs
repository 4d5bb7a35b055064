//! A value with what is known of its error.

use super::{Approx, cast};
use crate::{array::Array, dtype::DType, error::Result, graph::Meta};
use half::{bf16, f16};

/// The elements of a tensor in `f64`, and for each a bound on how far a correct executor may be from it.
#[derive(Clone, Debug)]
pub struct Ranged {
    /// Shape and type.
    pub meta: Meta,
    /// Elements in row-major order.
    pub value: Vec<f64>,
    /// How far a correct executor may be: 0 is exact, infinite is anything.
    pub radius: Vec<f64>,
}

impl Ranged {
    /// Elements that every executor has without error.
    pub fn exact(meta: Meta, value: Vec<f64>) -> Self {
        let radius = vec![0.0; value.len()];
        Ranged { meta, value, radius }
    }
    /// Elements that every executor has as nearly as this type can hold them.
    pub(super) fn nearest(meta: Meta, value: &[f64], dtype: DType) -> Self {
        Ranged::build(meta, |i| Approx::exact(value[i]).correctly_rounded(dtype))
    }
    /// Elements and radii from one function of the row-major position.
    pub(super) fn build(meta: Meta, at: impl FnMut(usize) -> Approx) -> Self {
        let (value, radius) = (0..meta.shape.numel()).map(at).map(|x| (x.value, x.radius)).unzip();
        Ranged { meta, value, radius }
    }
    /// Element and radius at a row-major position.
    pub fn at(&self, i: usize) -> Approx {
        Approx { value: self.value[i], radius: self.radius[i] }
    }
    /// Whether all elements are finite and have a finite error.
    pub fn is_bounded(&self) -> bool {
        (0..self.value.len()).all(|i| self.at(i).is_bounded())
    }
    /// The first element that differs from the same element of `got` by more than `factor` radii: its position, what came,
    /// what was expected. Infinite radii allow everything; NaN differs from every number.
    pub fn disagreement(&self, got: &[f64], factor: f64) -> Option<(usize, f64, Approx)> {
        let agrees = |i: usize, x: f64| {
            let want = self.at(i);
            want.radius.is_infinite()
                || x == want.value
                || (x - want.value).abs() <= factor * want.radius
                || (want.is_exact() && want.value.is_nan() && x.is_nan())
        };
        let bad = got.iter().enumerate().find(|&(i, &x)| i >= self.value.len() || !agrees(i, x));
        bad.map(|(i, &x)| (i, x, self.value.get(i).map_or(Approx::anything(0.0), |_| self.at(i))))
    }
    /// From host data.
    pub fn from_array(array: &Array) -> Result<Self> {
        let value: Vec<f64> = match array.dtype() {
            DType::F32 | DType::F16 | DType::BF16 => array.to_vec::<f64>()?,
            DType::I32 | DType::U32 | DType::U8 => array.to_vec::<i64>()?.into_iter().map(|v| v as f64).collect(),
            DType::Bool => array.to_vec::<bool>()?.into_iter().map(|v| f64::from(u8::from(v))).collect(),
        };
        Ok(Ranged::exact(Meta::new(array.dtype(), array.shape()), value))
    }
    /// As host data, rounded to the type.
    pub fn to_array(&self) -> Result<Array> {
        let values = self.value.iter().map(|&v| cast::round(v, self.meta.dtype));
        let shape = &self.meta.shape;
        match self.meta.dtype {
            DType::F32 => Array::new(shape, &values.map(|v| v as f32).collect::<Vec<_>>()),
            DType::F16 => Array::new(shape, &values.map(f16::from_f64).collect::<Vec<_>>()),
            DType::BF16 => Array::new(shape, &values.map(bf16::from_f64).collect::<Vec<_>>()),
            DType::I32 => Array::new(shape, &values.map(|v| v as i32).collect::<Vec<_>>()),
            DType::U32 => Array::new(shape, &values.map(|v| v as u32).collect::<Vec<_>>()),
            DType::U8 => Array::new(shape, &values.map(|v| v as u8).collect::<Vec<_>>()),
            DType::Bool => Array::new(shape, &values.map(|v| v != 0.0).collect::<Vec<_>>()),
        }
    }
}
