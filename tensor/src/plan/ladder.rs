//! The ladder: what to do when a plan does not fit. All at once; else the whole batch with some values computed again, or slices of
//! the batch, with or without: of what fits, what is predicted to be fastest. By planning alone: nothing runs until a rung fits.

use super::{
    Plan,
    materialize::Limits,
    recompute,
    split::{Obstacle, Rung, Splitter},
    trace::Traced,
};
use crate::{error::Result, executor::Executor};

/// The answer of the ladder.
pub struct Found {
    /// The fastest that fits, or the smallest plan there is.
    pub plan: Plan,
    /// Why it could not go further down.
    pub obstacle: Option<String>,
}

/// As many slices as this, computed without anything again, are not much slower than the whole: no more is looked for.
const FEW: usize = 4;

/// Of [`recompute::SHARES`], those that are tried inside slices.
const INSIDE: [f64; 2] = [recompute::SHARES[2], recompute::SHARES[4]];

/// What is estimated to take so many times the room is not planned, unless nothing else fits.
const HOPELESS: f64 = 2.0;

/// Plans a traced graph so that it takes at most `room` bytes beside inputs and state, if that is possible. Pure: nothing is
/// allocated, nothing runs.
pub fn plan_within(
    traced: &Traced,
    labels: &[String],
    executor: &dyn Executor,
    fuse: bool,
    room: u64,
) -> Result<Found> {
    let whole = super::plan(traced, labels, executor, fuse)?;
    if whole.transient_bytes() <= room {
        return Ok(Found { plan: whole, obstacle: None });
    }
    let step = Step { executor, fuse };
    let mut search = Search { executor, room, fastest: None, smallest: whole };
    let whole = recompute::Whole::new(traced, labels, step.limits());
    let hopeless = |share: &&f64| whole.wanted(**share) as f64 > HOPELESS * room as f64;
    let (unlikely, likely): (Vec<f64>, Vec<f64>) = recompute::SHARES.iter().partition(hopeless);
    step.whole_again(&whole, &likely, &mut search)?;
    let obstacle = match Splitter::new(traced, labels) {
        Ok(splitter) => {
            step.slices(&splitter, &mut search)?;
            None
        }
        Err(obstacle) => Some(explain(&obstacle, labels)),
    };
    if search.fastest.is_none() {
        step.whole_again(&whole, &unlikely, &mut search)?;
    }
    Ok(match search.fastest {
        Some((_, plan)) => Found { plan, obstacle: None },
        None => Found { plan: search.smallest, obstacle },
    })
}

/// The plan that takes the fewest bytes of all rungs.
pub fn smallest(traced: &Traced, labels: &[String], executor: &dyn Executor, fuse: bool) -> Result<Found> {
    plan_within(traced, labels, executor, fuse, 0)
}

/// Plans a traced graph on this rung, as far as there is one: a batch that cannot be split is computed as a whole. There are no more
/// slices than samples, and all but the last have as many: seven slices of ten samples are five of two. A rung that computes values
/// again is the smallest plan of its number of slices.
pub fn plan_on(traced: &Traced, labels: &[String], executor: &dyn Executor, fuse: bool, rung: Rung) -> Result<Found> {
    let step = Step { executor, fuse };
    let splitter = match rung.slices {
        1 => Err(None),
        _ => Splitter::new(traced, labels).map_err(|obstacle| Some(explain(&obstacle, labels))),
    };
    let (plan, obstacle) = match &splitter {
        Ok(splitter) => {
            let rung = Rung { slices: even(splitter.rows(), rung.slices), ..rung };
            (step.sliced(splitter, rung, None)?, None)
        }
        Err(obstacle) => (super::plan(traced, labels, executor, fuse)?, obstacle.clone()),
    };
    let mut search = Search { executor, room: 0, fastest: None, smallest: plan };
    if rung.recompute {
        match &splitter {
            Ok(splitter) => {
                let slices = search.smallest.rung.slices;
                for share in recompute::SHARES {
                    search.offer(step.sliced(splitter, Rung { slices, recompute: true }, Some(share))?);
                }
            }
            Err(_) => {
                let whole = recompute::Whole::new(traced, labels, step.limits());
                step.whole_again(&whole, &recompute::SHARES, &mut search)?;
            }
        }
    }
    Ok(Found { plan: search.smallest, obstacle })
}

/// The number of slices that there are if the batch is cut into so many, all but the last alike.
fn even(rows: usize, slices: usize) -> usize {
    rows.div_ceil(rows.div_ceil(slices.clamp(1, rows)))
}

