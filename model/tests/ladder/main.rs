//! The memory ladder under shrinking budgets: training goes on, stays within the budget, and learns the same.
//! A test binary of its own, because it counts every byte that the process takes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod models;
mod own_steps;

use addax::{
    prelude::*,
    tensor::{error::bytes_for_people, plan::split::Rung, testing},
};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
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

/// A training of so many steps, to be repeated under budgets.
struct Case {
    name: &'static str,
    train: fn(&Device, usize) -> addax::Result<Trained>,
}

/// What a training gave.
struct Trained {
    losses: Vec<f64>,
    /// Of each weight in the first step, so from the same state whatever the budget: Adam's first moments after it, which are
    /// the gradients times 0.1.
    gradients: Vec<Vec<f32>>,
    /// Whether the history has a note that a batch was computed in slices, where there is a history.
    told: Option<bool>,
}

/// What one run did.
struct Run {
    trained: Trained,
    /// Device bytes at the highest moment.
    peak: u64,
    /// Bytes that the process took beyond what it had before, at the highest moment.
    taken: u64,
    seconds: f64,
}

const STEPS: usize = 20;

/// The first moments among Adam's variables, which are: count, rate, then two moments for each weight.
fn moments(variables: impl Iterator<Item = Array>) -> addax::Result<Vec<Vec<f32>>> {
    variables.skip(2).step_by(2).map(|moment| moment.to_vec()).collect()
}

impl Trained {
    fn told(history: &History) -> Option<bool> {
        Some(history.notes().iter().any(|note| note.text.starts_with("memory is short")))
    }
    /// Whether the losses are those of another run within 1e-4, and the gradients within 1e-5 of the largest entry of the same
    /// weight's gradient; else what differs. A gradient that cancels to nothing (of a bias before a batch normalization) is
    /// rounding alone: it is held against the largest entry of all gradients.
    fn equals(&self, whole: &Trained) -> Result<(), String> {
        let counts = |t: &Trained| (t.losses.len(), t.gradients.len());
        if counts(self) != counts(whole) || self.gradients.is_empty() {
            return Err(format!("losses, gradients: {:?}, whole {:?}", counts(self), counts(whole)));
        }
        for (step, (a, b)) in self.losses.iter().zip(&whole.losses).enumerate() {
            let near = (a - b).abs() <= 1e-4 * b.abs().max(1.0);
            if !near {
                return Err(format!("step {step}: loss {a}, whole {b}"));
            }
        }
        let top = |gradient: &Vec<f32>| gradient.iter().fold(0f32, |top, g| top.max(g.abs()));
        let most = whole.gradients.iter().map(top).fold(0f32, f32::max);
        for (n, (got, whole)) in self.gradients.iter().zip(&whole.gradients).enumerate() {
            let scale = if top(whole) < 1e-4 * most { most } else { top(whole) };
            let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5 * scale;
            if got.len() != whole.len() || !got.iter().zip(whole).all(near) {
                return Err(format!("the gradient of weight {n}: {got:?}, whole {whole:?}"));
            }
        }
        Ok(())
    }
}

fn run(case: &Case, device: &Device) -> addax::Result<Run> {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let start = Instant::now();
    let trained = (case.train)(device, STEPS)?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(Run { trained, peak: device.memory().peak, taken: PEAK.load(Ordering::Relaxed) - before, seconds })
}

fn table(case: &Case, new_device: &dyn Fn() -> Device, percents: &[u64], counted: bool) {
    let whole = run(case, &new_device()).unwrap();
    let lowest = new_device();
    lowest.set_rung(Some(Rung { slices: usize::MAX, recompute: true }));
    let least = run(case, &lowest).unwrap();
    let (peak, floor) = (whole.peak, least.peak);
    println!("{}: peak {}, floor {}", case.name, bytes_for_people(peak), bytes_for_people(floor));
    assert!(floor < peak);
    // What the process takes beside the device's bytes: recorded graphs, plans, data on the host.
    let beside = whole.taken.saturating_sub(whole.peak);
    for &percent in percents {
        let budget = floor + (peak - floor) * percent / 100;
        let device = new_device();
        device.set_memory_limit(Some(budget));
        let got = run(case, &device).unwrap();
        println!(
            "  {percent:>3} %: budget {}, peak {}, process {}, {:.2} times as long",
            bytes_for_people(budget),
            bytes_for_people(got.peak),
            bytes_for_people(got.taken),
            got.seconds / whole.seconds
        );
        assert!(got.peak <= budget);
        assert!(got.trained.told.is_none_or(|told| told == (budget < peak)), "{} at {percent} %", case.name);
        if counted {
            let allowed = budget + beside + (4 << 20);
            assert!(got.taken <= allowed, "the process took {} of {allowed} bytes", got.taken);
        }
        got.trained.equals(&whole.trained).unwrap_or_else(|what| panic!("{} at {percent} %: {what}", case.name));
    }
    let device = new_device();
    device.set_memory_limit(Some(floor / 2));
    let refused = run(case, &device).err().expect("half the floor must be refused");
    assert!(refused.is_out_of_memory(), "{refused}");
    println!("  below: {refused}");
    // Steps of one's own train on the default device: the next case begins with another one.
    Device::set_default(&new_device());
}

#[test]
fn training_goes_on_under_every_budget() {
    let cases = [
        Case { name: "mlp", train: models::mlp },
        Case { name: "convnet", train: models::convnet },
        Case { name: "normalized", train: models::normalized },
        Case { name: "lstm", train: models::lstm },
        Case { name: "weighted", train: models::weighted },
        Case { name: "transformer", train: models::transformer },
        Case { name: "resnet", train: models::resnet },
        Case { name: "gan", train: own_steps::gan },
        Case { name: "masked", train: own_steps::masked },
        Case { name: "held snapshot", train: models::held },
    ];
    for case in &cases {
        table(case, &|| Device::cpu().unwrap(), &[100, 75, 50, 25, 10, 5], true);
    }
    // Building pipelines takes a software adapter long: fewer cases, fewer budgets.
    if testing::gpu().expect("ADDAX_TEST_DEVICES names gpu").is_some() {
        let gpu = || Device::by_name("gpu").expect("ADDAX_TEST_DEVICES names gpu, but there is no adapter");
        for case in cases.iter().filter(|case| ["normalized", "weighted", "lstm"].contains(&case.name)) {
            table(case, &gpu, &[50, 5], false);
        }
    }
}
