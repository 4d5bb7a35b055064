//! Running a compiled plan takes no memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_tensor::{
    DType, Shape,
    cpu::CpuExecutor,
    executor::{Bound, Executor},
    graph::{Conv2d, ConvKind, Pool2d, PoolKind, ReduceOp},
    plan::{
        Arg, ArgSpec, BufferSpec, Core, Kernel, MatrixView, Plan, Source, Step, Use,
        expr::{Access, Affine, Block, Inst, Store},
    },
};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the CPU never waits"),
    }
}

/// A kernel of two or three arguments of floats, the last of which takes the core's result.
fn kernel(core: Core, shape: &[usize], operands: u16) -> Kernel {
    let mut block = Block::default();
    block.push(Inst::Acc, DType::F32);
    let index = Affine::row_major(shape);
    block.stores.push(Store { reg: 0, access: Access { arg: operands, index, guards: Vec::new() } });
    let mut args = vec![ArgSpec { dtype: DType::F32, usage: Use::Read }; operands as usize];
    args.push(ArgSpec { dtype: DType::F32, usage: Use::Write });
    Kernel { label: "counted".into(), shape: shape.to_vec(), core, block, args, lean: false }
}

#[test]
fn running_takes_no_memory() {
    let view = |arg, cols: i64| MatrixView { arg, offset: 0, batch_strides: vec![], row_stride: cols, col_stride: 1 };
    let space = vec![3000, 64];
    let mut load = Block::default();
    load.push(Inst::Load(Access { arg: 0, index: Affine::row_major(&space), guards: Vec::new() }), DType::F32);
    let conv = Conv2d { strides: [1, 1], pads: [(1, 1); 2], dilation: [1, 1], groups: 1 };
    let (x, w) = ([16, 28, 28, 16], [3, 3, 16, 32]);
    let y = [16, 28, 28, 32];
    let pool = Pool2d { window: [2; 2], strides: [2; 2], pads: [(0, 0); 2] };
    let shape = |s: [usize; 4]| Shape::from(s.to_vec());
    let kernels = vec![
        kernel(Core::MatMul { k: 256, a: view(0, 256), b: view(1, 512) }, &[512, 512], 2),
        kernel(Core::MatMul { k: 4096, a: view(0, 4096), b: view(1, 40) }, &[30, 40], 2),
        kernel(Core::Reduce { op: ReduceOp::Sum, space, reduced: vec![true, false], load }, &[64], 1),
        kernel(Core::Conv2d { kind: ConvKind::Forward, conv, operands: [(0, x), (1, w)] }, &y, 2),
        kernel(Core::Conv2d { kind: ConvKind::InputGrad(shape(x)), conv, operands: [(0, y), (1, w)] }, &x, 2),
        kernel(Core::Conv2d { kind: ConvKind::FilterGrad(shape(w)), conv, operands: [(0, x), (1, y)] }, &w, 2),
        kernel(Core::Pool2d { kind: PoolKind::MaxGrad, pool, operands: vec![(0, x), (1, [16, 14, 14, 16])] }, &x, 2),
    ];
    let cpu = CpuExecutor::with_threads(3).unwrap();
    let scratch = kernels.iter().map(|k| cpu.scratch(k)).max().unwrap();
    let mut buffers: Vec<BufferSpec> =
        (0..3).map(|n| BufferSpec { source: Source::Output(n), bytes: 4 << 20 }).collect();
    buffers.push(BufferSpec { source: Source::Scratch, bytes: scratch });
    let steps = kernels.into_iter().map(|kernel| {
        let args = (0..kernel.args.len()).map(|buffer| Arg { buffer, offset: 0, rows: vec![] }).collect();
        Step::Run { kernel: Arc::new(kernel), args }
    });
    let plan =
        Plan { compute: vec![Step::Loop { trips: 3, body: steps.collect() }], buffers, scratch, ..Plan::default() };
    let bound: Vec<Bound> =
        plan.buffers.iter().map(|b| Bound { buffer: cpu.alloc(b.bytes).unwrap(), offset: 0 }).collect();
    let code = ready(cpu.compile(&plan)).unwrap();
    cpu.run(&code, &bound, &[]).unwrap();
    let before = COUNT.load(Ordering::Relaxed);
    for _ in 0..5 {
        cpu.run(&code, &bound, &[]).unwrap();
    }
    assert_eq!(COUNT.load(Ordering::Relaxed), before);
}
