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

/// The formula of [`Ftrl`].
#[derive(Clone, Debug)]
pub struct FtrlRule {
    learning_rate_power: f64,
    initial_accumulator_value: f64,
    l1_regularization_strength: f64,
    l2_regularization_strength: f64,
    l2_shrinkage_regularization_strength: f64,
    beta: f64,
}

impl Default for FtrlRule {
    fn default() -> Self {
        FtrlRule {
            learning_rate_power: -0.5,
            initial_accumulator_value: 0.1,
            l1_regularization_strength: 0.0,
            l2_regularization_strength: 0.0,
            l2_shrinkage_regularization_strength: 0.0,
            beta: 0.0,
        }
    }
}

impl Ftrl {
    /// With this learning rate (Keras' default is 0.001) or schedule.
    pub fn new(rate: impl Into<LearningRate>) -> Self {
        Engine::with_rule(FtrlRule::default(), rate)
    }
    /// How steps shrink with the squares so far, at most 0 (default -0.5).
    pub fn learning_rate_power(mut self, learning_rate_power: f64) -> Self {
        self.rule.learning_rate_power = learning_rate_power;
        self
    }
    /// What the sum of squares begins with (default 0.1).
    pub fn initial_accumulator_value(mut self, initial_accumulator_value: f64) -> Self {
        self.rule.initial_accumulator_value = initial_accumulator_value;
        self
    }
    /// Penalty on absolute values (default 0.0).
    pub fn l1_regularization_strength(mut self, l1_regularization_strength: f64) -> Self {
        self.rule.l1_regularization_strength = l1_regularization_strength;
        self
    }
    /// Penalty on squares (default 0.0).
    pub fn l2_regularization_strength(mut self, l2_regularization_strength: f64) -> Self {
        self.rule.l2_regularization_strength = l2_regularization_strength;
        self
    }
    /// Penalty on squares that acts through the gradient (default 0.0).
    pub fn l2_shrinkage_regularization_strength(mut self, l2_shrinkage_regularization_strength: f64) -> Self {
        self.rule.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength;
        self
    }
    /// Added to the square penalty, divided by twice the rate (default 0.0).
    pub fn beta(mut self, beta: f64) -> Self {
        self.rule.beta = beta;
        self
    }
}

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
        vec![
            ("learning_rate_power", (&mut self.learning_rate_power).into()),
            ("initial_accumulator_value", (&mut self.initial_accumulator_value).into()),
            ("l1_regularization_strength", (&mut self.l1_regularization_strength).into()),
            ("l2_regularization_strength", (&mut self.l2_regularization_strength).into()),
            ("l2_shrinkage_regularization_strength", (&mut self.l2_shrinkage_regularization_strength).into()),
            ("beta", (&mut self.beta).into()),
        ]
    }
}
