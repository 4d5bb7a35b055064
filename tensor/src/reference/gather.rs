//! Gathering and scattering slices along an axis.

use super::{Approx, Ranged, accumulate::Sums, index::around};
use crate::graph::Meta;

/// Slices of `data` at `indices`; an index out of range gives zeros.
pub fn gather(axis: usize, data: &Ranged, indices: &Ranged, meta: Meta) -> Ranged {
    let [_, len, inner] = around(&data.meta.shape, axis);
    let count = indices.value.len();
    Ranged::build(meta, |position| {
        let (outer, i, j) = (position / inner / count, position / inner % count, position % inner);
        let at = indices.value[i];
        let slice = match 0.0 <= at && at < len as f64 {
            true => data.at((outer * len + at as usize) * inner + j),
            false => Approx::exact(0.0),
        };
        if indices.at(i).is_exact() { slice } else { Approx::anything(slice.value) }
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
    if indices.radius.iter().any(|&r| r > 0.0) {
        result.radius.fill(f64::INFINITY);
    }
    result
}
