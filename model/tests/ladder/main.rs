//! The memory ladder under shrinking budgets: training goes on, stays within the budget, and learns the same.
//! A test binary of its own, because it counts every byte that the process takes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod measured;
mod models;
mod own_steps;

use addax::{
    prelude::*,
    tensor::{
        ErrorKind,
        error::{OutOfMemory, bytes_for_people},
        plan::split::Rung,
        testing,
    },
};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

struct Counting;

static LIVE: AtomicU64 = AtomicU64::new(0);
static PEAK: AtomicU64 = AtomicU64::new(0);
/// Bytes on the host at the end of a run, while the model is still there.
static HOST: AtomicU64 = AtomicU64::new(0);

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
    /// Whether the model records its steps itself, so that a refusal can tell which batch would fit.
    recorded: bool,
}

/// What a training gave.
struct Trained {
    losses: Vec<f64>,
    /// Of each weight in the first step, so from the same state whatever the budget: Adam's first moments after it, which are
    /// the gradients times 0.1.
    gradients: Vec<Vec<f32>>,
    /// Whether the history has a note that a batch was computed in slices, where there is a history.
    told: Option<bool>,
    /// Device bytes of all that lasts: weights, optimizer, metrics, snapshots that are held.
    state: u64,
}

/// What is left on a device when nothing runs.
fn state_of(device: &Device) -> u64 {
    device.trim();
    let state = device.memory().live;
    HOST.store(LIVE.load(Ordering::Relaxed).saturating_sub(state), Ordering::Relaxed);
    state
}

/// Forgets the process' highest count so far. Called after the first step: planning takes the process memory of its own, before the
/// device's is taken.
fn settled() {
    PEAK.store(LIVE.load(Ordering::Relaxed), Ordering::Relaxed);
}

/// What one run did.
struct Run {
    trained: Trained,
    /// Device bytes at the highest moment.
    peak: u64,
    /// Those of them beside values.
    beside: u64,
    /// Bytes that the process took beyond what it had before, at the highest moment after the first step.
    taken: u64,
    /// Bytes of recorded graphs, plans and data that stay on the host.
    host: u64,
    seconds: f64,
}

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

fn run(case: &Case, device: &Device, steps: usize) -> addax::Result<Run> {
    if !case.recorded {
        // They train on the default device; the one before goes before anything is counted.
        Device::set_default(device);
    }
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let start = Instant::now();
    let trained = (case.train)(device, steps)?;
    let seconds = start.elapsed().as_secs_f64();
    let since = |count: &AtomicU64| count.load(Ordering::Relaxed).saturating_sub(before);
    let memory = device.memory();
    Ok(Run { trained, peak: memory.peak, beside: memory.beside, taken: since(&PEAK), host: since(&HOST), seconds })
}

/// Whether a case plans in its first step alone. Steps written by hand, and those that meet a snapshot, are planned again later, which
/// takes the host's memory at any time.
fn steady(case: &Case) -> bool {
    case.recorded && case.name != "held snapshot"
}

/// How a case is put to the test.
struct How<'a> {
    new_device: &'a dyn Fn() -> Device,
    percents: &'a [u64],
    /// Whether what the process takes is the device's memory: on a CPU.
    counted: bool,
    steps: usize,
}

/// Bytes that the process may take beside the budget, what stays on the host, and what a step takes there without a budget.
const SLACK: u64 = 64 << 10;

/// An error for want of memory.
struct Refusal {
    text: String,
    report: OutOfMemory,
}

/// Runs a case with this many bytes.
fn within(case: &Case, how: &How, budget: u64) -> Result<(Run, Rung), Box<Refusal>> {
    let device = (how.new_device)();
    device.set_memory_limit(Some(budget));
    match run(case, &device, how.steps) {
        Ok(run) => Ok((run, device.plan_cache().lowest)),
        Err(error) => match error.kind() {
            ErrorKind::OutOfMemory(report) => {
                Err(Box::new(Refusal { text: error.to_string(), report: report.clone() }))
            }
            _ => panic!("{} within {budget} bytes: {error}", case.name),
        },
    }
}

