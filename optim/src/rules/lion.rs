//! Steps by the sign alone.

use crate::{
    config::Fields,
    engine::Engine,
    rate::LearningRate,
    rule::{Moment, Rule, Slot},
};
use addax_tensor::Tensor;

/// Lion: `p -= rate · sign(β₁ m + (1 - β₁) g)`, `m = β₂ m + (1 - β₂) g`. One slot; rates are three to ten times smaller than Adam's.
pub type Lion = Engine<LionRule>;

settings!(Lion = LionRule, rate: 0.001 {
    /// Share of the mean in the step (default 0.9).
    beta_1: f64 = 0.9,
    /// Decay of the mean of gradients (default 0.99).
    beta_2: f64 = 0.99,
});

impl Rule for LionRule {
    const CLASS: &'static str = "Lion";
    const RATE: f64 = 0.001;

    fn slots(&self) -> Vec<Vec<Slot>> {
        vec![vec![Slot::zeros("momentum")]]
    }
    fn update(&self, now: &Moment, p: &Tensor, g: &Tensor, slots: &[Tensor]) -> (Tensor, Vec<Tensor>) {
        let [m] = slots else { return (p.clone(), slots.to_vec()) };
        let mix = |beta: f64| m * beta + g * (1.0 - beta);
        (p - mix(self.beta_1).sign() * &now.rate, vec![mix(self.beta_2)])
    }
    fn fields(&mut self) -> Fields<'_> {
        self.settings()
    }
}
