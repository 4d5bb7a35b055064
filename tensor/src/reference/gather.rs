//! Gathering and scattering slices along an axis.

use super::{Ranged, accumulate::Sums, cast::wrap, index::around};
use crate::graph::Meta;

/// Slices of `data` at `indices`; an index out of range gives zeros.
pub fn gather(axis: usize, data: &Ranged, indices: &Ranged, meta: Meta) -> Ranged {
    let [_, len, inner] = around(&data.meta.shape, axis);
    let count = indices.value.len();
    Ranged::build(meta, |position| {
        let (outer, i, j) = (position / inner / count, position / inner % count, position % inner);
        let at = indices.value[i];
        match 0.0 <= at && at < len as f64 {
            true => data.at((outer * len + at as usize) * inner + j),
            false => (0.0, 0.0),
        }
    })
}

/// Zeros, with `updates` added at `indices`; indices out of range are left out.
pub fn scatter_add(axis: usize, indices: &Ranged, updates: &Ranged, meta: Meta) -> Ranged {
    let [outer, len, inner] = around(&meta.shape, axis);
    let count = indices.value.len();
    let mut sums = Sums::new(meta.shape.numel());
    for o in 0..outer {
        for (i, &at) in indices.value.iter().enumerate() {
            if 0.0 <= at && at < len as f64 {
                for j in 0..inner {
                    sums.add((o * len + at as usize) * inner + j, updates.at((o * count + i) * inner + j));
                }
            }
        }
    }
    let mut result = sums.finish(meta);
    if result.meta.dtype.is_int() {
        result.value.iter_mut().for_each(|v| *v = wrap(*v as i64, result.meta.dtype));
    }
    result
}
