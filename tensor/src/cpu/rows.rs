//! Kernels over rows: some rows at a time, stage by stage, while they lie in the first cache. What a stage hands on lies in slots
//! of the thread, which no other kernel sees.

use super::{
    Env, map,
    memory::Mem,
    program::{ArgInfo, Frame, Program, SLOT_BYTES},
    reduce::reduce_rows,
};
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::ReduceOp,
    plan::{Core, Kernel, Stage, expr::Block},
};

/// The longest row.
pub(super) const LONGEST: usize = 8192;
/// Elements that are computed together, where rows are short.
const GROUP: usize = 2048;
/// Bytes to which slots are aligned.
const LINE: usize = 64;

// The slots of the longest and of the most rows have room in the memory of a thread.
const _: () = assert!(4 * (Stage::SLOTS * LONGEST.next_multiple_of(16) + Stage::ROW_SLOTS * (GROUP / 2)) <= SLOT_BYTES);

/// A stage made ready.
struct Ready {
    op: ReduceOp,
    dtype: DType,
    load: Program,
    block: Option<Program>,
}

/// Stages and a block, made ready.
pub(super) struct RowsKernel {
    rows: usize,
    /// Elements of a row.
    len: usize,
    stages: Vec<Ready>,
    block: Option<Program>,
    row_slots: usize,
    slots: usize,
    /// Rows computed together.
    group: usize,
    /// Groups per piece of work.
    grain: usize,
}

impl RowsKernel {
    pub(super) fn new(kernel: &Kernel, args: &[ArgInfo]) -> Result<RowsKernel> {
        let wrong = |what: String| Error::argument(format!("kernel \"{}\": {what}", kernel.label));
        let Core::Rows { axes, stages, row_slots, slots } = &kernel.core else {
            return Err(wrong("has no rows".into()));
        };
        let first = kernel.shape.len().checked_sub(*axes).ok_or_else(|| wrong(format!("has no {axes} axes")))?;
        let (outer, row) = kernel.shape.split_at(first);
        let (rows, len): (usize, usize) = (outer.iter().product(), row.iter().product());
        if len > LONGEST || *row_slots > Stage::ROW_SLOTS || *slots > Stage::SLOTS || stages.len() > *row_slots {
            return Err(wrong(format!("rows of {len} in {row_slots} and {slots} slots do not fit")));
        }
        let group = (GROUP / len.max(1)).clamp(1, GROUP / 2);
        let check = |program: Program| match program.stays_within(row_slots + slots, rows) {
            true => Ok(program),
            false => Err(wrong("a slot that does not exist is used".into())),
        };
        let made = |block: &Block, shape: &[usize]| match block.insts.is_empty() {
            true => Ok(None),
            false => check(Program::new(block, shape, args, &kernel.label)?).map(Some),
        };
        let mut ready = Vec::with_capacity(stages.len());
        for Stage { op, load, block } in stages {
            let Some(&dtype) = load.dtypes.last().filter(|dtype| op.accepts(**dtype)) else {
                return Err(wrong(format!("{op:?} cannot reduce {:?}", load.dtypes.last())));
            };
            if !load.stores.is_empty() {
                return Err(wrong("a load stores nothing".into()));
            }
            let load = check(Program::new(load, &kernel.shape, args, &kernel.label)?)?;
            ready.push(Ready { op: *op, dtype, load, block: made(block, outer)? });
        }
        let block = made(&kernel.block, &kernel.shape)?;
        let of = |program: &Option<Program>| program.as_ref().map_or(0.0, map::cost);
        let each = ready.iter().map(|s| map::cost(&s.load) + 0.1).sum::<f64>() + of(&block);
        let once = ready.iter().map(|s| of(&s.block) + 20.0).sum::<f64>();
        let cost = group as f64 * (len as f64 * each + once);
        let grain = map::chunk(rows.div_ceil(group), cost, 1);
        Ok(RowsKernel { rows, len, stages: ready, block, row_slots: *row_slots, slots: *slots, group, grain })
    }

    pub(super) fn run(&self, env: &Env<'_>) {
        let groups = self.rows.div_ceil(self.group);
        env.threads.run(groups.div_ceil(self.grain), &|worker, piece| {
            let mut slots = [Mem::EMPTY; Stage::ROW_SLOTS + Stage::SLOTS];
            self.place(env.slots(worker), &mut slots);
            let last = ((piece + 1) * self.grain).min(groups);
            for group in piece * self.grain..last {
                let first = group * self.group;
                let frame = Frame { slots: &slots, row: first, ..env.frame(worker) };
                self.group(&frame, first, (self.rows - first).min(self.group));
            }
        });
    }

    /// Where the slots lie.
    fn place<'a>(&self, memory: Mem<'a>, slots: &mut [Mem<'a>]) {
        let mut at = 0;
        for (n, slot) in slots.iter_mut().enumerate().take(self.row_slots + self.slots) {
            let elements = if n < self.row_slots { self.group } else { self.group * self.len };
            *slot = memory.part(at, 4 * elements);
            at += (4 * elements).next_multiple_of(LINE);
        }
    }

    /// Some rows, from the first stage to the block.
    fn group(&self, frame: &Frame<'_>, first: usize, rows: usize) {
        for (stage, slot) in self.stages.iter().zip(frame.slots) {
            reduce_rows(stage.op, stage.dtype, &stage.load, frame, first, self.len, slot.write(0, rows));
            if let Some(block) = &stage.block {
                block.run(frame, first..first + rows, Mem::EMPTY);
            }
        }
        if let Some(block) = &self.block {
            block.run(frame, first * self.len..(first + rows) * self.len, Mem::EMPTY);
        }
    }
}
