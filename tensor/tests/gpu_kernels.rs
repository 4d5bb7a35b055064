//! Every kernel of the kernel language on the GPU, against the reference executor: values must lie within two of its
//! error radii.
//!
//! `ADDAX_TEST_DEVICES=cpu,gpu` makes a missing adapter a failure; with `ADDAX_GPU=software` any machine that has lavapipe
//! can run this. Pipelines are costly there, so the corpus is small and each graph covers much.
#![cfg(feature = "gpu")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_tensor::{
    Array, DType, Device, Program, Tensor, Variable,
    graph::{Binary, Body, Conv2d, Meta, Pool2d, ReduceOp, ScanSpec, Unary},
    random,
    reference::{self, Ranged},
    testing::{self, FACTOR},
};
use std::{collections::HashMap, sync::OnceLock};

/// The device under test; all tests of this binary share it.
fn gpu() -> Option<&'static Device> {
    static GPU: OnceLock<Option<Device>> = OnceLock::new();
    let gpu = GPU.get_or_init(|| {
        let device = testing::gpu().expect("ADDAX_TEST_DEVICES names gpu")?;
        Device::set_default(&device);
        Some(device)
    });
    gpu.as_ref()
}

/// Serialises the tests: fusion is switched for the whole device.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ONE.lock().unwrap_or_else(|e| e.into_inner())
}

fn compare(name: &str, build: impl Fn() -> Vec<Tensor>) {
    let tensors = build();
    let want = reference::evaluate_with(&HashMap::new(), &tensors).unwrap_or_else(|e| panic!("{name}: {e}"));
    Tensor::eval(&tensors).unwrap_or_else(|e| panic!("{name}: {e}"));
    for (n, (tensor, want)) in tensors.iter().zip(&want).enumerate() {
        let got = Ranged::from_array(&tensor.to_array().unwrap()).unwrap();
        assert_eq!(got.meta, want.meta, "{name}, result {n}");
        if let Some((at, got, want)) = want.disagreement(&got.value, FACTOR) {
            panic!("{name}, result {n}, element {at}: got {got}, expected {} ± {}", want.value, want.radius);
        }
    }
}

/// The graph, fused and unfused.
fn check(name: &str, build: impl Fn() -> Vec<Tensor>) {
    let Some(device) = gpu() else { return };
    let _alone = alone();
    compare(name, &build);
    device.set_fusion(false);
    let plain = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| compare(&format!("{name}, unfused"), &build)));
    device.set_fusion(true);
    if let Err(panic) = plain {
        std::panic::resume_unwind(panic);
    }
}

/// The graph once: for what fusion does not change.
fn check_once(name: &str, build: impl Fn() -> Vec<Tensor>) {
    if gpu().is_none() {
        return;
    }
    let _alone = alone();
    compare(name, build);
}

/// Numbers in about ±2 that repeat nowhere near.
fn data(shape: &[usize], seed: u32) -> Tensor {
    let count: usize = shape.iter().product();
    let value = |i: usize| {
        let bits = (i as u32).wrapping_add(seed.wrapping_mul(7919)).wrapping_mul(2_654_435_761);
        (bits >> 8) as f32 / (1 << 22) as f32 - 2.0
    };
    Tensor::from_vec((0..count).map(value).collect::<Vec<f32>>(), shape)
}

fn ints(shape: &[usize], seed: u32, below: i32) -> Tensor {
    let count: usize = shape.iter().product();
    let value = |i: usize| ((i as u32 + seed).wrapping_mul(2_654_435_761) >> 5) as i32 % below;
    Tensor::from_vec((0..count).map(value).collect::<Vec<i32>>(), shape)
}

#[test]
fn unary_functions() {
    check_once("unary", || {
        let special =
            [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -3.5, 1e-6, 30.0, -40.0, 100.0, f32::INFINITY, f32::NEG_INFINITY];
        let x = Tensor::concat(&[data(&[50], 1), Tensor::from_vec(special, [special.len()])], 0);
        let (positive, inside) = (x.abs() + 0.1, (&x * 0.3).tanh());
        let of = |op: Unary| match op {
            Unary::Log | Unary::Log1p | Unary::Sqrt | Unary::Rsqrt => positive.unary(op),
            Unary::Erfinv => inside.unary(op),
            Unary::Not => x.is_finite().logical_not(),
            _ => x.unary(op),
        };
        Unary::ALL.into_iter().map(of).collect()
    });
    check_once("unary of integers", || {
        let x = Tensor::from_vec([0i32, 1, -1, 7, -9, i32::MAX, i32::MIN, 46341], [8]);
        let u = Tensor::from_vec([0u32, 1, 7, u32::MAX, 1 << 31, 65537], [6]);
        let b = Tensor::from_vec([0u8, 1, 200, 255], [4]);
        let ops = [Unary::Neg, Unary::Abs, Unary::Sign, Unary::Square, Unary::Relu, Unary::Not];
        ops.into_iter().flat_map(|op| [x.unary(op), u.unary(op), b.unary(op)]).collect()
    });
}

