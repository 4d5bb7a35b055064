//! Adagrad and Adadelta: steps by all gradients so far.

use crate::{
    config::Fields,
    engine::Engine,
    rate::LearningRate,
    rule::{Moment, Rule, Slot},
};
use addax_tensor::Tensor;

/// Adagrad: `a += g²`, `p -= rate · g / √(a + ε)`. Steps of often moved parameters get small.
pub type Adagrad = Engine<AdagradRule>;

settings!(Adagrad = AdagradRule, rate: 0.001 {
    /// What the sum of squares begins with (default 0.1).
    initial_accumulator_value: f64 = 0.1,
    /// Keeps the divisor above 0 (default 1e-7).
    epsilon: f64 = 1e-7,
});

impl Rule for AdagradRule {
    const CLASS: &'static str = "Adagrad";
    const RATE: f64 = 0.001;

    fn slots(&self) -> Vec<Vec<Slot>> {
        vec![vec![Slot { name: "accumulator", initial: self.initial_accumulator_value }]]
    }
    fn update(&self, now: &Moment, p: &Tensor, g: &Tensor, slots: &[Tensor]) -> (Tensor, Vec<Tensor>) {
        let [a] = slots else { return (p.clone(), slots.to_vec()) };
        let a = a + g.square();
        (p - g * &now.rate / (&a + self.epsilon).sqrt(), vec![a])
    }
    fn fields(&mut self) -> Fields<'_> {
        self.settings()
    }
}

/// Adadelta: `p -= rate · g · rms(steps) / rms(g)` with decaying means of squares.
pub type Adadelta = Engine<AdadeltaRule>;

settings!(Adadelta = AdadeltaRule, rate: 0.001 {
    /// Decay of the means (default 0.95).
    rho: f64 = 0.95,
    /// Keeps the roots above 0 (default 1e-7).
    epsilon: f64 = 1e-7,
});

impl Rule for AdadeltaRule {
    const CLASS: &'static str = "Adadelta";
    const RATE: f64 = 0.001;

    fn slots(&self) -> Vec<Vec<Slot>> {
        vec![vec![Slot::zeros("accumulated_grad"), Slot::zeros("accumulated_delta_var")]]
    }
    fn update(&self, now: &Moment, p: &Tensor, g: &Tensor, slots: &[Tensor]) -> (Tensor, Vec<Tensor>) {
        let [a, d] = slots else { return (p.clone(), slots.to_vec()) };
        let rms = |x: &Tensor| (x + self.epsilon).sqrt();
        let a = a * self.rho + g.square() * (1.0 - self.rho);
        let step = rms(d) * g / rms(&a);
        let d = d * self.rho + step.square() * (1.0 - self.rho);
        (p - step * &now.rate, vec![a, d])
    }
    fn fields(&mut self) -> Fields<'_> {
        self.settings()
    }
}
