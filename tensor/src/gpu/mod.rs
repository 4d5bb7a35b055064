//! The GPU executor, through wgpu: Vulkan, Metal and Direct3D 12, and a browser's WebGPU.
//!
//! A plan's kernels become WGSL (module `code`, which touches no device), their texts become pipelines, and a run records
//! its dispatches into few compute passes. Values have buffers of their own, so that wgpu sees which dispatches depend on
//! which. What a caller of this module should know:
//!
//! - `Device::default()` takes a real GPU if there is one. Software adapters compute on the CPU, slower than
//!   [`CpuExecutor`](crate::cpu::CpuExecutor); they serve tests. `ADDAX_GPU=software` chooses one.
//! - A value larger than the adapter's storage binding limit is refused with an error.
//! - The same work gives the same bits on the same adapter: sums have a fixed order.

mod adapter;
mod buffer;
pub(crate) mod code;
mod executor;
mod pipeline;
mod program;
mod wait;

pub use adapter::Choice;
pub use executor::{GpuExecutor, GpuStats};

use crate::{Device, Result, memory, platform};
use std::any::Any;

impl Device {
    /// A new GPU device: a real GPU, or, if there is none or `ADDAX_GPU=software` asks for it, a software adapter (with a
    /// warning). Its budget is `ADDAX_MEMORY_LIMIT`, else none. Fails where no adapter is found.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn gpu() -> Result<Device> {
        platform::block_on(Device::gpu_async())
    }
    /// A new GPU device, awaited; in a browser, the only way to one. See [`set_default`](Device::set_default) for running
    /// everything on it.
    pub async fn gpu_async() -> Result<Device> {
        let choice = if software_wanted() { Choice::Software } else { Choice::Any };
        from(GpuExecutor::request(choice).await?)
    }

    /// What this device's GPU was asked to do so far; `None` for a CPU.
    pub fn gpu_stats(&self) -> Option<GpuStats> {
        let executor: &dyn Any = self.executor();
        executor.downcast_ref::<GpuExecutor>().map(GpuExecutor::stats)
    }
}

/// A device on a real GPU, if there is one.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) async fn real_gpu() -> Option<Device> {
    match GpuExecutor::request(Choice::Real).await.and_then(from) {
        Ok(device) => Some(device),
        Err(reason) => {
            tracing::info!("no GPU: {reason}");
            None
        }
    }
}

fn from(executor: GpuExecutor) -> Result<Device> {
    let device = Device::from_executor(Box::new(executor));
    device.set_memory_limit(memory::limit_from_env()?);
    Ok(device)
}

fn software_wanted() -> bool {
    platform::env("ADDAX_GPU").is_some_and(|v| v == "software")
}
