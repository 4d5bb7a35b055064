//! The ladder: what to do when a plan does not fit. All at once; else with less scratch, the whole batch with some values computed
//! again, or slices of the batch, with or without: of what fits, what is predicted to be fastest. By planning alone: nothing runs
//! until a rung fits.

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

/// Parts of what phases would keep for later ones that are tried where all is too much.
const KEPT: [f64; 6] = [0.25, 0.12, 0.06, 0.03, 0.01, 0.0];

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
    let step = Step { executor, fuse, room: Some(room) };
    let least = whole.lean(room, executor);
    let mut search = Search { executor, room, fastest: None, smallest: least.clone() };
    search.offer(least);
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
    let step = Step { executor, fuse, room: rung.lean.then_some(0) };
    let splitter = match rung.slices {
        1 => Err(None),
        _ => Splitter::new(traced, labels).map_err(|obstacle| Some(explain(&obstacle, labels))),
    };
    let (plan, obstacle) = match &splitter {
        Ok(splitter) => {
            let slices = even(splitter.rows(), rung.slices);
            let keep = if rung.recompute { 0.0 } else { 1.0 };
            (step.sliced(splitter, slices, Way { keep, inside: None })?, None)
        }
        Err(obstacle) => (step.plan(traced, labels, Rung::WHOLE)?, obstacle.clone()),
    };
    let mut search = Search { executor, room: 0, fastest: None, smallest: plan };
    if rung.recompute {
        match &splitter {
            Ok(splitter) => {
                let slices = search.smallest.rung.slices;
                for share in recompute::SHARES {
                    search.offer(step.sliced(splitter, slices, Way { keep: 0.0, inside: Some(share) })?);
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
    /// Bytes for which plans do with less scratch.
    room: Option<u64>,
}

/// How slices of a batch are computed.
#[derive(Clone, Copy)]
struct Way {
    /// The part of what phases leave for later ones that is kept; the rest is computed again.
    keep: f64,
    /// The share of [`recompute::inside`] slices, if values are computed again there, too.
    inside: Option<f64>,
}

impl Way {
    const PLAIN: Way = Way { keep: 1.0, inside: None };

    fn rung(self, slices: usize) -> Rung {
        Rung { slices, recompute: self.keep < 1.0 || self.inside.is_some(), lean: false }
    }
}

impl Step<'_> {
    fn plan(&self, traced: &Traced, labels: &[String], rung: Rung) -> Result<Plan> {
        let plan = Plan { rung, ..super::plan(traced, labels, self.executor, self.fuse)? };
        Ok(match self.room {
            Some(room) => plan.lean(room, self.executor),
            None => plan,
        })
    }

    /// The whole batch, with some values computed again: as few as fit.
    fn whole_again(&self, whole: &recompute::Whole, shares: &[f64], search: &mut Search) -> Result<()> {
        for &share in shares {
            let Some((again, labels)) = whole.again(share) else { return Ok(()) };
            let plan = self.plan(&again, &labels, Rung { recompute: true, ..Rung::WHOLE })?;
            let fits = search.fits(&plan);
            search.offer(plan);
            if fits {
                break;
            }
        }
        Ok(())
    }

    /// Slices of the batch, as few as fit: keeping all, computing again some or all of what phases would keep, and computing again
    /// inside of them.
    fn slices(&self, splitter: &Splitter, search: &mut Search) -> Result<()> {
        let slow = |search: &Search| search.fastest.as_ref().is_none_or(|(_, plan)| plan.rung.slices > FEW);
        self.fewest(splitter, search, Way::PLAIN)?;
        if splitter.has_phases() {
            for keep in KEPT {
                if slow(search) {
                    self.fewest(splitter, search, Way { keep, inside: None })?;
                }
            }
        }
        for share in INSIDE {
            if slow(search) {
                self.fewest(splitter, search, Way { keep: 0.0, inside: Some(share) })?;
            }
        }
        Ok(())
    }

    /// Offers the fewest slices that fit, or the most there are.
    fn fewest(&self, splitter: &Splitter, search: &mut Search, way: Way) -> Result<()> {
        let rows = splitter.rows();
        let counts: Vec<usize> = (2..=rows).filter(|n| rows.is_multiple_of(*n)).collect();
        let at = |slices: usize| self.sliced(splitter, slices, way);
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

    fn sliced(&self, splitter: &Splitter, slices: usize, way: Way) -> Result<Plan> {
        let (mut split, labels) = splitter.split(slices, way.keep)?;
        if let Some(share) = way.inside
            && let Some(again) = recompute::inside(&split, self.limits(), share)
        {
            split = again;
        }
        self.plan(&split, &labels, way.rung(slices))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, Device, Tensor, plan::trace::trace};

    /// A deep net whose layers take out the mean of the batch, and the way back: phases that leave values for much later ones.
    fn centered_layers() -> (Traced, Vec<String>) {
        let x = Tensor::placeholder(0, DType::F32, [64, 48]).of_samples();
        let w = Tensor::placeholder(1, DType::F32, [48, 48]);
        let centered = |x: &Tensor| x - x.mean(0).expand_dims(0);
        let mut layers = vec![x.clone()];
        for _ in 0..10 {
            let next = centered(&layers[layers.len() - 1].matmul(&w)).tanh();
            layers.push(next);
        }
        let mut back = layers[10].clone();
        for layer in layers[1..10].iter().rev() {
            back = centered(&(back * layer)).matmul(&w);
        }
        let (traced, feeds) = trace(&[x, w], &[back.square().sum(0)], &[]).unwrap();
        (traced, feeds.labels.clone())
    }

    /// The less phases keep for later ones, the less memory slices take, and the more they compute.
    #[test]
    fn between_keeping_all_and_nothing_there_are_steps() {
        let device = Device::cpu().unwrap();
        let (traced, labels) = centered_layers();
        let step = Step { executor: device.executor(), fuse: true, room: None };
        let splitter = Splitter::new(&traced, &labels).unwrap();
        let mut steps = Vec::new();
        for keep in [1.0].into_iter().chain(KEPT) {
            let plan = step.sliced(&splitter, 4, Way { keep, inside: None }).unwrap();
            steps.push((plan.transient_bytes(), plan.predicted_seconds(&device.caps())));
        }
        println!("{steps:?}");
        // What is computed again needs some room, too.
        let down =
            |above: &(u64, f64), below: &(u64, f64)| below.0 as f64 <= above.0 as f64 * 1.02 && above.1 <= below.1;
        assert!(steps.is_sorted_by(down), "{steps:?}");
        let (first, last) = (steps[0], steps[KEPT.len()]);
        let between = |&&(bytes, seconds): &&(u64, f64)| {
            bytes < first.0 && bytes > last.0 && seconds > first.1 && seconds < last.1 * 0.8
        };
        assert!(steps.iter().filter(between).count() >= 2, "{steps:?}");
    }

    /// What fits is not computed again from the start if some of it can be kept.
    #[test]
    fn phases_keep_as_much_as_fits() {
        let device = Device::cpu().unwrap();
        let (traced, labels) = centered_layers();
        let step = Step { executor: device.executor(), fuse: true, room: None };
        let splitter = Splitter::new(&traced, &labels).unwrap();
        let at = |keep: f64| step.sliced(&splitter, 4, Way { keep, inside: None }).unwrap();
        let (some, nothing) = (at(KEPT[2]), at(0.0));
        let mut search =
            Search { executor: device.executor(), room: some.transient_bytes(), fastest: None, smallest: some.clone() };
        step.slices(&splitter, &mut search).unwrap();
        let (seconds, plan) = search.fastest.unwrap();
        assert!(plan.transient_bytes() <= some.transient_bytes());
        assert!(seconds <= some.predicted_seconds(&device.caps()));
        assert!(seconds < 0.8 * nothing.predicted_seconds(&device.caps()), "{}", plan.rung);
    }
}