#[test]
fn binary_functions() {
    let apply = |op: Binary, a: &Tensor, b: &Tensor| match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Rem => a % b,
        Binary::Pow => a.pow(b),
        Binary::Max => a.maximum(b),
        Binary::Min => a.minimum(b),
        Binary::And => a.logical_and(b),
        Binary::Or => a.logical_or(b),
        Binary::Xor => a.logical_xor(b),
        Binary::Shl => a.shift_left(b),
        Binary::Shr => a.shift_right(b),
        Binary::Eq => a.equal(b),
        Binary::Ne => a.not_equal(b),
        Binary::Lt => a.less(b),
        Binary::Le => a.less_equal(b),
    };
    let all = |a: &Tensor, b: &Tensor, dtype: DType| {
        Binary::ALL.into_iter().filter(|op| op.accepts(dtype)).map(|op| apply(op, a, b)).collect::<Vec<_>>()
    };
    check_once("binary", || {
        let (a, b) = (data(&[40], 2), data(&[40], 3));
        let mut list = all(&a, &b, DType::F32);
        list.extend(all(&a.round(), &b.round(), DType::F32));
        list
    });
    check_once("binary of integers", || {
        let a = Tensor::from_vec([7i32, -7, 0, 5, i32::MIN, i32::MIN, i32::MAX, -1, 1 << 30], [9]);
        let b = Tensor::from_vec([2i32, 2, 3, 0, -1, 0, 33, 31, 1 << 30], [9]);
        let (u, v) = (a.cast(DType::U32), b.cast(DType::U32));
        let mut list = all(&a, &b, DType::I32);
        list.extend(all(&u, &v, DType::U32));
        list
    });
    check_once("binary of bytes and truth", || {
        let a = Tensor::from_vec([7u8, 255, 0, 200, 16], [5]);
        let b = Tensor::from_vec([2u8, 3, 5, 0, 9], [5]);
        let (p, q) = (a.greater(6.0), b.greater(4.0));
        let mut list = all(&a, &b, DType::U8);
        list.extend(all(&p, &q, DType::Bool));
        list.push(p.select(&a, &b));
        list
    });
}

#[test]
fn casts_between_all_types() {
    check("casts", || {
        let values = [
            0.0, 1.0, -1.0, 2.5, 3.5, -2.5, 300.7, -300.7, 65504.0, 65519.0, 65520.0, 1e-7, 5.9e-8, 3e9, 5e9, -3e9,
            1e30, 2049.0, 2051.0,
        ];
        let float = Tensor::from_vec(values, [values.len()]);
        let int = Tensor::from_vec([0i32, 1, -1, 255, 256, -300, i32::MAX, i32::MIN, 16_777_217], [9]);
        let mut list = Vec::new();
        for from in [&float, &int] {
            for middle in DType::ALL {
                let middle = from.cast(middle);
                list.extend(DType::ALL.map(|to| middle.cast(to)));
            }
        }
        list
    });
}

#[test]
fn narrow_types_in_every_layout() {
    check("narrow", || {
        let mut list = Vec::new();
        for dtype in [DType::F16, DType::BF16, DType::U8, DType::Bool] {
            let x = ints(&[3, 5], 1, 7).cast(dtype);
            let y = ints(&[3, 2], 9, 5).cast(dtype);
            list.push(x.t());
            // Parts of a concatenation share words.
            list.push(Tensor::concat(&[x.clone(), y, x.clone()], 1));
            list.push(x.slice(1, 1..4).flip(0));
            list.push(x.pad(vec![(1, 0), (0, 2)], 1i64));
        }
        list
    });
}

