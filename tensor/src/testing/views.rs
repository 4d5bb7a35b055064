//! Random views with a wanted result.

use super::{cells::ViewKind, rng::Rng};
use crate::{
    dtype::Scalar,
    graph::{SliceAxis, Tensor, View},
};

/// A view, and the shape it wants to see.
#[derive(Clone, Debug)]
pub struct Lens {
    /// Shape of its operand.
    pub source: Vec<usize>,
    /// The view.
    pub view: View,
}

impl Lens {
    /// A view of this kind whose result has the shape `target`, if there is one that changes anything.
    pub fn onto(kind: ViewKind, target: &[usize], fill: Scalar, rng: &mut Rng) -> Option<Lens> {
        let rank = target.len();
        let mut source = target.to_vec();
        let axis = rng.below(rank);
        let view = match kind {
            ViewKind::Reshape => {
                source = reshaped(target, rng)?;
                View::Reshape(target.into())
            }
            ViewKind::Permute => {
                let mut order: Vec<usize> = (0..rank).collect();
                rng.shuffle(&mut order);
                if order.iter().copied().eq(0..rank) {
                    return None;
                }
                for (&len, &from) in target.iter().zip(&order) {
                    *source.get_mut(from)? = len;
                }
                View::Permute(order)
            }
            ViewKind::Broadcast => {
                *source.get_mut(axis)? = 1;
                source.iter_mut().for_each(|len| *len = if rng.chance(25) { 1 } else { *len });
                while source.first() == Some(&1) && rng.chance(60) {
                    source.remove(0);
                }
                View::Broadcast(target.into())
            }
            ViewKind::Slice => {
                let mut axes = Vec::new();
                for (i, len) in source.iter_mut().enumerate() {
                    let cut = i == axis || rng.chance(30);
                    let (start, step) = if cut { (rng.below(3), rng.between(1, 3)) } else { (0, 1) };
                    let stop = if *len == 0 { start } else { start + (*len - 1) * step + 1 };
                    axes.push(SliceAxis { start, stop, step });
                    *len = stop + if cut { rng.below(3) } else { 0 };
                }
                View::Slice(axes)
            }
            ViewKind::Pad => {
                let mut pads = Vec::new();
                for len in &mut source {
                    let before = rng.below(3).min(len.saturating_sub(1));
                    let after = rng.below(3).min(len.saturating_sub(1 + before));
                    *len -= before + after;
                    pads.push((before, after));
                }
                View::Pad(pads, fill)
            }
            ViewKind::Flip => {
                let mut axes: Vec<usize> = (0..rank).filter(|&a| a == axis || rng.chance(30)).collect();
                axes.dedup();
                if axes.is_empty() {
                    return None;
                }
                View::Flip(axes)
            }
        };
        let changes = source != target || matches!(kind, ViewKind::Permute | ViewKind::Flip);
        changes.then_some(Lens { source, view })
    }

    /// `x` through the view.
    pub fn apply(&self, x: &Tensor) -> Tensor {
        let signed = |axes: &[usize]| axes.iter().map(|&a| a as isize).collect::<Vec<_>>();
        match &self.view {
            View::Reshape(shape) => x.reshape(shape),
            View::Permute(order) => x.permute(signed(order)),
            View::Broadcast(shape) => x.broadcast_to(shape),
            View::Slice(axes) => x.slice_axes(axes.clone()),
            View::Pad(pads, fill) => x.pad(pads.clone(), *fill),
            View::Flip(axes) => x.flip(signed(axes)),
        }
    }
}

/// Another shape with as many elements.
fn reshaped(shape: &[usize], rng: &mut Rng) -> Option<Vec<usize>> {
    let mut other = shape.to_vec();
    let axis = rng.below(shape.len());
    match rng.below(4) {
        0 => other = vec![shape.iter().product()],
        1 => other.insert(rng.below(shape.len() + 1), 1),
        2 if axis + 1 < shape.len() => {
            let next = other.remove(axis + 1);
            *other.get_mut(axis)? *= next;
        }
        _ => {
            let len = *shape.get(axis)?;
            let factor = (2..len).find(|f| len % f == 0)?;
            *other.get_mut(axis)? = factor;
            other.insert(axis, len / factor);
        }
    }
    (other != shape).then_some(other)
}
