//! What phases leave for later ones, and how much of it is kept instead of being computed again.

use super::super::{
    axes::{Sample, Samples},
    trace::{Id, Prim, TracedNode},
};
use std::collections::{BTreeMap, HashSet};

/// Samples' values of one phase that a later phase asks for.
pub struct Crossing {
    /// Bytes of each times the phases that it waits. What is small and waits shortly comes first; of equals every other one comes
    /// before those between, so that what is computed again begins near by.
    ranked: Vec<(u64, Id)>,
}

impl Crossing {
    /// Of the needed nodes of a graph, each of which belongs to a phase.
    pub fn of(nodes: &[TracedNode], samples: &Samples, needed: &[bool], phase: &[usize]) -> Crossing {
        let mut last: BTreeMap<Id, usize> = BTreeMap::new();
        for id in (0..nodes.len()).filter(|&id| needed[id] && samples.of[id] != Sample::Free) {
            for &input in &nodes[id].inputs {
                let sampled = samples.of[input].cut().is_some() && !matches!(nodes[input].prim, Prim::Input(_));
                // A loop is kept by its results, which is what others read.
                let result = !matches!(nodes[input].prim, Prim::Scan(_));
                if sampled && result && phase[input] < phase[id] {
                    let last = last.entry(input).or_insert(0);
                    *last = phase[id].max(*last);
                }
            }
        }
        let weight = |(id, last): (Id, usize)| (nodes[id].meta.bytes() * (last - phase[id]) as u64, id);
        let mut ranked: Vec<(u64, Id)> = last.into_iter().map(weight).collect();
        ranked.sort_unstable();
        for equals in ranked.chunk_by_mut(|a, b| a.0 == b.0) {
            let mut turns: Vec<(usize, (u64, Id))> = equals.iter().copied().enumerate().collect();
            turns.sort_unstable_by_key(|(place, _)| place.reverse_bits());
            equals.iter_mut().zip(turns).for_each(|(to, (_, value))| *to = value);
        }
        Crossing { ranked }
    }

    /// What is kept if this share (0 to 1) of all bytes times their phases is.
    pub fn kept(&self, share: f64) -> HashSet<Id> {
        let all: u64 = self.ranked.iter().map(|(weight, _)| weight).sum();
        let so_far = self.ranked.iter().scan(0, |sum, &(weight, id)| {
            *sum += weight;
            Some((*sum, id))
        });
        so_far.take_while(|&(sum, _)| sum as f64 <= all as f64 * share).map(|(_, id)| id).collect()
    }
}
