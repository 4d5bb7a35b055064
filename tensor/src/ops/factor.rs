//! What is made of factorisations and products of small matrices: logarithms of determinants, powers, inverses, distances, norms.

use super::{
    linalg::{floats, length, reflect, square},
    record,
};
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::{Body, Meta, ScanSpec, Tensor, try_recorded_at},
};
use std::panic::Location;

/// A norm of matrices; see [`Tensor::matrix_norm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatrixNorm {
    /// Frobenius: root of the sum of squares.
    Fro,
    /// Sum of the singular values.
    Nuclear,
    /// Largest sum of magnitudes of a column (order 1).
    One,
    /// Smallest sum of magnitudes of a column (order -1).
    MinusOne,
    /// Largest singular value (order 2).
    Two,
    /// Smallest singular value (order -2).
    MinusTwo,
    /// Largest sum of magnitudes of a row (order ∞).
    Infinity,
    /// Smallest sum of magnitudes of a row (order -∞).
    MinusInfinity,
}

impl Tensor {
    /// The sign of the determinant of each matrix `[.., n, n]`, -1, 0 or 1, and the logarithm of its magnitude, which neither
    /// overflows nor vanishes.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let (sign, log) = (Tensor::eye(50) * -1e-3).slogdet()?;
    /// assert_eq!(sign.item::<f32>()?, 1.0);
    /// assert!((log.item::<f32>()? + 345.3878).abs() < 1e-3);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn slogdet(&self) -> Result<(Tensor, Tensor)> {
        let origin = Location::caller();
        try_recorded_at(origin, || {
            square(self, "slogdet")?;
            let reflected = reflect(self)?;
            let diagonal = reflected.r.diagonal(0);
            let signs = diagonal.sign().prod(-1);
            let sign = reflected.sign.map_or(signs.clone(), |sign| sign * signs);
            Ok((sign.stop_gradient(), diagonal.abs().log().sum(-1)))
        })
    }

    /// The logarithm of the magnitude of the determinant of each matrix `[.., n, n]`.
    #[track_caller]
    pub fn logdet(&self) -> Tensor {
        record(Location::caller(), || Ok(self.slogdet()?.1))
    }

    /// The product of `exponent` equal matrices `[.., n, n]`; of inverses if it is negative, the identity for 0.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1.0f32, 1.0, 1.0, 0.0], [2, 2]);
    /// assert_eq!(x.matrix_power(10).to_vec::<f32>()?, vec![89.0, 55.0, 55.0, 34.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn matrix_power(&self, exponent: i32) -> Tensor {
        record(Location::caller(), || {
            let n = square(self, "matrix_power")?;
            let x = floats(self)?;
            let identity = Tensor::eye(n).cast(x.dtype()?).broadcast_to(x.shape()?);
            let mut square = if exponent < 0 { x.inv() } else { x };
            let mut product: Option<Tensor> = None;
            let mut left = exponent.unsigned_abs();
            while left > 0 {
                if left % 2 == 1 {
                    product = Some(product.map_or(square.clone(), |p| p.matmul(&square)));
                }
                left /= 2;
                if left > 0 {
                    square = square.matmul(&square);
                }
            }
            Ok(product.unwrap_or(identity))
        })
    }

    /// The inverse of `self·selfᵀ`, where `self [.., n, n]` is a lower triangle as [`cholesky`](Tensor::cholesky) gives it; with
    /// `upper` of `selfᵀ·self` for an upper one.
    #[track_caller]
    pub fn cholesky_inverse(&self, upper: bool) -> Tensor {
        record(Location::caller(), || {
            let n = square(self, "cholesky_inverse")?;
            let inverse = self.solve_triangular(&Tensor::eye(n), !upper);
            Ok(if upper { inverse.matmul(&inverse.t()) } else { inverse.t().matmul(&inverse) })
        })
    }

    /// The triangles of `self [.., n, n]` with exchanged rows, and the exchanges: below the diagonal of the first result is `L`, whose
    /// diagonal is 1, on and above it `U`; the second, `I32 [.., n]`, says with which row each was exchanged, one after the other.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let (lu, pivots) = Tensor::from_vec([1.0f32, 1.0, 2.0, 4.0], [2, 2]).lu_factor()?;
    /// assert_eq!(lu.to_vec::<f32>()?, vec![2.0, 4.0, 0.5, -1.0]);
    /// assert_eq!(pivots.to_vec::<i32>()?, vec![1, 1]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn lu_factor(&self) -> Result<(Tensor, Tensor)> {
        let origin = Location::caller();
        try_recorded_at(origin, || {
            let a = floats(self)?;
            let n = square(&a, "lu_factor")?;
            let dtype = a.dtype()?;
            let metas = [a.meta()?.clone(), Meta::new(DType::I32, ())];
            let body = Body::new("lu_factor", &metas, |p| {
                let (a, step) = (&p[0], &p[1]);
                let place = Tensor::iota(DType::I32, [n], 0);
                let (here, below) = (place.equal(step), step.less(&place));
                let column = here.select(a, 0.0).sum(-1);
                let pivot = below.logical_or(&here).select(column.abs(), -1.0).argmax(-1).expand_dims(-1);
                let there = pivot.equal(&place);
                let row = |at: &Tensor| at.expand_dims(-1).select(a, 0.0).sum_keepdims(-2);
                let (own, other) = (row(&here.broadcast_to(there.shape()?)), row(&there));
                let a = there.expand_dims(-1).select(own, a);
                let a = here.expand_dims(-1).select(&other, a);
                // A column of zeros leaves nothing to take away.
                let divisor = here.select(other.squeeze(-2), 0.0).sum_keepdims(-1);
                let none = divisor.equal(0.0);
                let column = below.select(here.select(&a, 0.0).sum(-1), 0.0);
                let factor = none.select(0.0, column / none.select(1.0, divisor)).expand_dims(-1);
                let rest = &a - &factor * below.select(other, 0.0);
                let lower = below.expand_dims(-1).logical_and(&here);
                Ok(vec![lower.select(factor, rest).cast(dtype), pivot.squeeze(-1)])
            })?;
            let spec = ScanSpec { steps: n, carries: 1, inputs: 1, reverse: false };
            let done = Tensor::scan(&body, spec, &[a, Tensor::arange(n)])?;
            Ok((done[0].clone(), done[1].move_axis(0, -1)))
        })
    }

    /// Euclid's distance between every row of `self [.., n, d]` and every row of `other [.., m, d]`: `[.., n, m]`. Slopes are 0
    /// where it is 0.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([0.0f32, 0.0, 3.0, 4.0], [2, 2]);
    /// assert_eq!(x.cdist(&x).to_vec::<f32>()?, vec![0.0, 5.0, 5.0, 0.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn cdist(&self, other: &Tensor) -> Tensor {
        record(Location::caller(), || {
            let (a, b) = (floats(self)?, floats(other)?);
            let (left, right) = (a.shape()?, b.shape()?);
            if left.rank() < 2 || right.rank() < 2 || left.last() != right.last() {
                return Err(Error::shape(format!(
                    "cdist needs [.., n, d] and [.., m, d], got shapes {left} and {right}"
                )));
            }
            let far = (a.expand_dims(-2) - b.expand_dims(-3)).square().sum(-1);
            let same = far.equal(0.0);
            Ok(same.select(0.0, same.select(1.0, far).sqrt()))
        })
    }

    /// A norm of each matrix `[.., n, m]`; [`norm`](Tensor::norm) is that of vectors.
    ///
    /// ```
    /// use addax_tensor::{Tensor, ops::MatrixNorm};
    /// let x = Tensor::from_vec([1.0f32, -2.0, 3.0, 4.0], [2, 2]);
    /// assert_eq!(x.matrix_norm(MatrixNorm::One).item::<f32>()?, 6.0);
    /// assert_eq!(x.matrix_norm(MatrixNorm::Infinity).item::<f32>()?, 7.0);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn matrix_norm(&self, norm: MatrixNorm) -> Tensor {
        record(Location::caller(), || {
            let x = floats(self)?;
            length(&x, -2)?;
            Ok(match norm {
                MatrixNorm::Fro => x.square().sum([-2, -1]).sqrt(),
                MatrixNorm::Nuclear => x.svd()?.1.sum(-1),
                MatrixNorm::One => x.abs().sum(-2).max(-1),
                MatrixNorm::MinusOne => x.abs().sum(-2).min(-1),
                MatrixNorm::Two => x.svd()?.1.max(-1),
                MatrixNorm::MinusTwo => x.svd()?.1.min(-1),
                MatrixNorm::Infinity => x.abs().sum(-1).max(-1),
                MatrixNorm::MinusInfinity => x.abs().sum(-1).min(-1),
            })
        })
    }
}
