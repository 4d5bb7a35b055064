//! Embedding.

use super::{base_methods, setters};
use crate::{Base, Constraint, Cx, Fields, Initializer, Layer, Never, Regularizer, Weight};
use addax_tensor::{DType, Error, Result, Tensor};

/// A learned vector per id: ids `[..]` give `[.., output_dim]`. An id that is not below `input_dim` gives zeros.
///
/// ```
/// use addax_layers::{Cx, Embedding};
/// use addax_tensor::Tensor;
/// let words = Embedding::new(1000, 8);
/// let y = Cx::inference().call(&words, Tensor::from_vec([3i32, 7, 3], [1, 3]))?;
/// assert_eq!(y.shape()?.dims(), [1, 3, 8]);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[derive(Fields)]
#[fields(keras, blank = Embedding::new(0, 0))]
pub struct Embedding {
    base: Base,
    #[fields(required)]
    input_dim: usize,
    #[fields(required)]
    output_dim: usize,
    embeddings_initializer: Initializer,
    embeddings_regularizer: Option<Regularizer>,
    embeddings_constraint: Option<Constraint>,
    activity_regularizer: Option<Regularizer>,
    mask_zero: Never,
    embeddings: Weight,
}

impl Embedding {
    /// `input_dim` vectors of length `output_dim`, drawn uniformly within ±0.05.
    pub fn new(input_dim: usize, output_dim: usize) -> Self {
        Embedding {
            base: Base::default(),
            input_dim,
            output_dim,
            embeddings_initializer: "uniform".into(),
            embeddings_regularizer: None,
            embeddings_constraint: None,
            activity_regularizer: None,
            mask_zero: Never,
            embeddings: Weight::new(),
        }
    }
}
base_methods!(Embedding);
setters!(Embedding {
    /// First values of the vectors `[input_dim, output_dim]`.
    embeddings_initializer: Initializer,
    /// Penalty on the vectors.
    embeddings_regularizer: Regularizer => Some,
    /// What the vectors are held to.
    embeddings_constraint: Constraint => Some,
    /// Penalty on the output, divided by the batch.
    activity_regularizer: Regularizer => Some,
});

impl Layer for Embedding {
    type In = Tensor;
    type Out = Tensor;
    /// Half floats cannot tell large ids apart.
    fn autocast(&self) -> bool {
        false
    }
    fn forward(&self, x: Tensor, cx: &mut Cx) -> Result<Tensor> {
        if self.input_dim == 0 || self.output_dim == 0 {
            return Err(Error::argument("input_dim and output_dim are at least 1"));
        }
        let table = cx.parameter(
            &self.embeddings,
            [self.input_dim, self.output_dim],
            &self.embeddings_initializer,
            &self.embeddings_regularizer,
            &self.embeddings_constraint,
        )?;
        // Ids that come as floats, as data frames give them, are meant as whole numbers.
        let y = table.gather(&x.cast(DType::I32), 0);
        cx.regularize_activity(&y, &self.activity_regularizer)?;
        Ok(y)
    }
}
