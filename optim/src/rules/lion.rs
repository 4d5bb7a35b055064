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

/// The formula of [`Lion`].
#[derive(Clone, Debug)]
pub struct LionRule {
    beta_1: f64,
    beta_2: f64,
}

impl Default for LionRule {
    fn default() -> Self {
        LionRule { beta_1: 0.9, beta_2: 0.99 }
    }
}

impl Lion {
    /// With this learning rate (Keras' default is 0.001) or schedule.
    pub fn new(rate: impl Into<LearningRate>) -> Self {
        Engine::with_rule(LionRule::default(), rate)
    }
    /// Share of the mean in the step (default 0.9).
    pub fn beta_1(mut self, beta_1: f64) -> Self {
        self.rule.beta_1 = beta_1;
        self
    }
    /// Decay of the mean of gradients (default 0.99).
    pub fn beta_2(mut self, beta_2: f64) -> Self {
        self.rule.beta_2 = beta_2;
        self
    }
}

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
        vec![("beta_1", (&mut self.beta_1).into()), ("beta_2", (&mut self.beta_2).into())]
    }
}
