//! The rule of a named composite: the gradient of its body, put in its place.

use super::Site;
use crate::body::{Bodies, substitute};
use addax_tensor::{Result, Tensor, graph::Body};

/// The cotangents of the inputs of a call. The values of the body that they need are recorded again, where the planner finds
/// that they are the same as those of the call.
pub(super) fn vjp(body: &Body, site: &Site, bodies: &mut Bodies) -> Result<Vec<Option<Tensor>>> {
    let given: Vec<bool> = site.dy.iter().map(Option::is_some).collect();
    let gradient = bodies.gradient(body, &given, site.wanted)?;
    let from: Vec<Tensor> = body.params.iter().chain(gradient.cotangents.iter().flatten()).cloned().collect();
    let to: Vec<Tensor> = site.inputs.iter().chain(site.dy.iter().flatten()).cloned().collect();
    let found: Vec<Tensor> = gradient.gradients.iter().flatten().cloned().collect();
    let mut placed = substitute(&found, &from, &to)?.into_iter();
    Ok(gradient.gradients.iter().map(|g| g.as_ref().and_then(|_| placed.next())).collect())
}
