//! MaxPooling2D and AveragePooling2D.

use super::{base_methods, setters};
use crate::{Base, Cx, DataFormat, Fields, Layer, Padding, Pair};
use addax_tensor::{Error, Result, Tensor, graph::Pool2d};

/// The geometry for an image `x`, channels last.
fn geometry(x: &Tensor, size: Pair, strides: Option<Pair>, padding: &Padding) -> Result<Pool2d> {
    let [_, h, w, _] = x.dims()?;
    let (Pair(window), Pair(strides)) = (size, strides.unwrap_or(size));
    if window.contains(&0) || strides.contains(&0) {
        return Err(Error::argument(format!("pool_size and strides are at least 1, got {window:?} and {strides:?}")));
    }
    let pads = [padding.cells(h, window[0], strides[0])?, padding.cells(w, window[1], strides[1])?];
    Ok(Pool2d { window, strides, pads })
}

macro_rules! pooling {
    ($(#[$doc:meta])* $layer:ident, $method:ident) => {
        $(#[$doc])*
        #[derive(Fields)]
        #[fields(keras, blank = $layer::new(2))]
        pub struct $layer {
            base: Base,
            #[fields(required)]
            pool_size: Pair,
            strides: Option<Pair>,
            padding: Padding,
            data_format: DataFormat,
        }
        impl $layer {
            /// A window of this size that moves by its size.
            pub fn new(pool_size: impl Into<Pair>) -> Self {
                $layer {
                    base: Base::default(),
                    pool_size: pool_size.into(),
                    strides: None,
                    padding: Padding::Valid,
                    data_format: DataFormat::ChannelsLast,
                }
            }
        }
        base_methods!($layer);
        setters!($layer {
            /// Steps of the window; without them, its size.
            strides: Pair => Some,
            /// `"valid"` or `"same"`.
            padding: Padding,
            /// `"channels_last"` or `"channels_first"`.
            data_format: DataFormat,
        });
        impl Layer for $layer {
            type In = Tensor;
            type Out = Tensor;
            fn forward(&self, x: Tensor, _: &mut Cx) -> Result<Tensor> {
                let x = super::image(stringify!($layer), &self.data_format.to_last(&x)?)?;
                let y = x.$method(geometry(&x, self.pool_size, self.strides, &self.padding)?);
                y.check()?;
                self.data_format.from_last(&y)
            }
        }
    };
}
pooling! {
    /// Largest of each window: `[n, h, w, c] -> [n, oh, ow, c]`.
    ///
    /// ```
    /// use addax_layers::{Cx, MaxPooling2D};
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([1.0f32, 4.0, 3.0, 2.0], [1, 2, 2, 1]);
    /// assert_eq!(Cx::inference().call(&MaxPooling2D::new(2), x)?.to_vec::<f32>()?, vec![4.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    MaxPooling2D, max_pool2d
}
pooling! {
    /// Mean of each window, padding not counted: `[n, h, w, c] -> [n, oh, ow, c]`.
    AveragePooling2D, avg_pool2d
}
