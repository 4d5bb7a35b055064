//! Measures the CPU executor's kernels: `cargo run --release -p addax-tensor --example cpu_speed [FILTER]`.
//!
//! Prints the best of many runs: microseconds, GFLOP/s where products are done, GB/s of the arguments.

#![allow(clippy::unwrap_used, reason = "a measurement that fails panics")]

use addax_tensor::{
    DType,
    cpu::CpuExecutor,
    executor::{Bound, Executor},
    graph::{Binary, Conv2d, ConvKind, Pool2d, PoolKind, ReduceOp, Unary},
    plan::{
        Arg, ArgSpec, BufferSpec, Core, Kernel, MatrixView, Plan, Row, Source, Step, Use,
        expr::{Access, Affine, Block, Inst, Store},
    },
};
use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the CPU never waits"),
    }
}

fn row_major(shape: &[usize]) -> Affine {
    Affine::row_major(shape)
}

fn access(arg: u16, index: Affine) -> Access {
    Access { arg, index, guards: Vec::new() }
}

fn store(block: &mut Block, reg: u16, arg: u16, shape: &[usize]) {
    block.stores.push(Store { reg, access: access(arg, row_major(shape)) });
}

/// A block that writes the core's result to this argument.
fn plain(arg: u16, shape: &[usize], dtype: DType) -> Block {
    let mut block = Block::default();
    let acc = block.push(Inst::Acc, dtype);
    store(&mut block, acc, arg, shape);
    block
}

/// A block that adds a bias and rectifies.
fn bias_relu(bias: u16, arg: u16, shape: &[usize]) -> Block {
    let mut block = Block::default();
    let acc = block.push(Inst::Acc, DType::F32);
    let mut index = Affine::constant(0, shape.len());
    index.strides[shape.len() - 1] = 1;
    let bias = block.push(Inst::Load(access(bias, index)), DType::F32);
    let sum = block.push(Inst::Binary(Binary::Add, acc, bias), DType::F32);
    let out = block.push(Inst::Unary(Unary::Relu, sum), DType::F32);
    store(&mut block, out, arg, shape);
    block
}

struct Bench {
    cpu: CpuExecutor,
    filter: String,
}