/// The least number of bytes that a case runs in: where the errors of smaller budgets lead to.
fn floor(case: &Case, how: &How, from: u64) -> u64 {
    let mut budget = from;
    for _ in 0..6 {
        match within(case, how, budget) {
            Ok(_) => return budget,
            Err(refusal) => {
                let Refusal { text, report } = *refusal;
                let next = report.floor.unwrap_or_else(|| panic!("{}: no floor in \"{text}\"", case.name));
                assert!(next > budget, "{} within {budget} bytes: {text}", case.name);
                budget = next;
            }
        }
    }
    panic!("{}: errors lead from floor to floor, {budget} at last", case.name);
}

/// The error of one byte less than the floor: its numbers, and its words. On a GPU the floor is no such edge, as what lies beside
/// values counts too and depends on the plan; there it is the error of room for nothing but the state.
fn below(case: &Case, how: &How, floor: u64, whole: &Run) {
    let budget = if how.counted { floor - 1 } else { whole.trained.state };
    let Err(refusal) = within(case, how, budget) else {
        panic!("{} runs within {budget} bytes, less than its floor of {floor}", case.name)
    };
    let Refusal { text, report } = *refusal;
    println!("  below: {}", text.replace('\n', " "));
    assert_eq!(report.budget, budget, "{}: {text}", case.name);
    let told = report.floor.unwrap_or_else(|| panic!("{}: no floor in \"{text}\"", case.name));
    assert!(if how.counted { told == floor } else { told > budget }, "{}: {told}, not {floor}: {text}", case.name);
    let most = if how.counted { whole.peak } else { 2 * whole.peak };
    assert!(report.needed > told && report.needed <= most, "{}: {} of {most}: {text}", case.name, report.needed);
    let sizes: Vec<u64> = report.largest.iter().map(|(_, bytes)| *bytes).collect();
    assert!(!sizes.is_empty() && sizes.is_sorted_by(|a, b| a >= b), "{}: {text}", case.name);
    let words = [
        format!("the step needs {}, the budget is {}.", bytes_for_people(report.needed), bytes_for_people(budget)),
        format!("Sample by sample it would still need {}.", bytes_for_people(told)),
    ];
    for words in words.iter().chain(report.largest.iter().map(|(label, _)| label)) {
        assert!(text.contains(words), "{}: no \"{words}\" in \"{text}\"", case.name);
    }
    let advice = match report.batch_that_fits {
        Some(0) => "Not even a batch of 1 would fit".to_string(),
        Some(batch) => format!("A batch of {batch} would fit"),
        None => "Use a smaller batch or raise the limit with ADDAX_MEMORY_LIMIT.".into(),
    };
    assert!(text.contains(&advice), "{}: no \"{advice}\" in \"{text}\"", case.name);
    assert_eq!(report.batch_that_fits.is_some(), case.recorded, "{}: {text}", case.name);
}

/// All budgets of a case. Whether the allocator's count says something: without the ladder the process would take more than is allowed
/// at the floor.
fn table(case: &Case, how: &How) -> bool {
    let whole = run(case, &(how.new_device)(), how.steps).unwrap();
    let (peak, state) = (whole.peak, whole.trained.state);
    let floor = floor(case, how, state + 1);
    println!("{}: state {state}, floor {floor}, peak {peak} bytes", case.name);
    assert!(state < floor && floor < peak);
    for &percent in how.percents {
        row(case, how, &whole, &format!("{percent} %"), floor + (peak - floor) * percent / 100);
    }
    below(case, how, floor, &whole);
    // Steps of one's own train on the default device: the next case begins with another one.
    Device::set_default(&(how.new_device)());
    steady(case) && peak - floor > SLACK
}

