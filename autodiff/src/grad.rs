//! The calls users make.

use crate::{
    pull::{Pulled, pull_back},
    wrt::{Wrt, WrtList},
};
use addax_tensor::{Error, ErrorKind, Result, Tensor};
use std::panic::Location;

/// The gradient of `loss`, a float with one element, with respect to each of `wrt`, recorded as more graph: every result has
/// the shape and type of what it belongs to, and can be differentiated again.
///
/// Fails with [`ErrorKind::Gradient`] if the loss does not depend on one of them (integers, truth values and
/// `stop_gradient` carry no dependence); [`grad_or_zeros`] gives zeros there.
///
/// ```
/// use addax_autodiff::grad;
/// use addax_tensor::Tensor;
/// let x = Tensor::from_vec([1.0f32, 2.0], [2]);
/// let [dx] = grad(&(&x * &x * &x).sum_all(), [&x])?;
/// let [ddx] = grad(&dx.sum_all(), [&x])?;
/// assert_eq!(dx.to_vec::<f32>()?, vec![3.0, 12.0]);
/// assert_eq!(ddx.to_vec::<f32>()?, vec![6.0, 12.0]);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[track_caller]
pub fn grad<W: WrtList>(loss: &Tensor, wrt: W) -> Result<W::Gradients> {
    let origin = Location::caller();
    of_loss(loss, &wrt, Unreached::Refuse).map_err(|e| e.at(origin))
}

/// [`grad`], with zeros for what the loss does not depend on.
#[track_caller]
pub fn grad_or_zeros<W: WrtList>(loss: &Tensor, wrt: W) -> Result<W::Gradients> {
    let origin = Location::caller();
    of_loss(loss, &wrt, Unreached::Zeros).map_err(|e| e.at(origin))
}

/// The general vector-Jacobian product: `Σ_i (∂ outputs[i] / ∂ wrt)ᵀ · cotangents[i]`. Each cotangent has the shape and type
/// of its output, which is a float of any shape. Fails as [`grad`] does.
#[track_caller]
pub fn grad_with<W: WrtList>(outputs: &[Tensor], cotangents: &[Tensor], wrt: W) -> Result<W::Gradients> {
    let origin = Location::caller();
    let seeds = || -> Result<Vec<(Tensor, Option<Tensor>)>> {
        if outputs.len() != cotangents.len() {
            let (o, c) = (outputs.len(), cotangents.len());
            return Err(Error::argument(format!("grad_with needs one cotangent for each output, got {c} for {o}")));
        }
        for (i, (output, cotangent)) in outputs.iter().zip(cotangents).enumerate() {
            let (want, got) = (output.meta()?, cotangent.meta()?);
            if !want.dtype.is_float() {
                return Err(Error::dtype(format!("grad_with needs float outputs, output {i} is {}", want.dtype)));
            }
            if want != got {
                return Err(Error::shape(format!(
                    "grad_with: output {i} is {} {}, its cotangent is {} {}",
                    want.dtype, want.shape, got.dtype, got.shape
                )));
            }
        }
        Ok(outputs.iter().cloned().zip(cotangents.iter().cloned().map(Some)).collect())
    };
    seeds().and_then(|seeds| of_seeds(&seeds, &wrt, Unreached::Refuse)).map_err(|e| e.at(origin))
}

/// The loss and its gradients, computed together and detached: reading any of them computes nothing more, and nothing keeps
/// the graph alive. Fails as [`grad`] does, or if the computation does.
///
/// ```
/// use addax_autodiff::value_and_grad;
/// use addax_tensor::Tensor;
/// let x = Tensor::from_vec([3.0f32], [1]);
/// let (loss, [dx]) = value_and_grad(&x.square().sum_all(), [&x])?;
/// assert_eq!((loss.item::<f32>()?, dx.item::<f32>()?), (9.0, 6.0));
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[track_caller]
pub fn value_and_grad<W: WrtList>(loss: &Tensor, wrt: W) -> Result<(Tensor, W::Gradients)> {
    let origin = Location::caller();
    let compute = || {
        let gradients = of_loss(loss, &wrt, Unreached::Refuse)?;
        let group: Vec<Tensor> = std::iter::once(loss).chain(gradients.as_ref()).cloned().collect();
        Tensor::eval(&group)?;
        let detached = gradients.as_ref().iter().map(Tensor::detach).collect::<Result<Vec<_>>>()?;
        Ok((loss.detach()?, wrt.pack(detached)?))
    };
    compute().map_err(|e: Error| e.at(origin))
}

/// What to answer for something that the loss does not depend on.
#[derive(Clone, Copy, PartialEq)]
enum Unreached {
    Refuse,
    Zeros,
}

fn of_loss<W: WrtList>(loss: &Tensor, wrt: &W, unreached: Unreached) -> Result<W::Gradients> {
    let meta = loss.meta()?;
    if meta.shape.numel() != 1 {
        return Err(Error::shape(format!(
            "a gradient needs a loss with one element, got shape {}; reduce it first, for example with `mean_all()`",
            meta.shape
        )));
    }
    if !meta.dtype.is_float() {
        return Err(Error::dtype(format!("a gradient needs a float loss, got {}", meta.dtype)));
    }
    of_seeds(&[(loss.clone(), Some(loss.ones_like()))], wrt, unreached)
}

fn of_seeds<W: WrtList>(seeds: &[(Tensor, Option<Tensor>)], wrt: &W, unreached: Unreached) -> Result<W::Gradients> {
    let roots: Vec<Tensor> = wrt.each().map(Wrt::tensor).collect();
    for (root, what) in roots.iter().zip(wrt.each()) {
        if !root.dtype()?.is_float() {
            return Err(Error::dtype(format!("only floats have gradients, not {}", what.describe())));
        }
    }
    let pulled = pull_back(seeds, &roots)?;
    let mut gradients = Vec::with_capacity(roots.len());
    for ((Pulled { reached, gradient }, root), what) in pulled.into_iter().zip(&roots).zip(wrt.each()) {
        if !reached && unreached == Unreached::Refuse {
            return Err(Error::new(ErrorKind::Gradient(format!(
                "the loss does not depend on {}: it is not used in floats on the way to the loss, or was assigned after \
                 the loss was recorded; use it, leave it out, or ask for `grad_or_zeros`",
                what.describe()
            ))));
        }
        let gradient = gradient.unwrap_or_else(|| root.zeros_like());
        gradient.check()?;
        gradients.push(gradient);
    }
    wrt.pack(gradients)
}
