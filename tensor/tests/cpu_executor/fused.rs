//! Instructions that share a loop, and results that take the place of operands.

use crate::setup::{Data, access, check, kernel, spec};
use addax_tensor::{
    DType,
    graph::{Binary, Unary},
    plan::{
        Core, Kernel, Use,
        expr::{Affine, Block, Inst, Store},
    },
};

/// A kernel over `[3, 300]` whose arguments are read element by element, or (where `single` says so) one element a row.
fn on_rows(single: &[bool], make: impl Fn(&mut Block) -> (u16, DType)) -> (Kernel, Vec<Data>) {
    let shape = [3, 300];
    let mut block = Block::default();
    for (arg, &single) in single.iter().enumerate() {
        let strides = if single { vec![1, 0] } else { vec![300, 1] };
        block.push(Inst::Load(access(arg as u16, Affine { offset: 0, strides })), DType::F32);
    }
    let (reg, dtype) = make(&mut block);
    block.stores.push(Store { reg, access: access(single.len() as u16, Affine::row_major(&shape)) });
    let mut args = vec![spec(DType::F32, Use::Read); single.len()];
    args.push(spec(dtype, Use::Write));
    let mut data: Vec<Data> = (0..single.len()).map(|n| Data::new(DType::F32, 900, n as u32)).collect();
    data.push(Data::zeros(dtype, 900));
    (kernel(Core::Map, &shape, block, args), data)
}

fn all_of<const N: usize>() -> impl Iterator<Item = [bool; N]> {
    (0..1_usize << N).map(|bits| std::array::from_fn(|i| bits >> i & 1 == 1))
}

/// Two instructions that become one loop are rounded as two.
#[test]
fn pairs_of_instructions() {
    for single in all_of::<3>() {
        for first in [Binary::Add, Binary::Sub, Binary::Mul] {
            for second in [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::Max] {
                for turned in [false, true] {
                    let (kernel, data) = on_rows(&single, |block| {
                        let x = block.push(Inst::Binary(first, 0, 1), DType::F32);
                        let (a, b) = if turned { (2, x) } else { (x, 2) };
                        (block.push(Inst::Binary(second, a, b), DType::F32), DType::F32)
                    });
                    check(&kernel, &data, &[], 0.0);
                }
            }
        }
    }
}

/// A square that is used once, a result that is used twice, one that is stored too, and a pair of pairs.
#[test]
fn pairs_where_results_are_used_otherwise() {
    for (stored, twice) in [(false, false), (false, true), (true, false)] {
        let (mut kernel, mut data) = on_rows(&[false, true], |block| {
            let square = block.push(Inst::Unary(Unary::Square, 0), DType::F32);
            let sum = block.push(Inst::Binary(Binary::Sub, 1, square), DType::F32);
            let scaled = block.push(Inst::Binary(Binary::Mul, sum, 1), DType::F32);
            let other = if twice { square } else { 0 };
            (block.push(Inst::Binary(Binary::Div, other, scaled), DType::F32), DType::F32)
        });
        if stored {
            kernel.block.stores.push(Store { reg: 2, access: access(3, Affine::row_major(&[3, 300])) });
            kernel.args.push(spec(DType::F32, Use::Write));
            data.push(Data::zeros(DType::F32, 900));
        }
        check(&kernel, &data, &[], 0.0);
    }
}

#[test]
fn choices_by_comparisons() {
    for single in all_of::<4>() {
        for compare in [Binary::Lt, Binary::Le, Binary::Eq] {
            let (kernel, data) = on_rows(&single, |block| {
                let condition = block.push(Inst::Binary(compare, 0, 1), DType::Bool);
                (block.push(Inst::Select(condition, 2, 3), DType::F32), DType::F32)
            });
            check(&kernel, &data, &[], 0.0);
        }
    }
}

/// An instruction of two floats, with the operands turned or not.
fn apply(block: &mut Block, op: Binary, turned: bool, x: u16, y: u16) -> u16 {
    let (a, b) = if turned { (y, x) } else { (x, y) };
    block.push(Inst::Binary(op, a, b), DType::F32)
}

const ARITHMETIC: [Binary; 4] = [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div];

/// Three instructions that become one loop are rounded as three.
#[test]
fn triples_of_instructions() {
    for single in [[false; 4], [false, true, false, true], [true, true, true, false], [false, false, true, false]] {
        for first in ARITHMETIC {
            for (second, third) in ARITHMETIC.iter().flat_map(|s| ARITHMETIC.map(|t| (*s, t))) {
                for [second_turned, third_turned] in all_of::<2>() {
                    let (kernel, data) = on_rows(&single, |block| {
                        let x = block.push(Inst::Binary(first, 0, 1), DType::F32);
                        let x = apply(block, second, second_turned, x, 2);
                        (apply(block, third, third_turned, x, 3), DType::F32)
                    });
                    check(&kernel, &data, &[], 0.0);
                }
            }
        }
    }
}

