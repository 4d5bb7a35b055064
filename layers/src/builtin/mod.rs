//! Keras' own layers, one file each or a few that belong together.

mod activation;
mod batch_normalization;
mod conv2d;
mod dense;
mod dropout;
mod embedding;
mod global_pooling;
mod gru;
mod input;
mod layer_normalization;
mod lstm;
mod merging;
mod multi_head_attention;
mod normalization;
mod pooling2d;
mod recurrent;
mod rescaling;
mod reshaping;
mod simple_rnn;

pub use activation::{Activation, ELU, Identity, LeakyReLU, PReLU, ReLU, Softmax};
pub use batch_normalization::BatchNormalization;
pub use conv2d::Conv2D;
pub use dense::Dense;
pub use dropout::{Dropout, GaussianNoise};
pub use embedding::Embedding;
pub use global_pooling::{GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalMaxPooling1D, GlobalMaxPooling2D};
pub use gru::GRU;
pub use input::InputLayer;
pub use layer_normalization::{GroupNormalization, LayerNormalization, RMSNormalization, UnitNormalization};
pub use lstm::LSTM;
pub use merging::{Add, Average, Concatenate, Maximum, Minimum, Multiply, Subtract};
pub use multi_head_attention::MultiHeadAttention;
pub use normalization::{Normalization, Samples};
pub use pooling2d::{AveragePooling2D, MaxPooling2D};
pub use rescaling::Rescaling;
pub use reshaping::{Flatten, Permute, RepeatVector, Reshape};
pub use simple_rnn::SimpleRNN;

use crate::registry::Registry;
use addax_tensor::{Error, Result, Tensor};

/// The table of constructors.
pub(crate) fn register(registry: &mut Registry) {
    macro_rules! all {
        ($($layer:ty),* $(,)?) => { $(registry.register::<$layer>();)* };
    }
    all!(
        Activation,
        Add,
        Average,
        AveragePooling2D,
        BatchNormalization,
        Concatenate,
        Conv2D,
        Dense,
        Dropout,
        ELU,
        Embedding,
        Flatten,
        GRU,
        GaussianNoise,
        GlobalAveragePooling1D,
        GlobalAveragePooling2D,
        GlobalMaxPooling1D,
        GlobalMaxPooling2D,
        GroupNormalization,
        Identity,
        InputLayer,
        LSTM,
        LayerNormalization,
        LeakyReLU,
        MaxPooling2D,
        Maximum,
        Minimum,
        MultiHeadAttention,
        Multiply,
        Normalization,
        PReLU,
        Permute,
        RMSNormalization,
        ReLU,
        RepeatVector,
        Rescaling,
        Reshape,
        SimpleRNN,
        Softmax,
        Subtract,
        UnitNormalization,
    );
}

/// `x`, if it is a batch of images.
fn image(layer: &str, x: &Tensor) -> Result<Tensor> {
    match x.rank()? {
        4 => Ok(x.clone()),
        3 => Err(Error::shape(format!(
            "{layer} needs [batch, height, width, channels], got shape {}; add the missing axis with `Reshape`",
            x.shape()?
        ))),
        _ => Err(Error::shape(format!("{layer} needs [batch, height, width, channels], got shape {}", x.shape()?))),
    }
}
/// Builder methods that every layer with a `base` field has.
macro_rules! base_methods {
    ($layer:ident) => {
        impl $layer {
            /// Gives it a name; without one the model makes one of its class: `dense`, `dense_1`.
            pub fn named(mut self, name: impl Into<String>) -> Self {
                self.base.set_name(name);
                self
            }
            /// Whether training may change its weights.
            pub fn trainable(self, trainable: bool) -> Self {
                $crate::set_trainable(&self, trainable);
                self
            }
            /// In which types it computes and keeps weights, by Keras' names: `"float32"`, `"mixed_float16"`, …. A name that
            /// is none is told by the first call of the layer.
            pub fn dtype(mut self, dtype: impl Into<$crate::PolicyChoice>) -> Self {
                self.base.set_policy(dtype);
                self
            }
        }
    };
}
pub(crate) use base_methods;

/// Builder methods that set a field: `name: Type => Some` wraps it, `name: Type` takes it as it is.
macro_rules! setters {
    ($layer:ident { $($(#[$doc:meta])* $field:ident: $type:ty $(=> $wrap:ident)?),* $(,)? }) => {
        impl $layer {$(
            $(#[$doc])*
            pub fn $field(mut self, $field: impl Into<$type>) -> Self {
                self.$field = setters!(@wrap $($wrap)?, $field.into());
                self
            }
        )*}
    };
    (@wrap Some, $value:expr) => { Some($value) };
    (@wrap , $value:expr) => { $value };
}
pub(crate) use setters;
