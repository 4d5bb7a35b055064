//! What to let go: values with a long wait between two of their uses, those first that free most bytes for the longest time per
//! operation that computing them again takes.

use super::units::Units;

/// When everything is computed: a use that is not before any unit.
const END: usize = usize::MAX;

/// Waits shorter than this are not worth it.
const SHORTEST: usize = 4;

/// Most values that computing one again may compute on the way.
const DEEPEST: usize = 32;

/// Most times that a schedule is gone through. Each may compute again what the one before computes again.
const ROUNDS: usize = 12;

/// A unit at its place in time.
#[derive(Clone, Debug)]
pub struct Step {
    /// Which unit.
    pub unit: usize,
    /// The steps that gave its operands, in the order of the unit's own list.
    pub deps: Vec<usize>,
    /// Whether the unit was computed before.
    pub again: bool,
}

/// What is computed when.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// In order of time.
    pub steps: Vec<Step>,
    /// The steps that give what is read in the end.
    pub end: Vec<usize>,
}

/// A wait between two uses: after this position, until that one.
type Gap = (usize, usize);

impl Schedule {
    /// Every unit once, in this order.
    pub fn plain(units: &Units, order: &[usize]) -> Schedule {
        let mut place = vec![0; units.list.len()];
        for (at, &unit) in order.iter().enumerate() {
            place[unit] = at;
        }
        let step = |&unit: &usize| {
            let deps = units.list[unit].deps.iter().map(|&dep| place[dep]).collect();
            Step { unit, deps, again: false }
        };
        let steps = order.iter().map(step).collect();
        Schedule { steps, end: units.end.iter().map(|&unit| place[unit]).collect() }
    }

    /// Bytes at the highest moment.
    pub fn peak(&self, units: &Units) -> u64 {
        self.live(units, &self.uses()).into_iter().max().unwrap_or(0)
    }

    /// What all of it takes.
    fn cost(&self, units: &Units) -> f64 {
        self.steps.iter().map(|step| units.list[step.unit].cost).sum()
    }

    /// When each step's value is read, in order.
    fn uses(&self) -> Vec<Vec<usize>> {
        let mut uses = vec![Vec::new(); self.steps.len()];
        for (at, step) in self.steps.iter().enumerate() {
            for &dep in &step.deps {
                uses[dep].push(at);
            }
        }
        for &dep in &self.end {
            uses[dep].push(END);
        }
        uses
    }

    /// Bytes at each moment.
    fn live(&self, units: &Units, uses: &[Vec<usize>]) -> Vec<u64> {
        let count = self.steps.len();
        let (mut begin, mut done) = (vec![0; count], vec![0; count + 1]);
        for (at, step) in self.steps.iter().enumerate() {
            let bytes = units.list[step.unit].bytes;
            begin[at] += bytes;
            let last = uses[at].last().copied().unwrap_or(at);
            done[last.saturating_add(1).min(count)] += bytes;
        }
        let mut now = 0u64;
        let mut live = Vec::with_capacity(count);
        for at in 0..count {
            now = now + begin[at] - done[at];
            live.push(now);
        }
        live
    }

    /// The cheapest found whose highest moment takes no more bytes than wanted, or else the smallest found. `None` if nothing can be
    /// let go.
    pub fn shrunk(&self, units: &Units, wanted: u64) -> Option<Schedule> {
        let mut now = self.clone();
        let mut best: Option<(u64, f64, Schedule)> = None;
        // A run of values that are computed again together is there at once, beside what was kept.
        let mut together = (wanted / 4).max(1);
        for _ in 0..ROUNDS {
            let aim = match &best {
                None => wanted - wanted / 4,
                Some(_) => wanted,
            };
            let Some(next) = now.round(units, aim, together) else {
                together *= 2;
                continue;
            };
            let (peak, cost) = (next.peak(units), next.cost(units));
            let better = best.as_ref().is_none_or(|(least, most, _)| peak < *least || peak == *least && cost < *most);
            if better {
                best = Some((peak, cost, next.clone()));
            }
            if peak <= wanted {
                break;
            }
            now = next;
        }
        best.map(|(_, _, schedule)| schedule)
    }

