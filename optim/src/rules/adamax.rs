//! Relatives of Adam: by the largest gradient, with Nesterov's look ahead.

use crate::{
    config::Fields,
    engine::Engine,
    rate::LearningRate,
    rule::{Moment, Rule, Slot},
};
use addax_tensor::Tensor;

/// Adamax: [`Adam`](crate::Adam) with the largest gradient in the place of the mean of squares.
pub type Adamax = Engine<AdamaxRule>;

settings!(Adamax = AdamaxRule, rate: 0.001 {
    /// Decay of the mean of gradients (default 0.9).
    beta_1: f64 = 0.9,
    /// Decay of the largest gradient (default 0.999).
    beta_2: f64 = 0.999,
    /// Keeps the divisor above 0 (default 1e-7).
    epsilon: f64 = 1e-7,
});

impl Rule for AdamaxRule {
    const CLASS: &'static str = "Adamax";
    const RATE: f64 = 0.001;

    fn slots(&self) -> Vec<Vec<Slot>> {
        vec![vec![Slot::zeros("momentum"), Slot::zeros("norm")]]
    }
    fn update(&self, now: &Moment, p: &Tensor, g: &Tensor, slots: &[Tensor]) -> (Tensor, Vec<Tensor>) {
        let [m, u] = slots else { return (p.clone(), slots.to_vec()) };
        let m = m + (g - m) * (1.0 - self.beta_1);
        let u = (u * self.beta_2).maximum(g.abs());
        let step = &m * &now.rate / ((&u + self.epsilon) * now.one_minus_power(self.beta_1));
        (p - step, vec![m, u])
    }
    fn fields(&mut self) -> Fields<'_> {
        self.settings()
    }
}

/// Nadam: [`Adam`](crate::Adam) with Nesterov's momentum, on a schedule of its own.
pub type Nadam = Engine<NadamRule>;

settings!(Nadam = NadamRule, rate: 0.001 {
    /// Decay of the mean of gradients (default 0.9).
    beta_1: f64 = 0.9,
    /// Decay of the mean of squared gradients (default 0.999).
    beta_2: f64 = 0.999,
    /// Keeps the divisor above 0 (default 1e-7).
    epsilon: f64 = 1e-7,
});

impl Rule for NadamRule {
    const CLASS: &'static str = "Nadam";
    const RATE: f64 = 0.001;

    fn slots(&self) -> Vec<Vec<Slot>> {
        vec![vec![Slot::zeros("momentum"), Slot::zeros("velocity")]]
    }
    fn shared(&self) -> Vec<Slot> {
        vec![Slot { name: "variable", initial: 1.0 }]
    }
    fn update_shared(&self, now: &Moment) -> Vec<Tensor> {
        now.shared.iter().map(|product| product * self.momentum_at(&now.t)).collect()
    }
    fn update(&self, now: &Moment, p: &Tensor, g: &Tensor, slots: &[Tensor]) -> (Tensor, Vec<Tensor>) {
        let ([m, v], [product]) = (slots, now.shared.as_slice()) else { return (p.clone(), slots.to_vec()) };
        // The momentum of this step and of the next: β₁ (1 - ½ · 0.96ᵗ).
        let (u, next) = (self.momentum_at(&now.t), self.momentum_at(&(&now.t + 1.0)));
        let product = match p.dtype() {
            Ok(dtype) => product.cast(dtype),
            Err(_) => product.clone(),
        };
        let m = m + (g - m) * (1.0 - self.beta_1);
        let v = v + (g.square() - v) * (1.0 - self.beta_2);
        let m_hat = &m * (&next / (1.0 - &product * &next)) + g * ((1.0 - u) / (1.0 - product));
        let v_hat = &v / now.one_minus_power(self.beta_2);
        (p - m_hat * &now.rate / (v_hat.sqrt() + self.epsilon), vec![m, v])
    }
    fn fields(&mut self) -> Fields<'_> {
        self.settings()
    }
}

impl NadamRule {
    fn momentum_at(&self, t: &Tensor) -> Tensor {
        (1.0 - (t * 0.96_f64.ln()).exp() * 0.5) * self.beta_1
    }
}
