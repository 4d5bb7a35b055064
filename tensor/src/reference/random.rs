//! Philox 4x32-10, as published by Salmon et al. in "Parallel random numbers: as easy as 1, 2, 3" (2011).

use super::{Approx, Ranged};
use crate::graph::Meta;

/// Bits of this stream: counter `(element / 4, sample, step, stream)`, key `(seed low, seed high)`, word `element % 4`.
pub fn bits(stream: u32, key: &Ranged, meta: Meta) -> Ranged {
    let word = |i: usize| key.value.get(i).map_or(0, |&v| v as u32);
    let sure = key.radius.iter().all(|&r| r == 0.0);
    let per_sample: usize = meta.shape.iter().skip(1).product::<usize>().max(1);
    Ranged::build(meta, |position| {
        let (sample, element) = (position / per_sample, position % per_sample);
        let block = philox([(element / 4) as u32, sample as u32, word(2), stream], [word(0), word(1)]);
        Approx::known(f64::from(block[element % 4]), sure)
    })
}

/// Ten rounds.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    let product = |a: u32, b: u32| {
        let wide = u64::from(a) * u64::from(b);
        ((wide >> 32) as u32, wide as u32)
    };
    for _ in 0..10 {
        let (high_0, low_0) = product(0xD251_1F53, counter[0]);
        let (high_1, low_1) = product(0xCD9E_8D57, counter[2]);
        counter = [high_1 ^ counter[1] ^ key[0], low_1, high_0 ^ counter[3] ^ key[1], low_0];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::philox;

    /// The known answers published with the generator.
    #[test]
    fn known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let counter = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        assert_eq!(philox(counter, [0xa409_3822, 0x299f_31d0]), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }
}
