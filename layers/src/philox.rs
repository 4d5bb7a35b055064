//! Philox 4x32-10 on the host, for initializers: the generator of `addax_tensor::random`, one number after the other.

use addax_tensor::random::block;

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
            self.words = block([self.block as u32, (self.block >> 32) as u32, 0, 0], self.key);
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

#[cfg(test)]
mod tests {
    use super::*;

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
