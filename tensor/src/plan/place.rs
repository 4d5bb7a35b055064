//! Placing temporaries: values that do not live at the same time share memory.

use super::{
    BufferSpec, Plan, Source, Step,
    lower::{Kind, Lowered, Memory},
};
use crate::{dtype::DType, executor::Executor};

/// First and last step that touch a buffer.
#[derive(Clone, Copy, Debug)]
struct Life {
    first: usize,
    last: usize,
}

/// Places every temporary and finishes the plan.
pub fn place(lowered: Lowered, scalars: Vec<DType>, executor: &dyn Executor) -> Plan {
    let caps = executor.caps();
    let Lowered { memory, compute, commit } = lowered;
    let lives = lives(&memory, &compute, &commit);
    let shown = memory.iter().filter(|m| !matches!(m.kind, Kind::Fixed(Source::Input(_) | Source::State(_))));
    let labels = shown.map(|m| (m.label.clone(), m.bytes)).collect();
    let mut plan = Plan { scalars, labels, ..Plan::default() };
    let round = |bytes: u64| bytes.div_ceil(caps.alignment.max(1)) * caps.alignment.max(1);
    let temporaries: Vec<(usize, Life, u64)> = (0..memory.len())
        .filter(|&m| memory[m].kind == Kind::Temporary)
        .filter_map(|m| lives[m].map(|life| (m, life, round(memory[m].bytes.max(1)))))
        .collect();
    let mut sources: Vec<Option<Source>> = memory
        .iter()
        .map(|m| match m.kind {
            Kind::Fixed(source) => Some(source),
            Kind::Temporary => None,
        })
        .collect();
    match caps.arena {
        true => {
            let offsets = offsets(&temporaries);
            for ((m, _, bytes), offset) in temporaries.iter().zip(offsets) {
                sources[*m] = Some(Source::Workspace(offset));
                plan.workspace = plan.workspace.max(offset + bytes);
            }
        }
        false => {
            let (slots, sizes) = slots(&temporaries);
            for ((m, ..), slot) in temporaries.iter().zip(slots) {
                sources[*m] = Some(Source::Slot(slot));
            }
            plan.workspace = sizes.iter().sum();
            plan.slots = sizes;
        }
    }
    // Temporaries that no step touches have no place and no argument: they drop out here.
    let mut number = vec![0; memory.len()];
    for (m, source) in sources.into_iter().enumerate() {
        if let Some(source) = source {
            number[m] = plan.buffers.len();
            plan.buffers.push(BufferSpec { source, bytes: memory[m].bytes });
        }
    }
    plan.compute = compute;
    plan.commit = commit;
    for step in plan.compute.iter_mut().chain(&mut plan.commit) {
        renumber(step, &number);
    }
    let mut scratch = 0;
    for step in plan.compute.iter().chain(&plan.commit) {
        each_kernel(step, &mut |kernel| scratch = scratch.max(executor.scratch(kernel)));
    }
    plan.scratch = scratch;
    if scratch > 0 {
        plan.buffers.push(BufferSpec { source: Source::Scratch, bytes: scratch });
    }
    plan
}

fn renumber(step: &mut Step, number: &[usize]) {
    match step {
        Step::Run { args, .. } => args.iter_mut().for_each(|arg| arg.buffer = number[arg.buffer]),
        Step::Loop { body, .. } => body.iter_mut().for_each(|step| renumber(step, number)),
    }
}

/// Calls `f` for every kernel of a step.
pub fn each_kernel(step: &Step, f: &mut impl FnMut(&super::Kernel)) {
    match step {
        Step::Run { kernel, .. } => f(kernel),
        Step::Loop { body, .. } => body.iter().for_each(|step| each_kernel(step, f)),
    }
}

