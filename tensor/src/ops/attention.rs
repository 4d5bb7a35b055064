//! Attention: a weighted mean of values, for each query.
//!
//! The matrix of all scores is as long as the queries times as long as the keys. Where it would be large, it never exists: a
//! loop goes over blocks of queries, and its gradient computes the scores of a block again.

use super::record;
use crate::{
    dtype::{DType, Scalar},
    error::{Error, Result},
    graph::{Body, MatMul, Meta, ScanSpec, Tensor},
    shape::Shape,
};
use std::panic::Location;

/// How queries attend to keys; see [`Tensor::dot_product_attention`].
#[derive(Clone, Debug, Default)]
pub struct Attention {
    /// Added to the scores: a float that broadcasts to `[batch, heads, queries, keys]`.
    pub bias: Option<Tensor>,
    /// True where a query may attend: truth values that broadcast to `[batch, heads, queries, keys]`.
    pub mask: Option<Tensor>,
    /// What the products are multiplied by; `1 / √width` if not said.
    pub scale: Option<f64>,
    /// Whether query `i` attends to the keys up to number `i` only.
    pub is_causal: bool,
    /// At most how many queries are computed at a time. If not said, all of them where their scores take less than
    /// [`Attention::LARGE`] bytes or there are fewer than [`Attention::LONG`] keys, else blocks whose scores take about
    /// [`Attention::BLOCK`] bytes. The four numbers were measured: `docs/benchmarks.md`.
    pub block: Option<usize>,
}

impl Attention {
    /// Bytes of scores from which on they are computed block by block.
    pub const LARGE: u64 = 16 << 20;
    /// Keys from which on that is so: scores of fewer are about as large as what they are made of, and blocks would be slower.
    pub const LONG: usize = 256;
    /// Bytes of scores that a block aims at.
    pub const BLOCK: u64 = 4 << 20;
    /// The least number of queries in a block that is chosen by bytes: with fewer, products are slow.
    const ROWS: usize = 64;
}

impl Tensor {
    /// `softmax(scale · q·kᵀ + bias, where masked) · v` for each head: queries `[b, t, h, d]` (self), keys `[b, s, h, d]` and
    /// values `[b, s, h, dv]` give `[b, t, h, dv]`. Keys and values may have fewer heads, of which each then serves as many
    /// neighbouring heads of the queries. A query that may attend to nothing takes the mean of all values. The meaning is that of
    /// `keras.ops.dot_product_attention`, save that softmax is computed in the type of the operands.
    ///
    /// Where the scores `[b, h, t, s]` would be large (see [`Attention::block`]), they never exist as a whole, in no gradient either.
    ///
    /// ```
    /// use addax_tensor::{Tensor, ops::Attention};
    /// // Two queries, three keys, one head of width 1; the second query sees two keys.
    /// let q = Tensor::from_vec([0.0f32, 0.0], [1, 2, 1, 1]);
    /// let k = Tensor::ones([1, 3, 1, 1]);
    /// let v = Tensor::from_vec([3.0f32, 6.0, 9.0], [1, 3, 1, 1]);
    /// let causal = Attention { is_causal: true, ..Attention::default() };
    /// assert_eq!(q.dot_product_attention(&k, &v, &Attention::default()).to_vec::<f32>()?, vec![6.0, 6.0]);
    /// assert_eq!(q.dot_product_attention(&k, &v, &causal).to_vec::<f32>()?, vec![3.0, 4.5]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn dot_product_attention(&self, key: &Tensor, value: &Tensor, how: &Attention) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let sizes = Sizes::new(self, key, Some(value))?;
            let operands = Operands::new(self, key, how, &sizes)?;
            let value = per_head(value, sizes.heads)?.permute([0, 2, 1, 3]);
            match sizes.block(how, operands.query.dtype()?) {
                block if block < sizes.queries => operands.by_blocks(&value, &sizes, block),
                _ => Ok(operands.weights(&sizes).matmul(&value).permute([0, 2, 1, 3])),
            }
        })
    }

    /// The weights that [`Tensor::dot_product_attention`] gives the values: queries `[b, t, h, d]` (self) and keys `[b, s, h, d]`
    /// give `[b, h, t, s]`, all at once.
    #[track_caller]
    pub fn attention_weights(&self, key: &Tensor, how: &Attention) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let sizes = Sizes::new(self, key, None)?;
            Ok(Operands::new(self, key, how, &sizes)?.weights(&sizes))
        })
    }
}

/// The lengths of the axes.
struct Sizes {
    batch: usize,
    heads: usize,
    queries: usize,
    keys: usize,
    width: usize,
}

