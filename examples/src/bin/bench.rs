//! The standard workloads, timed as `xtask/bench/peers.py` times them in Keras and PyTorch: run it as `cargo xtask bench`.

use addax::{layers::*, prelude::*};
use addax_examples::arguments::Arguments;
use std::time::Instant;

struct Work {
    name: &'static str,
    rows: usize,
    batch: usize,
    shape: &'static [usize],
}

const WORKS: [Work; 4] = [
    Work { name: "mlp_small", rows: 60_000, batch: 32, shape: &[784] },
    Work { name: "mlp", rows: 60_000, batch: 128, shape: &[784] },
    Work { name: "convnet", rows: 12_800, batch: 128, shape: &[28, 28, 1] },
    Work { name: "lstm", rows: 6_400, batch: 64, shape: &[28, 28] },
];

fn main() -> addax::Result<()> {
    let arguments = Arguments::parse("bench [--device cpu|gpu] [--work NAME] [--json]")?;
    if let Some(device) = arguments.value("device") {
        Device::set_default(&Device::by_name(device)?);
    }
    for work in &WORKS {
        if arguments.value("work").is_none_or(|name| name == work.name) {
            measure(work, arguments.has("json"))?;
        }
    }
    Ok(())
}

fn model(work: &Work) -> Sequential {
    let model = Sequential::new().input(work.shape);
    match work.name {
        "mlp_small" => model.add(Dense::new(128).activation("relu")).add(Dense::new(10)),
        "mlp" => model
            .add(Dense::new(512).activation("relu"))
            .add(Dropout::new(0.2))
            .add(Dense::new(512).activation("relu"))
            .add(Dropout::new(0.2))
            .add(Dense::new(10)),
        "convnet" => model
            .add(Conv2D::new(32, 3).activation("relu"))
            .add(MaxPooling2D::new(2))
            .add(Conv2D::new(64, 3).activation("relu"))
            .add(MaxPooling2D::new(2))
            .add(Flatten::new())
            .add(Dropout::new(0.5))
            .add(Dense::new(10)),
        _ => model.add(LSTM::new(128)).add(Dense::new(10)),
    }
}

fn measure(work: &Work, json: bool) -> addax::Result<()> {
    let (train, _) = data::fashion_mnist()?;
    let images = train.x().bytes()[..work.rows * 784].iter().map(|&b| f32::from(b) / 255.0).collect::<Vec<_>>();
    let shape: Vec<usize> = std::iter::once(work.rows).chain(work.shape.iter().copied()).collect();
    let x = Array::new(shape, &images)?;
    let y = train.y().map(|y| y.gather_rows(&(0..work.rows).collect::<Vec<_>>())).transpose()?;
    let one = x.gather_rows(&[0])?;
    let train = Dataset::new(x.clone(), y)?;
    let mut model = model(work);
    let loss = SparseCategoricalCrossentropy::from_logits();
    model.compile(Compile::new(Adam::new(1e-3)).loss(loss).metric("accuracy"))?;
    let mut accuracy = 0.0;
    let mut epoch = |model: &mut Sequential| -> addax::Result<f64> {
        let began = Instant::now();
        let history = model.fit(&train, Fit::epochs(1).batch_size(work.batch).seed(1).verbose(0))?;
        let seconds = began.elapsed().as_secs_f64();
        accuracy = history.last("accuracy")?;
        Ok(seconds)
    };
    let first = epoch(&mut model)?;
    let best = epoch(&mut model)?.min(epoch(&mut model)?);
    let steps = work.rows as f64 / work.batch as f64;
    model.predict_in_batches(&x, work.batch)?;
    let began = Instant::now();
    model.predict_in_batches(&x, work.batch)?;
    let predict = began.elapsed().as_secs_f64();
    model.predict(&one)?;
    let mut call = f64::MAX;
    for _ in 0..20 {
        let began = Instant::now();
        for _ in 0..50 {
            model.predict(&one)?;
        }
        call = call.min(began.elapsed().as_secs_f64() / 50.0);
    }
    let rows = work.rows as f64;
    match json {
        true => println!(
            "{{\"who\": \"addax\", \"work\": \"{}\", \"device\": \"{}\", \"step_ms\": {:.4}, \"samples_s\": {:.1}, \
             \"first_epoch_s\": {first:.3}, \"epoch_s\": {best:.3}, \"acc\": {accuracy:.4}, \
             \"predict_samples_s\": {:.1}, \"call1_ms\": {:.4}, \"rss_mb\": {:.1}}}",
            work.name,
            Device::default().name(),
            best / steps * 1e3,
            rows / best,
            rows / predict,
            call * 1e3,
            resident_mb()
        ),
        false => println!(
            "{:<10} {:>8.3} ms/step {:>10.0} samples/s  predict {:>10.0}/s  one row {:.4} ms  accuracy {accuracy:.3}",
            work.name,
            best / steps * 1e3,
            rows / best,
            rows / predict,
            call * 1e3
        ),
    }
    Ok(())
}

/// Most memory the process had, in MB; 0 where the system does not tell.
fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