impl Bench {
    /// Runs a kernel on arguments of these lengths; the last one is written.
    fn kernel(&self, name: &str, kernel: Kernel, lens: &[usize], flops: f64) {
        if !name.contains(&self.filter) {
            return;
        }
        let args = (0..lens.len()).map(|buffer| Arg { buffer, offset: 0, rows: Vec::new() }).collect();
        let bytes: usize = lens.iter().zip(&kernel.args).map(|(n, a)| n * a.dtype.size()).sum();
        let sizes: Vec<usize> = lens.iter().zip(&kernel.args).map(|(n, a)| n * a.dtype.size()).collect();
        let scratch = self.cpu.scratch(&kernel);
        self.steps(name, vec![Step::Run { kernel: Arc::new(kernel), args }], &sizes, scratch, flops, bytes as f64);
    }
    fn steps(&self, name: &str, compute: Vec<Step>, sizes: &[usize], scratch: u64, flops: f64, bytes: f64) {
        let mut buffers: Vec<BufferSpec> =
            sizes.iter().enumerate().map(|(n, &b)| BufferSpec { source: Source::Output(n), bytes: b as u64 }).collect();
        buffers.push(BufferSpec { source: Source::Scratch, bytes: scratch });
        let bound: Vec<Bound> = buffers
            .iter()
            .map(|b| {
                let buffer = self.cpu.alloc(b.bytes).unwrap();
                let floats: Vec<u8> = (0..b.bytes / 4).flat_map(|i| ((i % 13) as f32 * 0.1).to_ne_bytes()).collect();
                self.cpu.write(&buffer, 0, &floats).unwrap();
                Bound { buffer, offset: 0 }
            })
            .collect();
        let plan = Plan { buffers, compute, scratch, ..Plan::default() };
        let code = ready(self.cpu.compile(&plan)).unwrap();
        let (mut best, mut total, mut runs) = (Duration::MAX, Duration::ZERO, 0);
        while runs < 5 || total < Duration::from_millis(400) {
            let start = Instant::now();
            self.cpu.run(&code, &bound, &[]).unwrap();
            let taken = start.elapsed();
            best = best.min(taken);
            total += taken;
            runs += 1;
        }
        let seconds = best.as_secs_f64();
        println!(
            "{name:44} {:10.1} us (mean {:8.1})  {:7.1} GFLOP/s  {:6.1} GB/s",
            seconds * 1e6,
            total.as_secs_f64() * 1e6 / f64::from(runs),
            flops / seconds / 1e9,
            bytes / seconds / 1e9
        );
    }
    fn matmul(&self, (m, n, k): (usize, usize, usize), ta: bool, tb: bool, epilogue: bool) {
        let view = |arg, rows: usize, cols: usize, turned: bool| MatrixView {
            arg,
            offset: 0,
            batch_strides: vec![],
            row_stride: if turned { 1 } else { cols as i64 },
            col_stride: if turned { rows as i64 } else { 1 },
        };
        let shape = vec![m, n];
        let block = if epilogue { bias_relu(2, 3, &shape) } else { plain(2, &shape, DType::F32) };
        let read = ArgSpec { dtype: DType::F32, usage: Use::Read };
        let write = ArgSpec { dtype: DType::F32, usage: Use::Write };
        let (args, lens) = if epilogue {
            (vec![read, read, read, write], vec![m * k, k * n, n, m * n])
        } else {
            (vec![read, read, write], vec![m * k, k * n, m * n])
        };
        let core = Core::MatMul { k, a: view(0, m, k, ta), b: view(1, k, n, tb) };
        let kernel = Kernel { label: "matmul".into(), shape, core, block, args, lean: false };
        let mark = |t| if t { "T" } else { "" };
        let name =
            format!("matmul{} {m}x{n}x{k} a{} b{}", if epilogue { "+bias+relu" } else { "" }, mark(ta), mark(tb));
        self.kernel(&name, kernel, &lens, 2.0 * (m * n * k) as f64);
    }
    fn conv(&self, kind: &str, [n, h, w, c]: [usize; 4], [kh, kw, f]: [usize; 3], stride: usize, same: bool) {
        let pad = if same { ((kh - 1) / 2, kh / 2) } else { (0, 0) };
        let conv = Conv2d { strides: [stride; 2], pads: [pad; 2], dilation: [1; 2], groups: 1 };
        let (oh, ow) = (conv.output_len(0, h, kh), conv.output_len(1, w, kw));
        let (x, wt, y) = ([n, h, w, c], [kh, kw, c, f], [n, oh, ow, f]);
        let shape_of = |s: [usize; 4]| addax_tensor::Shape::from(s.to_vec());
        let (kind_, first, second, out) = match kind {
            "forward" => (ConvKind::Forward, x, wt, y),
            "input" => (ConvKind::InputGrad(shape_of(x)), y, wt, x),
            _ => (ConvKind::FilterGrad(shape_of(wt)), x, y, wt),
        };
        let core = Core::Conv2d { kind: kind_, conv, operands: [(0, first), (1, second)] };
        let read = ArgSpec { dtype: DType::F32, usage: Use::Read };
        let write = ArgSpec { dtype: DType::F32, usage: Use::Write };
        let numel = |s: [usize; 4]| s.iter().product::<usize>();
        let kernel = Kernel {
            label: "conv".into(),
            shape: out.to_vec(),
            core,
            block: plain(2, &out, DType::F32),
            args: vec![read, read, write],
            lean: false,
        };
        let flops = 2.0 * (numel(y) * kh * kw * c) as f64;
        let name = format!("conv {kind} {n}x{h}x{w}x{c} -> {f} k{kh} s{stride}{}", if same { " same" } else { "" });
        self.kernel(&name, kernel, &[numel(first), numel(second), numel(out)], flops);
    }
    fn pool(&self, kind: &str, [n, h, w, c]: [usize; 4]) {
        let pool = Pool2d { window: [2; 2], strides: [2; 2], pads: [(0, 0); 2] };
        let (x, y) = ([n, h, w, c], [n, h / 2, w / 2, c]);
        let (kind_, operands, lens, out) = match kind {
            "max" => (PoolKind::Max, vec![(0, x)], vec![n * h * w * c, n * h * w * c / 4], y),
            "max_grad" => {
                (PoolKind::MaxGrad, vec![(0, x), (1, y)], vec![n * h * w * c, n * h * w * c / 4, n * h * w * c], x)
            }
            _ => (PoolKind::Avg, vec![(0, x)], vec![n * h * w * c, n * h * w * c / 4], y),
        };
        let read = ArgSpec { dtype: DType::F32, usage: Use::Read };
        let write = ArgSpec { dtype: DType::F32, usage: Use::Write };
        let mut args = vec![read; operands.len()];
        args.push(write);
        let core = Core::Pool2d { kind: kind_, pool, operands: operands.clone() };
        let block = plain(operands.len() as u16, &out, DType::F32);
        let kernel = Kernel { label: "pool".into(), shape: out.to_vec(), core, block, args, lean: false };
        self.kernel(&format!("pool {kind} {n}x{h}x{w}x{c}"), kernel, &lens, 0.0);
    }
    fn map(&self, name: &str, n: usize, inputs: u16, make: impl Fn(&mut Block) -> u16) {
        let shape = vec![n];
        let mut block = Block::default();
        for arg in 0..inputs {
            block.push(Inst::Load(access(arg, row_major(&shape))), DType::F32);
        }
        let out = make(&mut block);
        store(&mut block, out, inputs, &shape);
        let mut args = vec![ArgSpec { dtype: DType::F32, usage: Use::Read }; inputs as usize];
        args.push(ArgSpec { dtype: DType::F32, usage: Use::Write });
        let kernel = Kernel { label: name.into(), shape, core: Core::Map, block, args, lean: false };
        self.kernel(&format!("map {name} {n}"), kernel, &vec![n; inputs as usize + 1], n as f64);
    }
    /// A map over any shape: `make` fills the block, in which argument `n` has `lens[n]` elements and the last `written` are
    /// written.
    fn block(&self, name: &str, shape: &[usize], lens: &[usize], written: usize, make: impl Fn(&mut Block)) {
        let mut block = Block::default();
        make(&mut block);
        let usage = |n: usize| if n + written < lens.len() { Use::Read } else { Use::ReadWrite };
        let args = (0..lens.len()).map(|n| ArgSpec { dtype: DType::F32, usage: usage(n) }).collect();
        let kernel = Kernel { label: name.into(), shape: shape.to_vec(), core: Core::Map, block, args, lean: false };
        self.kernel(&format!("{name} {shape:?}"), kernel, lens, 0.0);
    }
    /// What training spends its elementwise time on.
    fn layers(&self) {
        use {Binary::*, Unary::*};
        let f = |b: &mut Block, x: f32| b.push(Inst::Const { word: x.to_bits() }, DType::F32);
        let load = |b: &mut Block, arg, index| b.push(Inst::Load(access(arg, index)), DType::F32);
        let un = |b: &mut Block, op, x| b.push(Inst::Unary(op, x), DType::F32);
        let bin = |b: &mut Block, op, x, y| b.push(Inst::Binary(op, x, y), DType::F32);
        // An LSTM cell that keeps its gates for the gradient.
        let (batch, units) = (64, 128);
        let (shape, n) = ([batch, units], batch * units);
        self.block("lstm cell", &shape, &[4 * n, 4 * n, n, n, n, n, n, n, n], 6, |b| {
            let gates: Vec<u16> = (0..4)
                .map(|gate| {
                    let index = Affine { offset: (gate * units) as i64, strides: vec![4 * units as i64, 1] };
                    let (x, z) = (load(b, 0, index.clone()), load(b, 1, index));
                    let sum = bin(b, Add, x, z);
                    un(b, if gate == 2 { Tanh } else { Sigmoid }, sum)
                })
                .collect();
            let c = load(b, 2, row_major(&shape));
            let (keep, new) = (bin(b, Mul, gates[1], c), bin(b, Mul, gates[0], gates[2]));
            let c = bin(b, Add, keep, new);
            let t = un(b, Tanh, c);
            let h = bin(b, Mul, gates[3], t);
            for (arg, reg) in [gates[0], gates[1], gates[2], gates[3], c, h].into_iter().enumerate() {
                store(b, reg, 3 + arg as u16, &shape);
            }
        });
        let shape = [32 * 28, 256];
        let n = 32 * 28 * 256;
        let gelu = |b: &mut Block| {
            let (x, half, one, scale) = (load(b, 0, row_major(&shape)), f(b, 0.5), f(b, 1.0), f(b, 0.707_106_77));
            let bias = load(b, 1, Affine { offset: 0, strides: vec![0, 1] });
            let x = bin(b, Add, x, bias);
            let z = bin(b, Mul, x, scale);
            let e = un(b, Erf, z);
            let sum = bin(b, Add, e, one);
            (x, bin(b, Mul, sum, half))
        };
        self.block("gelu", &shape, &[n, 256, n], 1, |b| {
            let (x, cdf) = gelu(b);
            let y = bin(b, Mul, x, cdf);
            store(b, y, 2, &shape);
        });
        self.block("gelu gradient", &shape, &[n, 256, n, n], 1, |b| {
            let (x, cdf) = gelu(b);
            let (dy, scale, factor) = (load(b, 2, row_major(&shape)), f(b, -0.5), f(b, 0.398_942_3));
            let square = un(b, Square, x);
            let z = bin(b, Mul, square, scale);
            let e = un(b, Exp, z);
            let density = bin(b, Mul, e, factor);
            let part = bin(b, Mul, x, density);
            let sum = bin(b, Add, cdf, part);
            let dx = bin(b, Mul, dy, sum);
            store(b, dx, 3, &shape);
        });
        for shape in [[3584, 28], [392, 256]] {
            let n = shape[0] * shape[1];
            self.block("softmax exponents", &shape, &[n, shape[0], n], 1, |b| {
                let x = load(b, 0, row_major(&shape));
                let max = load(b, 1, Affine { offset: 0, strides: vec![1, 0] });
                let z = bin(b, Sub, x, max);
                let e = un(b, Exp, z);
                store(b, e, 2, &shape);
            });
        }
        for n in [784 * 128, 784 * 512] {
            self.block("adam", &[n], &[n, 1, n, n, n], 3, |b| {
                let [g, m, v, w] = [0, 2, 3, 4].map(|arg| load(b, arg, row_major(&[n])));
                let step = load(b, 1, Affine::constant(0, 1));
                let [b1, b2, rate, tiny] = [0.1, 0.001, 0.001, 1e-7].map(|x| f(b, x));
                let [log1, log2] = [-0.105_360_52, -0.001_000_5].map(|x| f(b, x));
                let d = bin(b, Sub, g, m);
                let d = bin(b, Mul, d, b1);
                let m = bin(b, Add, m, d);
                let square = un(b, Square, g);
                let d = bin(b, Sub, square, v);
                let d = bin(b, Mul, d, b2);
                let v = bin(b, Add, v, d);
                let corrections = [log1, log2].map(|log| {
                    let power = bin(b, Mul, step, log);
                    let rest = un(b, Expm1, power);
                    un(b, Neg, rest)
                });
                let root = un(b, Sqrt, corrections[1]);
                let alpha = bin(b, Mul, rate, root);
                let alpha = bin(b, Div, alpha, corrections[0]);
                let top = bin(b, Mul, m, alpha);
                let root = un(b, Sqrt, v);
                let bottom = bin(b, Add, root, tiny);
                let change = bin(b, Div, top, bottom);
                let w = bin(b, Sub, w, change);
                for (arg, reg) in [(2, m), (3, v), (4, w)] {
                    store(b, reg, arg, &[n]);
                }
            });
        }
        let shape = [128, 512];
        let n = 128 * 512;
        self.block("dropout after bias and relu", &shape, &[n, 512, 4, n], 1, |b| {
            let x = load(b, 0, row_major(&shape));
            let bias = load(b, 1, Affine { offset: 0, strides: vec![0, 1] });
            let sum = bin(b, Add, x, bias);
            let y = un(b, Relu, sum);
            let key = [1, 2, 3, 4].map(|word| b.push(Inst::Const { word }, DType::U32));
            let sample = Affine { offset: 0, strides: vec![1, 0] };
            let element = Affine { offset: 0, strides: vec![0, 1] };
            let bits = b.push(Inst::Random { key, stream: 7, sample, element }, DType::U32);
            let eight = b.push(Inst::Const { word: 8 }, DType::U32);
            let bits = b.push(Inst::Binary(Shr, bits, eight), DType::U32);
            let uniform = b.push(Inst::Cast { from: bits, to: DType::F32 }, DType::F32);
            let [scale, rate, kept, zero] = [1.0 / 16_777_216.0, 0.2, 1.25, 0.0].map(|x| f(b, x));
            let uniform = bin(b, Mul, uniform, scale);
            let keep = b.push(Inst::Binary(Le, rate, uniform), DType::Bool);
            let y = bin(b, Mul, y, kept);
            let y = b.push(Inst::Select(keep, y, zero), DType::F32);
            store(b, y, 3, &shape);
        });
    }
    /// Sixteen additions and products in turn, over rows of this length: what an instruction costs.
    fn chain(&self, rows: usize, len: usize) {
        let shape = vec![rows, len];
        let mut block = Block::default();
        let mut value = block.push(Inst::Load(access(0, row_major(&shape))), DType::F32);
        let by = block.push(Inst::Load(access(1, Affine { offset: 0, strides: vec![0, 1] })), DType::F32);
        for n in 0..16 {
            let op = if n % 2 == 0 { Binary::Add } else { Binary::Mul };
            value = block.push(Inst::Binary(op, value, by), DType::F32);
        }
        store(&mut block, value, 2, &shape);
        let read = ArgSpec { dtype: DType::F32, usage: Use::Read };
        let args = vec![read, read, ArgSpec { dtype: DType::F32, usage: Use::Write }];
        let kernel = Kernel { label: "chain".into(), shape, core: Core::Map, block, args, lean: false };
        self.kernel(
            &format!("chain of 16, rows of {len}"),
            kernel,
            &[rows * len, len, rows * len],
            (16 * rows * len) as f64,
        );
    }
    fn reduce(&self, op: ReduceOp, space: &[usize], reduced: &[bool]) {
        let shape: Vec<usize> = space.iter().zip(reduced).filter(|(_, r)| !**r).map(|(n, _)| *n).collect();
        let mut load = Block::default();
        load.push(Inst::Load(access(0, row_major(space))), DType::F32);
        let out = if matches!(op, ReduceOp::ArgMax) { DType::I32 } else { DType::F32 };
        let kernel = Kernel {
            label: "reduce".into(),
            core: Core::Reduce { op, space: space.to_vec(), reduced: reduced.to_vec(), load },
            block: plain(1, &shape, out),
            args: vec![ArgSpec { dtype: DType::F32, usage: Use::Read }, ArgSpec { dtype: out, usage: Use::Write }],
            shape: shape.clone(),
            lean: false,
        };
        let n: usize = space.iter().product();
        self.kernel(&format!("reduce {op:?} {space:?} {reduced:?}"), kernel, &[n, shape.iter().product()], n as f64);
    }
    /// 28 steps of a product and a gate map, as in a recurrent layer.
    fn recurrent(&self) {
        if !"recurrent".contains(&self.filter) {
            return;
        }
        let (batch, units, steps) = (64, 128, 28);
        let read = ArgSpec { dtype: DType::F32, usage: Use::Read };
        let write = ArgSpec { dtype: DType::F32, usage: Use::Write };
        let shape = vec![batch, 4 * units];
        let mut block = Block::default();
        let acc = block.push(Inst::Acc, DType::F32);
        let x = block.push(Inst::Load(access(2, row_major(&shape))), DType::F32);
        let sum = block.push(Inst::Binary(Binary::Add, acc, x), DType::F32);
        store(&mut block, sum, 3, &shape);
        let view = |arg, cols: usize| MatrixView {
            arg,
            offset: 0,
            batch_strides: vec![],
            row_stride: cols as i64,
            col_stride: 1,
        };
        let core = Core::MatMul { k: units, a: view(0, units), b: view(1, 4 * units) };
        let product = Kernel {
            label: "z".into(),
            shape: shape.clone(),
            core,
            block,
            args: vec![read, read, read, write],
            lean: false,
        };
        let shape = vec![batch, units];
        let mut block = Block::default();
        let gates: Vec<u16> = (0..4)
            .map(|gate| {
                let index = Affine { offset: (gate * units) as i64, strides: vec![4 * units as i64, 1] };
                let z = block.push(Inst::Load(access(0, index)), DType::F32);
                block.push(Inst::Unary(if gate == 2 { Unary::Tanh } else { Unary::Sigmoid }, z), DType::F32)
            })
            .collect();
        let c = block.push(Inst::Load(access(1, row_major(&shape))), DType::F32);
        let keep = block.push(Inst::Binary(Binary::Mul, gates[1], c), DType::F32);
        let new = block.push(Inst::Binary(Binary::Mul, gates[0], gates[2]), DType::F32);
        let c = block.push(Inst::Binary(Binary::Add, keep, new), DType::F32);
        let t = block.push(Inst::Unary(Unary::Tanh, c), DType::F32);
        let h = block.push(Inst::Binary(Binary::Mul, gates[3], t), DType::F32);
        store(&mut block, c, 2, &shape);
        store(&mut block, h, 3, &shape);
        let gate = Kernel {
            label: "gates".into(),
            shape,
            core: Core::Map,
            block,
            args: vec![read, read, write, write],
            lean: false,
        };
        let scratch = self.cpu.scratch(&product);
        let arg = |buffer| Arg { buffer, offset: 0, rows: vec![] };
        let row = |buffer, stride: usize, start, modulo| Arg {
            buffer,
            offset: 0,
            rows: vec![Row { depth: 0, stride: stride as u64, start, down: false, modulo }],
        };
        let (state, all) = (batch * units, batch * 4 * units);
        let n = steps as u64;
        let body = vec![
            Step::Run {
                kernel: Arc::new(product),
                args: vec![row(0, state, 0, n + 1), arg(1), row(2, all, 0, n), arg(3)],
            },
            Step::Run {
                kernel: Arc::new(gate),
                args: vec![arg(3), row(4, state, 0, n + 1), row(4, state, 1, n + 1), row(0, state, 1, n + 1)],
            },
        ];
        let sizes = [(steps + 1) * state * 4, units * 4 * units * 4, steps * all * 4, all * 4, (steps + 1) * state * 4];
        let flops = (2 * steps * batch * units * 4 * units) as f64;
        self.steps(
            "recurrent 28 steps, batch 64, 128 units",
            vec![Step::Loop { trips: steps, body }],
            &sizes,
            scratch,
            flops,
            0.0,
        );
    }
}