    /// Lets go what it takes until no moment needs more than `aim`, as far as that goes, but no run of values of more than `together`
    /// bytes.
    fn round(&self, units: &Units, aim: u64, together: u64) -> Option<Schedule> {
        let uses = self.uses();
        let live = self.live(units, &uses);
        let mut view = View { schedule: self, units, uses: &uses, dropped: vec![None; self.steps.len()] };
        let mut candidates: Vec<(f64, usize, Gap)> = Vec::new();
        for at in 0..self.steps.len() {
            let unit = &units.list[self.steps[at].unit];
            if !unit.droppable || unit.bytes == 0 {
                continue;
            }
            let Some((from, to)) = view.longest_wait(at) else { continue };
            let Some(on_the_way) = view.on_the_way(at, to) else { continue };
            let cost: f64 = on_the_way.iter().map(|&s| units.list[self.steps[s].unit].cost).sum();
            candidates.push((unit.bytes as f64 * (to - from) as f64 / (cost + unit.cost).max(1.0), at, (from, to)));
        }
        candidates.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut moments = Moments::new(&live);
        let mut runs = Runs::new(self, units);
        let mut copied = vec![false; self.steps.len()];
        let mut any = false;
        for (_, at, (from, to)) in candidates {
            if moments.most(from + 1, to) <= aim as i64 {
                continue;
            }
            let Some(on_the_way) = view.on_the_way(at, to) else { continue };
            let own: Vec<usize> = std::iter::once(at).chain(on_the_way).collect();
            let beside = own.iter().flat_map(|&step| self.steps[step].deps.iter().chain(&uses[step]));
            let beside = beside.copied().filter(|&other| other != END && copied[other]);
            if !runs.join(&own.iter().copied().chain(beside).collect::<Vec<_>>(), together) {
                continue;
            }
            for step in own {
                copied[step] = true;
            }
            view.dropped[at] = Some((from, to));
            moments.add(from + 1, to, -(units.list[self.steps[at].unit].bytes as i64));
            any = true;
        }
        any.then(|| view.rebuilt())
    }
}

/// A schedule and what is to be let go of it.
struct View<'a> {
    schedule: &'a Schedule,
    units: &'a Units,
    uses: &'a [Vec<usize>],
    dropped: Vec<Option<Gap>>,
}

impl View<'_> {
    /// The longest time that a value waits for a use, if it is worth anything. What is read in the end is kept for it.
    fn longest_wait(&self, at: usize) -> Option<Gap> {
        let mut gap = None;
        let mut from = at;
        for &to in self.uses[at].iter().filter(|&&to| to != END) {
            if to - from >= gap.map_or(SHORTEST, |(a, b)| b - a + 1) {
                gap = Some((from, to));
            }
            from = to;
        }
        gap
    }

    /// Whether the value itself is still there at a moment, or its copy is.
    fn is_there(&self, step: usize, moment: usize) -> bool {
        self.dropped[step].is_some() || self.uses[step].last().is_some_and(|&last| last >= moment)
    }

    fn droppable(&self, step: usize) -> bool {
        self.units.list[self.schedule.steps[step].unit].droppable
    }

    /// What else must be computed again for this one at this moment. `None` if that is too much, or would keep more than is freed.
    fn on_the_way(&self, at: usize, moment: usize) -> Option<Vec<usize>> {
        let bytes = |step: usize| self.units.list[self.schedule.steps[step].unit].bytes;
        let (mut found, mut kept) = (Vec::new(), 0);
        let mut stack = vec![at];
        while let Some(step) = stack.pop() {
            for &dep in &self.schedule.steps[step].deps {
                if self.is_there(dep, moment) || found.contains(&dep) {
                    continue;
                }
                if !self.droppable(dep) {
                    kept += bytes(dep);
                    if kept >= bytes(at) {
                        return None;
                    }
                    continue;
                }
                found.push(dep);
                stack.push(dep);
                if found.len() > DEEPEST {
                    return None;
                }
            }
        }
        Some(found)
    }

    /// The schedule in which what was let go is computed again, just before it is asked for.
    fn rebuilt(&self) -> Schedule {
        let count = self.schedule.steps.len();
        let mut new =
            Rebuilt { view: self, steps: Vec::with_capacity(count), first: Vec::new(), copy: vec![None; count] };
        for (at, step) in self.schedule.steps.iter().enumerate() {
            let deps = step.deps.iter().map(|&dep| new.at(dep, at)).collect();
            new.first.push(new.steps.len());
            new.steps.push(Step { unit: step.unit, deps, again: step.again });
        }
        let end = self.schedule.end.iter().map(|&dep| new.at(dep, END)).collect();
        Schedule { steps: new.steps, end }
    }
}

struct Rebuilt<'v, 'a> {
    view: &'v View<'a>,
    steps: Vec<Step>,
    /// The new place of each step, and of its copy.
    first: Vec<usize>,
    copy: Vec<Option<usize>>,
}

impl Rebuilt<'_, '_> {
    /// The new step that gives a value at a moment; makes a copy if need be.
    fn at(&mut self, step: usize, moment: usize) -> usize {
        let real = match self.view.dropped[step] {
            Some((from, _)) => moment <= from,
            None => true,
        };
        match real {
            true => self.first[step],
            false => self.again(step, moment),
        }
    }

