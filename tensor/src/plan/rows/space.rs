//! Rows and what lies along them, by shape alone: axes of length 1 do not count.

use crate::{
    graph::View,
    plan::{
        coords::{below, flat, identity, reshape_is_affine},
        expr::{Affine, Guard},
        materialize::undelayed,
        trace::{Id, Prim, TracedNode},
    },
};
use std::collections::HashSet;

/// A space whose last axes are a row. No axis has length 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Space {
    /// Lengths of the axes.
    pub shape: Vec<usize>,
    /// How many of the last ones are the row.
    pub axes: usize,
}

/// How the elements of a value lie in a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lies {
    /// One for each index.
    Along,
    /// One for each row.
    PerRow,
}

/// At which of its elements a value is read from an index of the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// At the one of the index, or of its row.
    Own(Lies),
    /// At some other.
    Other,
}

impl Space {
    /// The space of a reduction over the innermost axes, if a row has 2 elements or more, and at most `longest`.
    pub fn of(nodes: &[TracedNode], id: Id, longest: usize) -> Option<Space> {
        let Prim::Reduce(_, reduced) = &nodes[id].prim else { return None };
        let of = &nodes[nodes[id].inputs[0]].meta.shape;
        let long: Vec<usize> = (0..of.rank()).filter(|&axis| of[axis] != 1).collect();
        let axes = long.iter().filter(|axis| reduced.contains(axis)).count();
        let (_, row) = long.split_at(long.len() - axes);
        let len: usize = row.iter().map(|&axis| of[axis]).product();
        let innermost = row.iter().all(|axis| reduced.contains(axis));
        let fits = innermost && (2..=longest).contains(&len);
        fits.then(|| Space { shape: long.iter().map(|&axis| of[axis]).collect(), axes })
    }
    /// The axes that count rows.
    pub fn rows(&self) -> &[usize] {
        &self.shape[..self.shape.len() - self.axes]
    }
    /// How a value of this shape lies here, if it does: with the same axes, or with some of them joined.
    pub fn lies(&self, shape: &[usize]) -> Option<Lies> {
        let joins =
            |axes: &[usize]| axes.iter().product::<usize>() == shape.iter().product() && reshape_is_affine(axes, shape);
        if joins(&self.shape) {
            Some(Lies::Along)
        } else if joins(self.rows()) {
            Some(Lies::PerRow)
        } else {
            None
        }
    }
    /// Whether rows of another space are the rows here, in the same order.
    pub fn holds(&self, other: &Space) -> bool {
        self.lies(&other.shape) == Some(Lies::Along) && self.lies(other.rows()) == Some(Lies::PerRow)
    }
    /// Coordinates in a value that lies here, for code over the space or, if `rank` is that of the rows, over the rows.
    pub fn coords(&self, shape: &[usize], rank: usize) -> Vec<Affine> {
        let axes = if self.lies(shape) == Some(Lies::PerRow) { self.rows() } else { &self.shape };
        let joined = View::Reshape(shape.iter().copied().collect());
        let coords = below(&joined, axes, shape, &identity(rank), rank, &mut Vec::new());
        // Of what does not lie here, nobody asks.
        coords.unwrap_or_else(|| vec![Affine::constant(0, rank); shape.len()])
    }
}

/// Values in memory that computing a value reads, each with where. `own` computes the value itself even if it lies in memory.
/// `None` if the value does not lie in the space.
pub fn reads(nodes: &[TracedNode], memory: &[bool], space: &Space, id: Id, own: bool) -> Option<Vec<(Id, Read)>> {
    space.lies(nodes[id].meta.shape.dims())?;
    let mut walk = Walk { nodes, memory, space, found: Vec::new(), seen: HashSet::new() };
    let coords = space.coords(nodes[id].meta.shape.dims(), space.shape.len());
    match own {
        true => walk.expand(id, &coords, &[]),
        false => walk.value(id, &coords, &[]),
    }
    Some(walk.found)
}

struct Walk<'a> {
    nodes: &'a [TracedNode],
    memory: &'a [bool],
    space: &'a Space,
    found: Vec<(Id, Read)>,
    seen: HashSet<(Id, Vec<Affine>, Vec<Guard>)>,
}

impl Walk<'_> {
    fn value(&mut self, id: Id, coords: &[Affine], guards: &[Guard]) {
        if !self.memory[id] {
            return self.expand(id, coords, guards);
        }
        let shape = self.nodes[id].meta.shape.dims();
        let rank = self.space.shape.len();
        let read = match self.space.lies(shape).filter(|_| guards.is_empty()) {
            Some(lies) if flat(coords, shape, rank) == flat(&self.space.coords(shape, rank), shape, rank) => {
                Read::Own(lies)
            }
            _ => Read::Other,
        };
        self.note(id, read);
    }
    fn note(&mut self, id: Id, read: Read) {
        if !self.found.contains(&(id, read)) {
            self.found.push((id, read));
        }
    }
    /// As the emitted code does it.
    fn expand(&mut self, id: Id, coords: &[Affine], guards: &[Guard]) {
        if !self.seen.insert((id, coords.to_vec(), guards.to_vec())) {
            return;
        }
        let node = &self.nodes[id];
        match &node.prim {
            Prim::After => {
                self.value(node.inputs[0], coords, guards);
                self.note(node.inputs[1], Read::Other);
            }
            Prim::View(view) => {
                let input = undelayed(self.nodes, node.inputs[0]);
                let (above, under) = (&node.meta.shape, &self.nodes[input].meta.shape);
                let mut inner = guards.to_vec();
                match below(view, above, under, coords, self.space.shape.len(), &mut inner) {
                    Some(next) => self.value(input, &next, &inner),
                    None => self.note(input, Read::Other),
                }
            }
            Prim::Unary(_) | Prim::Binary(_) | Prim::Select | Prim::Cast => {
                for &input in &node.inputs {
                    self.value(input, coords, guards);
                }
            }
            // What it reduces is read at every index.
            Prim::Reduce(..) => {
                let input = node.inputs[0];
                let coords = self.space.coords(self.nodes[input].meta.shape.dims(), self.space.shape.len());
                self.value(input, &coords, guards);
            }
            // Random keys are read at fixed elements.
            _ => {
                for &input in &node.inputs {
                    let fixed = Affine::constant(0, self.space.shape.len());
                    self.value(input, &vec![fixed; self.nodes[input].meta.shape.rank()], &[]);
                }
            }
        }
    }
}
