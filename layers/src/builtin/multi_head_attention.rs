//! MultiHeadAttention.

use super::{
    base_methods,
    dropout::{check_rate, drop, dropout_mask},
    setters,
};
use crate::{
    Base, Constraint, Cx, Field, Fields, Id, Ignored, Initializer, Json, Key, Kind, Layer, Never, Reader, Regularizer,
    Weight,
};
use addax_tensor::{Error, Result, Shape, Tensor, ops::Attention};

/// Attention of several heads: `(query [b, t, n], value [b, s, m]) -> [b, t, n]`, with `key` as a third input where it differs
/// from `value`.
///
/// `softmax(q · kᵀ / √key_dim) · v` for each head, where `q`, `k` and `v` are dense projections of query, key and value to
/// `[b, heads, .., key_dim]`; the heads side by side go through one more projection, to the width of the query or `output_shape`.
///
/// The scores of long sequences never exist as a whole ([`Tensor::dot_product_attention`]), so that memory grows with the length
/// and not with its square; while training with `dropout` they do.
///
/// ```
/// use addax_layers::{Cx, MultiHeadAttention};
/// use addax_tensor::Tensor;
/// let (x, memory) = (Tensor::ones([2, 5, 8]), Tensor::ones([2, 3, 6]));
/// let y = Cx::inference().call(&MultiHeadAttention::new(2, 4), [&x, &memory])?;
/// assert_eq!(y.shape()?.dims(), [2, 5, 8]);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[derive(Fields)]
#[fields(keras, blank = MultiHeadAttention::new(0, 0))]
pub struct MultiHeadAttention {
    base: Base,
    #[fields(required)]
    num_heads: usize,
    #[fields(required)]
    key_dim: usize,
    value_dim: Option<usize>,
    dropout: f64,
    use_bias: bool,
    output_shape: Option<usize>,
    attention_axes: Never,
    sliding_window: Never,
    flash_attention: Ignored,
    kernel_initializer: Initializer,
    bias_initializer: Initializer,
    kernel_regularizer: Option<Regularizer>,
    bias_regularizer: Option<Regularizer>,
    activity_regularizer: Option<Regularizer>,
    kernel_constraint: Option<Constraint>,
    bias_constraint: Option<Constraint>,
    use_gate: Never,
    seed: Option<u64>,
    query_dense: Projection,
    key_dense: Projection,
    value_dense: Projection,
    output_dense: Projection,
}

impl MultiHeadAttention {
    /// With Keras' defaults: values as wide as keys, biases, no dropout.
    pub fn new(num_heads: usize, key_dim: usize) -> Self {
        MultiHeadAttention {
            base: Base::default(),
            num_heads,
            key_dim,
            value_dim: None,
            dropout: 0.0,
            use_bias: true,
            output_shape: None,
            attention_axes: Never,
            sliding_window: Never,
            flash_attention: Ignored,
            kernel_initializer: "glorot_uniform".into(),
            bias_initializer: Initializer::Zeros,
            kernel_regularizer: None,
            bias_regularizer: None,
            activity_regularizer: None,
            kernel_constraint: None,
            bias_constraint: None,
            use_gate: Never,
            seed: None,
            query_dense: Projection::named("query"),
            key_dense: Projection::named("key"),
            value_dense: Projection::named("value"),
            output_dense: Projection::named("attention_output"),
        }
    }
    /// Calls a projection whose kernel has this shape, `inputs` axes of which are contracted.
    fn project(
        &self,
        cx: &Cx,
        projection: &Projection,
        kernel: [usize; 3],
        inputs: usize,
        x: Tensor,
    ) -> Result<Tensor> {
        cx.call(&Projecting { projection, owner: self, kernel, inputs }, x)
    }
}
base_methods!(MultiHeadAttention);
setters!(MultiHeadAttention {
    /// Width of each head's values (default: that of its keys).
    value_dim: usize => Some,
    /// Fraction of the attention that is dropped while training.
    dropout: f64,
    /// Whether the projections have biases.
    use_bias: bool,
    /// Width of the output (default: that of the query).
    output_shape: usize => Some,
    /// First values of the kernels.
    kernel_initializer: Initializer,
    /// First values of the biases.
    bias_initializer: Initializer,
    /// Penalty on the kernels.
    kernel_regularizer: Regularizer => Some,
    /// Penalty on the biases.
    bias_regularizer: Regularizer => Some,
    /// Penalty on the output, divided by the batch.
    activity_regularizer: Regularizer => Some,
    /// What the kernels are held to.
    kernel_constraint: Constraint => Some,
    /// What the biases are held to.
    bias_constraint: Constraint => Some,
    /// A seed of its own for dropout.
    seed: u64 => Some,
});

impl Layer for MultiHeadAttention {
    type In = Vec<Tensor>;
    type Out = Tensor;

