//! Neighbouring instructions of a block that become one loop: a value that is used once is computed where it is used.
//!
//! An instruction on a tile costs about as much again as its arithmetic, for it is looked up, and its result goes through
//! memory. Pairs halve both. The arithmetic stays that of two instructions, rounded twice.

use super::program::{Kind, Op, Place};
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
        let found = [choice, pair].iter().find_map(|fused| fused(ops, &uses, at));
        if let Some((kind, from)) = found {
            ops[at].kind = kind;
            ops[at].from = DType::F32;
            absorbed[from] = true;
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

/// `second(first(a, b), c)` of floats.
fn pair(ops: &[Op], uses: &[usize], at: usize) -> Option<(Kind, usize)> {
    let Op { kind: Kind::Binary(second, [x, y]), from: DType::F32, constant: false, .. } = ops[at] else { return None };
    if !matches!(second, Binary::Add | Binary::Sub | Binary::Mul | Binary::Div) {
        return None;
    }
    [(x, y, false), (y, x, true)].into_iter().find_map(|(producer, c, turned)| {
        let (first, a, b) = match lone(ops, uses, producer)? {
            Op { kind: Kind::Binary(first @ (Binary::Add | Binary::Sub | Binary::Mul), [a, b]), .. } => {
                (*first, *a, *b)
            }
            Op { kind: Kind::Unary(Unary::Square, a), .. } => (Binary::Mul, *a, *a),
            _ => return None,
        };
        let operands = [a, b, c];
        Some((Kind::Pair { first, second, turned, operands }, producer))
    })
}

/// `compare(a, b) ? yes : no` where floats are compared.
fn choice(ops: &[Op], uses: &[usize], at: usize) -> Option<(Kind, usize)> {
    let Op { kind: Kind::Select([condition, yes, no]), constant: false, .. } = ops[at] else { return None };
    match lone(ops, uses, condition)? {
        Op { kind: Kind::Binary(compare @ (Binary::Lt | Binary::Le), [a, b]), from: DType::F32, .. } => {
            Some((Kind::Choose { compare: *compare, operands: [*a, *b, yes, no] }, condition))
        }
        _ => None,
    }
}
