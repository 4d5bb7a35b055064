//! Factorisations of matrices `[.., n, m]`, batch axes in front: loops over columns, each step of which is elementwise work and
//! sums. For small matrices; gradients are those of the loops.

use super::record;
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::{Body, Meta, ScanSpec, Tensor},
    shape::Shape,
};
use std::panic::Location;

impl Tensor {
    /// The lower triangular `L` with `L·Lᵀ = self`, for symmetric positive definite matrices `[.., n, n]`, of which the lower
    /// triangle is read. Where there is none it holds NaN.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([4.0f32, 2.0, 2.0, 5.0], [2, 2]);
    /// assert_eq!(x.cholesky().to_vec::<f32>()?, vec![2.0, 0.0, 1.0, 2.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn cholesky(&self) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let a = floats(self)?;
            let n = square(&a, "cholesky")?;
            let row = Meta::new(a.dtype()?, [n]);
            let metas = [a.meta()?.clone(), row, Meta::new(DType::Bool, [n])];
            let body = Body::new("cholesky", &metas, |p| {
                let (a, here, below) = (&p[0], &p[1], &p[2]);
                let column = (a * here).sum(-1);
                let pivot = (&column * here).sum_keepdims(-1);
                let column = below.select(column / pivot.sqrt(), 0.0);
                Ok(vec![a - column.expand_dims(-1) * column.expand_dims(-2), column])
            })?;
            let spec = ScanSpec { steps: n, carries: 1, inputs: 2, reverse: false };
            let from = Tensor::tri(n, n, 0, DType::Bool).t();
            let columns = Tensor::scan(&body, spec, &[a.clone(), unit_rows(n, n, a.dtype()?), from])?;
            Ok(columns[1].move_axis(0, -1))
        })
    }

    /// The `x` with `self·x = b`, where `self [.., n, n]` is triangular: the other triangle is not read. `b` is `[.., n, m]`.
    #[track_caller]
    pub fn solve_triangular(&self, b: &Tensor, lower: bool) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let a = floats(self)?;
            let n = square(&a, "solve_triangular")?;
            let a = if lower { a.tril(0) } else { a.triu(0) };
            let (a, b) = (a.clone(), floats(b)?.cast_at(a.dtype()?, origin));
            let shape = fitting(&a, &b, n, "solve_triangular")?;
            let (batch, m) = (&shape[..shape.rank() - 2], shape[shape.rank() - 1]);
            let with = |tail: &[usize]| -> Shape { batch.iter().chain(tail).copied().collect() };
            let (a, b) = (a.broadcast_to(with(&[n, n])), b.broadcast_to(with(&[n, m])));
            let dtype = a.dtype()?;
            let metas = [Meta::new(dtype, with(&[n, m])), Meta::new(dtype, with(&[n])), Meta::new(dtype, [n])];
            let body = Body::new("solve_triangular", &metas, |p| {
                let (rest, column, here) = (&p[0], &p[1], &p[2]);
                let pivot = (column * here).sum_keepdims(-1);
                let x = (rest * here.expand_dims(-1)).sum(-2) / pivot;
                Ok(vec![rest - column.expand_dims(-1) * x.expand_dims(-2), x])
            })?;
            let spec = ScanSpec { steps: n, carries: 1, inputs: 2, reverse: !lower };
            let solved = Tensor::scan(&body, spec, &[b, a.move_axis(-1, 0), unit_rows(n, n, dtype)])?;
            Ok(solved[1].move_axis(0, -2))
        })
    }

    /// `(Q, R)` with `Q·R = self [.., n, m]`, by Householder's reflections: `Q [.., n, k]` has orthonormal columns and `R [.., k, m]`
    /// is upper triangular, `k` being the smaller of both lengths.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([3.0f32, 1.0, 4.0, 1.0], [2, 2]);
    /// let (q, r) = x.qr()?;
    /// let back = q.matmul(&r).to_vec::<f32>()?;
    /// assert!(back.iter().zip([3.0, 1.0, 4.0, 1.0]).all(|(a, b)| (a - b).abs() < 1e-5));
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn qr(&self) -> Result<(Tensor, Tensor)> {
        let origin = Location::caller();
        let parts = || {
            let Reflected { q, r, .. } = reflect(self)?;
            let (n, m) = (length(&r, -2)?, length(&r, -1)?);
            let k = n.min(m);
            Ok((q.slice(-1, ..k), r.slice(-2, ..k).triu(0)))
        };
        parts().map_err(|e: Error| e.at(origin))
    }

    /// The `x` with `self·x = b`, for invertible matrices `[.., n, n]` and `b [.., n, m]`, by [`qr`](Tensor::qr).
    #[track_caller]
    pub fn solve(&self, b: &Tensor) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let n = square(self, "solve")?;
            fitting(self, b, n, "solve")?;
            let Reflected { q, r, .. } = reflect(self)?;
            Ok(r.solve_triangular(&q.t().matmul(b), false))
        })
    }

    /// The inverse of matrices `[.., n, n]`. To solve equations, [`solve`](Tensor::solve) is nearer and cheaper.
    #[track_caller]
    pub fn inv(&self) -> Tensor {
        let origin = Location::caller();
        record(origin, || Ok(self.solve(&Tensor::eye(square(self, "inv")?))))
    }

    /// The determinant of each matrix `[.., n, n]`, by [`qr`](Tensor::qr).
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([0.0f32, 2.0, 3.0, 0.0], [2, 2]);
    /// assert!((x.det().item::<f32>()? + 6.0).abs() < 1e-5);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn det(&self) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            square(self, "det")?;
            let Reflected { r, sign, .. } = reflect(self)?;
            let diagonal = r.diagonal(0).prod(-1);
            Ok(match sign {
                Some(sign) => diagonal * sign,
                None => diagonal,
            })
        })
    }
}

