//! Pooling over all positions.

use super::{base_methods, setters};
use crate::{Base, Cx, DataFormat, Fields, Layer};
use addax_tensor::{Error, Result, Tensor};

macro_rules! global {
    ($(#[$doc:meta])* $layer:ident, $rank:literal, $keep:ident) => {
        $(#[$doc])*
        #[derive(Fields)]
        #[fields(keras, blank = $layer::new())]
        pub struct $layer {
            base: Base,
            data_format: DataFormat,
            keepdims: bool,
        }
        impl Default for $layer {
            fn default() -> Self {
                $layer::new()
            }
        }
        impl $layer {
            /// Positions vanish.
            pub fn new() -> Self {
                $layer { base: Base::default(), data_format: DataFormat::ChannelsLast, keepdims: false }
            }
        }
        base_methods!($layer);
        setters!($layer {
            /// `"channels_last"` or `"channels_first"`.
            data_format: DataFormat,
            /// Whether the positions stay as axes of length 1.
            keepdims: bool,
        });
        impl Layer for $layer {
            type In = Tensor;
            type Out = Tensor;
            fn forward(&self, x: Tensor, _: &mut Cx) -> Result<Tensor> {
                let x = self.data_format.to_last(&x)?;
                let shape = x.shape()?.clone();
                let &[n, .., channels] = shape.dims() else {
                    return Err(Error::shape(format!("expected {} axes, got shape {shape}", $rank)));
                };
                if shape.rank() != $rank {
                    return Err(Error::shape(format!("expected {} axes, got shape {shape}", $rank)));
                }
                let positions: Vec<isize> = (1..$rank - 1).collect();
                let y = x.$keep(positions);
                match self.keepdims {
                    true => self.data_format.from_last(&y),
                    false => Ok(y.reshape([n, channels])),
                }
            }
        }
    };
}
global! {
    /// Mean over height and width: `[n, h, w, c] -> [n, c]`.
    ///
    /// ```
    /// use addax_layers::{Cx, GlobalAveragePooling2D};
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1.0f32, 4.0, 3.0, 2.0], [1, 2, 2, 1]);
    /// assert_eq!(Cx::inference().call(&GlobalAveragePooling2D::new(), x)?.to_vec::<f32>()?, vec![2.5]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    GlobalAveragePooling2D, 4, mean_keepdims
}
global! {
    /// Largest over height and width: `[n, h, w, c] -> [n, c]`.
    GlobalMaxPooling2D, 4, max_keepdims
}
global! {
    /// Mean over time: `[n, t, c] -> [n, c]`.
    GlobalAveragePooling1D, 3, mean_keepdims
}
global! {
    /// Largest over time: `[n, t, c] -> [n, c]`.
    GlobalMaxPooling1D, 3, max_keepdims
}
