//! What every primitive does to the sample axis. One table says what splitting a batch, cutting a prediction into chunks and
//! spreading work over machines may do; the ladder of memory rungs is built on it.

use super::trace::{Id, Loop, Prim, Traced, TracedNode};
use crate::graph::{ConvKind, ReduceOp, View};
use std::collections::HashMap;

/// How a value relates to the samples of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sample {
    /// It does not depend on the batch: a weight, a number.
    Free,
    /// An axis counts samples. (A loop itself, whose results are its parts, says axis 0.)
    Axis(Cut),
    /// Samples are folded by this operation (summed, mostly): slices of the batch combine to it, once all of them are done.
    /// What reads it belongs to a later phase.
    Folded(ReduceOp),
    /// It follows from folded values alone: equal for every slice, in a later phase.
    Phase,
    /// Samples mix in a way that cannot be cut.
    Coupled,
}

/// An axis that counts samples: its index is `(o · samples + sample) · inner + i`, with `o` below `outer` and `i` below `inner`,
/// both 1 unless axes were merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cut {
    /// Which axis.
    pub axis: usize,
    /// How often the samples are gone through.
    pub outer: usize,
    /// Consecutive indices of one sample.
    pub inner: usize,
}

impl Cut {
    /// Axis 0, as in data.
    pub const FIRST: Cut = Cut { axis: 0, outer: 1, inner: 1 };

    /// Likewise along another axis.
    fn along(self, axis: usize) -> Cut {
        Cut { axis, ..self }
    }
    /// Length of the axis for so many samples.
    pub fn len(self, samples: usize) -> usize {
        self.outer * samples * self.inner
    }
}

/// How the values of a graph relate to the samples.
#[derive(Debug, Default)]
pub struct Samples {
    /// One for each node.
    pub of: Vec<Sample>,
    /// What happens inside loops that see samples.
    pub loops: HashMap<Id, LoopSamples>,
}

/// How the values inside a loop relate to the samples.
#[derive(Debug)]
pub struct LoopSamples {
    /// Of the parameters: each step's own view of them.
    pub params: Vec<Sample>,
    /// Of the nodes.
    pub body: Samples,
    /// Of the results as one step gives them.
    pub outputs: Vec<Sample>,
}

const FIRST: Sample = Sample::Axis(Cut::FIRST);

impl Sample {
    /// The axis that counts samples, if there is one.
    pub fn cut(self) -> Option<Cut> {
        match self {
            Sample::Axis(cut) => Some(cut),
            _ => None,
        }
    }
    /// Whether it is the same for every slice of the batch.
    fn is_fixed(self) -> bool {
        matches!(self, Sample::Free | Sample::Folded(_) | Sample::Phase)
    }
}

/// Relates every value of a traced graph to the samples, given how its inputs relate to them. `rows` is the batch size.
pub fn sample_axes(traced: &Traced, inputs: &[Sample], rows: usize) -> Samples {
    let input = |prim: &Prim| match prim {
        Prim::Input(n) => Some(inputs.get(*n).copied().unwrap_or(Sample::Free)),
        _ => None,
    };
    relate(&traced.nodes, input, rows, false)
}

fn relate(nodes: &[TracedNode], known: impl Fn(&Prim) -> Option<Sample>, rows: usize, inside: bool) -> Samples {
    let mut samples = Samples { of: Vec::with_capacity(nodes.len()), loops: HashMap::new() };
    for (id, node) in nodes.iter().enumerate() {
        let sample = match known(&node.prim) {
            Some(sample) => sample,
            None => of_node(id, nodes, &mut samples, rows, inside),
        };
        samples.of.push(sample);
    }
    samples
}

