//! The planned peak against what the process really takes: a counting global allocator, in a test binary of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_tensor::{Array, DType, Device, Program, Tensor, Variable};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, Ordering},
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

#[test]
fn a_plan_takes_what_it_said() {
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
