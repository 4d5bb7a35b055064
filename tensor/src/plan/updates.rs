//! Updates that ride in the kernel of their gradient. A weight's gradient that only its update reads need not lie in memory: the
//! product behind it joins the commit, and the optimizer's formula is its epilogue.
//!
//! The product then runs at the end, so what it reads lives until then, where the gradient would have. An update rides only if that
//! is less: for weights larger than the batch's activations, as those of wide dense layers. (A kernel with a block may take more
//! scratch, so `plan` compares.)

use super::{
    cluster::{Cluster, ClusterId, Clusters, Role, Seed},
    materialize::dense_base,
    trace::{Id, Prim, TracedNode},
};
use crate::executor::Caps;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

/// Bytes of a gradient that gains by not being stored: a smaller one stays in the second cache until its update.
const LARGE: u64 = 1 << 20;

/// Joins commits to the kernels of the gradients that only they read, and tells how many. `results` are needed as such.
pub fn ride(nodes: &[TracedNode], mut clusters: Clusters, results: &[Id], caps: &Caps) -> (Clusters, usize) {
    let mut scene = Scene::new(nodes, &clusters, results);
    let mut gone = BTreeSet::new();
    for (gradient, update) in scene.pairs(&clusters) {
        if gone.contains(&gradient) {
            continue;
        }
        if let Some(joined) = scene.joined(&clusters, gradient, update, caps) {
            scene.kept.extend(joined.reads.keys().chain(&joined.core_reads));
            clusters.list[update] = joined;
            gone.insert(gradient);
        }
    }
    (without(clusters, &gone), gone.len())
}

struct Scene<'a> {
    nodes: &'a [TracedNode],
    results: BTreeSet<Id>,
    /// The clusters that read a value.
    readers: HashMap<Id, BTreeSet<ClusterId>>,
    /// States that are written.
    written: BTreeSet<usize>,
    /// Values that live until the commit in any case.
    kept: BTreeSet<Id>,
}