fn lives(memory: &[Memory], compute: &[Step], commit: &[Step]) -> Vec<Option<Life>> {
    fn touch(step: &Step, at: usize, lives: &mut [Option<Life>]) {
        match step {
            Step::Run { args, .. } => {
                for arg in args {
                    let life = lives[arg.buffer].get_or_insert(Life { first: at, last: at });
                    life.last = at;
                }
            }
            Step::Loop { body, .. } => body.iter().for_each(|step| touch(step, at, lives)),
        }
    }
    let mut lives = vec![None; memory.len()];
    for (at, step) in compute.iter().chain(commit).enumerate() {
        touch(step, at, &mut lives);
    }
    lives
}

/// Offsets in one arena: the largest first, each at the lowest place that is free during its life.
fn offsets(temporaries: &[(usize, Life, u64)]) -> Vec<u64> {
    let mut order: Vec<usize> = (0..temporaries.len()).collect();
    order.sort_by_key(|&t| (std::cmp::Reverse(temporaries[t].2), t));
    let mut offsets = vec![0; temporaries.len()];
    let mut placed: Vec<usize> = Vec::new(); // by offset
    for t in order {
        let (_, life, bytes) = temporaries[t];
        let mut at = 0;
        for &other in &placed {
            let (_, theirs, size) = temporaries[other];
            if theirs.last < life.first || life.last < theirs.first {
                continue;
            }
            if at + bytes <= offsets[other] {
                break;
            }
            at = at.max(offsets[other] + size);
        }
        offsets[t] = at;
        let position = placed.partition_point(|&other| offsets[other] <= at);
        placed.insert(position, t);
    }
    offsets
}

/// Slots of their own: in order of time, each in the free slot that fits best.
fn slots(temporaries: &[(usize, Life, u64)]) -> (Vec<usize>, Vec<u64>) {
    let mut order: Vec<usize> = (0..temporaries.len()).collect();
    order.sort_by_key(|&t| (temporaries[t].1.first, std::cmp::Reverse(temporaries[t].2)));
    let mut sizes: Vec<u64> = Vec::new();
    let mut free_from: Vec<usize> = Vec::new();
    let mut result = vec![0; temporaries.len()];
    for t in order {
        let (_, life, bytes) = temporaries[t];
        let free = (0..sizes.len()).filter(|&s| free_from[s] <= life.first);
        // The smallest that is large enough, else the largest, which grows.
        let best = free.min_by_key(|&s| (sizes[s] < bytes, sizes[s].abs_diff(bytes)));
        let slot = best.unwrap_or_else(|| {
            sizes.push(0);
            free_from.push(0);
            sizes.len() - 1
        });
        sizes[slot] = sizes[slot].max(bytes);
        free_from[slot] = life.last + 1;
        result[t] = slot;
    }
    (result, sizes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lives() -> impl Strategy<Value = Vec<(usize, Life, u64)>> {
        proptest::collection::vec((0usize..20, 0usize..6, 1u64..50), 0..30).prop_map(|list| {
            list.into_iter()
                .enumerate()
                .map(|(m, (first, length, bytes))| (m, Life { first, last: first + length }, bytes))
                .collect()
        })
    }

    fn meet(a: &Life, b: &Life) -> bool {
        a.first <= b.last && b.first <= a.last
    }

    proptest! {
        /// Values that live at the same time never overlap.
        #[test]
        fn offsets_do_not_overlap(list in lives()) {
            let at = offsets(&list);
            for i in 0..list.len() {
                for j in 0..i {
                    if meet(&list[i].1, &list[j].1) {
                        prop_assert!(at[i] + list[i].2 <= at[j] || at[j] + list[j].2 <= at[i]);
                    }
                }
            }
        }

        /// Values that live at the same time never share a slot, and every slot is large enough.
        #[test]
        fn slots_are_exclusive(list in lives()) {
            let (slot, sizes) = slots(&list);
            for i in 0..list.len() {
                prop_assert!(sizes[slot[i]] >= list[i].2);
                for j in 0..i {
                    prop_assert!(!meet(&list[i].1, &list[j].1) || slot[i] != slot[j]);
                }
            }
        }
    }
}
