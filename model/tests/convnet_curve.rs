//! The loss curve of Keras' convnet, in its full size, on the CPU and on a GPU. It takes minutes on a software adapter, so it
//! runs only when it is asked for:
//!
//! `ADDAX_TEST_DEVICES=cpu,gpu cargo test --release -p addax --test convnet_curve -- --ignored --nocapture`

#![cfg(feature = "gpu")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax::{layers::*, prelude::*};
use std::time::Instant;

const STEPS: usize = 20;
const BATCH: usize = 128;
const SIDE: usize = 28;

/// Loss of each of the first steps, each on rows of its own, on this device.
fn curve(device: &Device) -> Vec<f64> {
    Device::set_default(device);
    let mut model = Sequential::new()
        .input([SIDE, SIDE, 1])
        .seed(5)
        .add(Conv2D::new(32, 3).activation("relu"))
        .add(MaxPooling2D::new(2))
        .add(Conv2D::new(64, 3).activation("relu"))
        .add(MaxPooling2D::new(2))
        .add(Flatten::new())
        .add(Dropout::new(0.5))
        .add(Dense::new(10));
    let loss = SparseCategoricalCrossentropy::from_logits();
    model.compile(Compile::new(Adam::new(1e-3)).loss(loss).metric("accuracy")).unwrap();
    let began = Instant::now();
    let mut losses = Vec::new();
    for step in 0..STEPS {
        let (x, y) = pictures(step);
        model.reset_metrics().unwrap();
        losses.push(model.train_on_batch(&x, &y, None).unwrap().get("loss").unwrap());
    }
    println!("{}: {STEPS} steps in {:.1} s", device.name(), began.elapsed().as_secs_f64());
    losses
}

/// A batch of pictures: the digits that come with Addax, each pixel drawn as a square, with an empty border.
fn pictures(batch: usize) -> (Array, Array) {
    let digits = data::sets::digits().unwrap().data;
    let rows: Vec<usize> = (0..BATCH).map(|row| (batch * BATCH + row) % digits.len()).collect();
    let small = digits.x().gather_rows(&rows).unwrap();
    let mut x = vec![0.0f32; BATCH * SIDE * SIDE];
    for (picture, small) in x.chunks_mut(SIDE * SIDE).zip(small.bytes().chunks(64)) {
        for (at, pixel) in picture.iter_mut().enumerate() {
            let (row, column) = (at / SIDE, at % SIDE);
            if (2..26).contains(&row) && (2..26).contains(&column) {
                *pixel = f32::from(small[(row - 2) / 3 * 8 + (column - 2) / 3]) / 16.0;
            }
        }
    }
    (Array::new([BATCH, SIDE, SIDE, 1], &x).unwrap(), digits.y().unwrap().gather_rows(&rows).unwrap())
}

#[test]
#[ignore = "takes minutes on a software adapter"]
fn a_convnet_learns_alike_on_both_devices() {
    let devices = std::env::var("ADDAX_TEST_DEVICES").unwrap_or_default();
    assert!(devices.split(',').any(|d| d.trim() == "gpu"), "ADDAX_TEST_DEVICES does not name gpu");
    let (cpu, gpu) = (Device::cpu().unwrap(), Device::by_name("gpu").expect("there is no adapter"));
    let (on_cpu, on_gpu) = (curve(&cpu), curve(&gpu));
    let differences = on_cpu.iter().zip(&on_gpu).map(|(a, b)| (a - b).abs());
    let (step, largest) = differences.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    println!("cpu {on_cpu:.4?}\ngpu {on_gpu:.4?}\nlargest difference {largest:.1e}, at step {step}");
    assert!(largest < 1e-3, "they differ by {largest} at step {step}");
    assert!(on_cpu[STEPS - 1] < 0.8 * on_cpu[0], "nothing was learned: {on_cpu:?}");
}
