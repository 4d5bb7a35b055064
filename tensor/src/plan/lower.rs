//! From a traced graph to scheduled kernels on buffers that are not placed yet.

use super::{
    Arg, Row, Source, Step,
    carry::Carry,
    cluster::{Cluster, Clusters, Item, Role, Seed, cluster},
    emit::{Emitted, Leaving, Location, Scope, emit},
    fold::fill,
    materialize::{Limits, Values, dense_base, materialize, window_base},
    trace::{Id, Loop, Prim, Traced, TracedNode},
    updates::ride,
};
use crate::{
    error::{Error, Result},
    executor::Caps,
    graph::ReduceOp,
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet},
    sync::Arc,
};

/// What a buffer of the lowered graph is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Comes from outside.
    Fixed(Source),
    /// Lives inside the plan: to be placed.
    Temporary,
}

/// A buffer before placement.
#[derive(Clone, Debug)]
pub struct Memory {
    /// What it is.
    pub kind: Kind,
    /// Its length.
    pub bytes: u64,
    /// For people: the layer and primitive whose value it holds.
    pub label: String,
}

/// Scheduled kernels; arguments name entries of `memory`.
#[derive(Default)]
pub struct Lowered {
    /// All buffers.
    pub memory: Vec<Memory>,
    /// Steps that write temporaries and outputs.
    pub compute: Vec<Step>,
    /// Steps that write state.
    pub commit: Vec<Step>,
    /// How many of them compute their gradient, too.
    pub riding: usize,
}

/// Where results of a (sub)graph go.
struct Targets {
    /// `(value, where)`.
    results: Vec<(Id, Location)>,
    /// How the last results are folded into what lies there.
    folds: Vec<ReduceOp>,
    /// `(state, value)`.
    updates: Vec<(usize, Id)>,
}

/// Lowers a traced graph for a device with these caps. With `ride`, updates may compute their gradient.
pub fn lower(traced: &Traced, labels: &[String], caps: &Caps, fuse: bool, ride: bool) -> Result<Lowered> {
    // A state that one kernel writes while another still reads the old value is copied at the very end instead.
    let mut delayed = BTreeSet::new();
    loop {
        let mut lowering = Lowering { caps, fuse, ride, out: Lowered::default(), states: Vec::new() };
        match lowering.whole(traced, labels, &delayed)? {
            None => return Ok(lowering.out),
            Some(state) if !delayed.insert(state) => {
                return Err(Error::argument("new states depend on each other in a way that cannot be ordered"));
            }
            Some(_) => {}
        }
    }
}

struct Lowering<'a> {
    caps: &'a Caps,
    fuse: bool,
    ride: bool,
    out: Lowered,
    /// The buffer of each state.
    states: Vec<usize>,
}

/// What a result is before it is reshaped, if that is a function of elements: the same bytes, and a kernel of its shape may compute
/// it.
fn before_reshape(nodes: &[TracedNode], id: Id) -> Id {
    let base = dense_base(nodes, id);
    match nodes[base].prim {
        Prim::Unary(_) | Prim::Binary(_) | Prim::Select | Prim::Cast => base,
        _ => id,
    }
}

fn whole(buffer: usize) -> Location {
    Location { buffer, offset: 0, rows: Vec::new() }
}

