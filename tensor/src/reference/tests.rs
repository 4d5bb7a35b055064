//! Known values of every family.

use super::*;
use crate::{
    DType,
    graph::{Body, Conv2d, Meta, Pool2d, ScanSpec},
    ops::random,
};

fn f(values: &[f32], shape: impl Into<crate::Shape>) -> Tensor {
    Tensor::from_vec(values, shape)
}
fn floats(t: &Tensor) -> Vec<f32> {
    evaluate(std::slice::from_ref(t)).unwrap()[0].to_vec().unwrap()
}
fn ints(t: &Tensor) -> Vec<i64> {
    evaluate(std::slice::from_ref(t)).unwrap()[0].to_vec().unwrap()
}

#[test]
fn elements() {
    let x = f(&[-1.5, 0.0, 2.5], [3]);
    assert_eq!(floats(&(x.abs() + 1.0)), [2.5, 1.0, 3.5]);
    assert_eq!(floats(&x.round()), [-2.0, 0.0, 2.0]);
    assert_eq!(floats(&(&x % 2.0)), [-1.5, 0.0, 0.5]);
    assert_eq!(floats(&x.less(0.0).select(9.0, &x)), [9.0, 0.0, 2.5]);
    assert_eq!(ints(&x.cast(DType::I32)), [-1, 0, 2]);
    assert_eq!(ints(&(x * 200.0).cast(DType::U8)), [0, 0, 255]);
}

#[test]
fn integers_wrap() {
    let x = Tensor::from_vec([i32::MIN, -7, 7], [3]);
    assert_eq!(ints(&x.unary(crate::graph::Unary::Neg)), [i64::from(i32::MIN), 7, -7]);
    assert_eq!(ints(&(&x / 2)), [-1_073_741_824, -3, 3]);
    assert_eq!(ints(&(&x / 0)), [0, 0, 0]);
    assert_eq!(ints(&(&x % 4)), [0, -3, 3]);
    assert_eq!(ints(&(&x * &x)), [0, 49, 49]);
    assert_eq!(ints(&x.shift_right(1)), [-1_073_741_824, -4, 3]);
    assert_eq!(ints(&(Tensor::from_vec([250u8], [1]) + 10)), [4]);
    assert_eq!(ints(&Tensor::from_vec([200u8, 100], [2]).sum(0)), [44]);
}