#[test]
fn views() {
    check("views", || {
        let x = data(&[2, 3, 4], 4);
        vec![
            x.permute([2, 0, 1]) + 1.0,
            x.flip([0, 2]) * x.permute([0, 1, 2]),
            x.slice(1, 1..3).reshape([2, 8]).t(),
            x.pad(vec![(1, 1), (0, 2), (2, 0)], -3.0).square(),
            x.pad(vec![(0, 1), (1, 0), (0, 0)], 0.5).pad(vec![(1, 0), (0, 0), (0, 3)], 2.0) * 2.0,
            (data(&[3, 1], 5) + data(&[1, 4], 6)).broadcast_to([2, 3, 4]) - &x,
            x.reshape([6, 4]).t().reshape([3, 8]),
            Tensor::concat(&[x.clone(), x.exp(), x.slice(1, 0..1)], 1),
            Tensor::iota(DType::F32, [3, 4], 1) + Tensor::iota(DType::F32, [3, 4], 0) * 10.0,
            Tensor::iota(DType::U32, [5], 0),
            ints(&[6], 3, 4).one_hot(4, DType::F32),
        ]
    });
}

#[test]
fn reductions() {
    let all = |x: &Tensor, axes: &[isize]| {
        let arg = |op: ReduceOp| matches!(op, ReduceOp::ArgMax | ReduceOp::ArgMin);
        ReduceOp::ALL
            .into_iter()
            .filter(|op| !matches!(op, ReduceOp::Any | ReduceOp::All) && (!arg(*op) || axes.len() == 1))
            .map(|op| x.reduce(op, axes))
            .collect::<Vec<_>>()
    };
    check("reductions", || {
        let x = data(&[3, 40, 5], 7);
        let mut list = all(&x, &[2]);
        list.extend(all(&x, &[1]));
        list.push((x.exp().sum([0, 2]) + 1.0).log());
        list.push(x.permute([2, 0, 1]).square().sum([0, 1]).cast(DType::F16));
        list.push(x.max([0, 1, 2]));
        list.push(x.softmax(1));
        list
    });
    check_once("reductions of integers", || {
        let x = ints(&[4, 30], 8, 9) - 4i64;
        let mut list = all(&x, &[1]);
        list.extend(all(&x.cast(DType::U32), &[0]));
        list.extend(all(&x.cast(DType::U8), &[0]));
        list.extend([x.greater(3i64).any(1), x.greater(-4i64).all(0), Tensor::ones([0, 3]).sum(0)]);
        list
    });
    check_once("long reductions", || {
        let x = data(&[2, 9000], 9);
        vec![x.sum(1) * 0.5, x.max(1), x.argmax(1), x.sum_all(), x.greater(1.99).any(1), data(&[9000, 3], 1).argmin(0)]
    });
}

#[test]
fn products() {
    check("matmul", || {
        let (a, b) = (data(&[9, 20], 10), data(&[20, 12], 11));
        let bias = data(&[12], 12);
        vec![
            (a.matmul(&b) + &bias).relu(),
            a.t().matmul(&data(&[9, 7], 13)),
            a.matmul(&data(&[6, 20], 14).t()).cast(DType::F16),
            data(&[2, 3, 5, 8], 15).matmul(&data(&[3, 8, 4], 16)),
            a.cast(DType::BF16).matmul(&b.cast(DType::BF16)),
            data(&[1, 700], 17).matmul(&data(&[700, 8], 18)) * 0.25,
        ]
    });
}

fn conv(strides: [usize; 2], pads: [(usize, usize); 2], dilation: [usize; 2], groups: usize) -> Conv2d {
    Conv2d { strides, pads, dilation, groups }
}

#[test]
fn convolutions() {
    let family = |x: &[usize], w: &[usize], how: Conv2d| {
        let (x, w) = (data(x, 20), data(w, 21));
        let y = x.conv2d(&w, how);
        let dy = data(y.shape().unwrap().dims(), 22);
        let bias = data(&[w.shape().unwrap()[3]], 23);
        vec![
            (y + bias).relu(),
            dy.conv2d_input_grad(&w, x.shape().unwrap().dims(), how) * 0.5,
            x.conv2d_filter_grad(&dy, w.shape().unwrap().dims(), how),
        ]
    };
    check("conv", || family(&[2, 7, 6, 4], &[3, 3, 4, 8], conv([1, 1], [(1, 1), (1, 1)], [1, 1], 1)));
    check_once("conv with strides", || family(&[2, 9, 8, 3], &[3, 2, 3, 5], conv([2, 3], [(0, 1), (1, 0)], [1, 2], 1)));
    check_once("conv in groups", || family(&[1, 5, 5, 8], &[3, 3, 4, 12], conv([1, 1], [(1, 1), (1, 1)], [1, 1], 2)));
    check_once("depthwise conv", || family(&[2, 6, 6, 3], &[3, 3, 1, 3], conv([1, 1], [(1, 1), (1, 1)], [1, 1], 3)));
    check_once("conv of halves", || {
        let (x, w) = (data(&[1, 6, 6, 4], 24).cast(DType::F16), data(&[3, 3, 4, 4], 25).cast(DType::F16));
        vec![x.conv2d(&w, conv([1, 1], [(0, 0), (0, 0)], [1, 1], 1)).relu()]
    });
}