/// What was found so far.
struct Search<'a> {
    executor: &'a dyn Executor,
    room: u64,
    /// Of the plans that fit: the seconds that it is predicted to take, and the plan.
    fastest: Option<(f64, Plan)>,
    smallest: Plan,
}

impl Search<'_> {
    fn fits(&self, plan: &Plan) -> bool {
        plan.transient_bytes() <= self.room
    }
    fn offer(&mut self, plan: Plan) {
        if self.fits(&plan) {
            let seconds = plan.predicted_seconds(&self.executor.caps());
            if self.fastest.as_ref().is_none_or(|(least, _)| seconds < *least) {
                self.fastest = Some((seconds, plan));
            }
        } else if plan.transient_bytes() < self.smallest.transient_bytes() {
            self.smallest = plan;
        }
    }
}

/// A step that is planned in several ways.
struct Step<'a> {
    executor: &'a dyn Executor,
    fuse: bool,
}

impl Step<'_> {
    /// The whole batch, with some values computed again: as few as fit.
    fn whole_again(&self, whole: &recompute::Whole, shares: &[f64], search: &mut Search) -> Result<()> {
        for &share in shares {
            let Some((again, labels)) = whole.again(share) else { return Ok(()) };
            let plan = super::plan(&again, &labels, self.executor, self.fuse)?;
            let fits = search.fits(&plan);
            search.offer(Plan { rung: Rung { slices: 1, recompute: true }, ..plan });
            if fits {
                break;
            }
        }
        Ok(())
    }

    /// Slices of the batch, as few as fit: keeping all, computing again what phases would keep, and computing again inside of them.
    fn slices(&self, splitter: &Splitter, search: &mut Search) -> Result<()> {
        let phases: &[bool] = if splitter.has_phases() { &[false, true] } else { &[false] };
        for &recompute in phases {
            self.fewest(splitter, search, recompute, None)?;
        }
        for share in INSIDE {
            let slow = |(_, plan): &(f64, Plan)| plan.rung.slices > FEW;
            if search.fastest.as_ref().is_none_or(slow) {
                self.fewest(splitter, search, true, Some(share))?;
            }
        }
        Ok(())
    }

    /// Offers the fewest slices that fit, or the most there are.
    fn fewest(&self, splitter: &Splitter, search: &mut Search, recompute: bool, share: Option<f64>) -> Result<()> {
        let rows = splitter.rows();
        let counts: Vec<usize> = (2..=rows).filter(|n| rows.is_multiple_of(*n)).collect();
        let at = |slices: usize| self.sliced(splitter, Rung { slices, recompute }, share);
        let Some(&most) = counts.last() else { return Ok(()) };
        let last = at(most)?;
        if !search.fits(&last) {
            search.offer(last);
            return Ok(());
        }
        let (mut best, found) = bisect(&counts, last, search, &at)?;
        // Where the next divisor is far, as it is for a prime, a last slice that is shorter is the lesser evil.
        let (below, above) = (found.checked_sub(1).map_or(1, |n| counts[n]), counts[found]);
        if above > 2 * below {
            let mut between: Vec<usize> = (below + 1..=above).filter(|&n| even(rows, n) == n).collect();
            between.retain(|&n| n == above || !rows.is_multiple_of(n));
            best = bisect(&between, best, search, &at)?.0;
        }
        search.offer(best);
        Ok(())
    }

    fn sliced(&self, splitter: &Splitter, rung: Rung, share: Option<f64>) -> Result<Plan> {
        let (mut split, labels) = splitter.split(rung)?;
        if let Some(share) = share
            && let Some(again) = recompute::inside(&split, self.limits(), share)
        {
            split = again;
        }
        Ok(Plan { rung, ..super::plan(&split, &labels, self.executor, self.fuse)? })
    }

    fn limits(&self) -> Limits {
        Limits::of(&self.executor.caps(), self.fuse)
    }
}

/// The plan of the fewest slices that fits, of which `last` is the most, and its place: more slices hardly ever take more memory.
fn bisect(counts: &[usize], last: Plan, search: &Search, at: &impl Fn(usize) -> Result<Plan>) -> Result<(Plan, usize)> {
    let (mut low, mut high, mut best) = (0, counts.len() - 1, last);
    while low < high {
        let middle = (low + high) / 2;
        let plan = at(counts[middle])?;
        match search.fits(&plan) {
            true => (high, best) = (middle, plan),
            false => low = middle + 1,
        }
    }
    Ok((best, high))
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
