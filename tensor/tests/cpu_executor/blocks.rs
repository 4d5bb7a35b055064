//! Blocks: every instruction, over random spaces, strides, guards and types.

use crate::setup::{Data, access, check, kernel, spec};
use addax_tensor::{
    DType,
    graph::{Binary, Unary},
    plan::{
        ArgSpec, Core, Kernel, MatrixView, Use,
        expr::{Access, Affine, Block, Guard, Inst, Store},
    },
};
use proptest::prelude::*;

/// Small numbers that decide what a random block looks like.
struct Choices<'a>(std::iter::Cycle<std::slice::Iter<'a, u32>>, u32);

impl Choices<'_> {
    fn below(&mut self, n: usize) -> usize {
        self.1 = self.1.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (((*self.0.next().unwrap()).wrapping_add(self.1) >> 7) as usize) % n
    }
}

/// Instructions whose results are exact, so that they may meet any other.
const EXACT: [Unary; 12] = [
    Unary::Neg,
    Unary::Abs,
    Unary::Sign,
    Unary::Sqrt,
    Unary::Reciprocal,
    Unary::Square,
    Unary::Relu,
    Unary::Floor,
    Unary::Ceil,
    Unary::Round,
    Unary::Not,
    Unary::IsFinite,
];

/// A random access to a new argument, whose length is set so that it fits.
fn random_access(c: &mut Choices<'_>, shape: &[usize], dtype: DType, args: &mut Vec<(ArgSpec, usize)>) -> Access {
    let mut access = access(args.len() as u16, Affine::row_major(shape));
    let line = &mut access.index;
    match c.below(6) {
        0 | 1 => {}
        // Broadcast, flipped or spread axes, or axes in another order.
        2 => line.strides.iter_mut().for_each(|s| *s = if c.below(2) == 0 { 0 } else { *s }),
        3 => line.strides.iter_mut().for_each(|s| *s = if c.below(2) == 0 { -*s } else { *s }),
        4 => line.strides.iter_mut().for_each(|s| *s *= 1 + c.below(3) as i64),
        _ => {
            let turned: Vec<usize> = shape.iter().rev().copied().collect();
            line.strides = Affine::row_major(&turned).strides.into_iter().rev().collect();
        }
    }
    let mut inside = shape.to_vec();
    if c.below(4) == 0 {
        // A pad: the first positions and the last ones of an axis are outside.
        let axis = c.below(shape.len());
        let (before, after) = (c.below(shape[axis]), c.below(2));
        let len = shape[axis].saturating_sub(before + after);
        let mut index = Affine::constant(-(before as i64), shape.len());
        index.strides[axis] = 1;
        access.guards.push(Guard { index, len: len as i64 });
        access.index.offset -= access.index.strides[axis] * before as i64;
        inside[axis] = len;
    }
    // The argument begins where the smallest element is that a guard lets through.
    let mut line = access.index.clone();
    if let Some(guard) = access.guards.first() {
        line.offset -=
            (0..shape.len()).map(|a| line.strides[a] * guard.index.strides[a] * guard.index.offset).sum::<i64>();
    }
    let (low, high) = if inside.contains(&0) { (0, 0) } else { line.range(&inside) };
    access.index.offset -= low;
    let len = (high - low + 1) as usize + c.below(3);
    args.push((spec(dtype, Use::Read), len));
    access
}