impl Lowering<'_> {
    fn buffer(&mut self, kind: Kind, bytes: u64, label: &str) -> usize {
        self.out.memory.push(Memory { kind, bytes, label: label.to_string() });
        self.out.memory.len() - 1
    }

    /// Lowers everything; returns a state whose write must be delayed, if there is one.
    fn whole(&mut self, traced: &Traced, labels: &[String], delayed: &BTreeSet<usize>) -> Result<Option<usize>> {
        let mut sources = HashMap::new();
        for (id, node) in traced.nodes.iter().enumerate() {
            let source = match node.prim {
                Prim::Input(n) => Source::Input(n),
                Prim::State(n) => Source::State(n),
                _ => continue,
            };
            let buffer = self.buffer(Kind::Fixed(source), node.meta.bytes(), &labels[id]);
            if let Source::State(_) = source {
                self.states.push(buffer);
            }
            sources.insert(id, whole(buffer));
        }
        let mut results = Vec::new();
        for (n, &id) in traced.outputs.iter().enumerate() {
            let bytes = traced.nodes[id].meta.bytes();
            let place = whole(self.buffer(Kind::Fixed(Source::Output(n)), bytes, &labels[id]));
            results.push((before_reshape(&traced.nodes, id), place));
        }
        let mut updates = Vec::new();
        for &(state, id) in &traced.updates {
            match delayed.contains(&state) {
                false => updates.push((state, id)),
                true => {
                    let bytes = traced.nodes[id].meta.bytes();
                    results.push((id, whole(self.buffer(Kind::Temporary, bytes, &labels[id]))));
                }
            }
        }
        let copies: Vec<(usize, Location)> = traced
            .updates
            .iter()
            .filter(|(state, _)| delayed.contains(state))
            .zip(&results[traced.outputs.len()..])
            .map(|((state, _), (_, location))| (*state, location.clone()))
            .collect();
        let targets = Targets { results, folds: Vec::new(), updates };
        let conflict = self.graph(&traced.nodes, labels, sources, &targets, 0)?;
        if conflict.is_some() {
            return Ok(conflict);
        }
        for (state, from) in copies {
            let meta = &traced.states[state];
            let step = copy(&from, &whole(self.states[state]), meta.shape.dims(), meta.dtype)?;
            self.out.commit.extend(step);
        }
        Ok(None)
    }

    /// Lowers one graph (the step, or a loop's body) and appends its steps.
    fn graph(
        &mut self,
        nodes: &[TracedNode],
        labels: &[String],
        sources: HashMap<Id, Location>,
        targets: &Targets,
        depth: u8,
    ) -> Result<Option<usize>> {
        let (results, folds) = targets.results.split_at(targets.results.len() - targets.folds.len());
        let result_ids: Vec<Id> = results.iter().map(|(id, _)| *id).collect();
        let fold_ids: Vec<Id> = folds.iter().map(|(id, _)| *id).collect();
        let update_ids: Vec<Id> = targets.updates.iter().map(|(_, id)| *id).collect();
        let limits = Limits::of(self.caps, self.fuse);
        let values = materialize(nodes, &result_ids, &update_ids, &fold_ids, limits);
        // The first result of a value that this graph computes is where it lies; further ones are copies.
        let mut home: HashMap<Id, Location> = HashMap::new();
        let mut extra = Vec::new();
        for (n, (id, location)) in results.iter().enumerate() {
            let lies_elsewhere = sources.contains_key(id) || home.contains_key(id) || is_final_carry(nodes, *id);
            match lies_elsewhere {
                true => extra.push(Item { value: *id, role: Role::Copy(n) }),
                false => {
                    home.insert(*id, location.clone());
                }
            }
        }
        for (n, &value) in fold_ids.iter().enumerate() {
            extra.push(Item { value, role: Role::Fold(results.len() + n) });
        }
        let mut clusters = cluster(nodes, &values, &extra, &targets.updates, self.caps, self.fuse);
        if self.fuse && self.ride && !targets.updates.is_empty() {
            (clusters, self.out.riding) = ride(nodes, clusters, &result_ids, self.caps);
        }
        if let Some(state) = conflict(nodes, &clusters) {
            return Ok(Some(state));
        }
        let mut g = Graph {
            nodes,
            labels,
            values: &values,
            clusters: &clusters,
            locations: sources,
            home,
            targets,
            readers: readers(&clusters),
            pinned: result_ids.iter().copied().collect(),
            loops: HashMap::new(),
            histories: HashSet::new(),
            depth,
        };
        for c in schedule(&clusters) {
            self.run(&mut g, c)?;
        }
        Ok(None)
    }

    fn run(&mut self, g: &mut Graph, c: usize) -> Result<()> {
        let cluster = &g.clusters.list[c];
        let reads: BTreeSet<Id> = cluster.reads.keys().chain(&cluster.core_reads).copied().collect();
        for value in &reads {
            if let Some(left) = g.readers.get_mut(value) {
                *left -= 1;
            }
        }
        if let Seed::Loop(id) = cluster.seed {
            return self.looped(g, id);
        }
        let mut stores = Vec::new();
        for item in &cluster.items {
            if let Some(to) = self.destination(g, cluster, item.value, item.role)? {
                let fold = match item.role {
                    Role::Fold(result) => g.targets.fold(result),
                    _ => None,
                };
                stores.push(Leaving { value: item.value, role: item.role, to, fold });
            }
        }
        let scope = Scope { nodes: g.nodes, memory: &g.values.memory, locations: &g.locations };
        let Some(Emitted { kernel, args }) = emit(&scope, cluster, &stores, self.caps.max_row_insts)? else {
            return Ok(());
        };
        let step = Step::Run { kernel: Arc::new(kernel), args: args.into_iter().map(Arg::from).collect() };
        match cluster.commit {
            true => self.out.commit.push(step),
            false => self.out.compute.push(step),
        }
        Ok(())
    }

    /// Where an item is stored; `None` if it never leaves its kernel.
    fn destination(&mut self, g: &mut Graph, cluster: &Cluster, value: Id, role: Role) -> Result<Option<Location>> {
        Ok(Some(match role {
            Role::State(state) => whole(self.states[state]),
            Role::Copy(result) | Role::Fold(result) => g.targets.results[result].1.clone(),
            Role::Carry(id, n) => {
                if !g.loops.contains_key(&id) {
                    let carries = self.carries(g, id)?;
                    g.loops.insert(id, carries);
                }
                let carry = g.loops[&id].get(n).ok_or_else(|| Error::argument("a carry without a loop"))?;
                carry.initial()
            }
            Role::Part(concat, _) => self.place(g, None, concat),
            Role::Value => {
                let wanted = g.pinned.contains(&value) || g.readers.get(&value).is_some_and(|&left| left > 0);
                match wanted {
                    true => self.place(g, Some(cluster), value),
                    false => return Ok(None),
                }
            }
        }))
    }

    /// The location of a value that is computed now: its result, the memory of an operand that dies here, or new memory.
    fn place(&mut self, g: &mut Graph, cluster: Option<&Cluster>, value: Id) -> Location {
        if let Some(location) = g.locations.get(&value) {
            return location.clone();
        }
        let location = match g.home.get(&value) {
            Some(location) => location.clone(),
            None => match cluster.and_then(|cluster| self.dying(g, cluster, value)) {
                Some(location) => location,
                None => whole(self.buffer(Kind::Temporary, g.nodes[value].meta.bytes(), &g.labels[value])),
            },
        };
        g.locations.insert(value, location.clone());
        location
    }

    /// An operand that nobody reads after this kernel, which reads it only where it writes.
    fn dying(&self, g: &mut Graph, cluster: &Cluster, value: Id) -> Option<Location> {
        let meta = &g.nodes[value].meta;
        let operand = cluster.reads.iter().find(|&(operand, &aligned)| {
            let from = &g.nodes[*operand].meta;
            aligned
                && from.dtype == meta.dtype
                && from.bytes() == meta.bytes()
                && !cluster.core_reads.contains(operand)
                && !g.pinned.contains(operand)
                // Later trips of a loop read what came from outside again.
                && !matches!(g.nodes[*operand].prim, Prim::Param(_))
                && g.readers.get(operand) == Some(&0)
                && g.locations.get(operand).is_some_and(|l| {
                    let memory = &self.out.memory[l.buffer];
                    l.rows.is_empty() && l.offset == 0 && memory.kind == Kind::Temporary && memory.bytes == meta.bytes()
                })
        });
        let operand = *operand?.0;
        // Taken: no second value may lie there too.
        g.pinned.insert(operand);
        g.locations.get(&operand).cloned()
    }

    fn looped(&mut self, g: &mut Graph, id: Id) -> Result<()> {
        let Prim::Scan(looped) = &g.nodes[id].prim else { return Err(Error::argument("a loop without a body")) };
        let Loop { spec, nodes, outputs, folds, params, labels } = &**looped;
        let carries = g.loops.remove(&id).unwrap_or_default();
        let depth = g.depth;
        let row = |stride: usize, start: usize, down: bool, modulo: usize| Row {
            depth,
            stride: stride as u64,
            start: start as u64,
            down,
            modulo: modulo as u64,
        };
        let (first, steps) = (if spec.reverse { spec.steps - 1 } else { 0 }, spec.steps);
        let mut sources = HashMap::new();
        for (node_id, node) in nodes.iter().enumerate() {
            let Prim::Param(p) = node.prim else { continue };
            let numel = params[p].shape.numel();
            let location = if p < spec.carries {
                carries[p].before(depth)
            } else {
                let (operand, start) = window_base(g.nodes, g.nodes[id].inputs[p]);
                let mut location = g
                    .locations
                    .get(&operand)
                    .cloned()
                    .ok_or_else(|| Error::argument("an operand of a loop is not in memory"))?;
                location.offset += start;
                if p < spec.carries + spec.inputs {
                    location.rows.push(row(numel, first, spec.reverse, steps));
                }
                location
            };
            sources.insert(node_id, location);
        }
        let mut results = Vec::new();
        let mut folded = Vec::new();
        for (part, &value) in outputs.iter().enumerate() {
            let numel = nodes[value].meta.shape.numel();
            let location = if part < spec.carries {
                carries[part].after(depth)
            } else {
                // What nobody reads is not computed.
                let Some(stacked) = part_id(g.nodes, id, part) else { continue };
                if g.histories.contains(&stacked) {
                    continue;
                }
                let mut location = self.place(g, None, stacked);
                match part < outputs.len() - folds.len() {
                    true => location.rows.push(row(numel, first, spec.reverse, steps)),
                    false => {
                        let op = folds[part + folds.len() - outputs.len()];
                        folded.push(op);
                        self.out.compute.extend(fill(op, &nodes[value], &location)?);
                    }
                }
                location
            };
            results.push((value, location));
        }
        let before = std::mem::take(&mut self.out.compute);
        let labels = match labels.is_empty() {
            true => vec![g.labels[id].clone(); nodes.len()],
            false => labels.clone(),
        };
        let targets = Targets { results, folds: folded, updates: Vec::new() };
        self.graph(nodes, &labels, sources, &targets, g.depth + 1)?;
        let body = std::mem::replace(&mut self.out.compute, before);
        self.out.compute.push(Step::Loop { trips: steps, body });
        for (part, carry) in carries.iter().enumerate() {
            if let Some(last) = part_id(g.nodes, id, part) {
                g.locations.insert(last, carry.last());
            }
        }
        Ok(())
    }

    /// Memory for the carries of a loop. Stacks of a carry, before or after each step, lie in the carry's own memory.
    fn carries(&mut self, g: &mut Graph, id: Id) -> Result<Vec<Carry>> {
        let Prim::Scan(looped) = &g.nodes[id].prim else { return Err(Error::argument("a carry without a loop")) };
        let spec = &looped.spec;
        let mut carries = Vec::with_capacity(spec.carries);
        for (n, meta) in looped.params.iter().take(spec.carries).enumerate() {
            let stacks = (spec.carries..looped.outputs.len() - looped.folds.len()).filter_map(|part| {
                let value = looped.outputs[part];
                let before = looped.nodes[value].prim == Prim::Param(n);
                let stacked = part_id(g.nodes, id, part).filter(|stacked| !g.home.contains_key(stacked))?;
                (before || value == looped.outputs[n]).then_some((stacked, before))
            });
            let stacks: Vec<(Id, bool)> = stacks.collect();
            // Two rows do where nobody reads the stacks: a step reads one and writes the other.
            let rows = if stacks.is_empty() { 2 } else { spec.steps + 1 };
            let bytes = rows as u64 * meta.bytes();
            let buffer = self.buffer(Kind::Temporary, bytes, &format!("{} carry", g.labels[id]));
            let down = spec.reverse && !stacks.is_empty();
            let carry = Carry { buffer, numel: meta.shape.numel() as u64, rows, steps: spec.steps, down };
            for (stacked, before) in stacks {
                g.histories.insert(stacked);
                g.locations.insert(stacked, carry.stack(before));
            }
            carries.push(carry);
        }
        Ok(carries)
    }
}

