//! Adam, with coupled and with decoupled weight decay.

use crate::{
    config::Fields,
    engine::Engine,
    rate::LearningRate,
    rule::{Moment, Rule, Slot},
};
use addax_tensor::Tensor;

/// Adam: steps by the mean of gradients over the root of the mean of their squares, both corrected for the first steps.
///
/// ```
/// use addax_optim::{Adam, Optimizer};
/// use addax_tensor::Tensor;
/// let mut opt = Adam::new(1e-3).clipnorm(1.0);
/// let mut p = vec![Tensor::zeros([3, 2])];
/// for _ in 0..3 {
///     let g = vec![&p[0] - 1.0];
///     p = opt.update(&p, &g)?;
/// }
/// assert!((p[0].to_vec::<f32>()?[0] - 0.003).abs() < 1e-5);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
pub type Adam = Engine<AdamRule>;

settings!(Adam = AdamRule, rate: 0.001 {
    /// Decay of the mean of gradients (default 0.9).
    beta_1: f64 = 0.9,
    /// Decay of the mean of squared gradients (default 0.999).
    beta_2: f64 = 0.999,
    /// Keeps the divisor above 0; outside of the correction for the first steps, unlike in PyTorch (default 1e-7).
    epsilon: f64 = 1e-7,
    /// Divides by the largest mean of squares so far (default false).
    amsgrad: bool = false,
});

impl Rule for AdamRule {
    const CLASS: &'static str = "Adam";
    const RATE: f64 = 0.001;

    fn slots(&self) -> Vec<Vec<Slot>> {
        moments(self.amsgrad)
    }
    fn update(&self, now: &Moment, p: &Tensor, g: &Tensor, slots: &[Tensor]) -> (Tensor, Vec<Tensor>) {
        let Self { beta_1, beta_2, epsilon, .. } = *self;
        adam([beta_1, beta_2, epsilon], now, p, g, slots)
    }
    fn fields(&mut self) -> Fields<'_> {
        self.settings()
    }
}

/// [`Adam`] with decoupled weight decay, 0.004 unless set otherwise.
pub type AdamW = Engine<AdamWRule>;

settings!(AdamW = AdamWRule, rate: 0.001 {
    /// Decay of the mean of gradients (default 0.9).
    beta_1: f64 = 0.9,
    /// Decay of the mean of squared gradients (default 0.999).
    beta_2: f64 = 0.999,
    /// Keeps the divisor above 0; outside of the correction for the first steps, unlike in PyTorch (default 1e-7).
    epsilon: f64 = 1e-7,
    /// Divides by the largest mean of squares so far (default false).
    amsgrad: bool = false,
});

impl Rule for AdamWRule {
    const CLASS: &'static str = "AdamW";
    const RATE: f64 = 0.001;
    const WEIGHT_DECAY: Option<f64> = Some(0.004);

    fn slots(&self) -> Vec<Vec<Slot>> {
        moments(self.amsgrad)
    }
    fn update(&self, now: &Moment, p: &Tensor, g: &Tensor, slots: &[Tensor]) -> (Tensor, Vec<Tensor>) {
        let Self { beta_1, beta_2, epsilon, .. } = *self;
        adam([beta_1, beta_2, epsilon], now, p, g, slots)
    }
    fn fields(&mut self) -> Fields<'_> {
        self.settings()
    }
}

fn moments(amsgrad: bool) -> Vec<Vec<Slot>> {
    let mut groups = vec![vec![Slot::zeros("momentum"), Slot::zeros("velocity")]];
    if amsgrad {
        groups.push(vec![Slot::zeros("velocity_hat")]);
    }
    groups
}

/// `m += (g - m)(1 - β₁)`, `v += (g² - v)(1 - β₂)`, `p -= α · m / (√v + ε)` with `α = rate · √(1 - β₂ᵗ) / (1 - β₁ᵗ)`.
fn adam(
    [beta_1, beta_2, epsilon]: [f64; 3],
    now: &Moment,
    p: &Tensor,
    g: &Tensor,
    slots: &[Tensor],
) -> (Tensor, Vec<Tensor>) {
    let [m, v, rest @ ..] = slots else { return (p.clone(), slots.to_vec()) };
    let alpha = &now.rate * now.one_minus_power(beta_2).sqrt() / now.one_minus_power(beta_1);
    let m = m + (g - m) * (1.0 - beta_1);
    let v = v + (g.square() - v) * (1.0 - beta_2);
    let hat = rest.first().map(|largest| largest.maximum(&v));
    let new = p - &m * alpha / (hat.as_ref().unwrap_or(&v).sqrt() + epsilon);
    (new, [m, v].into_iter().chain(hat).collect())
}