/// What reflections make of a matrix.
pub(super) struct Reflected {
    /// Their product, square.
    pub q: Tensor,
    /// What is left; zeros below the diagonal only up to rounding.
    pub r: Tensor,
    /// The determinant of `q`, unless there was nothing to reflect.
    pub sign: Option<Tensor>,
}

/// Householder's reflections, one for each column that has something below the diagonal.
pub(super) fn reflect(a: &Tensor) -> Result<Reflected> {
    let a = floats(a)?;
    let shape = a.shape()?.clone();
    let [batch @ .., n, m] = shape.dims() else {
        return Err(Error::shape(format!("qr needs matrices [.., n, m], got shape {shape}")));
    };
    let (n, m, dtype) = (*n, *m, a.dtype()?);
    let with = |tail: &[usize]| -> Shape { batch.iter().chain(tail).copied().collect() };
    let q = Tensor::eye(n).cast(dtype).broadcast_to(with(&[n, n]));
    let steps = n.saturating_sub(1).min(m);
    if steps == 0 {
        return Ok(Reflected { q, r: a, sign: None });
    }
    let row = |n: usize| Meta::new(dtype, [n]);
    let metas = [
        a.meta()?.clone(),
        q.meta()?.clone(),
        Meta::new(dtype, with(&[])),
        row(m),
        row(n),
        Meta::new(DType::Bool, [n]),
    ];
    let body = Body::new("householder", &metas, |p| {
        let [r, q, sign, column, here, below] = p else {
            return Err(Error::argument("a reflection has six parameters"));
        };
        let x = (r * column).sum(-1);
        let tail = below.select(&x, 0.0);
        let pivot = (&x * here).sum_keepdims(-1);
        let rest = tail.square().sum_keepdims(-1);
        // Nothing below the diagonal: no reflection, and no root of zero whose slope is infinite.
        let done = rest.equal(0.0);
        let norm = done.select(1.0, pivot.square() + rest).sqrt();
        let away = pivot.less(0.0).select(&pivot - &norm, &pivot + &norm);
        let v = tail + here * away;
        let factor = done.select(0.0, 2.0 / done.select(1.0, v.square().sum_keepdims(-1)));
        let (tall, wide) = (v.expand_dims(-1), v.expand_dims(-2));
        let factor_of = factor.expand_dims(-1);
        let r = r - &factor_of * &tall * (&tall * r).sum_keepdims(-2);
        let q = q - &factor_of * (q * &wide).sum_keepdims(-1) * &wide;
        let sign = sign * done.select(1.0, -1.0).cast(dtype).squeeze(-1);
        Ok(vec![r, q, sign])
    })?;
    let spec = ScanSpec { steps, carries: 3, inputs: 3, reverse: false };
    let below = Tensor::tri(n, n, -1, DType::Bool).t().slice(0, ..steps);
    let inputs =
        [a, q, Tensor::full(dtype, with(&[]), 1), unit_rows(steps, m, dtype), unit_rows(steps, n, dtype), below];
    let done = Tensor::scan(&body, spec, &inputs)?;
    Ok(Reflected { r: done[0].clone(), q: done[1].clone(), sign: Some(done[2].clone()) })
}

/// The first `rows` rows of an identity matrix.
fn unit_rows(rows: usize, columns: usize, dtype: DType) -> Tensor {
    Tensor::eye_with(rows, columns, 0, dtype)
}

pub(super) fn floats(x: &Tensor) -> Result<Tensor> {
    Ok(if x.dtype()?.is_float() { x.clone() } else { x.cast(DType::F32) })
}

pub(super) fn length(x: &Tensor, axis: isize) -> Result<usize> {
    let shape = x.shape()?;
    Ok(shape[shape.axis(axis)?])
}

pub(super) fn square(x: &Tensor, name: &str) -> Result<usize> {
    match x.shape()?.dims() {
        [.., n, m] if n == m && *n > 0 => Ok(*n),
        _ => Err(Error::shape(format!("{name} needs square matrices [.., n, n], got shape {}", x.shape()?))),
    }
}

/// The shape of `b` with all batch axes.
fn fitting(a: &Tensor, b: &Tensor, n: usize, name: &str) -> Result<Shape> {
    let (left, right) = (a.shape()?, b.shape()?);
    let wrong = || {
        Error::shape(format!(
            "{name}: matrices {left} and right sides {right} do not fit; the right sides are [.., n, m]"
        ))
    };
    let [batch @ .., rows, m] = right.dims() else { return Err(wrong()) };
    if *rows != n {
        return Err(wrong());
    }
    let common = Shape::from(batch).broadcast(&left[..left.rank() - 2].into()).map_err(|_| wrong())?;
    Ok(common.iter().copied().chain([n, *m]).collect())
}
