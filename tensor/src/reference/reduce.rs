//! Reductions over axes.

use super::{
    Ranged,
    accumulate::Sums,
    cast::{truth, wrap},
    index::for_each,
};
use crate::graph::{Meta, ReduceOp};

/// Over these axes, which vanish.
pub fn apply(op: ReduceOp, axes: &[usize], x: &Ranged, meta: Meta) -> Ranged {
    let groups = groups(axes, x, &meta);
    match op {
        ReduceOp::Sum if meta.dtype.is_float() => {
            let mut sums = Sums::new(groups.len());
            for (at, group) in groups.iter().enumerate() {
                group.iter().for_each(|&i| sums.add(at, x.at(i)));
            }
            sums.finish(meta)
        }
        _ => {
            let dtype = meta.dtype;
            Ranged::build(meta, |at| {
                let values = groups[at].iter().map(|&i| x.value[i]);
                let value = match op {
                    ReduceOp::Sum => wrap(values.fold(0i64, |sum, v| sum.wrapping_add(v as i64)), dtype),
                    ReduceOp::Prod if dtype.is_float() => values.product(),
                    ReduceOp::Prod => wrap(values.fold(1i64, |product, v| product.wrapping_mul(v as i64)), dtype),
                    ReduceOp::Max => values.fold(f64::NEG_INFINITY, f64::max),
                    ReduceOp::Min => values.fold(f64::INFINITY, f64::min),
                    ReduceOp::ArgMax => first(values, |v, best| v > best),
                    ReduceOp::ArgMin => first(values, |v, best| v < best),
                    ReduceOp::Any => truth(values.into_iter().any(|v| v != 0.0)),
                    ReduceOp::All => truth(values.into_iter().all(|v| v != 0.0)),
                };
                (value, 0.0)
            })
        }
    }
}

/// Position of the first value that no other one beats.
fn first(values: impl Iterator<Item = f64>, beats: impl Fn(f64, f64) -> bool) -> f64 {
    let best = values.enumerate().reduce(|best, next| if beats(next.1, best.1) { next } else { best });
    best.map_or(0.0, |(position, _)| position as f64)
}

/// For each element of the result, the positions of the elements it is computed from, in order.
fn groups(axes: &[usize], x: &Ranged, meta: &Meta) -> Vec<Vec<usize>> {
    let shape = &x.meta.shape;
    let kept: Vec<usize> = (0..shape.rank()).filter(|axis| !axes.contains(axis)).collect();
    let strides = meta.shape.strides();
    let mut groups = vec![Vec::new(); meta.shape.numel()];
    let mut position = 0;
    for_each(shape, |index| {
        let at: usize = kept.iter().zip(&strides).map(|(&axis, stride)| index[axis] * stride).sum();
        groups[at].push(position);
        position += 1;
    });
    groups
}