fn of_node(id: Id, nodes: &[TracedNode], samples: &mut Samples, rows: usize, inside: bool) -> Sample {
    let node = &nodes[id];
    let operands: Vec<Sample> = node.inputs.iter().map(|&i| samples.of[i]).collect();
    let shape_of = |position: usize| &nodes[node.inputs[position]].meta.shape;
    if operands.contains(&Sample::Coupled) {
        return Sample::Coupled;
    }
    let fixed = operands.iter().all(|o| o.is_fixed());
    match &node.prim {
        Prim::Input(_) | Prim::State(_) | Prim::Param(_) | Prim::Scalar(_) | Prim::Iota(_) => Sample::Free,
        // A key is one for all: numbers of samples are none.
        Prim::RandomBits(_) if !fixed => Sample::Coupled,
        // Bits are counted by sample, so a slice of them is computed from where it begins (which a loop does not know).
        Prim::RandomBits(_) => match node.meta.shape.first() {
            Some(&n) if n == rows && !inside => FIRST,
            _ => together(&operands, None),
        },
        Prim::Unary(_) | Prim::Binary(_) | Prim::Select | Prim::Cast => together(&operands, None),
        Prim::After => operands[0],
        Prim::Concat(along) => together(&operands, Some(*along)),
        Prim::View(view) => through(view, operands[0], shape_of(0), &node.meta.shape, rows),
        Prim::Reduce(op, axes) => reduced(*op, axes, operands[0]),
        _ if fixed && !matches!(node.prim, Prim::Part(_)) => together(&operands, None),
        Prim::MatMul(how) => {
            let rank = node.meta.shape.rank();
            let (row, col) = (rank - 2, rank - 1);
            let a = move_axis(operands[0], if how.transpose_a { (col, row) } else { (row, col) });
            let b = move_axis(operands[1], if how.transpose_b { (row, col) } else { (col, row) });
            match (a, b) {
                (Place::Batch(x), Place::Batch(y)) if x == y => x,
                (Place::Batch(x), Place::Fixed) | (Place::Fixed, Place::Batch(x)) => x,
                (Place::Kept(cut), Place::Fixed) => Sample::Axis(cut.along(row)),
                (Place::Fixed, Place::Kept(cut)) => Sample::Axis(cut.along(col)),
                (Place::Contracted(x), Place::Contracted(y)) if x.along(0) != y.along(0) => Sample::Coupled,
                (Place::Contracted(_), Place::Contracted(_) | Place::Fixed) | (Place::Fixed, Place::Contracted(_)) => {
                    Sample::Folded(ReduceOp::Sum)
                }
                _ => Sample::Coupled,
            }
        }
        Prim::Conv2d(kind, _) => match (kind, operands[0], operands[1]) {
            (ConvKind::Forward | ConvKind::InputGrad(_), FIRST, w) if w.is_fixed() => FIRST,
            (ConvKind::FilterGrad(_), FIRST, FIRST) => Sample::Folded(ReduceOp::Sum),
            _ => Sample::Coupled,
        },
        Prim::Pool2d(..) => match operands.iter().all(|&o| o == FIRST || o.is_fixed()) {
            true => FIRST,
            false => Sample::Coupled,
        },
        Prim::Gather(axis) => match (operands[0], operands[1]) {
            (data, Sample::Axis(at)) if data.is_fixed() => Sample::Axis(at.along(*axis)),
            (Sample::Axis(kept), at) if kept.axis != *axis && at.is_fixed() => operands[0],
            _ => Sample::Coupled,
        },
        Prim::ScatterAdd(axis) => match (operands[0], operands[1]) {
            (Sample::Axis(at), Sample::Axis(from)) if at.along(*axis) == from => Sample::Folded(ReduceOp::Sum),
            (at, Sample::Axis(kept)) if kept.axis != *axis && at.is_fixed() => operands[1],
            _ => Sample::Coupled,
        },
        // Lines are apart: samples that lie across them stay.
        Prim::Line(_, axis) => together(&operands, Some(*axis)),
        Prim::Scan(looped) => match of_loop(looped, &operands, rows) {
            Some(found) => {
                samples.loops.insert(id, found);
                FIRST
            }
            None => Sample::Coupled,
        },
        Prim::Part(part) => match (samples.loops.get(&node.inputs[0]), &nodes[node.inputs[0]].prim) {
            (Some(inner), Prim::Scan(looped)) => match inner.outputs[*part] {
                Sample::Axis(cut) => Sample::Axis(cut.along(cut.axis + usize::from(*part >= looped.spec.carries))),
                // The rest of the loop goes slice by slice, and this with it, again and again.
                _ => Sample::Coupled,
            },
            _ => together(&operands, None),
        },
    }
}

