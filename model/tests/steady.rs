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

#[test]
fn fifty_models_leave_nothing_behind() {
    let _alone = alone();
    let device = Device::default();
    let round = || {
        let mut model = compiled();
        model.fit(&blobs(40, 1), Fit::epochs(1).verbose(0)).unwrap();
        model.predict(&blobs(3, 1)).unwrap();
    };
    round();
    let before = device.memory().live;
    for _ in 0..50 {
        round();
    }
    assert_eq!(device.memory().live, before);
}
