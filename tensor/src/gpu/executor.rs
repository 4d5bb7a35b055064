//! The executor contract, on a GPU.

use super::{
    adapter::{Choice, Gpu},
    buffer::GpuBuffer,
    code,
    program::GpuProgram,
};
use crate::{
    error::{Error, Result},
    executor::{Bound, BoxFuture, Buffer, Caps, Compiled, Executor},
    graph::lock,
    memory::Meter,
    plan::{Kernel, Plan},
};
use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Runs plans on a GPU.
///
/// Running only submits; but where 64 submissions or 32 MiB of uploads wait for the device, the next call waits for the oldest of
/// them, natively: what waits takes memory. A browser keeps them itself.
pub struct GpuExecutor(Gpu);

/// What a GPU was asked to do so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GpuStats {
    /// Kernels dispatched.
    pub dispatches: u64,
    /// Command buffers submitted by runs.
    pub submits: u64,
    /// Copies to the host, each of which was waited for.
    pub readbacks: u64,
    /// Kernels of plans that ran and that no dispatch computed, so that the host would have to: there should be none.
    pub host_kernels: u64,
}

/// Running counts.
#[derive(Default)]
pub struct Counters {
    pub dispatches: AtomicU64,
    pub submits: AtomicU64,
    pub readbacks: AtomicU64,
    /// Kernels of plans that no dispatch computed.
    pub left_out: AtomicU64,
    /// Bytes handed to staging since the last wait.
    pub staged: AtomicU64,
}

impl GpuExecutor {
    /// Opens the best adapter that the choice allows.
    pub async fn request(choice: Choice) -> Result<GpuExecutor> {
        Ok(GpuExecutor(Gpu::open(choice).await?))
    }

    /// What was asked of it so far.
    pub fn stats(&self) -> GpuStats {
        let counters = &self.0.counters;
        GpuStats {
            dispatches: counters.dispatches.load(Ordering::Relaxed),
            submits: counters.submits.load(Ordering::Relaxed),
            readbacks: counters.readbacks.load(Ordering::Relaxed),
            host_kernels: counters.left_out.load(Ordering::Relaxed),
        }
    }

    /// Loses the device with all that lies on it, as a driver's reset would: for testing what comes after.
    pub fn destroy(&self) {
        self.0.destroy();
    }

    /// Asks something of the device. Nothing is asked of a lost one, and what one gave that was lost meanwhile counts for nothing.
    fn ask<T>(&self, what: impl FnOnce(&Gpu) -> Result<T>) -> Result<T> {
        self.0.alive()?;
        let answer = what(&self.0);
        self.0.alive().and(answer)
    }

    /// The same executor with the shaders of a real GPU that `groups` workgroups keep busy, whatever the adapter: for testing
    /// all of them on a software adapter. Many groups mean small tiles and long sums in parts, few mean large tiles.
    pub fn with_gpu_shaders(mut self, groups: u64) -> Self {
        self.0.tuning = code::Tuning { barriers: true, groups };
        self
    }
}

fn buffer(buffer: &Buffer) -> Result<&GpuBuffer> {
    buffer.downcast_ref::<GpuBuffer>().ok_or_else(|| Error::device("a buffer of another device was given to a GPU"))
}

impl Executor for GpuExecutor {
    fn name(&self) -> String {
        self.0.name.clone()
    }

    fn caps(&self) -> Caps {
        let limits = &self.0.limits;
        // One binding is left for scratch.
        let bindings = limits.max_storage_buffers_per_shader_stage.saturating_sub(1) as usize;
        Caps {
            max_args: bindings.clamp(4, 24),
            max_insts: 64,
            max_row: code::max_row(&self.0.tuning),
            max_row_insts: code::MAX_ROW_INSTS,
            max_binding: limits.max_storage_buffer_binding_size,
            arena: false,
            immediate: false,
            alignment: 16,
            free_strides: true,
        }
    }

    fn scratch(&self, kernel: &Kernel) -> u64 {
        code::scratch(kernel, &self.0.tuning)
    }

    fn alloc(&self, bytes: u64) -> Result<Buffer> {
        self.ask(|gpu| Ok(Arc::new(gpu.alloc(bytes)?) as Buffer))
    }

    fn compile<'a>(&'a self, plan: &'a Plan) -> BoxFuture<'a, Result<Compiled>> {
        Box::pin(async move {
            self.0.alive()?;
            let program = GpuProgram::new(&self.0, plan).await;
            self.0.alive().and(program).map(|program| Arc::new(program) as Compiled)
        })
    }

    fn run(&self, code: &Compiled, buffers: &[Bound], scalars: &[u32]) -> Result<()> {
        let program = code
            .downcast_ref::<GpuProgram>()
            .ok_or_else(|| Error::device("a plan compiled for another device was given to a GPU"))?;
        let mut list = Vec::with_capacity(buffers.len());
        for bound in buffers {
            if bound.offset != 0 {
                return Err(Error::device("a GPU's values begin where their buffers begin"));
            }
            list.push(buffer(&bound.buffer)?);
        }
        self.ask(|gpu| program.run(gpu, &list, scalars))
    }

    fn write(&self, to: &Buffer, at: u64, bytes: &[u8]) -> Result<()> {
        let to = buffer(to)?;
        self.ask(|gpu| gpu.write(to, at, bytes))
    }

    fn copy(&self, from: &Buffer, to: &Buffer, bytes: u64) -> Result<()> {
        let (from, to) = (buffer(from)?, buffer(to)?);
        self.ask(|gpu| gpu.copy(from, to, bytes))
    }

    fn read<'a>(&'a self, from: &'a Buffer, range: Range<u64>) -> BoxFuture<'a, Result<Vec<u8>>> {
        Box::pin(async move {
            self.0.alive()?;
            let bytes = self.0.read(buffer(from)?, range).await;
            self.0.alive().and(bytes)
        })
    }

    fn meter(&self) -> Meter {
        self.0.meter.clone()
    }

    fn trim(&self) {
        lock(&self.0.readback).clear();
    }

    fn can_be_lost(&self) -> bool {
        true
    }

    fn reopen(&self) -> BoxFuture<'_, Result<Box<dyn Executor>>> {
        Box::pin(async move {
            let mut again = GpuExecutor::request(self.0.choice).await?;
            again.0.tuning = self.0.tuning;
            Ok(Box::new(again) as Box<dyn Executor>)
        })
    }
}
