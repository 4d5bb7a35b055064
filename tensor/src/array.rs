//! Host data: what files, data sets and readbacks are made of.

use crate::{
    dtype::{DType, Element},
    error::{Error, Result},
    shape::Shape,
};
use std::{fmt, ops::Range, sync::Arc};

/// A dense, row-major block of elements in host memory. Plain data: no graph, no device.
///
/// Copies and [slices](Array::slice_rows) share their memory until one of them is written.
#[derive(Clone)]
pub struct Array {
    dtype: DType,
    shape: Shape,
    memory: Arc<Vec<u8>>,
    /// The first of its bytes.
    at: usize,
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
        let shape = check_length(dtype, shape.into(), bytes.len())?;
        Ok(Array { dtype, shape, memory: Arc::new(bytes), at: 0 })
    }
    /// All zeros (`false`).
    pub fn zeros(dtype: DType, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        let bytes = vec![0; shape.numel() * dtype.size()];
        Array { dtype, shape, memory: Arc::new(bytes), at: 0 }
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
        self.memory.get(self.at..self.at + self.byte_len()).unwrap_or_default()
    }
    /// Native-endian bytes to write into; their number stays. Copies them first if another array shares them.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        if self.byte_len() < self.memory.len() {
            (self.memory, self.at) = (Arc::new(self.bytes().to_vec()), 0);
        }
        Arc::<Vec<u8>>::make_mut(&mut self.memory).as_mut_slice()
    }
    /// Gives the bytes away. Copies them if another array shares them.
    pub fn into_bytes(self) -> Vec<u8> {
        match self.byte_len() < self.memory.len() {
            true => self.bytes().to_vec(),
            false => Arc::unwrap_or_clone(self.memory),
        }
    }
    /// An array of this kind, in the memory of this one if nobody shares it and it is large enough. What it holds is not specified.
    pub fn recycled(mut self, dtype: DType, shape: impl Into<Shape>) -> Array {
        let shape = shape.into();
        match Arc::get_mut(&mut self.memory) {
            Some(memory) => memory.resize(shape.numel() * dtype.size(), 0),
            None => return Array::zeros(dtype, shape),
        }
        Array { dtype, shape, at: 0, ..self }
    }
    fn byte_len(&self) -> usize {
        self.shape.numel() * self.dtype.size()
    }
    /// The memory that its bytes lie in, and where they begin.
    pub(crate) fn shared(&self) -> (&Arc<Vec<u8>>, usize) {
        (&self.memory, self.at)
    }
    /// The elements as `T`; fails if that would lose information (see [`Element`]).
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        T::decode(self.dtype, self.bytes())
    }
    /// The same bytes under another shape with equally many elements.
    pub fn reshape(self, shape: impl Into<Shape>) -> Result<Self> {
        let shape = check_length(self.dtype, shape.into(), self.byte_len())?;
        Ok(Array { shape, ..self })
    }
    /// Number of rows: the length of the first axis, 0 for a scalar.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }
    /// Bytes of one row (one index of the first axis).
    pub fn row_bytes(&self) -> usize {
        self.shape.iter().skip(1).product::<usize>() * self.dtype.size()
    }
    /// Neighbouring rows, which share their memory with these. Fails if they are not all there.
    ///
    /// ```
    /// use addax_tensor::Array;
    /// let a = Array::new([3, 2], &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0])?;
    /// assert_eq!(a.slice_rows(1..3)?.to_vec::<f32>()?, vec![3.0, 4.0, 5.0, 6.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    pub fn slice_rows(&self, rows: Range<usize>) -> Result<Array> {
        let Some((&all, rest)) = self.shape.split_first() else { return Err(Error::shape("a scalar has no rows")) };
        if rows.start > rows.end || rows.end > all {
            return Err(Error::data(format!("rows {}..{} are out of range for {all} rows", rows.start, rows.end)));
        }
        let shape = std::iter::once(rows.len()).chain(rest.iter().copied()).collect();
        let at = self.at + rows.start * self.row_bytes();
        Ok(Array { dtype: self.dtype, shape, memory: self.memory.clone(), at })
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
            let bytes = self.bytes();
            for (to, &i) in out.bytes_mut().chunks_exact_mut(size).zip(indices) {
                to.copy_from_slice(&bytes[i * size..(i + 1) * size]);
            }
        }
        Ok(())
    }
}

/// The shape, if so many bytes fill it.
fn check_length(dtype: DType, shape: Shape, bytes: usize) -> Result<Shape> {
    match shape.iter().try_fold(dtype.size(), |n, &d| n.checked_mul(d)) {
        Some(needed) if needed == bytes => Ok(shape),
        _ => Err(Error::shape(format!(
            "{} elements do not fill shape {shape}, which holds {}",
            bytes / dtype.size(),
            shape.iter().map(|&d| d as u128).product::<u128>()
        ))),
    }
}

impl PartialEq for Array {
    fn eq(&self, other: &Array) -> bool {
        self.dtype == other.dtype && self.shape == other.shape && self.bytes() == other.bytes()
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

    /// Whoever writes has memory of its own by then.
    #[test]
    fn slices_share_memory_until_one_is_written() {
        let whole = Array::new([3, 2], &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        let mut part = whole.slice_rows(1..3).unwrap().slice_rows(1..2).unwrap();
        assert_eq!(part.bytes().as_ptr(), whole.bytes()[16..].as_ptr());
        let copy = part.clone().reshape([2]).unwrap();
        part.bytes_mut()[..4].copy_from_slice(&9.0f32.to_ne_bytes());
        assert_eq!(part.to_vec::<f32>().unwrap(), vec![9.0, 6.0]);
        assert_eq!(copy.to_vec::<f32>().unwrap(), vec![5.0, 6.0]);
        assert_eq!(whole.to_vec::<f32>().unwrap(), vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(whole.slice_rows(0..2).unwrap().into_bytes().len(), 16);
        assert_eq!(whole.slice_rows(2..2).unwrap().bytes(), [0u8; 0]);
        let error = whole.slice_rows(2..4).unwrap_err().to_string();
        assert_eq!(error, "rows 2..4 are out of range for 3 rows");
    }

    #[test]
    fn memory_is_recycled_unless_it_is_shared() {
        let old = Array::new([4], &[1.0f32, 2.0, 3.0, 4.0]).unwrap();
        let place = old.bytes().as_ptr();
        let small = old.recycled(DType::U8, [3]);
        assert_eq!((small.bytes().as_ptr(), small.bytes().len()), (place, 3));
        let slice = Array::new([2], &[1i32, 2]).unwrap().slice_rows(1..2).unwrap().recycled(DType::F32, [2]);
        assert_eq!(slice.bytes().len(), 8);
        let kept = small.clone();
        assert_eq!(small.recycled(DType::I32, [2]), Array::zeros(DType::I32, [2]));
        assert_eq!(kept.bytes().as_ptr(), place);
    }

    #[test]
    fn wrong_number_of_elements_is_an_error() {
        assert_eq!(
            Array::new([2, 2], &[1.0f32]).unwrap_err().to_string(),
            "1 elements do not fill shape [2, 2], which holds 4"
        );
    }
}