#[test]
fn pooling() {
    let pool = Pool2d { window: [3, 2], strides: [2, 2], pads: [(1, 0), (0, 1)] };
    check("pool", || {
        let x = data(&[2, 7, 6, 3], 30).round();
        let y = x.max_pool2d(pool);
        let dy = data(y.shape().unwrap().dims(), 31);
        vec![
            y.relu(),
            x.max_pool2d_grad(&dy, pool),
            x.max_pool2d_gather(&data(&[2, 7, 6, 3], 32), pool),
            x.avg_pool2d(pool) * 2.0,
            dy.avg_pool2d_grad([2, 7, 6, 3], pool),
        ]
    });
}

#[test]
fn gathers_and_scatters() {
    check("gather", || {
        let x = data(&[2, 5, 3], 40);
        let at = Tensor::from_vec([4i32, 0, 4, -1, 7, 2], [6]);
        vec![
            x.gather(&at, 1) * 2.0,
            ints(&[5, 4], 2, 100).gather(&at, 0),
            data(&[2, 6, 3], 41).scatter_add(&at, 1, 5),
            ints(&[6], 1, 9).scatter_add(&at, 0, 5),
        ]
    });
}

#[test]
fn random_bits() {
    check("random", || {
        let key = random::key(42, 7);
        vec![random::bits(&key, 3, [5, 6]), random::uniform(&key, 4, [4, 3, 2]), random::normal(&key, 5, [8])]
    });
}

#[test]
fn loops() {
    let spec = |reverse: bool| ScanSpec { steps: 5, carries: 2, inputs: 1, reverse };
    let metas = [[2, 3], [2, 3], [2, 3], [3, 3]].map(|s| Meta::new(DType::F32, s));
    let body = Body::new("cell", &metas, |p| {
        let [h, c, x, w] = p else { unreachable!() };
        let c = (x + h.matmul(w)).tanh() + c * 0.5;
        let h = c.sigmoid() * x;
        let mean = h.mean(1);
        Ok(vec![h, c, mean])
    })
    .unwrap();
    for reverse in [false, true] {
        check("loop", || {
            let inputs = [data(&[2, 3], 50), data(&[2, 3], 51), data(&[5, 2, 3], 52), data(&[3, 3], 53)];
            let out = Tensor::scan(&body, spec(reverse), &inputs).unwrap();
            vec![out[0].clone() * 2.0, out[1].clone(), out[2].sum(0), out[2].clone()]
        });
    }
    // Rows of bytes that share words.
    let body = Body::new("count", &[Meta::new(DType::U8, [3]), Meta::new(DType::U8, [3])], |p| {
        let next = &p[0] + &p[1];
        Ok(vec![next.clone(), next])
    })
    .unwrap();
    check("loop of bytes", || {
        let inputs = [ints(&[3], 1, 9).cast(DType::U8), ints(&[4, 3], 2, 100).cast(DType::U8)];
        Tensor::scan(&body, ScanSpec { steps: 4, carries: 1, inputs: 1, reverse: false }, &inputs).unwrap()
    });
}

