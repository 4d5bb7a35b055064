//! Devices: an executor, a byte count, a budget, a shared workspace and a cache of plans.

use crate::{
    cpu::CpuExecutor,
    error::{Error, ErrorKind, OutOfMemory, Result},
    executor::{Caps, Executor},
    graph::lock,
    idle::{Buffers, Idle},
    memory::{self, Counted, Meter, Storage},
    plan::{cache::PlanCache, split::Rung},
    platform,
    runs::Runs,
    workspace::Workspace,
};
use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// What computes: a CPU or a GPU. A cheap handle; equal handles mean the same device.
///
/// ```
/// use addax_tensor::{Device, Tensor};
/// let device = Device::default();
/// println!("{}", device.name());
/// let before = device.memory().live;
/// let x = Tensor::ones([1000]);
/// assert_eq!(x.sum_all().item::<f32>()?, 1000.0);
/// assert!(device.memory().peak >= before);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[derive(Clone)]
pub struct Device(Arc<Inner>);

struct Inner {
    name: String,
    /// Memory for the next run. Nothing that a device keeps holds the device, so it goes with its last user; the workspace goes
    /// before what made it.
    workspace: Mutex<Option<Workspace>>,
    executor: Box<dyn Executor>,
    /// Bytes in use, the executor's own included.
    meter: Meter,
    counts: Counts,
    /// What the user or the machine allows.
    limit: AtomicU64,
    /// What refusals of the device itself have taught.
    learned: AtomicU64,
    idle: Idle,
    runs: Runs,
    plans: Mutex<PlanCache>,
}

#[derive(Default)]
struct Counts {
    allocations: AtomicU64,
    replaced: AtomicU64,
    let_go: AtomicU64,
}

/// Byte counts of a device. They are the engine's own, so they are exact on every device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryInfo {
    /// Bytes in use now, the shared workspace included.
    pub live: u64,
    /// Most bytes in use at once so far.
    pub peak: u64,
    /// Most bytes at once that a GPU took beside values, to read them back and for parameters. They count, but are not refused, so the
    /// peak may be above the budget by them.
    pub beside: u64,
    /// Bytes the device may use; `u64::MAX` when there is no limit.
    pub budget: u64,
    /// Number of allocations so far: flat in steady training.
    pub allocations: u64,
    /// Number of times a variable's storage was replaced because somebody else held it: flat in steady training.
    pub replaced: u64,
    /// Number of times programs that did not run let go of their inputs and outputs, because memory was short.
    pub let_go: u64,
}

static DEFAULT: OnceLock<Mutex<Option<Device>>> = OnceLock::new();

impl Device {
    /// A device of one's own around an executor, without a limit.
    pub fn from_executor(executor: Box<dyn Executor>) -> Device {
        Device(Arc::new(Inner {
            name: executor.name(),
            workspace: Mutex::new(None),
            meter: executor.meter(),
            executor,
            counts: Counts::default(),
            limit: AtomicU64::new(u64::MAX),
            learned: AtomicU64::new(u64::MAX),
            idle: Idle::default(),
            runs: Runs::default(),
            plans: Mutex::new(PlanCache::default()),
        }))
    }
    /// A new CPU device with its own count, budget and worker threads (their number from `ADDAX_NUM_THREADS`, else the
    /// machine's), and the default budget.
    pub fn cpu() -> Result<Device> {
        let device = Device::from_executor(Box::new(CpuExecutor::new()?));
        device.set_memory_limit(Some(memory::default_cpu_budget()?));
        Ok(device)
    }
    /// The device that everything runs on unless told otherwise: a real GPU if there is one, else the CPU.
    /// Chosen once; [`set_default`](Device::set_default) or `ADDAX_DEVICE=cpu|gpu` decide otherwise.
    pub fn try_default() -> Result<Device> {
        let mut chosen = lock(DEFAULT.get_or_init(Mutex::default));
        if let Some(device) = &*chosen {
            return Ok(device.clone());
        }
        let device = match platform::env("ADDAX_DEVICE") {
            Some(name) if !name.trim().is_empty() => Device::by_name(name.trim())?,
            _ => Device::best()?,
        };
        *chosen = Some(device.clone());
        Ok(device)
    }
    /// Makes this the device that everything runs on unless told otherwise.
    pub fn set_default(device: &Device) {
        *lock(DEFAULT.get_or_init(Mutex::default)) = Some(device.clone());
    }
    /// A new device by its name: `cpu`, or `gpu` with the `gpu` feature.
    pub fn by_name(name: &str) -> Result<Device> {
        match name {
            "cpu" => Device::cpu(),
            #[cfg(all(feature = "gpu", not(target_arch = "wasm32")))]
            "gpu" => Device::gpu(),
            #[cfg(all(feature = "gpu", target_arch = "wasm32"))]
            "gpu" => Err(Error::device("a browser's GPU takes awaiting: `Device::gpu_async().await`")),
            #[cfg(not(feature = "gpu"))]
            "gpu" => Err(Error::device("device \"gpu\" needs the cargo feature `gpu`, which this build does not have")),
            other => Err(Error::unknown_name("device", other, ["cpu", "gpu"])),
        }
    }
    #[cfg(all(feature = "gpu", not(target_arch = "wasm32")))]
    fn best() -> Result<Device> {
        platform::block_on(crate::gpu::real_gpu()).map_or_else(Device::cpu, Ok)
    }
    /// Finding a browser's GPU takes awaiting, so there nothing but the CPU can be chosen unasked.
    #[cfg(any(not(feature = "gpu"), target_arch = "wasm32"))]
    fn best() -> Result<Device> {
        Device::cpu()
    }