/// A loop over something else than samples keeps them apart if its body does.
fn of_loop(looped: &Loop, operands: &[Sample], rows: usize) -> Option<LoopSamples> {
    let spec = &looped.spec;
    let mut params = Vec::with_capacity(operands.len());
    for (p, &operand) in operands.iter().enumerate() {
        let row = (spec.carries..spec.carries + spec.inputs).contains(&p);
        params.push(match operand {
            Sample::Axis(Cut { axis: 0, .. }) if row => return None,
            Sample::Axis(cut) => Sample::Axis(cut.along(cut.axis - usize::from(row))),
            _ => Sample::Free,
        });
    }
    loop {
        let param = |prim: &Prim| match prim {
            Prim::Param(p) => Some(params[*p]),
            _ => None,
        };
        let body = relate(&looped.nodes, param, rows, true);
        if body.of.iter().any(|s| !matches!(s, Sample::Free | Sample::Axis(_))) || !looped.folds.is_empty() {
            return None;
        }
        let mut outputs: Vec<Sample> = looped.outputs.iter().map(|&id| body.of[id]).collect();
        let mut wanted = Vec::new();
        let mut grown = params.clone();
        for carry in 0..spec.carries {
            match (params[carry], outputs[carry]) {
                (x, y) if x == y => {}
                (Sample::Free, sample) => grown[carry] = sample,
                (Sample::Axis(cut), Sample::Free) => {
                    wanted.push((looped.outputs[carry], cut));
                    outputs[carry] = params[carry];
                }
                _ => return None,
            }
        }
        // Carries first: what they bring in changes everything behind them.
        if grown != params {
            params = grown;
            continue;
        }
        for id in 0..looped.nodes.len() {
            for (&operand, cut) in looped.nodes[id].inputs.iter().zip(demands(&looped.nodes, &body, id)) {
                if let (Some(cut), Sample::Free) = (cut, body.of[operand]) {
                    wanted.push((operand, cut));
                }
            }
        }
        // What does not depend on samples inside, but is joined with what does, must come in slices.
        while let Some((id, cut)) = wanted.pop() {
            match (&looped.nodes[id].prim, slice_of_fixed(&looped.nodes, id, cut, rows)) {
                (Prim::Param(p), _) => grown[*p] = Sample::Axis(cut),
                (_, Slice::Again) => {}
                (_, Slice::Through(source, cut)) => wanted.push((source, cut)),
                (_, Slice::Operands) => wanted.extend(looped.nodes[id].inputs.iter().map(|&i| (i, cut))),
                (_, Slice::Outside) => return None,
            }
        }
        if grown == params {
            return Some(LoopSamples { params, body, outputs });
        }
        params = grown;
    }
}

