//! The rule of a loop: a loop in the other direction.
//!
//! The forward loop is recorded once more with the values that the gradient needs as further stacked outputs (the planner
//! merges it with the first, whose outputs are a prefix). The reverse loop carries the cotangents of the carries, and
//! stacks those of the per-step inputs. Gradients of invariants are sums over steps: where the sum can be one product or one
//! reduction over all steps, that is recorded after the loop ([`total`]), else the loop carries it. The number of nodes
//! does not depend on the number of steps, and everything is a loop again, so that gradients have gradients.
//!
//! Where the body asks for it ([`Body::recomputed`]), nothing but carries is stacked: the reverse loop computes the rest of a
//! step again, carries every sum, and is a loop of that kind itself.

mod residual;
mod total;

use crate::{
    body::{Bodies, BodyGradient, substitute},
    pull::reached,
    rules::Site,
};
use addax_tensor::{
    Result, Shape, Tensor,
    graph::{Body, ScanSpec},
};
use residual::Kept;
use std::{collections::HashMap, sync::Arc};
use total::{Total, Totals};

type Key = (u64, u16);

/// The cotangents of the inputs of a loop.
pub(crate) fn vjp(body: &Arc<Body>, spec: ScanSpec, site: &Site, bodies: &mut Bodies) -> Result<Vec<Option<Tensor>>> {
    let given: Vec<bool> = site.dy.iter().map(Option::is_some).collect();
    let looped = looped(body, spec, &given, site.wanted)?;
    let masked = |flags: &[bool]| looped.iter().chain(flags.iter().skip(spec.carries)).copied().collect::<Vec<_>>();
    let gradient = bodies.gradient(body, &masked(&given), &masked(site.wanted))?;
    let reverse = Reverse::new(body, spec, &looped, &gradient)?;
    reverse.record(body, spec, site)
}

/// The carries whose cotangents the reverse loop hands on: those on a path from something wanted to something given.
fn looped(body: &Body, spec: ScanSpec, given: &[bool], wanted: &[bool]) -> Result<Vec<bool>> {
    let carries = &body.params[..spec.carries];
    let chosen = |of: &[Tensor], flags: &[bool]| -> Vec<Tensor> {
        of.iter().zip(flags).filter(|(_, flag)| **flag).map(|(t, _)| t.clone()).collect()
    };
    // Carries that a given cotangent arrives at, in this step or an earlier one.
    let mut live = given.to_vec();
    loop {
        let arrived = reached(&chosen(&body.outputs, &live), carries)?;
        let more: Vec<usize> = (0..spec.carries).filter(|&j| arrived[j] && !live[j]).collect();
        more.iter().for_each(|&j| live[j] = true);
        if more.is_empty() {
            break;
        }
    }
    // Carries that depend on something wanted, in this step or a later one.
    let mut moving = wanted.to_vec();
    loop {
        let roots = chosen(&body.params, &moving);
        let mut more = Vec::new();
        for (j, output) in body.outputs[..spec.carries].iter().enumerate().filter(|(j, _)| !moving[*j]) {
            if reached(std::slice::from_ref(output), &roots)?.contains(&true) {
                more.push(j);
            }
        }
        more.iter().for_each(|&j| moving[j] = true);
        if more.is_empty() {
            break;
        }
    }
    Ok((0..spec.carries).map(|j| live[j] && moving[j]).collect())
}

/// The reverse loop, in terms of the body's own tensors and of the placeholders of its gradient.
struct Reverse<'a> {
    gradient: &'a BodyGradient,
    /// Carries whose cotangents are handed on.
    looped: Vec<usize>,
    /// Per-step inputs that have a gradient.
    inputs: Vec<usize>,
    /// The gradients of the invariants, by parameter.
    invariants: Vec<(usize, Total)>,
    totals: Totals,
    kept: Kept,
}

impl<'a> Reverse<'a> {
    fn new(body: &Body, spec: ScanSpec, looped: &[bool], gradient: &'a BodyGradient) -> Result<Self> {
        let per_step = spec.carries..spec.carries + spec.inputs;
        let looped: Vec<usize> = (0..spec.carries).filter(|&j| looped[j]).collect();
        let inputs: Vec<usize> = per_step.clone().filter(|&i| gradient.gradients[i].is_some()).collect();
        let mut totals = Totals::new(body.recompute);
        let mut invariants = Vec::new();
        for (i, sum) in gradient.gradients.iter().enumerate().skip(per_step.end) {
            if let Some(sum) = sum {
                invariants.push((i, totals.total(sum)?));
            }
        }
        let mut computed: Vec<Tensor> = looped.iter().filter_map(|&j| gradient.gradients[j].clone()).collect();
        computed.extend(totals.carried.iter().cloned());
        computed.extend(inputs.iter().filter_map(|&i| gradient.gradients[i].clone()));
        let kept = Kept::choose(body, spec, &computed, &totals.stacked)?;
        Ok(Reverse { gradient, looped, inputs, invariants, totals, kept })
    }

