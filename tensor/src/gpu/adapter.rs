//! Which adapter computes, and the connection to it.

#[cfg(not(target_arch = "wasm32"))]
use super::wait::Watcher;
use super::{buffer::OwnBuffer, code::Tuning, executor::Counters, pipeline::Pipelines};
use crate::{
    error::{Error, Result},
    graph::lock,
    memory::Meter,
};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// Most submissions that may wait for the device.
const MAX_WAITING: usize = 64;

/// Which adapters may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Real GPUs.
    Real,
    /// Adapters that compute on the CPU.
    Software,
    /// A real GPU, else a software adapter with a warning.
    Any,
}

/// An open adapter and what is counted about it.
pub struct Gpu {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub limits: wgpu::Limits,
    pub name: String,
    pub tuning: Tuning,
    pub pipelines: Pipelines,
    pub counters: Counters,
    /// Submissions that may not be done yet, the oldest first.
    waiting: Mutex<VecDeque<wgpu::SubmissionIndex>>,
    /// Numbers for buffers.
    pub next_id: AtomicU64,
    /// Buffers for reading back that wait for their next use.
    pub readback: Mutex<Vec<OwnBuffer>>,
    /// Counts the bytes of values, and those of buffers beside them.
    pub meter: Meter,
    #[cfg(not(target_arch = "wasm32"))]
    pub watcher: Watcher,
    pub fault: Arc<Mutex<Fault>>,
    /// Which adapters it was chosen from.
    pub choice: Choice,
}

/// What went wrong where no call could return it.
#[derive(Default)]
pub struct Fault {
    /// Why the device is lost.
    lost: Option<String>,
    /// The first error that no scope caught.
    uncaught: Option<String>,
}

/// How much an adapter is wanted: the least first. `None` if it is not allowed.
fn rank(choice: Choice, kind: wgpu::DeviceType) -> Option<u8> {
    let software = kind == wgpu::DeviceType::Cpu;
    let allowed = match choice {
        Choice::Real => !software,
        Choice::Software => software,
        Choice::Any => true,
    };
    allowed.then_some(match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    })
}