/// Along which axis each operand of a node is cut when the node is computed for a slice of the batch; `None`: it is needed whole.
pub fn demands(nodes: &[TracedNode], samples: &Samples, id: Id) -> Vec<Option<Cut>> {
    let node = &nodes[id];
    let own = samples.of[id].cut();
    let along = |position: usize| -> Option<Cut> {
        if let Some(cut) = samples.of[node.inputs[position]].cut() {
            return Some(cut);
        }
        match &node.prim {
            Prim::Unary(_)
            | Prim::Binary(_)
            | Prim::Select
            | Prim::Cast
            | Prim::Concat(_)
            | Prim::Pool2d(..)
            | Prim::Line(..) => own,
            Prim::MatMul(how) => {
                let rank = node.meta.shape.rank();
                match samples.of[id] {
                    Sample::Axis(cut) if cut.axis + 2 < rank => Some(cut),
                    // The other operand's samples are contracted with it.
                    Sample::Folded(_) => {
                        let cut = samples.of[node.inputs[1 - position]].cut()?;
                        let last = if position == 0 { !how.transpose_a } else { how.transpose_b };
                        Some(cut.along(if last { rank - 1 } else { rank - 2 }))
                    }
                    _ => None,
                }
            }
            Prim::Scan(looped) => {
                let cut = samples.loops.get(&id)?.params[position].cut()?;
                let spec = &looped.spec;
                let row = (spec.carries..spec.carries + spec.inputs).contains(&position);
                Some(cut.along(cut.axis + usize::from(row)))
            }
            _ => None,
        }
    };
    // What no slice touches is needed whole.
    match samples.of[id] {
        Sample::Axis(_) | Sample::Folded(_) => (0..node.inputs.len()).map(along).collect(),
        _ => vec![None; node.inputs.len()],
    }
}

/// How a slice of a value comes about that is the same for all slices of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slice {
    /// By computing it smaller from the same operands: it is a broadcast along this axis.
    Again,
    /// From a slice of this operand.
    Through(Id, Cut),
    /// From slices of all operands, along the same axis.
    Operands,
    /// By computing the whole and cutting it.
    Outside,
}

/// How to get a slice of a fixed value.
pub fn slice_of_fixed(nodes: &[TracedNode], id: Id, cut: Cut, rows: usize) -> Slice {
    let (node, axis) = (&nodes[id], cut.axis);
    let Some(&source) = node.inputs.first() else {
        return match node.prim {
            Prim::Iota(along) if along != axis => Slice::Again,
            _ => Slice::Outside,
        };
    };
    let (own, from) = (&node.meta.shape, &nodes[source].meta.shape);
    match &node.prim {
        Prim::Unary(_) | Prim::Binary(_) | Prim::Select | Prim::Cast => Slice::Operands,
        Prim::View(View::Broadcast(_)) => match axis.checked_sub(own.rank() - from.rank()) {
            Some(under) if from[under] != 1 => Slice::Through(source, cut.along(under)),
            _ => Slice::Again,
        },
        Prim::View(View::Permute(order)) => Slice::Through(source, cut.along(order[axis])),
        Prim::View(View::Reshape(_)) => {
            // A reshape undone is a reshape.
            let back = through(&View::Reshape(from.clone()), Sample::Axis(cut), own, from, rows);
            back.cut().map_or(Slice::Outside, |cut| Slice::Through(source, cut))
        }
        Prim::View(view @ (View::Slice(_) | View::Pad(..) | View::Flip(_))) => {
            match through(view, Sample::Axis(cut), from, own, rows) {
                Sample::Axis(_) => Slice::Through(source, cut),
                _ => Slice::Outside,
            }
        }
        _ => Slice::Outside,
    }
}

/// Element by element: all operands have their samples at one place, or none.
fn together(operands: &[Sample], along: Option<usize>) -> Sample {
    let mut result = Sample::Free;
    for &operand in operands {
        result = match (result, operand) {
            (x, Sample::Free) => x,
            (Sample::Free | Sample::Phase, Sample::Folded(_) | Sample::Phase) => Sample::Phase,
            (Sample::Free | Sample::Phase, x @ Sample::Axis(_)) => x,
            (x @ Sample::Axis(_), Sample::Folded(_) | Sample::Phase) => x,
            (x, y) if x == y => x,
            _ => Sample::Coupled,
        };
    }
    match (result, along) {
        (Sample::Axis(cut), Some(along)) if cut.axis == along => Sample::Coupled,
        _ => result,
    }
}

