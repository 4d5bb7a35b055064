//! Loops: their gradient is that of the unrolled graph, is itself a loop of as many nodes for any number of steps, and sums
//! the gradients of weights in one product.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use addax_autodiff::{
    grad, grad_or_zeros,
    gradcheck::{Options, gradcheck},
};
use addax_tensor::{
    Array, DType, Error, Tensor,
    graph::{Body, Conv2d, Meta, Op, ScanSpec, graph_len, topological},
    random, reference,
};
use common::spread;
use proptest::prelude::*;
use std::{collections::HashMap, sync::Arc};

const BATCH: usize = 2;
const UNITS: usize = 3;

fn meta(shape: impl Into<addax_tensor::Shape>) -> Meta {
    Meta::new(DType::F32, shape)
}

fn values(tensors: &[Tensor]) -> Vec<Vec<f64>> {
    reference::evaluate_with(&HashMap::new(), tensors).unwrap().into_iter().map(|r| r.value).collect()
}

/// One step: `h, c, x·W + b [batch, 4·units], U` to `h, c`.
fn lstm_step(p: &[Tensor]) -> Vec<Tensor> {
    let z = &p[2] + p[0].matmul(&p[3]);
    let gate = |i: usize| z.slice(1, i * UNITS..(i + 1) * UNITS);
    let c = gate(1).sigmoid() * &p[1] + gate(0).sigmoid() * gate(2).tanh();
    let h = gate(3).sigmoid() * c.tanh();
    vec![h, c]
}

fn lstm_body() -> Arc<Body> {
    let state = meta([BATCH, UNITS]);
    let params = [state.clone(), state, meta([BATCH, 4 * UNITS]), meta([UNITS, 4 * UNITS])];
    Body::new("lstm", &params, |p| {
        let mut out = lstm_step(p);
        out.push(out[0].clone());
        Ok(out)
    })
    .unwrap()
}

/// Inputs `h₀, c₀, stacked z [steps, batch, 4·units], U`; a loss of the stacked outputs and of the final memory.
fn looped(steps: usize, x: &[Tensor]) -> Tensor {
    let spec = ScanSpec { steps, carries: 2, inputs: 1, reverse: false };
    let out = Tensor::scan(&lstm_body(), spec, x).unwrap();
    out[2].square().sum_all() + out[1].sin().sum_all()
}

fn unrolled(steps: usize, x: &[Tensor]) -> Tensor {
    let (mut h, mut c) = (x[0].clone(), x[1].clone());
    let mut loss = Tensor::scalar(0.0);
    for t in 0..steps {
        let out = lstm_step(&[h, c, x[2].slice(0, t..t + 1).squeeze(0), x[3].clone()]);
        [h, c] = out.try_into().unwrap();
        loss = loss + h.square().sum_all();
    }
    loss + c.sin().sum_all()
}

fn lstm_inputs(steps: usize) -> Vec<Array> {
    vec![
        spread([BATCH, UNITS], 0),
        spread([BATCH, UNITS], 1),
        spread([steps, BATCH, 4 * UNITS], 2),
        spread([UNITS, 4 * UNITS], 3),
    ]
}

fn leaves(arrays: Vec<Array>) -> Vec<Tensor> {
    arrays.into_iter().map(Tensor::from_array).collect()
}

/// The loops that `roots` depend on.
fn scans(roots: &[Tensor]) -> Vec<(Arc<Body>, ScanSpec)> {
    let order = topological(roots, |_| false);
    let found = order.iter().filter_map(|t| match t.node().op() {
        Op::Scan(body, spec) => Some((body.clone(), *spec)),
        _ => None,
    });
    found.collect()
}

fn count(roots: &[Tensor], wanted: impl Fn(&Op) -> bool) -> usize {
    topological(roots, |_| false).iter().filter(|t| wanted(t.node().op())).count()
}

#[test]
fn a_loop_has_the_gradient_of_the_unrolled_graph() {
    let x = leaves(lstm_inputs(4));
    let loop_gradients = grad(&looped(4, &x), &x).unwrap();
    let plain_gradients = grad(&unrolled(4, &x), &x).unwrap();
    for (input, (a, b)) in values(&loop_gradients).iter().zip(values(&plain_gradients)).enumerate() {
        assert!(a.iter().any(|v| v.abs() > 1e-3));
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() < 1e-9, "input {input}: {a} and {b}");
        }
    }
}