impl<'a> Scene<'a> {
    fn new(nodes: &'a [TracedNode], clusters: &Clusters, results: &[Id]) -> Scene<'a> {
        let mut readers: HashMap<Id, BTreeSet<ClusterId>> = HashMap::new();
        let (mut written, mut kept) = (BTreeSet::new(), BTreeSet::new());
        for (c, cluster) in clusters.list.iter().enumerate() {
            for &value in cluster.reads.keys().chain(&cluster.core_reads) {
                readers.entry(value).or_default().insert(c);
                if cluster.commit {
                    kept.insert(value);
                }
            }
            written.extend(cluster.items.iter().filter_map(|item| match item.role {
                Role::State(state) => Some(state),
                _ => None,
            }));
        }
        let fixed = |id: &Id| matches!(nodes[*id].prim, Prim::Input(_) | Prim::State(_) | Prim::Param(_));
        kept.extend((0..nodes.len()).filter(fixed));
        Scene { nodes, results: results.iter().copied().collect(), readers, written, kept }
    }

    /// A gradient's cluster and the commit that reads it, the largest first: their operands may serve smaller ones too.
    fn pairs(&self, clusters: &Clusters) -> Vec<(ClusterId, ClusterId)> {
        let commits = clusters.list.iter().enumerate().filter(|(_, cluster)| cluster.commit);
        let read = commits.flat_map(|(update, cluster)| cluster.reads.keys().map(move |value| (update, value)));
        let mut pairs: Vec<(ClusterId, ClusterId)> = read
            .filter_map(|(update, value)| match clusters.home.get(value).map(Vec::as_slice) {
                Some(&[gradient]) => Some((gradient, update)),
                _ => None,
            })
            .collect();
        pairs.sort_by_key(|&(gradient, update)| (Reverse(self.elements(clusters, gradient)), gradient, update));
        pairs.dedup();
        pairs
    }

    fn elements(&self, clusters: &Clusters, c: ClusterId) -> usize {
        clusters.list[c].shape.iter().product()
    }

    /// The two as one kernel of the commit, if they may be one.
    fn joined(&self, clusters: &Clusters, gradient: ClusterId, update: ClusterId, caps: &Caps) -> Option<Cluster> {
        let (core, commit) = (clusters.list.get(gradient)?, clusters.list.get(update)?);
        let Seed::Core(id) = core.seed else { return None };
        let takes_a_block = matches!(self.nodes[id].prim, Prim::MatMul(_) | Prim::Conv2d(..) | Prim::Reduce(..));
        if !takes_a_block || core.commit || commit.seed != Seed::Map || core.shape != commit.shape {
            return None;
        }
        let values: Vec<Id> = core.items.iter().map(|item| item.value).collect();
        let theirs_alone = core
            .items
            .iter()
            .all(|item| item.role == Role::Value && !self.results.contains(&item.value))
            && values.iter().all(|value| self.readers.get(value).is_none_or(|all| all.iter().all(|&c| c == update)))
            && values.iter().all(|value| commit.reads.get(value).is_none_or(|&aligned| aligned));
        if !theirs_alone {
            return None;
        }
        // What is read now may have changed by then, unless it is read where it is written.
        let changes = |id: &Id| match self.nodes[*id].prim {
            Prim::State(state) => self.written.contains(&state),
            _ => false,
        };
        if core.core_reads.iter().chain(core.reads.keys()).any(changes) {
            return None;
        }
        let bytes = |ids: &mut dyn Iterator<Item = Id>| ids.map(|id| self.nodes[id].meta.bytes()).sum::<u64>();
        let mut late = core.core_reads.iter().chain(core.reads.keys()).copied().filter(|id| !self.kept.contains(id));
        let mut stored = values.iter().copied().filter(|value| commit.reads.contains_key(value));
        let (late, stored) = (bytes(&mut late), bytes(&mut stored));
        // Where nothing has to wait longer, riding saves a kernel at least.
        if late > stored || late > 0 && stored < LARGE {
            return None;
        }
        let mut reads: BTreeMap<Id, bool> = core.reads.clone();
        for (&value, &aligned) in commit.reads.iter().filter(|(value, _)| !values.contains(value)) {
            reads.entry(value).and_modify(|all| *all &= aligned).or_insert(aligned);
        }
        let args: BTreeSet<Id> = reads.keys().chain(&core.core_reads).map(|&id| dense_base(self.nodes, id)).collect();
        let insts = core.insts + commit.insts;
        if args.len() > caps.max_args || insts > caps.max_insts {
            return None;
        }
        let after = core.after.union(&commit.after).copied().filter(|&c| c != gradient).collect();
        Some(Cluster {
            seed: core.seed,
            shape: core.shape.clone(),
            items: core.items.iter().chain(&commit.items).cloned().collect(),
            reads,
            core_reads: core.core_reads.clone(),
            after,
            level: commit.level,
            insts,
            commit: true,
            rows: None,
        })
    }
}

/// The clusters without those that are part of others now.
fn without(clusters: Clusters, gone: &BTreeSet<ClusterId>) -> Clusters {
    let number: HashMap<ClusterId, ClusterId> =
        (0..clusters.list.len()).filter(|c| !gone.contains(c)).enumerate().map(|(new, old)| (old, new)).collect();
    let stay = clusters.list.into_iter().enumerate().filter(|(c, _)| !gone.contains(c)).map(|(_, cluster)| cluster);
    let list = stay
        .map(|mut cluster| {
            cluster.after = cluster.after.iter().filter_map(|c| number.get(c).copied()).collect();
            cluster
        })
        .collect();
    let home = clusters.home.into_iter();
    let home = home.map(|(value, homes)| (value, homes.iter().filter_map(|c| number.get(c).copied()).collect()));
    Clusters { list, home: home.collect() }
}
