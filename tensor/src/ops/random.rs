//! Random numbers that are a function of seed, stream, step, sample and element alone: the same on every device and under any split.

use super::record;
use crate::{
    dtype::DType,
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