/// A graph while its kernels are emitted.
struct Graph<'g> {
    nodes: &'g [TracedNode],
    labels: &'g [String],
    values: &'g Values,
    clusters: &'g Clusters,
    locations: HashMap<Id, Location>,
    home: HashMap<Id, Location>,
    targets: &'g Targets,
    /// How many clusters still have to read a value.
    readers: HashMap<Id, usize>,
    /// Values whose memory must not be taken over.
    pinned: HashSet<Id>,
    /// The carries of each loop that is about to run.
    loops: HashMap<Id, Vec<Carry>>,
    /// Stacks that lie in the memory of a carry.
    histories: HashSet<Id>,
    depth: u8,
}

fn readers(clusters: &Clusters) -> HashMap<Id, usize> {
    let mut readers = HashMap::new();
    for cluster in &clusters.list {
        let reads: BTreeSet<Id> = cluster.reads.keys().chain(&cluster.core_reads).copied().collect();
        for value in reads {
            *readers.entry(value).or_insert(0) += 1;
        }
    }
    readers
}

fn part_id(nodes: &[TracedNode], scan: Id, part: usize) -> Option<Id> {
    nodes.iter().position(|n| n.prim == Prim::Part(part) && n.inputs == [scan])
}

/// Whether a value is the last carry of a loop, which lies in the loop's own memory.
fn is_final_carry(nodes: &[TracedNode], id: Id) -> bool {
    match nodes[id].prim {
        Prim::Part(part) => match &nodes[nodes[id].inputs[0]].prim {
            Prim::Scan(looped) => part < looped.spec.carries,
            _ => false,
        },
        _ => false,
    }
}

