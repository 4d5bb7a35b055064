//! One training on two devices: the CPU and a GPU (a software adapter counts) follow the same loss curve, and a step never talks
//! to the host.

#![cfg(feature = "gpu")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use addax::{
    StepStats,
    layers::*,
    prelude::*,
    tensor::{random, testing},
};

/// Keras' convnet for small pictures, and pictures.
fn convnet() -> Sequential {
    let mut model = Sequential::new()
        .input([14, 14, 1])
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
    model
}

fn pictures(rows: usize) -> (Array, Array) {
    let pixel = |i: usize| ((i * 7919 + i / 196 * 31) % 255) as f32 / 255.0;
    let x = Array::new([rows, 14, 14, 1], &(0..rows * 196).map(pixel).collect::<Vec<_>>()).unwrap();
    (x, Array::new([rows], &(0..rows).map(|i| (i * 3 % 10) as i32).collect::<Vec<_>>()).unwrap())
}

/// Loss of each of the first steps, on this device.
fn curve(device: &Device) -> Vec<f64> {
    Device::set_default(device);
    let mut model = convnet();
    let (x, y) = pictures(16);
    let mut step = || {
        model.reset_metrics().unwrap();
        model.train_on_batch(&x, &y, None).unwrap().get("loss").unwrap()
    };
    (0..20).map(|_| step()).collect()
}

/// One test, because the default device is one for the process.
#[test]
fn a_gpu_trains_as_the_cpu_does() {
    let Some(gpu) = testing::gpu().expect("ADDAX_TEST_DEVICES names gpu") else { return };
    let cpu = Device::cpu().unwrap();
    let (on_cpu, on_gpu) = (curve(&cpu), curve(&gpu));
    for (step, (a, b)) in on_cpu.iter().zip(&on_gpu).enumerate() {
        assert!((a - b).abs() < 1e-3, "step {step}: {a} on the CPU, {b} on the GPU");
    }
    assert!(on_cpu[19] < on_cpu[0], "nothing was learned: {on_cpu:?}");

    let mask = |device: &Device| {
        Device::set_default(device);
        random::uniform(&random::key(11, 3), 7, [64, 33]).greater_equal(0.5).to_vec::<bool>().unwrap()
    };
    assert_eq!(mask(&cpu), mask(&gpu));

    Device::set_default(&gpu);
    let mut model = convnet();
    let stats = StepStats::measure(&gpu, 2, 6, |steps| {
        let (x, y) = pictures(16 * steps);
        model.fit(&Dataset::new(x, y)?, Fit::epochs(1).batch_size(16).seed(1).verbose(0)).map(drop)
    });
    let stats = stats.unwrap().expect("a GPU has counts");
    println!("{stats}");
    assert_eq!(stats.to_string(), format!("dispatches={} host_kernels=0 readbacks_in_step=0", stats.dispatches));
    assert!(stats.dispatches > 20, "{stats}");
    // A readback in one step of many is seen.
    let reading = StepStats::measure(&gpu, 2, 6, |steps| {
        if steps == 6 {
            model.weights()?;
        }
        Ok(())
    });
    assert!(reading.unwrap().expect("a GPU has counts").readbacks_in_step > 0);
    assert_eq!(StepStats::measure(&cpu, 2, 6, |_| Ok(())).unwrap(), None);
    assert!(
        StepStats::measure(&gpu, 2, 2, |_| Ok(())).unwrap_err().to_string().contains("2 steps are not more than 2")
    );
}
