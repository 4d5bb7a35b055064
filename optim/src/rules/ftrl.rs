//! Follow the regularized leader.

use crate::{
    config::Fields,
    engine::Engine,
    rate::LearningRate,
    rule::{Moment, Rule, Slot},
};
use addax_tensor::Tensor;

/// Ftrl: gradient descent that keeps many parameters at exactly 0 (with `l1_regularization_strength`).
pub type Ftrl = Engine<FtrlRule>;

settings!(Ftrl = FtrlRule, rate: 0.001 {
    /// How steps shrink with the squares so far, at most 0 (default -0.5).
    learning_rate_power: f64 = -0.5,
    /// What the sum of squares begins with (default 0.1).
    initial_accumulator_value: f64 = 0.1,
    /// Penalty on absolute values (default 0.0).
    l1_regularization_strength: f64 = 0.0,
    /// Penalty on squares (default 0.0).
    l2_regularization_strength: f64 = 0.0,
    /// Penalty on squares that acts through the gradient (default 0.0).
    l2_shrinkage_regularization_strength: f64 = 0.0,
    /// Added to the square penalty, divided by twice the rate (default 0.0).
    beta: f64 = 0.0,
});

impl Rule for FtrlRule {
    const CLASS: &'static str = "Ftrl";
    const RATE: f64 = 0.001;

    fn slots(&self) -> Vec<Vec<Slot>> {
        vec![vec![Slot { name: "accumulator", initial: self.initial_accumulator_value }, Slot::zeros("linear")]]
    }
    fn update(&self, now: &Moment, p: &Tensor, g: &Tensor, slots: &[Tensor]) -> (Tensor, Vec<Tensor>) {
        let [a, l] = slots else { return (p.clone(), slots.to_vec()) };
        let (rate, l1) = (&now.rate, self.l1_regularization_strength);
        let power = |x: &Tensor| x.pow(-self.learning_rate_power);
        let l2 = self.beta / (rate * 2.0) + self.l2_regularization_strength;
        let shrunk = g + p * (2.0 * self.l2_shrinkage_regularization_strength);
        let new_a = a + g.square();
        let l = l + shrunk - (power(&new_a) - power(a)) / rate * p;
        let quadratic = power(&new_a) / rate + l2 * 2.0;
        ((l.clip(-l1, l1) - &l) / quadratic, vec![new_a, l])
    }
    fn fields(&mut self) -> Fields<'_> {
        self.settings()
    }
}
