//! Running one kernel on the executor, and comparing it with the plain loops.

use crate::naive;
use addax_tensor::{
    DType,
    cpu::CpuExecutor,
    executor::{Bound, Executor},
    plan::{
        Arg, ArgSpec, BufferSpec, Core, Kernel, Plan, Source, Step, Use,
        expr::{Access, Affine, Block, Inst, Store},
    },
};
use half::{bf16, f16};
use std::{
    future::Future,
    pin::pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, Waker},
};

pub fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the CPU never waits"),
    }
}

/// Executors with one, two and three threads.
pub fn executors() -> &'static [CpuExecutor] {
    static ALL: OnceLock<Vec<CpuExecutor>> = OnceLock::new();
    ALL.get_or_init(|| (1..=3).map(|n| CpuExecutor::with_threads(n).unwrap()).collect())
}

/// A typed array: elements as their compute words.
#[derive(Clone, Debug)]
pub struct Data {
    pub dtype: DType,
    pub words: Vec<u32>,
}

impl Data {
    pub fn zeros(dtype: DType, len: usize) -> Data {
        Data { dtype, words: vec![0; len] }
    }
    /// Values of every sort that the type holds, from any numbers.
    pub fn new(dtype: DType, len: usize, seed: u32) -> Data {
        let words = (0..len as u32).map(|i| {
            let r = i
                .wrapping_mul(2_654_435_761)
                .wrapping_add(seed.wrapping_mul(40_503))
                .rotate_left(13)
                .wrapping_mul(2_246_822_519);
            let small = (r >> 8) as f32 / 16_777_216.0 * 4.0 - 2.0;
            match dtype {
                DType::F32 | DType::F16 | DType::BF16 => small.to_bits(),
                DType::I32 => ((r >> 20) as i32 - 2048) as u32,
                DType::U32 => r >> 20,
                DType::U8 => r >> 24,
                DType::Bool => r >> 31,
            }
        });
        let mut data = Data { dtype, words: words.collect() };
        // As it can be stored.
        data = Data::decode(dtype, &data.encode());
        data
    }
    pub fn floats(values: impl IntoIterator<Item = f32>) -> Data {
        Data { dtype: DType::F32, words: values.into_iter().map(f32::to_bits).collect() }
    }
    pub fn encode(&self) -> Vec<u8> {
        let float = |w: &u32| f32::from_bits(*w);
        match self.dtype {
            DType::F32 | DType::I32 | DType::U32 => self.words.iter().flat_map(|w| w.to_ne_bytes()).collect(),
            DType::F16 => self.words.iter().flat_map(|w| f16::from_f32(float(w)).to_bits().to_ne_bytes()).collect(),
            DType::BF16 => self.words.iter().flat_map(|w| bf16::from_f32(float(w)).to_bits().to_ne_bytes()).collect(),
            DType::U8 | DType::Bool => self.words.iter().map(|w| *w as u8).collect(),
        }
    }
    pub fn decode(dtype: DType, bytes: &[u8]) -> Data {
        let half = |c: &[u8]| u16::from_ne_bytes([c[0], c[1]]);
        let words = match dtype {
            DType::F32 | DType::I32 | DType::U32 => {
                bytes.chunks(4).map(|c| u32::from_ne_bytes([c[0], c[1], c[2], c[3]])).collect()
            }
            DType::F16 => bytes.chunks(2).map(|c| f16::from_bits(half(c)).to_f32().to_bits()).collect(),
            DType::BF16 => bytes.chunks(2).map(|c| bf16::from_bits(half(c)).to_f32().to_bits()).collect(),
            DType::U8 | DType::Bool => bytes.iter().map(|b| u32::from(*b)).collect(),
        };
        Data { dtype, words }
    }
}

pub fn access(arg: u16, index: Affine) -> Access {
    Access { arg, index, guards: Vec::new() }
}

/// A block that stores the core's result, row by row, to this argument.
pub fn plain(arg: u16, shape: &[usize], dtype: DType) -> Block {
    let mut block = Block::default();
    let reg = block.push(Inst::Acc, dtype);
    block.stores.push(Store { reg, access: access(arg, Affine::row_major(shape)) });
    block
}

