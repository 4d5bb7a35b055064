//! Kernels over rows: what becomes one, that it computes what the reference does, and the same bits on any number of threads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_tensor::{
    Array, DType, Device, Program, Result, Tensor,
    cpu::CpuExecutor,
    graph::ReduceOp,
    plan::{Core, Kernel, Plan, Step},
    testing::{Rng, check},
};
use proptest::prelude::*;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The default device is the whole process's: tests take turns.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn plan(inputs: &[Tensor], outputs: &[Tensor]) -> Plan {
    Program::capture(&Device::cpu().unwrap(), inputs, outputs, &[], &[]).unwrap().plan()
}

fn kernels(plan: &Plan) -> Vec<Arc<Kernel>> {
    fn of(step: &Step) -> Vec<Arc<Kernel>> {
        match step {
            Step::Run { kernel, .. } => vec![kernel.clone()],
            Step::Loop { body, .. } => body.iter().flat_map(of).collect(),
        }
    }
    plan.compute.iter().flat_map(of).collect()
}

/// The stages of each kernel over rows; 0 for any other kernel.
fn stages(plan: &Plan) -> Vec<usize> {
    let count = |kernel: &Arc<Kernel>| match &kernel.core {
        Core::Rows { stages, .. } => stages.len(),
        _ => 0,
    };
    kernels(plan).iter().map(count).collect()
}

fn input(shape: &[usize]) -> Tensor {
    Tensor::placeholder(0, DType::F32, shape)
}

#[test]
fn a_softmax_is_one_kernel_and_takes_its_exponentials_once() {
    let x = input(&[6, 4, 100]);
    let plan = plan(std::slice::from_ref(&x), &[x.softmax(-1)]);
    assert_eq!(stages(&plan), [2], "{plan}");
    let exponentials =
        kernels(&plan)[0].blocks().iter().map(|b| format!("{b:?}").matches("Unary(Exp").count()).sum::<usize>();
    assert_eq!(exponentials, 1, "{plan}");
    assert_eq!(plan.workspace, 0, "nothing lies in memory between: {plan}");
}

#[test]
fn a_cross_entropy_with_its_metric_is_one_kernel() {
    let (x, y) = (input(&[32, 10]), Tensor::placeholder(1, DType::I32, [32, 1]));
    let here = y.equal(Tensor::iota(DType::I32, [32, 10], 1));
    let losses = -here.select(x.log_softmax(-1), 0.0).sum(-1);
    let right = x.argmax(-1).equal(y.squeeze(1));
    let plan = plan(&[x, y], &[losses, right]);
    assert_eq!(stages(&plan), [4], "{plan}");
}

#[test]
fn a_normalization_of_rows_is_one_kernel() {
    for shape in [vec![8, 64], vec![2, 3, 300], vec![5, 1, 7], vec![4, 2, 9]] {
        let (x, gamma) = (input(&shape), Tensor::placeholder(1, DType::F32, &shape[shape.len() - 1..]));
        let centered = &x - x.mean_keepdims(-1);
        let y = &centered * (centered.square().mean_keepdims(-1) + 1e-3).rsqrt() * &gamma + 0.5;
        let plan = plan(&[x, gamma], &[y]);
        assert_eq!(stages(&plan), [2], "{plan}");
    }
}

/// What a gradient needs: the rows, their largest elements and sums, each where others read it.
#[test]
fn results_per_row_and_along_rows_leave_one_kernel() {
    let x = input(&[9, 33]);
    let largest = x.max_keepdims(-1);
    let e = (&x - &largest).exp();
    let sum = e.sum_keepdims(-1);
    let plan = plan(std::slice::from_ref(&x), &[&e / &sum, largest, sum.log()]);
    assert_eq!(stages(&plan), [2], "{plan}");
}

#[test]
fn what_a_row_cannot_hold_stays_apart() {
    // Longer than the memory of a thread.
    let long = input(&[2, 10_000]);
    assert_eq!(stages(&plan(std::slice::from_ref(&long), &[long.softmax(-1)])), [0, 0, 0]);
    // Along the outer axis.
    let tall = input(&[50, 20]);
    assert!(stages(&plan(std::slice::from_ref(&tall), &[tall.softmax(0)])).iter().all(|&n| n == 0));
    // The sum of the row before.
    let x = input(&[6, 40]);
    let other = &x * x.sum_keepdims(-1).flip(0);
    assert!(stages(&plan(std::slice::from_ref(&x), &[other])).iter().all(|&n| n == 0));
    // Two kinds of rows.
    let square = input(&[40, 40]);
    let both = &square * square.sum_keepdims(-1) * square.t().sum_keepdims(-1);
    assert!(stages(&plan(std::slice::from_ref(&square), &[both])).iter().all(|&n| n <= 1));
}

/// A row at a time is overwritten where it is read: no kernel reads what it has written.
#[test]
fn rows_are_normalized_in_place() {
    let square = |n| Tensor::placeholder(n, DType::F32, [512, 512]);
    let inputs = [input(&[64, 512]), square(1), square(2)];
    let y = inputs[0].matmul(&inputs[1]).softmax(-1).matmul(&inputs[2]);
    let plan = plan(&inputs, &[y]);
    assert_eq!(stages(&plan), [0, 2, 0], "{plan}");
    assert_eq!(plan.workspace, 4 * 64 * 512, "{plan}");
}

/// Lengths of rows at which tiles begin, end, hold several rows or a part of one.
const LENGTHS: [usize; 18] = [1, 2, 3, 5, 7, 16, 17, 31, 64, 100, 255, 256, 257, 511, 512, 513, 1030, 2500];

