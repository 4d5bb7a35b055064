//! Functions of elements and reductions below reshapes that split axes: what rides in a product's kernel, and that nothing else
//! changes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_tensor::{
    Array, DType, Device, Program, Result, Tensor,
    graph::{Cumulate, CumulateOp, ReduceOp},
    plan::Plan,
    testing::{Rng, check},
};
use proptest::prelude::*;

fn plan(inputs: &[Tensor], outputs: &[Tensor]) -> Plan {
    Program::capture(&Device::cpu().unwrap(), inputs, outputs, &[], &[]).unwrap().plan()
}

fn inputs<const N: usize>(shapes: [&[usize]; N]) -> [Tensor; N] {
    std::array::from_fn(|n| Tensor::placeholder(n, DType::F32, shapes[n]))
}

/// A dense layer over `[batch, time, features]`, as layers record it: one product of all rows.
fn dense(x: &Tensor, w: &Tensor, bias: &Tensor, shape: [usize; 3]) -> Tensor {
    let [batch, time, features] = [shape[0], shape[1], x.shape().unwrap()[2]];
    x.reshape([batch * time, features]).matmul(w).reshape(shape) + bias
}

#[test]
fn what_follows_a_dense_layer_over_time_is_in_its_kernel() {
    let [x, w, bias] = inputs([&[4, 7, 16], &[16, 32], &[32]]);
    let plan = plan(&[x.clone(), w.clone(), bias.clone()], &[dense(&x, &w, &bias, [4, 7, 32]).gelu(false)]);
    assert_eq!((plan.dispatches(), plan.workspace), (1, 0), "{plan}");
}

#[test]
fn two_layers_and_their_normalization_are_three_kernels() {
    let [x, w, bias, v] = inputs([&[4, 7, 16], &[16, 32], &[32], &[32, 32]]);
    let h = dense(&x, &w, &bias, [4, 7, 32]);
    let y = &h + dense(&h, &v, &bias, [4, 7, 32]);
    let centered = &y - y.mean_keepdims(-1);
    let out = &centered * (centered.square().mean_keepdims(-1) + 1e-3).rsqrt();
    let plan = plan(&[x, w, bias, v], &[out]);
    assert_eq!(plan.dispatches(), 3, "{plan}");
}

#[test]
fn a_bias_of_part_of_an_axis_stays_above() {
    // The bias differs within the axis that is split: it cannot be added below.
    let [x, w, bias] = inputs([&[4, 7, 16], &[16, 32], &[7, 1]]);
    let y = x.reshape([28, 16]).matmul(&w).reshape([4, 7, 32]) + &bias;
    let plan = plan(&[x, w, bias], &[y]);
    assert_eq!(plan.dispatches(), 2, "{plan}");
}

/// Values of a shape and of a shape with some of its axes joined, functions of both, and reductions of any axes.
fn graph(seed: u64) -> Vec<Tensor> {
    let mut rng = Rng::new(seed);
    let groups: Vec<Vec<usize>> =
        (0..1 + rng.below(3)).map(|_| (0..1 + rng.below(3)).map(|_| 1 + rng.below(4)).collect()).collect();
    let (above, below): (Vec<usize>, Vec<usize>) =
        (groups.concat(), groups.iter().map(|g| g.iter().product()).collect());
    let data = |rng: &mut Rng, shape: &[usize]| {
        let numel: usize = shape.iter().product();
        let values: Vec<f32> = (0..numel).map(|_| (rng.unit() * 4.0 - 2.0) as f32).collect();
        Tensor::from_vec(values, shape)
    };
    let mut values = vec![data(&mut rng, &below).reshape(&above[..])];
    let mut outputs = Vec::new();
    for _ in 0..3 + rng.below(8) {
        let a = values[rng.below(values.len())].clone();
        let b = values[rng.below(values.len())].clone();
        let mask: Vec<usize> = above.iter().map(|&n| if rng.below(2) == 0 { n } else { 1 }).collect();
        let whole: Vec<usize> =
            groups.iter().flat_map(|g| if rng.below(2) == 0 { g.clone() } else { vec![1; g.len()] }).collect();
        let axis = rng.below(above.len());
        match rng.below(11) {
            0 => values.push(
                data(&mut rng, &below)
                    .cumulate(Cumulate { op: CumulateOp::Sum, reverse: false, exclusive: false }, -1)
                    .reshape(&above[..]),
            ),
            1 => values.push(data(&mut rng, &above)),
            2 => values.push(a.tanh() + b),
            3 => values.push(a * data(&mut rng, &mask)),
            4 => values.push(a + data(&mut rng, &whole)),
            5 => values.push(a.less(&b).select(&b, a * 0.5)),
            6 => {
                let op = [ReduceOp::Sum, ReduceOp::Max, ReduceOp::Min][rng.below(3)];
                let axes: Vec<isize> = (0..above.len()).filter(|_| rng.below(2) == 0).map(|n| n as isize).collect();
                let kept: Vec<usize> =
                    (0..above.len()).map(|n| if axes.contains(&(n as isize)) { 1 } else { above[n] }).collect();
                let reduced = if axes.is_empty() { a.clone() } else { a.reduce(op, axes).reshape(&kept[..]) };
                values.push(a - reduced * 0.25);
            }
            7 => outputs.push(a.argmax(axis as isize)),
            8 => values.push(a.mean_keepdims(axis as isize) * b),
            9 => values.push(data(&mut rng, &[above.iter().product()]).reshape(&above[..])),
            _ => values.push(a.reshape(&below[..]).reshape(&above[..]).exp() * 0.1),
        }
    }
    outputs.extend(values.pop());
    outputs.extend(values.into_iter().filter(|_| rng.below(4) == 0));
    outputs
}

fn run(tensors: &[Tensor]) -> Result<Vec<Array>> {
    Tensor::eval(tensors)?;
    tensors.iter().map(Tensor::to_array).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// Joined or split, a value is what the reference says.
    #[test]
    fn split_axes_agree_with_the_reference(seed in any::<u64>()) {
        check(&graph(seed), run).unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
    }
}