/// A state that some kernel overwrites while another kernel, or another index of the same kernel, still needs the old value.
fn conflict(nodes: &[TracedNode], clusters: &Clusters) -> Option<usize> {
    let commits = || clusters.list.iter().enumerate().filter(|(_, c)| c.commit);
    for (writer, cluster) in commits() {
        for item in &cluster.items {
            let Role::State(state) = item.role else { continue };
            for (reader, other) in commits() {
                let is_state = |id: Id| nodes[id].prim == Prim::State(state);
                let unsafe_read =
                    other.reads.iter().any(|(&id, &aligned)| is_state(id) && (reader != writer || !aligned));
                if unsafe_read || other.core_reads.iter().any(|&id| is_state(id)) {
                    return Some(state);
                }
            }
        }
    }
    None
}

/// Clusters in an order that respects what they read; among ready ones the oldest first, commits last.
fn schedule(clusters: &Clusters) -> Vec<usize> {
    let count = clusters.list.len();
    let mut waiting: Vec<usize> = clusters.list.iter().map(|c| c.after.len()).collect();
    let mut followers = vec![Vec::new(); count];
    for (c, cluster) in clusters.list.iter().enumerate() {
        for &before in &cluster.after {
            followers[before].push(c);
        }
    }
    let key = |c: usize| Reverse((clusters.list[c].commit, clusters.list[c].items.iter().map(|i| i.value).max(), c));
    let mut ready: BinaryHeap<_> = (0..count).filter(|&c| waiting[c] == 0).map(key).collect();
    let mut order = Vec::with_capacity(count);
    while let Some(Reverse((_, _, c))) = ready.pop() {
        order.push(c);
        for &next in &followers[c] {
            waiting[next] -= 1;
            if waiting[next] == 0 {
                ready.push(key(next));
            }
        }
    }
    order
}