/// A training step: state moves in place, scalars change without a new plan, nothing is read back or computed on the host.
#[test]
fn a_training_step() {
    let Some(device) = gpu() else { return };
    let _alone = alone();
    let w = Variable::new(Tensor::from_array(data(&[6, 4], 60).to_array().unwrap()));
    let m = Variable::state(Tensor::zeros([6, 4]));
    let x = Tensor::placeholder(0, DType::F32, [8, 6]);
    let y = x.matmul(&w.value());
    let dw = x.t().matmul(&(&y * 2.0));
    let momentum = m.value() * 0.9 + &dw;
    let updates = [(w.clone(), w.value() - &momentum * 0.01), (m.clone(), momentum)];
    let program = Program::capture(device, &[x], &[y.square().mean_all()], &updates, &[]).unwrap();
    let batch = data(&[8, 6], 61).to_array().unwrap();
    let plain = || -> Vec<f64> {
        let x = batch.to_vec::<f32>().unwrap();
        let mut w: Vec<f64> = data(&[6, 4], 60).to_vec::<f32>().unwrap().iter().map(|v| f64::from(*v)).collect();
        let (mut m, mut losses) = (vec![0.0; 24], Vec::new());
        for _ in 0..5 {
            let y: Vec<f64> =
                (0..32).map(|i| (0..6).map(|k| f64::from(x[i / 4 * 6 + k]) * w[k * 4 + i % 4]).sum()).collect();
            losses.push(y.iter().map(|v| v * v).sum::<f64>() / 32.0);
            for k in 0..24 {
                let dw: f64 = (0..8).map(|r| f64::from(x[r * 6 + k / 4]) * 2.0 * y[r * 4 + k % 4]).sum();
                m[k] = m[k] * 0.9 + dw;
                w[k] -= m[k] * 0.01;
            }
        }
        losses
    };
    let first = program.run(&[&batch]).unwrap();
    let memory = device.memory();
    let before = device.gpu_stats().unwrap();
    let mut last = first;
    for _ in 0..4 {
        last.clear();
        last = program.run(&[&batch]).unwrap();
    }
    let after = device.gpu_stats().unwrap();
    assert_eq!(after.dispatches - before.dispatches, 4 * program.plan().dispatches() as u64);
    assert_eq!((after.readbacks - before.readbacks, after.host_kernels), (0, 0));
    assert_eq!(after.submits - before.submits, 4);
    assert_eq!(device.memory().allocations, memory.allocations, "steady training allocates nothing");
    let loss = f64::from(last[0].item::<f32>().unwrap());
    assert!((loss - plain()[4]).abs() < 1e-4 * plain()[4].abs().max(1.0), "{loss} {:?}", plain());
    println!("a step of {} dispatches, 1 submit, 0 readbacks, 0 host kernels", program.plan().dispatches());
}

/// A changed host number changes the result, not the plan.
#[test]
fn scalars_are_read_at_every_run() {
    let Some(device) = gpu() else { return };
    let _alone = alone();
    let x = Tensor::from_vec([1.0f32, 2.0], [2]).detach().unwrap();
    let with = |factor: f64| (&x * factor + factor).to_vec::<f32>().unwrap();
    assert_eq!(with(3.0), [6.0, 9.0]);
    let misses = device.plan_cache().misses;
    assert_eq!(with(0.5), [1.0, 1.5]);
    assert_eq!(device.plan_cache().misses, misses);
}

/// Errors are values.
#[test]
fn too_large_values_are_refused() {
    let Some(device) = gpu() else { return };
    let _alone = alone();
    let limit = device.caps().max_binding as usize;
    let error = Tensor::zeros([limit / 4 + 1]).exp().eval_alone().unwrap_err();
    assert!(error.to_string().contains("binding"), "{error}");
    // The device is as usable as before.
    assert_eq!(Tensor::ones([3]).exp().sum_all().to_array().unwrap().dtype(), DType::F32);
}

trait EvalAlone {
    fn eval_alone(&self) -> addax_tensor::Result<()>;
}
impl EvalAlone for Tensor {
    fn eval_alone(&self) -> addax_tensor::Result<()> {
        Tensor::eval(std::slice::from_ref(self))
    }
}

/// Memory that is let go comes back, and bind groups do not hold it.
#[test]
fn values_leave_nothing_behind() {
    let Some(device) = gpu() else { return };
    let _alone = alone();
    let step = |n: usize| (data(&[64, 64], n as u32) * 2.0).matmul(&data(&[64, 64], 1)).to_array().unwrap();
    step(0);
    device.trim();
    let before = device.memory().live;
    for n in 0..20 {
        step(n);
    }
    device.trim();
    assert_eq!(device.memory().live, before);
}

#[test]
fn arrays_of_odd_bytes_come_back() {
    if gpu().is_none() {
        return;
    }
    let _alone = alone();
    for n in [1usize, 2, 3, 5, 4097] {
        let bytes: Vec<u8> = (0..n).map(|i| i as u8).collect();
        let x = Tensor::from_array(Array::new([n], &bytes).unwrap());
        assert_eq!(
            (x.clone() + 1i64).to_vec::<u8>().unwrap(),
            bytes.iter().map(|b| b.wrapping_add(1)).collect::<Vec<_>>()
        );
        assert_eq!(x.pad(vec![(1, 0)], 9i64).to_vec::<u8>().unwrap()[0], 9);
    }
}

/// Threads share the device: each gets what it asked for.
#[test]
fn threads_read_side_by_side() {
    if gpu().is_none() {
        return;
    }
    let _alone = alone();
    std::thread::scope(|scope| {
        for thread in 0..6u32 {
            scope.spawn(move || {
                for n in 0..40u32 {
                    let x = Tensor::from_vec([thread, n], [2]) + 1i64;
                    assert_eq!(x.to_vec::<u32>().unwrap(), [thread + 1, n + 1]);
                }
            });
        }
    });
}