fn random_kernel(shape: &[usize], choices: &[u32]) -> (Kernel, Vec<usize>) {
    let mut c = Choices(choices.iter().cycle(), 1);
    let mut args = Vec::new();
    let mut block = Block::default();
    let types = [DType::F32, DType::I32, DType::U32, DType::Bool];
    for _ in 0..1 + c.below(4) {
        let dtype = DType::ALL[c.below(7)];
        let access = random_access(&mut c, shape, dtype, &mut args);
        block.push(Inst::Load(access), dtype.compute());
    }
    for _ in 0..c.below(12) {
        let any = |c: &mut Choices<'_>, block: &Block| c.below(block.insts.len()) as u16;
        let alike = |c: &mut Choices<'_>, block: &Block, dtype: DType| {
            let same: Vec<u16> = (0..block.insts.len() as u16).filter(|&r| block.dtypes[r as usize] == dtype).collect();
            (!same.is_empty()).then(|| same[c.below(same.len())])
        };
        let a = any(&mut c, &block);
        let dtype = block.dtypes[a as usize];
        match c.below(10) {
            0 => {
                let dtype = types[c.below(4)];
                let word = if dtype == DType::Bool { c.below(2) as u32 } else { (c.below(9) as f32 - 4.0).to_bits() };
                block.push(Inst::Const { word }, dtype);
            }
            1 => {
                let dtype = types[c.below(3)];
                let mut index = Affine::row_major(shape);
                index.strides.iter_mut().for_each(|s| *s *= c.below(3) as i64 - 1);
                block.push(Inst::Index(index), dtype);
            }
            2 => {
                let access = random_access(&mut c, shape, DType::U8, &mut Vec::new());
                block.push(Inst::Within(access.guards), DType::Bool);
            }
            3 => {
                let key = [0, 1, 2, 3].map(|_| alike(&mut c, &block, DType::U32));
                if let [Some(low), Some(high), Some(step), Some(first)] = key {
                    let mut sample = Affine::constant(0, shape.len());
                    let mut element = Affine::row_major(shape);
                    sample.strides[0] = 1;
                    element.strides[0] = 0;
                    element.offset = c.below(5) as i64;
                    let key = [low, high, step, first];
                    let random = Inst::Random { key, stream: c.below(9) as u32, sample, element };
                    block.push(random, DType::U32);
                }
            }
            4 => {
                let op = EXACT[c.below(EXACT.len())];
                if op.accepts(dtype) {
                    block.push(Inst::Unary(op, a), if op == Unary::IsFinite { DType::Bool } else { dtype });
                }
            }
            5 => {
                if let Some(condition) = alike(&mut c, &block, DType::Bool)
                    && let Some(b) = alike(&mut c, &block, dtype)
                {
                    block.push(Inst::Select(condition, a, b), dtype);
                }
            }
            6 => {
                let to = DType::ALL[c.below(7)];
                block.push(Inst::Cast { from: a, to }, to.compute());
            }
            _ => {
                let op = Binary::ALL[c.below(Binary::ALL.len())];
                if let Some(b) = alike(&mut c, &block, dtype)
                    && op.accepts(dtype)
                    && op != Binary::Pow
                {
                    block.push(Inst::Binary(op, a, b), if op.is_comparison() { DType::Bool } else { dtype });
                }
            }
        }
    }
    for _ in 0..1 + c.below(3) {
        let reg = if c.below(2) == 0 { block.insts.len() - 1 } else { c.below(block.insts.len()) };
        let fits: Vec<DType> = DType::ALL.into_iter().filter(|d| d.compute() == block.dtypes[reg]).collect();
        let dtype = fits[c.below(fits.len())];
        let mut to = access(args.len() as u16, Affine::row_major(shape));
        if c.below(3) == 0 {
            let turned: Vec<usize> = shape.iter().rev().copied().collect();
            to.index.strides = Affine::row_major(&turned).strides.into_iter().rev().collect();
        } else if c.below(3) == 0 {
            to.index.strides.iter_mut().for_each(|s| *s = -*s);
            to.index.offset = shape.iter().product::<usize>() as i64 - 1;
        }
        args.push((spec(dtype, Use::Write), shape.iter().product()));
        block.stores.push(Store { reg: reg as u16, access: to });
    }
    let (specs, lens) = args.into_iter().unzip();
    (kernel(Core::Map, shape, block, specs), lens)
}

