//! Computing again: values that forward computations leave for late ones (the gradient's, mostly) are let go meanwhile, and computed
//! a second time just before they are asked for.
//!
//! A pure rewrite of a graph into another with the same results, bit for bit, that is planned like any other. It works on what will
//! lie in memory (`units`), puts it in an order that lets go early (`order`), decides what to let go (`choose`), and writes the nodes
//! anew (`rewrite`). A copy reads what it starts from through [`Prim::After`], so no kernel of the first time takes it in.

mod choose;
mod order;
mod rewrite;
mod units;

use super::{
    materialize::Limits,
    trace::{Id, Loop, Prim, Traced, TracedNode},
};
use choose::Schedule;
use std::sync::Arc;
use units::Units;

/// Parts of the estimated peak that are tried one after the other, the cheapest first.
pub const SHARES: [f64; 7] = [0.8, 0.6, 0.45, 0.3, 0.2, 0.12, 0.06];

/// What a graph is for.
#[derive(Clone, Copy)]
struct Roots<'a> {
    /// Values that lie somewhere else than in temporary memory.
    results: &'a [Id],
    /// New values of states.
    updates: &'a [Id],
    /// Values that are added to something.
    folds: &'a [Id],
}

/// A graph written anew.
#[derive(Default)]
struct Rewritten {
    nodes: Vec<TracedNode>,
    labels: Vec<String>,
    /// Where each value that the roots name is now.
    results: Vec<Id>,
    updates: Vec<Id>,
    folds: Vec<Id>,
}

fn again(nodes: &[TracedNode], labels: &[String], roots: Roots<'_>, limits: Limits, share: f64) -> Option<Rewritten> {
    let units = Units::of(nodes, roots, limits);
    let plain = Schedule::plain(&units, &(0..units.list.len()).collect::<Vec<_>>());
    let wanted = (plain.peak(&units) as f64 * share) as u64;
    let ordered = Schedule::plain(&units, &order::order(&units));
    let chosen = ordered.shrunk(&units, wanted)?;
    rewrite::rewrite(nodes, labels, roots, &units, &chosen)
}

/// The graph with some of its values computed again, so that what lies in memory at the highest moment is about this share of what it
/// was. `None` if no value can be let go.
pub fn whole(traced: &Traced, labels: &[String], limits: Limits, share: f64) -> Option<(Traced, Vec<String>)> {
    let updates: Vec<Id> = traced.updates.iter().map(|&(_, id)| id).collect();
    let roots = Roots { results: &traced.outputs, updates: &updates, folds: &[] };
    let new = again(&traced.nodes, labels, roots, limits, share)?;
    let states = traced.updates.iter().map(|&(state, _)| state);
    let traced = Traced {
        nodes: new.nodes,
        inputs: traced.inputs.clone(),
        batch: traced.batch.clone(),
        states: traced.states.clone(),
        scalars: traced.scalars.clone(),
        outputs: new.results,
        updates: states.zip(new.updates).collect(),
    };
    Some((traced, new.labels))
}

/// The same inside each loop that folds something, which is what loops over slices of the batch do. `None` if nothing changed.
pub fn inside(traced: &Traced, limits: Limits, share: f64) -> Option<Traced> {
    let mut traced = traced.clone();
    let mut changed = false;
    for node in &mut traced.nodes {
        if let Prim::Scan(looped) = &node.prim
            && !looped.folds.is_empty()
            && let Some(new) = body(looped, limits, share)
        {
            node.prim = Prim::Scan(Arc::new(new));
            changed = true;
        }
    }
    changed.then_some(traced)
}

fn body(looped: &Loop, limits: Limits, share: f64) -> Option<Loop> {
    let (results, folds) = looped.outputs.split_at(looped.outputs.len() - looped.folds.len());
    let roots = Roots { results, updates: &[], folds };
    let unlabelled = vec![String::new(); looped.nodes.len()];
    let labels = if looped.labels.is_empty() { &unlabelled } else { &looped.labels };
    let new = again(&looped.nodes, labels, roots, limits, share)?;
    let labels = if looped.labels.is_empty() { Vec::new() } else { new.labels };
    let outputs = new.results.into_iter().chain(new.folds).collect();
    Some(Loop { nodes: new.nodes, labels, outputs, ..looped.clone() })
}

#[cfg(test)]
mod tests;
