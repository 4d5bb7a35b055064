//! Comparing an executor with the reference, and making what differs small.

use super::{
    print::to_rust,
    rebuild::{Bodies, rebuild},
};
use crate::{
    array::Array,
    error::Result,
    graph::{Op, Tensor, Value, topological},
    reference::{self, Ranged},
};
use std::{
    collections::HashMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// How many radii an executor may be away.
pub const FACTOR: f64 = 2.0;

/// An executor and the reference do not agree; printed, it tells where, and the lines of a small graph that shows it.
#[derive(Clone)]
pub struct Failure {
    /// What differs.
    pub what: String,
    /// Lines of Rust that record the graph.
    pub program: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.what, self.program)
    }
}
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl std::error::Error for Failure {}

/// Compares what `run` computes with the reference: `|x - value| <= 2 * radius` for every element of every tensor.
/// `run` gets a copy of the graph, so that what it computes is not kept. On failure the graph is made as small as it still fails.
pub fn check(tensors: &[Tensor], run: impl Fn(&[Tensor]) -> Result<Vec<Array>>) -> std::result::Result<(), Failure> {
    check_within(FACTOR, tensors, run)
}

/// [`check`], with this many radii instead of 2.
pub fn check_within(
    factor: f64,
    tensors: &[Tensor],
    run: impl Fn(&[Tensor]) -> Result<Vec<Array>>,
) -> std::result::Result<(), Failure> {
    let Some(mut what) = difference(factor, tensors, &run) else {
        return Ok(());
    };
    let mut roots = tensors.to_vec();
    for _ in 0..8 {
        let before = what.clone();
        let size = topological(&roots, |_| false).len();
        for smaller in [alone, expanded, cut] {
            smaller(&mut roots, &mut |roots| match difference(factor, roots, &run) {
                Some(found) => {
                    what = found;
                    true
                }
                None => false,
            });
        }
        if topological(&roots, |_| false).len() == size && what == before {
            break;
        }
    }
    Err(Failure { what, program: to_rust(&roots) })
}

/// What differs, if anything does.
fn difference(factor: f64, tensors: &[Tensor], run: &impl Fn(&[Tensor]) -> Result<Vec<Array>>) -> Option<String> {
    let compared = || -> Result<Option<String>> {
        let want = reference::evaluate_with(&HashMap::new(), tensors)?;
        let copy = rebuild(tensors, &HashMap::new(), Bodies::Keep)?;
        let got = match catch_unwind(AssertUnwindSafe(|| run(&copy))) {
            Ok(Ok(got)) => got,
            Ok(Err(error)) => return Ok(Some(format!("it fails: {error}"))),
            Err(_) => return Ok(Some("it panics".into())),
        };
        for (i, (want, got)) in want.iter().zip(&got).enumerate() {
            if let Some(found) = mismatch(factor, want, got)? {
                return Ok(Some(format!("result {i}: {found}")));
            }
        }
        let complete = want.len() == got.len();
        Ok((!complete).then(|| format!("{} results, expected {}", got.len(), want.len())))
    };
    compared().unwrap_or_else(|error| Some(format!("the reference fails: {error}")))
}

fn mismatch(factor: f64, want: &Ranged, got: &Array) -> Result<Option<String>> {
    let (dtype, shape) = (want.meta.dtype, &want.meta.shape);
    if got.dtype() != dtype || got.shape() != shape {
        return Ok(Some(format!("{} {}, expected {dtype} {shape}", got.dtype(), got.shape())));
    }
    let got = Ranged::from_array(got)?.value;
    Ok(want.disagreement(&got, factor).map(|(at, got, want)| {
        format!("element {at} of {dtype} {shape} is {got:?}, expected {:?} ± {:e}", want.value, want.radius)
    }))
}

type Fails<'a> = &'a mut dyn FnMut(&[Tensor]) -> bool;

/// One result instead of many: the first node that fails on its own.
fn alone(roots: &mut Vec<Tensor>, fails: Fails) {
    for tensor in topological(roots, |_| false) {
        let node = tensor.node();
        let has_value = node.leaf_values().is_some() || matches!(node.op(), Op::Param(_));
        for out in 0..node.metas().len() {
            let candidate = [tensor.sibling(out)];
            if !has_value && candidate[0].check().is_ok() && fails(&candidate) {
                *roots = candidate.to_vec();
                return;
            }
        }
    }
}

/// Calls inlined and loops unrolled.
fn expanded(roots: &mut Vec<Tensor>, fails: Fails) {
    let has_bodies = topological(roots, |_| false).iter().any(|t| matches!(t.node().op(), Op::Call(_) | Op::Scan(..)));
    if let (true, Ok(flat)) = (has_bodies, rebuild(roots, &HashMap::new(), Bodies::Expand))
        && fails(&flat)
    {
        *roots = flat;
    }
}

/// Every computed node that can be data instead becomes data.
fn cut(roots: &mut Vec<Tensor>, fails: Fails) {
    for tensor in topological(roots, |_| false).into_iter().rev() {
        let node = tensor.node();
        let fixed = node.leaf_values().is_some() || matches!(node.op(), Op::Param(_) | Op::Scalar(_));
        let is_root = roots.iter().any(|root| root.node().id() == node.id());
        if fixed || is_root {
            continue;
        }
        let Ok(leaves) = values_of(&tensor) else { continue };
        let given = leaves.into_iter().enumerate().map(|(out, leaf)| ((node.id(), out as u16), leaf)).collect();
        if let Ok(smaller) = rebuild(roots, &given, Bodies::Keep)
            && fails(&smaller)
        {
            *roots = smaller;
            // The keys have changed: begin again.
            return cut(roots, fails);
        }
    }
}

/// Leaves with the reference's values of every result of a node.
fn values_of(tensor: &Tensor) -> Result<Vec<Tensor>> {
    let all: Vec<_> = (0..tensor.node().metas().len()).map(|out| tensor.sibling(out)).collect();
    let values = reference::evaluate_with(&HashMap::new(), &all)?;
    values
        .into_iter()
        .map(|mut data| {
            // Data is finite here, because what overflows may be anything.
            data.value.iter_mut().filter(|v| !v.is_finite()).for_each(|v| *v = 1.0);
            let (array, meta) = (data.to_array()?, data.meta);
            Ok(Tensor::leaf(Value::Host(Arc::new(array)), meta, false, tensor.origin()))
        })
        .collect()
}