fn spaces() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        prop::collection::vec(1..6_usize, 1..5),
        prop::collection::vec(1..40_usize, 2),
        (1..4_usize, 120..300_usize).prop_map(|(a, b)| vec![a, b]),
        (1..3000_usize).prop_map(|a| vec![a]),
        (1..4_usize, 1..20_usize, 2..200_usize).prop_map(|(a, b, c)| vec![a, b, c]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn random_blocks_agree_exactly(shape in spaces(), choices in prop::collection::vec(any::<u32>(), 64)) {
        let (kernel, lens) = random_kernel(&shape, &choices);
        let data: Vec<Data> =
            kernel.args.iter().zip(lens).enumerate().map(|(i, (a, n))| Data::new(a.dtype, n, choices[0] ^ i as u32)).collect();
        check(&kernel, &data, &[], 0.0);
    }
}

fn unary_kernel(op: Unary, dtype: DType, n: usize) -> Kernel {
    let mut block = Block::default();
    block.push(Inst::Load(access(0, Affine::row_major(&[n]))), dtype);
    let out = if op == Unary::IsFinite { DType::Bool } else { dtype };
    let reg = block.push(Inst::Unary(op, 0), out);
    block.stores.push(Store { reg, access: access(1, Affine::row_major(&[n])) });
    kernel(Core::Map, &[n], block, vec![spec(dtype, Use::Read), spec(out, Use::Write)])
}

#[test]
fn every_function_of_one_element() {
    for op in Unary::ALL {
        for dtype in [DType::F32, DType::I32, DType::U32, DType::Bool].into_iter().filter(|d| op.accepts(*d)) {
            let n = 3001;
            let mut data = Data::new(dtype, n, 7);
            if dtype == DType::F32 {
                let scale = match op {
                    Unary::Erfinv => 0.499,
                    Unary::Sin | Unary::Cos => 50.0,
                    _ => 4.0,
                };
                data = Data::floats(data.words.iter().map(|w| f32::from_bits(*w) * scale));
                if matches!(op, Unary::Log | Unary::Sqrt | Unary::Rsqrt | Unary::Log1p) {
                    data = Data::floats(data.words.iter().map(|w| f32::from_bits(*w).abs() + 1e-6));
                }
            }
            let out = if op == Unary::IsFinite { DType::Bool } else { dtype };
            check(&unary_kernel(op, dtype, n), &[data, Data::zeros(out, n)], &[], 5e-7);
        }
    }
}

