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

settings!(RMSprop = RmspropRule, rate: 0.001 {
    /// Decay of the means (default 0.9).
    rho: f64 = 0.9,
    /// How much of the last step is added to the next (default 0.0).
    momentum: f64 = 0.0,
    /// Keeps the divisor above 0, inside the root (default 1e-7).
    epsilon: f64 = 1e-7,
    /// Divides by the deviation from the mean gradient (default false).
    centered: bool = false,
});

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
        self.settings()
    }
}
