//! Which values are computed by one kernel. A cluster is a kernel to be: at most one core, and values stored from its block.
//!
//! Every cluster has a level above the levels of all it reads. A value may join a cluster if whatever else it reads has a lower
//! level: then no cycle can arise, and the check is local.

use super::{
    materialize::{Values, is_virtual, reads},
    rows::{Scene, Space, joined},
    trace::{Id, Prim, TracedNode},
};
use crate::executor::Caps;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Number of a cluster.
pub type ClusterId = usize;

/// What a cluster is built around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seed {
    /// Nothing: a map.
    Map,
    /// The kernel core that computes this value.
    Core(Id),
    /// The loop with this id.
    Loop(Id),
    /// Reductions of the same rows.
    Rows,
}

/// What a kernel over rows is built around.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The rows.
    pub space: Space,
    /// The reductions, in order.
    pub stages: Vec<Id>,
}

/// A value that a cluster computes.
#[derive(Clone, Debug)]
pub struct Item {
    /// The value.
    pub value: Id,
    /// Where it is needed.
    pub role: Role,
}

/// Why a value is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It lies in memory for others.
    Value,
    /// It is part `n` of a concatenation, which lies in memory.
    Part(Id, usize),
    /// It is copied to result `n` (which lies elsewhere than the value itself).
    Copy(usize),
    /// It is the first value of carry `n` of a loop.
    Carry(Id, usize),
    /// It is folded into result `n` of a loop's body.
    Fold(usize),
    /// It is the new value of state `n`.
    State(usize),
}

/// A kernel to be.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// What it is built around.
    pub seed: Seed,
    /// Iteration space of its block.
    pub shape: Vec<usize>,
    /// What it computes.
    pub items: Vec<Item>,
    /// Values in memory that it reads: `true` if only at its own index.
    pub reads: BTreeMap<Id, bool>,
    /// Values that the core reads.
    pub core_reads: BTreeSet<Id>,
    /// Clusters it must come after.
    pub after: BTreeSet<ClusterId>,
    /// Above the level of all it reads.
    pub level: usize,
    /// Instructions of its block, roughly.
    pub insts: usize,
    /// Whether it writes state.
    pub commit: bool,
    /// Its rows, if it is built around some.
    pub rows: Option<Rows>,
}

/// All clusters of a graph.
pub struct Clusters {
    /// In creation order.
    pub list: Vec<Cluster>,
    /// Which clusters write a value.
    pub home: HashMap<Id, Vec<ClusterId>>,
}

/// How far back a value looks for a cluster that reads the same.
const SIBLINGS: usize = 8;

struct Builder<'a> {
    nodes: &'a [TracedNode],
    values: &'a Values,
    caps: &'a Caps,
    fuse: bool,
    clusters: Clusters,
    recent: HashMap<(Vec<usize>, bool), Vec<ClusterId>>,
    /// Clusters that reduce rows.
    reductions: HashMap<Space, Vec<ClusterId>>,
}

/// Groups values into clusters. `extra` are results that do not lie where their value is computed: copies and folds.
pub fn cluster(
    nodes: &[TracedNode],
    values: &Values,
    extra: &[Item],
    updates: &[(usize, Id)],
    caps: &Caps,
    fuse: bool,
) -> Clusters {
    let clusters = Clusters { list: Vec::new(), home: HashMap::new() };
    let mut b = Builder { nodes, values, caps, fuse, clusters, recent: HashMap::new(), reductions: HashMap::new() };
    for id in (0..nodes.len()).filter(|&id| values.needed[id] && values.memory[id]) {
        b.value(id);
    }
    for item in extra {
        b.add(item.clone(), false);
    }
    let mut updates = updates.to_vec();
    updates.sort_by_key(|&(_, value)| value);
    for (state, value) in updates {
        b.add(Item { value, role: Role::State(state) }, true);
    }
    b.clusters
}

