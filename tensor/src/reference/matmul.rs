//! Batched matrix products.

use super::{Ranged, accumulate::Sums};
use crate::graph::{MatMul, Meta};

/// `y[.., m, n] = Σ_k a[.., m, k] · b[.., k, n]`.
pub fn apply(how: MatMul, a: &Ranged, b: &Ranged, meta: Meta) -> Ranged {
    let rank = meta.shape.rank();
    let (m, n) = (meta.shape[rank - 2], meta.shape[rank - 1]);
    let k = a.meta.shape[if how.transpose_a { rank - 2 } else { rank - 1 }];
    let batch: usize = meta.shape[..rank - 2].iter().product();
    let mut sums = Sums::new(meta.shape.numel());
    for t in 0..batch {
        for i in 0..m {
            for l in 0..k {
                let left = a.at(t * m * k + if how.transpose_a { l * m + i } else { i * k + l });
                for j in 0..n {
                    let right = b.at(t * k * n + if how.transpose_b { j * k + l } else { l * n + j });
                    sums.add_product((t * m + i) * n + j, left, right);
                }
            }
        }
    }
    sums.finish(meta)
}
