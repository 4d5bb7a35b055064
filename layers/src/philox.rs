//! Philox 4x32-10 on the host, for initializers: the generator of `addax_tensor::random`, one number after the other.

/// Numbers of one seed, in order.
pub(crate) struct Philox {
    key: [u32; 2],
    block: u64,
    words: [u32; 4],
    used: usize,
}

impl Philox {
    pub fn new(seed: u64) -> Self {
        Philox { key: [seed as u32, (seed >> 32) as u32], block: 0, words: [0; 4], used: 4 }
    }
    /// 32 random bits.
    pub fn bits(&mut self) -> u32 {
        if self.used == 4 {
            self.words = rounds([self.block as u32, (self.block >> 32) as u32, 0, 0], self.key);
            self.block += 1;
            self.used = 0;
        }
        let word = self.words.get(self.used).copied().unwrap_or(0);
        self.used += 1;
        word
    }
    /// Uniform in [0, 1), 24 bits: `F32` holds it exactly.
    pub fn uniform(&mut self) -> f64 {
        f64::from(self.bits() >> 8) / 16_777_216.0
    }
    /// Standard normal, by Box and Muller's cosine.
    pub fn normal(&mut self) -> f64 {
        // In (0, 1], so that the logarithm is finite.
        let radius = (f64::from(self.bits()) + 1.0) / 4_294_967_296.0;
        let turn = f64::from(self.bits()) / 4_294_967_296.0;
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * turn).cos()
    }
    /// Standard normal within two standard deviations; what falls outside is drawn again.
    pub fn truncated_normal(&mut self) -> f64 {
        loop {
            let z = self.normal();
            if z.abs() < 2.0 {
                return z;
            }
        }
    }
}

fn rounds(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
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
    use super::*;

    /// The known answers published with the generator.
    #[test]
    fn known_answers() {
        assert_eq!(rounds([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(rounds([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    }

    #[test]
    fn moments_are_those_of_the_distribution() {
        let mut generator = Philox::new(7);
        let moments = |draw: &mut dyn FnMut() -> f64| {
            let values: Vec<f64> = (0..100_000).map(|_| draw()).collect();
            let mean = values.iter().sum::<f64>() / 1e5;
            (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 1e5)
        };
        let (mean, variance) = moments(&mut || generator.uniform());
        assert!((mean - 0.5).abs() < 0.004 && (variance - 1.0 / 12.0).abs() < 0.002);
        let (mean, variance) = moments(&mut || generator.normal());
        assert!(mean.abs() < 0.013 && (variance - 1.0).abs() < 0.02);
        let (mean, variance) = moments(&mut || generator.truncated_normal());
        assert!(mean.abs() < 0.013 && (variance.sqrt() - 0.879_625_661_034_239_8).abs() < 0.01);
    }
}
