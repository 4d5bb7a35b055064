//! Cross-entropies that look at hard examples more than at easy ones.

use super::crossentropy::{binary, drawn_to_half, proper, smoothed};
use crate::{config::Fields, formula::Formula, ranks::alike};
use addax_tensor::{Result, Tensor};

/// `mean((1 - pₜ)^γ · binary cross-entropy)`, `pₜ` being the probability of the true answer.
#[derive(Clone, Debug)]
pub struct BinaryFocalCrossentropy {
    /// Whether ones weigh `alpha` and zeros `1 - alpha`.
    pub apply_class_balancing: bool,
    /// The weight of ones.
    pub alpha: f64,
    /// How much easy examples are looked over.
    pub gamma: f64,
    /// Whether predictions are logits, not probabilities.
    pub from_logits: bool,
    /// How far labels are drawn to a half.
    pub label_smoothing: f64,
    /// The axis of the mean.
    pub axis: i64,
}

impl Default for BinaryFocalCrossentropy {
    fn default() -> Self {
        BinaryFocalCrossentropy {
            apply_class_balancing: false,
            alpha: 0.25,
            gamma: 2.0,
            from_logits: false,
            label_smoothing: 0.0,
            axis: -1,
        }
    }
}

impl Formula for BinaryFocalCrossentropy {
    const CLASS: &'static str = "BinaryFocalCrossentropy";
    fn values(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let (y, x) = alike(y_true, y_pred)?;
        let y = drawn_to_half(y, self.label_smoothing);
        let p = if self.from_logits { x.sigmoid() } else { x.clone() };
        let right = &y * &p + (1.0 - &y) * (1.0 - p);
        let mut focal = (1.0 - right).pow(self.gamma) * binary(&y, &x, self.from_logits);
        if self.apply_class_balancing {
            focal = focal * (&y * self.alpha + (1.0 - &y) * (1.0 - self.alpha));
        }
        Ok(focal.mean(self.axis as isize))
    }
    fn fields(&mut self) -> Fields<'_> {
        vec![
            ("apply_class_balancing", (&mut self.apply_class_balancing).into()),
            ("alpha", (&mut self.alpha).into()),
            ("gamma", (&mut self.gamma).into()),
            ("from_logits", (&mut self.from_logits).into()),
            ("label_smoothing", (&mut self.label_smoothing).into()),
            ("axis", (&mut self.axis).into()),
        ]
    }
}

/// `Σ α (1 - p)^γ · (-y log p)` along `axis`.
#[derive(Clone, Debug)]
pub struct CategoricalFocalCrossentropy {
    /// A factor for all classes.
    pub alpha: f64,
    /// How much easy examples are looked over.
    pub gamma: f64,
    /// Whether predictions are logits, not probabilities.
    pub from_logits: bool,
    /// How much of a label is spread evenly over all classes.
    pub label_smoothing: f64,
    /// The axis of the classes.
    pub axis: i64,
}

impl Default for CategoricalFocalCrossentropy {
    fn default() -> Self {
        CategoricalFocalCrossentropy { alpha: 0.25, gamma: 2.0, from_logits: false, label_smoothing: 0.0, axis: -1 }
    }
}

impl Formula for CategoricalFocalCrossentropy {
    const CLASS: &'static str = "CategoricalFocalCrossentropy";
    fn values(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let (y, x) = alike(y_true, y_pred)?;
        let y = smoothed(y, self.label_smoothing, self.axis)?;
        let axis = self.axis as isize;
        let p = proper(&if self.from_logits { x.softmax(axis) } else { x }, self.axis);
        Ok(-((1.0 - &p).pow(self.gamma) * self.alpha * y * p.log()).sum(axis))
    }
    fn fields(&mut self) -> Fields<'_> {
        vec![
            ("alpha", (&mut self.alpha).into()),
            ("gamma", (&mut self.gamma).into()),
            ("from_logits", (&mut self.from_logits).into()),
            ("label_smoothing", (&mut self.label_smoothing).into()),
            ("axis", (&mut self.axis).into()),
        ]
    }
}
