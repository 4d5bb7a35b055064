//! Gradient descent, with momentum.

use crate::{
    config::Fields,
    engine::Engine,
    rate::LearningRate,
    rule::{Moment, Rule, Slot},
};
use addax_tensor::Tensor;

/// Gradient descent: `p - rate · g`. With momentum `m = momentum · m - rate · g` and `p + m`; after Nesterov
/// `p + momentum · m - rate · g`.
///
/// ```
/// use addax_optim::{Optimizer, SGD};
/// use addax_tensor::Tensor;
/// let mut opt = SGD::new(0.1).momentum(0.9);
/// let p = opt.update(&[Tensor::ones([2])], &[Tensor::ones([2])])?;
/// assert_eq!(p[0].to_vec::<f32>()?, [0.9, 0.9]);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
pub type SGD = Engine<SgdRule>;

settings!(SGD = SgdRule, rate: 0.01 {
    /// How much of the last step is added to the next (default 0.0).
    momentum: f64 = 0.0,
    /// Looks ahead along the momentum (default false).
    nesterov: bool = false,
});

impl Rule for SgdRule {
    const CLASS: &'static str = "SGD";
    const RATE: f64 = 0.01;

    fn slots(&self) -> Vec<Vec<Slot>> {
        if self.momentum == 0.0 { Vec::new() } else { vec![vec![Slot::zeros("momentum")]] }
    }
    fn update(&self, now: &Moment, p: &Tensor, g: &Tensor, slots: &[Tensor]) -> (Tensor, Vec<Tensor>) {
        let step = g * &now.rate;
        let [m] = slots else { return (p - step, Vec::new()) };
        let m = m * self.momentum - &step;
        let new = if self.nesterov { p + &m * self.momentum - step } else { p + &m };
        (new, vec![m])
    }
    fn fields(&mut self) -> Fields<'_> {
        self.settings()
    }
}
