//! Where the results of a block lie: which of them tiles share, in which registers, and which are computed in the memory they are
//! stored to.

use super::{
    coalesce::Line,
    program::{ArgInfo, Kind, Op, Place},
    storage,
};

/// Finds what is the same in every row.
pub(super) fn find_rows(args: &[ArgInfo], ops: &mut [Op], stores: &[(usize, Place)], rank: usize) {
    let of_row = |line: &Line| line.strides[..rank - 1].iter().all(|&s| s == 0);
    // What is written is the tile's own, and so is what is handed on.
    let mut own: Vec<bool> = ops.iter().map(|_| false).collect();
    for (at, op) in ops.iter().enumerate() {
        if let Kind::Keep(_, from) = op.kind {
            own[from] = true;
        }
        own[at] |= at + 1 == ops.len();
    }
    stores.iter().for_each(|(reg, _)| own[*reg] = true);
    for at in 0..ops.len() {
        let op = &ops[at];
        let same = match &op.kind {
            Kind::Load(place) => {
                let changes = stores.iter().any(|(_, to)| args[to.arg].same_as == args[place.arg].same_as);
                !changes && place.limits.is_empty() && of_row(&place.line)
            }
            Kind::Index(line) => of_row(line),
            kind => op.run.is_some() && kind.operands().all(|r| ops[r].constant || ops[r].of_row),
        };
        ops[at].of_row = same && !op.constant && !own[at];
    }
}

/// Gives every result a buffer, so that few are in use at once; returns their number. What tiles share has a buffer to itself.
pub(super) fn place_registers(ops: &mut [Op], stores: &[(usize, Place)]) -> usize {
    let mut last_use = vec![0; ops.len()];
    for (at, op) in ops.iter().enumerate() {
        op.kind.operands().for_each(|r| last_use[r] = at);
    }
    for (reg, _) in stores {
        last_use[*reg] = usize::MAX;
    }
    // The last one is the value of a `load` hole.
    if let Some(last) = last_use.last_mut() {
        *last = usize::MAX;
    }
    let mut free = Vec::new();
    let mut count = 0;
    for at in 0..ops.len() {
        if ops[at].of_row {
            ops[at].slot = count;
            count += 1;
            continue;
        }
        // Taken before those of the operands are given back: a result never overwrites what it is computed from.
        ops[at].slot = free.pop().unwrap_or_else(|| {
            count += 1;
            count - 1
        });
        let mut operands: Vec<usize> = ops[at].kind.operands().collect();
        operands.sort_unstable();
        operands.dedup();
        free.extend(operands.iter().filter(|&&r| last_use[r] == at && !ops[r].of_row).map(|&r| ops[r].slot));
        if last_use[at] <= at {
            free.push(ops[at].slot);
        }
    }
    count
}

/// Decides which results are computed in the memory they are stored to, and which loads must be copied first.
pub(super) fn settle_aliases(args: &[ArgInfo], ops: &mut [Op], stores: &[(usize, Place)], rank: usize, spanning: bool) {
    let memory = |place: &Place| args[place.arg].same_as;
    let mut last_use = vec![0; ops.len()];
    for (at, op) in ops.iter().enumerate() {
        op.kind.operands().for_each(|r| last_use[r] = at);
    }
    stores.iter().for_each(|(reg, _)| last_use[*reg] = usize::MAX);
    for (number, (reg, place)) in stores.iter().enumerate() {
        // Nobody may need what was there: each load of this memory is of the same element, and used no later than here, where
        // a loop reads its operands before it writes.
        let looped = ops[*reg].run.is_some();
        let loaded = ops.iter().enumerate().any(|(at, op)| match &op.kind {
            Kind::Load(from) if memory(from) == memory(place) => !looped || !from.is_same(place) || last_use[at] > *reg,
            _ => false,
        });
        let dense = if spanning { place.linear } else { place.line.strides[rank - 1] == 1 };
        let op = &mut ops[*reg];
        let computed = !matches!(op.kind, Kind::Load(_) | Kind::Acc) && !op.constant;
        if !loaded && dense && computed && storage::is_word(place.dtype) && op.direct.is_none() {
            op.direct = Some(number);
        }
    }
    for at in 0..ops.len() {
        if let Kind::Keep(slot, from) = ops[at].kind
            && ops[from].direct.is_none()
        {
            ops[from].keep = Some(slot);
        }
    }
    // What is stored as it was loaded must not change when an earlier store writes its memory.
    for (reg, _) in stores {
        if let Kind::Load(from) = &ops[*reg].kind {
            ops[*reg].copy = stores.iter().any(|(_, to)| args[from.arg].same_as == memory(to));
        }
    }
}