fn main() {
    let bench = Bench { cpu: CpuExecutor::new().unwrap(), filter: std::env::args().nth(1).unwrap_or_default() };
    println!("{}", bench.cpu.name());
    for size in [
        (1024, 1024, 1024),
        (128, 512, 784),
        (128, 512, 512),
        (128, 10, 512),
        (64, 512, 128),
        (32, 128, 784),
        (32, 10, 128),
        (1, 128, 784),
    ] {
        bench.matmul(size, false, false, false);
    }
    bench.matmul((128, 512, 784), false, false, true);
    bench.matmul((32, 128, 784), false, false, true);
    for size in [
        (784, 512, 128),
        (512, 512, 128),
        (784, 128, 32),
        (512, 10, 128),
        (288, 64, 15488),
        (128, 512, 1792),
        (28, 512, 1792),
        (64, 256, 896),
        (256, 64, 896),
        (64, 64, 896),
    ] {
        bench.matmul(size, true, false, false);
    }
    for size in [(128, 512, 512), (128, 512, 10), (64, 128, 512), (32, 128, 10)] {
        bench.matmul(size, false, true, false);
    }
    for kind in ["forward", "input", "filter"] {
        bench.conv(kind, [128, 13, 13, 32], [3, 3, 64], 1, false);
        bench.conv(kind, [64, 28, 28, 32], [3, 3, 32], 1, true);
        bench.conv(kind, [64, 28, 28, 64], [3, 3, 64], 1, true);
        bench.conv(kind, [64, 14, 14, 64], [3, 3, 64], 1, true);
        bench.conv(kind, [64, 7, 7, 128], [3, 3, 128], 1, true);
        bench.conv(kind, [16, 14, 14, 256], [3, 3, 256], 1, true);
        bench.conv(kind, [64, 14, 14, 128], [3, 3, 128], 2, true);
        bench.conv(kind, [64, 28, 28, 64], [1, 1, 128], 1, false);
        bench.conv(kind, [64, 28, 28, 32], [1, 1, 32], 1, false);
    }
    bench.conv("forward", [128, 28, 28, 1], [3, 3, 32], 1, false);
    bench.conv("filter", [128, 28, 28, 1], [3, 3, 32], 1, false);
    for kind in ["max", "max_grad", "avg"] {
        bench.pool(kind, [128, 26, 26, 32]);
    }
    for n in [1 << 12, 1 << 16, 1 << 24] {
        bench.map("add", n, 2, |b| b.push(Inst::Binary(Binary::Add, 0, 1), DType::F32));
        bench.map("exp", n, 1, |b| b.push(Inst::Unary(Unary::Exp, 0), DType::F32));
        bench.map("a*b+c*tanh(a)", n, 3, |b| {
            let x = b.push(Inst::Binary(Binary::Mul, 0, 1), DType::F32);
            let t = b.push(Inst::Unary(Unary::Tanh, 0), DType::F32);
            let y = b.push(Inst::Binary(Binary::Mul, 2, t), DType::F32);
            b.push(Inst::Binary(Binary::Add, x, y), DType::F32)
        });
    }
    for len in [256, 512, 4096] {
        bench.chain(8192 / len, len);
    }
    bench.layers();
    for unary in Unary::ALL.into_iter().filter(|u| *u != Unary::Not && *u != Unary::IsFinite) {
        bench.map(&format!("unary {}", unary.name()), 1 << 12, 1, |b| b.push(Inst::Unary(unary, 0), DType::F32));
    }
    bench.reduce(ReduceOp::Sum, &[4096, 4096], &[false, true]);
    bench.reduce(ReduceOp::Sum, &[4096, 4096], &[true, false]);
    bench.reduce(ReduceOp::Sum, &[1 << 22], &[true]);
    bench.reduce(ReduceOp::Sum, &[128 * 169, 32], &[true, false]);
    bench.reduce(ReduceOp::Sum, &[128, 512], &[true, false]);
    bench.reduce(ReduceOp::Max, &[128, 10], &[false, true]);
    bench.reduce(ReduceOp::Sum, &[8192, 64], &[false, true]);
    bench.reduce(ReduceOp::ArgMax, &[128, 10], &[false, true]);
    bench.recurrent();
}
