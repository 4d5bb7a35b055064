//! Philox words of neighbouring elements, many counters at once.

use super::simd::vectorised;
use addax_shaders::philox::{self, KEY_STEPS, MULTIPLIERS};

/// Counters at once: two vectors of the widest instruction set.
const COUNTERS: usize = 16;
/// Elements of so many counters.
const ELEMENTS: usize = 4 * COUNTERS;

/// One word of each counter's block. It has 64 bits, of which the upper ones mean nothing: so products are made where their
/// factors lie, and nothing is packed between rounds.
type Words = [u64; COUNTERS];

#[inline(always)]
fn wide(multiplier: u32, word: u64) -> u64 {
    (word & u64::from(u32::MAX)) * u64::from(multiplier)
}

/// The blocks of consecutive counters: `philox::block`, each step for all of them.
#[inline(always)]
fn blocks(first: u32, rest: [u32; 3], key: [u32; 2]) -> [Words; 4] {
    let mut c0 = [0; COUNTERS];
    for (lane, word) in c0.iter_mut().enumerate() {
        *word = u64::from(first.wrapping_add(lane as u32));
    }
    let [mut c1, mut c2, mut c3] = rest.map(|word| [u64::from(word); COUNTERS]);
    let [mut k0, mut k1] = key;
    for _ in 0..philox::ROUNDS {
        for lane in 0..COUNTERS {
            let (product0, product1) = (wide(MULTIPLIERS[0], c0[lane]), wide(MULTIPLIERS[1], c2[lane]));
            c0[lane] = (product1 >> 32) ^ c1[lane] ^ u64::from(k0);
            c1[lane] = product1;
            c2[lane] = (product0 >> 32) ^ c3[lane] ^ u64::from(k1);
            c3[lane] = product0;
        }
        k0 = k0.wrapping_add(KEY_STEPS[0]);
        k1 = k1.wrapping_add(KEY_STEPS[1]);
    }
    [c0, c1, c2, c3]
}

#[inline(always)]
fn spread(to: &mut [u32; ELEMENTS], words: &[Words; 4]) {
    for lane in 0..COUNTERS {
        for word in 0..4 {
            to[4 * lane + word] = words[word][lane] as u32;
        }
    }
}

vectorised! {
    /// The words of consecutive elements, from element `first` on: each counter gives four of them.
    pub(super) fn random(to: &mut [u32], first: u32, sample: u32, step: u32, stream: u32, seed: [u32; 2]) {
        let head = (first.wrapping_neg() % 4) as usize;
        let (head, rest) = to.split_at_mut(head.min(to.len()));
        for (i, to) in head.iter_mut().enumerate() {
            *to = philox::bits(first.wrapping_add(i as u32), sample, step, stream, seed);
        }
        let mut counter = first.wrapping_add(head.len() as u32) >> 2;
        let (whole, rest) = rest.as_chunks_mut::<ELEMENTS>();
        for to in whole {
            spread(to, &blocks(counter, [sample, step, stream], seed));
            counter = counter.wrapping_add(COUNTERS as u32);
        }
        if !rest.is_empty() {
            let mut last = [0; ELEMENTS];
            spread(&mut last, &blocks(counter, [sample, step, stream], seed));
            rest.copy_from_slice(&last[..rest.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Every element has the word it has alone, wherever a run of them begins and ends.
        #[test]
        fn runs_are_their_elements(len in 0..300_usize, first: u32, sample: u32, step: u32, stream: u32, seed: [u32; 2]) {
            let first = first.min(u32::MAX - 300);
            let mut got = vec![0; len];
            random(&mut got, first, sample, step, stream, seed);
            let want: Vec<u32> =
                (0..len).map(|i| philox::bits(first + i as u32, sample, step, stream, seed)).collect();
            prop_assert_eq!(got, want);
        }
    }
}
