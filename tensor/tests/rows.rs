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

/// The same on GPUs: with their shaders, and with those of software adapters.
#[cfg(feature = "gpu")]
mod on_a_gpu {
    use super::*;
    use addax_tensor::{
        gpu::{Choice, GpuExecutor},
        graph::{Body, Meta, ScanSpec},
        testing::{self, PaperGpu},
    };
    use pollster::block_on;

    /// The device that tests are told to use, with its own shaders, or with those of a real GPU that `groups` workgroups keep busy.
    fn gpu(groups: Option<u64>) -> Option<Device> {
        testing::gpu().expect("ADDAX_TEST_DEVICES names gpu")?;
        let software = std::env::var("ADDAX_GPU").is_ok_and(|v| v == "software");
        let executor = block_on(GpuExecutor::request(if software { Choice::Software } else { Choice::Any })).unwrap();
        let device = Device::from_executor(Box::new(match groups {
            Some(groups) => executor.with_gpu_shaders(groups),
            None => executor,
        }));
        Device::set_default(&device);
        Some(device)
    }

    fn agree(what: &str, outputs: &[Tensor]) {
        check(outputs, run).unwrap_or_else(|failure| panic!("{what}: {failure}"));
    }

    fn data(shape: &[usize], seed: u64) -> Tensor {
        let mut rng = Rng::new(seed);
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| (rng.unit() * 4.0 - 2.0) as f32).collect();
        Tensor::from_vec(values, shape)
    }

    /// Whole numbers, so that largest elements are there twice and sums have no roundings.
    fn few(shape: &[usize], seed: u64) -> Tensor {
        (data(shape, seed) * 2.0).round()
    }

    /// A softmax and its gradient, in halves too.
    fn softmaxes(len: usize) -> Vec<Tensor> {
        let (x, g, half) = (data(&[2, 3, len], 1), data(&[2, 3, len], 2), data(&[5, len], 3).cast(DType::F16));
        let y = x.softmax(-1);
        let dx = &y * (&g - (&y * &g).sum_keepdims(-1));
        vec![y, dx, half.cast(DType::F32).log_softmax(-1).cast(DType::F16), data(&[len], 4).softmax(-1)]
    }

    /// A cross-entropy with its metric and gradient, as numbers per row and along rows.
    fn entropies(len: usize) -> Vec<Tensor> {
        let (x, y) =
            (data(&[9, len], 5), Tensor::from_vec((0..9).map(|n| n * 7 % len as i32).collect::<Vec<i32>>(), [9, 1]));
        let here = y.equal(Tensor::iota(DType::I32, [9, len], 1));
        let losses = -here.select(x.log_softmax(-1), 0.0).sum(-1);
        let dx = x.softmax(-1) - here.cast(DType::F32);
        vec![losses, dx, x.argmax(-1).equal(y.squeeze(1))]
    }

    /// A layer norm and its gradient.
    fn normalizations(len: usize) -> Vec<Tensor> {
        let (x, gamma, dy) = (data(&[3, 2, len], 6), data(&[len], 7), data(&[3, 2, len], 8));
        let centered = &x - x.mean_keepdims(-1);
        let scale = (centered.square().mean_keepdims(-1) + 1e-3).rsqrt();
        let normal = &centered * &scale;
        let d = &dy * &gamma;
        let dx = &scale * (&d - d.mean_keepdims(-1) - &normal * (&d * &normal).mean_keepdims(-1));
        vec![(&normal * &gamma + 0.5).cast(DType::BF16), dx, scale]
    }

    /// Every reduction, of every type, read back over the row.
    fn reductions(len: usize) -> Vec<Tensor> {
        let (x, of) = (few(&[4, len], 9), |x: &Tensor, op| x.reduce(op, [-1]).expand_dims(-1));
        let mut list = Vec::new();
        for dtype in [DType::F32, DType::I32, DType::U8] {
            let x = x.abs().cast(dtype);
            for op in [ReduceOp::Sum, ReduceOp::Prod, ReduceOp::Max, ReduceOp::Min] {
                list.push(&x - of(&x, op));
            }
            list.push((of(&x, ReduceOp::ArgMax) + of(&x, ReduceOp::ArgMin)).cast(dtype) + &x);
        }
        let truth = x.greater(1.0);
        list.push(truth.logical_xor(of(&truth, ReduceOp::Any)));
        list.push(truth.logical_or(of(&truth, ReduceOp::All)));
        list
    }

    /// Rows that a loop comes to one after the other, forwards and backwards.
    fn loops() -> Vec<Tensor> {
        let metas = [Meta::new(DType::F32, [3, 40]), Meta::new(DType::F16, [3, 40])];
        let body = Body::new("attend", &metas, |p| {
            let next = (&p[0] + p[1].cast(DType::F32)).softmax(-1);
            let largest = next.max(-1);
            Ok(vec![next.clone(), next.cast(DType::F16), largest])
        });
        let body = body.unwrap();
        let inputs = [data(&[3, 40], 10), data(&[4, 3, 40], 11).cast(DType::F16)];
        let scan =
            |reverse| Tensor::scan(&body, ScanSpec { steps: 4, carries: 1, inputs: 1, reverse }, &inputs).unwrap();
        [scan(false), scan(true)].concat()
    }

    /// A NaN wins, wherever it is; rows of nothing but infinities have a largest element. The reference leaves these open.
    fn special_numbers(len: usize) {
        let value = |n: usize| match n {
            _ if n < len => f32::NEG_INFINITY,
            _ if n == 2 * len - 1 || n == 2 * len + len / 2 => f32::NAN,
            _ if n == 3 * len => f32::INFINITY,
            _ => -1.0 - (n % 7) as f32,
        };
        let x = Tensor::from_vec((0..4 * len).map(value).collect::<Vec<f32>>(), [4, len]);
        let [most, least] = [ReduceOp::Max, ReduceOp::Min].map(|op| x.reduce(op, [-1]).expand_dims(-1));
        let outputs = [x.equal(&most), x.equal(&least), most, least, x.argmax(-1), x.argmin(-1)];
        Tensor::eval(&outputs).unwrap();
        let lowest = (1..len).find(|i| value(3 * len + i) == -7.0).unwrap();
        let known = |x: f32| if x.is_nan() { 0.5 } else { x };
        let numbers = |n: usize| outputs[n].to_vec::<f32>().unwrap().into_iter().map(known).collect::<Vec<f32>>();
        let [greatest, smallest] = [2, 3].map(numbers);
        assert_eq!(greatest, [f32::NEG_INFINITY, 0.5, 0.5, f32::INFINITY]);
        assert_eq!(smallest, [f32::NEG_INFINITY, 0.5, 0.5, -7.0]);
        let places = [4, 5].map(|n| outputs[n].to_vec::<i32>().unwrap());
        let [nan, middle] = [len - 1, len / 2].map(|n| n as i32);
        assert_eq!(places, [[0, nan, middle, 0], [0, nan, middle, lowest as i32]]);
        let equals = [0, 1].map(|n| outputs[n].to_vec::<bool>().unwrap().iter().filter(|&&x| x).count());
        assert_eq!(equals[0], len + 1);
        assert!(equals[1] > len, "{equals:?}");
    }

    /// Lengths at which threads have as many elements, some more than others, or none; pieces of two and single elements. What is
    /// longer than the longest row is right, too.
    #[test]
    fn rows_of_every_length() {
        let _alone = alone();
        for (groups, lengths, some) in [
            (Some(256), &[1, 3, 31, 32, 33, 255, 256, 257, 1000, 8192][..], &[40, 257][..]),
            (Some(1), &[6][..], &[200][..]),
            (None, &[1, 3, 256, 257][..], &[33][..]),
        ] {
            let Some(device) = gpu(groups) else { return };
            for &len in lengths {
                agree(&format!("softmax of {len}, {groups:?} groups"), &softmaxes(len));
            }
            for &len in some {
                for (what, graph) in
                    [("entropy", entropies(len)), ("norm", normalizations(len)), ("reductions", reductions(len))]
                {
                    agree(&format!("{what} of {len}, {groups:?} groups"), &graph);
                }
                special_numbers(len);
            }
            agree(&format!("loops, {groups:?} groups"), &loops());
            assert_eq!(device.gpu_stats().unwrap().host_kernels, 0);
        }
    }

    /// Graphs that make kernels over rows with what their blocks may hold: views, halves, several axes, results of both kinds.
    #[test]
    fn random_rows_agree_with_the_reference() {
        let _alone = alone();
        for groups in [Some(256), None] {
            if gpu(groups).is_none() {
                return;
            }
            for seed in 0..testing::wanted(8) as u64 {
                agree(&format!("seed {seed}, {groups:?} groups"), &rows(seed));
            }
        }
    }

    #[test]
    fn many_short_rows_have_a_thread_each() {
        let _alone = alone();
        if gpu(Some(1)).is_some() {
            agree("softmax", &[data(&[150, 10], 12).softmax(-1), data(&[150, 8], 13).cast(DType::F16).softmax(-1)]);
        }
    }

    /// Where the adapter binds as many buffers as desktop GPUs do.
    #[test]
    fn a_cross_entropy_its_metric_and_its_gradient_are_one_kernel() {
        let _alone = alone();
        let Some(device) = gpu(Some(256)) else { return };
        if device.caps().max_args > 8 {
            let plan = Program::capture(&device, &[], &entropies(64), &[], &[]).unwrap().plan();
            assert_eq!(stages(&plan), [4], "{plan}");
        }
    }

    /// On a real GPU and on a software adapter, as on the CPU; longer rows are cut by kernels of their own.
    #[test]
    fn a_softmax_and_a_normalization_are_one_kernel_each() {
        for (barriers, longest) in [(true, 8192), (false, 256)] {
            let device = PaperGpu::device(barriers, 256).unwrap().0;
            let planned = |outer: usize, len: usize, of: fn(&Tensor) -> Tensor| {
                let x = input(&[outer, len]);
                let y = of(&x);
                stages(&Program::capture(&device, &[x], &[y], &[], &[]).unwrap().plan())
            };
            let normalized = |x: &Tensor| {
                let centered = x - x.mean_keepdims(-1);
                &centered * (centered.square().mean_keepdims(-1) + 1e-3).rsqrt()
            };
            for len in [2, 33, longest] {
                assert_eq!(planned(4, len, |x| x.softmax(-1)), [2]);
                assert_eq!(planned(4, len, normalized), [2]);
            }
            assert_eq!(planned(4, longest + 1, |x| x.softmax(-1)), [0, 0, 0]);
        }
    }
}
