//! An executor that fails on command: at the k-th allocation, submission, kernel, copy or compilation from now, once or again and
//! again; and one that is lost on command, with all that lies on it.

use crate::{
    cpu::CpuExecutor,
    device::Device,
    error::{Error, ErrorKind, OutOfMemory, Result},
    executor::{Bound, BoxFuture, Buffer, Caps, Compiled, Executor},
    plan::{Kernel, Plan},
    platform,
};
use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

/// When an executor fails. Shared by the test and the executor.
#[derive(Default)]
pub struct Fault {
    /// Calls until it fails; nothing is planned below 1.
    left: AtomicI64,
    /// Calls until it fails the next time, once it did; 0 for never.
    every: AtomicU64,
    fired: AtomicU64,
    memory: AtomicBool,
}

impl Fault {
    /// Fails at the `k`-th call from now (from 1), once.
    pub fn arm(&self, k: u64) {
        self.arm_again(k, 0);
    }
    /// Fails at the `k`-th call from now (from 1), and from then on at every `every`-th.
    pub fn arm_again(&self, k: u64, every: u64) {
        self.fired.store(0, Ordering::Relaxed);
        self.every.store(every, Ordering::Relaxed);
        self.left.store(k as i64, Ordering::Relaxed);
    }
    /// Fails no more; says whether it did since it was armed.
    pub fn disarm(&self) -> bool {
        self.left.store(0, Ordering::Relaxed);
        self.every.store(0, Ordering::Relaxed);
        self.times() > 0
    }
    /// How often it failed since it was armed.
    pub fn times(&self) -> u64 {
        self.fired.load(Ordering::Relaxed)
    }
    /// Whether allocations alone are counted and fail, and say that memory is short (which the ladder answers) instead of that the
    /// device failed.
    pub fn say_out_of_memory(&self, yes: bool) {
        self.memory.store(yes, Ordering::Relaxed);
    }
    fn is_of_memory(&self) -> bool {
        self.memory.load(Ordering::Relaxed)
    }
    /// Counts `calls`; the number of those that still succeed if one of them fails.
    fn pass(&self, calls: u64) -> Option<u64> {
        let before = self.left.fetch_sub(calls as i64, Ordering::Relaxed);
        let fails = 1 <= before && before <= calls as i64;
        if fails {
            self.fired.fetch_add(1, Ordering::Relaxed);
            self.left.store(self.every.load(Ordering::Relaxed) as i64, Ordering::Relaxed);
        }
        fails.then(|| before as u64 - 1)
    }
}

/// A CPU that fails on command, or is lost.
pub struct Faulty {
    inner: CpuExecutor,
    fault: Arc<Fault>,
    /// Whether a fault loses it with all that lies on it; and whether one did.
    losable: bool,
    lost: AtomicBool,
}

struct Code {
    plan: Plan,
    code: Compiled,
}

impl Faulty {
    /// A device with its own memory count, and the fault that it obeys.
    pub fn device() -> Result<(Device, Arc<Fault>)> {
        let fault = Arc::new(Fault::default());
        Ok((Device::from_executor(Box::new(Faulty::new(fault.clone(), false)?)), fault))
    }
    /// Likewise, but a fault loses the device: from then on every call fails, until it is opened again with nothing on it.
    pub fn losable_device() -> Result<(Device, Arc<Fault>)> {
        let fault = Arc::new(Fault::default());
        Ok((Device::from_executor(Box::new(Faulty::new(fault.clone(), true)?)), fault))
    }
    fn new(fault: Arc<Fault>, losable: bool) -> Result<Faulty> {
        Ok(Faulty { inner: CpuExecutor::with_threads(1)?, fault, losable, lost: AtomicBool::new(false) })
    }
    /// The number of those of these calls that still succeed if one of them fails; whether it was lost before.
    fn pass(&self, calls: u64) -> Result<Option<u64>> {
        if self.lost.load(Ordering::Relaxed) {
            return Err(Error::device_lost("a planned fault: the device is lost, and this call came after"));
        }
        let passed = self.fault.pass(calls);
        if passed.is_some() && self.losable {
            self.lost.store(true, Ordering::Relaxed);
            return Err(Error::device_lost("a planned fault: the device is lost"));
        }
        Ok(passed)
    }
    fn check(&self, what: &str) -> Result<()> {
        if self.fault.is_of_memory() {
            return Ok(());
        }
        match self.pass(1)? {
            Some(_) => Err(Error::device(format!("a planned fault: {what}"))),
            None => Ok(()),
        }
    }
}

impl Executor for Faulty {
    fn name(&self) -> String {
        format!("faulty {}", self.inner.name())
    }
    fn caps(&self) -> Caps {
        self.inner.caps()
    }
    fn scratch(&self, kernel: &Kernel) -> u64 {
        self.inner.scratch(kernel)
    }
    fn alloc(&self, bytes: u64) -> Result<Buffer> {
        if self.fault.is_of_memory() && self.pass(1)?.is_some() {
            let report = OutOfMemory { device: self.name(), needed: bytes, ..OutOfMemory::default() };
            return Err(Error::new(ErrorKind::OutOfMemory(report)));
        }
        self.check("allocation")?;
        self.inner.alloc(bytes)
    }
    fn compile<'a>(&'a self, plan: &'a Plan) -> BoxFuture<'a, Result<Compiled>> {
        Box::pin(async move {
            self.check("compilation")?;
            let code = self.inner.compile(plan).await?;
            Ok(Arc::new(Code { plan: plan.clone(), code }) as Compiled)
        })
    }
    /// Fails before the first kernel, or after some: those that write state come last and are never reached.
    fn run(&self, code: &Compiled, buffers: &[Bound], scalars: &[u32]) -> Result<()> {
        let Code { plan, code } =
            code.downcast_ref::<Code>().ok_or_else(|| Error::device("a plan of another executor"))?;
        let calls = plan.compute.len() as u64 + 1;
        let Some(done) = (if self.fault.is_of_memory() { None } else { self.pass(calls)? }) else {
            return self.inner.run(code, buffers, scalars);
        };
        let compute = plan.compute.iter().take(done as usize).cloned().collect();
        let part = Plan { compute, commit: Vec::new(), ..plan.clone() };
        let code = platform::block_on(self.inner.compile(&part))?;
        self.inner.run(&code, buffers, scalars)?;
        Err(Error::device(format!("a planned fault: after {done} kernels")))
    }
    fn write(&self, to: &Buffer, at: u64, bytes: &[u8]) -> Result<()> {
        self.check("upload")?;
        self.inner.write(to, at, bytes)
    }
    fn copy(&self, from: &Buffer, to: &Buffer, bytes: u64) -> Result<()> {
        self.check("copy")?;
        self.inner.copy(from, to, bytes)
    }
    fn read<'a>(&'a self, from: &'a Buffer, range: Range<u64>) -> BoxFuture<'a, Result<Vec<u8>>> {
        Box::pin(async move {
            self.check("readback")?;
            self.inner.read(from, range).await
        })
    }
    fn can_be_lost(&self) -> bool {
        self.losable
    }
    fn reopen(&self) -> BoxFuture<'_, Result<Box<dyn Executor>>> {
        let again = Faulty::new(self.fault.clone(), self.losable);
        Box::pin(std::future::ready(again.map(|executor| Box::new(executor) as Box<dyn Executor>)))
    }
}