impl Sizes {
    fn new(query: &Tensor, key: &Tensor, value: Option<&Tensor>) -> Result<Sizes> {
        let (q, k) = (query.shape()?, key.shape()?);
        let v = value.map_or(Ok(k), Tensor::shape)?;
        let wrong = || {
            Error::shape(format!(
                "attention needs queries [b, t, h, d], keys [b, s, h, d] and values [b, s, h, dv], got {q}, {k} and {v}"
            ))
        };
        let (&[batch, queries, heads, width], &[b, keys, few, d]) = (q.dims(), k.dims()) else { return Err(wrong()) };
        let &[vb, values, vh, _] = v.dims() else { return Err(wrong()) };
        if (b, d) != (batch, width) || (vb, values, vh) != (batch, keys, few) || few == 0 || heads % few != 0 {
            return Err(wrong());
        }
        Ok(Sizes { batch, heads, queries, keys, width })
    }

    /// `[b, h, t, s]`.
    fn scores(&self) -> [usize; 4] {
        [self.batch, self.heads, self.queries, self.keys]
    }

    /// How many queries are computed at a time.
    fn block(&self, how: &Attention, dtype: DType) -> usize {
        let row = Meta::new(dtype, [self.batch, self.heads, self.keys]).bytes();
        let whole = row.saturating_mul(self.queries as u64);
        let rows = match how.block {
            Some(rows) => rows.max(1),
            None if whole < Attention::LARGE || self.keys < Attention::LONG => self.queries,
            None => usize::try_from(Attention::BLOCK / row.max(1)).unwrap_or(usize::MAX).max(Attention::ROWS),
        };
        // Blocks of one size: as even as they can be.
        match self.queries {
            0 => 0,
            all => all.div_ceil(all.div_ceil(rows)),
        }
    }
}

/// What scores are made of.
struct Operands {
    /// `[b, t, h, d]`, scaled.
    query: Tensor,
    /// `[b, s, h, d]`.
    key: Tensor,
    /// Four axes each, that broadcast to `[b, h, t, s]`.
    bias: Option<Tensor>,
    mask: Option<Tensor>,
    is_causal: bool,
}

impl Operands {
    fn new(query: &Tensor, key: &Tensor, how: &Attention, sizes: &Sizes) -> Result<Operands> {
        let over_scores = |x: &Tensor, what: &str| -> Result<Tensor> {
            let shape = x.shape()?;
            let all = Shape::from(sizes.scores());
            if shape.rank() > 4 || !shape.broadcast(&all).is_ok_and(|both| both == all) {
                return Err(Error::shape(format!("attention: a {what} of shape {shape} does not broadcast to {all}")));
            }
            let ones = std::iter::repeat_n(1, 4 - shape.rank());
            Ok(x.reshape(ones.chain(shape.iter().copied()).collect::<Shape>()))
        };
        if let Some(bias) = &how.bias
            && !bias.dtype()?.is_float()
        {
            return Err(Error::dtype(format!("attention: a bias is a float, got {}", bias.dtype()?)));
        }
        if let Some(mask) = &how.mask
            && mask.dtype()? != DType::Bool
        {
            return Err(Error::dtype(format!("attention: a mask is of truth values, got {}", mask.dtype()?)));
        }
        let scale = how.scale.unwrap_or(1.0 / (sizes.width as f64).sqrt());
        Ok(Operands {
            query: query * scale,
            key: per_head(key, sizes.heads)?,
            bias: how.bias.as_ref().map(|bias| over_scores(bias, "bias")).transpose()?,
            mask: how.mask.as_ref().map(|mask| over_scores(mask, "mask")).transpose()?,
            is_causal: how.is_causal,
        })
    }

    /// `[b, h, t, s]`, at once.
    fn weights(&self, sizes: &Sizes) -> Tensor {
        let scores = self.query.permute([0, 2, 1, 3]).matmul(&self.key.permute([0, 2, 3, 1]));
        let rows = self.is_causal.then(|| Tensor::iota(DType::I32, [sizes.queries, 1], 0));
        masked(scores, self.bias.as_ref(), self.mask.as_ref(), rows.as_ref()).softmax(-1)
    }

