//! Pooling over one and three axes, and to a wanted size: compositions of the two-dimensional family.

use super::{
    record,
    window::{Pads, PoolNd},
};
use crate::{
    array::Array,
    error::{Error, Result},
    graph::{Pool2d, Tensor},
};
use std::panic::Location;

/// What is taken of a window.
#[derive(Clone, Copy)]
enum Take {
    Max,
    Mean,
}

impl Tensor {
    /// Largest of each window: `[n, l, c] -> [n, ol, c]`.
    #[track_caller]
    pub fn max_pool1d(&self, pool: &PoolNd<1>) -> Tensor {
        let origin = Location::caller();
        record(origin, || one(self, pool, Take::Max))
    }

    /// Mean of the existing cells of each window: `[n, l, c] -> [n, ol, c]`.
    #[track_caller]
    pub fn avg_pool1d(&self, pool: &PoolNd<1>) -> Tensor {
        let origin = Location::caller();
        record(origin, || one(self, pool, Take::Mean))
    }

    /// Largest of each window: `[n, d, h, w, c] -> [n, od, oh, ow, c]`. Of equal ones, gradients go to the first in depth of those
    /// that are first in their layer.
    #[track_caller]
    pub fn max_pool3d(&self, pool: &PoolNd<3>) -> Tensor {
        let origin = Location::caller();
        record(origin, || three(self, pool, Take::Max))
    }

    /// Mean of the existing cells of each window: `[n, d, h, w, c] -> [n, od, oh, ow, c]`.
    #[track_caller]
    pub fn avg_pool3d(&self, pool: &PoolNd<3>) -> Tensor {
        let origin = Location::caller();
        record(origin, || three(self, pool, Take::Mean))
    }

    /// Mean of as many parts of each spatial axis (all but the first and the last) as `sizes` says: part `i` of `o` goes from
    /// `⌊i·n / o⌋` to before `⌈(i + 1)·n / o⌉`. Parts overlap where `o` does not divide the length.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1.0f32, 2.0, 3.0], [1, 3, 1]);
    /// assert_eq!(x.adaptive_avg_pool(&[2]).to_vec::<f32>()?, vec![1.5, 2.5]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn adaptive_avg_pool(&self, sizes: &[usize]) -> Tensor {
        let origin = Location::caller();
        record(origin, || adaptive(self, sizes, Take::Mean))
    }

    /// Largest of as many parts of each spatial axis as `sizes` says; the parts are those of
    /// [`adaptive_avg_pool`](Tensor::adaptive_avg_pool).
    #[track_caller]
    pub fn adaptive_max_pool(&self, sizes: &[usize]) -> Tensor {
        let origin = Location::caller();
        record(origin, || adaptive(self, sizes, Take::Max))
    }
}

fn pooled(x: &Tensor, pool: Pool2d, take: Take) -> Tensor {
    match take {
        Take::Max => x.max_pool2d(pool),
        Take::Mean => x.avg_pool2d(pool),
    }
}

fn one(x: &Tensor, pool: &PoolNd<1>, take: Take) -> Result<Tensor> {
    let [_, l, _] = x.dims()?;
    if pool.pads == Pads::Causal {
        return Err(Error::argument("pooling is not causal; pad with `Valid`, `Same` or `Explicit`"));
    }
    let pads = pool.pads.cells(0, l, pool.window[0], pool.strides[0])?;
    let flat = Pool2d { window: [1, pool.window[0]], strides: [1, pool.strides[0]], pads: [(0, 0), pads] };
    Ok(pooled(&x.expand_dims(1), flat, take).squeeze(1))
}

/// Layers first, then through the layers: the largest of the largest, and, as all windows of a kind count the same cells in
/// every layer, the mean of the means.
fn three(x: &Tensor, pool: &PoolNd<3>, take: Take) -> Result<Tensor> {
    let [n, d, h, w, c] = x.dims()?;
    let ([kd, kh, kw], [sd, sh, sw]) = (pool.window, pool.strides);
    let cells = |i: usize, n: usize| pool.pads.cells(i, n, pool.window[i], pool.strides[i]);
    let (deep, rows, columns) = (cells(0, d)?, cells(1, h)?, cells(2, w)?);
    let layers = Pool2d { window: [kh, kw], strides: [sh, sw], pads: [rows, columns] };
    let flat = pooled(&x.reshape([n * d, h, w, c]), layers, take);
    let [_, oh, ow, _] = flat.dims()?;
    let through = Pool2d { window: [kd, 1], strides: [sd, 1], pads: [deep, (0, 0)] };
    let y = pooled(&flat.reshape([n, d, oh * ow, c]), through, take);
    let [_, od, _, _] = y.dims()?;
    Ok(y.reshape([n, od, oh, ow, c]))
}

fn adaptive(x: &Tensor, sizes: &[usize], take: Take) -> Result<Tensor> {
    let shape = x.shape()?;
    if shape.rank() != sizes.len() + 2 || sizes.contains(&0) || shape.contains(&0) {
        return Err(Error::shape(format!("adaptive pooling to {sizes:?} needs [n, spatial.., c], got shape {shape}")));
    }
    let mut y = x.clone();
    for (i, &wanted) in sizes.iter().enumerate() {
        y = parts(&y, i + 1, wanted, take)?;
    }
    Ok(y)
}

/// Axis `axis` in `wanted` parts.
fn parts(x: &Tensor, axis: usize, wanted: usize, take: Take) -> Result<Tensor> {
    let n = x.shape()?[axis];
    let axis = axis as isize;
    let part = |i: usize| i * n / wanted..((i + 1) * n).div_ceil(wanted);
    match take {
        _ if n == wanted => Ok(x.clone()),
        // One product with the parts' weights.
        Take::Mean => {
            let mut weights = vec![0.0f32; n * wanted];
            for i in 0..wanted {
                let cells = part(i);
                let weight = 1.0 / cells.len() as f32;
                cells.for_each(|cell| weights[cell * wanted + i] = weight);
            }
            let weights = Tensor::from_array(Array::new([n, wanted], &weights)?).cast(x.dtype()?);
            Ok(x.move_axis(axis, -1).matmul(&weights).move_axis(-1, axis))
        }
        Take::Max => {
            let parts: Vec<Tensor> = (0..wanted).map(|i| x.slice(axis, part(i)).max_keepdims(axis)).collect();
            Ok(Tensor::concat(&parts, axis))
        }
    }
}
