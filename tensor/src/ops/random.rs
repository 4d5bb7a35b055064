//! Random numbers that are a function of seed, stream, step, sample and element alone: the same on every device and under any split.

use super::{Operand, record};
use crate::{
    dtype::{DType, Scalar},
    error::Error,
    graph::{Meta, Op, Tensor},
    shape::Shape,
};
use std::panic::Location;

/// The four words of one counter: Philox on the host, for numbers that no graph has to hold.
pub use addax_shaders::philox::block;

/// Philox 4x32-10 bits, `U32`. `key` is `U32 [3]`: seed low, seed high, step. `stream` tells apart who asks.
/// Axis 0 counts samples, the other axes elements.
#[track_caller]
pub fn bits(key: &Tensor, stream: u32, shape: impl Into<Shape>) -> Tensor {
    let (origin, shape) = (Location::caller(), shape.into());
    record(origin, || {
        let meta = key.meta()?;
        if *meta != Meta::new(DType::U32, [3]) {
            return Err(Error::argument(format!("a random key is uint32 [3], got {} {}", meta.dtype, meta.shape)));
        }
        Ok(Tensor::record_one(Op::RandomBits { stream }, vec![key.clone()], Meta { shape, dtype: DType::U32 }, origin))
    })
}

/// Uniform `F32` in [0, 1): 24 bits, exact on every device.
#[track_caller]
pub fn uniform(key: &Tensor, stream: u32, shape: impl Into<Shape>) -> Tensor {
    bits(key, stream, shape).shift_right(8).cast(DType::F32) * (1.0 / 16_777_216.0)
}

/// Standard normal `F32`, by the inverse error function of a uniform.
#[track_caller]
pub fn normal(key: &Tensor, stream: u32, shape: impl Into<Shape>) -> Tensor {
    // The midpoints of 2^24 cells are never -1 or 1.
    let centered = uniform(key, stream, shape) * 2.0 + (1.0 / 16_777_216.0 - 1.0);
    centered.erfinv() * std::f64::consts::SQRT_2
}

/// A key from a seed and a step.
#[track_caller]
pub fn key(seed: u64, step: u32) -> Tensor {
    Tensor::from_vec([seed as u32, (seed >> 32) as u32, step], [3])
}

/// True with this probability, `Bool`: 24 bits decide, so probabilities are multiples of 2⁻²⁴ at best.
#[track_caller]
pub fn bernoulli(key: &Tensor, stream: u32, shape: impl Into<Shape>, probability: impl Into<Operand>) -> Tensor {
    uniform(key, stream, shape).less(probability)
}

/// Standard normal `F32` between -2 and 2: what lies outside of two standard deviations is not drawn at all, as by drawing
/// again.
///
/// ```
/// use addax_tensor::random;
/// let x = random::truncated_normal(&random::key(1, 0), 0, [1000]).to_vec::<f32>()?;
/// assert!(x.iter().all(|x| x.abs() <= 2.0));
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[track_caller]
pub fn truncated_normal(key: &Tensor, stream: u32, shape: impl Into<Shape>) -> Tensor {
    // erf(2 / √2): the share of the normal distribution that is kept.
    const KEPT: f64 = 0.954_499_736_103_641_6;
    let centered = uniform(key, stream, shape) * 2.0 + (1.0 / 16_777_216.0 - 1.0);
    ((centered * KEPT).erfinv() * std::f64::consts::SQRT_2).clip(-2.0, 2.0)
}

/// Whole numbers from `low` to before `high`, `I32`. Numbers from ranges that are no power of two differ in probability by less
/// than `(high - low) / 2³²`.
#[track_caller]
pub fn randint(key: &Tensor, stream: u32, shape: impl Into<Shape>, low: i32, high: i32) -> Tensor {
    let origin = Location::caller();
    record(origin, || {
        let count = i64::from(high) - i64::from(low);
        if count < 1 {
            return Err(Error::argument(format!("randint: no whole number lies from {low} to before {high}")));
        }
        // Sums of bits wrap, as numbers below zero need.
        let drawn = bits(key, stream, shape) % Scalar::Int(count);
        Ok((drawn + Scalar::Int(i64::from(low as u32))).cast(DType::I32))
    })
}