/// A kernel that copies a dense value.
fn copy(from: &Location, to: &Location, shape: &[usize], dtype: crate::dtype::DType) -> Result<Option<Step>> {
    let node = TracedNode { prim: Prim::Input(0), inputs: Vec::new(), meta: crate::graph::Meta::new(dtype, shape) };
    let locations = HashMap::from([(0, from.clone())]);
    let scope = Scope { nodes: std::slice::from_ref(&node), memory: &[true], locations: &locations };
    let cluster = Cluster {
        seed: Seed::Map,
        shape: shape.to_vec(),
        items: Vec::new(),
        reads: BTreeMap::new(),
        core_reads: BTreeSet::new(),
        after: BTreeSet::new(),
        level: 0,
        insts: 0,
        commit: true,
        rows: None,
    };
    let leaving = Leaving { value: 0, role: Role::State(0), to: to.clone(), fold: None };
    let emitted = emit(&scope, &cluster, &[leaving], 1)?;
    Ok(emitted.map(|Emitted { kernel, args }| Step::Run {
        kernel: Arc::new(kernel),
        args: args.into_iter().map(Arg::from).collect(),
    }))
}

impl Targets {
    /// How a result is folded into what lies at its place.
    fn fold(&self, result: usize) -> Option<ReduceOp> {
        let first = self.results.len() - self.folds.len();
        result.checked_sub(first).and_then(|n| self.folds.get(n)).copied()
    }
}

impl From<Location> for Arg {
    fn from(location: Location) -> Arg {
        Arg { buffer: location.buffer, offset: location.offset, rows: location.rows }
    }
}