    /// Attention to `value` `[b, h, s, dv]`, `block` queries at a time: `[b, t, h, dv]`.
    fn by_blocks(&self, value: &Tensor, sizes: &Sizes, block: usize) -> Result<Tensor> {
        let steps = sizes.queries.div_ceil(block);
        let padding = steps * block - sizes.queries;
        // Cuts an axis of queries into blocks, which come first. Queries that are not there are computed and dropped.
        let cut = |x: &Tensor, axis: usize, fill: Scalar| -> Result<Tensor> {
            let mut pads = vec![(0, 0); x.rank()?];
            pads[axis].1 = padding;
            let mut shape = x.shape()?.to_vec();
            shape.splice(axis..=axis, [steps, block]);
            let x = if padding == 0 { x.clone() } else { x.pad(pads, fill) };
            Ok(x.reshape(shape).move_axis(axis as isize, 0))
        };
        let (mut looped, mut fixed) = (Vec::new(), Vec::new());
        looped.push(cut(&self.query, 1, Scalar::Float(0.0))?.permute([0, 1, 3, 2, 4]));
        fixed.push(self.key.permute([0, 2, 1, 3]));
        fixed.push(value.clone());
        if self.is_causal {
            looped.push(Tensor::iota(DType::I32, [steps * block], 0).reshape([steps, block, 1]));
        }
        for (x, fill) in [(&self.bias, Scalar::Float(0.0)), (&self.mask, Scalar::Bool(true))] {
            match x {
                Some(x) if x.shape()?.get(2) == Some(&1) => fixed.push(x.clone()),
                Some(x) => looped.push(cut(x, 2, fill)?),
                None => {}
            }
        }

        let mut metas = Vec::new();
        for x in &looped {
            let meta = x.meta()?;
            metas.push(Meta::new(meta.dtype, &meta.shape[1..]));
        }
        for x in &fixed {
            metas.push(x.meta()?.clone());
        }
        let by_row = |x: &Option<Tensor>| x.as_ref().is_some_and(|x| x.shape().is_ok_and(|s| s.get(2) != Some(&1)));
        let body = Body::new("attention", &metas, |params| {
            let (each, all) = params.split_at(looped.len());
            let (mut each, mut all) = (each.iter(), all.iter());
            let lost = || Error::argument("attention: the body of its loop lacks a parameter");
            let query = each.next().ok_or_else(lost)?;
            let (key, value) = (all.next().ok_or_else(lost)?, all.next().ok_or_else(lost)?);
            let rows = if self.is_causal { each.next() } else { None };
            let [bias, mask] = [&self.bias, &self.mask].map(|x| match x {
                Some(_) if by_row(x) => each.next(),
                Some(_) => all.next(),
                None => None,
            });
            let scores = query.matmul_with(key, MatMul { transpose_a: false, transpose_b: true });
            // Softmax, but what is divided is the mean, not the weights: each exponential is then computed once and read by the
            // sum, by the product and in the gradient.
            let scores = masked(scores, bias, mask, rows);
            let e = (&scores - scores.max_keepdims(-1).stop_gradient()).exp();
            Ok(vec![e.matmul(value) / e.sum_keepdims(-1)])
        })?;
        let spec = ScanSpec { steps, carries: 0, inputs: looped.len(), reverse: false };
        looped.extend(fixed);
        let mixed = Tensor::scan(&body.recomputed(), spec, &looped)?;
        // [steps, b, h, block, dv] -> [b, t, h, dv]
        let mixed = mixed[0].permute([1, 0, 3, 2, 4]);
        let whole = [sizes.batch, steps * block, sizes.heads].into_iter().chain(value.shape()?.last().copied());
        Ok(mixed.reshape(whole.collect::<Shape>()).slice(1, ..sizes.queries))
    }
}

/// The scores `[b, h, t, s]`, as good as -∞ where a query may not attend; `rows` `[t, 1]` are the numbers of the queries, if they
/// do not see later keys.
fn masked(scores: Tensor, bias: Option<&Tensor>, mask: Option<&Tensor>, rows: Option<&Tensor>) -> Tensor {
    let mut scores = match bias {
        Some(bias) => scores + bias,
        None => scores,
    };
    let seen = rows.map(|rows| {
        let keys = scores.shape().ok().and_then(|s| s.last().copied()).unwrap_or(0);
        Tensor::iota(DType::I32, [keys], 0).less_equal(rows)
    });
    let mask = match (mask, seen) {
        (Some(mask), Some(seen)) => Some(mask.logical_and(&seen)),
        (mask, seen) => seen.or_else(|| mask.cloned()),
    };
    if let Some(mask) = mask {
        let unseen = match scores.dtype() {
            Ok(DType::F16) => -0.7 * 65504.0,
            _ => -0.7 * f64::from(f32::MAX),
        };
        scores = mask.select(&scores, unseen);
    }
    scores
}

/// `[b, s, few, d]` as `[b, s, heads, d]`.
fn per_head(x: &Tensor, heads: usize) -> Result<Tensor> {
    let few = x.shape()?.get(2).copied().unwrap_or(1);
    Ok(if few == heads { x.clone() } else { x.repeat(heads / few.max(1), 2) })
}
