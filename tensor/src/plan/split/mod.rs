//! Splitting: a graph whose batch does not fit becomes loops over slices of the batch, with the same meaning.
//!
//! A value that samples are folded into (a sum, mostly) ends a phase. Each phase is one loop: every trip computes what one slice of
//! the batch contributes and folds it into place. What the samples of an earlier phase gave is kept whole, or computed again
//! from the inputs, slice by slice, in each phase that asks for it.

mod body;
mod keep;

use super::{
    axes::{Cut, Sample, Samples, sample_axes},
    trace::{Id, Loop, Prim, Traced, TracedNode},
};
use crate::{
    dtype::DType,
    error::Result,
    graph::{Meta, ReduceOp, ScanSpec, SliceAxis, View},
};
use body::{Body, Key, Size};
use keep::Crossing;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
    sync::Arc,
};

/// How far down the ladder a plan stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rung {
    /// Number of slices of the batch, computed one after the other. All have as many samples, but for the last, which has fewer
    /// where the number does not divide the batch.
    pub slices: usize,
    /// Whether some values are computed again instead of being kept: what phases leave for later ones, and what forward computations
    /// leave for the gradient's.
    pub recompute: bool,
    /// Whether some kernels take a slower way that needs less scratch.
    pub lean: bool,
}

impl Rung {
    /// All at once.
    pub const WHOLE: Rung = Rung { slices: 1, recompute: false, lean: false };

    /// Whether it stands further down than another one.
    pub fn is_below(self, other: Rung) -> bool {
        (self.slices, self.recompute, self.lean) > (other.slices, other.recompute, other.lean)
    }
}

impl Default for Rung {
    fn default() -> Self {
        Rung::WHOLE
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.slices {
            1 => write!(f, "the whole batch at once")?,
            slices => write!(f, "{slices} slices of the batch")?,
        }
        f.write_str(if self.recompute { ", computing some values again" } else { "" })?;
        f.write_str(if self.lean { ", with less scratch" } else { "" })
    }
}

/// Why a batch cannot be split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Nothing says which axis counts samples, or there is only one.
    NoBatch,
    /// This node mixes samples.
    Coupled(Id),
}

/// What splitting needs to know about a graph; found once, used for every rung.
pub struct Splitter<'a> {
    traced: &'a Traced,
    labels: &'a [String],
    samples: Samples,
    rows: usize,
    needed: Vec<bool>,
    phase: Vec<usize>,
    /// The values of each phase, in order.
    of_phase: Vec<Vec<Id>>,
    /// Outputs and new states.
    results: BTreeSet<Id>,
    crossing: Crossing,
}

