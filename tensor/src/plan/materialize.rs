//! Which values lie in memory. The rest is recomputed wherever it is read: fusion is the absence of memory.

use super::{
    coords::{below, identity, reshape_is_affine},
    trace::{Id, Prim, TracedNode},
};
use crate::{
    dtype::DType,
    executor::Caps,
    graph::{SliceAxis, View},
};
use std::collections::HashSet;

/// A value that is spread is kept in memory if that makes it this many times as large, and this large: below, computing it again
/// costs less than a kernel.
const SPREAD: usize = 32;
const SPREAD_ELEMENTS: usize = 1 << 15;

/// What the planner knows about each value of a graph before kernels exist.
pub struct Values {
    /// Values that something needs.
    pub needed: Vec<bool>,
    /// Values that lie in memory.
    pub memory: Vec<bool>,
    /// Instructions that computing a value from memory takes, whether or not it lies there itself.
    pub expanded: Vec<usize>,
}

/// Limits of one kernel.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Most instructions that a value may take to recompute.
    pub insts: usize,
    /// Most different values in memory that a recomputed value may read.
    pub leaves: usize,
    /// Whether to fuse at all.
    pub fuse: bool,
}

impl Limits {
    /// Those of a device.
    pub fn of(caps: &Caps, fuse: bool) -> Limits {
        Limits { insts: (caps.max_insts / 2).max(4), leaves: caps.max_args.saturating_sub(3).max(2), fuse }
    }
}

/// Whether a value is computed element by element, so that it can be recomputed inside any kernel.
pub fn is_virtual(prim: &Prim) -> bool {
    matches!(
        prim,
        Prim::Scalar(_)
            | Prim::Unary(_)
            | Prim::Binary(_)
            | Prim::Select
            | Prim::Cast
            | Prim::View(_)
            | Prim::RandomBits(_)
            | Prim::Iota(_)
            | Prim::After
    )
}

/// Decides what lies in memory. `results` are needed as such; `updates` are new states; `folds` are only added to something.
pub fn materialize(nodes: &[TracedNode], results: &[Id], updates: &[Id], folds: &[Id], limits: Limits) -> Values {
    let needed = reachable(nodes, results.iter().chain(updates).chain(folds));
    let for_results = reachable(nodes, results.iter().chain(folds));
    let commit_only = commit_only(nodes, &needed, &for_results, results);
    let mut memory: Vec<bool> = (0..nodes.len()).map(|id| needed[id] && !is_virtual(&nodes[id].prim)).collect();
    for &id in results {
        memory[id] = true;
    }
    for &id in updates {
        if !commit_only[id] {
            memory[id] = true;
        }
    }
    let mut users = vec![0usize; nodes.len()];
    for (id, node) in nodes.iter().enumerate().filter(|(id, _)| needed[*id]) {
        for input in distinct(&node.inputs) {
            users[input] += 1;
        }
        require_operands(nodes, id, &mut memory);
    }
    for &id in folds {
        users[id] += 1;
    }
    let mut state = Growth {
        nodes,
        memory,
        sizes: vec![0; nodes.len()],
        insts: vec![0; nodes.len()],
        expanded: vec![1; nodes.len()],
        leaves: vec![Vec::new(); nodes.len()],
    };
    for id in (0..nodes.len()).filter(|&id| needed[id]) {
        state.grow(id, &users, &commit_only, limits);
    }
    Values { needed, memory: state.memory, expanded: state.expanded }
}

fn distinct(ids: &[Id]) -> Vec<Id> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn reachable<'a>(nodes: &[TracedNode], roots: impl Iterator<Item = &'a Id>) -> Vec<bool> {
    let mut seen = vec![false; nodes.len()];
    let mut stack: Vec<Id> = roots.copied().collect();
    while let Some(id) = stack.pop() {
        if !std::mem::replace(&mut seen[id], true) {
            stack.extend(&nodes[id].inputs);
        }
    }
    seen
}

/// Element-by-element values that only new states depend on.
fn commit_only(nodes: &[TracedNode], needed: &[bool], for_results: &[bool], results: &[Id]) -> Vec<bool> {
    let mut only: Vec<bool> =
        (0..nodes.len()).map(|id| needed[id] && !for_results[id] && is_virtual(&nodes[id].prim)).collect();
    for &id in results {
        only[id] = false;
    }
    for id in (0..nodes.len()).rev().filter(|&id| needed[id]) {
        if !only[id] {
            for &input in &nodes[id].inputs {
                only[input] = false;
            }
        }
    }
    only
}