impl Gpu {
    /// Opens the best allowed adapter with its own limits.
    pub async fn open(choice: Choice) -> Result<Gpu> {
        let mut options = wgpu::InstanceDescriptor::new_without_display_handle();
        // Vulkan, Metal, Direct3D 12, and WebGPU in a browser.
        options.backends = wgpu::Backends::PRIMARY;
        // Nothing here dispatches indirectly, and checking that costs a pass of its own.
        options.flags.remove(wgpu::InstanceFlags::VALIDATION_INDIRECT_CALL);
        let instance = wgpu::Instance::new(options);
        let adapters = instance.enumerate_adapters(wgpu::Backends::PRIMARY).await;
        let mut ranked: Vec<(u8, wgpu::Adapter)> =
            adapters.into_iter().filter_map(|a| Some((rank(choice, a.get_info().device_type)?, a))).collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        let Some((_, adapter)) = ranked.into_iter().next() else {
            return Err(Error::device(match choice {
                Choice::Real => "no GPU was found; is its Vulkan, Metal or Direct3D 12 driver installed?",
                Choice::Software => "no software adapter was found; install one, such as mesa-vulkan-drivers",
                Choice::Any => "no GPU adapter was found; is a Vulkan, Metal or Direct3D 12 driver installed?",
            }));
        };
        let info = adapter.get_info();
        let software = info.device_type == wgpu::DeviceType::Cpu;
        if software && choice == Choice::Any {
            tracing::warn!("\"{}\" computes on the CPU; device \"cpu\" is faster", info.name);
        }
        let descriptor = wgpu::DeviceDescriptor {
            required_limits: adapter.limits(),
            // Our buffers are pooled by the planner: large blocks reserved beside them would only cost memory.
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let opened = adapter.request_device(&descriptor).await;
        let (device, queue) =
            opened.map_err(|e| Error::device(format!("cannot open \"{}\"", info.name)).caused_by(e))?;
        let fault: Arc<Mutex<Fault>> = Arc::default();
        let (uncaught, lost) = (fault.clone(), fault.clone());
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            tracing::error!("{error}");
            lock(&uncaught).uncaught.get_or_insert_with(|| error.to_string());
        }));
        // Called from within whatever call finds out: errors of a lost device come this way only.
        device.set_device_lost_callback(move |_, message| {
            lock(&lost).lost.get_or_insert(message);
        });
        Ok(Gpu {
            limits: device.limits(),
            name: format!("{} ({})", info.name, info.backend),
            tuning: match software {
                true => Tuning { barriers: false, groups: 4 },
                false => Tuning { barriers: true, groups: 256 },
            },
            pipelines: Pipelines::default(),
            counters: Counters::default(),
            waiting: Mutex::default(),
            next_id: AtomicU64::new(0),
            readback: Mutex::default(),
            meter: Meter::default(),
            #[cfg(not(target_arch = "wasm32"))]
            watcher: Watcher::default(),
            fault,
            choice,
            device,
            queue,
        })
    }

    /// Fails if something went wrong that no call could return.
    pub fn check(&self) -> Result<()> {
        self.alive()?;
        match &lock(&self.fault).uncaught {
            Some(fault) => Err(Error::device(format!("{}: {fault}", self.name))),
            None => Ok(()),
        }
    }

    /// Fails if the device is lost.
    pub fn alive(&self) -> Result<()> {
        match &lock(&self.fault).lost {
            Some(why) => Err(Error::device_lost(format!("{} was lost: {why}", self.name))),
            None => Ok(()),
        }
    }

    /// Loses the device as a driver's reset would.
    pub fn destroy(&self) {
        self.device.destroy();
        lock(&self.fault).lost.get_or_insert_with(|| "it was destroyed".into());
    }

    /// Submits work. Waits only if the device is far behind: what waits in its queue takes memory.
    pub fn submit(&self, work: wgpu::CommandBuffer) -> Result<()> {
        let index = self.queue.submit([work]);
        self.counters.submits.fetch_add(1, Ordering::Relaxed);
        let late = {
            let mut waiting = lock(&self.waiting);
            waiting.push_back(index);
            if waiting.len() > MAX_WAITING { waiting.pop_front() } else { None }
        };
        match late {
            Some(index) => self.wait_for(index),
            // Lets go of what the device has finished with.
            None => self.poll(wgpu::PollType::Poll),
        }
    }

    /// Waits until a submission is done. A browser's device polls itself, and nobody waits for it.
    pub fn wait_for(&self, index: wgpu::SubmissionIndex) -> Result<()> {
        self.poll(wgpu::PollType::Wait { submission_index: Some(index), timeout: None })
    }

    /// Waits until everything that was submitted is done.
    pub fn wait(&self) -> Result<()> {
        lock(&self.waiting).clear();
        self.poll(wgpu::PollType::wait_indefinitely())
    }

    fn poll(&self, how: wgpu::PollType) -> Result<()> {
        poll(&self.device, &self.fault, how).map_err(|why| {
            let failed = Error::device(format!("{}: waiting failed", self.name));
            match why {
                Some(why) => failed.caused_by(why),
                None => self.alive().err().unwrap_or(failed),
            }
        })
    }
}

/// Polls a device. On failure why, or nothing if the device is found to be lost.
pub fn poll(device: &wgpu::Device, fault: &Mutex<Fault>, how: wgpu::PollType) -> Result<(), Option<wgpu::PollError>> {
    // wgpu panics if it finds the device lost while it waits, having called back before.
    let waiting = std::panic::AssertUnwindSafe(|| device.poll(how));
    match std::panic::catch_unwind(waiting) {
        Ok(polled) => polled.map(drop).map_err(Some),
        Err(_) => {
            lock(fault).lost.get_or_insert_with(|| "waiting for it failed".into());
            Err(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_ones_come_first_and_software_only_when_asked() {
        use wgpu::DeviceType::{Cpu, DiscreteGpu, IntegratedGpu};
        assert!(rank(Choice::Any, DiscreteGpu) < rank(Choice::Any, IntegratedGpu));
        assert!(rank(Choice::Any, IntegratedGpu) < rank(Choice::Any, Cpu));
        assert_eq!(rank(Choice::Real, Cpu), None);
        assert_eq!(rank(Choice::Software, DiscreteGpu), None);
    }
}
