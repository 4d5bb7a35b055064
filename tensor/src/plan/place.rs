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
    let Lowered { memory, compute, commit, .. } = lowered;
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
    plan.count_scratch(executor);
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

/// When each buffer is in use. A buffer that only one loop touches holds nothing from trip to trip, so inside the loop it lives
/// as long as its touches last; a buffer that is touched outside as well lives as long as the loop.
fn lives(memory: &[Memory], compute: &[Step], commit: &[Step]) -> Vec<Option<Life>> {
    let mut clock = Clock { now: 0, inside: Vec::new(), loops: Vec::new(), touches: vec![None; memory.len()] };
    compute.iter().chain(commit).for_each(|step| clock.walk(step));
    let Clock { loops, touches, .. } = clock;
    touches.into_iter().map(|touched| touched.map(|t| t.life(&loops))).collect()
}

/// Walks steps in order, one tick for each kernel.
struct Clock {
    now: usize,
    /// The enclosing loops, outermost first.
    inside: Vec<usize>,
    /// First and last tick of each loop.
    loops: Vec<Life>,
    touches: Vec<Option<Touched>>,
}

/// Where a buffer was touched so far.
#[derive(Clone)]
struct Touched {
    first: usize,
    last: usize,
    /// Loops around every touch.
    common: Vec<usize>,
    /// Outermost loops around some touches and not around others.
    partial: Vec<usize>,
}

impl Clock {
    fn walk(&mut self, step: &Step) {
        match step {
            Step::Run { args, .. } => {
                for arg in args {
                    self.touch(arg.buffer);
                }
                self.now += 1;
            }
            Step::Loop { body, .. } => {
                self.loops.push(Life { first: self.now, last: self.now });
                let this = self.loops.len() - 1;
                self.inside.push(this);
                body.iter().for_each(|step| self.walk(step));
                self.inside.pop();
                self.loops[this].last = self.now.saturating_sub(1).max(self.loops[this].first);
            }
        }
    }

    fn touch(&mut self, buffer: usize) {
        let (now, inside) = (self.now, &self.inside);
        let Some(touched) = &mut self.touches[buffer] else {
            self.touches[buffer] = Some(Touched { first: now, last: now, common: inside.clone(), partial: Vec::new() });
            return;
        };
        touched.last = now;
        let shared = touched.common.iter().zip(inside).take_while(|(a, b)| a == b).count();
        touched.partial.extend(touched.common.get(shared));
        touched.partial.extend(inside.get(shared));
        touched.common.truncate(shared);
    }
}

impl Touched {
    fn life(&self, loops: &[Life]) -> Life {
        let whole =
            |life: Life, &l: &usize| Life { first: life.first.min(loops[l].first), last: life.last.max(loops[l].last) };
        self.partial.iter().fold(Life { first: self.first, last: self.last }, whole)
    }
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
