//! Computing again: values that forward computations leave for late ones (the gradient's, mostly) are let go meanwhile, and computed
//! a second time just before they are asked for.
//!
//! A pure rewrite of a graph into another with the same results, bit for bit (half floats are rounded where they lie in memory, and a
//! copy may lie nowhere), that is planned like any other. It works on what will lie in memory (`units`), puts it in an order that lets
//! go early (`order`), decides what to let go (`choose`), and writes the nodes anew (`rewrite`). A copy reads what it starts from
//! through [`Prim::After`], so no kernel of the first time takes it in.

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

/// What is known of a graph whatever is let go.
struct Known {
    units: Units,
    /// Every unit once, in an order that lets go early.
    ordered: Schedule,
    /// Bytes at the highest moment of the graph's own order.
    peak: u64,
}

impl Known {
    fn of(nodes: &[TracedNode], roots: Roots<'_>, limits: Limits) -> Known {
        let units = Units::of(nodes, roots, limits);
        let peak = Schedule::plain(&units, &(0..units.list.len()).collect::<Vec<_>>()).peak(&units);
        let ordered = Schedule::plain(&units, &order::order(&units));
        Known { units, ordered, peak }
    }
    fn wanted(&self, share: f64) -> u64 {
        (self.peak as f64 * share) as u64
    }
    fn again(&self, nodes: &[TracedNode], labels: &[String], roots: Roots<'_>, share: f64) -> Option<Rewritten> {
        let chosen = self.ordered.shrunk(&self.units, self.wanted(share))?;
        rewrite::rewrite(nodes, labels, roots, &self.units, &chosen)
    }
}

/// A graph of which some values may be computed again.
pub struct Whole<'a> {
    traced: &'a Traced,
    labels: &'a [String],
    updates: Vec<Id>,
    known: Known,
}

impl<'a> Whole<'a> {
    /// Looks at a graph.
    pub fn new(traced: &'a Traced, labels: &'a [String], limits: Limits) -> Whole<'a> {
        let updates: Vec<Id> = traced.updates.iter().map(|&(_, id)| id).collect();
        let roots = Roots { results: &traced.outputs, updates: &updates, folds: &[] };
        let known = Known::of(&traced.nodes, roots, limits);
        Whole { traced, labels, updates, known }
    }

    /// Bytes that lie in memory at the highest moment of this share, roughly.
    pub fn wanted(&self, share: f64) -> u64 {
        self.known.wanted(share)
    }

    /// The graph with some of its values computed again, so that what lies in memory at the highest moment is about this share of
    /// what it was. `None` if no value can be let go.
    pub fn again(&self, share: f64) -> Option<(Traced, Vec<String>)> {
        let traced = self.traced;
        let roots = Roots { results: &traced.outputs, updates: &self.updates, folds: &[] };
        let new = self.known.again(&traced.nodes, self.labels, roots, share)?;
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
    let new = Known::of(&looped.nodes, roots, limits).again(&looped.nodes, labels, roots, share)?;
    let labels = if looped.labels.is_empty() { Vec::new() } else { new.labels };
    let outputs = new.results.into_iter().chain(new.folds).collect();
    Some(Loop { nodes: new.nodes, labels, outputs, ..looped.clone() })
}

#[cfg(test)]
mod tests;
