//! Equalities that make a graph smaller on its way into the trace.

use super::trace::{Id, Prim, Tracer};
use crate::{
    dtype::{DType, Scalar},
    graph::{Binary, Meta, ReduceOp, Unary, View},
    shape::Shape,
};

/// Most factors that are taken out of one sum.
const FACTORS: usize = 16;

impl Tracer<'_> {
    /// Views of views become one view where that is simple.
    pub(super) fn view(&mut self, view: &View, of: Id, meta: Meta, label: &str) -> Id {
        let below = self.nodes[of].clone();
        match (view, &below.prim) {
            (View::Reshape(_), Prim::View(View::Reshape(_))) => {
                let source = below.inputs[0];
                if self.nodes[source].meta == meta {
                    return source;
                }
                self.push(Prim::View(view.clone()), vec![source], meta, label)
            }
            (View::Broadcast(_), Prim::View(View::Broadcast(_))) => {
                self.push(Prim::View(view.clone()), vec![below.inputs[0]], meta, label)
            }
            (View::Permute(outer), Prim::View(View::Permute(inner))) => {
                let order: Vec<usize> = outer.iter().map(|&a| inner[a]).collect();
                match order.iter().copied().eq(0..order.len()) {
                    true => below.inputs[0],
                    false => self.push(Prim::View(View::Permute(order)), vec![below.inputs[0]], meta, label),
                }
            }
            _ => self.push(Prim::View(view.clone()), vec![of], meta, label),
        }
    }

    /// Neighbouring parts that were padded with zeros to one shape are joined, not added: the gradient of slices.
    pub(super) fn add(&mut self, a: Id, b: Id, meta: Meta, label: &str) -> Id {
        let Some(parts) = self.neighbours(a, b) else {
            return self.elementwise(Prim::Binary(Binary::Add), vec![a, b], meta, label);
        };
        let (first, last) = (&parts[0], &parts[parts.len() - 1]);
        let (axis, before, end, zero) = (first.axis, first.before, last.before + last.len, first.zero);
        let mut joined = Vec::new();
        for part in &parts {
            match self.nodes[part.of].prim {
                Prim::Concat(along) if along == axis => joined.extend_from_slice(&self.nodes[part.of].inputs),
                _ => joined.push(part.of),
            }
        }
        let mut dims = meta.shape.to_vec();
        let after = dims[axis] - end;
        dims[axis] = end - before;
        let whole = self.push(Prim::Concat(axis), joined, Meta::new(meta.dtype, dims), label);
        if before == 0 && after == 0 {
            return whole;
        }
        let mut pads = vec![(0, 0); meta.shape.rank()];
        pads[axis] = (before, after);
        self.push(Prim::View(View::Pad(pads, zero)), vec![whole], meta, label)
    }

    /// The padded parts whose sum `a + b` is, in order, if each begins where the one before ends.
    fn neighbours(&self, a: Id, b: Id) -> Option<Vec<Padded>> {
        const MOST: usize = 64;
        let mut parts = Vec::new();
        let mut stack = vec![a, b];
        while let Some(id) = stack.pop() {
            match self.padded(id) {
                Some(part) => parts.push(part),
                None if self.nodes[id].prim == Prim::Binary(Binary::Add) && stack.len() + parts.len() < MOST => {
                    stack.extend_from_slice(&self.nodes[id].inputs);
                }
                None => return None,
            }
        }
        parts.sort_by_key(|part| part.before);
        let meet = |w: &[Padded]| w[0].axis == w[1].axis && w[0].before + w[0].len == w[1].before;
        parts.windows(2).all(meet).then_some(parts)
    }

    /// A value padded with zeros along one axis.
    fn padded(&self, id: Id) -> Option<Padded> {
        let Prim::View(View::Pad(pads, zero)) = &self.nodes[id].prim else { return None };
        let mut padded = (0..pads.len()).filter(|&a| pads[a] != (0, 0));
        let (axis, None) = (padded.next()?, padded.next()) else { return None };
        let of = self.nodes[id].inputs[0];
        let len = self.nodes[of].meta.shape[axis];
        (zero.as_f64() == 0.0).then_some(Padded { of, axis, before: pads[axis].0, len, zero: *zero })
    }

    /// A reduction over axes of length 1 is a reshape. What a sum multiplies by the same factor everywhere is multiplied after it:
    /// that is one product per result instead of one per term, and sums that differ in such factors are one sum.
    pub(super) fn reduce(&mut self, op: ReduceOp, axes: &[usize], of: Id, meta: Meta, label: &str) -> Id {
        let from = &self.nodes[of].meta.shape;
        let trivial = axes.iter().all(|&a| from[a] == 1);
        if trivial && !matches!(op, ReduceOp::ArgMax | ReduceOp::ArgMin) {
            return self.view(&View::Reshape(meta.shape.clone()), of, meta, label);
        }
        if let Some((of, axes)) = self.reduced_below(axes, of) {
            let from = &self.nodes[of].meta.shape;
            let shape: Shape = (0..from.rank()).filter(|axis| !axes.contains(axis)).map(|axis| from[axis]).collect();
            let below = Meta { shape, dtype: meta.dtype };
            let reduced = self.reduce(op, &axes, of, below.clone(), label);
            return match below == meta {
                true => reduced,
                false => self.view(&View::Reshape(meta.shape.clone()), reduced, meta, label),
            };
        }
        let (mut rest, mut outer) = (of, Vec::new());
        while op == ReduceOp::Sum && self.nodes[of].meta.dtype == DType::F32 && outer.len() < FACTORS {
            let Some((then, inside)) = self.factor(rest, axes, &meta, label) else { break };
            outer.push(then);
            rest = inside;
        }
        let sum = self.push(Prim::Reduce(op, axes.to_vec()), vec![rest], meta.clone(), label);
        outer
            .into_iter()
            .rev()
            .fold(sum, |sum, (prim, by)| self.push(prim, std::iter::once(sum).chain(by).collect(), meta.clone(), label))
    }

    /// What can be done to the sum of the other value over `axes` instead of to each of its terms.
    #[allow(clippy::type_complexity)]
    fn factor(&mut self, of: Id, axes: &[usize], meta: &Meta, label: &str) -> Option<((Prim, Option<Id>), Id)> {
        let node = self.nodes[of].clone();
        match node.prim {
            Prim::Unary(Unary::Neg) => Some(((node.prim, None), node.inputs[0])),
            Prim::Binary(op @ (Binary::Mul | Binary::Div)) => {
                let (a, b) = (node.inputs[0], node.inputs[1]);
                if let Some(by) = self.without(b, axes, &meta.shape, label) {
                    return Some(((node.prim, Some(by)), a));
                }
                let by = if op == Binary::Mul { self.without(a, axes, &meta.shape, label) } else { None };
                by.map(|by| ((node.prim, Some(by)), b))
            }
            _ => None,
        }
    }

    /// A value without these axes, if it is the same all along them.
    fn without(&mut self, id: Id, axes: &[usize], shape: &Shape, label: &str) -> Option<Id> {
        let node = &self.nodes[id];
        let Prim::View(View::Broadcast(_)) = &node.prim else { return None };
        let (dtype, rank, of) = (node.meta.dtype, node.meta.shape.rank(), node.inputs[0]);
        let below = &self.nodes[of].meta.shape;
        let added = rank - below.rank();
        let reduced = |axis: usize| axes.contains(&(axis + added));
        if (0..below.rank()).any(|axis| reduced(axis) && below[axis] != 1) {
            return None;
        }
        let kept: Shape = (0..below.rank()).filter(|&axis| !reduced(axis)).map(|axis| below[axis]).collect();
        let mut id = of;
        if kept.rank() != below.rank() {
            id = self.view(&View::Reshape(kept.clone()), id, Meta { dtype, shape: kept.clone() }, label);
        }
        if kept != *shape {
            let wide = Meta { dtype, shape: shape.clone() };
            id = self.view(&View::Broadcast(shape.clone()), id, wide, label);
        }
        Some(id)
    }
}

/// See [`Tracer::padded`].
struct Padded {
    of: Id,
    axis: usize,
    before: usize,
    len: usize,
    zero: Scalar,
}
