//! What all optimizers can do beside their formula.

use crate::config::Fields;
use addax_tensor::{Error, Result, Variable};

/// Settings that every optimizer has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Common {
    pub name: String,
    pub weight_decay: Option<f64>,
    pub clipnorm: Option<f64>,
    pub global_clipnorm: Option<f64>,
    pub clipvalue: Option<f64>,
    pub use_ema: bool,
    pub ema_momentum: f64,
    pub ema_overwrite_frequency: Option<usize>,
    pub loss_scale_factor: Option<f64>,
    pub gradient_accumulation_steps: Option<usize>,
    pub undecayed_names: Vec<String>,
    pub undecayed: Vec<Variable>,
}

impl Common {
    pub fn new(class: &str, weight_decay: Option<f64>) -> Self {
        Common { name: snake(class), weight_decay, ema_momentum: 0.99, ..Common::default() }
    }
    pub fn fields(&mut self) -> Fields<'_> {
        vec![
            ("name", (&mut self.name).into()),
            ("weight_decay", (&mut self.weight_decay).into()),
            ("clipnorm", (&mut self.clipnorm).into()),
            ("global_clipnorm", (&mut self.global_clipnorm).into()),
            ("clipvalue", (&mut self.clipvalue).into()),
            ("use_ema", (&mut self.use_ema).into()),
            ("ema_momentum", (&mut self.ema_momentum).into()),
            ("ema_overwrite_frequency", (&mut self.ema_overwrite_frequency).into()),
            ("loss_scale_factor", (&mut self.loss_scale_factor).into()),
            ("gradient_accumulation_steps", (&mut self.gradient_accumulation_steps).into()),
        ]
    }
    /// Whether decay applies to this variable.
    pub fn decays(&self, name: &str, variable: Option<&Variable>) -> bool {
        let by_name = self.undecayed_names.iter().any(|part| name.contains(part.as_str()));
        !by_name && !variable.is_some_and(|v| self.undecayed.contains(v))
    }
    /// The number of calls that make one update, if more than one.
    pub fn accumulates(&self) -> Option<usize> {
        self.gradient_accumulation_steps.filter(|&k| k > 1)
    }
    /// Fails if settings contradict each other or are out of range.
    pub fn check(&self) -> Result<()> {
        let clips =
            [("clipnorm", self.clipnorm), ("global_clipnorm", self.global_clipnorm), ("clipvalue", self.clipvalue)];
        let set: Vec<_> = clips.iter().filter_map(|(n, v)| v.map(|v| format!("{n} = {v}"))).collect();
        if set.len() > 1 {
            return Err(self.wrong(format!("only one way of clipping can be used, got {}", set.join(" and "))));
        }
        if let Some((name, value)) = clips.iter().find_map(|(n, v)| Some((n, v.filter(|v| v.is_nan() || *v <= 0.0)?))) {
            return Err(self.wrong(format!("{name} should be above 0, got {value}")));
        }
        if self.use_ema && !(0.0..=1.0).contains(&self.ema_momentum) {
            return Err(self.wrong(format!("ema_momentum should be from 0 to 1, got {}", self.ema_momentum)));
        }
        if self.ema_overwrite_frequency == Some(0) {
            return Err(self.wrong("ema_overwrite_frequency should be at least 1, got 0".into()));
        }
        // One call per update is no accumulation, and Keras refuses it.
        if let Some(steps @ 0..=1) = self.gradient_accumulation_steps {
            return Err(self.wrong(format!("gradient_accumulation_steps should be at least 2, got {steps}")));
        }
        if self.loss_scale_factor.is_some_and(|f| f.is_nan() || f <= 0.0) {
            return Err(self.wrong("loss_scale_factor should be above 0".into()));
        }
        Ok(())
    }
    fn wrong(&self, message: String) -> Error {
        Error::argument(format!("optimizer \"{}\": {message}", self.name))
    }
}

/// Keras' name of an instance: `Adam` is `adam`, `AdamW` is `adam_w`, `RMSprop` is `rm_sprop`.
fn snake(class: &str) -> String {
    let letters: Vec<char> = class.chars().collect();
    let lower = |i: usize| letters.get(i).is_some_and(|c| c.is_lowercase());
    let mut name = String::new();
    for (i, letter) in letters.iter().enumerate() {
        if i > 0 && letter.is_uppercase() && (lower(i - 1) || lower(i + 1)) {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}
