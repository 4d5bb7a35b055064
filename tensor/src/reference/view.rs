//! Views, joining, and positions: elements move, none is computed.

use super::{
    Ranged,
    approx::Approx,
    cast::{number, wrap},
    index::{around, flat, for_each},
};
use crate::graph::{Meta, View};
use std::rc::Rc;

/// The same elements under other indices.
pub fn apply(view: &View, x: &Ranged, meta: Meta) -> Ranged {
    let from = &x.meta.shape;
    let strides = from.strides();
    let mut sources = Vec::with_capacity(meta.shape.numel());
    for_each(&meta.shape, |index| {
        sources.push(match view {
            View::Reshape(_) => Some(sources.len()),
            View::Permute(order) => Some(index.iter().zip(order).map(|(i, &axis)| i * strides[axis]).sum()),
            View::Broadcast(_) => {
                let own = &index[index.len() - from.rank()..];
                Some((0..from.rank()).map(|a| if from[a] == 1 { 0 } else { own[a] * strides[a] }).sum())
            }
            View::Slice(axes) => {
                Some(index.iter().zip(axes).zip(&strides).map(|((i, axis), s)| (axis.start + i * axis.step) * s).sum())
            }
            View::Pad(pads, _) => {
                let inside = |a: usize| index[a].checked_sub(pads[a].0).filter(|&i| i < from[a]);
                (0..from.rank()).map(inside).collect::<Option<Vec<_>>>().map(|own| flat(&own, &strides))
            }
            View::Flip(axes) => {
                let own = |a: usize| if axes.contains(&a) { from[a] - 1 - index[a] } else { index[a] };
                Some((0..from.rank()).map(|a| own(a) * strides[a]).sum())
            }
        });
    });
    let fill = match view {
        View::Pad(_, value) => number(*value, meta.dtype),
        _ => Approx::exact(0.0),
    };
    Ranged::build(meta, |i| sources[i].map_or(fill, |source| x.at(source)))
}

/// One after the other along an axis.
pub fn concat(axis: usize, parts: &[Rc<Ranged>], meta: Meta) -> Ranged {
    let [outer, _, _] = around(&meta.shape, axis);
    let (mut value, mut radius) = (Vec::new(), Vec::new());
    for o in 0..outer {
        for part in parts {
            let rows = part.value.len() / outer;
            value.extend_from_slice(&part.value[o * rows..(o + 1) * rows]);
            radius.extend_from_slice(&part.radius[o * rows..(o + 1) * rows]);
        }
    }
    Ranged { meta, value, radius }
}

/// The position along an axis.
pub fn iota(axis: usize, meta: Meta) -> Ranged {
    let mut positions = Vec::with_capacity(meta.shape.numel());
    for_each(&meta.shape, |index| positions.push(wrap(index[axis] as i64, meta.dtype)));
    let dtype = meta.dtype;
    Ranged::nearest(meta, &positions, dtype)
}
