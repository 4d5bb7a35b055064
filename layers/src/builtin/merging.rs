//! Layers that make one tensor of several.

use super::{base_methods, setters};
use crate::{Base, Cx, Fields, Layer};
use addax_tensor::{Error, Result, Tensor};

macro_rules! merging {
    ($($(#[$doc:meta])* $layer:ident: |$first:ident, $next:ident, $count:ident| $pair:expr, $finish:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Fields, Default)]
        #[fields(keras, blank = $layer::new())]
        pub struct $layer {
            base: Base,
        }
        impl $layer {
            /// Of any number of inputs.
            pub fn new() -> Self {
                $layer::default()
            }
        }
        base_methods!($layer);
        impl Layer for $layer {
            type In = Vec<Tensor>;
            type Out = Tensor;
            fn forward(&self, inputs: Vec<Tensor>, _: &mut Cx) -> Result<Tensor> {
                let $count = inputs.len();
                let merged = inputs.into_iter().reduce(|$first, $next| $pair);
                let $first = merged.ok_or_else(|| Error::argument("expected at least one input"))?;
                Ok($finish)
            }
        }
    )*};
}
merging! {
    /// The sum of all inputs, which broadcast.
    ///
    /// ```
    /// use addax_layers::{Add, Cx};
    /// use addax_tensor::Tensor;
    /// let (a, b) = (Tensor::ones([2]), Tensor::ones([2]));
    /// assert_eq!(Cx::inference().call(&Add::new(), [&a, &b])?.to_vec::<f32>()?, vec![2.0, 2.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    Add: |a, b, count| a + b, { let _ = count; a };
    /// The product of all inputs, which broadcast.
    Multiply: |a, b, count| a * b, { let _ = count; a };
    /// The mean of all inputs, which broadcast.
    Average: |a, b, count| a + b, a * (1.0 / count as f64);
    /// The largest of all inputs, which broadcast.
    Maximum: |a, b, count| a.maximum(b), { let _ = count; a };
    /// The smallest of all inputs, which broadcast.
    Minimum: |a, b, count| a.minimum(b), { let _ = count; a };
}

/// The first input less the second.
#[derive(Fields, Default)]
#[fields(keras, blank = Subtract::new())]
pub struct Subtract {
    base: Base,
}

impl Subtract {
    /// Of two inputs.
    pub fn new() -> Self {
        Subtract::default()
    }
}
base_methods!(Subtract);

impl Layer for Subtract {
    type In = (Tensor, Tensor);
    type Out = Tensor;
    fn forward(&self, (a, b): (Tensor, Tensor), _: &mut Cx) -> Result<Tensor> {
        Ok(a - b)
    }
}

/// The inputs one after the other along `axis`.
#[derive(Fields)]
#[fields(keras, blank = Concatenate::new())]
pub struct Concatenate {
    base: Base,
    axis: isize,
}

impl Default for Concatenate {
    fn default() -> Self {
        Concatenate::new()
    }
}

impl Concatenate {
    /// Along the last axis.
    pub fn new() -> Self {
        Concatenate { base: Base::default(), axis: -1 }
    }
}
base_methods!(Concatenate);
setters!(Concatenate {
    /// The axis, counted with the batch as 0.
    axis: isize,
});

impl Layer for Concatenate {
    type In = Vec<Tensor>;
    type Out = Tensor;
    fn forward(&self, inputs: Vec<Tensor>, _: &mut Cx) -> Result<Tensor> {
        Ok(Tensor::concat(&inputs, self.axis))
    }
}
