//! What is the same along a row is computed once per row: in the block that follows the stage before.

use super::space::Space;
use crate::plan::{
    Stage,
    expr::{Access, Affine, Block, Guard, Inst, Reg},
};
use std::collections::HashMap;

/// Moves what follows from results of stages, and is the same along a row, from the blocks over rows to those once per row. Gives the
/// number of slots with an element per row.
pub fn hoist(space: &Space, stages: &mut [Stage], block: &mut Block, longest: usize) -> usize {
    let mut slots = stages.len();
    for n in 0..stages.len() {
        let (before, after) = stages.split_at_mut(n + 1);
        let Some(Stage { block: once, .. }) = before.last_mut() else { break };
        let (from, is_load) = match after.first_mut() {
            Some(next) => (&mut next.load, true),
            None => (&mut *block, false),
        };
        let mut mover = Mover { rows: space.rows(), rank: space.shape.len(), from, to: once, moved: HashMap::new() };
        mover.run(&mut slots, longest);
        from.prune(is_load);
    }
    slots
}

struct Mover<'a> {
    rows: &'a [usize],
    rank: usize,
    from: &'a mut Block,
    to: &'a mut Block,
    moved: HashMap<Reg, Reg>,
}

impl Mover<'_> {
    fn run(&mut self, slots: &mut usize, longest: usize) {
        let mut same: Vec<Same> = Vec::with_capacity(self.from.insts.len());
        for inst in &self.from.insts {
            same.push(self.same(inst, &same));
        }
        // Only what something along the row reads, or leaves the block, needs a slot.
        let count = self.from.insts.len();
        let mut wanted = vec![false; count];
        for (inst, _) in self.from.insts.iter().zip(&same).filter(|(_, same)| **same == Same::No) {
            Block::operands(inst).into_iter().for_each(|r| wanted[usize::from(r)] = true);
        }
        self.from.stores.iter().for_each(|store| wanted[usize::from(store.reg)] = true);
        wanted.iter_mut().skip(count.saturating_sub(1)).for_each(|last| *last = true);
        for r in (0..count).filter(|&r| wanted[r] && same[r] == Same::Computed) {
            if *slots == Stage::ROW_SLOTS || self.to.insts.len() + count > longest {
                return;
            }
            let reg = self.copy(r as Reg);
            let dtype = self.from.dtypes[r];
            let slot = match self.slot_of(reg) {
                Some(slot) => slot,
                None => {
                    self.to.push(Inst::Keep { slot: *slots as u16, from: reg }, dtype);
                    *slots += 1;
                    *slots as u16 - 1
                }
            };
            self.from.insts[r] = Inst::Row { slot, index: number(self.rows, self.rank) };
        }
    }

    fn same(&self, inst: &Inst, known: &[Same]) -> Same {
        let flat = |index: &Affine| index.strides.iter().skip(self.rows.len()).all(|&stride| stride == 0);
        let guards = |guards: &[Guard]| guards.iter().all(|guard| flat(&guard.index));
        let given = |flat: bool| if flat { Same::Given } else { Same::No };
        match inst {
            Inst::Load(access) => given(flat(&access.index) && guards(&access.guards)),
            Inst::Index(index) => given(flat(index)),
            Inst::Within(list) => given(guards(list)),
            Inst::Scalar { .. } | Inst::Const { .. } => Same::Given,
            Inst::Row { .. } => Same::Result,
            Inst::Acc | Inst::Kept { .. } | Inst::Keep { .. } | Inst::Random { .. } => Same::No,
            Inst::Unary(..) | Inst::Binary(..) | Inst::Select(..) | Inst::Cast { .. } => {
                let operands = Block::operands(inst);
                let mut of = operands.iter().map(|&r| known[usize::from(r)]);
                if of.clone().any(|same| same == Same::No) {
                    Same::No
                } else if of.any(|same| same != Same::Given) {
                    Same::Computed
                } else {
                    Same::Given
                }
            }
        }
    }

    /// The register of `to` with the same value.
    fn copy(&mut self, reg: Reg) -> Reg {
        if let Some(&there) = self.moved.get(&reg) {
            return there;
        }
        let (inst, dtype) = (self.from.insts[usize::from(reg)].clone(), self.from.dtypes[usize::from(reg)]);
        let cut = |index: &Affine| Affine {
            offset: index.offset,
            strides: index.strides.iter().take(self.rows.len()).copied().collect(),
        };
        let guards = |list: &[Guard]| list.iter().map(|g| Guard { index: cut(&g.index), len: g.len }).collect();
        let mut inst = match inst {
            Inst::Load(Access { arg, index, guards: list }) => {
                Inst::Load(Access { arg, index: cut(&index), guards: guards(&list) })
            }
            Inst::Index(index) => Inst::Index(cut(&index)),
            Inst::Within(list) => Inst::Within(guards(&list)),
            Inst::Row { slot, .. } => Inst::Kept { slot },
            other => other,
        };
        for operand in Block::operands_mut(&mut inst) {
            *operand = self.copy(*operand);
        }
        let known = self.to.insts.iter().zip(&self.to.dtypes).position(|(i, d)| *i == inst && *d == dtype);
        let there = known.map_or_else(|| self.to.push(inst, dtype), |known| known as Reg);
        self.moved.insert(reg, there);
        there
    }

    /// The slot that a register of `to` is put into, if there is one.
    fn slot_of(&self, reg: Reg) -> Option<u16> {
        self.to.insts.iter().find_map(|inst| match inst {
            Inst::Keep { slot, from } if *from == reg => Some(*slot),
            _ => None,
        })
    }
}

/// What is known of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Same {
    /// Differs along a row.
    No,
    /// The same along a row, whatever the stages give.
    Given,
    /// The result of a stage.
    Result,
    /// Computed of results of stages, the same along a row.
    Computed,
}

/// The number of the row, in a space of `rank` axes.
fn number(rows: &[usize], rank: usize) -> Affine {
    let mut index = Affine::row_major(rows);
    index.strides.resize(rank, 0);
    index
}
