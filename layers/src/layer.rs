//! What a layer is: typed for those who write and call one, erased for those who keep many.

use crate::{
    config::{Reader, layer_to_json, read_layer},
    cx::Cx,
    fields::{Field, Fields, Id, Key, Kind},
    registry,
};
use addax_tensor::{Error, Result, Tensor};
use serde_json::Value as Json;
use std::sync::Arc;

/// A layer: fields, and what it does to its input.
///
/// ```
/// use addax_layers::*;
/// use addax_tensor::Tensor;
///
/// /// `x + f(x)`: a dense layer with a way around it.
/// #[derive(Fields)]
/// #[fields(package = "shop")]
/// struct Around { inner: Dense, strength: f64 }
/// impl Layer for Around {
///     type In = Tensor;
///     type Out = Tensor;
///     fn forward(&self, x: Tensor, cx: &mut Cx) -> Result<Tensor> {
///         let h = cx.call(&self.inner, &x)?;
///         Ok(x + h * self.strength)
///     }
/// }
/// let layer = Around { inner: Dense::new(3), strength: 0.5 };
/// let y = Cx::inference().call(&layer, Tensor::ones([2, 3]))?;
/// assert_eq!(y.shape()?.dims(), [2, 3]);
/// assert_eq!(weights(&layer)[0].path, "inner/vars/0");
/// # Ok::<(), Error>(())
/// ```
pub trait Layer: Fields + Send + Sync {
    /// What it takes: `Tensor`, a tuple, `Vec<Tensor>`.
    type In: Values;
    /// What it gives.
    type Out: Values;
    /// Records the computation. Weights are made here at the first call, with the shapes that the input asks for.
    /// Callers use [`Cx::call`], which adds names, scopes and checks.
    fn forward(&self, x: Self::In, cx: &mut Cx) -> Result<Self::Out>;
    /// Whether callers cast floats to the type that the layer computes in before `forward` sees them: Keras' `autocast`. A layer
    /// whose input half floats would spoil says no, such as one that takes ids.
    fn autocast(&self) -> bool {
        true
    }
}

/// A layer whose types are erased. Every [`Layer`] is one.
pub trait DynLayer: Fields + Send + Sync {
    /// Number of inputs, if it is fixed.
    fn inputs(&self) -> Option<usize>;
    /// Records the computation of `inputs`; use [`Cx::call_dyn`].
    fn forward_dyn(&self, inputs: Vec<Tensor>, cx: &mut Cx) -> Result<Vec<Tensor>>;
    /// What [`Layer::autocast`] says.
    fn autocast_dyn(&self) -> bool;
}

impl<L: Layer> DynLayer for L {
    fn inputs(&self) -> Option<usize> {
        L::In::COUNT
    }
    fn forward_dyn(&self, inputs: Vec<Tensor>, cx: &mut Cx) -> Result<Vec<Tensor>> {
        Ok(self.forward(L::In::from_tensors(inputs)?, cx)?.into_tensors())
    }
    fn autocast_dyn(&self) -> bool {
        self.autocast()
    }
}

/// What layers take and give: some number of tensors.
pub trait Values: Sized {
    /// How many, if it is fixed.
    const COUNT: Option<usize>;
    /// From a list. Fails if the number is wrong.
    fn from_tensors(tensors: Vec<Tensor>) -> Result<Self>;
    /// As a list.
    fn into_tensors(self) -> Vec<Tensor>;
}

fn wrong_count(wanted: usize, got: usize) -> Error {
    Error::argument(format!("expected {wanted} tensors, got {got}"))
}

impl Values for Tensor {
    const COUNT: Option<usize> = Some(1);
    fn from_tensors(tensors: Vec<Tensor>) -> Result<Self> {
        let count = tensors.len();
        match <[Tensor; 1]>::try_from(tensors) {
            Ok([one]) => Ok(one),
            Err(_) => Err(wrong_count(1, count)),
        }
    }
    fn into_tensors(self) -> Vec<Tensor> {
        vec![self]
    }
}
impl Values for Vec<Tensor> {
    const COUNT: Option<usize> = None;
    fn from_tensors(tensors: Vec<Tensor>) -> Result<Self> {
        Ok(tensors)
    }
    fn into_tensors(self) -> Vec<Tensor> {
        self
    }
}
impl<const N: usize> Values for [Tensor; N] {
    const COUNT: Option<usize> = Some(N);
    fn from_tensors(tensors: Vec<Tensor>) -> Result<Self> {
        let count = tensors.len();
        tensors.try_into().map_err(|_| wrong_count(N, count))
    }
    fn into_tensors(self) -> Vec<Tensor> {
        self.into()
    }
}
impl Values for (Tensor, Tensor) {
    const COUNT: Option<usize> = Some(2);
    fn from_tensors(tensors: Vec<Tensor>) -> Result<Self> {
        <[Tensor; 2]>::from_tensors(tensors).map(Into::into)
    }
    fn into_tensors(self) -> Vec<Tensor> {
        vec![self.0, self.1]
    }
}
impl Values for (Tensor, Tensor, Tensor) {
    const COUNT: Option<usize> = Some(3);
    fn from_tensors(tensors: Vec<Tensor>) -> Result<Self> {
        <[Tensor; 3]>::from_tensors(tensors).map(Into::into)
    }
    fn into_tensors(self) -> Vec<Tensor> {
        vec![self.0, self.1, self.2]
    }
}