impl Builder<'_> {
    fn value(&mut self, id: Id) {
        let node = &self.nodes[id];
        match &node.prim {
            Prim::Input(_) | Prim::State(_) | Prim::Param(_) => {}
            Prim::Part(_) => {
                let home = self.clusters.home.get(&node.inputs[0]).cloned().unwrap_or_default();
                self.clusters.home.insert(id, home);
            }
            Prim::Concat(_) => {
                let parts = node.inputs.iter().enumerate();
                let homes: BTreeSet<ClusterId> =
                    parts.map(|(n, &value)| self.add(Item { value, role: Role::Part(id, n) }, false)).collect();
                self.clusters.home.insert(id, homes.into_iter().collect());
            }
            Prim::Scan(looped) => {
                let carries = looped.spec.carries;
                let after: BTreeSet<ClusterId> = (0..carries)
                    .map(|n| self.add(Item { value: node.inputs[n], role: Role::Carry(id, n) }, false))
                    .collect();
                self.seed(Seed::Loop(id), id, after);
            }
            prim if is_virtual(prim) => {
                let home = self.add(Item { value: id, role: Role::Value }, false);
                self.clusters.home.insert(id, vec![home]);
            }
            _ => self.seed(Seed::Core(id), id, BTreeSet::new()),
        }
    }

    /// A new cluster around a core or loop.
    fn seed(&mut self, seed: Seed, id: Id, mut after: BTreeSet<ClusterId>) {
        let node = &self.nodes[id];
        let carries = match &node.prim {
            Prim::Scan(looped) => looped.spec.carries,
            _ => 0,
        };
        let core_reads: BTreeSet<Id> = node.inputs[carries..]
            .iter()
            .flat_map(|&input| match self.values.memory[input] {
                true => vec![(input, true)],
                false => reads(self.nodes, &self.values.memory, input),
            })
            .map(|(value, _)| value)
            .collect();
        let space = Space::of(self.nodes, id, self.caps.max_row).filter(|_| self.fuse);
        if let Some(space) = &space {
            let item = Item { value: id, role: Role::Value };
            let siblings = self.reductions.get(space).into_iter().flatten().rev().take(SIBLINGS).copied();
            let candidates = self.homes(core_reads.iter()).into_iter().chain(siblings);
            if let Some(home) = self.join(candidates.collect(), &item) {
                self.clusters.home.insert(id, vec![home]);
                return;
            }
        }
        for value in &core_reads {
            after.extend(self.clusters.home.get(value).into_iter().flatten());
        }
        let level = self.level(&after);
        self.clusters.list.push(Cluster {
            seed,
            shape: node.meta.shape.to_vec(),
            items: vec![Item { value: id, role: Role::Value }],
            reads: BTreeMap::new(),
            core_reads,
            after,
            level,
            insts: 1,
            commit: false,
            rows: None,
        });
        let new = self.clusters.list.len() - 1;
        self.clusters.home.insert(id, vec![new]);
        if let Some(space) = space {
            self.reductions.entry(space).or_default().push(new);
        }
    }

    /// Puts an item into the first of these clusters that takes it as part of a kernel over rows.
    fn join(&mut self, candidates: Vec<ClusterId>, item: &Item) -> Option<ClusterId> {
        let scene = Scene { nodes: self.nodes, values: self.values, caps: self.caps, clusters: &self.clusters };
        let (target, cluster) = candidates.into_iter().find_map(|c| Some((c, joined(&scene, c, item)?)))?;
        if let (Some(rows), Some(before)) = (&cluster.rows, self.clusters.list.get(target))
            && before.rows.is_none()
        {
            let known = self.reductions.entry(rows.space.clone()).or_default();
            if !known.contains(&target) {
                known.push(target);
            }
        }
        self.clusters.list[target] = cluster;
        Some(target)
    }

    fn level(&self, after: &BTreeSet<ClusterId>) -> usize {
        after.iter().map(|&c| self.clusters.list[c].level + 1).max().unwrap_or(0)
    }

    /// Puts an item into a cluster that may take it, or a new one.
    fn add(&mut self, item: Item, commit: bool) -> ClusterId {
        let shape = self.nodes[item.value].meta.shape.to_vec();
        // What lies in memory is read; what does not is expanded here. A value's own item always expands it.
        let own = item.role == Role::Value;
        let reads = match own || !self.values.memory[item.value] {
            true => reads(self.nodes, &self.values.memory, item.value),
            false => vec![(item.value, true)],
        };
        let insts = self.values.expanded[item.value] + 1;
        let candidates = self.candidates(&reads, &shape, commit);
        let target = candidates.into_iter().find(|&c| self.fits(c, &reads, insts, &shape, commit));
        if self.fuse && !commit && target.is_none_or(|c| self.clusters.list[c].seed == Seed::Map) {
            let homes = self.homes(reads.iter().map(|(value, _)| value));
            if let Some(target) = self.join(homes, &item) {
                return target;
            }
        }
        let target = target.unwrap_or_else(|| {
            let after: BTreeSet<ClusterId> =
                reads.iter().flat_map(|(v, _)| self.clusters.home.get(v).into_iter().flatten()).copied().collect();
            let level = self.level(&after);
            self.clusters.list.push(Cluster {
                seed: Seed::Map,
                shape: shape.clone(),
                items: Vec::new(),
                reads: BTreeMap::new(),
                core_reads: BTreeSet::new(),
                after,
                level,
                insts: 0,
                commit,
                rows: None,
            });
            let new = self.clusters.list.len() - 1;
            self.recent.entry((shape, commit)).or_default().push(new);
            new
        });
        for (value, aligned) in reads {
            let homes = self.clusters.home.get(&value).cloned().unwrap_or_default();
            let cluster = &mut self.clusters.list[target];
            if homes != [target] {
                cluster.after.extend(homes.into_iter().filter(|&c| c != target));
                cluster.reads.entry(value).and_modify(|all| *all &= aligned).or_insert(aligned);
            }
        }
        let cluster = &mut self.clusters.list[target];
        cluster.insts += insts;
        cluster.items.push(item);
        target
    }

    fn candidates(&self, reads: &[(Id, bool)], shape: &[usize], commit: bool) -> Vec<ClusterId> {
        if !self.fuse {
            return Vec::new();
        }
        let homes = self.homes(reads.iter().map(|(value, _)| value));
        let recent = self.recent.get(&(shape.to_vec(), commit)).into_iter().flatten().rev().take(SIBLINGS).copied();
        // Reading the same few numbers, such as a learning rate, saves nothing: it would only mix updates of states that have
        // nothing to do with each other, until none can go first.
        let numel: usize = shape.iter().product();
        let large = |v: Id| self.nodes[v].meta.shape.numel() >= numel;
        let siblings = recent.filter(|&c| {
            let cluster = &self.clusters.list[c];
            reads.iter().any(|(v, _)| large(*v) && cluster.reads.contains_key(v))
                || cluster.items.iter().any(|i| matches!(i.role, Role::Part(..)))
        });
        let siblings: Vec<_> = siblings.collect();
        homes.into_iter().chain(siblings).collect()
    }

    /// The clusters that compute these values, the last ones first.
    fn homes<'a>(&self, values: impl Iterator<Item = &'a Id>) -> Vec<ClusterId> {
        let home = |v: &Id| match self.clusters.home.get(v).map(Vec::as_slice) {
            Some(&[home]) => Some(home),
            _ => None,
        };
        let mut homes: Vec<ClusterId> = values.filter_map(home).collect();
        homes.sort_by_key(|&c| std::cmp::Reverse(self.clusters.list[c].level));
        homes
    }

    fn fits(&self, c: ClusterId, new: &[(Id, bool)], insts: usize, shape: &[usize], commit: bool) -> bool {
        let cluster = &self.clusters.list[c];
        let alone = match cluster.seed {
            Seed::Map => false,
            Seed::Loop(_) | Seed::Rows => true,
            Seed::Core(id) => matches!(self.nodes[id].prim, Prim::Gather(_) | Prim::ScatterAdd(_) | Prim::Line(..)),
        };
        if alone || cluster.shape != shape || cluster.commit != commit {
            return false;
        }
        if cluster.insts + insts > self.caps.max_insts {
            return false;
        }
        let mut args: BTreeSet<Id> = cluster.reads.keys().chain(&cluster.core_reads).copied().collect();
        for &(value, aligned) in new {
            let homes = self.clusters.home.get(&value).map(Vec::as_slice).unwrap_or_default();
            match homes {
                // Its own value, in a register.
                [home] if *home == c => {
                    if !aligned || matches!(self.nodes[value].prim, Prim::Concat(_)) {
                        return false;
                    }
                }
                homes => {
                    if homes.iter().any(|&h| h == c || self.clusters.list[h].level >= cluster.level) {
                        return false;
                    }
                    args.insert(value);
                }
            }
        }
        // Every item may need an argument of its own; a state is written where it is read.
        let written = cluster.items.iter().filter(|i| !matches!(i.role, Role::State(_))).count();
        args.len() + written + usize::from(!commit) <= self.caps.max_args
    }
}
