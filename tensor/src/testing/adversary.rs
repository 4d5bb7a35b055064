//! An executor that is as wrong as it may be: every operation computes on what it got, then errs at random within what
//! its own rounding allows. The reference's radius must cover how such errors add up.

use super::{
    rebuild::{Bodies, rebuild},
    rng::Rng,
};
use crate::{
    array::Array,
    dtype::DType,
    error::Result,
    graph::{Tensor, topological},
    reference::{self, Ranged},
};
use std::collections::HashMap;

/// The tensors' values, with errors.
pub fn run(roots: &[Tensor], rng: &mut Rng) -> Result<Vec<Array>> {
    let flat = rebuild(roots, &HashMap::new(), Bodies::Expand)?;
    let mut known: HashMap<reference::Key, Vec<f64>> = HashMap::new();
    for tensor in topological(&flat, |_| false) {
        let inputs = tensor.node().inputs().iter().map(|input| (input.key(), known[&input.key()].clone())).collect();
        let exact = reference::evaluate_with(&inputs, std::slice::from_ref(&tensor))?.remove(0);
        known.insert(tensor.key(), erring(&exact, rng));
    }
    let stored = |t: &Tensor| Ranged::exact(t.meta()?.clone(), known[&t.key()].clone()).to_array();
    flat.iter().map(stored).collect()
}

/// Numbers within the radii, as `F32` or shorter.
fn erring(exact: &Ranged, rng: &mut Rng) -> Vec<f64> {
    let dtype = exact.meta.dtype;
    let mut one = |i: usize| {
        let x = exact.at(i);
        if x.is_exact() {
            return x.value;
        }
        let shift = rng.unit() * 2.0 - 1.0;
        if !x.radius.is_finite() {
            return match dtype {
                DType::Bool => f64::from(u8::from(shift > 0.0)),
                _ if dtype.is_int() => (shift * 100.0).round().max(0.0),
                _ if shift > 0.5 => f64::NAN,
                _ => f64::from((shift * 1e3) as f32),
            };
        }
        let moved = x.value + shift * x.radius;
        let candidate = match dtype {
            // Whether 16-bit floats are rounded is all the choice they have: it fills their radius.
            DType::F16 | DType::BF16 if shift > 0.0 => x.value,
            DType::F16 => half::f16::from_f64(x.value).to_f64(),
            DType::BF16 => half::bf16::from_f64(x.value).to_f64(),
            DType::F32 => moved,
            _ => return moved.round(),
        };
        let short = f64::from(candidate as f32);
        if (short - x.value).abs() <= x.radius { short } else { f64::from(x.value as f32) }
    };
    (0..exact.value.len()).map(&mut one).collect()
}