    /// For people.
    pub fn name(&self) -> &str {
        &self.0.name
    }
    /// What it can do.
    pub fn caps(&self) -> Caps {
        self.0.executor.caps()
    }
    /// Byte counts.
    pub fn memory(&self) -> MemoryInfo {
        let counts = &self.0.counts;
        MemoryInfo {
            live: self.0.meter.live(),
            peak: self.0.meter.peak(),
            beside: self.0.meter.peak_beside(),
            budget: self.budget(),
            allocations: counts.allocations.load(Ordering::Relaxed),
            replaced: counts.replaced.load(Ordering::Relaxed),
            let_go: counts.let_go.load(Ordering::Relaxed),
        }
    }
    /// Limits the bytes the device may use; `None` lifts the limit. What is in use already stays.
    pub fn set_memory_limit(&self, bytes: Option<u64>) {
        self.0.limit.store(bytes.unwrap_or(u64::MAX), Ordering::Relaxed);
        self.forget_refusals();
    }
    /// Forgets the highest count so far, so that the next peak can be measured.
    pub fn reset_peak(&self) {
        self.0.meter.reset_peak();
    }
    /// Gives back the shared workspace, the inputs and outputs of programs that do not run now, and memory that the executor keeps for
    /// later. The next run takes them again.
    pub fn trim(&self) {
        *lock(&self.0.workspace) = None;
        self.0.idle.let_go();
        self.0.executor.trim();
    }
    /// Plans kept, and how often one was found or had to be made.
    pub fn plan_cache(&self) -> crate::plan::cache::CacheInfo {
        lock(&self.0.plans).info()
    }
    /// Switches the plan cache off (every step is planned anew) or on.
    pub fn set_plan_cache(&self, on: bool) {
        lock(&self.0.plans).set_enabled(on);
    }
    /// Switches fusion off (every value lies in memory) or on: for finding out whether a wrong number is fusion's fault.
    pub fn set_fusion(&self, on: bool) {
        lock(&self.0.plans).set_fusion(on);
    }

    /// Makes every step take this rung of the memory ladder whether or not it must (`None`: only if it must), as far as it has one:
    /// for finding out whether a wrong number is the ladder's fault. There are no more slices than samples, and all but the last
    /// have as many; a step whose batch cannot be split is computed as a whole. A rung that computes values again is the smallest
    /// of its number of slices.
    pub fn set_rung(&self, rung: Option<Rung>) {
        lock(&self.0.plans).set_rung(rung);
    }

