//! From a traced graph to a [`Plan`]: pure, without touching a device.

pub mod axes;
pub mod cache;
mod carry;
mod cluster;
mod coords;
mod cost;
mod emit;
pub mod expr;
mod fold;
mod kernel;
mod ladder;
mod lean;
mod lower;
mod materialize;
mod place;
mod recompute;
mod rows;
mod scans;
mod show;
mod simplify;
mod sink;
pub mod split;
pub mod trace;
mod updates;

pub use kernel::{ArgSpec, Core, Kernel, MatrixView, Stage, Use};
pub use ladder::{Found, plan_on, plan_within, smallest};

use crate::{dtype::DType, error::Result, executor::Executor};
use std::sync::Arc;

/// Where a buffer of a plan comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Input number `n` of the run, read only.
    Input(usize),
    /// State number `n`: read, and written by commit steps alone.
    State(usize),
    /// Output number `n`: fresh memory that outlives the run.
    Output(usize),
    /// A temporary value at this byte offset of the shared workspace.
    Workspace(u64),
    /// Slot number `n` of the shared workspace, where slots have buffers of their own.
    Slot(usize),
    /// Scratch of the kernels, shared by all of them.
    Scratch,
}

/// A buffer of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BufferSpec {
    /// Where it comes from.
    pub source: Source,
    /// Its length in bytes.
    pub bytes: u64,
}

/// A row of a stacked buffer, chosen by a loop's counter: element offset `stride · ((start ± trip) mod modulo)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    /// Which enclosing loop: 0 is the outermost.
    pub depth: u8,
    /// Elements from row to row.
    pub stride: u64,
    /// Row of trip 0.
    pub start: u64,
    /// Whether later trips go down instead of up.
    pub down: bool,
    /// Rows are counted modulo this.
    pub modulo: u64,
}

/// What a kernel's argument is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Arg {
    /// Number of the plan's buffer.
    pub buffer: usize,
    /// First element.
    pub offset: u64,
    /// Rows chosen by loops.
    pub rows: Vec<Row>,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Run a kernel.
    Run {
        /// What.
        kernel: Arc<Kernel>,
        /// On what: one per [`Kernel::args`].
        args: Vec<Arg>,
    },
    /// Repeat steps; arguments inside choose their rows by the trip.
    Loop {
        /// How often.
        trips: usize,
        /// What.
        body: Vec<Step>,
    },
}

/// A schedule of kernels on buffers, ready for an executor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Plan {
    /// All buffers.
    pub buffers: Vec<BufferSpec>,
    /// Steps that write workspace and outputs.
    pub compute: Vec<Step>,
    /// Steps that write state; they come last and cannot fail.
    pub commit: Vec<Step>,
    /// Number of scalar words given at run time, with their types.
    pub scalars: Vec<DType>,
    /// Bytes of the shared workspace (without scratch).
    pub workspace: u64,
    /// Bytes of each slot, where slots have buffers of their own.
    pub slots: Vec<u64>,
    /// Bytes of scratch.
    pub scratch: u64,
    /// For people: what the temporaries and outputs hold, and their bytes.
    pub labels: Vec<(String, u64)>,
    /// How far down the ladder it stands.
    pub rung: split::Rung,
}

/// Plans a traced graph for an executor. Pure: nothing is allocated, nothing runs.
pub fn plan(traced: &trace::Traced, labels: &[String], executor: &dyn Executor, fuse: bool) -> Result<Plan> {
    let caps = executor.caps();
    let planned = |ride: bool| -> Result<(Plan, usize)> {
        let lowered = lower::lower(traced, labels, &caps, fuse, ride)?;
        let riding = lowered.riding;
        Ok((place::place(lowered, traced.scalars.clone(), executor), riding))
    };
    let (plan, riding) = planned(true)?;
    if riding == 0 {
        return Ok(plan);
    }
    let (apart, _) = planned(false)?;
    Ok(if apart.transient_bytes() < plan.transient_bytes() { apart } else { plan })
}

impl Plan {
    /// Bytes needed beside inputs and state: workspace, scratch and outputs.
    pub fn transient_bytes(&self) -> u64 {
        let outputs = self.buffers.iter().filter(|b| matches!(b.source, Source::Output(_))).map(|b| b.bytes);
        self.workspace + self.scratch + outputs.sum::<u64>()
    }
    /// Bytes of inputs and state.
    pub fn fixed_bytes(&self) -> u64 {
        let fixed = |s: &Source| matches!(s, Source::Input(_) | Source::State(_));
        self.buffers.iter().filter(|b| fixed(&b.source)).map(|b| b.bytes).sum()
    }
    /// Number of kernels that one run dispatches, loops unrolled.
    pub fn dispatches(&self) -> usize {
        fn count(step: &Step) -> usize {
            match step {
                Step::Run { .. } => 1,
                Step::Loop { trips, body } => trips * body.iter().map(count).sum::<usize>(),
            }
        }
        self.compute.iter().chain(&self.commit).map(count).sum()
    }
    /// The largest temporaries and outputs, for people: label and bytes.
    pub fn largest(&self, count: usize) -> Vec<(String, u64)> {
        let mut list: Vec<(String, u64)> = self.labels.clone();
        list.sort_by_key(|(label, bytes)| (std::cmp::Reverse(*bytes), label.clone()));
        list.truncate(count);
        list
    }
}