/// One budget of a table.
fn row(case: &Case, how: &How, whole: &Run, label: &str, budget: u64) {
    let name = case.name;
    let (got, rung) = within(case, how, budget).unwrap_or_else(|refusal| panic!("{name} at {label}: {}", refusal.text));
    let passing = whole.taken.saturating_sub(whole.peak + whole.host);
    let allowed = budget + got.host + passing + SLACK;
    let spare = allowed as i64 - got.taken as i64;
    println!(
        "  {label:>5}: budget {budget}, peak {}, process {} ({spare} to spare), {rung}, {:.2} times as long",
        got.peak,
        got.taken,
        got.seconds / whole.seconds
    );
    assert!(got.peak <= budget + got.beside, "{name} at {label}");
    assert!(!how.counted || got.beside == 0, "{name} at {label}");
    // What a device takes beside values, to read them back, is in the peak but not in the plan.
    let short = rung != Rung::WHOLE;
    assert!(short || budget >= whole.peak - whole.beside, "{name} at {label}: {rung}");
    assert!(!short || budget < whole.peak, "{name} at {label}: {rung}");
    assert!(got.trained.told.is_none_or(|told| told == short), "{name} at {label}");
    // Steps written by hand are planned again in between, which takes the host's memory at any time.
    assert!(
        !how.counted || !steady(case) || spare >= 0,
        "{name} at {label}: the process took {} of {allowed} bytes",
        got.taken
    );
    got.trained.equals(&whole.trained).unwrap_or_else(|what| panic!("{name} at {label}: {what}"));
}

const CASES: [Case; 14] = [
    Case { name: "mlp", train: models::mlp, recorded: true },
    Case { name: "convnet", train: models::convnet, recorded: true },
    Case { name: "normalized", train: models::normalized, recorded: true },
    Case { name: "lstm", train: models::lstm, recorded: true },
    Case { name: "weighted", train: models::weighted, recorded: true },
    Case { name: "transformer", train: models::transformer, recorded: true },
    Case { name: "resnet", train: models::resnet, recorded: true },
    Case { name: "gan", train: own_steps::gan, recorded: false },
    Case { name: "masked", train: own_steps::masked, recorded: false },
    Case { name: "held snapshot", train: models::held, recorded: true },
    Case { name: "evaluate convnet", train: measured::evaluate_convnet, recorded: true },
    Case { name: "evaluate resnet", train: measured::evaluate_resnet, recorded: true },
    Case { name: "predict convnet", train: measured::predict_convnet, recorded: true },
    Case { name: "predict transformer", train: measured::predict_transformer, recorded: true },
];

/// Tests of this binary count the process' bytes: one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static COUNTING: Mutex<()> = Mutex::new(());
    COUNTING.lock().unwrap_or_else(PoisonError::into_inner)
}

const PERCENTS: [u64; 7] = [100, 75, 50, 25, 10, 5, 0];

#[test]
fn training_goes_on_under_every_budget() {
    let _alone = alone();
    // Looking for a device takes memory once.
    Device::default();
    let how = How { new_device: &|| Device::cpu().unwrap(), percents: &PERCENTS, counted: true, steps: 20 };
    let telling = CASES.iter().filter(|case| table(case, &how)).count();
    assert!(telling >= 7, "the allocator's count says something for {telling} cases only");
}

fn gpu() -> Device {
    Device::by_name("gpu").expect("ADDAX_TEST_DEVICES names gpu, but there is no adapter")
}

/// Building pipelines takes a software adapter long: one budget, and few steps.
#[test]
fn training_goes_on_under_a_budget_on_a_gpu() {
    let _alone = alone();
    if testing::gpu().expect("ADDAX_TEST_DEVICES names gpu").is_none() {
        return;
    }
    let how = How { new_device: &gpu, percents: &[], counted: false, steps: 3 };
    for case in &CASES {
        let start = Instant::now();
        let whole = run(case, &gpu(), how.steps).unwrap();
        // Above the floor of every case.
        let budget = (whole.trained.state + 3 * whole.peak) / 4;
        println!("{}: state {}, peak {} bytes", case.name, whole.trained.state, whole.peak);
        row(case, &how, &whole, "3/4", budget);
        println!("  {:.1} s", start.elapsed().as_secs_f64());
        Device::set_default(&gpu());
    }
}

/// The whole table, which takes a software adapter very long.
#[test]
#[ignore = "takes a software adapter ten minutes"]
fn training_goes_on_under_every_budget_on_a_gpu() {
    let _alone = alone();
    let how = How { new_device: &gpu, percents: &PERCENTS, counted: false, steps: 20 };
    for case in &CASES {
        table(case, &how);
    }
}
