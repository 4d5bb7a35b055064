//! The planned peak against what the process really takes, and what it gives back: a counting global allocator, in a test binary of
//! its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_tensor::{Array, DType, Device, Program, Tensor, Variable, cpu::CpuExecutor};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

struct Counting;

static LIVE: AtomicU64 = AtomicU64::new(0);
static PEAK: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is passed on to the system's allocator; only sizes are counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn count(bytes: usize) {
    let live = LIVE.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

#[global_allocator]
static COUNTING: Counting = Counting;

const MIB: u64 = 1 << 20;

/// Counts are the process' own, so these tests run one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static COUNTING: Mutex<()> = Mutex::new(());
    COUNTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Worker threads of all CPU devices, where the system tells.
fn workers() -> usize {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return 0 };
    let name = |thread: &std::fs::DirEntry| std::fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
    threads.flatten().filter(|thread| name(thread).starts_with("addax-cpu")).count()
}

/// Fifty devices, each with a run behind it: neither their memory nor their threads stay when the last handle goes.
#[test]
fn devices_leave_nothing_behind() {
    let _alone = alone();
    let use_one = || {
        let device = Device::from_executor(Box::new(CpuExecutor::with_threads(3).unwrap()));
        let x = Tensor::placeholder(0, DType::F32, [512, 512]);
        // A sum of a product that is read twice, so that it lies in the workspace.
        let product = x.matmul(&x).tanh();
        let y = &product / product.sum_keepdims(-1);
        let program = Program::capture(&device, &[x], &[y], &[], &[]).unwrap();
        program.run(&[&Array::zeros(DType::F32, [512, 512])]).unwrap();
        assert!(program.plan().workspace >= MIB, "the workspace is small: the test says nothing");
    };
    use_one();
    let before = (LIVE.load(Ordering::Relaxed), workers());
    for _ in 0..50 {
        use_one();
    }
    let after = (LIVE.load(Ordering::Relaxed), workers());
    assert!(after.0 < before.0 + MIB / 4, "{} KiB stay of fifty devices", (after.0 - before.0) / 1024);
    assert_eq!(after.1, before.1, "worker threads stay");
    assert_eq!(after.1, 0);
}

#[test]
fn a_plan_takes_what_it_said() {
    let _alone = alone();
    let device = Device::cpu().unwrap();
    let before = LIVE.load(Ordering::Relaxed);
    let (rows, wide) = (6144, 4096);
    let x = Tensor::placeholder(0, DType::F32, [rows, wide]);
    let bias = Variable::new(Tensor::from_array(Array::zeros(DType::F32, [wide])));
    let scale = Variable::new(Tensor::from_array(Array::zeros(DType::F32, [wide])));
    // Values that must lie in memory: each is read whole by the next reduction and again after it.
    let centered = (&x + bias.value()).tanh();
    let spread = (&centered - centered.mean_keepdims(-1)).exp();
    let normal = &spread / spread.sum_keepdims(-1) + &centered;
    let next = bias.value() + (&normal * scale.value() + &spread).sum(0);
    let program = Program::capture(&device, &[x], &[normal.mean_all()], &[(bias, next)], &[scale]).unwrap();
    let planned = program.planned_peak();
    assert!(planned > 256 * MIB, "only {} MiB", planned / MIB);
    let data = Array::zeros(DType::F32, [rows, wide]);
    let own = data.bytes().len() as u64;
    PEAK.store(LIVE.load(Ordering::Relaxed), Ordering::Relaxed);
    program.run(&[&data]).unwrap();
    program.run(&[&data]).unwrap();
    let measured = PEAK.load(Ordering::Relaxed) - before - own;
    println!("planned {:.1} MiB, measured {:.1} MiB", planned as f64 / MIB as f64, measured as f64 / MIB as f64);
    let slack = planned / 20 + 16 * MIB;
    assert!(measured.abs_diff(planned) <= slack, "planned {planned}, measured {measured}");
    assert!(device.memory().peak.abs_diff(planned) <= slack, "planned {planned}, counted {}", device.memory().peak);
}
