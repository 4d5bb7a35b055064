//! The test that carries the project: random graphs, on which a device must agree with the reference, fused or not.
//! A failure prints as a few lines of Rust that record a small graph.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_tensor::{
    Array, Device, Result, Tensor,
    testing::{self, Graph, Options, check, graphs},
};

fn run(tensors: &[Tensor]) -> Result<Vec<Array>> {
    Tensor::eval(tensors)?;
    tensors.iter().map(Tensor::to_array).collect()
}

/// The tests of this file share the default device, so there is one test only. `ADDAX_TEST_SEED` asks for other graphs,
/// `ADDAX_TEST_GRAPHS` for more.
#[test]
fn the_cpu_agrees_with_the_reference() {
    let (seed, count) = (testing::seed(2026), testing::wanted(1000));
    for fuse in [true, false] {
        let device = Device::cpu().unwrap();
        device.set_fusion(fuse);
        Device::set_default(&device);
        let all = |graphs: &mut dyn Iterator<Item = Graph>| {
            for (i, graph) in graphs.enumerate() {
                check(&graph.outputs, run)
                    .unwrap_or_else(|failure| panic!("graph {i} of seed {seed}, fused {fuse}: {failure}"));
            }
        };
        // Together every primitive, on every type it accepts, through every view.
        all(&mut graphs(seed, count, &Options::all()));
        // Tensors of many tiles, on several threads.
        all(&mut graphs(seed, count / 20, &Options::large()));
    }
}
