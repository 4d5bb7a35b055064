//! Which values of the forward steps the reverse loop reads from stacks, and which it computes again.

use addax_tensor::{
    Result, Tensor,
    graph::{Binary, Body, Op, ScanSpec, Unary, topological},
};
use std::collections::{BTreeSet, HashSet};

type Key = (u64, u16);

/// The values that cross from the forward loop to the reverse loop.
pub(super) struct Kept {
    /// Stacked by the forward loop, read by the reverse loop.
    pub inside: Vec<Tensor>,
    /// Stacked by the forward loop, read after the reverse loop only.
    outside: Vec<Tensor>,
    /// Stacked by the reverse loop.
    pub emitted: Vec<Tensor>,
    /// Positions of the per-step inputs and invariants that the reverse loop reads.
    pub params: BTreeSet<usize>,
}

impl Kept {
    /// Everything that the forward loop stacks.
    pub fn stored(&self) -> impl Iterator<Item = &Tensor> {
        self.inside.iter().chain(&self.outside)
    }

    /// For a reverse loop that computes `computed`, and after which the stacks of `stacked` are read.
    ///
    /// Kept are the values of the body that the gradient reads itself: the carries, products, and results of costly
    /// functions. What is a cheap function of kept values, per-step inputs and invariants is computed again; everything but
    /// the carries is if the body asks for it.
    pub fn choose(body: &Body, spec: ScanSpec, computed: &[Tensor], stacked: &[Tensor]) -> Result<Kept> {
        let forward = topological(&body.outputs, |_| false);
        let params: Vec<Key> = body.params.iter().map(Tensor::key).collect();
        let known: HashSet<u64> =
            forward.iter().map(|t| t.node().id()).chain(params.iter().map(|(id, _)| *id)).collect();
        let of_body = |t: &Tensor| known.contains(&t.node().id());
        let position = |t: &Tensor| params.iter().position(|p| *p == t.key());

        // What is stacked already, or by whom.
        let (mut outside, mut emitted): (Vec<Tensor>, Vec<Tensor>) = (Vec::new(), Vec::new());
        for tensor in stacked {
            match position(tensor) {
                Some(param) if param >= spec.carries => {}
                _ if of_body(tensor) => outside.push(tensor.clone()),
                _ => emitted.push(tensor.clone()),
            }
        }

        // What the reverse loop reads of the body.
        let roots: Vec<Tensor> = computed.iter().chain(&emitted).cloned().collect();
        let mut read: Vec<Tensor> = Vec::new();
        let mut met: HashSet<Key> = HashSet::new();
        let own = topological(&roots, of_body);
        for tensor in own.iter().filter(|t| !of_body(t)).flat_map(|t| t.node().inputs()).chain(roots.clone()) {
            if of_body(&tensor) && met.insert(tensor.key()) {
                read.push(tensor);
            }
        }

        // Which of those follow cheaply from the others.
        let forced: HashSet<Key> = outside.iter().map(Tensor::key).collect();
        let mut stored: HashSet<Key> = forced.clone();
        let mut at_hand: HashSet<Key> = forced.clone();
        for param in body.params.iter().skip(spec.carries) {
            at_hand.insert(param.key());
        }
        if body.recompute {
            stored.extend(params.iter().take(spec.carries));
            at_hand.extend(params.iter().take(spec.carries));
        }
        for tensor in &forward {
            let node = tensor.node();
            if position(tensor).is_none()
                && (body.recompute || is_cheap(node.op()))
                && node.inputs().iter().all(|i| at_hand.contains(&i.key()))
            {
                at_hand.extend((0..node.metas().len()).map(|out| (node.id(), out as u16)));
            }
            for out in 0..node.metas().len() {
                let key = (node.id(), out as u16);
                if met.contains(&key) && at_hand.insert(key) {
                    stored.insert(key);
                }
            }
        }

        // What is read in the end, once the cheap ones are computed again.
        let stop = |t: &Tensor| position(t).is_some() || stored.contains(&t.key());
        let (mut inside, mut used) = (Vec::new(), BTreeSet::new());
        let mut seen = HashSet::new();
        let reads = topological(&roots, stop);
        let inputs = reads.iter().filter(|t| !stop(t)).flat_map(|t| t.node().inputs());
        for tensor in inputs.chain(roots.clone()).filter(|t| seen.insert(t.key())) {
            match position(&tensor) {
                Some(param) if param >= spec.carries => drop(used.insert(param)),
                _ if stored.contains(&tensor.key()) => inside.push(tensor),
                _ => {}
            }
        }
        outside.retain(|t| !inside.iter().any(|i| i.same(t)));
        Ok(Kept { inside, outside, emitted, params: used })
    }
}

/// Whether computing it again costs about as little as reading it.
fn is_cheap(op: &Op) -> bool {
    match op {
        Op::Unary(op) => match op {
            Unary::Neg
            | Unary::Abs
            | Unary::Sign
            | Unary::Square
            | Unary::Reciprocal
            | Unary::Relu
            | Unary::Floor
            | Unary::Ceil
            | Unary::Round
            | Unary::Not
            | Unary::IsFinite => true,
            Unary::Exp
            | Unary::Log
            | Unary::Expm1
            | Unary::Log1p
            | Unary::Sqrt
            | Unary::Rsqrt
            | Unary::Sin
            | Unary::Cos
            | Unary::Tanh
            | Unary::Sigmoid
            | Unary::Softplus
            | Unary::Erf
            | Unary::Erfinv => false,
        },
        Op::Binary(op) => *op != Binary::Pow,
        // Random bits are counted, never kept: a mask is cheaper to draw again than to store.
        Op::RandomBits { .. } => true,
        Op::Leaf | Op::Scalar(_) | Op::Iota(_) => true,
        Op::Select | Op::Cast | Op::View(_) | Op::Concat(_) | Op::StopGradient => true,
        Op::Param(_)
        | Op::Reduce(..)
        | Op::MatMul(_)
        | Op::Conv2d(..)
        | Op::Pool2d(..)
        | Op::Gather(_)
        | Op::ScatterAdd(_)
        | Op::Line(..)
        | Op::Call(_)
        | Op::Scan(..)
        | Op::Error(_) => false,
    }
}