fn reduced(op: ReduceOp, axes: &[usize], operand: Sample) -> Sample {
    match operand {
        Sample::Axis(cut) if axes.contains(&cut.axis) => match op {
            ReduceOp::ArgMax | ReduceOp::ArgMin => Sample::Coupled,
            _ => Sample::Folded(op),
        },
        Sample::Axis(cut) => Sample::Axis(cut.along(cut.axis - axes.iter().filter(|&&a| a < cut.axis).count())),
        other => together(&[other], None),
    }
}

fn through(view: &View, operand: Sample, from: &[usize], to: &[usize], rows: usize) -> Sample {
    let Sample::Axis(cut) = operand else {
        // A broadcast of a fixed value over samples stays fixed: each slice broadcasts its part.
        return together(&[operand], None);
    };
    let axis = cut.axis;
    match view {
        View::Permute(order) => match order.iter().position(|&a| a == axis) {
            Some(axis) => Sample::Axis(cut.along(axis)),
            None => Sample::Coupled,
        },
        View::Broadcast(_) => Sample::Axis(cut.along(axis + to.len() - from.len())),
        View::Slice(axes) if axes[axis].len() == from[axis] => operand,
        View::Pad(pads, _) if pads[axis] == (0, 0) => operand,
        View::Flip(axes) if !axes.contains(&axis) => operand,
        View::Reshape(_) => {
            // The axis may take in its neighbours, or give them back: as often as before the samples are gone through.
            let times = from[..axis].iter().product::<usize>() * cut.outer;
            let mut before = 1;
            for (axis, &n) in to.iter().enumerate() {
                if before == 0 || times == 0 {
                    break;
                }
                if times % before == 0 && n % (times / before * rows) == 0 && n > 0 {
                    let outer = times / before;
                    return Sample::Axis(Cut { axis, outer, inner: n / (outer * rows) });
                }
                before *= n;
            }
            Sample::Coupled
        }
        _ => Sample::Coupled,
    }
}

enum Place {
    Fixed,
    Batch(Sample),
    Kept(Cut),
    Contracted(Cut),
}

