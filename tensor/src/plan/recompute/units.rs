//! What will lie in memory: a graph without the values that are computed wherever they are read.

use super::Roots;
use crate::{
    graph::ConvKind,
    plan::{
        materialize::{Limits, is_virtual, materialize, reads},
        trace::{Id, Prim, TracedNode},
    },
};

/// A value that is computed as such, by a kernel or a loop.
#[derive(Debug)]
pub struct Unit {
    /// Which.
    pub id: Id,
    /// Units that it reads.
    pub deps: Vec<usize>,
    /// What it takes of temporary memory, if anything.
    pub bytes: u64,
    /// What computing it takes, in floating-point operations.
    pub cost: f64,
    /// Whether it may be computed again.
    pub droppable: bool,
    /// Whether others may be told to come after it.
    pub anchor: bool,
}

/// All units of a graph, operands first.
pub struct Units {
    /// The units.
    pub list: Vec<Unit>,
    /// Those that are read when everything is computed.
    pub end: Vec<usize>,
    /// For each node, whether it is read as such rather than computed by its readers.
    pub stored: Vec<bool>,
    /// For each node, its unit.
    pub index: Vec<Option<usize>>,
}

/// Floating-point operations that moving one element to or from memory is worth.
const MOVE: f64 = 8.0;

impl Units {
    /// The units of a graph.
    pub fn of(nodes: &[TracedNode], roots: Roots<'_>, limits: Limits) -> Units {
        let values = materialize(nodes, roots.results, roots.updates, roots.folds, limits);
        let mut stored = values.memory.clone();
        for &id in roots.folds {
            stored[id] = true;
        }
        let mut units = Units { list: Vec::new(), end: Vec::new(), stored, index: vec![None; nodes.len()] };
        for id in (0..nodes.len()).filter(|&id| values.needed[id]) {
            if units.stored[id] && !is_given(&nodes[id].prim) {
                let leaves = reads(nodes, &units.stored, id);
                let moved: usize = leaves.iter().map(|&(leaf, _)| nodes[leaf].meta.shape.numel()).sum();
                let elements = nodes[id].meta.shape.numel();
                let cost = core_flops(nodes, id) + MOVE * (elements + moved) as f64;
                let fixed = matches!(nodes[id].prim, Prim::Scan(_) | Prim::Part(_)) || leaves.is_empty();
                units.index[id] = Some(units.list.len());
                units.list.push(Unit {
                    id,
                    deps: units.indices(&leaves),
                    bytes: if matches!(nodes[id].prim, Prim::Scan(_)) { 0 } else { nodes[id].meta.bytes() },
                    cost,
                    droppable: !fixed,
                    anchor: values.memory[id] && !matches!(nodes[id].prim, Prim::Scan(_)),
                });
            }
        }
        for &id in roots.updates {
            match units.index[id] {
                Some(unit) => units.end.push(unit),
                None => units.end.extend(units.indices(&reads(nodes, &units.stored, id))),
            }
        }
        units.end.sort_unstable();
        units.end.dedup();
        units.fuse(nodes);
        for &id in roots.results.iter().chain(roots.folds) {
            if let Some(unit) = units.index[id] {
                units.list[unit].bytes = 0;
                units.list[unit].droppable = false;
            }
        }
        units
    }

    fn indices(&self, leaves: &[(Id, bool)]) -> Vec<usize> {
        leaves.iter().filter_map(|&(leaf, _)| self.index[leaf]).collect()
    }

    /// Who reads each unit.
    pub fn users(&self) -> Vec<Vec<usize>> {
        let mut users = vec![Vec::new(); self.list.len()];
        for (u, unit) in self.list.iter().enumerate() {
            for &dep in &unit.deps {
                users[dep].push(u);
            }
        }
        users
    }

    /// What one map of the same size reads, and nothing else, never leaves the kernel that computes both.
    fn fuse(&mut self, nodes: &[TracedNode]) {
        let users = self.users();
        for (u, users) in users.iter().enumerate() {
            let node = &nodes[self.list[u].id];
            let core = matches!(node.prim, Prim::MatMul(_) | Prim::Conv2d(..) | Prim::Pool2d(..) | Prim::Reduce(..));
            let fused = users.first().is_some_and(|&user| {
                let user = &nodes[self.list[user].id];
                is_virtual(&user.prim) && user.meta.shape.numel() == node.meta.shape.numel()
            });
            if core && users.len() == 1 && fused && self.end.binary_search(&u).is_err() {
                self.list[u].bytes = 0;
                self.list[u].anchor = false;
            }
        }
    }
}

/// Whether a value comes from outside.
pub fn is_given(prim: &Prim) -> bool {
    matches!(prim, Prim::Input(_) | Prim::State(_) | Prim::Param(_))
}

/// Floating-point operations of what is more than a map.
fn core_flops(nodes: &[TracedNode], id: Id) -> f64 {
    let node = &nodes[id];
    let shape = |input: usize| &nodes[node.inputs[input]].meta.shape;
    let numel = node.meta.shape.numel() as f64;
    let window = |filters: &[usize]| filters.iter().take(3).product::<usize>() as f64;
    match &node.prim {
        Prim::MatMul(how) => {
            let a = shape(0);
            let k = a[a.rank() - if how.transpose_a { 2 } else { 1 }];
            2.0 * numel * k as f64
        }
        Prim::Conv2d(ConvKind::Forward, _) => 2.0 * numel * window(shape(1)),
        Prim::Conv2d(ConvKind::InputGrad(_), _) => 2.0 * shape(0).numel() as f64 * window(shape(1)),
        Prim::Conv2d(ConvKind::FilterGrad(filters), _) => 2.0 * shape(1).numel() as f64 * window(filters),
        Prim::Pool2d(_, pool) => numel * (pool.window[0] * pool.window[1]) as f64,
        _ => numel,
    }
}
