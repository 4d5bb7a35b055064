//! The two structural operations.

use super::{Env, Ranged, get, interpret, is_given};
use crate::{
    error::{Error, Result},
    graph::{Body, Meta, ScanSpec, Tensor, topological},
    shape::Shape,
};
use std::rc::Rc;

/// The body's outputs for these inputs.
pub fn call(body: &Body, inputs: &[Rc<Ranged>]) -> Result<Vec<Ranged>> {
    let outputs = run(body, &order(body), inputs)?;
    Ok(outputs.iter().map(|output| output.as_ref().clone()).collect())
}

/// The final carries, then the stacked outputs.
pub fn scan(body: &Body, spec: &ScanSpec, inputs: &[Rc<Ranged>]) -> Result<Vec<Ranged>> {
    let (carries, rest) = inputs.split_at_checked(spec.carries).ok_or_else(wrong_inputs)?;
    let (stacked, invariants) = rest.split_at_checked(spec.inputs).ok_or_else(wrong_inputs)?;
    let order = order(body);
    let mut carries = carries.to_vec();
    let mut rows: Vec<Vec<Rc<Ranged>>> = Vec::new();
    for trip in 0..spec.steps {
        let step = if spec.reverse { spec.steps - 1 - trip } else { trip };
        let mut arguments = carries;
        arguments.extend(stacked.iter().map(|input| Rc::new(row(input, step, spec.steps))));
        arguments.extend_from_slice(invariants);
        carries = run(body, &order, &arguments)?;
        rows.push(carries.split_off(spec.carries));
    }
    if spec.reverse {
        rows.reverse();
    }
    let mut results: Vec<Ranged> = carries.iter().map(|carry| carry.as_ref().clone()).collect();
    for output in 0..body.outputs.len() - spec.carries {
        results.push(stack(rows.iter().map(|step| step[output].as_ref())));
    }
    Ok(results)
}

fn wrong_inputs() -> Error {
    Error::argument("a scan has fewer inputs than its spec says")
}

/// The body's nodes in order of computation; parameters stand for themselves.
fn order(body: &Body) -> Vec<Tensor> {
    let params: Vec<_> = body.params.iter().map(Tensor::key).collect();
    topological(&body.outputs, |t| t.node().leaf_values().is_some() || is_given(t, |key| params.contains(key)))
}

fn run(body: &Body, order: &[Tensor], arguments: &[Rc<Ranged>]) -> Result<Vec<Rc<Ranged>>> {
    let mut env: Env = body.params.iter().map(Tensor::key).zip(arguments.iter().cloned()).collect();
    interpret(order, &mut env)?;
    body.outputs.iter().map(|output| get(&env, output)).collect()
}

/// Row `step` of `[steps, ..]`.
fn row(x: &Ranged, step: usize, steps: usize) -> Ranged {
    let len = x.value.len() / steps.max(1);
    let at = step * len..(step + 1) * len;
    let meta = Meta { shape: x.meta.shape.iter().skip(1).copied().collect(), dtype: x.meta.dtype };
    Ranged { meta, value: x.value[at.clone()].to_vec(), radius: x.radius[at].to_vec() }
}

/// Rows of one kind (there is at least one) as `[steps, ..]`.
fn stack<'a>(rows: impl Iterator<Item = &'a Ranged> + Clone) -> Ranged {
    let one = rows.clone().next();
    let dtype = one.map_or(crate::DType::F32, |r| r.meta.dtype);
    let tail = one.map(|r| r.meta.shape.to_vec()).unwrap_or_default();
    let shape: Shape = std::iter::once(rows.clone().count()).chain(tail).collect();
    let value = rows.clone().flat_map(|r| r.value.iter().copied()).collect();
    Ranged { meta: Meta { shape, dtype }, value, radius: rows.flat_map(|r| r.radius.iter().copied()).collect() }
}
