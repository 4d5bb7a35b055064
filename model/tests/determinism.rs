//! The same seed gives the same bits.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod common;

use addax::{layers::*, prelude::*, tensor::cpu::CpuExecutor};
use common::{blobs, how, numbers};

fn trained(device: Option<&Device>, seed: u64) -> Vec<Vec<f32>> {
    let mut model = Sequential::new()
        .input([4])
        .add(Dense::new(16).activation("relu"))
        .add(BatchNormalization::new())
        .add(Dropout::new(0.3))
        .add(Dense::new(3));
    if let Some(device) = device {
        model.set_device(device);
    }
    model.compile(how()).unwrap();
    let data = blobs(100, 4);
    model.fit(&data, Fit::epochs(3).batch_size(32).seed(seed).verbose(0)).unwrap();
    numbers(&model)
}

#[test]
fn one_or_two_threads_give_the_same_weights() {
    let with = |threads| Device::from_executor(Box::new(CpuExecutor::with_threads(threads).unwrap()));
    let one = trained(Some(&with(1)), 42);
    let two = trained(Some(&with(2)), 42);
    assert_eq!(one, two);
}

/// Work that is large enough to be cut: two threads share every product, convolution and sum of these.
#[test]
fn convolutions_and_recurrences_give_the_same_weights_with_one_or_two_threads() {
    let convnet = || {
        Sequential::new()
            .input([20, 20, 1])
            .add(Conv2D::new(16, 3).activation("relu"))
            .add(BatchNormalization::new())
            .add(MaxPooling2D::new(2))
            .add(Conv2D::new(32, 3).activation("relu"))
            .add(Flatten::new())
            .add(Dropout::new(0.5))
            .add(Dense::new(3))
    };
    let lstm =
        || Sequential::new().input([20, 20, 1]).add(Reshape::new([20, 20])).add(LSTM::new(64)).add(Dense::new(3));
    let pixels: Vec<f32> = (0..64 * 400).map(|i| ((i * 7919 + i / 400 * 31) % 255) as f32 / 255.0).collect();
    let labels: Vec<i32> = (0..64).map(|i| i % 3).collect();
    let data = Dataset::new(Array::new([64, 20, 20, 1], &pixels).unwrap(), Array::new([64], &labels).unwrap()).unwrap();
    let trained = |mut model: Sequential, threads: usize| {
        model.set_device(&Device::from_executor(Box::new(CpuExecutor::with_threads(threads).unwrap())));
        model.compile(how()).unwrap();
        model.fit(&data, Fit::epochs(2).batch_size(32).seed(42).verbose(0)).unwrap();
        numbers(&model)
    };
    assert_eq!(trained(convnet(), 1), trained(convnet(), 2));
    assert_eq!(trained(lstm(), 1), trained(lstm(), 2));
}

#[test]
fn a_seed_given_to_fit_repeats_the_whole_training() {
    let first = trained(None, 42);
    assert_eq!(first, trained(None, 42));
    assert_ne!(first, trained(None, 43));
}

#[test]
fn epochs_in_one_call_or_in_two_are_the_same() {
    let data = blobs(100, 4);
    let model = || {
        let mut model =
            Sequential::new().input([4]).add(Dense::new(8)).add(Dropout::new(0.5)).add(Dense::new(3)).seed(1);
        model.compile(how()).unwrap();
        model
    };
    let (mut once, mut twice) = (model(), model());
    once.fit(&data, Fit::epochs(4).seed(7).verbose(0)).unwrap();
    twice.fit(&data, Fit::epochs(2).seed(7).verbose(0)).unwrap();
    twice.fit(&data, Fit::epochs(4).initial_epoch(2).seed(7).verbose(0)).unwrap();
    assert_eq!(numbers(&once), numbers(&twice));
}
