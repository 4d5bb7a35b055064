//! What the scenarios share.

use addax_tensor::{Array, Shape};

/// Distinct numbers between -1.13 and 0.87, in no order, other ones for another `salt`.
pub fn spread(shape: impl Into<Shape>, salt: usize) -> Array {
    let shape = shape.into();
    let at = |i: usize| ((i as f32 + 1.0) * 0.618_034 + salt as f32 * 0.37).fract() * 2.0 - 1.13;
    let values: Vec<f32> = (0..shape.numel()).map(at).collect();
    Array::new(shape, &values).unwrap()
}
