//! Host data: what files, data sets and readbacks are made of.

use crate::{
    dtype::{DType, Element},
    error::{Error, Result},
    shape::Shape,
};
use std::fmt;

/// A dense, row-major block of elements in host memory. Plain data: no graph, no device.
#[derive(Clone, PartialEq)]
pub struct Array {
    dtype: DType,
    shape: Shape,
    bytes: Vec<u8>,
}

impl Array {
    /// From elements. Fails if their number is not the product of `shape`, or a value does not fit its data type.
    pub fn new<T: Element>(shape: impl Into<Shape>, values: &[T]) -> Result<Self> {
        let mut bytes = Vec::with_capacity(values.len() * T::DTYPE.size());
        T::encode(values, &mut bytes)?;
        Self::from_bytes(T::DTYPE, shape, bytes)
    }
    /// From native-endian bytes. Fails if their number does not fit `dtype` and `shape`.
    pub fn from_bytes(dtype: DType, shape: impl Into<Shape>, bytes: Vec<u8>) -> Result<Self> {
        let shape = shape.into();
        let elements = shape.iter().try_fold(dtype.size(), |n, &d| n.checked_mul(d));
        if elements != Some(bytes.len()) {
            return Err(Error::shape(format!(
                "{} elements do not fill shape {shape}, which holds {}",
                bytes.len() / dtype.size(),
                shape.iter().map(|&d| d as u128).product::<u128>()
            )));
        }
        Ok(Array { dtype, shape, bytes })
    }
    /// All zeros (`false`).
    pub fn zeros(dtype: DType, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        let bytes = vec![0; shape.numel() * dtype.size()];
        Array { dtype, shape, bytes }
    }
    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }
    /// Shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }
    /// Native-endian bytes, row-major.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    /// Native-endian bytes to write into; their number stays.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
    /// Gives the bytes away.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
    /// The elements as `T`; fails if that would lose information (see [`Element`]).
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        T::decode(self.dtype, &self.bytes)
    }
    /// The same bytes under another shape with equally many elements.
    pub fn reshape(self, shape: impl Into<Shape>) -> Result<Self> {
        Self::from_bytes(self.dtype, shape, self.bytes)
    }
    /// Number of rows: the length of the first axis, 0 for a scalar.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }
    /// Bytes of one row (one index of the first axis).
    pub fn row_bytes(&self) -> usize {
        self.shape.iter().skip(1).product::<usize>() * self.dtype.size()
    }
    /// The rows at `indices`, in that order. Fails if an index is out of range.
    pub fn gather_rows(&self, indices: &[usize]) -> Result<Array> {
        let mut dims = self.shape.to_vec();
        *dims.first_mut().ok_or_else(|| Error::shape("a scalar has no rows"))? = indices.len();
        let mut out = Array::zeros(self.dtype, dims);
        self.gather_rows_into(indices, &mut out)?;
        Ok(out)
    }
    /// The rows at `indices` into `out`, which has `indices.len()` rows of the same kind. Allocates nothing.
    pub fn gather_rows_into(&self, indices: &[usize], out: &mut Array) -> Result<()> {
        let size = self.row_bytes();
        if out.dtype != self.dtype || out.row_bytes() != size || out.rows() != indices.len() {
            return Err(Error::shape(format!(
                "rows of {} {} do not fit into {} {}",
                self.dtype, self.shape, out.dtype, out.shape
            )));
        }
        if let Some(bad) = indices.iter().find(|&&i| i >= self.rows()) {
            return Err(Error::data(format!("row {bad} is out of range for {} rows", self.rows())));
        }
        if size > 0 {
            for (to, &i) in out.bytes.chunks_exact_mut(size).zip(indices) {
                to.copy_from_slice(&self.bytes[i * size..(i + 1) * size]);
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Array({} {})", self.dtype, self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_gathered_in_order() {
        let a = Array::new([3, 2], &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        assert_eq!(a.gather_rows(&[2, 0]).unwrap().to_vec::<f32>().unwrap(), vec![5.0, 6.0, 1.0, 2.0]);
        assert_eq!(a.gather_rows(&[3]).unwrap_err().to_string(), "row 3 is out of range for 3 rows");
    }

    #[test]
    fn wrong_number_of_elements_is_an_error() {
        assert_eq!(
            Array::new([2, 2], &[1.0f32]).unwrap_err().to_string(),
            "1 elements do not fill shape [2, 2], which holds 4"
        );
    }
}