#[test]
fn gradients_of_gradients_of_a_loop_are_right() {
    let slope = |loss: &dyn Fn(&[Tensor]) -> Tensor, x: &[Tensor]| {
        let gradients = grad(&loss(x), x).unwrap();
        gradients.iter().map(|g| g.square().sum_all()).reduce(|a, b| a + b).unwrap()
    };
    let inputs = lstm_inputs(3);
    gradcheck(|x| slope(&|x| looped(3, x), x), &inputs, Options { tolerance: 1e-6, ..Options::default() }).unwrap();
    let x = leaves(inputs);
    let twice = |loss: &dyn Fn(&[Tensor]) -> Tensor| values(&grad(&slope(loss, &x), &x).unwrap());
    for (a, b) in twice(&|x| looped(3, x)).iter().flatten().zip(twice(&|x| unrolled(3, x)).iter().flatten()) {
        assert!((a - b).abs() < 1e-8 * b.abs().max(1.0), "{a} and {b}");
    }
}

#[test]
fn the_number_of_nodes_does_not_depend_on_the_number_of_steps() {
    let nodes = |steps: usize| {
        let x = leaves(lstm_inputs(steps));
        let first = grad(&looped(steps, &x), &x).unwrap();
        let loss = first.iter().map(|g| g.square().sum_all()).reduce(|a, b| a + b).unwrap();
        let second = grad(&loss, &x).unwrap();
        let sizes = |all: &[Tensor]| {
            let inside = |body: &Body| topological(&body.outputs, |_| false).len();
            let loops = scans(all);
            (all.iter().map(graph_len).sum::<usize>(), loops.len(), loops.iter().map(|(b, _)| inside(b)).sum::<usize>())
        };
        (sizes(&first), sizes(&second))
    };
    assert_eq!(nodes(3), nodes(50));
}

#[test]
fn the_gradient_of_a_recurrent_weight_is_one_product() {
    let x = leaves(lstm_inputs(5));
    let [du] = grad(&looped(5, &x), [&x[3]]).unwrap();
    let is_product = |op: &Op| matches!(op, Op::MatMul(_));
    assert!(is_product(du.node().op()));
    let [a, b] = <[Tensor; 2]>::try_from(du.node().inputs()).unwrap();
    assert_eq!(a.shape().unwrap().dims(), [5 * BATCH, UNITS]);
    assert_eq!(b.shape().unwrap().dims(), [5 * BATCH, 4 * UNITS]);
    // The reverse loop carries h̄ and c̄ only, and multiplies once: by Uᵀ.
    let all = scans(&[du]);
    let (back, spec) = all.iter().find(|(_, spec)| spec.reverse).unwrap();
    assert_eq!(spec.carries, 2);
    assert_eq!(count(&back.outputs, is_product), 1);
    // It computes no function of the forward step again but derivatives from results: no costly one at all.
    assert_eq!(count(&back.outputs, |op| matches!(op, Op::Unary(u) if ["tanh", "sigmoid"].contains(&u.name()))), 0);
}

#[test]
fn the_forward_loop_is_extended_by_what_the_gradient_reads() {
    let x = leaves(lstm_inputs(5));
    let loss = looped(5, &x);
    let [du] = grad(&loss, [&x[3]]).unwrap();
    let forward: Vec<_> = scans(&[loss, du]).into_iter().filter(|(_, spec)| !spec.reverse).collect();
    let [(plain, _), (wider, _)] = forward.as_slice() else { panic!("two forward loops, got {}", forward.len()) };
    let (plain, wider) = if plain.outputs.len() < wider.outputs.len() { (plain, wider) } else { (wider, plain) };
    assert!(plain.params.iter().zip(&wider.params).all(|(a, b)| a.same(b)));
    assert!(plain.outputs.iter().zip(&wider.outputs).all(|(a, b)| a.same(b)));
    // h, c, four gates and tanh c.
    assert_eq!(wider.outputs.len() - plain.outputs.len(), 7);
}