/// What may be handed to a layer that takes `In`: the value itself, or references to tensors.
pub trait Feed<In> {
    /// The value.
    fn feed(self) -> In;
}
impl<T> Feed<T> for T {
    fn feed(self) -> T {
        self
    }
}
impl Feed<Tensor> for &Tensor {
    fn feed(self) -> Tensor {
        self.clone()
    }
}
impl Feed<(Tensor, Tensor)> for (&Tensor, &Tensor) {
    fn feed(self) -> (Tensor, Tensor) {
        (self.0.clone(), self.1.clone())
    }
}
impl<const N: usize> Feed<Vec<Tensor>> for [&Tensor; N] {
    fn feed(self) -> Vec<Tensor> {
        self.into_iter().cloned().collect()
    }
}

macro_rules! pointer {
    ($pointer:ident, $get_mut:expr) => {
        impl<L: Fields + ?Sized> Fields for $pointer<L> {
            fn class_name(&self) -> &'static str {
                (**self).class_name()
            }
            fn package(&self) -> Option<&'static str> {
                (**self).package()
            }
            fn visit<'a>(&'a self, visit: &mut dyn FnMut(Key, &'a dyn Field)) {
                (**self).visit(visit)
            }
            fn visit_mut(&mut self, visit: &mut dyn FnMut(Key, &mut dyn Field) -> Result<()>) -> Result<()> {
                let get: fn(&mut $pointer<L>) -> Option<&mut L> = $get_mut;
                match get(self) {
                    Some(layer) => layer.visit_mut(visit),
                    None => Err(Error::argument("a layer that is shared already cannot be read into")),
                }
            }
            fn weights_in(&self) -> Option<&'static str> {
                (**self).weights_in()
            }
            fn identity(&self) -> Id {
                (**self).identity()
            }
            fn config(&self) -> Result<Json> {
                (**self).config()
            }
            fn defaults(&self) -> Result<Json> {
                (**self).defaults()
            }
        }
        impl<L: Layer + ?Sized> Layer for $pointer<L> {
            type In = L::In;
            type Out = L::Out;
            fn forward(&self, x: L::In, cx: &mut Cx) -> Result<L::Out> {
                (**self).forward(x, cx)
            }
            fn autocast(&self) -> bool {
                (**self).autocast()
            }
        }
        impl<L: Layer + Field> Field for $pointer<L> {
            fn kind(&self) -> Kind<'_> {
                Kind::Layer(&**self)
            }
            fn write(&self) -> Result<Json> {
                (**self).write()
            }
            fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
                read_layer(self, json, reader)
            }
            fn blank() -> Self {
                $pointer::new(L::blank())
            }
        }
        impl Field for $pointer<dyn DynLayer> {
            fn kind(&self) -> Kind<'_> {
                Kind::Layer(self)
            }
            fn write(&self) -> Result<Json> {
                layer_to_json(&**self, None)
            }
            fn read(&mut self, json: &Json, reader: &mut Reader<'_>) -> Result<()> {
                *self = registry::layer_from_config(json, reader)?.into();
                Ok(())
            }
            fn blank() -> Self {
                $pointer::new(Unset)
            }
        }
    };
}
pointer!(Arc, Arc::get_mut);
pointer!(Box, |layer| Some(&mut **layer));

impl Layer for dyn DynLayer + '_ {
    type In = Vec<Tensor>;
    type Out = Vec<Tensor>;
    fn forward(&self, x: Vec<Tensor>, cx: &mut Cx) -> Result<Vec<Tensor>> {
        self.forward_dyn(x, cx)
    }
    fn autocast(&self) -> bool {
        self.autocast_dyn()
    }
}

/// Stands where a layer of any class will be read.
struct Unset;
impl Fields for Unset {
    fn class_name(&self) -> &'static str {
        "Unset"
    }
    fn package(&self) -> Option<&'static str> {
        Some("addax")
    }
    fn visit<'a>(&'a self, _: &mut dyn FnMut(Key, &'a dyn Field)) {}
    fn visit_mut(&mut self, _: &mut dyn FnMut(Key, &mut dyn Field) -> Result<()>) -> Result<()> {
        Ok(())
    }
}
impl Layer for Unset {
    type In = Vec<Tensor>;
    type Out = Vec<Tensor>;
    fn forward(&self, _: Vec<Tensor>, _: &mut Cx) -> Result<Vec<Tensor>> {
        Err(Error::argument("this layer was never read from its config"))
    }
}
