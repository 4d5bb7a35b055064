//! What every primitive does to the sample axis. One table says what splitting a batch, cutting a prediction into chunks and
//! spreading work over machines may do; the ladder of memory rungs is built on it.

use super::trace::{Prim, Traced, TracedNode};
use crate::graph::{ConvKind, ReduceOp, View};

/// How a value relates to the samples of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sample {
    /// It does not depend on the batch: a weight, a number.
    Free,
    /// Axis `axis` counts samples; `inner` consecutive indices belong to one sample (1 unless axes were merged).
    Axis {
        /// Which axis.
        axis: usize,
        /// Indices per sample.
        inner: usize,
    },
    /// A sum over samples: slices of the batch add up to it, once all of them are done. What reads it belongs to a later phase.
    Summed,
    /// A largest or smallest over samples: slices combine by the same operation. What reads it belongs to a later phase.
    Extreme(ReduceOp),
    /// It follows from summed values alone: equal for every slice, in a later phase.
    Phase,
    /// Samples mix in a way that cannot be cut.
    Coupled,
}

/// Relates every value of a traced graph to the samples, given how its inputs relate to them. `rows` is the batch size.
pub fn sample_axes(traced: &Traced, inputs: &[Sample], rows: usize) -> Vec<Sample> {
    let mut found: Vec<Sample> = Vec::with_capacity(traced.nodes.len());
    for node in &traced.nodes {
        let sample = match &node.prim {
            Prim::Input(n) => inputs.get(*n).copied().unwrap_or(Sample::Free),
            _ => of_node(node, &traced.nodes, &found, rows),
        };
        found.push(sample);
    }
    found
}

fn of_node(node: &TracedNode, nodes: &[TracedNode], found: &[Sample], rows: usize) -> Sample {
    let operands: Vec<Sample> = node.inputs.iter().map(|&i| found[i]).collect();
    let shape_of = |position: usize| &nodes[node.inputs[position]].meta.shape;
    if operands.contains(&Sample::Coupled) {
        return Sample::Coupled;
    }
    match &node.prim {
        Prim::Input(_) | Prim::State(_) | Prim::Param(_) | Prim::Scalar(_) | Prim::Iota(_) => Sample::Free,
        // Bits are counted by sample, so a slice of them is computed from where it begins.
        Prim::RandomBits(_) => match node.meta.shape.first() {
            Some(&n) if n == rows => Sample::Axis { axis: 0, inner: 1 },
            _ => Sample::Free,
        },
        Prim::Unary(_) | Prim::Binary(_) | Prim::Select | Prim::Cast | Prim::Concat(_) => {
            let along = match node.prim {
                Prim::Concat(axis) => Some(axis),
                _ => None,
            };
            together(&operands, along)
        }
        Prim::View(view) => through(view, operands[0], shape_of(0), &node.meta.shape, rows),
        Prim::Reduce(op, axes) => reduced(*op, axes, operands[0]),
        Prim::MatMul(how) => {
            let rank = node.meta.shape.rank();
            let (row, col) = (rank - 2, rank - 1);
            let a = move_axis(operands[0], if how.transpose_a { (col, row) } else { (row, col) });
            let b = move_axis(operands[1], if how.transpose_b { (row, col) } else { (col, row) });
            match (a, b) {
                (Place::Not(x), Place::Not(y)) => together(&[x, y], None),
                (Place::Batch(x), Place::Batch(y)) if x == y => x,
                (Place::Batch(x), Place::Not(Sample::Free)) | (Place::Not(Sample::Free), Place::Batch(x)) => x,
                (Place::Kept(inner), Place::Not(Sample::Free)) => Sample::Axis { axis: row, inner },
                (Place::Not(Sample::Free), Place::Kept(inner)) => Sample::Axis { axis: col, inner },
                (Place::Contracted, Place::Contracted) => Sample::Summed,
                _ => Sample::Coupled,
            }
        }
        Prim::Conv2d(kind, _) => match (kind, operands[0], operands[1]) {
            (_, Sample::Free, Sample::Free) => Sample::Free,
            (ConvKind::Forward | ConvKind::InputGrad(_), first, Sample::Free) if first == FIRST => FIRST,
            (ConvKind::FilterGrad(_), x, dy) if x == FIRST && dy == FIRST => Sample::Summed,
            _ => Sample::Coupled,
        },
        Prim::Pool2d(..) => match operands.iter().all(|&o| o == FIRST) {
            true => FIRST,
            false if operands.iter().all(|&o| o == Sample::Free) => Sample::Free,
            false => Sample::Coupled,
        },
        Prim::Gather(axis) => match (operands[0], operands[1]) {
            (Sample::Free, Sample::Free) => Sample::Free,
            (Sample::Free, Sample::Axis { axis: 0, inner }) => Sample::Axis { axis: *axis, inner },
            (Sample::Axis { axis: kept, inner }, Sample::Free) if kept != *axis => Sample::Axis { axis: kept, inner },
            _ => Sample::Coupled,
        },
        Prim::ScatterAdd(axis) => match (operands[0], operands[1]) {
            (Sample::Free, Sample::Free) => Sample::Free,
            (Sample::Axis { axis: 0, .. }, Sample::Axis { axis: along, .. }) if along == *axis => Sample::Summed,
            (Sample::Free, Sample::Axis { axis: kept, inner }) if kept != *axis => Sample::Axis { axis: kept, inner },
            _ => Sample::Coupled,
        },
        // A loop could keep samples apart if its body does; nobody asks yet, so it does not say so.
        Prim::Scan(_) => match operands.iter().all(|&o| o == Sample::Free) {
            true => Sample::Free,
            false => Sample::Coupled,
        },
        Prim::Part(_) => operands[0],
    }
}

