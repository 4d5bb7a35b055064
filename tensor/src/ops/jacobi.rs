//! Eigenvalues and singular values by Jacobi's rotations: a loop each step of which turns every column against a partner, until all
//! are orthogonal. For small matrices `[.., n, n]`; gradients are those of perturbation theory, not those of the loop.

use super::{
    linalg::{floats, length, square},
    record,
};
use crate::{
    array::Array,
    dtype::DType,
    error::{Error, Result},
    graph::{Body, Meta, ScanSpec, Tensor, try_recorded_at},
    shape::Shape,
};
use std::panic::Location;

/// Sweeps over all pairs. Convergence is quadratic in the end; single precision is reached after some six to eight.
const SWEEPS: usize = 12;

impl Tensor {
    /// Eigenvalues `[.., n]`, rising, and eigenvectors `[.., n, n]`, in columns, of symmetric matrices: `self·v = λ·v`. The mean of
    /// a matrix and its transpose is taken. The sign of a vector is not determined.
    ///
    /// Gradients are right once, not twice: the gradient of a gradient is not that of `eigh`. They are 0 between vectors whose
    /// eigenvalues are equal, where there is none.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([2.0f32, 1.0, 1.0, 2.0], [2, 2]);
    /// let values = x.eigh()?.0.to_vec::<f32>()?;
    /// assert!((values[0] - 1.0).abs() < 1e-6 && (values[1] - 3.0).abs() < 1e-6);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn eigh(&self) -> Result<(Tensor, Tensor)> {
        let origin = Location::caller();
        try_recorded_at(origin, || {
            let dtype = floats(self)?.dtype()?;
            let a = self.cast_at(DType::F32, origin);
            let n = square(&a, "eigh")?;
            let a = (&a + a.t()) * 0.5;
            let vectors = eigenvectors(&a.stop_gradient(), n)?;
            // What is left beside the diagonal is rounding, which must not be divided; its slope is that of the vectors.
            let turned = vectors.t().matmul(&a).matmul(&vectors);
            let values = turned.diagonal(0);
            let fixed = values.stop_gradient();
            let apart = fixed.expand_dims(-2) - fixed.expand_dims(-1);
            let vectors = &vectors + vectors.matmul(&over(&slope(&turned), &apart, &fixed));
            let order = values.argsort(-1, false);
            let columns = order.expand_dims(-2);
            let sorted = values.take_along_axis(&order, -1);
            Ok((sorted.cast_at(dtype, origin), vectors.take_along_axis(&columns, -1).cast_at(dtype, origin)))
        })
    }

    /// `(U, σ, Vᵀ)` with `U·diag(σ)·Vᵀ = self [.., n, m]`, the thin form: `U [.., n, k]` and `V [.., m, k]` have orthonormal columns
    /// and the singular values `σ [.., k]` fall, `k` being the smaller of both lengths. The sign of a pair of vectors is not
    /// determined; where `σ` is 0 columns of `U` (of `V` for wide matrices) are 0.
    ///
    /// Gradients are right once, not twice: the gradient of a gradient is not that of `svd`. They are 0 between vectors whose singular
    /// values are equal or 0.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([0.0f32, 2.0, -3.0, 0.0], [2, 2]);
    /// assert_eq!(x.svd()?.1.to_vec::<f32>()?, vec![3.0, 2.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn svd(&self) -> Result<(Tensor, Tensor, Tensor)> {
        let origin = Location::caller();
        try_recorded_at(origin, || {
            let dtype = floats(self)?.dtype()?;
            let a = self.cast_at(DType::F32, origin);
            let (n, m) = (length(&a, -2)?, length(&a, -1)?);
            if n == 0 || m == 0 {
                return Err(Error::shape(format!("svd: matrices of shape {} have no singular value", a.shape()?)));
            }
            let (u, sigma, v) = if n < m {
                let (v, sigma, u) = singular(&a.t(), m, n)?;
                (u, sigma, v)
            } else {
                singular(&a, n, m)?
            };
            Ok((u.cast_at(dtype, origin), sigma.cast_at(dtype, origin), v.t().cast_at(dtype, origin)))
        })
    }

    /// The pseudo-inverse of matrices `[.., n, m]`: `[.., m, n]`. Singular values below `rcond` times the largest count as 0; if it
    /// is not said, below `10 · max(n, m) · 2⁻²³` times.
    #[track_caller]
    pub fn pinv(&self, rcond: Option<f64>) -> Tensor {
        record(Location::caller(), || {
            let (u, sigma, vt) = self.svd()?;
            let bound = rcond.unwrap_or(10.0 * self.longer()? as f64 * f64::from(f32::EPSILON));
            let there = sigma.greater(sigma.max_keepdims(-1) * bound);
            let inverse = there.select(1.0, 0.0).cast(sigma.dtype()?) / there.select(&sigma, 1.0);
            Ok((vt.t() * inverse.expand_dims(-2)).matmul(&u.t()))
        })
    }

    /// The number of singular values above `tolerance` of each matrix `[.., n, m]`, as `I32`; if it is not said, above `max(n, m) ·
    /// 2⁻²³` times the largest.
    #[track_caller]
    pub fn matrix_rank(&self, tolerance: Option<f64>) -> Tensor {
        record(Location::caller(), || {
            let sigma = self.svd()?.1;
            let above = match tolerance {
                Some(tolerance) => sigma.greater(tolerance),
                None => sigma.greater(sigma.max_keepdims(-1) * (self.longer()? as f64 * f64::from(f32::EPSILON))),
            };
            Ok(above.cast(DType::I32).sum(-1))
        })
    }

    /// The shortest `x` with `|self·x - b|` as small as can be, for `self [n, m]` and `b [n]` or `[n, k]`: `[m]` or `[m, k]`. For
    /// `rcond` see [`pinv`](Tensor::pinv); if it is not said, it is `max(n, m) · 2⁻²³`.
    #[track_caller]
    pub fn lstsq(&self, b: &Tensor, rcond: Option<f64>) -> Tensor {
        record(Location::caller(), || {
            let [n, m] = self.dims()?;
            if b.shape()?.first() != Some(&n) || b.shape()?.rank() > 2 {
                let (a, b) = (self.shape()?, b.shape()?);
                return Err(Error::shape(format!("lstsq: {a} and right sides {b} do not fit; they are [n] or [n, k]")));
            }
            let rcond = rcond.unwrap_or(n.max(m) as f64 * f64::from(f32::EPSILON));
            Ok(self.pinv(Some(rcond)).matmul(b))
        })
    }

    fn longer(&self) -> Result<usize> {
        Ok(length(self, -2)?.max(length(self, -1)?))
    }
}

