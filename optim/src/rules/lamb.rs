//! Adam with layer-wise rates, for large batches.

use crate::{
    config::Fields,
    engine::Engine,
    rate::LearningRate,
    rule::{Moment, Rule, Slot},
};
use addax_tensor::Tensor;

/// Lamb: [`Adam`](crate::Adam)'s step, as long as the weights of the layer are: `p -= rate · ‖p‖ / ‖u‖ · u`.
pub type Lamb = Engine<LambRule>;

settings!(Lamb = LambRule, rate: 0.001 {
    /// Decay of the mean of gradients (default 0.9).
    beta_1: f64 = 0.9,
    /// Decay of the mean of squared gradients (default 0.999).
    beta_2: f64 = 0.999,
    /// Keeps the divisor above 0 (default 1e-7).
    epsilon: f64 = 1e-7,
});

impl Rule for LambRule {
    const CLASS: &'static str = "Lamb";
    const RATE: f64 = 0.001;

    fn slots(&self) -> Vec<Vec<Slot>> {
        vec![vec![Slot::zeros("momentum"), Slot::zeros("velocity")]]
    }
    fn update(&self, now: &Moment, p: &Tensor, g: &Tensor, slots: &[Tensor]) -> (Tensor, Vec<Tensor>) {
        let [m, v] = slots else { return (p.clone(), slots.to_vec()) };
        let m = m + (g - m) * (1.0 - self.beta_1);
        let v = v + (g.square() - v) * (1.0 - self.beta_2);
        let m_hat = &m / now.one_minus_power(self.beta_1);
        let v_hat = &v / now.one_minus_power(self.beta_2);
        let step = m_hat / (v_hat.sqrt() + self.epsilon);
        let norm = |x: &Tensor| x.square().sum_all().sqrt();
        let (weights, steps) = (norm(p), norm(&step));
        // A tensor of zeros, and a step of zeros, have no direction to keep.
        let both = weights.greater(0.0).logical_and(steps.greater(0.0));
        let ratio = both.select(weights / steps, 1.0);
        (p - step * ratio * &now.rate, vec![m, v])
    }
    fn fields(&mut self) -> Fields<'_> {
        self.settings()
    }
}