impl<'a> Splitter<'a> {
    /// Looks at a graph.
    pub fn new(traced: &'a Traced, labels: &'a [String]) -> std::result::Result<Splitter<'a>, Obstacle> {
        let rows = traced.rows().filter(|&rows| rows > 1).ok_or(Obstacle::NoBatch)?;
        let axis = |&batch: &bool| if batch { Sample::Axis(Cut::FIRST) } else { Sample::Free };
        let inputs: Vec<Sample> = traced.batch.iter().map(axis).collect();
        let samples = sample_axes(traced, &inputs, rows);
        let needed = needed(traced);
        let coupled = (0..traced.nodes.len()).find(|&id| needed[id] && samples.of[id] == Sample::Coupled);
        if let Some(id) = coupled {
            return Err(Obstacle::Coupled(id));
        }
        let phase = phases(&traced.nodes, &samples);
        let mut of_phase = vec![Vec::new(); phase.iter().max().map_or(1, |last| last + 1)];
        for (id, &phase) in phase.iter().enumerate() {
            of_phase[phase].push(id);
        }
        let results = traced.outputs.iter().chain(traced.updates.iter().map(|(_, id)| id)).copied().collect();
        let crossing = Crossing::of(&traced.nodes, &samples, &needed, &phase);
        Ok(Splitter { traced, labels, samples, rows, needed, phase, of_phase, results, crossing })
    }

    /// Number of samples.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether there is more than one phase, so that keeping and computing again differ.
    pub fn has_phases(&self) -> bool {
        let sampled = |id: &usize| self.needed[*id] && !matches!(self.samples.of[*id], Sample::Free | Sample::Phase);
        (0..self.phase.len()).filter(sampled).any(|id| self.phase[id] > 0)
    }

    /// The graph in so many slices, with a label for each node. Of what phases leave for later ones, `keep` (0 to 1) is kept as a part of
    /// all bytes times the phases that they wait; the rest is computed again.
    pub fn split(&self, slices: usize, keep: f64) -> Result<(Traced, Vec<String>)> {
        let kept = self.crossing.kept(keep);
        let slice = self.rows.div_ceil(slices.max(1));
        let whole = Run { start: 0, trips: self.rows / slice, slice };
        let rest = self.rows % slice;
        let last = Run { start: self.rows - rest, trips: 1, slice: rest };
        let mut outer = Outer {
            splitter: self,
            runs: std::iter::once(whole).chain((rest > 0).then_some(last)).collect(),
            nodes: Vec::new(),
            labels: Vec::new(),
            known: HashMap::new(),
            whole: HashMap::new(),
        };
        let last = (0..self.phase.len()).filter(|&id| self.needed[id]).map(|id| self.phase[id]).max().unwrap_or(0);
        let mut ready: HashSet<Id> = HashSet::new();
        for phase in 0..=last {
            outer.fixed(phase)?;
            outer.loop_over(phase, &kept, &mut ready)?;
        }
        outer.finish()
    }
}

fn needed(traced: &Traced) -> Vec<bool> {
    let mut needed = vec![false; traced.nodes.len()];
    let mut stack: Vec<Id> = traced.outputs.iter().chain(traced.updates.iter().map(|(_, id)| id)).copied().collect();
    while let Some(id) = stack.pop() {
        if !std::mem::replace(&mut needed[id], true) {
            stack.extend(&traced.nodes[id].inputs);
        }
    }
    needed
}

/// The loop that computes a value (or its fold), or before which a fixed value is known.
fn phases(nodes: &[TracedNode], samples: &Samples) -> Vec<usize> {
    let mut phase = vec![0; nodes.len()];
    for (id, node) in nodes.iter().enumerate() {
        let after = |&input: &Id| phase[input] + usize::from(matches!(samples.of[input], Sample::Folded(_)));
        phase[id] = node.inputs.iter().map(after).max().unwrap_or(0);
    }
    phase
}

/// Slices of one length, one after the other.
#[derive(Clone, Copy, PartialEq)]
struct Run {
    /// The first sample.
    start: usize,
    /// Slices.
    trips: usize,
    /// Samples of a slice.
    slice: usize,
}

impl Run {
    fn samples(self) -> usize {
        self.trips * self.slice
    }
    /// The samples' axis as three: how often, slices, indices of a slice.
    fn parted(self, cut: Cut) -> [usize; 3] {
        [cut.outer, self.trips, self.slice * cut.inner]
    }
}

/// The graph around the loops.
struct Outer<'s, 'a> {
    splitter: &'s Splitter<'a>,
    /// What a phase goes through: a loop over slices, and the rest of the batch if they leave one.
    runs: Vec<Run>,
    nodes: Vec<TracedNode>,
    labels: Vec<String>,
    known: HashMap<TracedNode, Id>,
    /// Where a value of the original graph is, whole.
    whole: HashMap<Id, Id>,
}