const FIRST: Sample = Sample::Axis { axis: 0, inner: 1 };

/// Element by element: all operands have their samples at one place, or none.
fn together(operands: &[Sample], along: Option<usize>) -> Sample {
    let mut result = Sample::Free;
    for &operand in operands {
        result = match (result, operand) {
            (x, Sample::Free) => x,
            (Sample::Free, Sample::Summed | Sample::Extreme(_) | Sample::Phase) => Sample::Phase,
            (Sample::Phase, Sample::Summed | Sample::Extreme(_) | Sample::Phase) => Sample::Phase,
            (Sample::Free | Sample::Phase, x @ Sample::Axis { .. }) => x,
            (x @ Sample::Axis { .. }, Sample::Summed | Sample::Extreme(_) | Sample::Phase) => x,
            (x, y) if x == y => x,
            _ => Sample::Coupled,
        };
    }
    match (result, along) {
        (Sample::Axis { axis, .. }, Some(along)) if axis == along => Sample::Coupled,
        _ => result,
    }
}

fn reduced(op: ReduceOp, axes: &[usize], operand: Sample) -> Sample {
    match operand {
        Sample::Axis { axis, inner } if axes.contains(&axis) => match (op, inner) {
            (ReduceOp::Sum, _) => Sample::Summed,
            (ReduceOp::Max | ReduceOp::Min | ReduceOp::Any | ReduceOp::All, _) => Sample::Extreme(op),
            _ => Sample::Coupled,
        },
        Sample::Axis { axis, inner } => Sample::Axis { axis: axis - axes.iter().filter(|&&a| a < axis).count(), inner },
        Sample::Summed | Sample::Extreme(_) => Sample::Phase,
        other => other,
    }
}

fn through(view: &View, operand: Sample, from: &[usize], to: &[usize], rows: usize) -> Sample {
    let Sample::Axis { axis, inner } = operand else {
        // A broadcast of a free value over samples stays free: each slice broadcasts its part.
        return match operand {
            Sample::Summed | Sample::Extreme(_) => Sample::Phase,
            other => other,
        };
    };
    match view {
        View::Permute(order) => match order.iter().position(|&a| a == axis) {
            Some(axis) => Sample::Axis { axis, inner },
            None => Sample::Coupled,
        },
        View::Broadcast(_) => Sample::Axis { axis: axis + to.len() - from.len(), inner },
        View::Slice(axes) if axes[axis].len() == from[axis] => operand,
        View::Pad(pads, _) if pads[axis] == (0, 0) => operand,
        View::Flip(axes) if !axes.contains(&axis) => operand,
        View::Reshape(_) => {
            // The axis may take in axes behind it, or give them back: samples stay the slowest of its indices.
            let before: usize = from[..axis].iter().product();
            let mut product = 1;
            for (position, &n) in to.iter().enumerate() {
                if product == before && n % rows == 0 && n >= rows {
                    return Sample::Axis { axis: position, inner: n / rows };
                }
                product *= n;
            }
            Sample::Coupled
        }
        _ => Sample::Coupled,
    }
}

enum Place {
    Not(Sample),
    Batch(Sample),
    Kept(usize),
    Contracted,
}

/// Where a matrix operand has its samples, given which of its axes the product keeps and which it contracts.
fn move_axis(operand: Sample, (kept, contracted): (usize, usize)) -> Place {
    match operand {
        Sample::Axis { axis, inner } if axis == kept => Place::Kept(inner),
        Sample::Axis { axis, .. } if axis == contracted => Place::Contracted,
        Sample::Axis { .. } => Place::Batch(operand),
        other => Place::Not(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, Tensor, graph::MatMul, plan::trace::trace};

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
        let got: Vec<Sample> = traced.outputs.iter().map(|&id| samples[id]).collect();
        let merged = Sample::Axis { axis: 0, inner: 3 };
        let expected = [
            FIRST,
            FIRST,
            Sample::Summed,
            Sample::Summed,
            Sample::Phase,
            merged,
            Sample::Coupled,
            Sample::Extreme(ReduceOp::Max),
        ];
        assert_eq!(got, expected);
    }

    #[test]
    fn batch_statistics_split_a_step_in_two() {
        let x = Tensor::placeholder(0, DType::F32, [4, 6, 6, 3]);
        let mean = x.mean([0, 1, 2]);
        let centered = &x - &mean;
        let (traced, _) = trace(&[x], &[mean, centered], &[]).unwrap();
        let samples = sample_axes(&traced, &[FIRST], 4);
        assert_eq!(samples[traced.outputs[0]], Sample::Phase);
        assert_eq!(samples[traced.outputs[1]], FIRST);
    }
}