    /// Whether what lies on it can be lost, as a GPU's memory is when its driver resets. Training on such a device keeps restore
    /// points on the host; on others it has nothing to keep.
    pub fn can_be_lost(&self) -> bool {
        self.0.executor.can_be_lost()
    }
    /// A new device on the same hardware, with the same limit and the same ways of planning, for going on after this one was
    /// lost ([`Error::is_device_lost`]). What lay on this one stays lost; if it was the default device, the new one is.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn reopen(&self) -> Result<Device> {
        platform::block_on(self.reopen_async())
    }
    /// [`reopen`](Device::reopen), awaited.
    pub async fn reopen_async(&self) -> Result<Device> {
        let device = Device::from_executor(self.0.executor.reopen().await?);
        device.0.limit.store(self.0.limit.load(Ordering::Relaxed), Ordering::Relaxed);
        *lock(&device.0.plans) = lock(&self.0.plans).like();
        let mut chosen = lock(DEFAULT.get_or_init(Mutex::default));
        if chosen.as_ref() == Some(self) {
            *chosen = Some(device.clone());
        }
        drop(chosen);
        Ok(device)
    }

    /// Its executor, if it is of this type: for what only that one can do, such as a profile of the CPU's kernels.
    pub fn executor_as<E: Executor>(&self) -> Option<&E> {
        (self.executor() as &dyn std::any::Any).downcast_ref()
    }

    pub(crate) fn executor(&self) -> &dyn Executor {
        &*self.0.executor
    }
    pub(crate) fn plans(&self) -> &Mutex<PlanCache> {
        &self.0.plans
    }
    pub(crate) fn workspace(&self) -> &Mutex<Option<Workspace>> {
        &self.0.workspace
    }
    pub(crate) fn count_replaced(&self) {
        self.0.counts.replaced.fetch_add(1, Ordering::Relaxed);
    }
    /// Takes counted, zeroed memory, or refuses. Before it refuses, programs that do not run let go of theirs.
    pub(crate) fn alloc(&self, bytes: u64) -> Result<Storage> {
        Ok(Storage::new(self.clone(), self.lease(bytes)?))
    }
    /// [`alloc`](Device::alloc) for the device itself to keep.
    pub(crate) fn lease(&self, bytes: u64) -> Result<Counted> {
        self.take(bytes).or_else(|error| {
            if !error.is_out_of_memory() || self.0.idle.let_go() == 0 {
                return Err(error);
            }
            self.0.counts.let_go.fetch_add(1, Ordering::Relaxed);
            self.take(bytes)
        })
    }
    fn take(&self, bytes: u64) -> Result<Counted> {
        let budget = self.budget();
        let (taken, live) = self.0.meter.ask(bytes);
        if live > budget {
            return Err(self.out_of_memory(OutOfMemory { needed: live, ..OutOfMemory::default() }));
        }
        let buffer = self.0.executor.alloc(bytes).inspect_err(|error| {
            if error.is_out_of_memory() {
                // The device knows better than the limit; the next plan has to do with less.
                self.0.learned.fetch_min(live - 1, Ordering::Relaxed);
            }
        })?;
        self.0.meter.reached(live);
        self.0.counts.allocations.fetch_add(1, Ordering::Relaxed);
        Ok(Counted::new(buffer, taken))
    }
    /// The error of a plan that does not fit; device and budget are filled in.
    pub(crate) fn out_of_memory(&self, report: OutOfMemory) -> Error {
        let budget = self.budget();
        let device = self.0.name.clone();
        Error::new(ErrorKind::OutOfMemory(OutOfMemory { device, budget, ..report }))
    }
    /// Bytes that stay whatever runs next: all but the workspaces, which runs have one after the other if they must, and what
    /// programs keep that do not run now.
    pub(crate) fn staying(&self) -> u64 {
        let shared = lock(&self.0.workspace).as_ref().map_or(0, Workspace::bytes);
        let passing = shared + self.0.runs.bytes() + self.0.idle.bytes();
        self.0.meter.live().saturating_sub(passing)
    }
    /// Bytes that a plan may take beside what stays.
    pub(crate) fn room(&self) -> u64 {
        self.budget().saturating_sub(self.staying())
    }
    pub(crate) fn runs(&self) -> &Runs {
        &self.0.runs
    }
    /// Lets these buffers go when memory is short and nobody uses them.
    pub(crate) fn watch(&self, buffers: &Arc<Mutex<Buffers>>) {
        self.0.idle.watch(buffers);
    }
    /// Whether more is in use than the budget allows: it was lowered meanwhile.
    pub(crate) fn is_over_budget(&self) -> bool {
        self.0.meter.live() > self.budget()
    }
    fn budget(&self) -> u64 {
        self.0.limit.load(Ordering::Relaxed).min(self.0.learned.load(Ordering::Relaxed))
    }
    /// Trusts the limit again, because what a refusal taught may have been the trouble of a moment. Whether there was any.
    pub(crate) fn forget_refusals(&self) -> bool {
        self.0.learned.swap(u64::MAX, Ordering::Relaxed) != u64::MAX
    }
}

impl Default for Device {
    /// See [`try_default`](Device::try_default). If even that fails, a device that refuses everything with the reason.
    fn default() -> Device {
        Device::try_default().unwrap_or_else(|error| Device::from_executor(Box::new(Refusing(error))))
    }
}

/// Stands in for a device that does not exist: every use returns why.
struct Refusing(Error);

impl Executor for Refusing {
    fn name(&self) -> String {
        "none".into()
    }
    fn caps(&self) -> Caps {
        Caps {
            max_args: 8,
            max_insts: 64,
            max_row: 0,
            max_row_insts: 64,
            max_binding: u64::MAX,
            arena: true,
            immediate: true,
            alignment: 64,
            free_strides: true,
        }
    }
    fn scratch(&self, _: &crate::plan::Kernel) -> u64 {
        0
    }
    fn alloc(&self, _: u64) -> Result<crate::executor::Buffer> {
        Err(self.0.clone())
    }
    fn compile<'a>(
        &'a self,
        _: &'a crate::plan::Plan,
    ) -> crate::executor::BoxFuture<'a, Result<crate::executor::Compiled>> {
        Box::pin(std::future::ready(Err(self.0.clone())))
    }
    fn run(&self, _: &crate::executor::Compiled, _: &[crate::executor::Bound], _: &[u32]) -> Result<()> {
        Err(self.0.clone())
    }
    fn write(&self, _: &crate::executor::Buffer, _: u64, _: &[u8]) -> Result<()> {
        Err(self.0.clone())
    }
    fn copy(&self, _: &crate::executor::Buffer, _: &crate::executor::Buffer, _: u64) -> Result<()> {
        Err(self.0.clone())
    }
    fn read<'a>(
        &'a self,
        _: &'a crate::executor::Buffer,
        _: std::ops::Range<u64>,
    ) -> crate::executor::BoxFuture<'a, Result<Vec<u8>>> {
        Box::pin(std::future::ready(Err(self.0.clone())))
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
