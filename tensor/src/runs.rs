//! Runs that use a device's memory now. Who is refused memory while another runs waits for its end instead of giving up.

use crate::{device::Device, error::Result, graph::lock};
use std::sync::{Condvar, Mutex, PoisonError};

/// How often a refused attempt is made again after others' runs; a bound for the case that it is always somebody's turn.
const PATIENCE: usize = 1000;

#[derive(Default)]
pub(crate) struct Runs {
    now: Mutex<Now>,
    ended: Condvar,
}

#[derive(Default)]
struct Now {
    running: usize,
    /// Bytes of the workspaces that they lease.
    bytes: u64,
    /// How many runs ended so far.
    ended: u64,
}

impl Runs {
    /// Bytes of workspaces in use.
    pub(crate) fn bytes(&self) -> u64 {
        lock(&self.now).bytes
    }
    fn ended(&self) -> u64 {
        lock(&self.now).ended
    }
    /// Waits until more runs have ended than these. `false` if none did and none is running.
    fn another_ends(&self, seen: u64) -> bool {
        let waits = |now: &mut Now| now.running > 0 && now.ended == seen;
        let now = self.ended.wait_while(lock(&self.now), waits).unwrap_or_else(PoisonError::into_inner);
        now.ended != seen
    }
}

/// A run that leases so many bytes, until this is dropped.
pub(crate) struct Running {
    device: Device,
    bytes: u64,
}

impl Running {
    pub(crate) fn begin(device: &Device, bytes: u64) -> Running {
        let mut now = lock(&device.runs().now);
        now.running += 1;
        now.bytes += bytes;
        Running { device: device.clone(), bytes }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let runs = self.device.runs();
        let mut now = lock(&runs.now);
        now.running -= 1;
        now.bytes -= self.bytes;
        now.ended += 1;
        drop(now);
        runs.ended.notify_all();
    }
}

/// Tries what needs memory; if that is refused, again whenever another run has ended meanwhile. Never called by one that leases a
/// workspace, so of those that wait for each other one always runs.
pub(crate) fn patiently<T>(device: &Device, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 0..PATIENCE {
        let seen = device.runs().ended();
        match attempt() {
            Err(error) if error.is_out_of_memory() && device.runs().another_ends(seen) => {}
            other => return other,
        }
    }
    attempt()
}
