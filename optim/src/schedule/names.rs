//! Schedules from Keras' JSON.

use super::*;
use addax_tensor::Error;

/// The schedule that Keras' JSON describes; settings that are not known are added to `warnings`.
///
/// ```
/// use addax_optim::schedule_from_config;
/// let json = serde_json::json!({"class_name": "CosineDecay", "config": {"initial_learning_rate": 0.1, "decay_steps": 10}});
/// assert_eq!(schedule_from_config(&json, &mut Vec::new())?.at(0)?, 0.1);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
pub fn schedule_from_config(json: &Value, warnings: &mut Vec<String>) -> Result<Arc<dyn Schedule>> {
    fn read<S: Known>(json: &Value, warnings: &mut Vec<String>) -> Result<Arc<dyn Schedule>> {
        let (class, map) = config::opened("learning-rate schedule", json)?;
        if let Some(missing) = S::REQUIRED.iter().find(|name| !map.contains_key(**name)) {
            return Err(Error::format(format!("{class}: the setting `{missing}` is missing")));
        }
        let mut schedule = S::blank();
        config::assign(class, schedule.fields(), map, &["name"], warnings)?;
        Ok(Arc::new(schedule))
    }
    match config::opened("learning-rate schedule", json)?.0 {
        ExponentialDecay::CLASS => read::<ExponentialDecay>(json, warnings),
        InverseTimeDecay::CLASS => read::<InverseTimeDecay>(json, warnings),
        PolynomialDecay::CLASS => read::<PolynomialDecay>(json, warnings),
        PiecewiseConstantDecay::CLASS => read::<PiecewiseConstantDecay>(json, warnings),
        CosineDecay::CLASS => read::<CosineDecay>(json, warnings),
        CosineDecayRestarts::CLASS => read::<CosineDecayRestarts>(json, warnings),
        other => Err(Error::unknown_name("learning-rate schedule", other, KNOWN)),
    }
}

const KNOWN: [&str; 6] = [
    ExponentialDecay::CLASS,
    InverseTimeDecay::CLASS,
    PolynomialDecay::CLASS,
    PiecewiseConstantDecay::CLASS,
    CosineDecay::CLASS,
    CosineDecayRestarts::CLASS,
];
