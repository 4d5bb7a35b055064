//! Rates along a cosine.

use super::{Known, Schedule};
use crate::config::Fields;
use addax_tensor::Tensor;
use serde_json::Value;
use std::f64::consts::PI;

/// Falls along half a cosine from the initial rate to `alpha` times it; before that it may rise on a line (warm-up).
#[derive(Clone, Debug)]
pub struct CosineDecay {
    initial_learning_rate: f64,
    decay_steps: usize,
    alpha: f64,
    warmup_target: Option<f64>,
    warmup_steps: usize,
}

impl CosineDecay {
    /// From `initial_learning_rate` to 0 over `decay_steps` steps.
    pub fn new(initial_learning_rate: f64, decay_steps: usize) -> Self {
        CosineDecay { initial_learning_rate, decay_steps, alpha: 0.0, warmup_target: None, warmup_steps: 0 }
    }
    /// The fraction of the highest rate that it ends at (default 0).
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }
    /// First rises from the initial rate to `target` over `steps` steps, and falls from there.
    pub fn warmup(mut self, target: f64, steps: usize) -> Self {
        (self.warmup_target, self.warmup_steps) = (Some(target), steps);
        self
    }
}

impl Schedule for CosineDecay {
    fn rate(&self, step: &Tensor) -> Tensor {
        let steps = self.decay_steps as f64;
        let fall = |step: &Tensor, from: f64| half_cosine(&(step.minimum(steps) / steps), self.alpha) * from;
        match self.warmup_target {
            Some(target) if self.warmup_steps > 0 => {
                let warm = self.warmup_steps as f64;
                let rise = step * ((target - self.initial_learning_rate) / warm) + self.initial_learning_rate;
                step.less(warm).select(rise, fall(&(step - warm), target))
            }
            Some(target) => fall(step, target),
            None => fall(step, self.initial_learning_rate),
        }
    }
    fn config(&self) -> Value {
        self.to_config()
    }
}

impl Known for CosineDecay {
    const CLASS: &'static str = "CosineDecay";
    const REQUIRED: &'static [&'static str] = &["initial_learning_rate", "decay_steps"];
    fn blank() -> Self {
        CosineDecay::new(0.0, 1)
    }
    fn fields(&mut self) -> Fields<'_> {
        vec![
            ("initial_learning_rate", (&mut self.initial_learning_rate).into()),
            ("decay_steps", (&mut self.decay_steps).into()),
            ("alpha", (&mut self.alpha).into()),
            ("warmup_target", (&mut self.warmup_target).into()),
            ("warmup_steps", (&mut self.warmup_steps).into()),
        ]
    }
}

/// Half a cosine that starts again and again: round `i` has `first_decay_steps · t_mul^i` steps and begins at
/// `initial · m_mul^i`.
#[derive(Clone, Debug)]
pub struct CosineDecayRestarts {
    initial_learning_rate: f64,
    first_decay_steps: usize,
    t_mul: f64,
    m_mul: f64,
    alpha: f64,
}

impl CosineDecayRestarts {
    /// The first round has `first_decay_steps` steps, every further one twice those of the round before.
    pub fn new(initial_learning_rate: f64, first_decay_steps: usize) -> Self {
        CosineDecayRestarts { initial_learning_rate, first_decay_steps, t_mul: 2.0, m_mul: 1.0, alpha: 0.0 }
    }
    /// How much longer every round is than the one before (default 2).
    pub fn t_mul(mut self, t_mul: f64) -> Self {
        self.t_mul = t_mul;
        self
    }
    /// What the rate is multiplied by at every restart (default 1).
    pub fn m_mul(mut self, m_mul: f64) -> Self {
        self.m_mul = m_mul;
        self
    }
    /// The fraction of the initial rate that a round ends at (default 0).
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }
}

/// A round begins at its first step even if rounding puts the logarithm a little below a whole number.
const NUDGE: f64 = 1e-5;

impl Schedule for CosineDecayRestarts {
    fn rate(&self, step: &Tensor) -> Tensor {
        let done = step / self.first_decay_steps as f64;
        let (round, within) = if self.t_mul == 1.0 {
            let round = done.floor();
            (round.clone(), done - round)
        } else {
            // Rounds before number i last 1 + t + … + t^(i-1) = (1 - t^i) / (1 - t) times the first.
            let t = self.t_mul;
            let round = ((1.0 - &done * (1.0 - t)).log() * (1.0 / t.ln()) + NUDGE).floor();
            let length = (&round * t.ln()).exp();
            let before = (1.0 - &length) * (1.0 / (1.0 - t));
            (round, (done - before) / length)
        };
        let height = (round * self.m_mul.ln()).exp();
        let wave = ((within * PI).cos() + 1.0) * height * (0.5 * (1.0 - self.alpha)) + self.alpha;
        wave * self.initial_learning_rate
    }
    fn config(&self) -> Value {
        self.to_config()
    }
}

impl Known for CosineDecayRestarts {
    const CLASS: &'static str = "CosineDecayRestarts";
    const REQUIRED: &'static [&'static str] = &["initial_learning_rate", "first_decay_steps"];
    fn blank() -> Self {
        CosineDecayRestarts::new(0.0, 1)
    }
    fn fields(&mut self) -> Fields<'_> {
        vec![
            ("initial_learning_rate", (&mut self.initial_learning_rate).into()),
            ("first_decay_steps", (&mut self.first_decay_steps).into()),
            ("t_mul", (&mut self.t_mul).into()),
            ("m_mul", (&mut self.m_mul).into()),
            ("alpha", (&mut self.alpha).into()),
        ]
    }
}

/// From 1 at progress 0 to `alpha` at 1.
fn half_cosine(progress: &Tensor, alpha: f64) -> Tensor {
    ((progress * PI).cos() + 1.0) * (0.5 * (1.0 - alpha)) + alpha
}