    fn again(&mut self, wanted: usize, moment: usize) -> usize {
        let mut stack = vec![(wanted, false)];
        while let Some((step, ready)) = stack.pop() {
            if self.copy[step].is_some() {
                continue;
            }
            let from = &self.view.schedule.steps[step];
            if !ready {
                stack.push((step, true));
                stack.extend(from.deps.iter().filter(|&&dep| self.copied(dep, moment)).map(|&dep| (dep, false)));
                continue;
            }
            let place = |&dep: &usize| match self.copied(dep, moment) {
                true => self.copy[dep].unwrap_or(self.first[dep]),
                false => self.first[dep],
            };
            let deps = from.deps.iter().map(place).collect();
            self.copy[step] = Some(self.steps.len());
            self.steps.push(Step { unit: from.unit, deps, again: true });
        }
        self.copy[wanted].unwrap_or(self.first[wanted])
    }

    /// Whether a copy of this value is what a copy reads at a moment: it was let go, or nobody needs it any more.
    fn copied(&self, step: usize, moment: usize) -> bool {
        match self.view.dropped[step] {
            Some((from, _)) => moment > from,
            None => self.view.droppable(step) && !self.view.is_there(step, moment),
        }
    }
}

/// Bytes at each moment, as a tree of highest values.
struct Moments {
    leaves: usize,
    most: Vec<i64>,
    /// What is to be added to everything below.
    added: Vec<i64>,
}

impl Moments {
    fn new(live: &[u64]) -> Moments {
        let leaves = live.len().next_power_of_two();
        let mut most = vec![0; 2 * leaves];
        for (at, &bytes) in live.iter().enumerate() {
            most[leaves + at] = bytes as i64;
        }
        for node in (1..leaves).rev() {
            most[node] = most[2 * node].max(most[2 * node + 1]);
        }
        Moments { leaves, most, added: vec![0; 2 * leaves] }
    }
    /// The highest value of these moments.
    fn most(&self, from: usize, to: usize) -> i64 {
        self.below(1, 0, self.leaves, from, to)
    }
    fn below(&self, node: usize, start: usize, len: usize, from: usize, to: usize) -> i64 {
        if to <= start || start + len <= from {
            return i64::MIN / 2;
        }
        if from <= start && start + len <= to {
            return self.most[node];
        }
        let half = len / 2;
        let (a, b) =
            (self.below(2 * node, start, half, from, to), self.below(2 * node + 1, start + half, half, from, to));
        a.max(b) + self.added[node]
    }
    /// Adds to all values of these moments.
    fn add(&mut self, from: usize, to: usize, bytes: i64) {
        self.add_below(1, 0, self.leaves, from, to, bytes);
    }
    fn add_below(&mut self, node: usize, start: usize, len: usize, from: usize, to: usize, bytes: i64) {
        if to <= start || start + len <= from {
            return;
        }
        if from <= start && start + len <= to {
            self.most[node] += bytes;
            self.added[node] += bytes;
            return;
        }
        let half = len / 2;
        self.add_below(2 * node, start, half, from, to, bytes);
        self.add_below(2 * node + 1, start + half, half, from, to, bytes);
        self.most[node] = self.most[2 * node].max(self.most[2 * node + 1]) + self.added[node];
    }
}

/// Values that are computed again together, and their bytes.
struct Runs {
    parent: Vec<usize>,
    bytes: Vec<u64>,
}

impl Runs {
    fn new(schedule: &Schedule, units: &Units) -> Runs {
        let bytes = schedule.steps.iter().map(|step| units.list[step.unit].bytes).collect();
        Runs { parent: (0..schedule.steps.len()).collect(), bytes }
    }
    fn root(&mut self, mut step: usize) -> usize {
        while self.parent[step] != step {
            self.parent[step] = self.parent[self.parent[step]];
            step = self.parent[step];
        }
        step
    }
    /// Makes one run of all, unless it were larger than this.
    fn join(&mut self, members: &[usize], most: u64) -> bool {
        let mut roots: Vec<usize> = members.iter().map(|&member| self.root(member)).collect();
        roots.sort_unstable();
        roots.dedup();
        let bytes: u64 = roots.iter().map(|&root| self.bytes[root]).sum();
        if roots.len() > 1 && bytes > most {
            return false;
        }
        for &root in &roots[1..] {
            self.parent[root] = roots[0];
        }
        self.bytes[roots[0]] = bytes;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The tree knows what a list knows.
        #[test]
        fn moments_are_those_of_a_list(
            live in proptest::collection::vec(0u64..100, 1..40),
            steps in proptest::collection::vec((0usize..40, 0usize..40, -20i64..20), 0..20),
        ) {
            let mut tree = Moments::new(&live);
            let mut list: Vec<i64> = live.iter().map(|&bytes| bytes as i64).collect();
            for (a, b, bytes) in steps {
                let (from, to) = (a.min(b) % list.len(), (a.max(b) % list.len()).max(a.min(b) % list.len()) + 1);
                prop_assert_eq!(Some(tree.most(from, to)), list[from..to].iter().copied().max());
                tree.add(from, to, bytes);
                list[from..to].iter_mut().for_each(|value| *value += bytes);
            }
        }
    }
}