/// `count` positions for each row of `logits [.., classes]`, drawn with the probabilities `softmax(logits)`: `[.., count]`, `I32`. By
/// the largest of the logits with Gumbel noise.
///
/// ```
/// use addax_tensor::{Tensor, random};
/// let logits = Tensor::from_vec([0.0f32, -1e9], [1, 2]);
/// assert_eq!(random::categorical(&random::key(1, 0), 0, &logits, 4).to_vec::<i32>()?, vec![0; 4]);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[track_caller]
pub fn categorical(key: &Tensor, stream: u32, logits: &Tensor, count: usize) -> Tensor {
    let origin = Location::caller();
    record(origin, || {
        let shape = logits.shape()?;
        let [batch @ .., classes] = shape.dims() else {
            return Err(Error::shape("categorical needs logits [.., classes], got a number"));
        };
        let wide: Shape = batch.iter().copied().chain([count, *classes]).collect();
        // Midpoints of cells: neither logarithm is infinite.
        let drawn = uniform(key, stream, wide) + 0.5 / 16_777_216.0;
        let gumbel = -(-drawn.log()).log();
        Ok((logits.cast(DType::F32).expand_dims(-2) + gumbel).argmax(-1))
    })
}

/// The numbers `0, …, n - 1` in random order, `I32`: the order of as many random numbers. Of equal ones (less than one pair on
/// average up to 90,000 numbers) the first comes first.
#[track_caller]
pub fn permutation(key: &Tensor, stream: u32, n: usize) -> Tensor {
    bits(key, stream, [n]).argsort(0, false)
}

/// How often [`gamma`] draws before it settles.
const TRIES: u32 = 8;

/// Gamma distributed `F32` with shape parameter `alpha` (a tensor or number that broadcasts to `shape`) and scale 1.
///
/// By Marsaglia and Tsang's squeeze with a fixed number of tries: of 8 candidates the first that is accepted counts. Each is
/// accepted with a probability above 0.95, so the last, taken in any case, counts wrongly once in 10¹¹. Below 1,
/// `gamma(alpha) = gamma(alpha + 1) · u^(1 / alpha)`. No gradient flows to `alpha`.
#[track_caller]
pub fn gamma(key: &Tensor, stream: u32, shape: impl Into<Shape>, alpha: impl Into<Operand>) -> Tensor {
    let origin = Location::caller();
    let shape = shape.into();
    record(origin, || {
        let alpha = match alpha.into() {
            Operand::Tensor(alpha) => alpha.cast(DType::F32).broadcast_to(&shape),
            Operand::Scalar(alpha) => Tensor::full(DType::F32, &shape, alpha),
        };
        alpha.check()?;
        let alpha = alpha.stop_gradient();
        // Streams of their own, far from the neighbours'.
        let own = |n: u32| stream ^ (n + 1).wrapping_mul(0x9e37_79b9);
        let small = alpha.less(1.0);
        let raised = small.select(&alpha + 1.0, &alpha);
        let d = raised - 1.0 / 3.0;
        let c = (&d * 9.0).rsqrt();
        let mut result: Option<Tensor> = None;
        for n in (0..TRIES).rev() {
            let x = normal(key, own(2 * n), &shape);
            let u = uniform(key, own(2 * n + 1), &shape) + 0.5 / 16_777_216.0;
            let root = &c * &x + 1.0;
            let positive = root.greater(0.0);
            let v = positive.select(root.square() * &root, 1.0);
            let bound = x.square() * 0.5 + &d * (-&v + v.log() + 1.0);
            let accepted = positive.logical_and(u.log().less(bound));
            let candidate = &d * v;
            result = Some(match result {
                None => candidate,
                Some(later) => accepted.select(candidate, later),
            });
        }
        let drawn = result.ok_or_else(|| Error::argument("gamma: no try"))?;
        let u = uniform(key, own(2 * TRIES), &shape) + 0.5 / 16_777_216.0;
        Ok(small.select(&drawn * u.pow(alpha.reciprocal()), drawn))
    })
}
