//! Where a training step spends its time: `bench --profile`.

use crate::works::{Work, epoch};
use addax::{
    Device, Error,
    tensor::cpu::{CpuExecutor, KernelTime, Peak, PlanTime},
};

/// Prints every kernel of a training step.
pub fn profile(work: &Work) -> addax::Result<()> {
    let device = Device::default();
    let cpu: &CpuExecutor = device.executor_as().ok_or_else(|| Error::argument("--profile measures the CPU alone"))?;
    let (train, mut model) = (work.data()?, work.model()?);
    epoch(&mut model, &train, work)?;
    let peak = cpu.measure_peak()?;
    let (bare, _) = epoch(&mut model, &train, work)?;
    cpu.start_profile();
    let (watched, _) = epoch(&mut model, &train, work)?;
    let plans = cpu.take_profile();
    let step = plans.first().ok_or_else(|| Error::device("nothing was measured"))?;
    println!(
        "{}: {:.3} ms per step; {:.3} while measured; kernels of the fastest step {:.3}. {}; at most {:.0} GFLOP/s, {:.1} GB/s",
        work.name,
        bare / work.steps() * 1e3,
        watched / work.steps() * 1e3,
        step.seconds * 1e3,
        device.name(),
        peak.flops / 1e9,
        peak.bytes / 1e9,
    );
    show(step, &peak);
    Ok(())
}

fn show(step: &PlanTime, peak: &Peak) {
    println!(
        "{:<44} {:<18} {:>5} {:>9} {:>6} {:>8} {:>7} {:>6}",
        "kernel", "shape", "calls", "µs", "share", "GFLOP/s", "GB/s", "peak"
    );
    let mut kernels: Vec<&KernelTime> = step.kernels.iter().collect();
    kernels.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    for kernel in kernels {
        let (flops, bytes) = (kernel.flops / kernel.seconds, kernel.bytes / kernel.seconds);
        println!(
            "{:<44} {:<18} {:>5} {:>9.2} {:>5.1}% {:>8.2} {:>7.2} {:>5.0}%",
            kernel.label,
            format!("{:?}", kernel.shape),
            kernel.calls,
            kernel.seconds * 1e6,
            kernel.seconds / step.seconds * 100.0,
            flops / 1e9,
            bytes / 1e9,
            (flops / peak.flops).max(bytes / peak.bytes) * 100.0,
        );
    }
}
