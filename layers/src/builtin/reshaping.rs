//! Layers that only see the same values under other indices.

use super::{base_methods, setters};
use crate::{Base, Cx, DataFormat, Fields, Layer};
use addax_tensor::{Error, Result, Tensor};

/// All axes but the batch in one: `[n, a, b, ..] -> [n, a · b · ..]`; `[n] -> [n, 1]`.
#[derive(Fields, Default)]
#[fields(keras, blank = Flatten::new())]
pub struct Flatten {
    base: Base,
    data_format: DataFormat,
}

impl Flatten {
    /// Channels last.
    pub fn new() -> Self {
        Flatten::default()
    }
}
base_methods!(Flatten);
setters!(Flatten {
    /// With `"channels_first"` channels are moved behind the positions first, so that weights fit either format.
    data_format: DataFormat,
});

impl Layer for Flatten {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, _: &mut Cx) -> Result<Tensor> {
        let x = self.data_format.to_last(&x)?;
        let shape = x.shape()?;
        let &[n, ref rest @ ..] = shape.dims() else {
            return Err(Error::shape("Flatten needs a batch axis, got a scalar"));
        };
        Ok(x.reshape([n, rest.iter().product()]))
    }
}

/// Another shape for each sample; one length may be -1 and is found from the others: `[n, ..] -> [n, target..]`.
///
/// ```
/// use addax_layers::{Cx, Reshape};
/// use addax_tensor::Tensor;
/// let y = Cx::inference().call(&Reshape::new([-1, 3]), Tensor::ones([2, 4, 6]))?;
/// assert_eq!(y.shape()?.dims(), [2, 8, 3]);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[derive(Fields)]
#[fields(keras, blank = Reshape::new([]))]
pub struct Reshape {
    base: Base,
    #[fields(required)]
    target_shape: Vec<isize>,
}

impl Reshape {
    /// To this shape, without the batch.
    pub fn new(target_shape: impl AsRef<[isize]>) -> Self {
        Reshape { base: Base::default(), target_shape: target_shape.as_ref().to_vec() }
    }
}
base_methods!(Reshape);

impl Layer for Reshape {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, _: &mut Cx) -> Result<Tensor> {
        let shape = x.shape()?;
        let &[n, ref rest @ ..] = shape.dims() else {
            return Err(Error::shape("Reshape needs a batch axis, got a scalar"));
        };
        let elements: usize = rest.iter().product();
        let known: usize = self.target_shape.iter().filter_map(|&d| usize::try_from(d).ok()).product();
        let open = self.target_shape.iter().filter(|&&d| d < 0).count();
        let fits = match open {
            0 => known == elements,
            1 => known > 0 && elements.is_multiple_of(known),
            _ => false,
        };
        if !fits || self.target_shape.iter().any(|&d| d < -1) {
            return Err(Error::shape(format!(
                "samples of shape {rest:?} ({elements} values) do not fit target_shape {:?}",
                self.target_shape
            )));
        }
        let axis = |&d: &isize| usize::try_from(d).unwrap_or(elements / known.max(1));
        Ok(x.reshape(std::iter::once(n).chain(self.target_shape.iter().map(axis)).collect::<Vec<_>>()))
    }
}

/// The axes of each sample in another order, counted from 1: `Permute::new([2, 1])` swaps them.
#[derive(Fields)]
#[fields(keras, blank = Permute::new([]))]
pub struct Permute {
    base: Base,
    #[fields(required)]
    dims: Vec<usize>,
}

impl Permute {
    /// Output axis `i` is input axis `dims[i]`, both counted from 1.
    pub fn new(dims: impl AsRef<[usize]>) -> Self {
        Permute { base: Base::default(), dims: dims.as_ref().to_vec() }
    }
}
base_methods!(Permute);

impl Layer for Permute {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, _: &mut Cx) -> Result<Tensor> {
        Ok(x.permute(std::iter::once(0).chain(self.dims.iter().map(|&d| d as isize)).collect::<Vec<_>>()))
    }
}

/// Each sample `n` times along a new axis: `[b, f] -> [b, n, f]`.
#[derive(Fields)]
#[fields(keras, blank = RepeatVector::new(1))]
pub struct RepeatVector {
    base: Base,
    #[fields(required)]
    n: usize,
}

impl RepeatVector {
    /// This many times.
    pub fn new(n: usize) -> Self {
        RepeatVector { base: Base::default(), n }
    }
}
base_methods!(RepeatVector);

impl Layer for RepeatVector {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, _: &mut Cx) -> Result<Tensor> {
        let [b, f] = x.dims()?;
        Ok(x.expand_dims(1).broadcast_to([b, self.n, f]))
    }
}
