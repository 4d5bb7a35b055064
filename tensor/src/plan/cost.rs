//! How long a plan takes, as far as that can be told before it runs: enough to choose between plans of one step.

use super::{Core, Kernel, MatrixView, Plan, Step};
use crate::executor::Caps;

/// What a kind of device does in a second, roughly. Only ratios matter: a plan is held against other plans of the same step.
struct Speed {
    flops: f64,
    bytes: f64,
    /// Seconds that a kernel takes beside its work.
    launch: f64,
}

const CPU: Speed = Speed { flops: 1e11, bytes: 2e10, launch: 2e-6 };
const GPU: Speed = Speed { flops: 5e12, bytes: 3e11, launch: 1e-5 };

/// How many times as long operations take without the scratch that a kernel would like: a convolution without Winograd's algorithm.
const LEAN: f64 = 1.6;

impl Plan {
    /// Seconds that one run is predicted to take: each kernel as long as its operations or its bytes take, whichever is longer.
    pub fn predicted_seconds(&self, caps: &Caps) -> f64 {
        let speed = if caps.arena { CPU } else { GPU };
        self.compute.iter().chain(&self.commit).map(|step| of_step(step, &speed)).sum()
    }
}

fn of_step(step: &Step, speed: &Speed) -> f64 {
    match step {
        Step::Run { kernel, .. } => of_kernel(kernel, speed),
        Step::Loop { trips, body } => *trips as f64 * body.iter().map(|step| of_step(step, speed)).sum::<f64>(),
    }
}

fn of_kernel(kernel: &Kernel, speed: &Speed) -> f64 {
    let bytes = kernel.bytes() + operands(kernel);
    let flops = kernel.flops() as f64 * if kernel.lean { LEAN } else { 1.0 };
    (flops / speed.flops).max(bytes as f64 / speed.bytes) + speed.launch
}

/// Bytes of a product's operands, which are not of the shape of its result: weights are read again for each slice of a batch.
fn operands(kernel: &Kernel) -> u64 {
    match (&kernel.core, kernel.shape.as_slice()) {
        (Core::MatMul { k, a, b }, [batch @ .., m, n]) => {
            let of = |view: &MatrixView, free: usize| {
                let each = batch.iter().zip(&view.batch_strides).filter(|&(_, &stride)| stride != 0);
                let matrices: usize = each.map(|(&count, _)| count).product();
                let dtype = kernel.args.get(usize::from(view.arg)).map_or(0, |arg| arg.dtype.size());
                (matrices * free * k * dtype) as u64
            };
            of(a, *m) + of(b, *n)
        }
        _ => 0,
    }
}
