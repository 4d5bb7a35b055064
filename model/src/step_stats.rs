//! What one training step asks of a GPU.

use addax_tensor::{Device, Error, Result};
use std::fmt;

/// What one training step asks of a GPU: kernels, and whether the host has any part in it. Shown as
/// `dispatches=27 host_kernels=0 readbacks_in_step=0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepStats {
    /// Kernels that a step dispatches.
    pub dispatches: u64,
    /// Kernels of all steps together that the host would have to compute: there should be none.
    pub host_kernels: u64,
    /// Copies to the host in a step, each of which waits: there should be none. What an epoch reads at its end does not count.
    pub readbacks_in_step: u64,
}

impl StepStats {
    /// Calls `train` three times, with a number of steps to train on this device: `few` to begin with, then `few` and `many`,
    /// whose difference is that of `many - few` steps. `None` for a device that is no GPU, which trains nothing.
    pub fn measure(
        device: &Device,
        few: usize,
        many: usize,
        mut train: impl FnMut(usize) -> Result<()>,
    ) -> Result<Option<StepStats>> {
        let Some(steps) = many.checked_sub(few).filter(|steps| *steps > 0) else {
            return Err(Error::argument(format!("{many} steps are not more than {few}; their difference is measured")));
        };
        let Some(start) = device.gpu_stats() else { return Ok(None) };
        let mut asked = |steps: usize| -> Result<(u64, u64)> {
            let before = device.gpu_stats().unwrap_or_default();
            train(steps)?;
            let after = device.gpu_stats().unwrap_or_default();
            Ok((after.dispatches - before.dispatches, after.readbacks - before.readbacks))
        };
        asked(few)?;
        let ((few, read_by_few), (many, read_by_many)) = (asked(few)?, asked(many)?);
        let end = device.gpu_stats().unwrap_or_default();
        Ok(Some(StepStats {
            dispatches: many.saturating_sub(few) / steps as u64,
            host_kernels: end.host_kernels - start.host_kernels,
            // A single one among many steps is one too many.
            readbacks_in_step: read_by_many.saturating_sub(read_by_few).div_ceil(steps as u64),
        }))
    }
}

impl fmt::Display for StepStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StepStats { dispatches, host_kernels, readbacks_in_step } = self;
        write!(f, "dispatches={dispatches} host_kernels={host_kernels} readbacks_in_step={readbacks_in_step}")
    }
}
