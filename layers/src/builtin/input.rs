//! InputLayer: what a model expects.

use crate::{Cx, Fields, Ignored, Layer, Never, Result};
use addax_tensor::{DType, Error, Tensor};

/// Shape and type of an input, without any computation. Unknown axes, such as the batch, are `None`.
///
/// ```
/// use addax_layers::InputLayer;
/// let input = InputLayer::new([28, 28, 1]).dtype("uint8");
/// assert_eq!(input.shape_for(32), [32, 28, 28, 1]);
/// ```
#[derive(Clone, Debug, Fields)]
#[fields(keras, blank = InputLayer::new([]))]
pub struct InputLayer {
    name: Option<String>,
    #[fields(required)]
    batch_shape: Vec<Option<usize>>,
    #[fields(required)]
    dtype: String,
    sparse: Never,
    ragged: Never,
    optional: Never,
    trainable: Ignored,
}

impl InputLayer {
    /// Samples of this shape, `float32`.
    pub fn new(shape: impl AsRef<[usize]>) -> Self {
        let axes = std::iter::once(None).chain(shape.as_ref().iter().copied().map(Some));
        InputLayer {
            name: None,
            batch_shape: axes.collect(),
            dtype: DType::F32.name().into(),
            sparse: Never,
            ragged: Never,
            optional: Never,
            trainable: Ignored,
        }
    }
    /// The whole shape, batch and all.
    pub fn with_batch_shape(mut self, shape: impl Into<Vec<Option<usize>>>) -> Self {
        self.batch_shape = shape.into();
        self
    }
    /// Type of the values: Keras' names, also `string`, `int64` and `float64`.
    pub fn dtype(mut self, dtype: impl Into<String>) -> Self {
        self.dtype = dtype.into();
        self
    }
    /// Gives it a name.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
    /// Its name, if given.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
    /// The shape with the batch; `None` where any length may come.
    pub fn batch_shape(&self) -> &[Option<usize>] {
        &self.batch_shape
    }
    /// The shape with this length for every unknown axis.
    pub fn shape_for(&self, unknown: usize) -> Vec<usize> {
        self.batch_shape.iter().map(|axis| axis.unwrap_or(unknown)).collect()
    }
    /// Keras' name of the type.
    pub fn dtype_name(&self) -> &str {
        &self.dtype
    }
    /// The type on the device. 64-bit types enter as 32-bit ones; strings stay on the host and are an error here.
    pub fn device_dtype(&self) -> Result<DType> {
        match self.dtype.as_str() {
            "float64" => Ok(DType::F32),
            "int64" | "int16" | "int8" => Ok(DType::I32),
            "string" => {
                Err(Error::dtype("strings have no place on a device; look them up with a layer for text first"))
            }
            name => DType::parse(name),
        }
    }
    /// Fails unless a tensor fits.
    pub fn check(&self, x: &Tensor) -> Result<()> {
        let shape = x.shape()?;
        let fits = shape.rank() == self.batch_shape.len()
            && shape.iter().zip(&self.batch_shape).all(|(n, wanted)| wanted.is_none_or(|w| w == *n));
        match fits {
            true => Ok(()),
            false => {
                let wanted: Vec<_> =
                    self.batch_shape.iter().map(|axis| axis.map_or("any".into(), |n| n.to_string())).collect();
                Err(Error::shape(format!("expected shape [{}], got {shape}", wanted.join(", "))))
            }
        }
    }
}

impl Layer for InputLayer {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, _: &mut Cx) -> Result<Tensor> {
        self.check(&x)?;
        Ok(x)
    }
}
