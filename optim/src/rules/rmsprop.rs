//! RMSprop, plain and centered.

use crate::{
    config::Fields,
    engine::Engine,
    rate::LearningRate,
    rule::{Moment, Rule, Slot},
};
use addax_tensor::Tensor;

/// RMSprop: steps by the gradient over the root of the mean of squared gradients, or of their variance if `centered`.
pub type RMSprop = Engine<RmspropRule>;

/// The formula of [`RMSprop`].
#[derive(Clone, Debug)]
pub struct RmspropRule {
    rho: f64,
    momentum: f64,
    epsilon: f64,
    centered: bool,
}

impl Default for RmspropRule {
    fn default() -> Self {
        RmspropRule { rho: 0.9, momentum: 0.0, epsilon: 1e-7, centered: false }
    }
}

impl RMSprop {
    /// With this learning rate (Keras' default is 0.001) or schedule.
    pub fn new(rate: impl Into<LearningRate>) -> Self {
        Engine::with_rule(RmspropRule::default(), rate)
    }
    /// Decay of the means (default 0.9).
    pub fn rho(mut self, rho: f64) -> Self {
        self.rule.rho = rho;
        self
    }
    /// How much of the last step is added to the next (default 0.0).
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.rule.momentum = momentum;
        self
    }
    /// Keeps the divisor above 0, inside the root (default 1e-7).
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.rule.epsilon = epsilon;
        self
    }
    /// Divides by the deviation from the mean gradient (default false).
    pub fn centered(mut self, centered: bool) -> Self {
        self.rule.centered = centered;
        self
    }
}

impl Rule for RmspropRule {
    const CLASS: &'static str = "RMSprop";
    const RATE: f64 = 0.001;

    fn slots(&self) -> Vec<Vec<Slot>> {
        let used = [("velocity", true), ("momentum", self.momentum > 0.0), ("average_gradient", self.centered)];
        used.into_iter().filter(|(_, used)| *used).map(|(name, _)| vec![Slot::zeros(name)]).collect()
    }
    fn update(&self, now: &Moment, p: &Tensor, g: &Tensor, slots: &[Tensor]) -> (Tensor, Vec<Tensor>) {
        let [v, rest @ ..] = slots else { return (p.clone(), slots.to_vec()) };
        let (momentum, average) = match (rest, self.centered) {
            ([m, a], _) => (Some(m), Some(a)),
            ([a], true) => (None, Some(a)),
            ([m], false) => (Some(m), None),
            _ => (None, None),
        };
        let v = v * self.rho + g.square() * (1.0 - self.rho);
        let average = average.map(|a| a * self.rho + g * (1.0 - self.rho));
        let spread = average.as_ref().map_or_else(|| v.clone(), |a| &v - a.square());
        let step = g * &now.rate / (spread + self.epsilon).sqrt();
        let step_or_momentum = momentum.map(|m| m * self.momentum + &step);
        let new = p - step_or_momentum.as_ref().unwrap_or(&step);
        (new, [v].into_iter().chain(step_or_momentum).chain(average).collect())
    }
    fn fields(&mut self) -> Fields<'_> {
        vec![
            ("rho", (&mut self.rho).into()),
            ("momentum", (&mut self.momentum).into()),
            ("epsilon", (&mut self.epsilon).into()),
            ("centered", (&mut self.centered).into()),
        ]
    }
}
