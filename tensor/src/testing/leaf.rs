//! Random data: among ordinary numbers, those at which mistakes show.

use super::rng::Rng;
use crate::{
    array::Array,
    dtype::DType,
    error::Result,
    graph::{Meta, Origin, Tensor, Value},
    reference::Ranged,
};
use std::sync::Arc;

/// How the numbers of a leaf are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// Any, ties and whole numbers too.
    Any,
    /// Reals without ties, so that no kink is met.
    Smooth,
}

/// A leaf of random data; `watched` ones get gradients.
pub fn leaf(dtype: DType, shape: &[usize], draw: Draw, watched: bool, rng: &mut Rng, origin: Origin) -> Result<Tensor> {
    let manner = if draw == Draw::Smooth { rng.below(2) } else { rng.below(6) };
    let numel = shape.iter().product();
    let value = (0..numel).map(|_| element(dtype, manner, rng)).collect();
    let array: Array = Ranged::exact(Meta::new(dtype, shape), value).to_array()?;
    Ok(Tensor::leaf(Value::Host(Arc::new(array)), Meta::new(dtype, shape), watched, origin))
}

fn element(dtype: DType, manner: usize, rng: &mut Rng) -> f64 {
    let real = rng.unit() * 4.0 - 2.0;
    let few = rng.below(9) as f64 - 4.0;
    match (dtype, manner) {
        (DType::Bool, _) => rng.below(2) as f64,
        (DType::U8, _) => rng.below(256) as f64,
        (DType::U32, 0) => (rng.bits() as u32).into(),
        (DType::U32, _) => rng.below(100) as f64,
        (DType::I32, 0) => (rng.bits() as i32).into(),
        (DType::I32, 1) => few,
        (DType::I32, _) => rng.below(200) as f64 - 100.0,
        (_, 0) => real,
        (_, 1) => rng.unit() * 2.0 + 0.25,
        (_, 2) => few,
        (_, 3) => few / 2.0,
        (_, 4) => real * 50.0,
        _ => real / 2.0,
    }
}
