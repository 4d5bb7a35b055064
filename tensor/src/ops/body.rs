//! The two structural operations: a named composite, and a loop.

use crate::{
    error::{Error, Result},
    graph::{Body, Meta, Op, ScanSpec, Tensor},
    shape::Shape,
};
use std::{panic::Location, sync::Arc};

impl Body {
    /// A body from its parameters' shapes and types: `build` gets one placeholder each and returns the results.
    /// The placeholders carry gradients, so that the body can be differentiated.
    #[track_caller]
    pub fn new(
        name: &'static str,
        params: &[Meta],
        build: impl FnOnce(&[Tensor]) -> Result<Vec<Tensor>>,
    ) -> Result<Arc<Body>> {
        let params: Vec<_> = params
            .iter()
            .enumerate()
            .map(|(i, meta)| Tensor::watched_placeholder(i, meta.dtype, &meta.shape))
            .collect();
        let outputs = build(&params)?;
        outputs.iter().try_for_each(Tensor::check)?;
        Ok(Arc::new(Body { name, params, outputs, recompute: false }))
    }

    /// The same body, for loops whose steps are large and cheap beside what they are made from. The gradient of such a loop
    /// keeps the carries of each step and nothing else: the values within a step are computed again where the reverse loop
    /// comes by, and what the steps add to the gradient of an invariant is added up as they go. So there is never more than
    /// one step in memory, in gradients of gradients neither. Keras' `remat` asks for the same.
    ///
    /// Without it a gradient keeps products and costly functions of all steps, and sums over steps in one product at the end,
    /// which is faster where steps are small (a recurrence).
    #[must_use]
    pub fn recomputed(&self) -> Arc<Body> {
        let (params, outputs) = (self.params.clone(), self.outputs.clone());
        Arc::new(Body { name: self.name, params, outputs, recompute: true })
    }
}

impl Tensor {
    /// Calls a body. The planner inlines it unless an executor has one kernel for it.
    #[track_caller]
    pub fn call(body: &Arc<Body>, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let origin = Location::caller();
        let wanted = body.params.iter();
        fits(body.name, wanted.map(|p| p.meta().cloned()).collect::<Result<Vec<_>>>()?, inputs)
            .map_err(|e| e.at(origin))?;
        let metas = body.outputs.iter().map(|t| t.meta().cloned()).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::record(Op::Call(body.clone()), inputs.to_vec(), metas, origin))
    }

    /// Loops a body (see [`ScanSpec`]): returns the final carries, then the stacked outputs.
    #[track_caller]
    pub fn scan(body: &Arc<Body>, spec: ScanSpec, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let origin = Location::caller();
        let stacked = |meta: &Meta| Meta {
            shape: std::iter::once(spec.steps).chain(meta.shape.iter().copied()).collect::<Shape>(),
            dtype: meta.dtype,
        };
        let per_step = spec.carries..spec.carries + spec.inputs;
        if body.params.len() < per_step.end || body.outputs.len() < spec.carries || spec.steps == 0 {
            let what = format!("scan \"{}\": {spec:?} does not fit its body", body.name);
            return Err(Error::argument(what).at(origin));
        }
        let mut wanted = Vec::new();
        for (i, param) in body.params.iter().enumerate() {
            let meta = param.meta()?;
            wanted.push(if per_step.contains(&i) { stacked(meta) } else { meta.clone() });
        }
        fits(body.name, wanted, inputs).map_err(|e| e.at(origin))?;
        let mut metas = Vec::new();
        for (i, output) in body.outputs.iter().enumerate() {
            let meta = output.meta()?;
            if i < spec.carries && meta != body.params[i].meta()? {
                let carried = body.params[i].meta()?;
                let what = format!(
                    "scan \"{}\": carry {i} begins as {} {} and comes back as {} {}",
                    body.name, carried.dtype, carried.shape, meta.dtype, meta.shape
                );
                return Err(Error::shape(what).at(origin));
            }
            metas.push(if i < spec.carries { meta.clone() } else { stacked(meta) });
        }
        Ok(Tensor::record(Op::Scan(body.clone(), spec), inputs.to_vec(), metas, origin))
    }
}

fn fits(name: &str, wanted: Vec<Meta>, inputs: &[Tensor]) -> Result<()> {
    if wanted.len() != inputs.len() {
        return Err(Error::argument(format!("body \"{name}\" takes {} inputs, got {}", wanted.len(), inputs.len())));
    }
    for (i, (want, input)) in wanted.iter().zip(inputs).enumerate() {
        let got = input.meta()?;
        if want != got {
            return Err(Error::shape(format!(
                "body \"{name}\": input {i} is {} {}, got {} {}",
                want.dtype, want.shape, got.dtype, got.shape
            )));
        }
    }
    Ok(())
}
