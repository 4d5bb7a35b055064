//! Walks over the graph, iterative so that chains of any length work.

use super::Tensor;
use std::collections::HashSet;

/// Every node that `roots` depend on, inputs before users, each once (as the first of its results met).
///
/// `stop` says at which tensors not to look further (they are listed themselves).
pub fn topological(roots: &[Tensor], stop: impl Fn(&Tensor) -> bool) -> Vec<Tensor> {
    let mut seen = HashSet::new();
    let mut order = Vec::new();
    let mut stack: Vec<(Tensor, bool)> = roots.iter().rev().map(|t| (t.clone(), false)).collect();
    while let Some((tensor, ready)) = stack.pop() {
        if ready {
            order.push(tensor);
            continue;
        }
        if !seen.insert(tensor.node().id()) {
            continue;
        }
        let inputs = if stop(&tensor) { Vec::new() } else { tensor.node().inputs() };
        stack.push((tensor, true));
        stack.extend(inputs.into_iter().rev().map(|input| (input, false)));
    }
    order
}

/// Number of nodes that `root` depends on, itself included.
pub fn graph_len(root: &Tensor) -> usize {
    topological(std::slice::from_ref(root), |_| false).len()
}
