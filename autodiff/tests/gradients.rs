//! What users rely on: names in errors, snapshots, several outputs, models, memory.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use addax_autodiff::{
    Wrt, grad, grad_or_zeros, grad_with,
    gradcheck::{Options, gradcheck},
    value_and_grad,
};
use addax_tensor::{
    Array, DType, ErrorKind, Tensor, Variable,
    graph::{MatMul, Op, topological},
};
use common::spread;
use proptest::prelude::*;

fn vector(values: &[f32]) -> Tensor {
    Tensor::from_vec(values, [values.len()])
}

#[test]
fn variables_tensors_and_intermediates() {
    let w = Variable::new(vector(&[1.0, 2.0])).named("kernel");
    let x = vector(&[3.0, 4.0]);
    let h = w.value() * &x;
    let loss = h.square().sum_all();
    let [dw, dx, dh] = grad(&loss, [&w as &dyn Wrt, &x, &h]).unwrap();
    assert_eq!(dw.to_vec::<f32>().unwrap(), [18.0, 64.0]);
    assert_eq!(dx.to_vec::<f32>().unwrap(), [6.0, 32.0]);
    assert_eq!(dh.to_vec::<f32>().unwrap(), [6.0, 16.0]);
    let list = grad(&loss, vec![&w]).unwrap();
    assert_eq!(list.len(), 1);
    let slice: &[Variable] = &[w];
    assert_eq!(grad(&loss, slice).unwrap().len(), 1);
}

#[test]
fn what_the_loss_does_not_reach_is_named() {
    let w = Variable::new(vector(&[1.0])).named("kernel");
    let x = Tensor::from_array(Array::new([2], &[1.0f32, 2.0]).unwrap());
    let line = line!() - 1;
    let loss = x.sum_all();
    let error = grad(&loss, [&w]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Gradient(_)));
    assert!(error.to_string().contains("variable \"kernel\""), "{error}");
    assert!(error.to_string().contains(&format!("{}:{}", file!(), line!() - 3)), "{error}");
    for hidden in [x.stop_gradient().sum_all(), x.cast(DType::I32).cast(DType::F32).sum_all(), Tensor::scalar(1.0)] {
        let error = grad(&hidden, [&x]).unwrap_err().to_string();
        assert!(
            error.contains("float32 tensor of shape [2]") && error.contains(&format!("{}:{line}", file!())),
            "{error}"
        );
        let [zero] = grad_or_zeros(&hidden, [&x]).unwrap();
        assert_eq!(zero.to_vec::<f32>().unwrap(), [0.0, 0.0]);
    }
    // Reached, with a derivative of 0, is no mistake.
    assert_eq!(grad(&x.floor().sum_all(), [&x]).unwrap()[0].to_vec::<f32>().unwrap(), [0.0, 0.0]);
}

#[test]
fn a_loss_recorded_before_an_assignment_does_not_reach_the_new_value() {
    let w = Variable::new(vector(&[1.0])).named("kernel");
    let loss = w.value().sum_all();
    w.assign(&vector(&[2.0])).unwrap();
    assert!(grad(&loss, [&w]).unwrap_err().to_string().contains("assigned after"));
}

#[test]
fn a_loss_is_one_float() {
    let x = vector(&[1.0, 2.0]);
    let error = grad(&x.square(), [&x]).unwrap_err().to_string();
    assert!(error.contains("one element, got shape [2]"), "{error}");
    let whole = Tensor::from_vec([1i32], [1]);
    assert!(grad(&whole, [&x]).unwrap_err().to_string().contains("int32"));
    assert!(grad(&x.sum_all(), [&whole]).unwrap_err().to_string().contains("only floats"));
    // Any shape with one element will do.
    assert!(grad(&x.sum_keepdims(0).reshape([1, 1, 1]), [&x]).is_ok());
}

#[test]
fn several_outputs_with_cotangents() {
    let x = vector(&[2.0, 3.0]);
    let outputs = [x.square(), x.sum_all()];
    let [dx] = grad_with(&outputs, &[vector(&[1.0, 10.0]), Tensor::scalar(5.0)], [&x]).unwrap();
    assert_eq!(dx.to_vec::<f32>().unwrap(), [9.0, 65.0]);
    let wrong = grad_with(&outputs, &[vector(&[1.0]), Tensor::scalar(5.0)], [&x]).unwrap_err();
    assert!(wrong.to_string().contains("output 0 is float32 [2], its cotangent is float32 [1]"), "{wrong}");
    assert!(grad_with(&outputs, &[], [&x]).is_err());
}

#[test]
fn computed_gradients_keep_no_graph() {
    let w = Variable::new(vector(&[1.0, 2.0]));
    let (loss, [dw]) = value_and_grad(&w.value().square().sum_all(), [&w]).unwrap();
    assert_eq!(loss.item::<f32>().unwrap(), 5.0);
    assert_eq!(dw.to_vec::<f32>().unwrap(), [2.0, 4.0]);
    assert!(dw.node().inputs().is_empty() && loss.node().inputs().is_empty());
    assert!(!dw.is_tracked());
}

#[test]
fn evaluating_first_changes_no_gradient() {
    let w = Variable::new(vector(&[0.5, -1.0]));
    let y = w.value().tanh();
    y.to_vec::<f32>().unwrap();
    let [dw] = grad(&y.square().sum_all(), [&w]).unwrap();
    let fresh = grad(&w.value().tanh().square().sum_all(), [&w]).unwrap();
    for (a, b) in dw.to_vec::<f32>().unwrap().iter().zip(fresh[0].to_vec::<f32>().unwrap()) {
        assert!((a - b).abs() < 1e-6);
    }
}

