//! A GPU on paper: plans are made as for a GPU and their shaders written down, and the CPU computes. So generated shaders can be
//! checked where there is no GPU.

use crate::{
    cpu::CpuExecutor,
    device::Device,
    error::Result,
    executor::{Bound, BoxFuture, Buffer, Caps, Compiled, Executor},
    gpu::code::{Job, MAX_ROW_INSTS, Pass, Tuning, max_row, passes, scratch},
    graph::lock,
    plan::{Kernel, Plan, Source, Step},
};
use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex},
};

/// A generated shader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// What the table of shaders calls it.
    pub name: &'static str,
    /// Whether each of its bindings of group 0 is written.
    pub bindings: Vec<bool>,
}

/// The shaders of all plans so far, by their WGSL. Shared by the test and the executor.
pub type Shaders = Arc<Mutex<BTreeMap<String, Written>>>;

/// Computes on the CPU what is planned for a GPU.
pub struct PaperGpu {
    inner: CpuExecutor,
    tuning: Tuning,
    shaders: Shaders,
}

impl PaperGpu {
    /// A device that plans as for a GPU with the least limits that WebGPU promises, and the shaders that it writes down. With
    /// `barriers`, those of a real GPU that `groups` workgroups keep busy; else those of a software adapter.
    pub fn device(barriers: bool, groups: u64) -> Result<(Device, Shaders)> {
        let shaders = Shaders::default();
        let tuning = Tuning { barriers, groups };
        let paper = PaperGpu { inner: CpuExecutor::with_threads(1)?, tuning, shaders: shaders.clone() };
        Ok((Device::from_executor(Box::new(paper)), shaders))
    }
    fn note(&self, plan: &Plan, step: &Step) -> Result<()> {
        match step {
            Step::Run { kernel, args } => {
                let scratch = plan.buffers.iter().position(|b| b.source == Source::Scratch);
                let job = Job { kernel, args, buffers: &plan.buffers, scalars: plan.scalars.len(), scratch };
                for Pass { name, text, bindings, scalars, moving, .. } in passes(&job, &self.tuning)? {
                    let uniforms = usize::from(scalars) + usize::from(!moving.is_empty());
                    let bindings = bindings.iter().map(|b| b.written).chain(std::iter::repeat_n(false, uniforms));
                    lock(&self.shaders).insert(text, Written { name, bindings: bindings.collect() });
                }
                Ok(())
            }
            Step::Loop { body, .. } => body.iter().try_for_each(|step| self.note(plan, step)),
        }
    }
}

impl Executor for PaperGpu {
    fn name(&self) -> String {
        format!("paper {}", self.inner.name())
    }
    fn caps(&self) -> Caps {
        Caps {
            max_args: 7,
            max_insts: 64,
            max_row: max_row(&self.tuning),
            max_row_insts: MAX_ROW_INSTS,
            max_binding: 128 << 20,
            arena: false,
            free_strides: true,
            alignment: 16,
            ..self.inner.caps()
        }
    }
    fn scratch(&self, kernel: &Kernel) -> u64 {
        self.inner.scratch(kernel).max(scratch(kernel, &self.tuning))
    }
    fn alloc(&self, bytes: u64) -> Result<Buffer> {
        self.inner.alloc(bytes)
    }
    fn compile<'a>(&'a self, plan: &'a Plan) -> BoxFuture<'a, Result<Compiled>> {
        Box::pin(async move {
            plan.compute.iter().chain(&plan.commit).try_for_each(|step| self.note(plan, step))?;
            self.inner.compile(plan).await
        })
    }
    fn run(&self, code: &Compiled, buffers: &[Bound], scalars: &[u32]) -> Result<()> {
        self.inner.run(code, buffers, scalars)
    }
    fn write(&self, to: &Buffer, at: u64, bytes: &[u8]) -> Result<()> {
        self.inner.write(to, at, bytes)
    }
    fn copy(&self, from: &Buffer, to: &Buffer, bytes: u64) -> Result<()> {
        self.inner.copy(from, to, bytes)
    }
    fn read<'a>(&'a self, from: &'a Buffer, range: Range<u64>) -> BoxFuture<'a, Result<Vec<u8>>> {
        self.inner.read(from, range)
    }
}