/// A function of one element before or after an instruction of two.
#[test]
fn functions_beside_arithmetic() {
    let exact = [Unary::Neg, Unary::Abs, Unary::Square, Unary::Relu, Unary::Sqrt];
    let close = [Unary::Rsqrt, Unary::Exp, Unary::Tanh, Unary::Sigmoid, Unary::Erf];
    for single in all_of::<2>() {
        for (function, tolerance) in exact.map(|f| (f, 0.0)).into_iter().chain(close.map(|f| (f, 5e-7))) {
            for op in ARITHMETIC {
                let (after, data) = on_rows(&single, |block| {
                    let x = block.push(Inst::Binary(op, 0, 1), DType::F32);
                    let x =
                        if function == Unary::Rsqrt { block.push(Inst::Unary(Unary::Abs, x), DType::F32) } else { x };
                    (block.push(Inst::Unary(function, x), DType::F32), DType::F32)
                });
                check(&after, &data, &[], tolerance);
                for turned in [false, true] {
                    let (before, data) = on_rows(&single, |block| {
                        let x = block.push(Inst::Unary(Unary::Abs, 0), DType::F32);
                        let x = block.push(Inst::Unary(function, x), DType::F32);
                        (apply(block, op, turned, x, 1), DType::F32)
                    });
                    check(&before, &data, &[], tolerance);
                }
            }
        }
    }
}

/// Random bits become numbers in one loop; other shifts and products stay what they are.
#[test]
fn bits_to_numbers() {
    for (shift, by, turned) in [(Binary::Shr, 8, false), (Binary::Shr, 8, true), (Binary::Shl, 3, false)] {
        for op in ARITHMETIC {
            let n = 1003;
            let mut block = Block::default();
            let bits = block.push(Inst::Load(access(0, Affine::row_major(&[n]))), DType::U32);
            let by = block.push(Inst::Const { word: by }, DType::U32);
            let shifted = block.push(Inst::Binary(shift, bits, by), DType::U32);
            let number = block.push(Inst::Cast { from: shifted, to: DType::F32 }, DType::F32);
            let scale = block.push(Inst::Const { word: (1.0_f32 / 16_777_216.0).to_bits() }, DType::F32);
            let reg = apply(&mut block, op, turned, number, scale);
            block.stores.push(Store { reg, access: access(1, Affine::row_major(&[n])) });
            let words = (0..n as u32).map(|i| i.wrapping_mul(0x9e37_79b9)).collect();
            let data = [Data { dtype: DType::U32, words }, Data::zeros(DType::F32, n)];
            let args = vec![spec(DType::U32, Use::Read), spec(DType::F32, Use::Write)];
            check(&kernel(Core::Map, &[n], block, args), &data, &[], 0.0);
        }
    }
}

/// Adam's update: three arguments changed in place, scalars, many pieces of work.
#[test]
fn many_arguments_in_place() {
    for n in [5, 1000, 300_000] {
        let mut block = Block::default();
        let line = || Affine::row_major(&[n]);
        let p = block.push(Inst::Load(access(0, line())), DType::F32);
        let m = block.push(Inst::Load(access(1, line())), DType::F32);
        let g = block.push(Inst::Load(access(2, line())), DType::F32);
        let rate = block.push(Inst::Scalar { slot: 1 }, DType::F32);
        let kept = block.push(Inst::Binary(Binary::Mul, m, rate), DType::F32);
        let new = block.push(Inst::Binary(Binary::Add, kept, g), DType::F32);
        let step = block.push(Inst::Binary(Binary::Mul, new, rate), DType::F32);
        let moved = block.push(Inst::Binary(Binary::Sub, p, step), DType::F32);
        for (reg, arg) in [(moved, 0), (new, 1), (m, 3)] {
            block.stores.push(Store { reg, access: access(arg, line()) });
        }
        let both = spec(DType::F32, Use::ReadWrite);
        let args = vec![both, both, spec(DType::F32, Use::Read), spec(DType::F16, Use::Write)];
        let data = [
            Data::new(DType::F32, n, 1),
            Data::new(DType::F32, n, 2),
            Data::new(DType::F32, n, 3),
            Data::zeros(DType::F16, n),
        ];
        check(&kernel(Core::Map, &[n], block, args), &data, &[9, 0.3_f32.to_bits()], 0.0);
    }
}

/// Results take the place of operands only where nobody needs those any more: `a, b = a + b, a - b` in either order.
#[test]
fn operands_in_place_are_kept_while_they_are_needed() {
    let shape = [4, 300];
    for (swapped, late) in [(false, false), (false, true), (true, false), (true, true)] {
        let line = || Affine::row_major(&shape);
        let mut block = Block::default();
        let a = block.push(Inst::Load(access(0, line())), DType::F32);
        let b = block.push(Inst::Load(access(1, line())), DType::F32);
        let sum = block.push(Inst::Binary(Binary::Max, a, b), DType::F32);
        // The same element again, by an instruction after the one that changes it.
        let again = if late { block.push(Inst::Load(access(0, line())), DType::F32) } else { a };
        let difference = block.push(Inst::Binary(Binary::Min, again, b), DType::F32);
        let regs = if swapped { [difference, sum] } else { [sum, difference] };
        for (arg, reg) in regs.into_iter().enumerate() {
            block.stores.push(Store { reg, access: access(arg as u16, line()) });
        }
        let args = vec![spec(DType::F32, Use::ReadWrite); 2];
        let data = [Data::new(DType::F32, 1200, 1), Data::new(DType::F32, 1200, 2)];
        check(&kernel(Core::Map, &shape, block, args), &data, &[], 0.0);
    }
}