#[test]
fn views_and_joins() {
    let x = f(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2, 3]);
    assert_eq!(floats(&x.t()), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    assert_eq!(floats(&x.flip(1)), [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
    assert_eq!(floats(&x.slice(1, 1..).slice(0, 1..)), [5.0, 6.0]);
    assert_eq!(floats(&x.slice(0, ..1).pad([(0, 1), (1, 0)], 9.0)), [9.0, 1.0, 2.0, 3.0, 9.0, 9.0, 9.0, 9.0]);
    assert_eq!(floats(&Tensor::concat(&[x.slice(1, ..1), x.clone()], 1)), [1.0, 1.0, 2.0, 3.0, 4.0, 4.0, 5.0, 6.0]);
    assert_eq!(floats(&f(&[1.0, 2.0], [2, 1]).broadcast_to([2, 2, 2])), [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0]);
    assert_eq!(ints(&Tensor::iota(DType::I32, [2, 2], 0)), [0, 0, 1, 1]);
}

#[test]
fn reductions() {
    let x = f(&[1.0, 5.0, 3.0, 4.0, 5.0, 5.0], [2, 3]);
    assert_eq!(floats(&x.sum(0)), [5.0, 10.0, 8.0]);
    assert_eq!(floats(&x.prod(1)), [15.0, 100.0]);
    assert_eq!(floats(&x.max(..)), [5.0]);
    assert_eq!(ints(&x.argmax(1)), [1, 1]);
    assert_eq!(ints(&x.argmin(0)), [0, 0, 0]);
    let any = evaluate(&[x.less(2.0).any(1), x.less(5.5).all(0)]).unwrap();
    assert_eq!(any[0].to_vec::<bool>().unwrap(), [true, false]);
    assert_eq!(any[1].to_vec::<bool>().unwrap(), [true, true, true]);
}

#[test]
fn products() {
    let a = f(&[1.0, 2.0, 3.0, 4.0], [2, 2]);
    let b = f(&[5.0, 6.0, 7.0, 8.0], [2, 2]);
    assert_eq!(floats(&a.matmul(&b)), [19.0, 22.0, 43.0, 50.0]);
    let how = crate::graph::MatMul { transpose_a: true, transpose_b: true };
    assert_eq!(floats(&a.matmul_with(&b, how)), floats(&a.t().matmul(&b.t())));
}

/// Each gradient is the transpose of the forward map: `<conv(x, w), dy> = <x, dx> = <w, dw>`.
#[test]
fn convolution_gradients_are_transposes() {
    let conv = Conv2d { strides: [2, 1], pads: [(1, 0), (1, 2)], dilation: [1, 2], groups: 2 };
    let wave =
        |n: usize, shape: [usize; 4]| f(&(0..n).map(|i| ((i * 7 + 3) % 11) as f32 - 5.0).collect::<Vec<_>>(), shape);
    let (x, w) = (wave(2 * 5 * 6 * 4, [2, 5, 6, 4]), wave(3 * 2 * 2 * 6, [3, 2, 2, 6]));
    let y = x.conv2d(&w, conv);
    let shape = y.dims::<4>().unwrap();
    let dy = wave(shape.iter().product(), shape);
    let dx = dy.conv2d_input_grad(&w, [2, 5, 6, 4], conv);
    let dw = x.conv2d_filter_grad(&dy, [3, 2, 2, 6], conv);
    let total = |a: &Tensor, b: &Tensor| floats(&(a * b).sum(..))[0];
    assert_eq!(total(&y, &dy), total(&x, &dx));
    assert_eq!(total(&y, &dy), total(&w, &dw));
    assert_ne!(total(&y, &dy), 0.0);
}

#[test]
fn pooling() {
    let pool = Pool2d { window: [2, 2], strides: [1, 2], pads: [(1, 0), (0, 0)] };
    let x = f(&[1.0, 2.0, 2.0, 0.0], [1, 2, 2, 1]);
    assert_eq!(floats(&x.max_pool2d(pool)), [2.0, 2.0]);
    assert_eq!(floats(&x.avg_pool2d(pool)), [1.5, 1.25]);
    let dy = f(&[10.0, 100.0], [1, 2, 1, 1]);
    assert_eq!(floats(&x.max_pool2d_grad(&dy, pool)), [0.0, 110.0, 0.0, 0.0]);
    assert_eq!(floats(&dy.avg_pool2d_grad([1, 2, 2, 1], pool)), [30.0, 30.0, 25.0, 25.0]);
    assert_eq!(floats(&x.max_pool2d_gather(&(&x * 3.0), pool)), [6.0, 6.0]);
}

#[test]
fn gather_and_scatter() {
    let x = f(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [3, 2]);
    let at = Tensor::from_vec([2, 0, -1, 2], [4]);
    assert_eq!(floats(&x.gather(&at, 0)), [5.0, 6.0, 1.0, 2.0, 0.0, 0.0, 5.0, 6.0]);
    assert_eq!(floats(&x.gather(&Tensor::from_vec([1, 5], [2]), 1)), [2.0, 0.0, 4.0, 0.0, 6.0, 0.0]);
    let updates = f(&[1.0, 2.0, 4.0, 8.0], [4]);
    assert_eq!(floats(&updates.scatter_add(&at, 0, 3)), [2.0, 0.0, 9.0]);
}

#[test]
fn random_samples_do_not_depend_on_their_number() {
    let key = random::key(1 << 40 | 7, 3);
    let many = ints(&random::bits(&key, 5, [4, 6]));
    assert_eq!(many[..12], ints(&random::bits(&key, 5, [2, 6])));
    assert_ne!(many[..6], many[6..12]);
    assert_ne!(many, ints(&random::bits(&key, 6, [4, 6])));
}

#[test]
fn bodies() {
    let pair = [Meta::new(DType::F32, ()), Meta::new(DType::F32, ())];
    // carry' = carry·x + 1, and each carry is an output.
    let body = Body::new("step", &pair, |p| {
        let next = &p[0] * &p[1] + 1.0;
        Ok(vec![next.clone(), next])
    })
    .unwrap();
    let called = Tensor::call(&body, &[Tensor::scalar(2.0), Tensor::scalar(3.0)]).unwrap();
    assert_eq!(floats(&called[1]), [7.0]);
    let rows = f(&[1.0, 2.0, 3.0], [3]);
    let run = |reverse| {
        let spec = ScanSpec { steps: 3, carries: 1, inputs: 1, reverse };
        Tensor::scan(&body, spec, &[Tensor::scalar(1.0), rows.clone()]).unwrap()
    };
    assert_eq!(floats(&run(false)[0]), [16.0]);
    assert_eq!(floats(&run(false)[1]), [2.0, 5.0, 16.0]);
    assert_eq!(floats(&run(true)[1]), [10.0, 9.0, 4.0]);
}

#[test]
fn overrides_win_and_mistakes_are_returned() {
    let x = Tensor::placeholder(0, DType::F32, [2]);
    let y = &x * 2.0;
    assert!(evaluate(std::slice::from_ref(&y)).is_err());
    let tenth = 0.1f64;
    let given = evaluate_with(&HashMap::from([(x.key(), vec![tenth, 1.0])]), &[y]).unwrap();
    assert_eq!(given[0].value, [0.2, 2.0]);
    assert!(evaluate_with(&HashMap::from([(x.key(), vec![1.0])]), &[&x + 1.0]).is_err());
    assert!(evaluate(&[f(&[1.0], [2])]).is_err());
}

#[test]
fn long_chains_do_not_overflow_the_stack() {
    let mut x = Tensor::scalar(0.0);
    for _ in 0..100_000 {
        x = x + 1.0;
    }
    assert_eq!(floats(&x), [100_000.0]);
}

#[test]
fn casts_round_to_even() {
    let x = f(&[1.0 + 1.0 / 2048.0, 1.0 + 3.0 / 2048.0, 65519.0, 65520.0, 3e-8, 1e-8], [6]);
    let half = floats(&x.cast(DType::F16));
    assert_eq!(half, [1.0, 1.0 + 1.0 / 512.0, 65504.0, f32::INFINITY, 5.9604645e-8, 0.0]);
    assert_eq!(floats(&f(&[1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0], [2]).cast(DType::BF16)), [1.0, 1.0 + 1.0 / 64.0]);
}
