//! Shuffling that is the same on every machine.

/// Random numbers as a function of a key and a counter: nothing is carried from one to the next, so that any epoch can be
/// repeated without running through the ones before it. (SplitMix64's output function over a Weyl sequence.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permutation {
    key: u64,
}

const WEYL: u64 = 0x9E37_79B9_7F4A_7C15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Permutation {
    /// The order of one epoch: the same `(seed, epoch)` gives the same order on every machine.
    pub fn new(seed: u64, epoch: u64) -> Self {
        Permutation { key: mix(mix(seed.wrapping_add(WEYL)) ^ epoch.wrapping_mul(WEYL)) }
    }
    /// A number below `bound`, which is not 0. The bias is at most `bound` in 2^64.
    fn below(self, counter: u64, bound: u64) -> usize {
        let bits = mix(self.key.wrapping_add(counter.wrapping_add(1).wrapping_mul(WEYL)));
        ((u128::from(bits) * u128::from(bound)) >> 64) as usize
    }
    /// Shuffles in place (Fisher and Yates): each order is equally likely over the keys.
    pub fn shuffle<T>(self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64, i as u64 + 1));
        }
    }
    /// `0..n` in the order of this permutation.
    pub fn order(self, n: usize) -> Vec<usize> {
        let mut order = Vec::new();
        self.fill(&mut order, n);
        order
    }
    /// [`Permutation::order`] into a vector that is used again.
    pub fn fill(self, order: &mut Vec<usize>, n: usize) {
        order.clear();
        order.extend(0..n);
        self.shuffle(order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_order_is_fixed_for_all_time() {
        assert_eq!(Permutation::new(42, 0).order(10), [7, 4, 6, 9, 0, 5, 3, 1, 8, 2]);
        assert_eq!(Permutation::new(42, 1).order(10), [3, 9, 7, 6, 1, 8, 5, 4, 2, 0]);
    }

    #[test]
    fn every_order_is_about_equally_likely() {
        let mut counts = std::collections::BTreeMap::new();
        for seed in 0..24_000 {
            *counts.entry(Permutation::new(seed, 3).order(4)).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 24);
        // 1000 expected each, with a standard deviation of 31.
        assert!(counts.values().all(|c| (850..1150).contains(c)), "{counts:?}");
    }

    proptest! {
        /// Every index comes exactly once.
        #[test]
        fn it_is_a_permutation(seed: u64, epoch: u64, n in 0usize..300) {
            let mut order = Permutation::new(seed, epoch).order(n);
            order.sort_unstable();
            prop_assert_eq!(order, (0..n).collect::<Vec<_>>());
        }

        /// Epochs and seeds differ from each other.
        #[test]
        fn epochs_and_seeds_differ(seed: u64, epoch in 0u64..1_000_000) {
            let order = Permutation::new(seed, epoch).order(64);
            prop_assert_ne!(&order, &Permutation::new(seed, epoch + 1).order(64));
            prop_assert_ne!(&order, &Permutation::new(seed.wrapping_add(1), epoch).order(64));
        }
    }
}
