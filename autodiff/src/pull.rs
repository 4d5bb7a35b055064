//! The walk: cotangents travel from the outputs back to the roots, each node once, after all its users.

use crate::{
    body::Bodies,
    rules::{self, Site},
};
use addax_tensor::{
    Result, Tensor,
    graph::{Op, scope_of, topological},
};
use std::collections::{HashMap, HashSet};

/// What arrived at one root.
pub(crate) struct Pulled {
    /// Whether an output depends on it through floats.
    pub reached: bool,
    /// Its cotangent; `None` is zero.
    pub gradient: Option<Tensor>,
}

type Key = (u64, u16);

/// Cotangents by tensor: present once a path from an output has arrived, `None` while they are zero.
#[derive(Default)]
struct Cotangents(HashMap<Key, Option<Tensor>>);

impl Cotangents {
    /// Contributions add up in the order of the walk, which the graph alone decides.
    fn add(&mut self, tensor: &Tensor, cotangent: Option<Tensor>) {
        let sum = self.0.entry(tensor.key()).or_default();
        *sum = match (sum.take(), cotangent) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
    }
}

/// Pulls the outputs' cotangents (`None` is zero) back to `roots`.
pub(crate) fn pull_back(seeds: &[(Tensor, Option<Tensor>)], roots: &[Tensor]) -> Result<Vec<Pulled>> {
    let outputs: Vec<Tensor> = seeds.iter().map(|(output, _)| output.clone()).collect();
    // Whatever leads to a tracked root is tracked itself; a root that the user names need not be.
    let tracked_only = roots.iter().all(Tensor::is_tracked);
    let order = topological(&outputs, |t| tracked_only && !t.is_tracked());
    let carrying = carrying(&order, roots);
    let carries = |t: &Tensor| carrying.contains(&t.node().id()) && t.dtype().is_ok_and(|d| d.is_float());

    let mut cotangents = Cotangents::default();
    for (output, cotangent) in seeds.iter().filter(|(output, _)| carries(output)) {
        cotangents.add(output, cotangent.clone());
    }
    let mut bodies = Bodies::default();
    for y in order.iter().rev().filter(|t| carrying.contains(&t.node().id()) && passes(t.node().op())) {
        let node = y.node();
        let arrived: Vec<_> = (0..node.metas().len()).map(|out| cotangents.0.get(&(node.id(), out as u16))).collect();
        if arrived.iter().all(Option::is_none) {
            continue;
        }
        let dy: Vec<Option<Tensor>> = arrived.into_iter().map(|d| d.cloned().flatten()).collect();
        let inputs = node.inputs();
        let wanted: Vec<bool> = inputs.iter().map(carries).collect();
        let dx = match wanted.contains(&true) && dy.iter().any(Option::is_some) {
            true => {
                let site = Site { node, y, inputs: &inputs, dy: &dy, wanted: &wanted };
                scope_of(node, || rules::vjp(&site, &mut bodies))?
            }
            false => vec![None; inputs.len()],
        };
        for ((input, cotangent), _) in inputs.iter().zip(dx).zip(&wanted).filter(|(_, wanted)| **wanted) {
            cotangents.add(input, cotangent);
        }
    }
    let arrived = |root: &Tensor| match cotangents.0.get(&root.key()) {
        Some(gradient) => Pulled { reached: true, gradient: gradient.clone() },
        None => Pulled { reached: false, gradient: None },
    };
    Ok(roots.iter().map(arrived).collect())
}

/// Which of `roots` the outputs depend on through floats.
pub(crate) fn reached(outputs: &[Tensor], roots: &[Tensor]) -> Result<Vec<bool>> {
    let seeds: Vec<_> = outputs.iter().map(|output| (output.clone(), None)).collect();
    Ok(pull_back(&seeds, roots)?.into_iter().map(|p| p.reached).collect())
}

fn passes(op: &Op) -> bool {
    !matches!(op, Op::StopGradient)
}

/// The nodes through which cotangents travel to a root, the roots' nodes included.
fn carrying(order: &[Tensor], roots: &[Tensor]) -> HashSet<u64> {
    let mut carrying: HashSet<u64> = roots.iter().map(|root| root.node().id()).collect();
    for tensor in order {
        let node = tensor.node();
        let carries = |t: &Tensor| carrying.contains(&t.node().id()) && t.dtype().is_ok_and(|d| d.is_float());
        if passes(node.op()) && node.metas().iter().any(|m| m.dtype.is_float()) && node.inputs().iter().any(carries) {
            carrying.insert(node.id());
        }
    }
    carrying
}
