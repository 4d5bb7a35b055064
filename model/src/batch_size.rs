//! How large a batch may be: what fits at once, and what to tell when a step was refused.

use addax_tensor::{Device, Error, Recording, Result};

/// The largest number from `low`, which fits, to below `high`, which does not. By halving the distance.
pub(crate) fn most(low: usize, high: usize, fits: impl Fn(usize) -> Result<bool>) -> Result<usize> {
    let (mut low, mut high) = (low, high);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if fits(middle)? { low = middle } else { high = middle }
    }
    Ok(low)
}

/// Adds to the error of a step that was refused memory the largest batch that would have fit. `record` records the step for so many
/// samples.
pub(crate) fn told(error: Error, device: &Device, rows: usize, record: impl Fn(usize) -> Result<Recording>) -> Error {
    if !error.is_out_of_memory() {
        return error;
    }
    match that_fits(device, rows, record) {
        Ok(Some(batch)) => error.with_batch_that_fits(batch),
        // By planning this batch fits: it was refused for a reason that planning does not see.
        Ok(None) | Err(_) => error,
    }
}

fn that_fits(device: &Device, rows: usize, record: impl Fn(usize) -> Result<Recording>) -> Result<Option<usize>> {
    let to_bind = record(rows)?.bytes_to_bind(device);
    let fits = |rows: usize| record(rows)?.fits(device, to_bind);
    if fits(rows)? {
        return Ok(None);
    }
    if rows <= 1 || !fits(1)? {
        return Ok(Some(0));
    }
    most(1, rows, fits).map(Some)
}
