//! Convolutions that do with less scratch where memory is short.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_tensor::{
    Array, DType, Device, Program, Tensor, Variable,
    graph::Conv2d,
    plan::{Step, split::Rung},
};

const SAME: Conv2d = Conv2d { strides: [1, 1], dilation: [1, 1], groups: 1, pads: [(1, 1), (1, 1)] };

/// Images of a batch.
const ROWS: usize = 64;

/// One step down the gradient of half the sum of squares of a convolution of 3 by 3, with a factor that mixes the samples, so that the
/// batch cannot be cut.
fn step(device: &Device) -> (Program, Variable) {
    let rows = ROWS;
    let x = Tensor::placeholder(0, DType::F32, [rows, 8, 8, 16]).of_samples();
    let at = |i: usize| ((i * 7919) % 2003) as f32 / 20_030.0 - 0.05;
    let start = Array::new([3, 3, 16, 16], &(0..9 * 256).map(at).collect::<Vec<_>>()).unwrap();
    let w = Variable::new(Tensor::from(start));
    let y = x.conv2d(&w.value(), SAME);
    let flat = y.reshape([rows, 1024]);
    let y = &y * (1.0 + flat.matmul(&flat.t()).mean_all() * 0.0);
    let dw = x.conv2d_filter_grad(&y, [3, 3, 16, 16], SAME);
    let dx = y.conv2d_input_grad(&w.value(), [rows, 8, 8, 16], SAME);
    let loss = y.square().sum_all() + dx.sum_all();
    let program = Program::capture(device, &[x], &[loss], &[(w.clone(), w.value() - dw * 1e-3)], &[]).unwrap();
    (program, w)
}

fn run(program: &Program, w: &Variable) -> addax_tensor::Result<(f32, Vec<f32>)> {
    let pixels: Vec<f32> = (0..ROWS * 1024).map(|i| ((i * 29) % 17) as f32 / 8.0 - 1.0).collect();
    let loss = program.run(&[&Array::new([ROWS, 8, 8, 16], &pixels)?])?[0].item::<f32>()?;
    Ok((loss, w.value().to_vec::<f32>()?))
}

fn close(a: &[f32], b: &[f32]) -> bool {
    let most = b.iter().fold(0f32, |most, v| most.max(v.abs()));
    a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * most)
}

/// Scratch is the first thing that a step does without: the batch stays whole, the numbers are the same but for their rounding.
#[test]
fn where_memory_is_short_a_step_first_does_with_less_scratch() {
    let (whole, w) = step(&Device::cpu().unwrap());
    let (loss, weights) = run(&whole, &w).unwrap();
    assert_eq!(whole.rung(), Rung::WHOLE);
    let (plan, peak) = (whole.plan(), whole.planned_peak());
    assert!(plan.scratch > plan.transient_bytes() / 20, "{} of {}", plan.scratch, plan.transient_bytes());

    let device = Device::cpu().unwrap();
    device.set_memory_limit(Some(peak - plan.scratch / 8));
    let (lean, w) = step(&device);
    let (loss_then, weights_then) = run(&lean, &w).unwrap();
    assert_eq!(lean.rung(), Rung { lean: true, ..Rung::WHOLE }, "{}", lean.rung());
    assert!(lean.plan().scratch < plan.scratch && lean.planned_peak() <= peak - plan.scratch / 8);
    assert!(device.memory().peak <= peak - plan.scratch / 8);
    assert_eq!(lean.plan().dispatches(), plan.dispatches());
    println!("scratch {} instead of {}", lean.plan().scratch, plan.scratch);
    assert!(close(&[loss_then], &[loss]), "{loss_then} and {loss}");
    assert!(close(&weights_then, &weights));
    assert!(lean.plan().predicted_seconds(&device.caps()) > plan.predicted_seconds(&device.caps()));
}

/// Only kernels that ask for more than there is change their way.
#[test]
fn kernels_whose_scratch_fits_stay_as_they_are() {
    let (whole, _) = step(&Device::cpu().unwrap());
    let forced = Device::cpu().unwrap();
    forced.set_rung(Some(Rung { lean: true, ..Rung::WHOLE }));
    let (least, _) = step(&forced);
    let device = Device::cpu().unwrap();
    device.set_memory_limit(Some(whole.planned_peak() - 1));
    let (lean, w) = step(&device);
    run(&lean, &w).unwrap();
    let changed = |program: &Program| {
        let plan = program.plan();
        plan.compute.iter().filter(|step| matches!(step, Step::Run { kernel, .. } if kernel.lean)).count()
    };
    assert!(changed(&lean) < changed(&least), "{} and {}", changed(&lean), changed(&least));
    assert!(changed(&lean) > 0);
}

/// More room brings the quick way back.
#[test]
fn with_room_again_a_step_takes_its_scratch_again() {
    let (whole, _) = step(&Device::cpu().unwrap());
    let device = Device::cpu().unwrap();
    device.set_memory_limit(Some(whole.planned_peak() - 1));
    let (program, w) = step(&device);
    run(&program, &w).unwrap();
    assert!(program.rung().lean);
    device.set_memory_limit(Some(4 * whole.planned_peak()));
    run(&program, &w).unwrap();
    assert_eq!(program.rung(), Rung::WHOLE);
}
