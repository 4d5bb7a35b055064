//! The ladder: what to do when a plan does not fit. All at once; then in slices of the batch, as few as fit; then also computing
//! again what phases would keep. By planning alone: nothing runs until a rung fits.

use super::{
    Plan,
    split::{Obstacle, Rung, Splitter},
    trace::Traced,
};
use crate::{error::Result, executor::Executor};

/// The answer of the ladder.
pub struct Found {
    /// The highest rung that fits, or the smallest plan there is.
    pub plan: Plan,
    /// Why it could not go further down.
    pub obstacle: Option<String>,
}

/// Plans a traced graph so that it takes at most `room` bytes beside inputs and state, if that is possible. Pure: nothing is
/// allocated, nothing runs.
pub fn plan_within(
    traced: &Traced,
    labels: &[String],
    executor: &dyn Executor,
    fuse: bool,
    room: u64,
) -> Result<Found> {
    let mut smallest = super::plan(traced, labels, executor, fuse)?;
    if smallest.transient_bytes() <= room {
        return Ok(Found { plan: smallest, obstacle: None });
    }
    let splitter = match Splitter::new(traced, labels) {
        Ok(splitter) => splitter,
        Err(obstacle) => return Ok(Found { plan: smallest, obstacle: Some(explain(&obstacle, labels)) }),
    };
    let counts: Vec<usize> = (2..=splitter.rows()).filter(|n| splitter.rows() % n == 0).collect();
    let Some(most) = counts.last() else { return Ok(Found { plan: smallest, obstacle: None }) };
    for &recompute in splitter.ways() {
        let at = |slices: usize| splitter.plan(Rung { slices, recompute }, executor, fuse);
        let last = at(*most)?;
        if last.transient_bytes() > room {
            if last.transient_bytes() < smallest.transient_bytes() {
                smallest = last;
            }
            continue;
        }
        let fewest = |counts: &[usize], best: Plan| -> Result<(Plan, usize)> {
            // By bisection: more slices hardly ever take more memory.
            let (mut low, mut high, mut best) = (0, counts.len() - 1, best);
            while low < high {
                let middle = (low + high) / 2;
                let plan = at(counts[middle])?;
                match plan.transient_bytes() <= room {
                    true => (high, best) = (middle, plan),
                    false => low = middle + 1,
                }
            }
            Ok((best, high))
        };
        let (mut best, found) = fewest(&counts, last)?;
        // Where the next divisor is far, as it is for a prime, a last slice that is shorter is the lesser evil.
        let (below, above) = (found.checked_sub(1).map_or(1, |n| counts[n]), counts[found]);
        if above > 2 * below {
            let rows = splitter.rows();
            let mut between: Vec<usize> = (below + 1..=above).filter(|&n| even(rows, n) == n).collect();
            between.retain(|&n| n == above || rows % n > 0);
            best = fewest(&between, best)?.0;
        }
        return Ok(Found { plan: best, obstacle: None });
    }
    Ok(Found { plan: smallest, obstacle: None })
}

/// The plan that takes the fewest bytes of all rungs.
pub fn smallest(traced: &Traced, labels: &[String], executor: &dyn Executor, fuse: bool) -> Result<Found> {
    plan_within(traced, labels, executor, fuse, 0)
}

/// Plans a traced graph on this rung, if its batch can be split; else as a whole. There are no more slices than samples, and all but
/// the last have as many: seven slices of ten samples are five of two.
pub fn plan_on(traced: &Traced, labels: &[String], executor: &dyn Executor, fuse: bool, rung: Rung) -> Result<Found> {
    let splitter = match Splitter::new(traced, labels) {
        Ok(splitter) => splitter,
        Err(obstacle) => {
            let plan = super::plan(traced, labels, executor, fuse)?;
            return Ok(Found { plan, obstacle: Some(explain(&obstacle, labels)) });
        }
    };
    let slices = even(splitter.rows(), rung.slices);
    let plan = splitter.plan(Rung { slices, ..rung }, executor, fuse)?;
    Ok(Found { plan, obstacle: None })
}

/// The number of slices that there are if the batch is cut into so many, all but the last alike.
fn even(rows: usize, slices: usize) -> usize {
    rows.div_ceil(rows.div_ceil(slices.clamp(1, rows)))
}

impl Splitter<'_> {
    fn plan(&self, rung: Rung, executor: &dyn Executor, fuse: bool) -> Result<Plan> {
        let (split, labels) = self.split(rung)?;
        Ok(Plan { rung, ..super::plan(&split, &labels, executor, fuse)? })
    }
    /// What may be done with values that a later phase asks for: keep them, or compute them again.
    fn ways(&self) -> &'static [bool] {
        if self.has_phases() { &[false, true] } else { &[false] }
    }
}

fn explain(obstacle: &Obstacle, labels: &[String]) -> String {
    match obstacle {
        Obstacle::NoBatch => "this step has no batch that could be computed in slices".into(),
        Obstacle::Coupled(id) => {
            let label = labels.get(*id).map_or("a value", String::as_str);
            format!("the batch cannot be computed in slices: {label} mixes its samples")
        }
    }
}
