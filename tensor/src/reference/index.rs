//! Walking over the indices of a shape.

use crate::{
    error::{Error, Result},
    shape::Shape,
};

/// Calls `f` with every index of `shape`, in row-major order.
pub fn for_each(shape: &[usize], mut f: impl FnMut(&[usize])) {
    if shape.contains(&0) {
        return;
    }
    let mut index = vec![0; shape.len()];
    loop {
        f(&index);
        let Some(axis) = (0..shape.len()).rev().find(|&a| index[a] + 1 < shape[a]) else {
            return;
        };
        index[axis] += 1;
        index[axis + 1..].fill(0);
    }
}

/// Row-major position of an index.
pub fn flat(index: &[usize], strides: &[usize]) -> usize {
    index.iter().zip(strides).map(|(i, s)| i * s).sum()
}

/// The lengths around an axis: `[outer, axis, inner]`.
pub fn around(shape: &Shape, axis: usize) -> [usize; 3] {
    [shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()]
}

/// The lengths of exactly four axes.
pub fn dims4(shape: &Shape) -> Result<[usize; 4]> {
    <[usize; 4]>::try_from(shape.dims()).map_err(|_| Error::shape(format!("expected 4 axes, got shape {shape}")))
}
