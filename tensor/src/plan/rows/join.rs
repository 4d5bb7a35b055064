//! Which clusters become kernels over rows, and who may join them.

use super::space::{Lies, Read, Space, reads};
use crate::{
    executor::Caps,
    plan::{
        Stage,
        cluster::{Cluster, ClusterId, Clusters, Item, Role, Rows, Seed},
        materialize::Values,
        trace::{Id, Prim, TracedNode},
    },
};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Longer rows than this are worth a kernel of their own where they are few: it is cut between rows only.
const LONG: usize = 1024;
/// So many rows are enough for all threads.
const MANY: usize = 4;

const ALONG: Read = Read::Own(Lies::Along);

/// What is known while clusters are made.
pub struct Scene<'a> {
    /// The graph.
    pub nodes: &'a [TracedNode],
    /// What lies in memory.
    pub values: &'a Values,
    /// The device.
    pub caps: &'a Caps,
    /// All clusters so far.
    pub clusters: &'a Clusters,
}

/// Cluster `c` as a kernel over rows, with one more item: a reduction, a map of the rows, or what follows from reductions once per
/// row. `None` if it may not join, or if nothing were saved.
pub fn joined(scene: &Scene, c: ClusterId, item: &Item) -> Option<Cluster> {
    let Scene { nodes, values, caps, clusters } = *scene;
    let cluster = &clusters.list[c];
    let reduction = |id: Id| Space::of(nodes, id, caps.max_row);
    let is_stage = item.role == Role::Value && matches!(nodes[item.value].prim, Prim::Reduce(..));
    let Rows { space, mut stages } = match (cluster.seed, &cluster.rows) {
        _ if cluster.commit => return None,
        (Seed::Rows, Some(rows)) => rows.clone(),
        (Seed::Core(id), _) => Rows { space: reduction(id)?, stages: vec![id] },
        (Seed::Map, _) if is_stage => Rows { space: reduction(item.value)?, stages: Vec::new() },
        _ => return None,
    };
    if is_stage {
        if stages.len() == Stage::MOST || !space.holds(&reduction(item.value)?) {
            return None;
        }
        stages.push(item.value);
    }
    let rows: usize = space.rows().iter().product();
    let len: usize = space.shape.iter().skip(space.rows().len()).product();
    if len > LONG && rows < MANY {
        return None;
    }
    let mut cluster = cluster.clone();
    cluster.items.push(item.clone());
    let inside: HashSet<Id> = cluster.items.iter().filter(|i| i.role == Role::Value).map(|i| i.value).collect();
    let of = |item: &Item| {
        let own = item.role == Role::Value || !values.memory[item.value];
        reads(nodes, &values.memory, &space, item.value, own)
    };

    // Its own values are in registers, and in slots: at their own index, or for their own row.
    let (mut others, mut shared, mut insts) = (BTreeMap::new(), HashSet::new(), 0);
    for member in &cluster.items {
        for (value, read) in of(member)? {
            let own = inside.contains(&value);
            if own && (read == Read::Other || matches!(nodes[value].prim, Prim::Concat(_))) {
                return None;
            }
            if !own {
                others.entry(value).and_modify(|all| *all &= read == ALONG).or_insert(read == ALONG);
            }
        }
        insts += match nodes[member.value].prim {
            Prim::Reduce(..) => match nodes[member.value].inputs[0] {
                of if values.memory[of] && !inside.contains(&of) => 2,
                of => 1 + values.expanded[of],
            },
            _ => 1 + values.expanded[member.value],
        };
    }
    let written = cluster.items.len();
    if insts + Stage::ROW_SLOTS + Stage::SLOTS > caps.max_row_insts || others.len() + written > caps.max_args {
        return None;
    }
    for member in cluster.items.iter().take(written - 1) {
        shared.extend(of(member)?.into_iter().filter(|(_, read)| *read == ALONG).map(|(value, _)| value));
        if space.lies(nodes[member.value].meta.shape.dims()) == Some(Lies::Along) {
            shared.insert(member.value);
        }
    }
    let mut new = of(item)?;
    new.retain(|(value, _)| *value != item.value);
    let follows = new.iter().any(|(value, _)| inside.contains(value));
    let alone = new.iter().all(|(value, _)| nodes[*value].meta.shape.numel() <= rows.max(1));
    let shares = new.iter().any(|(value, read)| *read == ALONG && shared.contains(value));
    let fits = match (is_stage, space.lies(nodes[item.value].meta.shape.dims())?) {
        (true, _) => shares || alone || shared.is_empty(),
        (false, Lies::PerRow) => follows,
        (false, Lies::Along) => follows && (shares || alone),
    };
    if !fits {
        return None;
    }
    for (value, _) in new.iter().filter(|(value, _)| !inside.contains(value)) {
        let homes = clusters.home.get(value).map(Vec::as_slice).unwrap_or_default();
        if homes.contains(&c) {
            return None;
        }
        cluster.after.extend(homes);
    }
    let above = cluster.after.iter().map(|&before| clusters.list[before].level + 1).max().unwrap_or(0);
    if above > cluster.level {
        // It may go up as long as nobody stands on it.
        if clusters.list.iter().any(|other| other.after.contains(&c)) {
            return None;
        }
        cluster.level = above;
    }
    cluster.seed = Seed::Rows;
    cluster.shape = space.shape.clone();
    cluster.reads = others;
    cluster.core_reads = BTreeSet::new();
    cluster.insts = insts;
    cluster.rows = Some(Rows { space, stages });
    Some(cluster)
}