/// A loop that computes its steps again keeps h and c of each step and nothing else, and adds up what each step adds to Ū.
#[test]
fn a_loop_may_keep_its_carries_alone() {
    let x = leaves(lstm_inputs(5));
    let spec = ScanSpec { steps: 5, carries: 2, inputs: 1, reverse: false };
    let out = Tensor::scan(&lstm_body().recomputed(), spec, &x).unwrap();
    let gradients = grad(&(out[2].square().sum_all() + out[1].sin().sum_all()), &x).unwrap();
    let all = scans(&gradients);
    let (wider, _) = all.iter().filter(|(_, spec)| !spec.reverse).max_by_key(|(body, _)| body.outputs.len()).unwrap();
    let kept: Vec<bool> = wider.outputs[3..].iter().map(|t| wider.params[..2].iter().any(|p| p.same(t))).collect();
    assert_eq!(kept, [true, true]);
    let (back, spec) = all.iter().find(|(_, spec)| spec.reverse).unwrap();
    assert!(back.recompute);
    // h̄, c̄, Ū; each step's h, c and cotangent of h, and its z.
    assert_eq!((spec.carries, spec.inputs), (3, 4));
    let kept = grad(&looped(5, &x), &x).unwrap();
    for (a, b) in values(&gradients).iter().flatten().zip(values(&kept).iter().flatten()) {
        assert!((a - b).abs() < 1e-12, "{a} and {b}");
    }
}

/// Checks a loop of `body` against differences, and its gradient too; the same of a loop whose gradient computes steps again.
fn check(name: &str, body: &Arc<Body>, spec: ScanSpec, inputs: &[Array]) {
    check_one(name, body, spec, inputs);
    check_one(&format!("{name}, recomputed"), &body.recomputed(), spec, inputs);
}