/// Marks the operands that a kernel's core reads from memory.
fn require_operands(nodes: &[TracedNode], id: Id, memory: &mut [bool]) {
    let node = &nodes[id];
    match &node.prim {
        Prim::MatMul(_) => {
            for &operand in &node.inputs {
                let base = strided_base(nodes, operand).unwrap_or(operand);
                memory[base] = true;
            }
        }
        Prim::Conv2d(..) | Prim::Pool2d(..) | Prim::Gather(_) | Prim::ScatterAdd(_) | Prim::Line(..) => {
            for &operand in &node.inputs {
                memory[dense_base(nodes, operand)] = true;
            }
        }
        Prim::Scan(looped) => {
            // First values of carries are written straight into the loop's own memory.
            for &operand in node.inputs.iter().skip(looped.spec.carries) {
                memory[window_base(nodes, operand).0] = true;
            }
        }
        Prim::View(View::Reshape(_)) => {
            let input = node.inputs[0];
            if !reshape_is_affine(&node.meta.shape, &nodes[input].meta.shape) {
                memory[undelayed(nodes, input)] = true;
            }
        }
        Prim::After => memory[node.inputs[1]] = true,
        _ => {}
    }
}

/// The value below reshapes, which has the same elements in the same order.
pub fn dense_base(nodes: &[TracedNode], mut id: Id) -> Id {
    while let Prim::View(View::Reshape(_)) | Prim::After = nodes[id].prim {
        id = nodes[id].inputs[0];
    }
    id
}

/// The value itself, which something is to read later than it could.
pub fn undelayed(nodes: &[TracedNode], mut id: Id) -> Id {
    while let Prim::After = nodes[id].prim {
        id = nodes[id].inputs[0];
    }
    id
}

/// The value below reshapes and runs of the first axis, and at which of its elements they begin.
pub fn window_base(nodes: &[TracedNode], mut id: Id) -> (Id, u64) {
    let mut offset = 0;
    loop {
        let Prim::View(view) = &nodes[id].prim else { return (id, offset) };
        let input = nodes[id].inputs[0];
        let under = &nodes[input].meta.shape;
        match view {
            View::Reshape(_) => {}
            View::Slice(axes) => {
                let whole = |(axis, &n): (&SliceAxis, &usize)| axis.step == 1 && axis.len() == n;
                match axes.iter().zip(under.iter()).skip(1).all(whole) && axes.first().is_some_and(|a| a.step == 1) {
                    true => offset += (axes[0].start * under[1..].iter().product::<usize>()) as u64,
                    false => return (id, offset),
                }
            }
            _ => return (id, offset),
        }
        id = input;
    }
}

/// The value below views that are nothing but offsets and strides.
fn strided_base(nodes: &[TracedNode], operand: Id) -> Option<Id> {
    let mut id = undelayed(nodes, operand);
    let rank = nodes[operand].meta.shape.rank();
    let mut coords = identity(rank);
    let mut guards = Vec::new();
    while let Prim::View(view) = &nodes[id].prim {
        let input = undelayed(nodes, nodes[id].inputs[0]);
        let under = &nodes[input].meta.shape;
        match below(view, &nodes[id].meta.shape, under, &coords, rank, &mut guards) {
            Some(next) => coords = next,
            // Below this reshape the value must be dense in memory: read flat, it is strided again.
            None => return Some(input),
        }
        if !guards.is_empty() {
            return None;
        }
        id = input;
    }
    (!matches!(nodes[id].prim, Prim::Scalar(_) | Prim::Iota(_) | Prim::RandomBits(_))).then_some(id)
}

struct Growth<'a> {
    nodes: &'a [TracedNode],
    memory: Vec<bool>,
    /// Loads and operations to get a value: 1 for a load.
    sizes: Vec<usize>,
    /// Instructions to get a value, at most: what moves and widens values counts, too.
    insts: Vec<usize>,
    /// Instructions to compute it.
    expanded: Vec<usize>,
    /// Values in memory that recomputing reads.
    leaves: Vec<Vec<Id>>,
}

