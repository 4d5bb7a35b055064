//! Rescaling.

use super::{base_methods, setters};
use crate::{Base, Cx, Fields, Layer, Numbers};
use addax_tensor::{Result, Tensor};

/// `x · scale + offset` in floats, whatever type comes: images may stay bytes until here. The shape stays.
///
/// ```
/// use addax_layers::{Cx, Rescaling};
/// use addax_tensor::Tensor;
/// let bytes = Tensor::from_vec([0u8, 255], [1, 2]);
/// let y = Cx::inference().call(&Rescaling::new(1.0 / 255.0), bytes)?;
/// assert_eq!(y.to_vec::<f32>()?, vec![0.0, 1.0]);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[derive(Fields)]
#[fields(keras, blank = Rescaling::new(1.0))]
pub struct Rescaling {
    base: Base,
    #[fields(required)]
    scale: Numbers,
    offset: Numbers,
}

impl Rescaling {
    /// Times `scale`: a number, or one per channel.
    pub fn new(scale: impl Into<Numbers>) -> Self {
        Rescaling { base: Base::default(), scale: scale.into(), offset: 0.0.into() }
    }
}
base_methods!(Rescaling);
setters!(Rescaling {
    /// Added after scaling: a number, or one per channel.
    offset: Numbers,
});

impl Layer for Rescaling {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, cx: &mut Cx) -> Result<Tensor> {
        let compute = cx.policy().compute;
        let y = x.cast(compute) * self.scale.operand();
        let y = if self.offset.values() == [0.0] { y } else { y + self.offset.operand() };
        Ok(y.cast(compute))
    }
}