/// Nothing, with the slope of this.
fn slope(x: &Tensor) -> Tensor {
    x - x.stop_gradient()
}

/// The elements beside the diagonal divided by `apart`, 0 where that is nothing beside the `scale` of both.
fn over(x: &Tensor, apart: &Tensor, scale: &Tensor) -> Tensor {
    let size = scale.abs().max_keepdims(-1).expand_dims(-1);
    let distinct = apart.abs().greater(size * f64::from(f32::EPSILON));
    distinct.select(x, 0.0) / distinct.select(apart, 1.0)
}

/// Turns of symmetric `[.., n, n]` until it is diagonal: their product.
fn eigenvectors(a: &Tensor, n: usize) -> Result<Tensor> {
    let shape = a.shape()?.clone();
    let identity = Tensor::eye(n).broadcast_to(shape.clone());
    let row = |dtype| Meta::new(dtype, [n]);
    let metas = [Meta::new(DType::F32, shape.clone()), Meta::new(DType::F32, shape), row(DType::I32), row(DType::F32)];
    let body = Body::new("jacobi", &metas, |p| {
        let (a, v, partner, first) = (&p[0], &p[1], &p[2], &p[3]);
        let own = a.diagonal(0);
        let other = own.gather(partner, -1);
        let pairs = partner.one_hot(n, DType::F32);
        let cross = (a * pairs).sum(-1);
        let Turn { cosine, tangent } = turn(&own, &other, &cross, first);
        let columns = |x: &Tensor| {
            let moved = x - x.gather(partner, -1) * tangent.expand_dims(-2);
            moved * cosine.expand_dims(-2)
        };
        let a = columns(&columns(a).t());
        // Rounding must not make it drift from its transpose.
        Ok(vec![(&a + a.t()) * 0.5, columns(v)])
    })?;
    let (partners, first) = rounds(n)?;
    let steps = partners.shape()?[0];
    let spec = ScanSpec { steps, carries: 2, inputs: 2, reverse: false };
    Ok(Tensor::scan(&body, spec, &[a.clone(), identity, partners, first])?.swap_remove(1).stop_gradient())
}

