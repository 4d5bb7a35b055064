//! Plans: loops, rows, commits, and what is refused.

use crate::setup::{Data, access, executors, kernel, plain, ready, run_plan, spec};
use addax_tensor::{
    DType,
    cpu::CpuExecutor,
    executor::Executor,
    graph::{Binary, ReduceOp},
    plan::{
        Arg, BufferSpec, Core, Kernel, Plan, Row, Source, Step, Use,
        expr::{Access, Affine, Block, Guard, Inst, Store},
    },
};
use std::sync::Arc;

fn words(bytes: &[u8]) -> Vec<i32> {
    Data::decode(DType::I32, bytes).words.into_iter().map(|w| w as i32).collect()
}

fn ints(values: impl IntoIterator<Item = i32>) -> Vec<u8> {
    Data { dtype: DType::I32, words: values.into_iter().map(|v| v as u32).collect() }.encode()
}

/// `argument 2 = argument 0 + argument 1`.
fn add(n: usize) -> Kernel {
    let line = || Affine::row_major(&[n]);
    let mut block = Block::default();
    block.push(Inst::Load(access(0, line())), DType::I32);
    block.push(Inst::Load(access(1, line())), DType::I32);
    let reg = block.push(Inst::Binary(Binary::Add, 0, 1), DType::I32);
    block.stores.push(Store { reg, access: access(2, line()) });
    let read = spec(DType::I32, Use::Read);
    kernel(Core::Map, &[n], block, vec![read, read, spec(DType::I32, Use::Write)])
}

fn arg(buffer: usize) -> Arg {
    Arg { buffer, offset: 0, rows: vec![] }
}

fn row(depth: u8, stride: u64, start: u64, down: bool, modulo: u64) -> Row {
    Row { depth, stride, start, down, modulo }
}

#[test]
fn loops_choose_rows_up_and_down() {
    let (steps, n) = (5_u64, 3_usize);
    // out[t] = out[t - 1] + x[steps - 1 - t], with out[0] given; then all of it again in a commit that sums the last row twice.
    let step = Step::Run {
        kernel: Arc::new(add(n)),
        args: vec![
            Arg { buffer: 0, offset: 0, rows: vec![row(0, 3, 0, false, steps + 1)] },
            Arg { buffer: 1, offset: 0, rows: vec![row(0, 3, steps - 1, true, steps)] },
            Arg { buffer: 0, offset: 0, rows: vec![row(0, 3, 1, false, steps + 1)] },
        ],
    };
    let last = Arg { buffer: 0, offset: 3 * steps, rows: vec![] };
    let commit = Step::Run { kernel: Arc::new(add(n)), args: vec![last.clone(), last, arg(2)] };
    let plan = Plan {
        compute: vec![Step::Loop { trips: steps as usize, body: vec![step] }],
        commit: vec![commit],
        ..Plan::default()
    };
    for cpu in executors() {
        let out = ints((0..3).chain(std::iter::repeat_n(0, 15)));
        let after = run_plan(cpu, plan.clone(), &[out, ints(0..15), ints([0; 3])], &[]);
        let out = words(&after[0]);
        let mut expected = vec![0, 1, 2];
        for t in 0..5 {
            for i in 0..3 {
                expected.push(expected[t * 3 + i] + ((4 - t) * 3 + i) as i32);
            }
        }
        assert_eq!(out, expected);
        assert_eq!(words(&after[2]), expected[15..].iter().map(|x| 2 * x).collect::<Vec<_>>());
    }
}

#[test]
fn nested_loops_and_modulo() {
    // total[(a + b) % 2] += x[a][b] for a in 0..3, b in 0..4.
    let both = |start| vec![row(0, 1, start, false, 2), row(1, 1, 0, false, 2)];
    let mut line = add(1);
    line.args[0].usage = Use::ReadWrite;
    line.args.truncate(2);
    line.block.stores[0].access.arg = 0;
    let step = Step::Run {
        kernel: Arc::new(line),
        args: vec![
            Arg { buffer: 0, offset: 0, rows: both(0) },
            Arg { buffer: 1, offset: 0, rows: vec![row(0, 4, 0, false, 3), row(1, 1, 0, false, 4)] },
        ],
    };
    let body = vec![Step::Loop { trips: 4, body: vec![step] }];
    let plan = Plan { compute: vec![Step::Loop { trips: 3, body }], ..Plan::default() };
    let mut expected = [0; 3];
    for a in 0..3 {
        for b in 0..4 {
            expected[a % 2 + b % 2] += (a * 4 + b) as i32;
        }
    }
    for cpu in executors() {
        let after = run_plan(cpu, plan.clone(), &[ints([0; 3]), ints(0..12)], &[]);
        assert_eq!(words(&after[0]), expected);
    }
}