    fn record(&self, body: &Arc<Body>, spec: ScanSpec, site: &Site) -> Result<Vec<Option<Tensor>>> {
        let stacks = self.record_forward(body, spec, site)?;
        let cotangents = &self.gradient.cotangents;

        // The values that go in: what each stands for in the body's gradient, and its value outside.
        let mut carries: Vec<(Option<Tensor>, Tensor)> = Vec::new();
        for &j in &self.looped {
            let initial = match &site.dy[j] {
                Some(dy) => dy.clone(),
                None => body.params[j].zeros_like(),
            };
            carries.push((cotangents[j].clone(), initial));
        }
        carries.extend(self.totals.carried.iter().map(|sum| (None, sum.zeros_like())));
        let mut inputs: Vec<(Tensor, Tensor)> = Vec::new();
        for kept in &self.kept.inside {
            inputs.extend(stacks.get(&kept.key()).map(|stack| (kept.clone(), stack.clone())));
        }
        for (cotangent, dy) in cotangents.iter().zip(site.dy).skip(spec.carries) {
            inputs.extend(cotangent.clone().zip(dy.clone()));
        }
        let mut invariants: Vec<(Tensor, Tensor)> = Vec::new();
        for &i in &self.kept.params {
            let to = if i < spec.carries + spec.inputs { &mut inputs } else { &mut invariants };
            to.push((body.params[i].clone(), site.inputs[i].clone()));
        }

        // The body: the gradient's expressions on parameters of its own.
        let fresh = |index: usize, like: &Tensor| -> Result<Tensor> {
            let meta = like.meta()?;
            Ok(Tensor::watched_placeholder(index, meta.dtype, &meta.shape))
        };
        let mut params = Vec::new();
        let (mut from, mut to) = (Vec::new(), Vec::new());
        for (stands_for, initial) in &carries {
            params.push(fresh(params.len(), initial)?);
            from.extend(stands_for.clone());
            to.extend(stands_for.as_ref().and(params.last()).cloned());
        }
        for (stands_for, _) in inputs.iter().chain(&invariants) {
            params.push(fresh(params.len(), stands_for)?);
            from.push(stands_for.clone());
            to.extend(params.last().cloned());
        }
        let gradient_of =
            |i: usize, zero: &Tensor| self.gradient.gradients[i].clone().unwrap_or_else(|| zero.zeros_like());
        let mut outputs: Vec<Tensor> = self.looped.iter().map(|&j| gradient_of(j, &body.params[j])).collect();
        outputs.extend(self.totals.carried.iter().cloned());
        outputs.extend(self.inputs.iter().map(|&i| gradient_of(i, &body.params[i])));
        outputs.extend(self.kept.emitted.iter().cloned());
        let mut outputs = substitute(&outputs, &from, &to)?;
        let sums = self.looped.len()..carries.len();
        for (output, so_far) in outputs[sums.clone()].iter_mut().zip(&params[sums.clone()]) {
            *output = so_far + &*output;
        }

        let mut results = vec![None; site.inputs.len()];
        if outputs.is_empty() {
            return Ok(results);
        }
        let spec_back = ScanSpec { carries: carries.len(), inputs: inputs.len(), reverse: !spec.reverse, ..spec };
        let values: Vec<Tensor> =
            carries.iter().map(|(_, v)| v).chain(inputs.iter().chain(&invariants).map(|(_, v)| v)).cloned().collect();
        let back = Arc::new(Body { name: "scan_grad", params, outputs, recompute: body.recompute });
        let back = Tensor::scan(&back, spec_back, &values)?;

        // The values that come out: final carries, gradients of the per-step inputs, then what the totals are made of.
        let (finals, stacked) = back.split_at(carries.len());
        let (cotangents, sums) = finals.split_at(self.looped.len());
        let (per_step, emitted) = stacked.split_at(self.inputs.len());
        for (&j, cotangent) in self.looped.iter().zip(cotangents) {
            results[j] = site.wants(j, || cotangent.clone());
        }
        for (&i, gradient) in self.inputs.iter().zip(per_step) {
            results[i] = Some(gradient.clone());
        }
        let mut all = stacks;
        all.extend(self.kept.emitted.iter().map(Tensor::key).zip(emitted.iter().cloned()));
        for (param, value) in body.params.iter().zip(site.inputs).skip(spec.carries).take(spec.inputs) {
            all.entry(param.key()).or_insert_with(|| value.clone());
        }
        let sources = total::Sources { steps: spec.steps, body, values: site.inputs, stacks: &all, sums };
        for (i, total) in &self.invariants {
            results[*i] = Some(total.record(&sources)?);
        }
        Ok(results)
    }

    /// The forward loop with the kept values as further outputs; gives their stacks.
    fn record_forward(&self, body: &Arc<Body>, spec: ScanSpec, site: &Site) -> Result<HashMap<Key, Tensor>> {
        let kept: Vec<Tensor> = self.kept.stored().cloned().collect();
        if kept.is_empty() {
            return Ok(HashMap::new());
        }
        let outputs = body.outputs.iter().chain(&kept).cloned().collect();
        let wider = Arc::new(Body { name: body.name, params: body.params.clone(), outputs, recompute: body.recompute });
        let results = Tensor::scan(&wider, spec, site.inputs)?;
        Ok(kept.iter().map(Tensor::key).zip(results.into_iter().skip(body.outputs.len())).collect())
    }
}

/// `[steps, rows, ..] -> [steps·rows, ..]`.
fn merged(stack: &Tensor) -> Result<Tensor> {
    let shape = stack.shape()?;
    let rows: usize = shape.iter().take(2).product();
    Ok(stack.reshape(std::iter::once(rows).chain(shape.iter().skip(2).copied()).collect::<Shape>()))
}
