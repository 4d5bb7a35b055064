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

/// The formula of [`Adagrad`].
#[derive(Clone, Debug)]
pub struct AdagradRule {
    initial_accumulator_value: f64,
    epsilon: f64,
}

impl Default for AdagradRule {
    fn default() -> Self {
        AdagradRule { initial_accumulator_value: 0.1, epsilon: 1e-7 }
    }
}

impl Adagrad {
    /// With this learning rate (Keras' default is 0.001) or schedule.
    pub fn new(rate: impl Into<LearningRate>) -> Self {
        Engine::with_rule(AdagradRule::default(), rate)
    }
    /// What the sum of squares begins with (default 0.1).
    pub fn initial_accumulator_value(mut self, initial_accumulator_value: f64) -> Self {
        self.rule.initial_accumulator_value = initial_accumulator_value;
        self
    }
    /// Keeps the divisor above 0 (default 1e-7).
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.rule.epsilon = epsilon;
        self
    }
}

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
        vec![
            ("initial_accumulator_value", (&mut self.initial_accumulator_value).into()),
            ("epsilon", (&mut self.epsilon).into()),
        ]
    }
}

/// Adadelta: `p -= rate · g · rms(steps) / rms(g)` with decaying means of squares.
pub type Adadelta = Engine<AdadeltaRule>;

/// The formula of [`Adadelta`].
#[derive(Clone, Debug)]
pub struct AdadeltaRule {
    rho: f64,
    epsilon: f64,
}

impl Default for AdadeltaRule {
    fn default() -> Self {
        AdadeltaRule { rho: 0.95, epsilon: 1e-7 }
    }
}

impl Adadelta {
    /// With this learning rate (Keras' default is 0.001) or schedule.
    pub fn new(rate: impl Into<LearningRate>) -> Self {
        Engine::with_rule(AdadeltaRule::default(), rate)
    }
    /// Decay of the means (default 0.95).
    pub fn rho(mut self, rho: f64) -> Self {
        self.rule.rho = rho;
        self
    }
    /// Keeps the roots above 0 (default 1e-7).
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.rule.epsilon = epsilon;
        self
    }
}

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
        vec![("rho", (&mut self.rho).into()), ("epsilon", (&mut self.epsilon).into())]
    }
}
