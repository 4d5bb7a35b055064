//! Triangles and diagonals of matrices.

use super::record;
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::Tensor,
    shape::Shape,
};
use std::panic::Location;

impl Tensor {
    /// `n` by `m` with ones on the diagonal that begins `k` columns right of the corner (left if negative), else zeros.
    #[track_caller]
    pub fn eye_with(n: usize, m: usize, k: isize, dtype: DType) -> Tensor {
        band(&[n, m].into(), k, |row, column| row.equal(column)).cast(dtype)
    }

    /// `n` by `m` with ones on and below the diagonal `k`, zeros above it.
    ///
    /// ```
    /// use addax_tensor::{DType, Tensor};
    /// assert_eq!(Tensor::tri(2, 3, 0, DType::F32).to_vec::<f32>()?, vec![1.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn tri(n: usize, m: usize, k: isize, dtype: DType) -> Tensor {
        band(&[n, m].into(), k, |row, column| column.less_equal(row)).cast(dtype)
    }

    /// The elements on and below diagonal `k` of each matrix `[.., n, m]`, zeros above it.
    #[track_caller]
    pub fn tril(&self, k: isize) -> Tensor {
        self.within(k, |row, column| column.less_equal(row))
    }

    /// The elements on and above diagonal `k` of each matrix `[.., n, m]`, zeros below it.
    #[track_caller]
    pub fn triu(&self, k: isize) -> Tensor {
        self.within(k, |row, column| row.less_equal(column))
    }

    #[track_caller]
    fn within(&self, k: isize, keep: impl Fn(&Tensor, &Tensor) -> Tensor) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let shape = self.shape()?.clone();
            matrix(&shape)?;
            Ok(band(&shape, k, keep).select(self, self.zeros_like()))
        })
    }

    /// A vector `[n]` on diagonal `k` of a square matrix of zeros, or of a matrix `[n, m]` its diagonal `k`.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1, 2], [2]);
    /// assert_eq!(x.diag(0).to_vec::<i32>()?, vec![1, 0, 0, 2]);
    /// assert_eq!(x.diag(1).shape()?.dims(), [3, 3]);
    /// assert_eq!(x.diag(1).diag(1).to_vec::<i32>()?, vec![1, 2]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn diag(&self, k: isize) -> Tensor {
        let origin = Location::caller();
        record(origin, || match *self.shape()?.dims() {
            [n] => {
                let side = n + k.unsigned_abs();
                let (above, left) = if k < 0 { (k.unsigned_abs(), 0) } else { (0, k as usize) };
                let rows = self.expand_dims(1).broadcast_to([n, n]);
                let on = Tensor::eye(n).cast(DType::Bool).select(&rows, rows.zeros_like());
                Ok(on.pad([(above, side - n - above), (left, side - n - left)], 0))
            }
            [_, _] => Ok(self.diagonal(k)),
            _ => Err(Error::shape(format!("diag needs a vector or a matrix, got shape {}", self.shape()?))),
        })
    }

    /// All elements, in row-major order, on diagonal `k` of a square matrix of zeros.
    #[track_caller]
    pub fn diagflat(&self, k: isize) -> Tensor {
        self.ravel().diag(k)
    }

    /// Diagonal `k` of each matrix `[.., n, m]`: `[.., length]`.
    #[track_caller]
    pub fn diagonal(&self, k: isize) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let shape = self.shape()?;
            let [n, m] = matrix(shape)?;
            let (down, across) = if k < 0 { (k.unsigned_abs(), 0) } else { (0, k as usize) };
            let len = n.saturating_sub(down).min(m.saturating_sub(across));
            let batch = &shape[..shape.rank() - 2];
            if len == 0 {
                let none: Shape = batch.iter().copied().chain([0]).collect();
                return Ok(self.slice(-1, ..0).slice(-2, ..0).reshape(none));
            }
            // In rows that are one longer than the part's, its diagonal is the first column.
            let square = self.slice(-2, down..down + len).slice(-1, across..across + len);
            let flat: Shape = batch.iter().copied().chain([len * len]).collect();
            let rows: Shape = batch.iter().copied().chain([len, len + 1]).collect();
            let mut pads = vec![(0, 0); batch.len()];
            pads.push((0, len));
            Ok(square.reshape(flat).pad(pads, 0).reshape(rows).slice(-1, ..1).squeeze(-1))
        })
    }

    /// Sum of the main diagonal of each matrix `[.., n, m]`.
    #[track_caller]
    pub fn trace(&self) -> Tensor {
        self.diagonal(0).sum(-1)
    }
}

fn matrix(shape: &Shape) -> Result<[usize; 2]> {
    match shape.dims() {
        [.., n, m] => Ok([*n, *m]),
        _ => Err(Error::shape(format!("a matrix has two axes, got shape {shape}"))),
    }
}

/// A relation between the row, moved by `k`, and the column of each cell.
#[track_caller]
fn band(shape: &Shape, k: isize, relation: impl Fn(&Tensor, &Tensor) -> Tensor) -> Tensor {
    let row = Tensor::iota(DType::I32, shape, -2) + k as i64;
    relation(&row, &Tensor::iota(DType::I32, shape, -1))
}
