//! Devices: an executor, a byte count and a budget.

use crate::{
    error::{Error, ErrorKind, OutOfMemory, Result},
    executor::{Caps, Executor},
    memory::Storage,
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// What computes: a CPU or a GPU. A cheap handle; equal handles mean the same device.
#[derive(Clone)]
pub struct Device(Arc<Inner>);

struct Inner {
    name: String,
    executor: Box<dyn Executor>,
    live: AtomicU64,
    peak: AtomicU64,
    allocations: AtomicU64,
    budget: AtomicU64,
}

impl Device {
    /// A device of one's own around an executor, without a limit.
    pub fn from_executor(executor: Box<dyn Executor>) -> Device {
        Device(Arc::new(Inner {
            name: executor.name(),
            executor,
            live: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            allocations: AtomicU64::new(0),
            budget: AtomicU64::new(u64::MAX),
        }))
    }
    /// For people.
    pub fn name(&self) -> &str {
        &self.0.name
    }
    /// What it can do.
    pub fn caps(&self) -> Caps {
        self.0.executor.caps()
    }
    pub(crate) fn executor(&self) -> &dyn Executor {
        &*self.0.executor
    }
    /// Takes counted, zeroed memory, or refuses.
    pub(crate) fn alloc(&self, bytes: u64) -> Result<Storage> {
        let budget = self.0.budget.load(Ordering::Relaxed);
        let live = self.0.live.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let refuse = |needed| {
            self.0.live.fetch_sub(bytes, Ordering::Relaxed);
            ErrorKind::OutOfMemory(OutOfMemory { device: self.0.name.clone(), needed, budget, ..Default::default() })
        };
        if live > budget {
            return Err(Error::new(refuse(live)));
        }
        let buffer = self.0.executor.alloc(bytes).inspect_err(|_| {
            self.0.live.fetch_sub(bytes, Ordering::Relaxed);
        })?;
        self.0.peak.fetch_max(live, Ordering::Relaxed);
        self.0.allocations.fetch_add(1, Ordering::Relaxed);
        Ok(Storage::new(self.clone(), buffer, bytes))
    }
    pub(crate) fn give_back(&self, bytes: u64) {
        self.0.live.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl PartialEq for Device {
    fn eq(&self, other: &Device) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
impl Eq for Device {}
impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({})", self.0.name)
    }
}