/// The error of compiling one kernel on buffers of these many bytes.
fn refusal(kernel: Kernel, bytes: &[u64]) -> String {
    let args = (0..bytes.len()).map(arg).collect();
    let buffers = bytes.iter().enumerate().map(|(n, &bytes)| BufferSpec { source: Source::Input(n), bytes }).collect();
    let plan = Plan { buffers, compute: vec![Step::Run { kernel: Arc::new(kernel), args }], ..Plan::default() };
    match ready(executors()[0].compile(&plan)) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn accesses_outside_of_buffers_are_refused() {
    assert_eq!(refusal(add(8), &[32, 32, 32]), "");
    assert_eq!(refusal(add(8), &[32, 28, 32]), "kernel \"test\": argument 1: elements 0..=7 are used, but it has 7");
    assert!(refusal(add(8), &[32, 32, 31]).contains("argument 2"));
    let mut shifted = add(8);
    if let Inst::Load(access) = &mut shifted.block.insts[0] {
        access.index.offset = -1;
    }
    assert!(refusal(shifted, &[32, 32, 32]).contains("elements -1..=6"));
    let mut late = add(8);
    late.block.insts[2] = Inst::Binary(Binary::Add, 0, 2);
    assert!(refusal(late, &[32, 32, 32]).contains("uses a later result"));
    let mut typed = add(8);
    typed.block.dtypes[2] = DType::F32;
    assert!(refusal(typed, &[32, 32, 32]).contains("instruction 2"));
    let mut only_read = add(8);
    only_read.args[2].usage = Use::Read;
    assert!(refusal(only_read, &[32, 32, 32]).contains("declared as read only"));
}

#[test]
fn guards_keep_accesses_inside() {
    // A pad of one in front: element i - 1 where that is inside.
    let mut padded = add(8);
    let guard = Guard { index: Affine { offset: -1, strides: vec![1] }, len: 7 };
    padded.block.insts[0] =
        Inst::Load(Access { arg: 0, index: Affine { offset: -1, strides: vec![1] }, guards: vec![guard] });
    assert_eq!(refusal(padded.clone(), &[28, 32, 32]), "");
    // A guard that is no help is replaced by the argument's own bounds: nothing foreign is read.
    let guard = Guard { index: Affine { offset: 0, strides: vec![1] }, len: 100 };
    padded.block.insts[0] =
        Inst::Load(Access { arg: 0, index: Affine { offset: -1, strides: vec![1] }, guards: vec![guard] });
    let step = Step::Run { kernel: Arc::new(padded), args: vec![arg(0), arg(1), arg(2)] };
    let plan = Plan { compute: vec![step], ..Plan::default() };
    let after = run_plan(&executors()[0], plan, &[ints(1..6), ints([0; 8]), ints([9; 8])], &[]);
    assert_eq!(words(&after[2]), [0, 1, 2, 3, 4, 5, 0, 0]);
}

#[test]
fn missing_scratch_is_refused() {
    let space = vec![100_000];
    let mut load = Block::default();
    load.push(Inst::Load(access(0, Affine::row_major(&space))), DType::F32);
    let core = Core::Reduce { op: ReduceOp::Sum, space, reduced: vec![true], load };
    let sum =
        kernel(core, &[], plain(1, &[], DType::F32), vec![spec(DType::F32, Use::Read), spec(DType::F32, Use::Write)]);
    assert!(executors()[0].scratch(&sum) > 0);
    assert!(refusal(sum, &[400_000, 4]).contains("bytes of scratch"));
}

#[test]
fn writes_of_any_length_arrive_whole() {
    for threads in [1, 2, 5] {
        let cpu = CpuExecutor::with_threads(threads).unwrap();
        for len in [0, 1, 63, 65_535, 65_536, 131_073, 400_001] {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 7 + i / 256) as u8).collect();
            let buffer = cpu.alloc(len as u64 + 9).unwrap();
            cpu.write(&buffer, 5, &bytes).unwrap();
            let all = ready(cpu.read(&buffer, 0..len as u64 + 9)).unwrap();
            assert_eq!(all[5..5 + len], bytes, "{len} bytes, {threads} threads");
            assert_eq!((&all[..5], &all[5 + len..]), (&[0; 5][..], &[0; 4][..]));
        }
    }
}
