//! Counters that prove the engine: in steady training the device allocates nothing and replaces nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod common;

use addax::prelude::*;
use common::{blobs, compiled};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The default device is one for all tests: those that count do it one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static COUNTING: Mutex<()> = Mutex::new(());
    COUNTING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn epochs_after_the_first_allocate_and_replace_nothing() {
    let _alone = alone();
    let data = blobs(150, 1);
    let mut model = compiled();
    let device = model.device().unwrap();
    let mut seen = Vec::new();
    let counter = LambdaCallback::new().on_epoch_end(|_, _, _| {
        let memory = device.memory();
        seen.push((memory.allocations, memory.replaced, memory.live, Tensor::live_nodes()));
        Ok(())
    });
    // A last batch that is smaller, validation with its own sizes, metrics, all in one.
    model.fit(&data, Fit::epochs(4).batch_size(32).validation_split(0.3).seed(1).verbose(0).callback(counter)).unwrap();
    assert_eq!(seen.len(), 4);
    assert_eq!(seen[1], seen[2]);
    assert_eq!(seen[2], seen[3]);
}

#[test]
fn predicting_again_allocates_nothing() {
    let _alone = alone();
    let model = compiled();
    let x = blobs(5, 2).x().into_owned();
    let one = x.gather_rows(&[0]).unwrap();
    model.predict(&one).unwrap();
    let device = model.device().unwrap();
    let before = device.memory();
    let plans = device.plan_cache();
    for _ in 0..10 {
        model.predict(&one).unwrap();
    }
    assert_eq!(device.memory().allocations, before.allocations);
    assert_eq!(device.memory().live, before.live);
    assert_eq!(format!("{:?}", device.plan_cache()), format!("{plans:?}"));
}

/// Bytes of the process that lie in memory, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// How much the process grew since then.
fn grown(before: Option<u64>) -> u64 {
    resident().zip(before).map_or(0, |(now, before)| now.saturating_sub(before))
}

/// Some 670,000 weights; with Adam's moments 8 MB.
fn wide() -> Sequential {
    let dense = |n: usize| addax::layers::Dense::new(n).activation("relu");
    let model = Sequential::new().input([784]).seed(1);
    let mut model = model.add(dense(512)).add(dense(512)).add(addax::layers::Dense::new(10));
    model.compile(common::how()).unwrap();
    model
}

fn pictures(n: usize) -> Dataset {
    let x: Vec<f32> = (0..n * 784).map(|i| (i * 7 % 251) as f32 / 251.0).collect();
    let y: Vec<i32> = (0..n).map(|i| (i % 10) as i32).collect();
    Dataset::new(Array::new([n, 784], &x).unwrap(), Array::new([n], &y).unwrap()).unwrap()
}

#[test]
fn fifty_models_leave_nothing_behind() {
    let _alone = alone();
    let device = Device::default();
    let data = pictures(48);
    let round = || {
        let mut model = wide();
        model.fit(&data, Fit::epochs(1).batch_size(32).verbose(0)).unwrap();
        model.predict(&data).unwrap();
        model.count_params().unwrap()
    };
    for _ in 0..4 {
        assert_eq!(round(), 669_706);
    }
    let (live, nodes, before) = (device.memory().live, Tensor::live_nodes(), resident());
    for _ in 0..50 {
        round();
    }
    println!("fifty models: {} bytes more resident", grown(before));
    assert_eq!((device.memory().live, Tensor::live_nodes()), (live, nodes));
    // One model in ten that stayed would be 40 MB.
    assert!(grown(before) < 16 << 20, "{} bytes more", grown(before));
}

#[test]
fn a_thousand_predictions_leave_nothing_behind() {
    let _alone = alone();
    let model = wide();
    let x = pictures(4).x().into_owned();
    let one = x.gather_rows(&[0]).unwrap();
    let device = model.device().unwrap();
    for _ in 0..20 {
        model.predict(&x).unwrap();
        model.predict(&one).unwrap();
    }
    let (memory, nodes, before) = (device.memory(), Tensor::live_nodes(), resident());
    let mut seen = Vec::new();
    for n in 1..=1000 {
        model.predict(if n % 3 == 0 { &x } else { &one }).unwrap();
        if [1, 10, 100, 500, 1000].contains(&n) {
            seen.push((device.memory(), Tensor::live_nodes()));
        }
    }
    println!("a thousand predictions: {} bytes more resident", grown(before));
    assert!(seen.iter().all(|now| *now == (memory, nodes)), "{memory:?}, {nodes} nodes: {seen:?}");
    // 4 KB kept by each would be twice as much.
    assert!(grown(before) < 2 << 20, "{} bytes more", grown(before));
}