/// Where a matrix operand has its samples, given which of its axes the product keeps and which it contracts.
fn move_axis(operand: Sample, (kept, contracted): (usize, usize)) -> Place {
    match operand {
        Sample::Axis(cut) if cut.axis == kept => Place::Kept(cut),
        Sample::Axis(cut) if cut.axis == contracted => Place::Contracted(cut),
        Sample::Axis(_) => Place::Batch(operand),
        _ => Place::Fixed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        DType, Tensor,
        graph::{Body, MatMul, Meta, ScanSpec},
        plan::trace::trace,
    };

    /// One training step of a dense layer with softmax: what is per sample, what is summed, what comes in a later phase.
    #[test]
    fn a_training_step_falls_into_phases() {
        let x = Tensor::placeholder(0, DType::F32, [8, 5]);
        let w = Tensor::placeholder(1, DType::F32, [5, 3]);
        let y = x.matmul(&w);
        let p = y.softmax(-1);
        let loss = p.log().sum_all();
        let dw = x.matmul_with(&p, MatMul { transpose_a: true, transpose_b: false });
        let next = &w - &dw * 0.1;
        let flat = p.reshape([24]);
        let mixed = p.matmul(&p.t());
        let top = p.max(0);
        let outputs = [y, p, loss, dw, next, flat, mixed, top];
        let (traced, _) = trace(&[x, w], &outputs, &[]).unwrap();
        let samples = sample_axes(&traced, &[FIRST, Sample::Free], 8);
        let got: Vec<Sample> = traced.outputs.iter().map(|&id| samples.of[id]).collect();
        let merged = Sample::Axis(Cut { axis: 0, outer: 1, inner: 3 });
        let expected = [
            FIRST,
            FIRST,
            Sample::Folded(ReduceOp::Sum),
            Sample::Folded(ReduceOp::Sum),
            Sample::Phase,
            merged,
            Sample::Coupled,
            Sample::Folded(ReduceOp::Max),
        ];
        assert_eq!(got, expected);
    }

    /// A recurrence whose state begins as zeros: every step's state counts samples, whatever it began as.
    #[test]
    fn a_recurrence_keeps_samples_apart() {
        let (steps, rows, units) = (6, 4, 3);
        let x = Tensor::placeholder(0, DType::F32, [rows, steps, units]);
        let u = Tensor::placeholder(1, DType::F32, [units, units]);
        let metas = [
            Meta::new(DType::F32, [rows, units]),
            Meta::new(DType::F32, [rows, units]),
            Meta::new(DType::F32, [units, units]),
        ];
        let body = Body::new("step", &metas, |p| {
            let h = (p[0].matmul(&p[2]) + &p[1]).tanh();
            Ok(vec![h.clone(), h])
        });
        let spec = ScanSpec { steps, carries: 1, inputs: 1, reverse: false };
        let inputs = [Tensor::zeros([rows, units]), x.permute([1, 0, 2]), u.clone()];
        let outputs = Tensor::scan(&body.unwrap(), spec, &inputs).unwrap();
        let flat = outputs[1].reshape([steps * rows, units]);
        let outputs = [outputs[0].clone(), outputs[1].clone(), flat];
        let (traced, _) = trace(&[x, u], &outputs, &[]).unwrap();
        let samples = sample_axes(&traced, &[FIRST, Sample::Free], rows);
        let got: Vec<Sample> = traced.outputs.iter().map(|&id| samples.of[id]).collect();
        let merged = Cut { axis: 0, outer: steps, inner: 1 };
        assert_eq!(got, [FIRST, Sample::Axis(Cut::FIRST.along(1)), Sample::Axis(merged)]);
    }

    #[test]
    fn lines_keep_the_samples_that_lie_across_them() {
        let x = Tensor::placeholder(0, DType::F32, [8, 5]);
        let outputs = [x.cumsum(1), x.sort(-1, true), x.cumsum(0), x.argsort(0, false)];
        let (traced, _) = trace(&[x], &outputs, &[]).unwrap();
        let samples = sample_axes(&traced, &[FIRST], 8);
        let got: Vec<Sample> = traced.outputs.iter().map(|&id| samples.of[id]).collect();
        assert_eq!(got, [FIRST, FIRST, Sample::Coupled, Sample::Coupled]);
    }

    /// Samples slow in one operand and fast in the other: the same length, but other samples meet.
    #[test]
    fn samples_in_another_order_are_not_contracted() {
        let x = Tensor::placeholder(0, DType::F32, [4, 2, 5]);
        let slow = x.reshape([8, 5]);
        let fast = x.permute([1, 0, 2]).reshape([8, 5]);
        let how = MatMul { transpose_a: true, transpose_b: false };
        let outputs = [slow.matmul_with(&slow, how), fast.matmul_with(&fast, how), slow.matmul_with(&fast, how)];
        let (traced, _) = trace(&[x], &outputs, &[]).unwrap();
        let samples = sample_axes(&traced, &[FIRST], 4);
        let got: Vec<Sample> = traced.outputs.iter().map(|&id| samples.of[id]).collect();
        assert_eq!(got, [Sample::Folded(ReduceOp::Sum), Sample::Folded(ReduceOp::Sum), Sample::Coupled]);
    }

    #[test]
    fn batch_statistics_split_a_step_in_two() {
        let x = Tensor::placeholder(0, DType::F32, [4, 6, 6, 3]);
        let mean = x.mean([0, 1, 2]);
        let centered = &x - &mean;
        let (traced, _) = trace(&[x], &[mean, centered], &[]).unwrap();
        let samples = sample_axes(&traced, &[FIRST], 4);
        assert_eq!(samples.of[traced.outputs[0]], Sample::Phase);
        assert_eq!(samples.of[traced.outputs[1]], FIRST);
    }
}
