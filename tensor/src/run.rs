//! Boundaries: where lazy tensors become numbers.

use crate::{
    array::Array,
    dtype::Element,
    error::{Error, ErrorKind, Result},
    graph::{Meta, Op, Tensor, Value},
    reference,
    variable::Variable,
};
use std::{panic::Location, sync::Arc};

impl Tensor {
    /// Computes these tensors together, so that what they share is computed once.
    #[track_caller]
    pub fn eval(tensors: &[Tensor]) -> Result<()> {
        evaluate(tensors).map_err(|e| e.at(Location::caller()))
    }
    /// The elements as host data: computes and waits.
    #[track_caller]
    pub fn to_array(&self) -> Result<Array> {
        Tensor::eval(std::slice::from_ref(self))?;
        match self.value() {
            Some(Value::Host(array)) => Ok(array.as_ref().clone()),
            _ => Err(Error::device("a computed tensor has no value")),
        }
    }
    /// The elements in row-major order: computes and waits. Fails if `T` would lose information (see [`Element`]).
    #[track_caller]
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        self.to_array()?.to_vec()
    }
    /// The only element: computes and waits.
    #[track_caller]
    pub fn item<T: Element>(&self) -> Result<T> {
        match self.to_vec::<T>()?.as_slice() {
            [one] => Ok(*one),
            _ => {
                Err(Error::shape(format!("item needs one element, got shape {}", self.shape()?)).at(Location::caller()))
            }
        }
    }
    /// The computed value without its history: no gradient flows through it.
    #[track_caller]
    pub fn detach(&self) -> Result<Tensor> {
        self.leaf_of(false, Location::caller())
    }
    /// The computed value as a new leaf that gradients can be taken for.
    #[track_caller]
    pub fn watch(&self) -> Result<Tensor> {
        self.leaf_of(true, Location::caller())
    }
    fn leaf_of(&self, watched: bool, origin: crate::graph::Origin) -> Result<Tensor> {
        evaluate(std::slice::from_ref(self)).map_err(|e| e.at(origin))?;
        let value = self.value().cloned().ok_or_else(|| Error::device("a computed tensor has no value"))?;
        Ok(Tensor::leaf(value, self.meta()?.clone(), watched, origin))
    }
}

fn evaluate(tensors: &[Tensor]) -> Result<()> {
    for (tensor, array) in tensors.iter().zip(reference::evaluate(tensors)?) {
        tensor.node().set_values(vec![Value::Host(Arc::new(array))]);
    }
    Ok(())
}

/// Computes all new values, then makes them the variables'.
pub(crate) fn commit(updates: &[(Variable, Tensor)]) -> Result<()> {
    for (variable, value) in updates {
        variable.check_fits(value)?;
    }
    let values: Vec<_> = updates.iter().map(|(_, v)| v.clone()).collect();
    evaluate(&values)?;
    for (variable, value) in updates {
        if let Some(value) = value.value() {
            variable.replace(value.clone());
        }
    }
    Ok(())
}

/// The error of reading a placeholder.
pub(crate) fn unreadable(tensor: &Tensor) -> Error {
    let what = match (tensor.node().op(), tensor.meta()) {
        (Op::Param(i), Ok(Meta { shape, dtype })) => format!("placeholder {i} ({dtype} {shape})"),
        _ => "a placeholder".into(),
    };
    Error::new(ErrorKind::Symbolic(format!(
        "{what} has no value: it stands for data that comes later, so it cannot be read or printed here"
    )))
    .at(tensor.origin())
}