/// A random graph over rows: maps, reductions, and what reads their results again.
fn rows(seed: u64) -> Vec<Tensor> {
    let mut rng = Rng::new(seed);
    let mut outer: Vec<usize> = (0..rng.below(3)).map(|_| 1 + rng.below(5)).collect();
    let len = LENGTHS[rng.below(LENGTHS.len())];
    let mut row = vec![len];
    if rng.below(4) == 0 && len < 100 {
        row.insert(0, 1 + rng.below(4));
    }
    if rng.below(6) == 0 {
        outer.push(1 + rng.below(700) / len.max(1));
    }
    let shape = [outer.clone(), row.clone()].concat();
    let per_row: Vec<usize> = outer.iter().copied().chain(row.iter().map(|_| 1)).collect();
    let axes: Vec<isize> = (1..=row.len() as isize).map(|n| -n).collect();
    let data = |rng: &mut Rng, dtype: DType, shape: &[usize]| {
        let numel: usize = shape.iter().product();
        let values: Vec<f32> = (0..numel).map(|_| (rng.unit() * 4.0 - 2.0) as f32).collect();
        Tensor::from_vec(values, shape).cast(dtype)
    };
    // The same elements with fewer axes.
    let joined = [outer.iter().product::<usize>(), row.iter().product()];
    let halves = [DType::F32, DType::F32, DType::F16, DType::BF16];
    let mut along = vec![data(&mut rng, DType::F32, &shape)];
    let mut once = vec![data(&mut rng, DType::F32, &per_row)];
    let steps = 4 + rng.below(9);
    for _ in 0..steps {
        let a = along[rng.below(along.len())].clone();
        let b = along[rng.below(along.len())].clone();
        let r = once[rng.below(once.len())].clone();
        match rng.below(18) {
            0..4 => {
                let op = [ReduceOp::Sum, ReduceOp::Max, ReduceOp::Min, ReduceOp::Sum][rng.below(4)];
                let sum = a.reduce(op, axes.clone()).reshape(&per_row[..]);
                let scale = if op == ReduceOp::Sum { 1.0 / row.iter().product::<usize>() as f64 } else { 0.5 };
                once.push(sum * scale);
            }
            4 => once.push((a * b).mean_keepdims(axes.clone())),
            5 if row.len() == 1 => once.push(a.argmax(-1).expand_dims(-1).cast(DType::F32) * 0.01),
            6 => once.push((r.square() + 0.5).rsqrt()),
            7 => along.push((&a - &r).tanh().exp()),
            8 => along.push(a * r),
            9 => along.push(&a - r * &b),
            10 => along.push(a.less(&r).select(&a, b * 0.5)),
            11 => {
                let half = halves[rng.below(4)];
                along.push(a.cast(half).cast(DType::F32));
            }
            12 => {
                let half = halves[rng.below(4)];
                along.push(data(&mut rng, half, &shape).cast(DType::F32) + a);
            }
            13 => along.push(a.flip(rng.below(shape.len()) as isize)),
            14 => along.push(Tensor::iota(DType::F32, &shape[..], -1) * 0.001 + a),
            15 => along.push(data(&mut rng, DType::F32, &joined).reshape(&shape[..])),
            16 => once.push(data(&mut rng, DType::F32, &joined[..1]).reshape(&per_row[..])),
            _ => {
                let mut mask: Vec<usize> = shape.clone();
                mask[rng.below(shape.len())] = 1;
                along.push(data(&mut rng, DType::F32, &mask).less(0.3).select(-3.0, a));
            }
        }
    }
    let mut outputs: Vec<Tensor> = vec![along[along.len() - 1].clone(), once[once.len() - 1].clone()];
    for list in [along, once] {
        outputs.extend(list.into_iter().filter(|_| rng.below(4) == 0));
    }
    outputs
}

fn run(tensors: &[Tensor]) -> Result<Vec<Array>> {
    Tensor::eval(tensors)?;
    tensors.iter().map(Tensor::to_array).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// Fused or not, on any number of threads, rows are what the reference says; and the number of threads changes no bit.
    #[test]
    fn rows_agree_with_the_reference(seed in any::<u64>()) {
        let _alone = alone();
        let outputs = rows(seed);
        let mut bits: Option<Vec<Vec<u8>>> = None;
        for (threads, fuse) in [(1, true), (3, true), (2, false)] {
            let device = Device::from_executor(Box::new(CpuExecutor::with_threads(threads).unwrap()));
            device.set_fusion(fuse);
            Device::set_default(&device);
            check(&outputs, run).unwrap_or_else(|failure| panic!("seed {seed}, {threads} threads, fused {fuse}: {failure}"));
            if fuse {
                let got: Vec<Vec<u8>> = run(&rows(seed)).unwrap().iter().map(|a| a.bytes().to_vec()).collect();
                prop_assert_eq!(bits.get_or_insert_with(|| got.clone()), &got);
            }
        }
    }
}

/// The graphs above are worth their time: most of them have kernels over rows, of every number of stages up to four.
#[test]
fn random_rows_make_kernels_over_rows() {
    let mut seen = [0; 9];
    for seed in 0..800 {
        for n in stages(&plan(&[], &rows(seed))) {
            seen[n] += 1;
        }
    }
    assert!(seen[1..].iter().sum::<usize>() > 100 && seen[1..=4].iter().all(|&n| n > 2), "{seen:?}");
}
