//! Memory over time and between programs: nothing grows, programs share one workspace, what is idle gives way, rungs are kept.
//! Counts of graph nodes are the process' own, so these tests run one after the other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax_tensor::{Array, DType, Device, ErrorKind, Program, Tensor, Variable, plan::split::Rung, testing::Faulty};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

fn alone() -> MutexGuard<'static, ()> {
    static COUNTING: Mutex<()> = Mutex::new(());
    COUNTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A leaf that lies on this device, so that what is computed from it runs there.
fn on(device: &Device, values: &[f32], shape: &[usize]) -> Tensor {
    let x = Tensor::placeholder(0, DType::F32, shape);
    let program = Program::capture(device, std::slice::from_ref(&x), &[&x * 1.0], &[], &[]).unwrap();
    program.run(&[&Array::new(shape, values).unwrap()]).unwrap().remove(0)
}

#[test]
fn ten_thousand_running_sums_stay_flat() {
    let _alone = alone();
    let device = Device::cpu().unwrap();
    let mut sum = on(&device, &[0.0], &[1]);
    let mut seen = Vec::new();
    for step in 1..=10_000 {
        sum = sum + 1.0;
        Tensor::eval(std::slice::from_ref(&sum)).unwrap();
        if [100, 101, 1_000, 5_000, 9_999, 10_000].contains(&step) {
            seen.push((device.memory().live, Tensor::live_nodes()));
        }
    }
    assert!(seen.iter().all(|now| *now == seen[0]), "bytes, nodes: {seen:?}");
    assert_eq!(sum.to_vec::<f32>().unwrap(), vec![10_000.0]);
    assert_eq!(addax_tensor::graph::graph_len(&sum), 1, "an evaluated sum lets its history go");
}

/// A net with one hidden layer that predicts from a batch.
struct Net {
    weights: Vec<Variable>,
    program: Program,
    x: Array,
    y: Vec<f32>,
}

fn net(device: &Device, rows: usize, hidden: usize, seed: usize) -> Net {
    const FEATURES: usize = 16;
    let numbers = |n: usize| (0..n).map(|i| ((i * 31 + seed * 7) % 19) as f32 / 19.0 - 0.5).collect::<Vec<_>>();
    let weight = |from: usize, to: usize| Variable::new(on(device, &numbers(from * to), &[from, to]));
    let weights = vec![weight(FEATURES, hidden), weight(hidden, FEATURES)];
    let x = Tensor::placeholder(0, DType::F32, [rows, FEATURES]).of_samples();
    let y = x.matmul(&weights[0].value()).tanh().matmul(&weights[1].value());
    let program = Program::capture(device, &[x], &[y], &[], &weights).unwrap();
    let x = Array::new([rows, FEATURES], &numbers(rows * FEATURES)).unwrap();
    let mut net = Net { weights, program, x, y: Vec::new() };
    net.y = net.predict();
    net
}

impl Net {
    fn predict(&self) -> Vec<f32> {
        self.program.run(&[&self.x]).unwrap()[0].to_vec().unwrap()
    }
    fn state(&self) -> u64 {
        self.weights.iter().map(|w| w.meta().unwrap().bytes()).sum()
    }
    /// Inputs and outputs.
    fn kept(&self) -> u64 {
        2 * self.x.bytes().len() as u64
    }
}

#[test]
fn two_programs_alive_share_the_workspace() {
    let _alone = alone();
    let device = Device::cpu().unwrap();
    let (a, b) = (net(&device, 256, 512, 1), net(&device, 64, 96, 2));
    device.trim();
    let state = a.state() + b.state();
    assert_eq!(device.memory().live, state);
    device.reset_peak();
    let room = |net: &Net| net.program.plan().workspace + net.program.plan().scratch;
    assert!(room(&b) > 0 && room(&a) > room(&b));
    for _ in 0..3 {
        assert_eq!((a.predict(), b.predict()), (a.y.clone(), b.y.clone()));
    }
    let need = state + a.kept() + b.kept() + room(&a);
    assert_eq!(device.memory().peak, need);

    // With that and no more, they run from two threads at once: one waits for the other, neither goes down the ladder.
    device.trim();
    device.set_memory_limit(Some(need));
    device.reset_peak();
    thread::scope(|scope| {
        for net in [&a, &b] {
            scope.spawn(|| (0..200).for_each(|_| assert_eq!(net.predict(), net.y)));
        }
    });
    assert!(device.memory().peak <= need);
    assert_eq!((a.program.rung(), b.program.rung()), (Rung::WHOLE, Rung::WHOLE));

    // Without a limit each may have a workspace of its own, the small one that of the large one.
    device.set_memory_limit(None);
    thread::scope(|scope| {
        for net in [&a, &b] {
            scope.spawn(|| (0..200).for_each(|_| assert_eq!(net.predict(), net.y)));
        }
    });
    assert!(device.memory().peak <= need + room(&a));
}

/// A device keeps the workspace for its next run, which is no reason to keep the device.
#[test]
fn a_device_goes_with_its_last_user() {
    let _alone = alone();
    let (device, executor) = Faulty::device().unwrap();
    drop(net(&device, 64, 32, 1));
    assert!(device.memory().live > 0, "it keeps nothing: the test says nothing");
    let sum = on(&device, &[1.0; 8], &[8]).sum_all();
    drop(device);
    assert_eq!(sum.item::<f32>().unwrap(), 8.0, "a value keeps its device");
    drop(sum);
    assert_eq!(Arc::strong_count(&executor), 1, "the executor is still there");
}

