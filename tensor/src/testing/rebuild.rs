//! Graphs recorded again: with other inputs, or without bodies.

use crate::{
    error::{Error, Result},
    graph::{Body, Op, ScanSpec, Tensor, topological},
    reference::Key,
};
use std::collections::HashMap;

/// What happens to the bodies of a graph that is recorded again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    /// They stay.
    Keep,
    /// Calls are inlined and loops are unrolled.
    Expand,
}

/// The same graph as new nodes, with other tensors in the place of those whose keys are given. Nodes that have values
/// stay themselves.
pub fn rebuild(roots: &[Tensor], given: &HashMap<Key, Tensor>, bodies: Bodies) -> Result<Vec<Tensor>> {
    let mut new: HashMap<Key, Tensor> = given.clone();
    let known = |new: &HashMap<Key, Tensor>, t: &Tensor| {
        (0..t.node().metas().len()).all(|out| new.contains_key(&(t.node().id(), out as u16)))
    };
    for tensor in topological(roots, |t| t.node().leaf_values().is_some() || known(given, t)) {
        if known(&new, &tensor) {
            continue;
        }
        let node = tensor.node();
        let inputs = node.inputs().iter().map(|input| look_up(&new, input)).collect::<Result<Vec<_>>>()?;
        let results = match node.op() {
            _ if node.leaf_values().is_some() => (0..node.metas().len()).map(|out| tensor.sibling(out)).collect(),
            Op::Param(_) => vec![tensor.clone()],
            Op::Call(body) if bodies == Bodies::Expand => inlined(body, &inputs)?,
            Op::Scan(body, spec) if bodies == Bodies::Expand => unrolled(body, spec, &inputs)?,
            op => Tensor::record(op.clone(), inputs, node.metas().to_vec(), node.origin()),
        };
        for (out, result) in results.into_iter().enumerate() {
            new.entry((node.id(), out as u16)).or_insert(result);
        }
    }
    roots.iter().map(|root| look_up(&new, root)).collect()
}

fn look_up(new: &HashMap<Key, Tensor>, tensor: &Tensor) -> Result<Tensor> {
    new.get(&tensor.key()).cloned().ok_or_else(|| Error::argument("a node is used before it is recorded"))
}

fn inlined(body: &Body, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    let given = body.params.iter().map(Tensor::key).zip(inputs.iter().cloned()).collect();
    rebuild(&body.outputs, &given, Bodies::Expand)
}

fn unrolled(body: &Body, spec: &ScanSpec, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    let mut carries: Vec<Tensor> = inputs.iter().take(spec.carries).cloned().collect();
    let stacked: Vec<_> = inputs.iter().skip(spec.carries).take(spec.inputs).collect();
    let invariants: Vec<_> = inputs.iter().skip(spec.carries + spec.inputs).collect();
    let mut rows: Vec<Vec<Tensor>> = vec![Vec::new(); body.outputs.len().saturating_sub(spec.carries)];
    for trip in 0..spec.steps {
        let step = if spec.reverse { spec.steps - 1 - trip } else { trip };
        let mut arguments = carries;
        arguments.extend(stacked.iter().map(|input| input.slice(0, step..step + 1).squeeze(0)));
        arguments.extend(invariants.iter().copied().cloned());
        carries = inlined(body, &arguments)?;
        for (rows, output) in rows.iter_mut().zip(carries.split_off(spec.carries)) {
            rows.push(output);
        }
    }
    for rows in &mut rows {
        if spec.reverse {
            rows.reverse();
        }
        carries.push(Tensor::stack(rows, 0));
    }
    Ok(carries)
}
