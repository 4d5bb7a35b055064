//! Rates that fall by a formula of `step / decay_steps`.

use super::{Known, Schedule};
use crate::config::Fields;
use addax_tensor::Tensor;
use serde_json::Value;

/// A rate that falls by a formula of `p`, which is `step / decay_steps`, and in stairs if that is asked for.
macro_rules! decay {
    ($(#[$doc:meta])* $schedule:ident, $(#[$new_doc:meta])* new, |$self:ident, $p:ident| $rate:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $schedule {
            initial_learning_rate: f64,
            decay_steps: usize,
            decay_rate: f64,
            staircase: bool,
        }

        impl $schedule {
            $(#[$new_doc])*
            pub fn new(initial_learning_rate: f64, decay_steps: usize, decay_rate: f64) -> Self {
                $schedule { initial_learning_rate, decay_steps, decay_rate, staircase: false }
            }
            /// Only at multiples of `decay_steps` (default: gradually).
            pub fn staircase(mut self, staircase: bool) -> Self {
                self.staircase = staircase;
                self
            }
        }

        impl Schedule for $schedule {
            fn rate(&$self, step: &Tensor) -> Tensor {
                let $p = progress(step, $self.decay_steps, $self.staircase);
                $rate
            }
            fn config(&self) -> Value {
                self.to_config()
            }
        }

        impl Known for $schedule {
            const CLASS: &'static str = stringify!($schedule);
            const REQUIRED: &'static [&'static str] = &["initial_learning_rate", "decay_steps", "decay_rate"];
            fn blank() -> Self {
                $schedule::new(0.0, 1, 1.0)
            }
            fn fields(&mut self) -> Fields<'_> {
                vec![
                    ("initial_learning_rate", (&mut self.initial_learning_rate).into()),
                    ("decay_steps", (&mut self.decay_steps).into()),
                    ("decay_rate", (&mut self.decay_rate).into()),
                    ("staircase", (&mut self.staircase).into()),
                ]
            }
        }
    };
}
decay!(
    /// `initial · decay_rate^(step / decay_steps)`.
    ExponentialDecay,
    /// The rate is multiplied by `decay_rate` over every `decay_steps` steps.
    new,
    |self, p| (p * self.decay_rate.ln()).exp() * self.initial_learning_rate
);
decay!(
    /// `initial / (1 + decay_rate · step / decay_steps)`.
    InverseTimeDecay,
    /// After `decay_steps` steps the rate is divided by `1 + decay_rate`.
    new,
    |self, p| self.initial_learning_rate / (p * self.decay_rate + 1.0)
);

/// `(initial - end) · (1 - step / decay_steps)^power + end`.
#[derive(Clone, Debug)]
pub struct PolynomialDecay {
    initial_learning_rate: f64,
    decay_steps: usize,
    end_learning_rate: f64,
    power: f64,
    cycle: bool,
}

impl PolynomialDecay {
    /// Falls on a line from `initial_learning_rate` to 0.0001 over `decay_steps` steps, and stays there.
    pub fn new(initial_learning_rate: f64, decay_steps: usize) -> Self {
        PolynomialDecay { initial_learning_rate, decay_steps, end_learning_rate: 0.0001, power: 1.0, cycle: false }
    }
    /// Where it ends (default 0.0001).
    pub fn end_learning_rate(mut self, end_learning_rate: f64) -> Self {
        self.end_learning_rate = end_learning_rate;
        self
    }
    /// The exponent (default 1: a line).
    pub fn power(mut self, power: f64) -> Self {
        self.power = power;
        self
    }
    /// At the end, starts again with twice, thrice, … the number of steps (default: stays at the end).
    pub fn cycle(mut self, cycle: bool) -> Self {
        self.cycle = cycle;
        self
    }
}

impl Schedule for PolynomialDecay {
    fn rate(&self, step: &Tensor) -> Tensor {
        let steps = self.decay_steps as f64;
        let p = match self.cycle {
            // The first round also holds step 0, where rounding up would give no round at all.
            true => step / ((step / steps).ceil().maximum(1.0) * steps),
            false => step.minimum(steps) / steps,
        };
        (1.0 - p).pow(self.power) * (self.initial_learning_rate - self.end_learning_rate) + self.end_learning_rate
    }
    fn config(&self) -> Value {
        self.to_config()
    }
}

impl Known for PolynomialDecay {
    const CLASS: &'static str = "PolynomialDecay";
    const REQUIRED: &'static [&'static str] = &["initial_learning_rate", "decay_steps"];
    fn blank() -> Self {
        PolynomialDecay::new(0.0, 1)
    }
    fn fields(&mut self) -> Fields<'_> {
        vec![
            ("initial_learning_rate", (&mut self.initial_learning_rate).into()),
            ("decay_steps", (&mut self.decay_steps).into()),
            ("end_learning_rate", (&mut self.end_learning_rate).into()),
            ("power", (&mut self.power).into()),
            ("cycle", (&mut self.cycle).into()),
        ]
    }
}

/// `step / steps`, rounded down for a staircase.
fn progress(step: &Tensor, steps: usize, staircase: bool) -> Tensor {
    let p = step / steps as f64;
    if staircase { p.floor() } else { p }
}
