//! Inputs that a CPU reads where the host has them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_tensor::{
    Array, DType, Device, Program, Tensor,
    cpu::CpuExecutor,
    executor::{Bound, Buffer, Executor},
    plan::{
        Arg, ArgSpec, BufferSpec, Core, Kernel, Plan, Source, Step, Use,
        expr::{Access, Affine, Block, Inst, Store},
    },
};
use proptest::prelude::*;
use std::sync::Arc;

/// Sums of rows, and each element once more.
fn program(dtype: DType, rows: usize, width: usize) -> Program {
    let x = Tensor::placeholder(0, dtype, [rows, width]);
    let outputs = [x.cast(DType::F32).sum(-1), &x + &x];
    Program::capture(&Device::cpu().unwrap(), &[x], &outputs, &[], &[]).unwrap()
}

fn run(program: &Program, x: &Array) -> Vec<Array> {
    program.run(&[x]).unwrap().iter().map(|y| y.to_array().unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Slices, which may begin anywhere in memory, give what copies give, and are as they were.
    #[test]
    fn slices_are_read_like_copies(width in 1usize..7, rows in 1usize..5, skip in 0usize..5, bytes in any::<bool>()) {
        let dtype = if bytes { DType::U8 } else { DType::F32 };
        let all: Vec<u8> = (0..(skip + rows) * width).map(|i| (i % 100) as u8).collect();
        let whole = match bytes {
            true => Array::new([skip + rows, width], &all),
            false => Array::new([skip + rows, width], &all.iter().map(|&b| f32::from(b)).collect::<Vec<_>>()),
        };
        let part = whole.unwrap().slice_rows(skip..skip + rows).unwrap();
        let copy = Array::from_bytes(dtype, [rows, width], part.bytes().to_vec()).unwrap();
        let program = program(dtype, rows, width);
        prop_assert_eq!(run(&program, &part), run(&program, &copy));
        prop_assert_eq!(part, copy);
    }
}

/// A batch is written again and again: it is nobody else's once a step is done, so that writing copies nothing.
#[test]
fn what_was_lent_comes_back() {
    let program = program(DType::F32, 2, 2);
    let mut batch = Array::new([2, 2], &[1.0f32, 2.0, 3.0, 4.0]).unwrap();
    let place = batch.bytes().as_ptr();
    let first = run(&program, &batch);
    batch.bytes_mut()[..4].copy_from_slice(&5.0f32.to_ne_bytes());
    assert_eq!(batch.bytes().as_ptr(), place);
    assert_eq!(run(&program, &batch)[0].to_vec::<f32>().unwrap(), vec![7.0, 7.0]);
    assert_eq!(first[0].to_vec::<f32>().unwrap(), vec![3.0, 7.0]);
}

/// Nothing writes what is lent, whatever is asked.
#[test]
fn what_is_lent_is_read_only() {
    let cpu = CpuExecutor::with_threads(1).unwrap();
    let array = Array::new([4], &[1.0f32, 2.0, 3.0, 4.0]).unwrap();
    let lent = cpu.lend(&array).unwrap();
    let own = cpu.alloc(16).unwrap();
    let read = |buffer| pollster::block_on(cpu.read(buffer, 0..16)).unwrap();
    assert_eq!(read(&lent), array.bytes());
    cpu.copy(&lent, &own, 16).unwrap();
    assert_eq!(read(&own), array.bytes());
    let refused = "a buffer that is lent, or of another executor, was given to the CPU";
    assert_eq!(cpu.write(&lent, 0, &[0; 4]).unwrap_err().to_string(), refused);
    assert_eq!(cpu.copy(&own, &lent, 16).unwrap_err().to_string(), refused);

    // to[i] = from[i]
    let at = |arg| Access { arg, index: Affine { offset: 0, strides: vec![1] }, guards: Vec::new() };
    let block = Block {
        insts: vec![Inst::Load(at(0))],
        dtypes: vec![DType::F32],
        stores: vec![Store { access: at(1), reg: 0 }],
    };
    let arg = |usage| ArgSpec { dtype: DType::F32, usage };
    let args = vec![arg(Use::Read), arg(Use::Write)];
    let kernel = Kernel { label: "copy".into(), shape: vec![4], core: Core::Map, block, args, lean: false };
    let buffers = [Source::Input(0), Source::Output(0)].map(|source| BufferSpec { source, bytes: 16 }).to_vec();
    let args = [0, 1].map(|buffer| Arg { buffer, offset: 0, rows: Vec::new() }).to_vec();
    let plan = Plan { buffers, compute: vec![Step::Run { kernel: Arc::new(kernel), args }], ..Plan::default() };
    let code = pollster::block_on(cpu.compile(&plan)).unwrap();
    let bound = |buffer: &Buffer| Bound { buffer: buffer.clone(), offset: 0 };
    assert_eq!(cpu.run(&code, &[bound(&own), bound(&lent)], &[]).unwrap_err().to_string(), refused);
    cpu.run(&code, &[bound(&lent), bound(&own)], &[]).unwrap();
    assert_eq!(read(&own), array.bytes());
    // A slice that begins within a word is not lent.
    let bytes = Array::new([3, 3], &[7u8; 9]).unwrap();
    assert!(cpu.lend(&bytes.slice_rows(1..2).unwrap()).is_none());
}
