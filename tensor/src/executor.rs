//! The contract between the engine and what runs its plans. It fits on one screen on purpose.

use crate::{
    array::Array,
    error::{Error, Result},
    memory::Meter,
    plan::{Kernel, Plan},
};
use std::{any::Any, future::Future, ops::Range, pin::Pin, sync::Arc};

/// A future of an executor. It need not be `Send`: a browser's is not.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What an executor can do: plain data, so that planning needs no device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caps {
    /// Most arguments of one kernel.
    pub max_args: usize,
    /// Most instructions of one block.
    pub max_insts: usize,
    /// Longest row of a `Rows` kernel; 0 where there are none.
    pub max_row: usize,
    /// Most instructions of a `Rows` kernel, all of its blocks together.
    pub max_row_insts: usize,
    /// Largest buffer that one argument may lie in, in bytes.
    pub max_binding: u64,
    /// Whether temporary values share one buffer at offsets (a CPU's arena) or have buffers of their own (a GPU's slots).
    pub arena: bool,
    /// Whether a submitted value can be read at once, without waiting for other hardware.
    pub immediate: bool,
    /// Offsets into the arena are multiples of this.
    pub alignment: u64,
    /// Whether matrix operands may have any strides (else one of row or column stride must be 1).
    pub free_strides: bool,
}

/// Memory of an executor. Only the executor that made it can look inside.
pub type Buffer = Arc<dyn Any + Send + Sync>;

/// A plan made ready to run by [`Executor::compile`].
pub type Compiled = Arc<dyn Any + Send + Sync>;

/// Where a plan's buffer lies this time.
#[derive(Clone)]
pub struct Bound {
    /// The memory.
    pub buffer: Buffer,
    /// First byte.
    pub offset: u64,
}

/// Runs plans. The engine counts bytes, leases memory and decides; an executor only allocates, copies and computes.
pub trait Executor: Any + Send + Sync {
    /// For people: `cpu (2 threads)`, `NVIDIA H100 (vulkan)`.
    fn name(&self) -> String;
    /// What it can do.
    fn caps(&self) -> Caps;
    /// Scratch bytes a kernel needs beside its arguments; the planner counts them. At run they lie in the plan's scratch buffer.
    fn scratch(&self, kernel: &Kernel) -> u64;
    /// Takes zeroed memory. Called by `Device` alone, after counting.
    fn alloc(&self, bytes: u64) -> Result<Buffer>;
    /// Makes a plan ready: checks it, builds pipelines.
    fn compile<'a>(&'a self, plan: &'a Plan) -> BoxFuture<'a, Result<Compiled>>;
    /// Runs a compiled plan. `buffers` follow `plan.buffers`, `scalars` are the host's words. Allocates nothing, waits for nothing it need not.
    fn run(&self, code: &Compiled, buffers: &[Bound], scalars: &[u32]) -> Result<()>;
    /// Copies bytes to a buffer, ordered after everything that was run before.
    fn write(&self, to: &Buffer, at: u64, bytes: &[u8]) -> Result<()>;
    /// The memory of an array as a buffer that is read only, where that is possible: then it need not be copied.
    fn lend(&self, array: &Array) -> Option<Buffer> {
        let _ = array;
        None
    }
    /// Copies the first bytes of a buffer to another, ordered as a run is.
    fn copy(&self, from: &Buffer, to: &Buffer, bytes: u64) -> Result<()>;
    /// Copies bytes from a buffer, after everything that was run before: the only wait.
    fn read<'a>(&'a self, from: &'a Buffer, range: Range<u64>) -> BoxFuture<'a, Result<Vec<u8>>>;

    /// Counts what it takes beside [`alloc`](Executor::alloc), such as staging memory. Asked for once: the device counts there too.
    fn meter(&self) -> Meter {
        Meter::default()
    }
    /// Gives back memory that it keeps for later only.
    fn trim(&self) {}

    /// Whether what lies on it can be lost, as a GPU's memory is when its driver resets; then every call fails with
    /// [`ErrorKind::DeviceLost`](crate::ErrorKind::DeviceLost). Memory of this process cannot.
    fn can_be_lost(&self) -> bool {
        false
    }
    /// Opens the same hardware again after a loss, with nothing on it.
    fn reopen(&self) -> BoxFuture<'_, Result<Box<dyn Executor>>> {
        Box::pin(std::future::ready(Err(Error::device(format!("{}: it cannot be opened again", self.name())))))
    }
}
