//! Where randomness comes from: one seed for the process, from which every model gets its own.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    sync::{Mutex, PoisonError},
};

/// A seed, and whether somebody chose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seed {
    /// What the random numbers come from.
    pub value: u64,
    /// What to tell people, so that they can repeat the run: the argument of [`set_random_seed`].
    pub told: u64,
    /// Whether it was set rather than drawn.
    pub chosen: bool,
}

impl Seed {
    /// A seed that was given to one model.
    pub fn given(value: u64) -> Seed {
        Seed { value, told: value, chosen: true }
    }
    /// The seed of the next model, derived from the process' seed and the number of models before it.
    pub fn next() -> Seed {
        let mut global = GLOBAL.lock().unwrap_or_else(PoisonError::into_inner);
        let state = global.get_or_insert_with(|| Global { seed: draw(), models: 0, chosen: false });
        let value = if state.models == 0 { state.seed } else { mix(state.seed, state.models) };
        state.models += 1;
        Seed { value, told: state.seed, chosen: state.chosen }
    }
}

struct Global {
    seed: u64,
    models: u64,
    chosen: bool,
}

static GLOBAL: Mutex<Option<Global>> = Mutex::new(None);

/// Makes everything random that follows repeat: first weights, order of rows, dropout. Call it before models are made.
///
/// A program that makes its models in the same order gets the same numbers again, bit for bit on one device.
///
/// ```
/// use addax::prelude::*;
/// let first = || -> Result<Vec<f32>, addax::Error> {
///     addax::set_random_seed(7);
///     let model = Sequential::new().input([3]).add(addax::layers::Dense::new(2));
///     Ok(model.weights()?[0].1.to_vec::<f32>()?)
/// };
/// assert_eq!(first()?, first()?);
/// # Ok::<(), addax::Error>(())
/// ```
pub fn set_random_seed(seed: u64) {
    *GLOBAL.lock().unwrap_or_else(PoisonError::into_inner) = Some(Global { seed, models: 0, chosen: true });
}

/// A seed that differs from run to run, short enough to be typed.
fn draw() -> u64 {
    RandomState::new().build_hasher().finish() >> 40
}

/// SplitMix64: a well-spread function of both.
fn mix(seed: u64, number: u64) -> u64 {
    let mut z = seed.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_models_give_different_seeds() {
        let seeds: std::collections::HashSet<u64> = (0..1000).map(|n| mix(7, n)).collect();
        assert_eq!(seeds.len(), 1000);
        assert_ne!(mix(7, 1), mix(8, 1));
    }
}
