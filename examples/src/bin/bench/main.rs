//! The standard workloads, timed as `xtask/bench/peers.py` times them in Keras and PyTorch: run it as `cargo xtask bench`.

mod kernels;
mod profile;
mod start;
mod turns;
mod works;

use addax::prelude::*;
use addax_examples::arguments::Arguments;
use std::time::Instant;
use works::{WORKS, Work, epoch};

fn main() -> addax::Result<()> {
    let arguments = Arguments::parse(
        "bench [--device cpu|gpu] [--work NAME] [--policy NAME] [--json] [--profile] [--kernels] [--kernel NAME] [--small] \
         [--tflops N --gigabytes N] [--start] [--turns]",
    )?;
    if let Some(device) = arguments.value("device") {
        Device::set_default(&Device::by_name(device)?);
    }
    if let Some(policy) = arguments.value("policy") {
        set_dtype_policy(policy)?;
    }
    if arguments.has("kernels") {
        let sheet = arguments.number("tflops")?.zip(arguments.number("gigabytes")?);
        let sheet = sheet.map(|(t, g)| kernels::Peak { flops: t as f64 * 1e12, bytes: g as f64 * 1e9 });
        return kernels::measure(arguments.value("kernel").unwrap_or_default(), arguments.has("small"), sheet);
    }
    if arguments.has("start") {
        return start::measure();
    }
    for work in &WORKS {
        if arguments.value("work").is_none_or(|name| name == work.name) {
            match (arguments.has("profile"), arguments.has("turns")) {
                (true, _) => profile::profile(work)?,
                (_, true) => turns::take(work)?,
                _ => measure(work, arguments.has("json"))?,
            }
        }
    }
    Ok(())
}

fn measure(work: &Work, json: bool) -> addax::Result<()> {
    let (train, mut model) = (work.data()?, work.model()?);
    let (first, _) = epoch(&mut model, &train, work)?;
    let (second, _) = epoch(&mut model, &train, work)?;
    let (third, accuracy) = epoch(&mut model, &train, work)?;
    let best = second.min(third);
    let x = train.x().into_owned();
    let predict = fastest(2, || model.predict_in_batches(&x, work.batch).map(drop))?;
    let call = one_row(&model, &x, 20)?;
    let rows = work.rows as f64;
    let asked = asked_of_gpu(&mut model, &train, work)?;
    match json {
        true => println!(
            "{{\"who\": \"addax\", \"work\": \"{}\", \"device\": \"{}\", \"step_ms\": {:.4}, \"samples_s\": {:.1}, \
             \"first_epoch_s\": {first:.3}, \"epoch_s\": {best:.3}, \"acc\": {accuracy:.4}, \
             \"predict_samples_s\": {:.1}, \"call1_ms\": {:.4}, \"rss_mb\": {:.1}{}}}",
            work.name,
            Device::default().name(),
            best / work.steps() * 1e3,
            rows / best,
            rows / predict,
            call * 1e3,
            resident_mb(),
            // As JSON: `"dispatches": 27, …`.
            asked.split_whitespace().map(|count| format!(", \"{}", count.replace('=', "\": "))).collect::<String>()
        ),
        false => println!(
            "{:<10} {:>8.3} ms/step {:>10.0} samples/s  predict {:>10.0}/s  one row {:.4} ms  accuracy {accuracy:.3}  {asked}",
            work.name,
            best / work.steps() * 1e3,
            rows / best,
            rows / predict,
            call * 1e3
        ),
    }
    Ok(())
}

/// Seconds to predict one row: the best of so many means of 50 calls.
fn one_row(model: &Sequential, x: &Array, passes: usize) -> addax::Result<f64> {
    let one = x.slice_rows(0..1)?;
    Ok(fastest(passes, || (0..50).try_for_each(|_| model.predict(&one).map(drop)))? / 50.0)
}

/// Seconds of the fastest of so many passes, after one that warms up: `peers.py` counts in the same way.
fn fastest(passes: usize, mut pass: impl FnMut() -> addax::Result<()>) -> addax::Result<f64> {
    pass()?;
    let mut best = f64::MAX;
    for _ in 0..passes {
        let began = Instant::now();
        pass()?;
        best = best.min(began.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// What a step asks of a GPU: `dispatches=27 host_kernels=0 readbacks_in_step=0`. Nothing on a CPU.
#[cfg(feature = "gpu")]
fn asked_of_gpu(model: &mut Sequential, train: &Dataset, work: &Work) -> addax::Result<String> {
    let stats = addax::StepStats::measure(&Device::default(), 2, 6, |steps| {
        let few = train.slice(0..steps * work.batch)?;
        epoch(model, &few, work).map(drop)
    })?;
    Ok(stats.map(|stats| stats.to_string()).unwrap_or_default())
}
#[cfg(not(feature = "gpu"))]
fn asked_of_gpu(_: &mut Sequential, _: &Dataset, _: &Work) -> addax::Result<String> {
    Ok(String::new())
}

/// Most memory the process had, in MB; 0 where the system does not tell.
fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