#[test]
fn every_function_of_two_elements_on_edges() {
    let floats = [0.0, -0.0, 1.0, -1.5, 2.0, 3.0e38, -1e-40, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    let ints = [0, 1, -1, 5, -7, i32::MIN, i32::MAX, 31, 32, 33];
    for op in Binary::ALL {
        for dtype in [DType::F32, DType::I32, DType::U32, DType::Bool].into_iter().filter(|d| op.accepts(*d)) {
            let values: Vec<u32> = match dtype {
                DType::F32 => floats.map(f32::to_bits).to_vec(),
                DType::Bool => vec![0, 1, 1, 0, 1, 0, 0, 1, 1, 0],
                _ => ints.map(|i| i as u32).to_vec(),
            };
            let shape = [10, 10];
            let out = if op.is_comparison() { DType::Bool } else { dtype };
            let mut block = Block::default();
            block.push(Inst::Load(access(0, Affine { offset: 0, strides: vec![1, 0] })), dtype);
            block.push(Inst::Load(access(0, Affine { offset: 0, strides: vec![0, 1] })), dtype);
            let reg = block.push(Inst::Binary(op, 0, 1), out);
            block.stores.push(Store { reg, access: access(1, Affine::row_major(&shape)) });
            let kernel = kernel(Core::Map, &shape, block, vec![spec(dtype, Use::Read), spec(out, Use::Write)]);
            check(&kernel, &[Data { dtype, words: values }, Data::zeros(out, 100)], &[], 2e-7);
        }
    }
}

#[test]
fn every_cast_on_edges() {
    for from in [DType::F32, DType::I32, DType::U32, DType::Bool] {
        for to in DType::ALL {
            let words: Vec<u32> = match from {
                DType::F32 => [
                    0.0,
                    0.5,
                    -0.5,
                    1.5,
                    255.0,
                    256.5,
                    -3.7,
                    65504.0,
                    65536.0,
                    3e9,
                    -3e9,
                    5e9,
                    f32::NAN,
                    f32::INFINITY,
                    1e-8,
                    1.0009766,
                ]
                .map(f32::to_bits)
                .to_vec(),
                DType::Bool => vec![0, 1],
                _ => [0, 1, -1, 255, 256, 257, i32::MIN, i32::MAX, 16_777_217, 2049, 65520].map(|i| i as u32).to_vec(),
            };
            let n = words.len();
            let mut block = Block::default();
            block.push(Inst::Load(access(0, Affine::row_major(&[n]))), from);
            let reg = block.push(Inst::Cast { from: 0, to }, to.compute());
            block.stores.push(Store { reg, access: access(1, Affine::row_major(&[n])) });
            let kernel = kernel(Core::Map, &[n], block, vec![spec(from, Use::Read), spec(to, Use::Write)]);
            check(&kernel, &[Data { dtype: from, words }, Data::zeros(to, n)], &[], 0.0);
        }
    }
}

/// What depends on the column only is computed once for tiles of many rows; a range may begin and end anywhere in a row.
#[test]
fn what_is_the_same_in_every_row() {
    for shape in [[1000, 7], [70, 33], [30_000, 3], [9, 255]] {
        let [rows, cols] = shape;
        let column = Affine { offset: 0, strides: vec![0, 1] };
        let mut block = Block::default();
        let x = block.push(Inst::Load(access(0, Affine::row_major(&shape))), DType::F32);
        let per_column = block.push(Inst::Load(access(1, column.clone())), DType::F32);
        let root = block.push(Inst::Unary(Unary::Square, per_column), DType::F32);
        let at = block.push(Inst::Index(column.clone()), DType::F32);
        let factor = block.push(Inst::Binary(Binary::Add, root, at), DType::F32);
        let y = block.push(Inst::Binary(Binary::Mul, x, factor), DType::F32);
        // Loaded after and used with what is shared, in place, and stored itself by the second store.
        let both = block.push(Inst::Binary(Binary::Max, y, factor), DType::F32);
        block.stores.push(Store { reg: both, access: access(2, Affine::row_major(&shape)) });
        block.stores.push(Store { reg: y, access: access(0, Affine::row_major(&shape)) });
        let args = vec![spec(DType::F32, Use::ReadWrite), spec(DType::F32, Use::Read), spec(DType::F32, Use::Write)];
        let data = [
            Data::new(DType::F32, rows * cols, 1),
            Data::new(DType::F32, cols, 2),
            Data::zeros(DType::F32, rows * cols),
        ];
        check(&kernel(Core::Map, &shape, block.clone(), args.clone()), &data, &[], 1e-6);
        // Behind a product, blocks of columns begin inside of rows.
        let view =
            |arg: u16, row: i64| MatrixView { arg, offset: 0, batch_strides: vec![], row_stride: row, col_stride: 1 };
        let mut behind = block;
        behind.insts[0] = Inst::Acc;
        behind.stores.truncate(1);
        let core = Core::MatMul { k: 3, a: view(3, 3), b: view(4, cols as i64) };
        let args = [args, vec![spec(DType::F32, Use::Read), spec(DType::F32, Use::Read)]].concat();
        let data = [&data[..], &[Data::new(DType::F32, rows * 3, 3), Data::new(DType::F32, 3 * cols, 4)]].concat();
        check(&kernel(core, &shape, behind, args), &data, &[], 1e-5);
    }
}
