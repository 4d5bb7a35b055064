//! The builder of models that are one chain of layers.

use crate::{
    chain::{Chain, Input},
    model::Model,
    seed::Seed,
};
use addax_layers::{Cx, Field, Fields, Id, Json, Key, Layer, PolicyChoice};
use addax_tensor::{DType, Result, Shape, Tensor};
use std::{
    ops::{Deref, DerefMut},
    panic::Location,
    sync::{Arc, OnceLock},
};

/// A model whose layers come one after the other. It is a [`Model`] that layers can be added to.
///
/// ```
/// use addax::{layers::Dense, prelude::*};
/// let mut model = Sequential::new()
///     .input([4])
///     .add(Dense::new(8).activation("relu"))
///     .add(Dense::new(3).activation("softmax"));
/// model.compile(Compile::new("adam").loss("sparse_categorical_crossentropy").metric("accuracy"))?;
/// println!("{}", model.summary());
/// assert_eq!(model.count_params()?, 4 * 8 + 8 + 8 * 3 + 3);
/// # Ok::<(), addax::Error>(())
/// ```
///
/// A chain is also a layer: it can be added to another.
#[derive(Default)]
pub struct Sequential(Model);

impl Sequential {
    /// Without layers.
    pub fn new() -> Self {
        Self::default()
    }
    /// The shape of one sample, without the batch: `[28, 28, 1]`. Without it the shape comes from the first data, and
    /// mistakes are found only then.
    pub fn input(mut self, shape: impl Into<Shape>) -> Self {
        self.0.chain.input = OnceLock::from(Input::new(shape.into()));
        self
    }
    /// The type that layers get their input in; `float32` unless told otherwise. Integers in the data are cast to it, so
    /// images may stay `uint8` on the host.
    pub fn input_dtype(mut self, dtype: DType) -> Self {
        if let Some(input) = self.0.chain.input.get_mut() {
            input.dtype = dtype;
        }
        self
    }
    /// In which types the layers compute and keep weights that were not told themselves: `"mixed_float16"`, `"mixed_bfloat16"`, ….
    /// See [`set_dtype_policy`](crate::set_dtype_policy) for all models.
    ///
    /// ```
    /// use addax::{layers::Dense, prelude::*};
    /// let mut model = Sequential::new()
    ///     .dtype("mixed_float16")
    ///     .input([4])
    ///     .add(Dense::new(8).activation("relu"))
    ///     .add(Dense::new(3).activation("softmax").dtype("float32")); // probabilities in full
    /// model.compile(Compile::new("adam").loss("sparse_categorical_crossentropy"))?; // scales the loss by itself
    /// let y = model.predict(&data::Array::new([1, 4], &[1.0f32; 4])?)?;
    /// assert_eq!(y.dtype(), DType::F32);
    /// assert!(model.weights()?.iter().all(|(_, w)| w.dtype() == DType::F32));
    /// # Ok::<(), addax::Error>(())
    /// ```
    pub fn dtype(mut self, dtype: impl Into<PolicyChoice>) -> Self {
        self.0.chain.base.set_policy(dtype);
        self
    }
    /// Adds a layer. An `Arc` of a layer shares its weights with wherever else it is.
    ///
    /// Mistakes are reported by the first call that can fail (`compile`, `fit`, `predict`), with the line of this call.
    #[track_caller]
    #[expect(clippy::should_implement_trait, reason = "Keras' name; models are not summed")]
    pub fn add<L: Layer<In = Tensor, Out = Tensor> + 'static>(mut self, layer: L) -> Self {
        self.0.chain.push(Arc::new(layer), Some(Location::caller()));
        self
    }
    /// Names the model (default: `sequential`).
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.0.chain.base.set_name(name);
        self
    }
    /// The seed of the first weights of this model alone; see [`set_random_seed`](crate::set_random_seed) for all.
    pub fn seed(mut self, seed: u64) -> Self {
        self.0.seed = OnceLock::from(Seed::given(seed));
        self
    }
}

impl Deref for Sequential {
    type Target = Model;
    fn deref(&self) -> &Model {
        &self.0
    }
}
impl DerefMut for Sequential {
    fn deref_mut(&mut self) -> &mut Model {
        &mut self.0
    }
}
impl From<Sequential> for Model {
    fn from(sequential: Sequential) -> Model {
        sequential.0
    }
}

impl Fields for Sequential {
    fn class_name(&self) -> &'static str {
        self.0.chain.class_name()
    }
    fn package(&self) -> Option<&'static str> {
        self.0.chain.package()
    }
    fn visit<'a>(&'a self, visit: &mut dyn FnMut(Key, &'a dyn Field)) {
        self.0.chain.visit(visit);
    }
    fn visit_mut(&mut self, visit: &mut dyn FnMut(Key, &mut dyn Field) -> Result<()>) -> Result<()> {
        self.0.chain.visit_mut(visit)
    }
    fn identity(&self) -> Id {
        self.0.chain.identity()
    }
    fn config(&self) -> Result<Json> {
        self.0.chain.config()
    }
}
impl Layer for Sequential {
    type In = Tensor;
    type Out = Tensor;
    fn forward(&self, x: Tensor, cx: &mut Cx) -> Result<Tensor> {
        self.0.chain.forward(x, cx)
    }
    fn autocast(&self) -> bool {
        self.0.chain.autocast()
    }
}
/// What a model says of itself.
impl std::fmt::Debug for Sequential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Model>();
    shared::<Chain>();
};
