//! Where the time of a run goes: what each kernel took, if somebody asked.

use super::{
    gemm::{self, Right, Strides},
    memory::{Mem, Memory},
    micro::tile_shape,
    threads::Threads,
};
use crate::{
    error::{Error, Result},
    plan::Kernel,
    platform::Moment,
};
use std::{collections::HashMap, time::Duration};

/// What one kernel of a plan took while a profile was on.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelTime {
    /// The primitives it covers, such as `matmul+add+relu`.
    pub label: String,
    /// Its iteration space.
    pub shape: Vec<usize>,
    /// Dispatches of one run: more than one inside a loop.
    pub calls: f64,
    /// Seconds of the run in which it was fastest, all its dispatches together: other work of the machine only adds to it.
    pub seconds: f64,
    /// Floating-point operations of one run, as [`Kernel::flops`] counts them.
    pub flops: f64,
    /// Bytes of one run, as [`Kernel::bytes`] counts them: those of every argument once per dispatch.
    pub bytes: f64,
}

/// What the runs of one plan took while a profile was on.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanTime {
    /// Number of runs.
    pub runs: u64,
    /// Seconds of the fastest run inside the executor, reading the clock between kernels included.
    pub seconds: f64,
    /// In the order of the plan.
    pub kernels: Vec<KernelTime>,
}

/// What a kernel is, kept for profiles.
pub(super) struct Described {
    label: String,
    shape: Vec<usize>,
    flops: u64,
    bytes: u64,
}

impl Described {
    pub(super) fn new(kernel: &Kernel) -> Described {
        Described {
            label: kernel.label.clone(),
            shape: kernel.shape.clone(),
            flops: kernel.flops(),
            bytes: kernel.bytes(),
        }
    }
}

/// What was measured so far, by the plan's number.
#[derive(Default)]
pub(super) struct Profile {
    plans: HashMap<u64, Measured>,
}

#[derive(Default)]
struct Measured {
    runs: u64,
    total: Duration,
    fastest: Option<Duration>,
    kernels: Vec<Lap>,
}

/// What is known of a kernel, and its part of the run that goes on.
struct Lap {
    time: KernelTime,
    calls: u64,
    now: Duration,
    fastest: Option<Duration>,
}

/// Measures one run. The clock is read once per kernel: a kernel's time reaches from the end of the one before.
pub(super) struct Watch<'a> {
    measured: &'a mut Measured,
    began: Moment,
    last: Moment,
}

impl Profile {
    /// Begins a run of the plan of this number.
    pub(super) fn watch(&mut self, plan: u64, kernels: &[Described]) -> Watch<'_> {
        let measured = self.plans.entry(plan).or_insert_with(|| Measured {
            kernels: kernels
                .iter()
                .map(|k| {
                    let time = KernelTime {
                        label: k.label.clone(),
                        shape: k.shape.clone(),
                        calls: 0.0,
                        seconds: 0.0,
                        flops: k.flops as f64,
                        bytes: k.bytes as f64,
                    };
                    Lap { time, calls: 0, now: Duration::ZERO, fastest: None }
                })
                .collect(),
            ..Measured::default()
        });
        let now = Moment::now();
        Watch { measured, began: now, last: now }
    }
    /// What was measured, the plan that took most of the time first.
    pub(super) fn finish(self) -> Vec<PlanTime> {
        let mut plans: Vec<Measured> = self.plans.into_values().collect();
        plans.sort_by_key(|measured| std::cmp::Reverse(measured.total));
        plans.into_iter().filter_map(Measured::times).collect()
    }
}

impl Measured {
    fn times(self) -> Option<PlanTime> {
        let runs = self.runs;
        let kernels = self.kernels.into_iter().map(|lap| {
            let calls = lap.calls as f64 / runs as f64;
            let seconds = lap.fastest.unwrap_or_default().as_secs_f64();
            KernelTime { calls, seconds, flops: lap.time.flops * calls, bytes: lap.time.bytes * calls, ..lap.time }
        });
        Some(PlanTime { runs, seconds: self.fastest?.as_secs_f64(), kernels: kernels.collect() })
    }
}

fn shorter(a: Option<Duration>, b: Duration) -> Option<Duration> {
    Some(a.map_or(b, |a| a.min(b)))
}

impl Watch<'_> {
    /// A kernel has ended.
    pub(super) fn lap(&mut self, kernel: usize) {
        let now = Moment::now();
        if let Some(lap) = self.measured.kernels.get_mut(kernel) {
            lap.calls += 1;
            lap.now += now.since(self.last);
        }
        self.last = now;
    }
    /// The run has ended.
    pub(super) fn end(self) {
        let took = self.last.since(self.began);
        self.measured.runs += 1;
        self.measured.total += took;
        self.measured.fastest = shorter(self.measured.fastest, took);
        for lap in &mut self.measured.kernels {
            lap.fastest = shorter(lap.fastest, std::mem::take(&mut lap.now));
        }
    }
}

/// What the machine can do at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// Floating-point operations in a second: of a product whose operands stay in the first cache.
    pub flops: f64,
    /// Bytes read and written in a second: of a copy of 64 MiB.
    pub bytes: f64,
}

/// Seconds of the fastest of many calls.
fn fastest(times: usize, mut work: impl FnMut()) -> f64 {
    let seconds = (0..times).map(|_| {
        let began = Moment::now();
        work();
        Moment::now().since(began).as_secs_f64()
    });
    seconds.fold(f64::MAX, f64::min)
}

pub(super) fn measure_peak(threads: &Threads) -> Result<Peak> {
    let count = threads.count();
    // One tile of the micro-kernel: rows, columns and both operands fit in the first cache.
    let (k, repeats, shape) = (192, 2000, tile_shape());
    let (left, right) = (shape.rows * k, k * shape.cols);
    let each = (left + right + shape.rows * shape.cols).next_multiple_of(16);
    let memory = Memory::new(4 * (count * each) as u64)?;
    let all = memory.window(0, 4 * (count * each) as u64).unwrap_or(Mem::EMPTY);
    let seconds = fastest(8, || {
        threads.run(count, &|_, piece| {
            let own = all.from(4 * (piece * each) as u64);
            let panel = Right { memory: own.from(4 * left as u64), row: None };
            let to = own.from(4 * (left + right) as u64);
            let strides = Strides { row: k as i64, col: 1 };
            for _ in 0..repeats {
                gemm::block(own, 0, strides, panel, to, shape.cols, (shape.rows, shape.cols, k), false);
            }
        });
    });
    let flops = (2 * k * shape.rows * shape.cols * repeats * count) as f64 / seconds;

    let (len, pieces) = (16 << 20, 64);
    let memory = [Memory::new(4 * len as u64)?, Memory::new(4 * len as u64)?];
    let [from, to] = memory.each_ref().map(|m| m.window(0, 4 * len as u64).unwrap_or(Mem::EMPTY));
    let part = len / pieces;
    let seconds = fastest(8, || {
        threads.run(pieces, &|_, piece| {
            to.write::<u32>(piece * part, part).copy_from_slice(from.read(piece * part, part));
        });
    });
    let peak = Peak { flops, bytes: 8.0 * len as f64 / seconds };
    let clock = peak.flops.is_finite() && peak.bytes.is_finite();
    clock.then_some(peak).ok_or_else(|| Error::device("there is no clock to measure with on this platform"))
}
