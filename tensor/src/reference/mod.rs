//! The meaning of every primitive: a plain interpreter of the graph in `f64`, one file per family.
//!
//! Shapes and types were checked when the graph was recorded, so indices computed from them are in range here.
//!
//! Every element carries a radius: a bound on how far a correct executor, which computes in `f32`, may be from it. Tests
//! compare `|x - value| <= c * radius`, so that no tolerance is ever guessed. An operation spreads the radii of its inputs
//! over the interval they span and adds its own rounding; where the interval straddles a jump, all sides count.
//!
//! Values of integer types are whole numbers that `f64` holds exactly; `Bool` is 0 or 1.

mod accumulate;
mod approx;
mod binary;
mod body;
mod cast;
mod conv2d;
mod gather;
mod index;
mod line;
mod matmul;
mod pool2d;
mod random;
mod ranged;
mod reduce;
mod select;
mod special;
mod unary;
mod view;

pub use approx::Approx;
pub use ranged::Ranged;

use crate::{
    array::Array,
    error::{Error, Result},
    graph::{Meta, Op, Tensor, Value, topological},
    run,
};
use std::{collections::HashMap, rc::Rc};

/// Identity of a tensor, see [`Tensor::key`].
pub type Key = (u64, u16);

/// What is known so far.
pub(crate) type Env = HashMap<Key, Rc<Ranged>>;

/// The values of these tensors, rounded to their types.
///
/// ```
/// use addax_tensor::{Tensor, reference};
/// let x = Tensor::from_vec([1.0f32, 2.0], [2]);
/// let y = reference::evaluate(&[&x * 3.0])?;
/// assert_eq!(y[0].to_vec::<f32>()?, vec![3.0, 6.0]);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
pub fn evaluate(tensors: &[Tensor]) -> Result<Vec<Array>> {
    evaluate_with(&HashMap::new(), tensors)?.iter().map(Ranged::to_array).collect()
}

/// The values of these tensors in `f64`, with these elements in the place of the tensors with these keys: placeholders,
/// leaves or any others. Fails if the number of elements does not fit a tensor's shape.
pub fn evaluate_with(params: &HashMap<Key, Vec<f64>>, roots: &[Tensor]) -> Result<Vec<Ranged>> {
    let mut env = Env::new();
    let given = |t: &Tensor| is_given(t, |key| params.contains_key(key));
    for tensor in topological(roots, |t| t.node().leaf_values().is_some() || given(t)) {
        for (out, meta) in tensor.node().metas().iter().enumerate() {
            let key = (tensor.node().id(), out as u16);
            if let Some(values) = params.get(&key) {
                if values.len() != meta.shape.numel() {
                    return Err(Error::shape(format!("{} values do not fill shape {}", values.len(), meta.shape)));
                }
                env.insert(key, Rc::new(Ranged::nearest(meta.clone(), values, meta.dtype.compute())));
            }
        }
    }
    evaluate_in(&mut env, roots)
}

/// The values of these tensors; `env` keeps them and all that they are computed from.
pub(crate) fn evaluate_in(env: &mut Env, roots: &[Tensor]) -> Result<Vec<Ranged>> {
    let order = topological(roots, |t| t.node().leaf_values().is_some() || is_given(t, |key| env.contains_key(key)));
    interpret(&order, env)?;
    roots.iter().map(|root| Ok(get(env, root)?.as_ref().clone())).collect()
}

/// Whether every result of the node is known.
fn is_given(tensor: &Tensor, known: impl Fn(&Key) -> bool) -> bool {
    let node = tensor.node();
    !node.metas().is_empty() && (0..node.metas().len()).all(|out| known(&(node.id(), out as u16)))
}

fn get(env: &Env, tensor: &Tensor) -> Result<Rc<Ranged>> {
    env.get(&tensor.key()).cloned().ok_or_else(|| Error::argument("a tensor is used before it is computed"))
}

/// Computes what `env` does not know yet, in this order.
fn interpret(order: &[Tensor], env: &mut Env) -> Result<()> {
    for tensor in order {
        if is_given(tensor, |key| env.contains_key(key)) {
            continue;
        }
        let node = tensor.node();
        let results = match node.leaf_values() {
            Some(values) => values.into_iter().zip(node.metas()).map(load).collect::<Result<Vec<_>>>()?,
            None => {
                let inputs = node.inputs().iter().map(|input| get(env, input)).collect::<Result<Vec<_>>>()?;
                apply(tensor, &inputs).map_err(|e| e.at(tensor.origin()))?
            }
        };
        for (out, result) in results.into_iter().enumerate() {
            env.entry((node.id(), out as u16)).or_insert_with(|| Rc::new(result));
        }
    }
    Ok(())
}

fn load((value, meta): (&Value, &Meta)) -> Result<Ranged> {
    Ranged::from_array(&run::read_now(value, meta)?)
}

/// One primitive: the results of the node from its inputs.
fn apply(tensor: &Tensor, inputs: &[Rc<Ranged>]) -> Result<Vec<Ranged>> {
    let node = tensor.node();
    let Some(meta) = node.metas().first().cloned() else {
        return Ok(Vec::new());
    };
    Ok(vec![match (node.op(), inputs) {
        (Op::Error(error), _) => return Err(error.clone()),
        (Op::Param(_), _) => return Err(run::unreadable(tensor)),
        (Op::Scalar(scalar), _) => cast::scalar(*scalar, meta),
        (Op::Unary(op), [x]) => unary::apply(*op, x, meta),
        (Op::Binary(op), [a, b]) => binary::apply(*op, a, b, meta),
        (Op::Select, [condition, a, b]) => select::apply(condition, a, b, meta),
        (Op::Cast, [x]) => cast::apply(x, meta),
        (Op::View(how), [x]) => view::apply(how, x, meta),
        (Op::Concat(axis), parts) => view::concat(*axis, parts, meta),
        (Op::Reduce(op, axes), [x]) => reduce::apply(*op, axes, x, meta),
        (Op::MatMul(how), [a, b]) => matmul::apply(*how, a, b, meta),
        (Op::Conv2d(kind, conv), [a, b]) => conv2d::apply(kind, conv, a, b, meta)?,
        (Op::Pool2d(kind, pool), [x, rest @ ..]) => pool2d::apply(kind, pool, x, rest.first().map(Rc::as_ref), meta)?,
        (Op::Gather(axis), [data, indices]) => gather::gather(*axis, data, indices, meta),
        (Op::ScatterAdd(axis), [indices, updates]) => gather::scatter_add(*axis, indices, updates, meta),
        (Op::Line(kind, axis), inputs) => line::apply(*kind, *axis, inputs, meta)?,
        (Op::RandomBits { stream }, [key]) => random::bits(*stream, key, meta),
        (Op::Iota(axis), _) => view::iota(*axis, meta),
        (Op::StopGradient, [x]) => x.as_ref().clone(),
        (Op::Call(body), inputs) => return body::call(body, inputs),
        (Op::Scan(body, spec), inputs) => return body::scan(body, spec, inputs),
        (op, inputs) => {
            return Err(Error::argument(format!("`{}` does not take {} inputs", op.name(), inputs.len())));
        }
    }])
}

#[cfg(test)]
mod radius_tests;
#[cfg(test)]
mod tests;