impl Growth<'_> {
    fn grow(&mut self, id: Id, users: &[usize], commit_only: &[bool], limits: Limits) {
        let node = &self.nodes[id];
        if !is_virtual(&node.prim) {
            self.settle(id);
            return;
        }
        self.keep_spread(id);
        self.measure(id);
        // Too large: the largest operands go to memory until the rest fits.
        while self.insts[id] > limits.insts || self.leaves[id].len() > limits.leaves {
            let Some(largest) = node
                .inputs
                .iter()
                .copied()
                .filter(|&i| !self.memory[i] && self.insts[i] > 1)
                .max_by_key(|&i| (self.insts[i] + self.leaves[i].len() * limits.insts / limits.leaves, i))
            else {
                break;
            };
            self.memory[largest] = true;
            self.settle(largest);
            self.measure(id);
        }
        let moved = matches!(node.prim, Prim::View(_) | Prim::After);
        let computes = !moved && !matches!(node.prim, Prim::Scalar(_) | Prim::Iota(_) | Prim::RandomBits(_));
        let shared = users[id] > 1 && !commit_only[id] && self.work(id) > 2 && !self.is_light(id);
        if computes && (shared || !limits.fuse) {
            self.memory[id] = true;
        }
        if self.memory[id] {
            self.settle(id);
        }
    }

    /// What is computed from memory and then spread over many elements is computed once, not for each of them.
    fn keep_spread(&mut self, id: Id) {
        let node = &self.nodes[id];
        let Prim::View(View::Broadcast(_)) = &node.prim else { return };
        let (base, elements) = (dense_base(self.nodes, node.inputs[0]), node.meta.shape.numel());
        let own = self.nodes[base].meta.shape.numel();
        if self.memory[base]
            || self.work(base) == 0
            || self.is_light(base)
            || elements < SPREAD_ELEMENTS.max(SPREAD * own)
        {
            return;
        }
        self.memory[base] = true;
        self.settle(base);
        let mut above = Vec::new();
        let mut reshape = node.inputs[0];
        while reshape != base {
            above.push(reshape);
            reshape = self.nodes[reshape].inputs[0];
        }
        for &reshape in above.iter().rev() {
            self.measure(reshape);
        }
    }

    fn settle(&mut self, id: Id) {
        self.sizes[id] = 1;
        self.insts[id] = 1;
        self.leaves[id] = vec![id];
    }

    fn measure(&mut self, id: Id) {
        let node = &self.nodes[id];
        let inputs = distinct(&node.inputs);
        // A number is in a register from the start.
        let own = usize::from(!matches!(node.prim, Prim::View(_) | Prim::After | Prim::Scalar(_)));
        self.sizes[id] = inputs.iter().map(|&i| self.sizes[i]).fold(own, usize::saturating_add);
        let operands = inputs.iter().map(|&i| self.insts[i]).fold(0, usize::saturating_add);
        self.insts[id] = self.own_insts(id).saturating_add(operands);
        self.expanded[id] = self.insts[id];
        let mut leaves: Vec<Id> = inputs.iter().flat_map(|&i| self.leaves[i].iter().copied()).collect();
        leaves.sort_unstable();
        leaves.dedup();
        self.leaves[id] = leaves;
    }

    /// Instructions of a value itself, as `emit` writes them.
    fn own_insts(&self, id: Id) -> usize {
        let node = &self.nodes[id];
        let wraps = usize::from(node.meta.dtype == DType::U8);
        match &node.prim {
            // Whether an index is within, the filling, and the choice.
            Prim::View(View::Pad(..)) => 3,
            Prim::View(_) | Prim::After => 0,
            // Three words of the key are read, and the first sample.
            Prim::RandomBits(_) => 2 + node.inputs.first().map_or(0, |&key| self.insts[key].saturating_mul(2)),
            Prim::Iota(_) => 2 + wraps,
            Prim::Unary(_) | Prim::Binary(_) => 1 + wraps,
            _ => 1,
        }
    }

    /// Operations beyond loads.
    fn work(&self, id: Id) -> usize {
        self.sizes[id] - self.leaves[id].len().min(self.sizes[id])
    }

    /// Whether recomputing reads next to no memory: masks from random bits, positions, numbers.
    fn is_light(&self, id: Id) -> bool {
        self.leaves[id].iter().all(|&leaf| self.nodes[leaf].meta.shape.numel() <= 16)
    }
}

/// Values in memory that computing `id` reads, each with whether it is only read at the element's own index.
/// `id` itself is expanded, even if it lies in memory.
pub fn reads(nodes: &[TracedNode], memory: &[bool], id: Id) -> Vec<(Id, bool)> {
    let mut found: Vec<(Id, bool)> = Vec::new();
    let mut seen = HashSet::new();
    let mut stack: Vec<(Id, bool)> = nodes[id].inputs.iter().map(|&i| (i, !moves(nodes, id))).collect();
    while let Some((value, aligned)) = stack.pop() {
        if !seen.insert((value, aligned)) {
            continue;
        }
        if memory[value] {
            found.push((value, aligned));
        } else {
            let aligned = aligned && !moves(nodes, value);
            stack.extend(nodes[value].inputs.iter().map(|&i| (i, aligned)));
        }
    }
    found.sort_unstable();
    let mut merged: Vec<(Id, bool)> = Vec::new();
    for (value, aligned) in found {
        match merged.last_mut() {
            Some((last, all)) if *last == value => *all &= aligned,
            _ => merged.push((value, aligned)),
        }
    }
    merged
}

/// Whether a node reads its operands at other indices than its own.
fn moves(nodes: &[TracedNode], id: Id) -> bool {
    match &nodes[id].prim {
        Prim::View(_) => true,
        prim => !is_virtual(prim) || matches!(prim, Prim::RandomBits(_)),
    }
}
