//! The nodes of a schedule.

use super::{
    Rewritten, Roots,
    choose::Schedule,
    units::{Units, is_given},
};
use crate::plan::trace::{Id, Prim, TracedNode};
use std::collections::HashMap;

/// Among so many units before a copy, the one that follows from most others is what the copy comes after.
const ANCHORS: usize = 4;

/// Writes a graph as a schedule says. `None` if the schedule reads what it does not compute.
pub fn rewrite(
    nodes: &[TracedNode],
    labels: &[String],
    roots: Roots<'_>,
    units: &Units,
    schedule: &Schedule,
) -> Option<Rewritten> {
    let mut w = Writer { from: nodes, from_labels: labels, units, out: Rewritten::default(), known: HashMap::new() };
    // What comes from outside keeps its order, needed or not.
    let mut given = HashMap::new();
    for (id, node) in nodes.iter().enumerate().filter(|(_, node)| is_given(&node.prim)) {
        given.insert(id, w.push(node.clone(), id));
    }
    let depths = depths(units);
    let mut new: Vec<Id> = Vec::with_capacity(schedule.steps.len());
    let mut first = given.clone();
    let mut anchors: Vec<(usize, Id)> = Vec::new();
    for (at, step) in schedule.steps.iter().enumerate() {
        let unit = &units.list[step.unit];
        let read = unit.deps.iter().zip(&step.deps).map(|(&dep, &step)| (units.list[dep].id, new[step]));
        // What reads a copy comes late by itself.
        let starts = step.again && !step.deps.iter().any(|&dep| schedule.steps[dep].again);
        let delay = anchors.iter().rev().take(ANCHORS).max_by_key(|(depth, _)| *depth).map(|&(_, id)| id);
        let mut env = Env {
            given: &given,
            steps: read.collect(),
            delay: delay.filter(|_| starts),
            copy: if step.again { at + 1 } else { 0 },
        };
        let id = w.expression(unit.id, &mut env, false)?;
        new.push(id);
        if !step.again {
            first.insert(unit.id, id);
            if unit.anchor {
                anchors.push((depths[step.unit], id));
            }
        }
    }
    let end = units.end.iter().zip(&schedule.end).map(|(&unit, &step)| (units.list[unit].id, new[step]));
    let mut last = Env { given: &given, steps: end.collect(), delay: None, copy: 0 };
    for &id in roots.updates {
        let value = match last.steps.get(&id).or_else(|| given.get(&id)) {
            Some(&value) => value,
            None => w.expression(id, &mut last, true)?,
        };
        w.out.updates.push(value);
    }
    let root = |id: &Id| first.get(id).copied();
    w.out.results = roots.results.iter().map(root).collect::<Option<_>>()?;
    w.out.folds = roots.folds.iter().map(root).collect::<Option<_>>()?;
    Some(w.out)
}

/// How many units follow one another until each.
fn depths(units: &Units) -> Vec<usize> {
    let mut depths: Vec<usize> = Vec::with_capacity(units.list.len());
    for unit in &units.list {
        depths.push(unit.deps.iter().map(|&dep| depths[dep] + 1).max().unwrap_or(0));
    }
    depths
}

/// Where the values are that one unit reads.
struct Env<'g> {
    given: &'g HashMap<Id, Id>,
    steps: HashMap<Id, Id>,
    /// What everything is read after.
    delay: Option<Id>,
    /// Copies share no nodes with others.
    copy: usize,
}

struct Writer<'a> {
    from: &'a [TracedNode],
    from_labels: &'a [String],
    units: &'a Units,
    out: Rewritten,
    /// Values that are not stored: equal ones are one, as in a trace.
    known: HashMap<(usize, TracedNode), Id>,
}

impl Writer<'_> {
    fn push(&mut self, node: TracedNode, like: Id) -> Id {
        self.out.nodes.push(node);
        self.out.labels.push(self.from_labels.get(like).cloned().unwrap_or_default());
        self.out.nodes.len() - 1
    }

    fn merged(&mut self, node: TracedNode, like: Id, copy: usize) -> Id {
        let key = (copy, node);
        if let Some(&id) = self.known.get(&key) {
            return id;
        }
        let id = self.push(key.1.clone(), like);
        self.known.insert(key, id);
        id
    }

    /// A value computed from what its environment has, and what is not stored on the way.
    fn expression(&mut self, root: Id, env: &mut Env<'_>, merge: bool) -> Option<Id> {
        let mut made: HashMap<Id, Id> = HashMap::new();
        let mut stack = vec![(root, false)];
        while let Some((id, ready)) = stack.pop() {
            if made.contains_key(&id) {
                continue;
            }
            if id != root && (self.units.stored[id] || is_given(&self.from[id].prim)) {
                let leaf = self.leaf(id, env)?;
                made.insert(id, leaf);
                continue;
            }
            let from = &self.from[id];
            if !ready {
                stack.push((id, true));
                stack.extend(from.inputs.iter().map(|&input| (input, false)));
                continue;
            }
            let inputs = from.inputs.iter().map(|input| made.get(input).copied()).collect::<Option<_>>()?;
            let node = TracedNode { prim: from.prim.clone(), inputs, meta: from.meta.clone() };
            let new = match id != root || merge {
                true => self.merged(node, id, env.copy),
                false => self.push(node, id),
            };
            made.insert(id, new);
        }
        made.get(&root).copied()
    }

    fn leaf(&mut self, id: Id, env: &Env<'_>) -> Option<Id> {
        let leaf = env.steps.get(&id).or_else(|| env.given.get(&id)).copied()?;
        let Some(delay) = env.delay.filter(|&delay| delay != leaf) else { return Some(leaf) };
        let meta = self.from[id].meta.clone();
        Some(self.merged(TracedNode { prim: Prim::After, inputs: vec![leaf, delay], meta }, id, env.copy))
    }
}
