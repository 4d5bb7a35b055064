//! The shaders of real GPUs, large tiles and sums in parts included, on any adapter against the reference.
//!
//! Runs where `ADDAX_TEST_DEVICES` names `gpu`.
#![cfg(feature = "gpu")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_tensor::{
    Device, Tensor,
    gpu::{Choice, GpuExecutor},
    graph::{Conv2d, Cumulate, CumulateOp},
    reference::{self, Ranged},
    testing,
};
use pollster::block_on;
use std::collections::HashMap;

/// Numbers in about ±2 that repeat nowhere near.
fn data(shape: &[usize], seed: u32) -> Tensor {
    let count: usize = shape.iter().product();
    let value = |i: usize| {
        let bits = (i as u32).wrapping_add(seed.wrapping_mul(7919)).wrapping_mul(2_654_435_761);
        (bits >> 8) as f32 / (1 << 22) as f32 - 2.0
    };
    Tensor::from_vec((0..count).map(value).collect::<Vec<f32>>(), shape)
}

/// Products that fit tiles and that do not, in all four orders of operands, with results of 32, 16 and 8 bits.
fn products() -> Vec<Tensor> {
    let bias = data(&[132], 1);
    vec![
        (data(&[130, 40], 2).matmul(&data(&[40, 132], 3)) + bias).relu(),
        data(&[40, 70], 4).t().matmul(&data(&[68, 40], 5).t()).cast(addax_tensor::DType::F16),
        data(&[40, 72], 6).t().matmul(&data(&[40, 67], 7)).greater(0.5),
        data(&[2, 33, 37], 8).matmul(&data(&[2, 31, 37], 9).permute([0, 2, 1])),
        data(&[3, 600], 10).matmul(&data(&[600, 68], 11)) * 0.5,
        data(&[20, 1500], 12).matmul(&data(&[1500, 24], 13)) * 0.5,
    ]
}

fn convolutions() -> Vec<Tensor> {
    let how = Conv2d { strides: [1, 1], pads: [(1, 1), (1, 1)], dilation: [1, 1], groups: 1 };
    let (x, w) = (data(&[3, 12, 12, 4], 20), data(&[3, 3, 4, 8], 21));
    let y = x.conv2d(&w, how);
    let dy = data(&[3, 12, 12, 8], 22);
    let depthwise = Conv2d { groups: 4, ..how };
    let narrow = data(&[3, 3, 1, 4], 23);
    vec![
        y.relu(),
        dy.conv2d_input_grad(&w, [3, 12, 12, 4], how),
        x.conv2d_filter_grad(&dy, [3, 3, 4, 8], how) * 0.5,
        x.conv2d_filter_grad(&x.exp(), [3, 3, 1, 4], depthwise),
        x.conv2d(&narrow, depthwise),
    ]
}

fn reductions() -> Vec<Tensor> {
    let x = data(&[3, 9000], 30);
    let y = data(&[9, 100], 31);
    vec![
        x.sum(1) * 2.0,
        x.argmax(1),
        x.min(1),
        x.sum_all(),
        data(&[5000, 6], 32).argmin(0),
        data(&[5000, 6], 33).mean(0),
        y.softmax(1),
        y.argmax(1),
        x.square().greater(3.99).any(1),
    ]
}

/// Folds of several chunks and sorts of several merges, with ties, along every axis.
fn lines() -> Vec<Tensor> {
    let (x, y) = (data(&[3, 700], 40), data(&[300, 5], 41));
    let how = |op, reverse, exclusive| Cumulate { op, reverse, exclusive };
    let few = (&x * 4.0).round();
    vec![
        x.cumsum(1),
        y.cumulate(how(CumulateOp::Sum, true, true), 0) * 2.0,
        y.cumulate(how(CumulateOp::Max, true, false), 0),
        x.cumulate(how(CumulateOp::Min, false, true), 1).slice(1, 1..),
        (data(&[2, 100], 42) * 0.25 + 1.0).cumprod(1),
        few.cast(addax_tensor::DType::I32).cumulate(how(CumulateOp::Prod, false, true), 1),
        few.argsort(1, false),
        few.cast(addax_tensor::DType::I32).argsort(1, true),
        y.cast(addax_tensor::DType::F16).argsort(0, true),
        y.sort(0, false).cast(addax_tensor::DType::F16),
        x.greater(0.0).argsort(1, false),
        x.top_k(7).0,
        y.add_along_axis(&(Tensor::iota(addax_tensor::DType::I32, [300, 5], 0) % 7i64), 0, 6),
    ]
}

/// One test, as the default device is the whole process's.
#[test]
fn large_tiles_and_sums_in_parts() {
    if testing::gpu().expect("ADDAX_TEST_DEVICES names gpu").is_none() {
        return;
    }
    for groups in [1, 3, 256] {
        let choice =
            if std::env::var("ADDAX_GPU").is_ok_and(|v| v == "software") { Choice::Software } else { Choice::Any };
        let executor = block_on(GpuExecutor::request(choice)).expect("ADDAX_TEST_DEVICES names gpu");
        let device = Device::from_executor(Box::new(executor.with_gpu_shaders(groups)));
        Device::set_default(&device);
        for (name, tensors) in
            [("products", products()), ("conv", convolutions()), ("reductions", reductions()), ("lines", lines())]
        {
            let want = reference::evaluate_with(&HashMap::new(), &tensors).unwrap();
            Tensor::eval(&tensors).unwrap();
            for (n, (tensor, want)) in tensors.iter().zip(&want).enumerate() {
                let got = Ranged::from_array(&tensor.to_array().unwrap()).unwrap();
                if let Some((at, got, want)) = want.disagreement(&got.value, testing::FACTOR) {
                    let (value, radius) = (want.value, want.radius);
                    panic!("{name} {n} with {groups} groups, element {at}: got {got}, expected {value} ± {radius}");
                }
            }
        }
    }
}