#[test]
fn a_long_chain_neither_recurses_nor_slows() {
    let x = vector(&[1.0]);
    let deep = (0..100_000).fold(x.clone(), |y, _| y + 1.0);
    let [dx] = grad(&deep.sum_all(), [&x]).unwrap();
    assert_eq!(dx.to_vec::<f32>().unwrap(), [1.0]);
}

#[test]
fn the_gradient_of_a_shared_weight_is_one_product() {
    let (x, w) = (Tensor::from_array(spread([4, 5, 3], 0)), Tensor::from_array(spread([3, 2], 1)));
    let [dw] = grad(&x.matmul(&w).square().sum_all(), [&w]).unwrap();
    let Op::MatMul(MatMul { transpose_a: true, transpose_b: false }) = dw.node().op() else { panic!("{dw:?}") };
    assert_eq!(dw.node().inputs()[0].shape().unwrap().dims(), [20, 3]);
    assert_eq!(dw.node().inputs()[1].shape().unwrap().dims(), [20, 2]);
    let products = topological(&[dw], |_| false).iter().filter(|t| matches!(t.node().op(), Op::MatMul(_))).count();
    assert_eq!(products, 2, "the product itself and its weight gradient, none for each sample");
}

/// Softmax cross-entropy of logits `[n, classes]` with whole-number labels.
fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Tensor {
    -(logits.log_softmax(-1) * labels.one_hot(3, DType::F32)).sum(-1).mean_all()
}

#[test]
fn softmax_cross_entropy_has_its_closed_form() {
    let logits = Tensor::from_array(spread([4, 3], 0));
    let labels = Tensor::from_vec([2i32, 0, 1, 2], [4]);
    let [d] = grad(&cross_entropy(&logits, &labels), [&logits]).unwrap();
    let closed = (logits.softmax(-1) - labels.one_hot(3, DType::F32)) * 0.25;
    for (a, b) in d.to_vec::<f32>().unwrap().iter().zip(closed.to_vec::<f32>().unwrap()) {
        assert!((a - b).abs() < 1e-6);
    }
    let labels = Array::new([4], &[2i32, 0, 1, 2]).unwrap();
    gradcheck(|x| cross_entropy(&x[0], &x[1]), &[spread([4, 3], 0), labels], Options::default()).unwrap();
}

#[test]
fn a_perceptron_against_differences() {
    let model = |x: &[Tensor]| {
        let h = (x[0].matmul(&x[1]) + &x[2]).gelu(false);
        let mean = h.mean_keepdims(-1);
        let h = (&h - &mean) * ((&h - &mean).square().mean_keepdims(-1) + 1e-3).rsqrt();
        cross_entropy(&(h.matmul(&x[3]) + &x[4]), &x[5])
    };
    let labels = Array::new([4], &[2i32, 0, 1, 2]).unwrap();
    let inputs = [spread([4, 5], 0), spread([5, 6], 1), spread([6], 2), spread([6, 3], 3), spread([3], 4), labels];
    let report = gradcheck(model, &inputs, Options::default()).unwrap();
    assert_eq!(report.elements, 20 + 30 + 6 + 18 + 3);
}

#[test]
fn gradcheck_sees_a_wrong_gradient() {
    let wrong = |x: &[Tensor]| &x[0] * x[0].stop_gradient();
    let error = gradcheck(wrong, &[Array::new([2], &[1.0f32, 3.0]).unwrap()], Options::default()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Gradient(_)));
    assert!(error.to_string().contains("of input 0"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The gradient is linear in the loss, and several uses of a tensor add up.
    #[test]
    fn gradients_are_linear(values in proptest::collection::vec(-2.0f32..2.0, 3), a in -3.0f64..3.0, b in -3.0f64..3.0) {
        let x = vector(&values);
        let (f, g) = (x.tanh().sum_all(), (x.square() * &x).sum_all());
        let [both] = grad(&(&f * a + &g * b), [&x]).unwrap();
        let ([df], [dg]) = (grad(&f, [&x]).unwrap(), grad(&g, [&x]).unwrap());
        let apart = df * a + dg * b;
        for (one, two) in both.to_vec::<f32>().unwrap().iter().zip(apart.to_vec::<f32>().unwrap()) {
            prop_assert!((one - two).abs() <= 1e-5 * two.abs().max(1.0));
        }
    }

    /// Graphs of any shape: each step takes two earlier values.
    #[test]
    fn random_graphs(values in proptest::collection::vec(-1.5f32..1.5, 4), steps in proptest::collection::vec((0usize..9, 0usize..99, 0usize..99), 1..8)) {
        let build = |x: &[Tensor]| {
            let mut all = vec![x[0].reshape([2, 2])];
            for &(kind, i, j) in &steps {
                let (a, b) = (all[i % all.len()].clone(), all[j % all.len()].clone());
                all.push(match kind {
                    0 => a + b,
                    1 => (a * b).tanh(),
                    2 => a.tanh().matmul(&b),
                    3 => a.sigmoid() - b,
                    4 => a.softmax(-1),
                    5 => Tensor::concat(&[a, b], 1).slice(1, 1..3),
                    6 => (a / (b.square() + 1.0)).t(),
                    7 => a.sum_keepdims(0) * b.sin(),
                    _ => a.erf() + b.softplus().flip(0),
                });
            }
            all.iter().map(|t| t.sin().mean_all()).reduce(|a, b| a + b).unwrap()
        };
        let checked = gradcheck(build, &[Array::new([4], &values).unwrap()], Options { tolerance: 1e-6, ..Options::default() });
        prop_assert!(checked.is_ok(), "{}", checked.unwrap_err());
    }
}
