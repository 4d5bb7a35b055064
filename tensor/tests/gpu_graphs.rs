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

fn asked() -> bool {
    let asked = std::env::var("ADDAX_TEST_DEVICES").is_ok_and(|list| list.split(',').any(|d| d.trim() == "gpu"));
    if !asked {
        println!("gpu tests skipped: ADDAX_TEST_DEVICES does not name gpu");
    }
    asked
}

fn count() -> usize {
    std::env::var("ADDAX_TEST_GRAPHS").ok().and_then(|n| n.parse().ok()).unwrap_or(25)
}

/// Leaves are host data, so graphs run where the default device is.
fn agree(seed: u64, device: &Device) {
    Device::set_default(device);
    for (n, graph) in testing::graphs(seed, count(), &testing::Options::all()).enumerate() {
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
    if !asked() {
        return;
    }
    agree(11, &Device::gpu().expect("ADDAX_TEST_DEVICES names gpu"));
    // A software adapter gets shaders without barriers; the others must be right too.
    let software = block_on(GpuExecutor::request(Choice::Software));
    if let Ok(executor) = software {
        agree(12, &Device::from_executor(Box::new(executor.with_gpu_shaders(256))));
    }
}
