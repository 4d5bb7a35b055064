//! What two blocks over rows compute is computed once: the first one keeps it for the others.

use crate::{
    dtype::DType,
    graph::{Binary, Unary},
    plan::{
        Stage,
        expr::{Block, Inst, Reg},
    },
};
use std::collections::HashMap;

/// Computing a value again costs less than this: about as much as to write and read it.
const CHEAP: usize = 4;

/// Replaces what an earlier block has computed by what it kept, where computing it again would cost more. `first` is the number of
/// the first slot. Gives the number of slots.
pub fn keep(stages: &mut [Stage], block: &mut Block, first: usize) -> usize {
    let count = stages.len();
    let mut blocks: Vec<&mut Block> = stages.iter_mut().map(|stage| &mut stage.load).chain([block]).collect();
    let (mut classes, mut homes) = (Classes::default(), HashMap::new());
    for n in 0..blocks.len() {
        let found = classes.of(blocks[n]);
        let costs = costs(blocks[n]);
        // From what the block gives downwards, so that the largest common part is found first.
        let mut visited = vec![false; found.len()];
        let mut stack: Vec<Reg> = blocks[n].stores.iter().map(|store| store.reg).collect();
        stack.extend((n < count).then(|| found.len().checked_sub(1)).flatten().map(|last| last as Reg));
        let mut kept = Vec::new();
        while let Some(reg) = stack.pop() {
            let at = usize::from(reg);
            if std::mem::replace(&mut visited[at], true) {
                continue;
            }
            let class = found[at];
            if costs[at] >= CHEAP
                && homes.contains_key(&class)
                && let Some(slot) = classes.slot(class, first)
            {
                kept.push((at, class, slot));
                continue;
            }
            stack.extend(Block::operands(&blocks[n].insts[at]));
        }
        for (at, class, slot) in kept {
            let (home, reg): (usize, usize) = homes[&class];
            blocks[n].insts[at] = Inst::Kept { slot };
            if keep_there(blocks[home], reg, slot) {
                // Later registers have new numbers.
                for (_, moved) in homes.values_mut().filter(|(other, moved)| *other == home && *moved > reg) {
                    *moved += 1;
                }
            }
        }
        blocks[n].prune(n < count);
        for (reg, class) in classes.of(blocks[n]).into_iter().enumerate() {
            homes.entry(class).or_insert((n, reg));
        }
    }
    classes.slots.len()
}

/// Puts a register into a slot, right after it is computed; false if it is there already.
fn keep_there(block: &mut Block, reg: usize, slot: u16) -> bool {
    if block.insts.iter().any(|inst| matches!(inst, Inst::Keep { slot: known, .. } if *known == slot)) {
        return false;
    }
    let renumber = |r: &mut Reg| *r += Reg::from(usize::from(*r) >= reg);
    let dtype = block.dtypes[reg];
    for inst in block.insts.iter_mut().skip(reg + 1) {
        Block::operands_mut(inst).into_iter().for_each(renumber);
    }
    block.stores.iter_mut().for_each(|store| renumber(&mut store.reg));
    block.insts.insert(reg + 1, Inst::Keep { slot, from: reg as Reg });
    block.dtypes.insert(reg + 1, dtype);
    true
}

/// Numbers that are equal for registers with equal values.
#[derive(Default)]
struct Classes {
    numbers: HashMap<(Inst, DType), usize>,
    /// The values that lie in slots: class and slot.
    slots: Vec<(usize, u16)>,
}

impl Classes {
    fn of(&mut self, block: &Block) -> Vec<usize> {
        let mut found: Vec<usize> = Vec::with_capacity(block.insts.len());
        for (inst, &dtype) in block.insts.iter().zip(&block.dtypes) {
            let known = match inst {
                Inst::Keep { from, .. } => Some(found[usize::from(*from)]),
                Inst::Kept { slot } => self.slots.iter().find(|(_, other)| other == slot).map(|(class, _)| *class),
                _ => None,
            };
            let class = known.unwrap_or_else(|| {
                let mut inst = inst.clone();
                for operand in Block::operands_mut(&mut inst) {
                    *operand = found[usize::from(*operand)] as Reg;
                }
                let next = self.numbers.len();
                *self.numbers.entry((inst, dtype)).or_insert(next)
            });
            found.push(class);
        }
        found
    }
    /// The slot of a value, a new one if there is room.
    fn slot(&mut self, class: usize, first: usize) -> Option<u16> {
        if let Some((_, slot)) = self.slots.iter().find(|(known, _)| *known == class) {
            return Some(*slot);
        }
        let slot = (first + self.slots.len()) as u16;
        let room = self.slots.len() < Stage::SLOTS;
        room.then(|| self.slots.push((class, slot))).map(|()| slot)
    }
}

/// What computing each register takes, roughly: 1 is an addition.
fn costs(block: &Block) -> Vec<usize> {
    let mut costs: Vec<usize> = Vec::with_capacity(block.insts.len());
    // What is the same everywhere is computed once anyway.
    let mut same: Vec<bool> = Vec::with_capacity(block.insts.len());
    for inst in &block.insts {
        let operands = Block::operands(inst);
        same.push(match inst {
            Inst::Load(access) => access.index.strides.iter().all(|&stride| stride == 0),
            Inst::Scalar { .. } | Inst::Const { .. } => true,
            _ => !operands.is_empty() && operands.iter().all(|&r| same[usize::from(r)]),
        });
        let own = match inst {
            _ if same.last() == Some(&true) => 0,
            Inst::Load(access) => match access.index.strides.last() {
                Some(0 | 1) => 0,
                _ => 2,
            },
            Inst::Random { .. } => 16,
            Inst::Unary(
                Unary::Neg | Unary::Abs | Unary::Square | Unary::Relu | Unary::Not | Unary::IsFinite | Unary::Sign,
                _,
            ) => 1,
            Inst::Unary(..) => 6,
            Inst::Binary(Binary::Pow | Binary::Rem, ..) => 12,
            Inst::Binary(Binary::Div, ..) => 2,
            Inst::Binary(..) | Inst::Select(..) | Inst::Cast { .. } | Inst::Index(_) | Inst::Within(_) => 1,
            _ => 0,
        };
        costs.push(operands.iter().map(|&r| costs[usize::from(r)]).fold(own, usize::saturating_add));
    }
    costs
}
