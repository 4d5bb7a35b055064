//! Random graphs on the GPU: every primitive in company of others, fused and unfused, against the reference.
//!
//! Runs where `ADDAX_TEST_DEVICES` names `gpu`. `ADDAX_TEST_GRAPHS` sets their number: each costs a software adapter about
//! a second of compiling.
#![cfg(feature = "gpu")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_tensor::{
    Device, Tensor,
    gpu::{Choice, GpuExecutor},
    testing,
};
use pollster::block_on;

/// Leaves are host data, so graphs run where the default device is.
fn agree(seed: u64, device: &Device) {
    Device::set_default(device);
    for (n, graph) in testing::graphs(seed, testing::wanted(25), &testing::Options::all()).enumerate() {
        device.set_fusion(n % 4 != 3);
        let checked = testing::check(&graph.outputs, |tensors| {
            Tensor::eval(tensors)?;
            tensors.iter().map(Tensor::to_array).collect()
        });
        if let Err(failure) = checked {
            panic!("graph {n} of seed {seed}: {failure}");
        }
    }
}

/// One test, as the default device is the whole process's.
#[test]
fn random_graphs_agree_with_the_reference() {
    let Some(gpu) = testing::gpu().expect("ADDAX_TEST_DEVICES names gpu") else { return };
    agree(11, &gpu);
    // A software adapter gets shaders without barriers; the others must be right too.
    let software = block_on(GpuExecutor::request(Choice::Software));
    if let Ok(executor) = software {
        agree(12, &Device::from_executor(Box::new(executor.with_gpu_shaders(256))));
    }
}
