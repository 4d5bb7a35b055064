//! Gradients computed by plans on the CPU are the reference's: forward and backward loops, weight gradients over stacked steps.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_autodiff::grad;
use addax_tensor::{
    DType, Device, Program, Result, Tensor,
    graph::{Body, Meta, ScanSpec},
    plan::Step,
    reference,
};

fn noise(shape: &[usize], stream: u32) -> Tensor {
    let numel: usize = shape.iter().product();
    let values: Vec<f32> = (0..numel as u32)
        .map(|i| ((i.wrapping_mul(2654435761).wrapping_add(stream * 97)) >> 8) as f32 / 16777216.0 - 0.5)
        .collect();
    Tensor::from_vec(values, shape)
}

/// Every element within the reference's own error radius.
fn agree(tensors: &[Tensor]) {
    let expected = reference::evaluate(tensors).unwrap();
    for (tensor, expected) in tensors.iter().zip(expected) {
        let (got, want) = (tensor.to_vec::<f32>().unwrap(), expected.to_vec::<f32>().unwrap());
        for (i, (a, b)) in got.iter().zip(&want).enumerate() {
            assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "element {i}: {a} instead of {b}");
        }
    }
}

fn lstm(x: &Tensor, w: &Tensor, u: &Tensor, units: usize) -> Result<Tensor> {
    let [batch, steps, _] = x.dims()?;
    let zx = x.permute([1, 0, 2]).reshape([steps * batch, x.shape()?[2]]).matmul(w).reshape([steps, batch, 4 * units]);
    let f32s = |shape: &[usize]| Meta::new(DType::F32, shape);
    let state = f32s(&[batch, units]);
    let params = [state.clone(), state, f32s(&[batch, 4 * units]), f32s(&[units, 4 * units])];
    let body = Body::new("lstm", &params, |p| {
        let z = &p[2] + p[0].matmul(&p[3]);
        let gate = |i: usize| z.slice(1, i * units..(i + 1) * units);
        let c = gate(1).sigmoid() * &p[1] + gate(0).sigmoid() * gate(2).tanh();
        let h = gate(3).sigmoid() * c.tanh();
        Ok(vec![h.clone(), c, h])
    })?;
    let spec = ScanSpec { steps, carries: 2, inputs: 1, reverse: false };
    let zero = || Tensor::zeros([batch, units]);
    Ok(Tensor::scan(&body, spec, &[zero(), zero(), zx, u.clone()])?[0].clone())
}

#[test]
fn a_recurrent_step() {
    let (x, y) = (noise(&[3, 7, 5], 1), noise(&[3, 4], 2));
    let (w, u) = (noise(&[5, 16], 3).watch().unwrap(), noise(&[4, 16], 4).watch().unwrap());
    let loss = (lstm(&x, &w, &u, 4).unwrap() - y).square().mean_all();
    let [dw, du] = grad(&loss, [&w, &u]).unwrap();
    let norm = dw.square().sum_all() + du.square().sum_all();
    let second = grad(&norm, [&w]).unwrap();
    agree(&[loss, dw, du, second[0].clone()]);
}

#[test]
fn a_dense_step_with_softmax_and_a_shared_weight() {
    let (x, labels) = (noise(&[6, 5], 1), Tensor::from_vec([0i32, 2, 1, 1, 0, 2], [6]));
    let (w, v) = (noise(&[5, 5], 2).watch().unwrap(), noise(&[5, 3], 3).watch().unwrap());
    let h = (x.matmul(&w).relu().matmul(&w) + 0.1).tanh();
    let logits = h.matmul(&v);
    let loss = -(logits.log_softmax(-1) * labels.one_hot(3, DType::F32)).sum(-1).mean_all();
    let [dw, dv] = grad(&loss, [&w, &v]).unwrap();
    agree(&[loss, dw, dv, logits.softmax(-1), logits.argmax(-1).cast(DType::F32)]);
}

#[test]
fn a_variance_has_its_derivatives_and_sums_up_nothing_for_its_mean() {
    let (x, along) = (noise(&[40, 3], 1).watch().unwrap(), noise(&[40, 3], 2));
    let [slope] = grad(&x.variance(0).sum_all(), [&x]).unwrap();
    let [second] = grad(&(&slope * &along).sum_all(), [&x]).unwrap();
    let (centred, turned) = (&x - x.mean_keepdims(0), &along - along.mean_keepdims(0));
    for (got, want) in [(&slope, centred * (2.0 / 40.0)), (&second, turned * (2.0 / 40.0))] {
        let (got, want) = (got.to_vec::<f32>().unwrap(), want.to_vec::<f32>().unwrap());
        assert!(got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-7), "{got:?}\n{want:?}");
    }
    agree(&[x.variance(0), slope, second]);
}

/// Batch normalization reads its batch twice on the way forth (mean, variance) and twice on the way back (two sums), beside the maps.
#[test]
fn batch_normalization_in_few_kernels() {
    let (x, gamma) = (noise(&[512, 64], 1).watch().unwrap(), noise(&[64], 2).watch().unwrap());
    let dy = Tensor::placeholder(0, DType::F32, [512, 64]);
    let beta = Tensor::zeros([64]).watch().unwrap();
    let (mean, variance) = x.moments(0);
    let y = (&x - mean) * ((variance + 1e-3).rsqrt() * &gamma) + &beta;
    let slopes = grad(&(&y * &dy).sum_all(), [&x, &gamma, &beta]).unwrap();
    let outputs: Vec<Tensor> = std::iter::once(y).chain(slopes).collect();
    let program = Program::capture(&Device::cpu().unwrap(), &[dy], &outputs, &[], &[]).unwrap();
    let plan = program.plan();
    let runs = plan.compute.iter().filter_map(|step| match step {
        Step::Run { kernel, .. } => Some((kernel.label.as_str(), kernel.shape.iter().product::<usize>())),
        Step::Loop { .. } => None,
    });
    let runs: Vec<_> = runs.collect();
    let maps = runs.iter().filter(|(_, elements)| *elements > 64).count();
    assert_eq!((runs.len(), maps), (7, 2), "{runs:?}");
}