    fn forward(&self, inputs: Vec<Tensor>, cx: &mut Cx) -> Result<Tensor> {
        let (query, value, key) = match inputs.as_slice() {
            [query, value] => (query, value, value),
            [query, value, key] => (query, value, key),
            other => {
                return Err(Error::argument(format!(
                    "MultiHeadAttention takes (query, value) or (query, value, key), got {} inputs",
                    other.len()
                )));
            }
        };
        let (heads, width) = (self.num_heads, self.key_dim);
        if heads == 0 || width == 0 {
            return Err(Error::argument("MultiHeadAttention needs at least one head and one key_dim"));
        }
        check_rate(self.dropout)?;
        let features = |x: &Tensor| match x.shape()?.dims() {
            [_, _, features] => Ok(*features),
            _ => Err(Error::shape(format!(
                "MultiHeadAttention needs [batch, steps, features], got shape {}",
                x.shape()?
            ))),
        };
        let depth = self.value_dim.unwrap_or(width);
        let q = self.project(cx, &self.query_dense, [features(query)?, heads, width], 1, query.clone())?;
        let k = self.project(cx, &self.key_dense, [features(key)?, heads, width], 1, key.clone())?;
        let v = self.project(cx, &self.value_dense, [features(value)?, heads, depth], 1, value.clone())?;
        let how = Attention::default();
        let mixed = if cx.training() && self.dropout > 0.0 {
            // Random bits are counted within a tensor of all weights: what falls is drawn for all of them at once.
            let weights = q.attention_weights(&k, &how);
            let kept = drop(&weights, &dropout_mask(weights.shape()?, self.dropout, self.seed, cx));
            kept.matmul(&v.permute([0, 2, 1, 3])).permute([0, 2, 1, 3])
        } else {
            q.dot_product_attention(&k, &v, &how)
        };
        let out = self.output_shape.map_or_else(|| features(query), Ok)?;
        let y = self.project(cx, &self.output_dense, [heads, depth, out], 2, mixed)?;
        cx.regularize_activity(&y, &self.activity_regularizer)?;
        Ok(y)
    }
}

/// One of the four projections. What it is made of is said by the layer it belongs to, and saved with that.
struct Projection {
    base: Base,
    kernel: Weight,
    bias: Weight,
}

impl Projection {
    fn named(name: &str) -> Self {
        let mut base = Base::of_part();
        base.set_name(name);
        Projection { base, kernel: Weight::new(), bias: Weight::new() }
    }
    fn keys() -> [Key; 3] {
        ["base", "kernel", "bias"].map(|name| Key { name, required: false })
    }
}

impl Fields for Projection {
    fn class_name(&self) -> &'static str {
        "EinsumDense"
    }
    fn package(&self) -> Option<&'static str> {
        None
    }
    fn visit<'a>(&'a self, visit: &mut dyn FnMut(Key, &'a dyn Field)) {
        let [base, kernel, bias] = Self::keys();
        visit(base, &self.base);
        visit(kernel, &self.kernel);
        visit(bias, &self.bias);
    }
    fn visit_mut(&mut self, visit: &mut dyn FnMut(Key, &mut dyn Field) -> Result<()>) -> Result<()> {
        let [base, kernel, bias] = Self::keys();
        visit(base, &mut self.base)?;
        visit(kernel, &mut self.kernel)?;
        visit(bias, &mut self.bias)
    }
}

impl Field for Projection {
    fn kind(&self) -> Kind<'_> {
        Kind::Layer(self)
    }
    fn write(&self) -> Result<Json> {
        Ok(Json::Null)
    }
    fn read(&mut self, _: &Json, _: &mut Reader<'_>) -> Result<()> {
        Ok(())
    }
    fn blank() -> Self {
        Projection { base: Base::of_part(), kernel: Weight::new(), bias: Weight::new() }
    }
}

/// A projection with what it must know for a call.
struct Projecting<'a> {
    projection: &'a Projection,
    owner: &'a MultiHeadAttention,
    kernel: [usize; 3],
    /// Axes of the kernel that are contracted with the last axes of the input.
    inputs: usize,
}

impl Fields for Projecting<'_> {
    fn class_name(&self) -> &'static str {
        self.projection.class_name()
    }
    fn package(&self) -> Option<&'static str> {
        None
    }
    fn visit<'a>(&'a self, visit: &mut dyn FnMut(Key, &'a dyn Field)) {
        self.projection.visit(visit);
    }
    fn visit_mut(&mut self, _: &mut dyn FnMut(Key, &mut dyn Field) -> Result<()>) -> Result<()> {
        Err(Error::argument("a projection that is being called cannot be read into"))
    }
    fn identity(&self) -> Id {
        self.projection.identity()
    }
}

impl Layer for Projecting<'_> {
    type In = Tensor;
    type Out = Tensor;

    fn forward(&self, x: Tensor, cx: &mut Cx) -> Result<Tensor> {
        let (Projection { kernel, bias, .. }, owner) = (self.projection, self.owner);
        let (contracted, kept) = self.kernel.split_at(self.inputs);
        let w = cx.weight(kernel, self.kernel, &owner.kernel_initializer)?;
        cx.regularize(kernel, &owner.kernel_regularizer)?;
        cx.constrain(kernel, &owner.kernel_constraint)?;
        let shape = x.shape()?.clone();
        let steps = shape.dims().get(..2).unwrap_or_default();
        let [from, to] = [contracted, kept].map(|axes| axes.iter().product::<usize>());
        // One product over all rows and heads.
        let mut y = x.reshape([steps.iter().product(), from]).matmul(&w.reshape([from, to]));
        if owner.use_bias {
            y = y + cx.weight(bias, kept.iter().copied().collect::<Shape>(), &owner.bias_initializer)?.reshape([to]);
            cx.regularize(bias, &owner.bias_regularizer)?;
            cx.constrain(bias, &owner.bias_constraint)?;
        }
        Ok(y.reshape(steps.iter().chain(kept).copied().collect::<Shape>()))
    }
}
