//! Neighbouring instructions of a block that become one loop: a value that is used once is computed where it is used.
//!
//! An instruction on a tile costs more than its arithmetic, for its operands and its result go through memory. Two or three in
//! one loop share that. The arithmetic stays that of the single instructions, each of them rounded.

use super::{
    element::{self, Outer},
    lanes::{Loop, OPERANDS},
    program::{Kind, Op, Place},
};
use crate::{
    dtype::DType,
    graph::{Binary, Unary},
};

/// Fuses what can be fused; `stores` name instructions and are renumbered with them. The last instruction stays the last.
pub(super) fn fuse(ops: &mut Vec<Op>, stores: &mut [(usize, Place)]) {
    let mut uses = vec![0; ops.len()];
    for op in ops.iter() {
        op.kind.operands().for_each(|r| uses[r] += 1);
    }
    stores.iter().for_each(|(reg, _)| uses[*reg] += 1);
    if let Some(last) = uses.last_mut() {
        *last += 1;
    }
    let mut absorbed = vec![false; ops.len()];
    for at in 0..ops.len() {
        let patterns = [choice, uniform, triple, pair, over, after];
        if let Some((kind, gone)) = patterns.iter().find_map(|found| found(ops, &uses, at)) {
            ops[at].kind = kind;
            gone.into_iter().for_each(|gone| absorbed[gone] = true);
        }
    }
    let mut numbers = Vec::with_capacity(ops.len());
    let mut kept = 0;
    for gone in &absorbed {
        numbers.push(kept);
        kept += usize::from(!gone);
    }
    let mut gone = absorbed.iter();
    ops.retain(|_| gone.next() == Some(&false));
    ops.iter_mut().for_each(|op| op.kind.operands_mut().for_each(|r| *r = numbers[*r]));
    stores.iter_mut().for_each(|(reg, _)| *reg = numbers[*reg]);
}

/// Whether an instruction may vanish into its only user.
fn lone<'a>(ops: &'a [Op], uses: &[usize], at: usize) -> Option<&'a Op> {
    ops.get(at).filter(|op| uses[at] == 1 && !op.constant)
}

/// What an instruction becomes, and the producers that vanish into it.
type Found = (Kind, Vec<usize>);

fn fused(run: Loop, of: &[usize], long: bool, gone: Vec<usize>) -> Option<Found> {
    let mut operands = [0; OPERANDS];
    operands.get_mut(..of.len())?.copy_from_slice(of);
    Some((Kind::Fused { run, operands, count: of.len(), long }, gone))
}

/// An instruction of two floats with either operand first: the producer of the one, the other, and how it uses them.
fn outer(ops: &[Op], at: usize) -> Option<[(usize, usize, Outer); 2]> {
    let Op { kind: Kind::Binary(op, [x, y]), from: DType::F32, constant: false, .. } = ops[at] else { return None };
    Some([(x, y, Outer { op, turned: false }), (y, x, Outer { op, turned: true })])
}

/// `second(first(a, b), c)` of floats.
fn pair(ops: &[Op], uses: &[usize], at: usize) -> Option<Found> {
    outer(ops, at)?.into_iter().find_map(|(producer, c, second)| {
        let (first, a, b) = match lone(ops, uses, producer)? {
            Op { kind: Kind::Binary(first, [a, b]), from: DType::F32, .. } => (*first, *a, *b),
            Op { kind: Kind::Unary(Unary::Square, a), from: DType::F32, .. } => (Binary::Mul, *a, *a),
            _ => return None,
        };
        element::pair(first, second)?;
        Some((Kind::Pair { first, second, operands: [a, b, c] }, vec![producer]))
    })
}

/// `third(second(first(a, b), c), d)` of floats.
fn triple(ops: &[Op], uses: &[usize], at: usize) -> Option<Found> {
    outer(ops, at)?.into_iter().find_map(|(producer, d, third)| match lone(ops, uses, producer)?.kind {
        Kind::Pair { first, second, operands: [a, b, c] } => {
            fused(element::triple(first, second, third)?, &[a, b, c, d], false, vec![producer])
        }
        _ => None,
    })
}

/// `second(first(a), b)` of floats.
fn over(ops: &[Op], uses: &[usize], at: usize) -> Option<Found> {
    outer(ops, at)?.into_iter().find_map(|(producer, b, second)| match lone(ops, uses, producer)? {
        Op { kind: Kind::Unary(first, a), from: DType::F32, .. } => {
            fused(element::over(*first, second)?, &[*a, b], false, vec![producer])
        }
        _ => None,
    })
}

/// `second(first(a, b))` of floats.
fn after(ops: &[Op], uses: &[usize], at: usize) -> Option<Found> {
    let Op { kind: Kind::Unary(second, x), from: DType::F32, constant: false, .. } = ops[at] else { return None };
    match lone(ops, uses, x)? {
        Op { kind: Kind::Binary(first, operands), from: DType::F32, .. } => {
            let (run, long) = element::after(*first, second)?;
            fused(run, operands, long, vec![x])
        }
        _ => None,
    }
}

/// `compare(a, b) ? yes : no` where floats are compared.
fn choice(ops: &[Op], uses: &[usize], at: usize) -> Option<Found> {
    let Op { kind: Kind::Select([condition, yes, no]), constant: false, .. } = ops[at] else { return None };
    match lone(ops, uses, condition)? {
        Op { kind: Kind::Binary(compare, [a, b]), from: DType::F32, .. } => {
            fused(element::choose(*compare)?, &[*a, *b, yes, no], false, vec![condition])
        }
        _ => None,
    }
}

/// Random bits to numbers: `float(bits >> shift) * scale`.
fn uniform(ops: &[Op], uses: &[usize], at: usize) -> Option<Found> {
    outer(ops, at)?.into_iter().find_map(|(cast, scale, of)| {
        let Op { kind: Kind::Cast(shifted, DType::F32), from: DType::U32, .. } = *lone(ops, uses, cast)? else {
            return None;
        };
        match lone(ops, uses, shifted)? {
            Op { kind: Kind::Binary(Binary::Shr, [bits, shift]), .. } if of.op == Binary::Mul => {
                fused(element::uniform(), &[*bits, *shift, scale], false, vec![cast, shifted])
            }
            _ => None,
        }
    })
}