/// `(U, σ, V)` of `[.., n, m]` with `n ≥ m`, by turns of its columns until they are orthogonal.
fn singular(a: &Tensor, n: usize, m: usize) -> Result<(Tensor, Tensor, Tensor)> {
    let shape = a.shape()?.clone();
    let with: Shape = shape[..shape.rank() - 2].iter().copied().chain([m, m]).collect();
    let identity = Tensor::eye(m).broadcast_to(with.clone());
    let row = |dtype| Meta::new(dtype, [m]);
    let metas = [Meta::new(DType::F32, shape), Meta::new(DType::F32, with), row(DType::I32), row(DType::F32)];
    let body = Body::new("one_sided_jacobi", &metas, |p| {
        let (a, v, partner, first) = (&p[0], &p[1], &p[2], &p[3]);
        let own = a.square().sum(-2);
        let partners = a.gather(partner, -1);
        let Turn { cosine, tangent } = turn(&own, &own.gather(partner, -1), &(a * &partners).sum(-2), first);
        let (cosine, tangent) = (cosine.expand_dims(-2), tangent.expand_dims(-2));
        Ok(vec![(a - partners * &tangent) * &cosine, (v - v.gather(partner, -1) * &tangent) * &cosine])
    })?;
    let (partners, first) = rounds(m)?;
    let spec = ScanSpec { steps: partners.shape()?[0], carries: 2, inputs: 2, reverse: false };
    let fixed = a.stop_gradient();
    let done = Tensor::scan(&body, spec, &[fixed, identity, partners, first])?;
    let (columns, v) = (done[0].stop_gradient(), done[1].stop_gradient());
    let sigma = columns.square().sum(-2).sqrt();
    let order = sigma.argsort(-1, true);
    let fixed = sigma.take_along_axis(&order, -1);
    let order = order.expand_dims(-2);
    let (columns, v) = (columns.take_along_axis(&order, -1), v.take_along_axis(&order, -1));
    let top = fixed.max_keepdims(-1);
    let there = fixed.greater(&top * (n as f64 * f64::from(f32::EPSILON) * 0.1)).expand_dims(-2);
    let inverse = there.select(1.0, 0.0) / there.select(fixed.expand_dims(-2), 1.0);
    let u = columns * &inverse;
    // First order: dU = U (F ∘ (dP Σ + Σ dPᵀ)) + (1 - U Uᵀ) dA V Σ⁻¹ and dV likewise, with P = Uᵀ A V and F = 1 / (σⱼ² - σᵢ²).
    let image = a.matmul(&v);
    let p = u.t().matmul(&image);
    let sigma = p.diagonal(0);
    let (rest, p) = (slope(&(image - u.matmul(&p))), slope(&p));
    let (down, across) = (fixed.expand_dims(-1), fixed.expand_dims(-2));
    let apart = (&across - &down) * (&across + &down);
    let size = fixed.square();
    let left = over(&(&p * &across + p.t() * &down), &apart, &size);
    let right = over(&(&p * &down + p.t() * &across), &apart, &size);
    let turned_u = &u + u.matmul(&left) + rest * &inverse;
    let turned_v = &v + v.matmul(&right);
    Ok((turned_u, sigma, turned_v))
}

struct Turn {
    cosine: Tensor,
    tangent: Tensor,
}

/// The turn of each column against its partner, by squares (or diagonal elements) and the product of both. What one of a pair gets is
/// the opposite of what the other gets; where neither is larger, `first` (1 or -1) tells them apart, and 0 means no partner.
fn turn(own: &Tensor, other: &Tensor, cross: &Tensor, first: &Tensor) -> Turn {
    let none = cross.equal(0.0).logical_or(first.equal(0.0));
    let ratio = (other - own) * 0.5 / none.select(1.0, cross);
    let sign = ratio.equal(0.0).select(first, ratio.sign());
    let size = ratio.abs();
    // For large ratios the square would overflow, and the root is the ratio.
    let large = size.greater(1e9);
    let root = large.select(&size, (large.select(0.0, &size).square() + 1.0).sqrt());
    let tangent = none.select(0.0, sign / (size + root));
    Turn { cosine: (tangent.square() + 1.0).rsqrt(), tangent }
}

/// Rounds of a tournament in which everybody meets everybody, once per sweep: everyone's partner, and who of them is first.
fn rounds(n: usize) -> Result<(Tensor, Tensor)> {
    let seats = n + n % 2;
    let (mut partners, mut first) = (Vec::new(), Vec::new());
    for round in 0..SWEEPS * (seats - 1).max(1) {
        let turn = seats.saturating_sub(1).max(1);
        // One stays, the others move on by a seat each round.
        let player = |seat: usize| if seat == 0 { 0 } else { 1 + (seat - 1 + round) % turn };
        let mut row: Vec<usize> = (0..n).collect();
        for seat in 0..seats / 2 {
            let (a, b) = (player(seat), player(seats - 1 - seat));
            if a < n && b < n {
                (row[a], row[b]) = (b, a);
            }
        }
        first
            .extend(row.iter().enumerate().map(|(i, &p)| (p as f32 - i as f32).signum() * f32::from(u8::from(p != i))));
        partners.extend(row.into_iter().map(|p| p as i32));
    }
    let steps = partners.len() / n.max(1);
    Ok((Tensor::from_array(Array::new([steps, n], &partners)?), Tensor::from_array(Array::new([steps, n], &first)?)))
}
