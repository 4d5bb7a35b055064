//! The CPU executor: products by register-blocked micro-kernels, everything around them as tiles that stay in the first
//! cache, and a pool of threads that small kernels never wait for.
//!
//! Work is cut into pieces by shape alone, and partial results are combined in a fixed order: any number of threads gives
//! the same bits. `compile` decides everything (axes, accesses, cuts), so `run` allocates nothing.
//!
//! | file | idea |
//! | --- | --- |
//! | `compile` | a plan's steps, checked and prepared |
//! | `program`, `coalesce`, `bounds`, `settle`, `tile` | blocks: coalesced axes, checked accesses, registers; running them over tiles |
//! | `element`, `lanes`, `storage` | functions of elements; their loops; loads and stores of every type |
//! | `pairs`, `random` | instructions that become one loop; random bits |
//! | `map`, `reduce`, `rows`, `matmul`, `conv`, `pooling`, `gather`, `line` | what comes before a block |
//! | `profile` | what each kernel of a run took, if asked |
//! | `gemm`, `micro`, `matmul/cut` | packing and the micro-kernels of products, and how they are cut |
//! | `memory`, `threads`, `simd`, `vector`, `lanes`, `micro`, `conv/winograd/transform` | the modules with `unsafe`, each with its argument |
//!
//! ```
//! use addax_tensor::{cpu::CpuExecutor, executor::Executor};
//! let cpu = CpuExecutor::with_threads(2).unwrap();
//! let buffer = cpu.alloc(8).unwrap();
//! cpu.write(&buffer, 4, &[1, 2, 3, 4]).unwrap();
//! assert!(cpu.name().starts_with("cpu"));
//! ```

mod bounds;
mod coalesce;
mod compile;
mod conv;
mod element;
mod gather;
mod gemm;
mod lanes;
mod line;
mod map;
mod matmul;
mod memory;
mod micro;
mod pairs;
mod pooling;
mod profile;
mod program;
mod random;
mod reduce;
mod rows;
mod settle;
mod simd;
mod storage;
mod threads;
mod tile;
mod vector;

use crate::{
    array::Array,
    error::{Error, Result, bytes_for_people},
    executor::{Bound, BoxFuture, Buffer, Caps, Compiled, Executor},
    plan::{Kernel, Plan},
    platform,
};
use compile::Code;
use memory::{Lent, Mem, Memory};
use profile::Profile;
pub use profile::{KernelTime, Peak, PlanTime};
use program::Frame;
use std::{
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use threads::Threads;

/// Bytes of registers and slots of one thread.
const REGISTERS: usize = program::REGISTER_BYTES + program::SLOT_BYTES;

/// Runs plans on the CPU's cores. See the [module](self).
pub struct CpuExecutor {
    crew: Mutex<Crew>,
    threads: usize,
}

/// What one run at a time uses.
struct Crew {
    threads: Threads,
    registers: Vec<Memory>,
    profile: Option<Profile>,
}

/// What a kernel runs with.
#[derive(Clone, Copy)]
struct Env<'a> {
    args: &'a [Mem<'a>],
    scalars: &'a [u32],
    scratch: Mem<'a>,
    threads: &'a Threads,
    registers: &'a [Memory],
}

impl<'a> Env<'a> {
    /// What a program needs on this worker.
    fn frame(&self, worker: usize) -> Frame<'a> {
        let registers = self.registers.get(worker).and_then(|m| m.window(0, program::REGISTER_BYTES as u64));
        Frame { args: self.args, scalars: self.scalars, registers: registers.unwrap_or(Mem::EMPTY), slots: &[], row: 0 }
    }
    /// Memory of the slots of this worker.
    fn slots(&self, worker: usize) -> Mem<'a> {
        let bytes = (program::REGISTER_BYTES as u64, program::SLOT_BYTES as u64);
        self.registers.get(worker).and_then(|m| m.window(bytes.0, bytes.1)).unwrap_or(Mem::EMPTY)
    }
}

