//! Plans that do with less scratch. The scratch of a plan is that of its hungriest kernel, and some kernels are quick because they
//! take much: where memory is short, they take the way that needs least.

use super::{BufferSpec, Kernel, Plan, Source, Step, place::each_kernel, split::Rung};
use crate::executor::Executor;
use std::sync::Arc;

impl Plan {
    /// Counts the scratch of all kernels anew, and has a buffer for it if there is any. That buffer is the last one.
    pub(super) fn count_scratch(&mut self, executor: &dyn Executor) {
        let mut most = 0;
        for step in self.compute.iter().chain(&self.commit) {
            each_kernel(step, &mut |kernel| most = most.max(executor.scratch(kernel)));
        }
        self.scratch = most;
        self.buffers.pop_if(|buffer| buffer.source == Source::Scratch);
        if most > 0 {
            self.buffers.push(BufferSpec { source: Source::Scratch, bytes: most });
        }
    }

    /// This plan with less scratch, if it takes more than `room` bytes beside inputs and state and less scratch is to be had: kernels
    /// that ask for more than what is left of the room take the way that needs least.
    pub(super) fn lean(mut self, room: u64, executor: &dyn Executor) -> Plan {
        let left = room.saturating_sub(self.transient_bytes() - self.scratch);
        if self.scratch <= left {
            return self;
        }
        let mut leaner = false;
        for step in self.compute.iter_mut().chain(&mut self.commit) {
            each_run(step, &mut |kernel| {
                let asked = executor.scratch(kernel);
                if asked > left {
                    let lean = Kernel { lean: true, ..kernel.as_ref().clone() };
                    if executor.scratch(&lean) < asked {
                        *kernel = Arc::new(lean);
                        leaner = true;
                    }
                }
            });
        }
        if leaner {
            self.rung = Rung { lean: true, ..self.rung };
            self.count_scratch(executor);
        }
        self
    }
}

/// Calls `f` for every kernel of a step, which it may exchange.
fn each_run(step: &mut Step, f: &mut impl FnMut(&mut Arc<Kernel>)) {
    match step {
        Step::Run { kernel, .. } => f(kernel),
        Step::Loop { body, .. } => body.iter_mut().for_each(|step| each_run(step, f)),
    }
}