impl Outer<'_, '_> {
    fn push(&mut self, prim: Prim, inputs: Vec<Id>, meta: Meta, label: &str) -> Id {
        let node = TracedNode { prim, inputs, meta };
        if let Some(&id) = self.known.get(&node) {
            return id;
        }
        self.nodes.push(node.clone());
        self.labels.push(label.to_string());
        self.known.insert(node, self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    /// Values of this phase that are the same for all samples, and the inputs.
    fn fixed(&mut self, phase: usize) -> Result<()> {
        let s = self.splitter;
        for &id in &s.of_phase[phase] {
            let node = &s.traced.nodes[id];
            let input = matches!(node.prim, Prim::Input(_));
            let fixed = s.needed[id] && matches!(s.samples.of[id], Sample::Free | Sample::Phase);
            if input || fixed {
                let inputs = node.inputs.iter().map(|&i| self.of(i)).collect::<Result<Vec<_>>>()?;
                let new = self.push(node.prim.clone(), inputs, node.meta.clone(), &s.labels[id]);
                self.whole.insert(id, new);
            }
        }
        Ok(())
    }

    fn of(&self, id: Id) -> Result<Id> {
        let lost = || crate::Error::argument(format!("value {id} is not known whole in this phase"));
        self.whole.get(&id).copied().ok_or_else(lost)
    }

    /// The loop of this phase, if it has anything to do.
    fn loop_over(&mut self, phase: usize, kept: &HashSet<Id>, ready: &mut HashSet<Id>) -> Result<()> {
        let s = self.splitter;
        let mine = s.of_phase[phase].iter().copied().filter(|&id| s.needed[id]);
        let mut stacked: Vec<(Id, Cut)> = Vec::new();
        let mut folded = Vec::new();
        for id in mine {
            match s.samples.of[id] {
                Sample::Folded(op) => folded.push((id, op)),
                Sample::Axis(cut)
                    if (s.results.contains(&id) || kept.contains(&id))
                        && !matches!(s.traced.nodes[id].prim, Prim::Input(_)) =>
                {
                    stacked.push((id, cut));
                }
                _ => {}
            }
        }
        if stacked.is_empty() && folded.is_empty() {
            return Ok(());
        }
        let mut runs = Vec::new();
        for run in self.runs.clone() {
            runs.push(self.run(run, &stacked, &folded, ready)?);
        }
        for (part, &(id, cut)) in stacked.iter().enumerate() {
            let joined = self.side_by_side(runs.iter().map(|parts| parts[part]).collect(), id, cut);
            self.whole.insert(id, joined);
            ready.insert(id);
        }
        for (n, &(id, op)) in folded.iter().enumerate() {
            let (label, meta) = (&s.labels[id], &s.traced.nodes[id].meta);
            let mut parts = runs.iter().map(|parts| parts[stacked.len() + n]);
            let lost = || crate::Error::argument(format!("value {id} was folded in no loop"));
            let mut sum = parts.next().ok_or_else(lost)?;
            for more in parts {
                let wide = self.nodes[sum].meta.clone();
                sum = self.push(Prim::Binary(op.joining()?), vec![sum, more], wide, label);
            }
            if self.nodes[sum].meta.dtype != meta.dtype {
                sum = self.push(Prim::Cast, vec![sum], meta.clone(), label);
            }
            self.whole.insert(id, sum);
        }
        Ok(())
    }

    /// The loop over one run of slices: what it stacks, with the samples' axis made whole again, then what it folds.
    fn run(
        &mut self,
        run: Run,
        stacked: &[(Id, Cut)],
        folded: &[(Id, ReduceOp)],
        ready: &HashSet<Id>,
    ) -> Result<Vec<Id>> {
        let s = self.splitter;
        let size = Size { rows: s.rows, slice: run.slice };
        let mut body = Body::new(&s.traced.nodes, s.labels, &s.samples, size, ready);
        let mut outputs = Vec::new();
        for &(id, cut) in stacked {
            outputs.push(body.make(Key::Slice(id, cut))?);
        }
        for &(id, _) in folded {
            let partial = body.make(Key::Partial(id))?;
            let meta = &s.traced.nodes[id].meta;
            // Many small parts are added with full precision.
            outputs.push(match wide(meta.dtype) {
                dtype if dtype == body.nodes[partial].meta.dtype => partial,
                dtype => {
                    let meta = Meta { dtype, shape: meta.shape.clone() };
                    body.push(Prim::Cast, vec![partial], meta, s.labels[id].clone())
                }
            });
        }
        body.finish();
        let trips = run.trips;
        let mut inputs = Vec::new();
        let mut params = Vec::new();
        for &key in &body.sliced {
            params.push(body.meta(key));
            inputs.push(self.rows_of(run, key)?);
        }
        for &id in &body.invariant {
            params.push(s.traced.nodes[id].meta.clone());
            inputs.push(self.of(id)?);
        }
        let spec = ScanSpec { steps: trips, carries: 0, inputs: body.sliced.len(), reverse: false };
        let metas: Vec<Meta> = outputs.iter().map(|&o| body.nodes[o].meta.clone()).collect();
        let folds = folded.iter().map(|&(_, op)| op).collect();
        let Body { nodes, labels, .. } = body;
        let looped = Loop { spec, nodes, outputs, folds, params, labels };
        let scan = self.push(Prim::Scan(Arc::new(looped)), inputs, metas[0].clone(), "slices of the batch");
        let mut results = Vec::new();
        for (part, meta) in metas.iter().enumerate() {
            let Some(&(id, cut)) = stacked.get(part) else {
                let (id, _) = folded[part - stacked.len()];
                results.push(self.push(Prim::Part(part), vec![scan], meta.clone(), &s.labels[id]));
                continue;
            };
            let shape = std::iter::once(trips).chain(meta.shape.iter().copied()).collect();
            let rows = Meta { shape, dtype: meta.dtype };
            let rows = self.push(Prim::Part(part), vec![scan], rows, &s.labels[id]);
            results.push(self.joined(run, rows, id, cut));
        }
        Ok(results)
    }

    /// The parts of a value that runs gave, side by side.
    fn side_by_side(&mut self, mut parts: Vec<Id>, id: Id, cut: Cut) -> Id {
        if let [one] = parts[..] {
            return one;
        }
        let Meta { dtype, shape } = self.splitter.traced.nodes[id].meta.clone();
        let label = self.splitter.labels[id].clone();
        // The samples are gone through several times: each time its own parts.
        let spread = |n: usize| {
            let mut dims = shape.to_vec();
            dims.splice(cut.axis..=cut.axis, [cut.outer, n * cut.inner]);
            dims
        };
        for (part, run) in parts.iter_mut().zip(self.runs.clone()) {
            *part = self.reshaped(*part, spread(run.samples()), &label);
        }
        let meta = Meta::new(dtype, spread(self.splitter.rows));
        let all = self.push(Prim::Concat(cut.axis + 1), parts, meta, &label);
        self.reshaped(all, shape.to_vec(), &label)
    }

    /// The samples of a run.
    fn window(&mut self, run: Run, whole: Id, cut: Cut, label: &str) -> Id {
        let rows = self.splitter.rows;
        if run.samples() == rows {
            return whole;
        }
        let meta = self.nodes[whole].meta.clone();
        let mut dims = meta.shape.to_vec();
        let axis = if cut.outer == 1 { cut.axis } else { cut.axis + 1 };
        if cut.outer > 1 {
            dims.splice(cut.axis..=cut.axis, [cut.outer, rows * cut.inner]);
        }
        let spread = self.reshaped(whole, dims.clone(), label);
        let mut axes: Vec<SliceAxis> = dims.iter().map(|&stop| SliceAxis { start: 0, stop, step: 1 }).collect();
        let start = run.start * cut.inner;
        axes[axis] = SliceAxis { start, stop: start + run.samples() * cut.inner, step: 1 };
        dims[axis] = run.samples() * cut.inner;
        let window = Meta::new(meta.dtype, dims);
        let window = self.push(Prim::View(View::Slice(axes)), vec![spread], window, label);
        let mut dims = meta.shape.to_vec();
        dims[cut.axis] = cut.len(run.samples());
        self.reshaped(window, dims, label)
    }

    /// A value as rows of slices: `[slices, ..]`.
    fn rows_of(&mut self, run: Run, key: Key) -> Result<Id> {
        let (id, cut) = match key {
            Key::Slice(id, cut) => (id, cut),
            _ => return Ok(self.firsts(run)),
        };
        let label = self.splitter.labels[id].clone();
        let whole = self.of(id)?;
        let whole = self.window(run, whole, cut, &label);
        let mut dims = self.nodes[whole].meta.shape.to_vec();
        dims.splice(cut.axis..=cut.axis, run.parted(cut));
        if cut.axis == 0 && cut.outer == 1 {
            dims.remove(0);
            return Ok(self.reshaped(whole, dims, &label));
        }
        let parted = self.reshaped(whole, dims.clone(), &label);
        let mut order: Vec<usize> = (0..dims.len()).collect();
        order.remove(cut.axis + 1);
        order.insert(0, cut.axis + 1);
        let rows = self.permuted(parted, order, &label);
        dims.remove(cut.axis + 1);
        dims.splice(cut.axis..=cut.axis + 1, [cut.len(run.slice)]);
        dims.insert(0, run.trips);
        Ok(self.reshaped(rows, dims, &label))
    }

    /// The other way round: the samples' axis is made whole again.
    fn joined(&mut self, run: Run, rows: Id, id: Id, cut: Cut) -> Id {
        let label = self.splitter.labels[id].clone();
        let mut whole = self.splitter.traced.nodes[id].meta.shape.to_vec();
        whole[cut.axis] = cut.len(run.samples());
        let mut at = rows;
        if cut.axis > 0 || cut.outer > 1 {
            let [outer, slices, slice] = run.parted(cut);
            let mut dims = whole.clone();
            dims.splice(cut.axis..=cut.axis, [outer, slice]);
            dims.insert(0, slices);
            at = self.reshaped(at, dims.clone(), &label);
            let mut order: Vec<usize> = (1..dims.len()).collect();
            order.insert(cut.axis + 1, 0);
            at = self.permuted(at, order, &label);
        }
        self.reshaped(at, whole, &label)
    }

    fn reshaped(&mut self, of: Id, dims: Vec<usize>, label: &str) -> Id {
        let Meta { dtype, shape } = self.nodes[of].meta.clone();
        if shape.dims() == dims {
            return of;
        }
        let meta = Meta::new(dtype, dims);
        self.push(Prim::View(View::Reshape(meta.shape.clone())), vec![of], meta, label)
    }

    fn permuted(&mut self, of: Id, order: Vec<usize>, label: &str) -> Id {
        let Meta { dtype, shape } = self.nodes[of].meta.clone();
        let meta = Meta::new(dtype, order.iter().map(|&a| shape[a]).collect::<Vec<_>>());
        self.push(Prim::View(View::Permute(order)), vec![of], meta, label)
    }

    /// The number of each slice's first sample: `[slices, 1]`.
    fn firsts(&mut self, run: Run) -> Id {
        let rows = self.splitter.rows;
        let mut u32s = |prim: Prim, inputs: Vec<Id>, dims: &[usize]| {
            self.push(prim, inputs, Meta::new(DType::U32, dims), "first sample")
        };
        let mut all = u32s(Prim::Iota(0), Vec::new(), &[rows]);
        if run.samples() < rows {
            let part = SliceAxis { start: run.start, stop: run.start + run.samples(), step: 1 };
            all = u32s(Prim::View(View::Slice(vec![part])), vec![all], &[run.samples()]);
        }
        let cut = [run.trips, run.slice];
        let cut_up = u32s(Prim::View(View::Reshape(cut.into())), vec![all], &cut);
        let first = [run.trips, 1].map(|stop| SliceAxis { start: 0, stop, step: 1 });
        u32s(Prim::View(View::Slice(first.to_vec())), vec![cut_up], &[run.trips, 1])
    }

    fn finish(self) -> Result<(Traced, Vec<String>)> {
        let t = self.splitter.traced;
        let outputs = t.outputs.iter().map(|&id| self.of(id)).collect::<Result<Vec<_>>>()?;
        let updates = t.updates.iter().map(|&(n, id)| Ok((n, self.of(id)?))).collect::<Result<Vec<_>>>()?;
        let traced = Traced {
            nodes: self.nodes,
            inputs: t.inputs.clone(),
            batch: t.batch.clone(),
            states: t.states.clone(),
            scalars: t.scalars.clone(),
            outputs,
            updates,
        };
        Ok((traced, self.labels))
    }
}

/// The type that parts of a folded value are joined in.
pub(super) fn wide(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::BF16 => DType::F32,
        other => other,
    }
}