fn check_one(name: &str, body: &Arc<Body>, spec: ScanSpec, inputs: &[Array]) {
    let loss = |x: &[Tensor]| {
        let out = Tensor::scan(body, spec, x).unwrap();
        let terms = out.iter().filter(|t| t.dtype().unwrap().is_float()).map(|t| (t * 0.3).sin().sum_all());
        terms.reduce(|a, b| a + b).unwrap()
    };
    gradcheck(loss, inputs, Options::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
    let slope = |x: &[Tensor]| {
        let floats: Vec<&Tensor> = x.iter().filter(|t| t.dtype().unwrap().is_float()).collect();
        let all = grad_or_zeros(&loss(x), floats).unwrap();
        all.iter().map(|g| g.square().sum_all()).reduce(|a, b| a + b).unwrap()
    };
    let options = Options { tolerance: 1e-6, ..Options::default() };
    gradcheck(slope, inputs, options).unwrap_or_else(|e| panic!("{name}, second derivative: {e}"));
}

fn body(params: &[Meta], step: impl Fn(&[Tensor]) -> Vec<Tensor>) -> Arc<Body> {
    Body::new("step", params, |p| Ok::<_, Error>(step(p))).unwrap()
}

#[test]
fn loops_of_every_kind() {
    let forward = |carries, inputs| ScanSpec { steps: 3, carries, inputs, reverse: false };
    let backward = |carries, inputs| ScanSpec { reverse: true, ..forward(carries, inputs) };
    let (s, m) = (meta([2]), meta([2, 2]));

    let bias = body(&[m.clone(), m.clone(), s.clone()], |p| vec![(&p[0] * &p[1] + &p[2]).tanh()]);
    check("a bias", &bias, forward(1, 1), &[spread([2, 2], 0), spread([3, 2, 2], 1), spread([2], 2)]);
    check("from the end", &bias, backward(1, 1), &[spread([2, 2], 0), spread([3, 2, 2], 1), spread([2], 2)]);

    let scaled = body(&[s.clone(), s.clone()], |p| vec![(&p[0] * &p[1]).sin(), p[0].clone(), p[1].square()]);
    check("a factor in a carry", &scaled, forward(1, 0), &[spread([2], 0), spread([2], 1)]);

    let swapped = body(&[s.clone(), s.clone(), s.clone()], |p| vec![p[1].clone(), &p[0] * &p[2]]);
    check("carries that swap", &swapped, forward(2, 1), &[spread([2], 0), spread([2], 1), spread([3, 2], 2)]);

    let mapped = body(&[s.clone(), s.clone()], |p| vec![&p[0] * &p[1].exp()]);
    check("no carries", &mapped, forward(0, 1), &[spread([3, 2], 0), spread([2], 1)]);

    // Two uses of one weight, each a part of it, under views and signs.
    let parts = body(&[m.clone(), meta([2, 4])], |p| {
        let (left, right) = (p[1].slice(1, ..2), p[1].slice(1, 2..));
        vec![(p[0].matmul(&left) - p[0].tanh().matmul(&-right.t())).tanh()]
    });
    check("parts of a weight", &parts, forward(1, 0), &[spread([2, 2], 0), spread([2, 4], 1)]);

    // A carry that no one needs, an integer among the inputs, rows of an invariant table.
    let index = Meta::new(DType::I32, [2]);
    let table = body(&[m.clone(), s.clone(), index, meta([3, 2])], |p| {
        vec![(&p[0] + p[3].gather(&p[2], 0)).tanh(), &p[1] + 1.0]
    });
    let rows = Array::new([3, 2], &[0i32, 2, 1, 1, 2, 0]).unwrap();
    check("a table", &table, forward(2, 1), &[spread([2, 2], 0), spread([2], 1), rows, spread([3, 2], 2)]);

    let conv = Conv2d { strides: [1, 1], pads: [(1, 0), (0, 1)], dilation: [1, 1], groups: 1 };
    let image = meta([1, 2, 3, 1]);
    let filtered = body(&[image, meta([2, 2, 1, 1])], move |p| vec![p[0].conv2d(&p[1], conv).tanh()]);
    check("a filter", &filtered, forward(1, 0), &[spread([1, 2, 3, 1], 0), spread([2, 2, 1, 1], 1)]);

    // A loop in a loop, and a composite in it.
    let inner = body(&[s.clone(), s.clone()], |p| vec![(&p[0] * &p[1]).sin(), p[0].square()]);
    let call = body(std::slice::from_ref(&s), |p| vec![p[0].tanh(), p[0].cos()]);
    let nested = body(&[s.clone(), s.clone()], |p| {
        let once = Tensor::scan(&inner, ScanSpec { steps: 2, carries: 1, inputs: 0, reverse: false }, p).unwrap();
        let both = Tensor::call(&call, &[once[1].sum(0)]).unwrap();
        vec![&once[0] + &both[1] * &both[0], both[0].clone()]
    });
    check("a loop in a loop", &nested, forward(1, 0), &[spread([2], 0), spread([2], 1)]);
}

#[test]
fn weights_of_filters_and_tables_are_summed_after_the_loop() {
    let at = Meta::new(DType::I32, [2]);
    let step = body(&[meta([2, 2]), at, meta([3, 2])], |p| vec![(&p[0] + p[2].gather(&p[1], 0)).tanh()]);
    let rows = Tensor::from_vec([0i32, 2, 1, 1, 2, 0], [3, 2]);
    let (start, table) = (Tensor::from_array(spread([2, 2], 0)), Tensor::from_array(spread([3, 2], 1)));
    let spec = ScanSpec { steps: 3, carries: 1, inputs: 1, reverse: false };
    let out = Tensor::scan(&step, spec, &[start, rows, table.clone()]).unwrap();
    let [gradient] = grad(&out[0].sum_all(), [&table]).unwrap();
    assert!(matches!(gradient.node().op(), Op::ScatterAdd(0)));
    assert!(scans(&[gradient]).iter().all(|(_, spec)| spec.carries == 1));
}

#[test]
fn other_invariants_are_summed_in_one_carry_each() {
    // Half of a vector as a factor: no product and no sum over axes, but a view of what each step adds.
    let step = body(&[meta([2]), meta([4])], |p| vec![(&p[0] * p[1].slice(0, 1..3)).sin()]);
    let (start, factor) = (Tensor::from_array(spread([2], 0)), Tensor::from_array(spread([4], 1)));
    let spec = ScanSpec { steps: 3, carries: 1, inputs: 0, reverse: false };
    let out = Tensor::scan(&step, spec, &[start, factor.clone()]).unwrap();
    let gradient = grad(&out[0].sum_all(), [&factor]).unwrap();
    assert!(scans(&gradient).iter().all(|(_, spec)| spec.carries == if spec.reverse { 2 } else { 1 }));
}

#[test]
fn random_masks_are_drawn_again_and_cheap_functions_computed_again() {
    let key = Meta::new(DType::U32, [3]);
    let step = body(&[meta([4]), meta([4]), key, meta([4])], |p| {
        let mask = random::uniform(&p[2], 7, [4]).less(0.5);
        let pre = &p[0] * &p[3] + &p[1];
        vec![mask.select(pre.square() * 2.0, &pre).tanh()]
    });
    let spec = ScanSpec { steps: 3, carries: 1, inputs: 2, reverse: false };
    let keys = Tensor::stack(&(0..3).map(|t| random::key(1, t)).collect::<Vec<_>>(), 0);
    let (start, x) = (Tensor::from_array(spread([4], 0)), Tensor::from_array(spread([3, 4], 1)));
    let u = Tensor::from_array(spread([4], 2));
    let loop_of =
        |x: &Tensor, u: &Tensor| Tensor::scan(&step, spec, &[start.clone(), x.clone(), keys.clone(), u.clone()]);
    let out = loop_of(&x, &u).unwrap();
    let gradients = grad(&out[0].sum_all(), [&x, &u]).unwrap();
    let all = scans(&gradients);
    let (wider, _) = all.iter().find(|(b, s)| !s.reverse && b.outputs.len() > 1).unwrap();
    // The carry, and the result of tanh: neither the mask, nor what follows from the carry, the inputs and the invariant.
    assert_eq!(wider.outputs.len() - 1, 2);
    let arrays = [spread([3, 4], 1), spread([4], 2)];
    gradcheck(|x| loop_of(&x[0], &x[1]).unwrap()[0].clone(), &arrays, Options::default()).unwrap();
}

/// A cell of random steps, each of two earlier values; `p` is two carries, a per-step input and two invariants.
fn random_cell(steps: &[(usize, usize, usize)], picks: [usize; 4], p: &[Tensor]) -> Vec<Tensor> {
    let mut all: Vec<Tensor> = p[..4].to_vec();
    all.push(p[4].broadcast_to([2, 2]));
    for &(kind, i, j) in steps {
        let (a, b) = (all[i % all.len()].clone(), all[j % all.len()].clone());
        all.push(match kind {
            0 => a + b,
            1 => a * b,
            2 => a.tanh().matmul(&b),
            3 => a.sigmoid() - b,
            4 => a.matmul(&p[3]) + &p[4],
            5 => Tensor::concat(&[a, b], 1).slice(1, 1..3),
            6 => a.relu() / (b.square() + 1.0),
            _ => a.sum_keepdims(0) * b.sin(),
        });
    }
    picks.iter().map(|pick| all[all.len() - 1 - pick % all.len()].tanh()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A loop of any body has the first and second derivatives of the unrolled graph, whatever is asked for.
    #[test]
    fn random_loops_are_their_unrolled_graphs(
        steps in proptest::collection::vec((0usize..8, 0usize..99, 0usize..99), 1..7),
        picks in [0usize..12, 0..12, 0..12, 0..12],
        used in proptest::collection::vec(any::<bool>(), 4),
        wanted in proptest::collection::vec(any::<bool>(), 5),
        reverse in any::<bool>(),
        recompute in any::<bool>(),
    ) {
        let shapes = [meta([2, 2]), meta([2, 2]), meta([2, 2]), meta([2, 2]), meta([2])];
        let cell = body(&shapes, |p| random_cell(&steps, picks, p));
        let cell = if recompute { cell.recomputed() } else { cell };
        let x: Vec<Tensor> = leaves(vec![
            spread([2, 2], 0), spread([2, 2], 1), spread([3, 2, 2], 2), spread([2, 2], 3), spread([2], 4),
        ]);
        let looped = Tensor::scan(&cell, ScanSpec { steps: 3, carries: 2, inputs: 1, reverse }, &x).unwrap();
        let (mut carries, mut rows) = (x[..2].to_vec(), vec![Vec::new(); 3]);
        for trip in 0..3 {
            let t = if reverse { 2 - trip } else { trip };
            let mut p = carries;
            p.extend([x[2].slice(0, t..t + 1).squeeze(0), x[3].clone(), x[4].clone()]);
            carries = random_cell(&steps, picks, &p);
            rows[t] = carries.split_off(2);
        }
        let stacked = (0..2).map(|k| Tensor::stack(&rows.iter().map(|r| r[k].clone()).collect::<Vec<_>>(), 0));
        let unrolled: Vec<Tensor> = carries.clone().into_iter().chain(stacked).collect();

        let roots: Vec<&Tensor> = x.iter().zip(&wanted).filter(|(_, w)| **w).map(|(x, _)| x).collect();
        let loss = |outputs: &[Tensor]| {
            let chosen = outputs.iter().zip(&used).filter(|(_, used)| **used).map(|(t, _)| t.sin().sum_all());
            chosen.fold(Tensor::scalar(0.0), |a, b| a + b)
        };
        let both = |outputs: &[Tensor]| {
            let first = grad_or_zeros(&loss(outputs), roots.clone()).unwrap();
            let size = first.iter().fold(Tensor::scalar(0.0), |sum, g| sum + g.square().sum_all());
            let second = grad_or_zeros(&size, roots.clone()).unwrap();
            values(&first.into_iter().chain(second).collect::<Vec<_>>())
        };
        for (a, b) in both(&looped).iter().flatten().zip(both(&unrolled).iter().flatten()) {
            prop_assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{a} and {b}");
        }
    }
}
