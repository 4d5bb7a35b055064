//! From a traced graph to a [`Plan`]: pure, without touching a device.

pub mod expr;
mod kernel;

pub use kernel::{ArgSpec, Core, Kernel, MatrixView, Use};

use crate::dtype::DType;
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
}
