//! Bodies: rebuilding their graph on other inputs, and their gradient.

use crate::pull::pull_back;
use addax_tensor::{
    Error, Result, Tensor,
    graph::{Body, topological},
};
use std::{collections::HashMap, rc::Rc};

/// `tensors` as they would be if they had been recorded on `to[i]` instead of `from[i]`. What does not depend on `from` is
/// shared, not copied. Fails if the two lists, or the shapes and types in them, do not fit.
///
/// ```
/// use addax_autodiff::substitute;
/// use addax_tensor::{DType, Tensor};
/// let x = Tensor::placeholder(0, DType::F32, [2]);
/// let y = x.exp() + 1.0;
/// let zeros = Tensor::zeros([2]);
/// let [at_zero] = substitute(&[y], &[x], &[zeros])?.try_into().unwrap();
/// assert_eq!(at_zero.to_vec::<f32>()?, vec![2.0, 2.0]);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
pub fn substitute(tensors: &[Tensor], from: &[Tensor], to: &[Tensor]) -> Result<Vec<Tensor>> {
    if from.len() != to.len() {
        return Err(Error::argument(format!("cannot put {} tensors in the place of {}", to.len(), from.len())));
    }
    let mut renewed: HashMap<(u64, u16), Tensor> = HashMap::new();
    for (old, new) in from.iter().zip(to) {
        let (want, got) = (old.meta()?, new.meta()?);
        if want != got {
            return Err(Error::shape(format!(
                "cannot put {} {} in the place of {} {}",
                got.dtype, got.shape, want.dtype, want.shape
            )));
        }
        renewed.insert(old.key(), new.clone());
    }
    // A node with several results may have one of them replaced and another one not.
    let order = topological(tensors, |t| t.node().metas().len() == 1 && renewed.contains_key(&t.key()));
    for tensor in &order {
        let node = tensor.node();
        if (0..node.metas().len()).all(|out| renewed.contains_key(&(node.id(), out as u16))) {
            continue;
        }
        let inputs = node.inputs();
        if inputs.iter().any(|input| renewed.contains_key(&input.key())) {
            let inputs = inputs.into_iter().map(|i| renewed.get(&i.key()).cloned().unwrap_or(i)).collect();
            let rebuilt = Tensor::record(node.op().clone(), inputs, node.metas().to_vec(), node.origin());
            for (out, result) in rebuilt.into_iter().enumerate() {
                renewed.entry((node.id(), out as u16)).or_insert(result);
            }
        }
    }
    Ok(tensors.iter().map(|t| renewed.get(&t.key()).unwrap_or(t).clone()).collect())
}

/// The gradient of a body, in terms of its own parameters and of one cotangent for each output.
pub(crate) struct BodyGradient {
    /// A placeholder for the cotangent of each output, where one is given.
    pub cotangents: Vec<Option<Tensor>>,
    /// The gradient of each parameter; `None` where it is zero or nobody wants it.
    pub gradients: Vec<Option<Tensor>>,
}

impl BodyGradient {
    /// Differentiates `body` with respect to the parameters that are `wanted`, for cotangents where `given`.
    pub fn new(body: &Body, given: &[bool], wanted: &[bool]) -> Result<BodyGradient> {
        let mut cotangents = Vec::new();
        let mut seeds = Vec::new();
        for (i, (output, given)) in body.outputs.iter().zip(given).enumerate() {
            let meta = output.meta()?;
            let cotangent = given.then(|| Tensor::watched_placeholder(i, meta.dtype, &meta.shape));
            seeds.extend(cotangent.clone().map(|c| (output.clone(), Some(c))));
            cotangents.push(cotangent);
        }
        let roots: Vec<Tensor> = body.params.iter().zip(wanted).filter(|(_, w)| **w).map(|(p, _)| p.clone()).collect();
        let mut pulled = pull_back(&seeds, &roots)?.into_iter();
        let gradients = wanted.iter().map(|w| if *w { pulled.next().and_then(|p| p.gradient) } else { None }).collect();
        Ok(BodyGradient { cotangents, gradients })
    }
}

/// A body, the outputs that have cotangents, and the parameters whose gradient is wanted.
type Question = (*const Body, Vec<bool>, Vec<bool>);

/// The gradients of the bodies met in one walk: a body that is called often is differentiated once.
#[derive(Default)]
pub(crate) struct Bodies(HashMap<Question, Rc<BodyGradient>>);

impl Bodies {
    /// [`BodyGradient::new`], once. The walk's graph keeps the bodies alive, so that an address means one body.
    pub fn gradient(&mut self, body: &Body, given: &[bool], wanted: &[bool]) -> Result<Rc<BodyGradient>> {
        let key = (std::ptr::from_ref(body), given.to_vec(), wanted.to_vec());
        if let Some(known) = self.0.get(&key) {
            return Ok(known.clone());
        }
        let gradient = Rc::new(BodyGradient::new(body, given, wanted)?);
        self.0.insert(key, gradient.clone());
        Ok(gradient)
    }
}
