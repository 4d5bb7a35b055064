//! Functions of elements and reductions sink below reshapes that split axes: they are computed in the shape of what they come from,
//! such as a product's `[batch · time, units]`, so that they can ride in its kernel. Read from above, such a value costs nothing more: its
//! coordinates are affine in those of a shape with more axes, but not the other way round.

use super::{
    coords::{groups, reshape_is_affine},
    trace::{Id, Prim, Tracer},
};
use crate::{
    graph::{Meta, View},
    shape::Shape,
};

impl Tracer<'_> {
    /// A function of elements, below the reshape that its operands have in common, if there is one.
    pub(super) fn elementwise(&mut self, prim: Prim, inputs: Vec<Id>, meta: Meta, label: &str) -> Id {
        let Some(shape) = self.shape_below(&inputs, &meta.shape) else { return self.push(prim, inputs, meta, label) };
        let inputs = inputs.into_iter().map(|input| self.sunk(input, &shape, label)).collect();
        let below = Meta { shape, dtype: meta.dtype };
        let id = self.push(prim, inputs, below, label);
        self.view(&View::Reshape(meta.shape.clone()), id, meta, label)
    }

    /// A reduction over all or none of the axes that an axis was split into: the value below, and its axes.
    pub(super) fn reduced_below(&self, axes: &[usize], of: Id) -> Option<(Id, Vec<usize>)> {
        let below = self.shape_below(&[of], &self.nodes[of].meta.shape)?;
        let mut reduced = Vec::new();
        for (split, whole) in groups(&self.nodes[of].meta.shape, &below)? {
            match split.iter().filter(|axis| axes.contains(axis)).count() {
                0 => {}
                n if n == split.len() => reduced.extend(whole),
                _ => return None,
            }
        }
        reduced.sort_unstable();
        (!reduced.is_empty()).then(|| (self.nodes[of].inputs[0], reduced))
    }

    /// The shape below a reshape that splits some of its axes into those of `above`, if every operand is such a reshape or is the
    /// same along whole axes of that shape.
    fn shape_below(&self, operands: &[Id], above: &Shape) -> Option<Shape> {
        let below = operands.iter().find_map(|&id| match self.nodes[id].prim {
            Prim::View(View::Reshape(_)) => Some(&self.nodes[self.nodes[id].inputs[0]].meta.shape),
            _ => None,
        })?;
        let splits = reshape_is_affine(above, below) && !reshape_is_affine(below, above);
        let sinks = |&id: &Id| {
            let (node, of) = (&self.nodes[id], |id: Id| &self.nodes[id].meta.shape);
            match node.prim {
                Prim::View(View::Reshape(_)) => of(node.inputs[0]) == below,
                Prim::View(View::Broadcast(_)) => joined(of(node.inputs[0]), above, below)
                    .is_some_and(|small| self.is_read_at(node.inputs[0], &small)),
                _ => false,
            }
        };
        (splits && operands.iter().all(sinks)).then(|| below.clone())
    }

    /// Whether a value can be read in this shape without being computed first.
    fn is_read_at(&self, id: Id, shape: &Shape) -> bool {
        let node = &self.nodes[id];
        match node.prim {
            Prim::Input(_) | Prim::State(_) | Prim::Param(_) => true,
            Prim::View(View::Reshape(_)) => self.is_read_at(node.inputs[0], shape),
            _ => reshape_is_affine(shape, &node.meta.shape),
        }
    }

    /// An operand that [`shape_below`](Self::shape_below) has seen, in this shape.
    fn sunk(&mut self, id: Id, shape: &Shape, label: &str) -> Id {
        let node = self.nodes[id].clone();
        let (of, dtype) = (node.inputs[0], node.meta.dtype);
        // What is not spread is a reshape of the value that it is to be.
        let Prim::View(View::Broadcast(_)) = node.prim else { return of };
        let Some(small) = joined(&self.nodes[of].meta.shape, &node.meta.shape, shape) else { return of };
        let small = Meta { shape: small, dtype };
        let same = self.nodes[of].meta == small;
        let from = if same { of } else { self.view(&View::Reshape(small.shape.clone()), of, small, label) };
        self.view(&View::Broadcast(shape.clone()), from, Meta { shape: shape.clone(), dtype }, label)
    }
}

/// The shape that is spread over `below` as `small` is over `above`, if it is spread over whole axes of `below` or not at all.
fn joined(small: &Shape, above: &Shape, below: &Shape) -> Option<Shape> {
    let missing = above.rank() - small.rank();
    let len = |axis: usize| if axis < missing { 1 } else { small[axis - missing] };
    let mut dims = vec![1; below.rank()];
    for (split, whole) in groups(above, below)? {
        let [whole] = whole[..] else { return None };
        if split.iter().all(|&axis| len(axis) == above[axis]) {
            dims[whole] = below[whole];
        } else if split.iter().any(|&axis| len(axis) != 1) {
            return None;
        }
    }
    // Axes in front come by themselves.
    Some(dims.into_iter().skip_while(|&n| n == 1).collect())
}
