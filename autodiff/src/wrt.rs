//! What gradients are taken with respect to.

use addax_tensor::{Error, Result, Tensor, Variable};

/// Something a gradient can be taken with respect to: a tensor (any node that the loss was recorded from), or a variable.
///
/// A variable means the snapshot that [`Variable::value`] gives now: the loss must have been recorded from it.
pub trait Wrt {
    /// The node whose gradient is meant.
    fn tensor(&self) -> Tensor;
    /// How to name it to people.
    fn describe(&self) -> String;
}

impl Wrt for Tensor {
    fn tensor(&self) -> Tensor {
        self.clone()
    }
    fn describe(&self) -> String {
        let at = self.origin();
        match self.meta() {
            Ok(meta) => format!("the {} tensor of shape {} from {}:{}", meta.dtype, meta.shape, at.file(), at.line()),
            Err(error) => format!("a tensor that holds an error ({error})"),
        }
    }
}

impl Wrt for Variable {
    fn tensor(&self) -> Tensor {
        self.value()
    }
    fn describe(&self) -> String {
        match self.name() {
            unnamed if unnamed.is_empty() => format!("the variable behind {}", self.value().describe()),
            name => format!("variable \"{name}\" (as it is now)"),
        }
    }
}

impl<W: Wrt + ?Sized> Wrt for &W {
    fn tensor(&self) -> Tensor {
        (**self).tensor()
    }
    fn describe(&self) -> String {
        (**self).describe()
    }
}

/// Several things to differentiate with respect to: `[&w, &b]` gives `[Tensor; 2]`, a slice or `Vec` gives `Vec<Tensor>`.
///
/// Tensors and variables mix as `[&w as &dyn Wrt, &x]`.
pub trait WrtList {
    /// One gradient each, in the same order.
    type Gradients: AsRef<[Tensor]>;
    /// The things, in order.
    fn each(&self) -> impl Iterator<Item = &dyn Wrt>;
    /// Packs one gradient each.
    fn pack(&self, gradients: Vec<Tensor>) -> Result<Self::Gradients>;
}

fn fixed<const N: usize>(gradients: Vec<Tensor>) -> Result<[Tensor; N]> {
    <[Tensor; N]>::try_from(gradients)
        .map_err(|g| Error::argument(format!("expected one gradient for each of {N} inputs, got {}", g.len())))
}

impl<W: Wrt, const N: usize> WrtList for [W; N] {
    type Gradients = [Tensor; N];
    fn each(&self) -> impl Iterator<Item = &dyn Wrt> {
        self.iter().map(|w| w as &dyn Wrt)
    }
    fn pack(&self, gradients: Vec<Tensor>) -> Result<[Tensor; N]> {
        fixed(gradients)
    }
}

impl<W: Wrt, const N: usize> WrtList for &[W; N] {
    type Gradients = [Tensor; N];
    fn each(&self) -> impl Iterator<Item = &dyn Wrt> {
        self.iter().map(|w| w as &dyn Wrt)
    }
    fn pack(&self, gradients: Vec<Tensor>) -> Result<[Tensor; N]> {
        fixed(gradients)
    }
}

impl<W: Wrt> WrtList for &[W] {
    type Gradients = Vec<Tensor>;
    fn each(&self) -> impl Iterator<Item = &dyn Wrt> {
        self.iter().map(|w| w as &dyn Wrt)
    }
    fn pack(&self, gradients: Vec<Tensor>) -> Result<Vec<Tensor>> {
        Ok(gradients)
    }
}

impl<W: Wrt> WrtList for Vec<W> {
    type Gradients = Vec<Tensor>;
    fn each(&self) -> impl Iterator<Item = &dyn Wrt> {
        self.iter().map(|w| w as &dyn Wrt)
    }
    fn pack(&self, gradients: Vec<Tensor>) -> Result<Vec<Tensor>> {
        Ok(gradients)
    }
}

impl<W: Wrt> WrtList for &Vec<W> {
    type Gradients = Vec<Tensor>;
    fn each(&self) -> impl Iterator<Item = &dyn Wrt> {
        self.iter().map(|w| w as &dyn Wrt)
    }
    fn pack(&self, gradients: Vec<Tensor>) -> Result<Vec<Tensor>> {
        Ok(gradients)
    }
}
