//! Splitting a batch: whatever the graph, slices of the batch give what the reference gives for the whole.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_tensor::{
    Array, Device, Result, Tensor,
    graph::{Op, topological},
    plan::split::Rung,
    testing::{self, Graph, Options, check, graphs},
};
use std::collections::HashMap;

/// Calls the longest most common first axis of the data the batch.
fn with_batch(tensors: &[Tensor]) -> Result<Vec<Array>> {
    let leaves: Vec<Tensor> =
        topological(tensors, |_| false).into_iter().filter(|t| matches!(t.node().op(), Op::Leaf)).collect();
    let mut counts: HashMap<usize, usize> = HashMap::new();
    let first = |t: &Tensor| t.shape().ok().and_then(|s| s.first().copied()).filter(|&n| n > 1);
    for n in leaves.iter().filter_map(first) {
        *counts.entry(n).or_default() += 1;
    }
    if let Some((&rows, _)) = counts.iter().max_by_key(|&(&n, &count)| (count, n)) {
        for leaf in leaves.into_iter().filter(|t| first(t) == Some(rows)) {
            let _same = leaf.of_samples();
        }
    }
    // One by one: a graph is split as a whole or not at all.
    tensors.iter().map(Tensor::to_array).collect()
}

/// The tests of this file share the default device, so there is one test only. `ADDAX_TEST_SEED` asks for other graphs,
/// `ADDAX_TEST_GRAPHS` for more.
#[test]
fn slices_of_the_batch_agree_with_the_reference() {
    let (seed, count) = (testing::seed(7), testing::wanted(800));
    for rung in [Rung { slices: 2, recompute: false }, Rung { slices: usize::MAX, recompute: true }] {
        let device = Device::cpu().unwrap();
        device.set_rung(Some(rung));
        Device::set_default(&device);
        let all = |graphs: &mut dyn Iterator<Item = Graph>| {
            for (i, graph) in graphs.enumerate() {
                check(&graph.outputs, with_batch)
                    .unwrap_or_else(|failure| panic!("graph {i} of seed {seed}, {rung}: {failure}"));
            }
        };
        all(&mut graphs(seed, count, &Options::all()));
        all(&mut graphs(seed, count / 25, &Options::large()));
        let info = device.plan_cache();
        println!("{rung}: {} of {} graphs were split", info.split, info.misses);
        assert!(info.split >= 100, "only {} of {} graphs were split", info.split, info.misses);
    }
}
