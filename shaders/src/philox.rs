//! Philox 4x32-10, the counter-based random generator of `shared/philox.wgsl`, in Rust.
//!
//! Random bits are a pure function of where they are used, so any device, batch split or thread order draws the same:
//! element `e` of sample `s` in stream `t` at step `n` under the seed `(lo, hi)` is word `e & 3` of the block with
//! counter `(e >> 2, s, n, t)` and key `(lo, hi)`.
//!
//! Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
//!
//! ```
//! use addax_shaders::philox;
//! let bits = philox::bits(5, 0, 1, 7, [42, 0]);
//! assert_eq!(bits, philox::block([5 >> 2, 0, 1, 7], [42, 0])[5 & 3]);
//! assert!((0.0..1.0).contains(&philox::uniform(bits)));
//! ```

/// What words of a counter are multiplied by in a round.
pub const MULTIPLIERS: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
/// What is added to a key after a round.
pub const KEY_STEPS: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
/// Rounds of a block.
pub const ROUNDS: usize = 10;

#[inline(always)]
fn wide(a: u32, b: u32) -> (u32, u32) {
    let product = u64::from(a) * u64::from(b);
    ((product >> 32) as u32, product as u32)
}

/// The four random words of a counter under a key.
#[inline(always)]
pub fn block(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..ROUNDS {
        let (high0, low0) = wide(MULTIPLIERS[0], c0);
        let (high1, low1) = wide(MULTIPLIERS[1], c2);
        (c0, c1, c2, c3) = (high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0);
        k0 = k0.wrapping_add(KEY_STEPS[0]);
        k1 = k1.wrapping_add(KEY_STEPS[1]);
    }
    [c0, c1, c2, c3]
}

/// The random word of one element; see the module for what the arguments mean.
#[inline(always)]
pub fn bits(element: u32, sample: u32, step: u32, stream: u32, seed: [u32; 2]) -> u32 {
    let [a, b, c, d] = block([element >> 2, sample, step, stream], seed);
    let low = if element & 1 == 0 { a } else { b };
    let high = if element & 1 == 0 { c } else { d };
    if element & 2 == 0 { low } else { high }
}

/// A uniform number of `[0, 1)` from random bits: the upper 24 of them, so exact in f32.
#[inline(always)]
pub fn uniform(bits: u32) -> f32 {
    (bits >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// A standard normal number from random bits, by the inverse of the distribution function; within ±5.5.
///
/// The uniform it starts from is centred in its cell, so it is never 0 or 1 and the result is symmetric.
#[inline(always)]
pub fn normal(bits: u32) -> f32 {
    let centred = (bits >> 9) as f32 * (1.0 / 4_194_304.0) + (1.0 / 8_388_608.0 - 1.0);
    std::f32::consts::SQRT_2 * crate::math::erfinv(centred)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The known answers published with the algorithm.
    #[test]
    fn known_answers() {
        assert_eq!(block([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(block([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            block([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    /// The product the shader builds from 16-bit halves, WGSL having no 64-bit integers.
    fn high_by_halves(a: u32, b: u32) -> u32 {
        let (al, ah, bl, bh) = (a & 0xffff, a >> 16, b & 0xffff, b >> 16);
        let mid = ah * bl + ((al * bl) >> 16);
        let other = al * bh + (mid & 0xffff);
        ah * bh + (mid >> 16) + (other >> 16)
    }

    proptest! {
        #[test]
        fn halves_give_the_high_word(a: u32, b: u32) {
            prop_assert_eq!(high_by_halves(a, b), wide(a, b).0);
        }

        #[test]
        fn elements_are_words_of_their_block(e: u32, s: u32, n: u32, t: u32, lo: u32, hi: u32) {
            prop_assert_eq!(bits(e, s, n, t, [lo, hi]), block([e >> 2, s, n, t], [lo, hi])[(e & 3) as usize]);
        }
    }

    #[test]
    fn uniforms_stay_below_one() {
        assert_eq!(uniform(0), 0.0);
        assert!(uniform(u32::MAX) < 1.0);
    }

    #[test]
    fn normals_have_mean_zero_and_variance_one() {
        let n = 200_000_u32;
        let (mut sum, mut squares, mut within) = (0.0, 0.0, 0);
        for e in 0..n {
            let x = f64::from(normal(bits(e, 3, 1, 9, [1, 2])));
            sum += x;
            squares += x * x;
            within += i32::from(x.abs() < 1.0);
        }
        let count = f64::from(n);
        // Five standard errors.
        assert!((sum / count).abs() < 5.0 / count.sqrt());
        assert!((squares / count - 1.0).abs() < 5.0 * (2.0 / count).sqrt());
        assert!((f64::from(within) / count - 0.682_689_5).abs() < 5.0 * (0.2166 / count).sqrt());
        assert!(normal(0).is_finite() && normal(0) == -normal(u32::MAX));
    }
}