/// A program whose captured data has no room is refused as a step is: the report tells the least budget, to the byte.
#[test]
fn captured_data_without_room_is_refused_with_a_report() {
    let _alone = alone();
    let data = |rows: usize| Array::new([rows, 64], &vec![0.5f32; rows * 64]).unwrap();
    let operation = |device: &Device| {
        let (big, small) = (Tensor::from(data(512)), Tensor::from(data(64)));
        let x = Tensor::placeholder(0, DType::F32, [64, 64]).of_samples();
        let y = x.matmul(&small).tanh().matmul(&big.t()).tanh().sum(-1);
        Program::capture(device, &[x], &[y], &[], &[])?.run(&[&data(64)]).map(drop)
    };
    let device = Device::cpu().unwrap();
    device.set_memory_limit(Some(64 * 64 * 4));
    let error = operation(&device).unwrap_err();
    let ErrorKind::OutOfMemory(report) = error.kind() else { panic!("{error}") };
    assert!(!report.largest.is_empty(), "{error}");
    let floor = report.floor.unwrap();
    assert!(floor > 512 * 64 * 4, "{error}");
    device.set_memory_limit(Some(floor - 1));
    assert!(operation(&device).unwrap_err().is_out_of_memory());
    device.set_memory_limit(Some(floor));
    operation(&device).unwrap();
}

#[test]
fn programs_that_do_not_run_give_way() {
    let _alone = alone();
    let device = Device::cpu().unwrap();
    let nets: Vec<Net> = (0..12).map(|n| net(&device, 128 + n, 24, n)).collect();
    device.trim();
    let state: u64 = nets.iter().map(Net::state).sum();
    assert_eq!(device.memory().live, state);
    let last = nets.last().unwrap();
    let need = last.kept() + last.program.plan().workspace + last.program.plan().scratch;
    device.set_memory_limit(Some(state + need + last.kept() / 2));
    device.reset_peak();
    for net in nets.iter().chain(&nets) {
        assert_eq!(net.predict(), net.y);
        assert_eq!(net.program.rung(), Rung::WHOLE);
    }
    let after = device.memory();
    assert!(after.let_go > 10 && after.peak <= after.budget, "{after:?}");

    // An output that somebody holds stays.
    let held = nets[0].program.run(&[&nets[0].x]).unwrap();
    device.set_memory_limit(Some(state + need + 2 * last.kept()));
    for net in &nets {
        assert_eq!(net.predict(), net.y);
    }
    assert_eq!(held[0].to_vec::<f32>().unwrap(), nets[0].y);
}

#[test]
fn a_rung_is_kept_until_there_is_twice_the_room() {
    let _alone = alone();
    let device = Device::cpu().unwrap();
    let net = net(&device, 256, 512, 1);
    let fixed = net.state() + net.x.bytes().len() as u64;
    let whole = net.program.plan().transient_bytes();
    let made = || device.plan_cache().misses;
    let with_room = |room: u64| {
        device.set_memory_limit(Some(fixed + room));
        device.trim();
        device.reset_peak();
        let before = made();
        assert_eq!(net.predict().len(), net.y.len());
        assert!(device.memory().peak <= fixed + room);
        (net.program.rung(), made() - before)
    };
    // Down: a plan is made.
    let (low, made_once) = with_room(whole / 4);
    assert!(low.slices > 2 && made_once > 0, "{low} with {} of {whole} bytes", whole / 4);
    // Up and down by less than twice the room: the same rung, and no plan is made.
    for percent in [100, 150, 120, 199, 100, 180, 101] {
        assert_eq!(with_room(whole / 4 * percent / 100), (low, 0), "{percent} % of the room");
    }
    // Twice the room: a higher rung, of which again no less is thought for a while.
    let (high, again) = with_room(whole / 4 * 2);
    assert!(low.is_below(high) && high != Rung::WHOLE && again == 1, "{high} after {low}");
    for percent in [100, 150, 199] {
        assert_eq!(with_room(whole / 4 * 2 * percent / 100), (high, 0), "{percent} % of the room");
    }
    // What does not fit is another matter: down at once.
    let (lower, again) = with_room(whole / 4);
    assert!(lower == low && again > 0, "{lower}");
    assert_eq!(with_room(4 * whole), (Rung::WHOLE, 1));
}

/// A gradient may be taken of what was recorded before another program took the weight to its device.
#[test]
fn a_weight_that_moves_to_a_device_stays_the_same_leaf() {
    let _alone = alone();
    let device = Device::cpu().unwrap();
    let w = Variable::new(Tensor::from_array(Array::new([3], &[1.0f32, 2.0, 3.0]).unwrap()));
    let recorded = w.value();
    let program = Program::capture(&device, &[], &[&w.value() * 2.0], &[], std::slice::from_ref(&w)).unwrap();
    program.run(&[]).unwrap();
    let now = w.value();
    assert!(!now.same(&recorded), "the weight was not moved, so this shows nothing");
    assert_eq!(now.key(), recorded.key());
    w.assign(&(w.value() + 1.0)).unwrap();
    assert_ne!(w.value().key(), recorded.key(), "another value is another leaf");
    assert_eq!(recorded.to_vec::<f32>().unwrap(), [1.0, 2.0, 3.0]);
}