pub fn spec(dtype: DType, usage: Use) -> ArgSpec {
    ArgSpec { dtype, usage }
}

pub fn kernel(core: Core, shape: &[usize], block: Block, args: Vec<ArgSpec>) -> Kernel {
    Kernel { label: "test".into(), shape: shape.to_vec(), core, block, args, lean: false }
}

/// Runs a plan on new memory with these contents; gives the contents after.
pub fn run_plan(cpu: &CpuExecutor, mut plan: Plan, contents: &[Vec<u8>], scalars: &[u32]) -> Vec<Vec<u8>> {
    fn scratch(cpu: &CpuExecutor, steps: &[Step]) -> u64 {
        let of = |step: &Step| match step {
            Step::Run { kernel, .. } => cpu.scratch(kernel),
            Step::Loop { body, .. } => scratch(cpu, body),
        };
        steps.iter().map(of).max().unwrap_or(0)
    }
    let bytes = scratch(cpu, &plan.compute).max(scratch(cpu, &plan.commit));
    plan.scratch = bytes;
    plan.buffers = contents
        .iter()
        .enumerate()
        .map(|(n, c)| BufferSpec { source: Source::State(n), bytes: c.len() as u64 })
        .chain([BufferSpec { source: Source::Scratch, bytes }])
        .collect();
    let bound: Vec<Bound> = plan
        .buffers
        .iter()
        .map(|b| {
            let buffer = cpu.alloc(b.bytes).unwrap();
            // Whatever is left in scratch must not matter.
            cpu.write(&buffer, 0, &vec![0xff; b.bytes as usize]).unwrap();
            Bound { buffer, offset: 0 }
        })
        .collect();
    for (bound, content) in bound.iter().zip(contents) {
        cpu.write(&bound.buffer, 0, content).unwrap();
    }
    let code = ready(cpu.compile(&plan)).unwrap();
    cpu.run(&code, &bound, scalars).unwrap();
    let lens = contents.iter().map(|c| c.len() as u64);
    bound.iter().zip(lens).map(|(b, len)| ready(cpu.read(&b.buffer, 0..len)).unwrap()).collect()
}

/// Runs a kernel with one, two and three threads, which must agree to the bit; gives the arguments after.
pub fn run(kernel: &Kernel, args: &[Data], scalars: &[u32]) -> Vec<Data> {
    let contents: Vec<Vec<u8>> = args.iter().map(Data::encode).collect();
    let bindings = (0..args.len()).map(|buffer| Arg { buffer, offset: 0, rows: vec![] }).collect();
    let step = Step::Run { kernel: Arc::new(kernel.clone()), args: bindings };
    let plan = Plan { compute: vec![step], scalars: vec![DType::U32; scalars.len()], ..Plan::default() };
    let results: Vec<_> = executors().iter().map(|cpu| run_plan(cpu, plan.clone(), &contents, scalars)).collect();
    assert!(results.iter().all(|r| *r == results[0]), "the number of threads changes the bits");
    results[0].iter().zip(args).map(|(bytes, arg)| Data::decode(arg.dtype, bytes)).collect()
}

/// Runs a kernel and compares every argument with the plain loops: floats within `tolerance` of the result's size, of its
/// terms' sizes, or of 1; everything else exactly.
pub fn check(kernel: &Kernel, args: &[Data], scalars: &[u32], tolerance: f64) {
    let got = run(kernel, args, scalars);
    let want = naive::run(kernel, args, scalars);
    for (number, (got, (want, sizes))) in got.iter().zip(&want).enumerate() {
        for (at, (&g, &w)) in got.words.iter().zip(&want.words).enumerate() {
            let same = if got.dtype.is_float() {
                let (g, w) = (f64::from(f32::from_bits(g)), f64::from(f32::from_bits(w)));
                g == w || (g.is_nan() && w.is_nan()) || (g - w).abs() <= tolerance * w.abs().max(sizes[at]).max(1.0)
            } else {
                g == w
            };
            let show = |w: u32| if got.dtype.is_float() { f64::from(f32::from_bits(w)) } else { f64::from(w) };
            assert!(same, "argument {number}, element {at}: got {}, expected {}\n{kernel:#?}", show(g), show(w));
        }
    }
}
