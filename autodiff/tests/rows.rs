//! How many kernels a loss over rows and its gradient take on the CPU, whose kernels over rows hold a reduction and what follows.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails panics")]

use addax_autodiff::grad;
use addax_tensor::{
    DType, Device, Program, Tensor,
    plan::{Core, Kernel, Plan, Step},
};
use std::sync::Arc;

fn plan(inputs: &[Tensor], outputs: &[Tensor]) -> Plan {
    Program::capture(&Device::cpu().unwrap(), inputs, outputs, &[], &[]).unwrap().plan()
}

/// The number of stages of each kernel; 0 if it has no rows.
fn stages(plan: &Plan) -> Vec<usize> {
    let count = |kernel: &Arc<Kernel>| match &kernel.core {
        Core::Rows { stages, .. } => stages.len(),
        _ => 0,
    };
    let of = |step: &Step| match step {
        Step::Run { kernel, .. } => count(kernel),
        Step::Loop { .. } => panic!("no loop was recorded"),
    };
    plan.compute.iter().map(of).collect()
}

fn input(number: usize, shape: &[usize]) -> Tensor {
    Tensor::placeholder(number, DType::F32, shape)
}

#[test]
fn a_softmax_and_its_gradient_are_one_kernel() {
    let (x, g) = (input(0, &[24, 7, 50]), input(1, &[24, 7, 50]));
    let y = x.softmax(-1);
    let [dx] = grad(&(&y * &g).sum_all(), [&x]).unwrap();
    let both = plan(&[x, g], &[y, dx]);
    assert_eq!(stages(&both), [3], "{both}");
}

#[test]
fn a_cross_entropy_its_gradient_and_its_metric_are_two_kernels_and_two_means() {
    let (x, y) = (input(0, &[40, 12]), Tensor::placeholder(1, DType::I32, [40, 1]));
    let here = y.equal(Tensor::iota(DType::I32, [40, 12], 1));
    let loss = -here.select(x.log_softmax(-1), 0.0).sum(-1).mean_all();
    let [dx] = grad(&loss, [&x]).unwrap();
    let right = x.argmax(-1).equal(y.squeeze(1)).cast(DType::F32).sum_all();
    let plan = plan(&[x, y], &[loss, dx, right]);
    let stages = stages(&plan);
    assert_eq!((stages.len(), stages.iter().sum::<usize>()), (4, 5), "{plan}");
}

#[test]
fn a_layer_norm_is_one_kernel_and_its_gradient_two() {
    let (x, gamma, dy) = (input(0, &[9, 5, 64]), input(1, &[64]), input(2, &[9, 5, 64]));
    let centered = &x - x.mean_keepdims(-1);
    let y = &centered * (centered.square().mean_keepdims(-1) + 1e-3).rsqrt() * &gamma;
    let forward = plan(&[x.clone(), gamma.clone()], std::slice::from_ref(&y));
    assert_eq!(stages(&forward), [2], "{forward}");
    let [dx] = grad(&(&y * &dy).sum_all(), [&x]).unwrap();
    let backward = plan(&[x, gamma, dy], &[dx]);
    let stages = stages(&backward);
    assert!(stages.len() <= 2 && stages.iter().sum::<usize>() <= 5, "{backward}");
}