impl CpuExecutor {
    /// With as many threads as `ADDAX_NUM_THREADS` says, or as the machine has cores.
    pub fn new() -> Result<CpuExecutor> {
        let threads = match platform::env("ADDAX_NUM_THREADS") {
            Some(wanted) => wanted.trim().parse().ok().filter(|n| (1..=4096).contains(n)).ok_or_else(|| {
                Error::argument(format!("ADDAX_NUM_THREADS is \"{wanted}\"; expected a whole number from 1 to 4096"))
            })?,
            None => platform::cores(),
        };
        CpuExecutor::with_threads(threads)
    }
    /// With this many threads, the calling one included.
    pub fn with_threads(threads: usize) -> Result<CpuExecutor> {
        let threads = Threads::new(threads)?;
        let count = threads.count();
        let registers = (0..count).map(|_| Memory::new(REGISTERS as u64)).collect::<Result<_>>()?;
        Ok(CpuExecutor { crew: Mutex::new(Crew { threads, registers, profile: None }), threads: count })
    }
    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.threads
    }
    /// Measures every kernel from now on, until [`take_profile`](Self::take_profile). What was measured before is dropped.
    pub fn start_profile(&self) {
        self.lock().profile = Some(Profile::default());
    }
    /// Stops measuring. Every plan that ran meanwhile, the one that took most of the time first; empty if nothing was measured.
    ///
    /// ```
    /// use addax_tensor::{Device, Tensor, cpu::CpuExecutor};
    /// let device = Device::default();
    /// let Some(cpu) = device.executor_as::<CpuExecutor>() else { return Ok(()) };
    /// cpu.start_profile();
    /// let a = Tensor::ones([64, 64]);
    /// a.matmul(&a).to_vec::<f32>()?;
    /// assert_eq!(cpu.take_profile()[0].kernels.last().map(|k| k.label.as_str()), Some("matmul"));
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    pub fn take_profile(&self) -> Vec<PlanTime> {
        self.lock().profile.take().map(Profile::finish).unwrap_or_default()
    }
    /// What the machine can do at most with this number of threads, measured now: takes about a tenth of a second.
    pub fn measure_peak(&self) -> Result<Peak> {
        profile::measure_peak(&self.lock().threads)
    }
    fn lock(&self) -> MutexGuard<'_, Crew> {
        self.crew.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of a buffer, to be read and written.
fn part(buffer: &Buffer, at: u64, len: u64) -> Result<Mem<'_>> {
    let memory = buffer.downcast_ref::<Memory>();
    let memory =
        memory.ok_or_else(|| Error::device("a buffer that is lent, or of another executor, was given to the CPU"))?;
    memory.window(at, len).ok_or_else(|| outside(at, len))
}

/// Bytes of a buffer, to be read only: perhaps those of an array.
fn read_part(buffer: &Buffer, at: u64, len: u64) -> Result<Mem<'_>> {
    match buffer.downcast_ref::<Lent>() {
        Some(lent) => lent.window(at, len).ok_or_else(|| outside(at, len)),
        None => part(buffer, at, len),
    }
}

fn outside(at: u64, len: u64) -> Error {
    Error::device(format!("{} from byte {at} on do not lie in the buffer", bytes_for_people(len)))
}

impl Executor for CpuExecutor {
    fn name(&self) -> String {
        format!("cpu ({} thread{})", self.threads, if self.threads == 1 { "" } else { "s" })
    }
    fn caps(&self) -> Caps {
        Caps {
            max_args: compile::MAX_ARGS,
            max_insts: program::MAX_INSTS,
            max_row: rows::LONGEST,
            max_row_insts: program::MAX_INSTS,
            max_binding: u64::MAX,
            arena: true,
            immediate: true,
            alignment: memory::ALIGNMENT as u64,
            free_strides: true,
        }
    }
    fn scratch(&self, kernel: &Kernel) -> u64 {
        compile::scratch(kernel, self.threads)
    }
    fn alloc(&self, bytes: u64) -> Result<Buffer> {
        Ok(Arc::new(Memory::new(bytes)?))
    }
    fn compile<'a>(&'a self, plan: &'a Plan) -> BoxFuture<'a, Result<Compiled>> {
        Box::pin(async move { Ok(Arc::new(Code::new(plan, self.threads)?) as Compiled) })
    }
    fn run(&self, code: &Compiled, buffers: &[Bound], scalars: &[u32]) -> Result<()> {
        let code = code
            .downcast_ref::<Code>()
            .ok_or_else(|| Error::device("a plan compiled by another executor was given to the CPU"))?;
        code.run(&mut self.lock(), buffers, scalars)
    }
    fn write(&self, to: &Buffer, at: u64, bytes: &[u8]) -> Result<()> {
        let to = part(to, at, bytes.len() as u64)?;
        // Waits for a run on another thread, so that it is ordered after it.
        let _crew = self.lock();
        to.write::<u8>(0, bytes.len()).copy_from_slice(bytes);
        Ok(())
    }
    fn lend(&self, array: &Array) -> Option<Buffer> {
        Lent::new(array).map(|lent| Arc::new(lent) as Buffer)
    }
    fn copy(&self, from: &Buffer, to: &Buffer, bytes: u64) -> Result<()> {
        let (from, to) = (read_part(from, 0, bytes)?, part(to, 0, bytes)?);
        let _crew = self.lock();
        to.write::<u8>(0, bytes as usize).copy_from_slice(from.read(0, bytes as usize));
        Ok(())
    }
    fn read<'a>(&'a self, from: &'a Buffer, range: Range<u64>) -> BoxFuture<'a, Result<Vec<u8>>> {
        Box::pin(async move {
            let len = range.end.saturating_sub(range.start);
            let from = read_part(from, range.start, len)?;
            let _crew = self.lock();
            Ok(from.read::<u8>(0, len as usize).to_vec())
        })
    }
}
