//! The losses by Keras' names, and the settings that losses and metrics share.

use crate::{formulas, loss::LossOf, metrics::MeanOf};

macro_rules! losses {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        $($(#[$doc])* pub type $name = LossOf<formulas::$name>;)*
    };
}
losses! {
    /// Cross-entropy of class numbers.
    ///
    /// ```
    /// use addax_losses::{Loss, SparseCategoricalCrossentropy};
    /// use addax_tensor::Tensor;
    /// let logits = Tensor::from_vec([2.0f32, 0.0, 0.0, 2.0], [2, 2]);
    /// let labels = Tensor::from_vec([0u8, 1], [2]);
    /// let loss = SparseCategoricalCrossentropy::from_logits().call(&labels, &logits);
    /// assert!((loss.item::<f32>()? - 0.126928).abs() < 1e-6);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    SparseCategoricalCrossentropy,
    /// Cross-entropy of one-hot labels.
    CategoricalCrossentropy,
    /// Cross-entropy of labels 0 and 1.
    BinaryCrossentropy,
    /// Cross-entropy of labels 0 and 1 that looks at hard examples more.
    BinaryFocalCrossentropy,
    /// Cross-entropy of one-hot labels that looks at hard examples more.
    CategoricalFocalCrossentropy,
    /// `mean((y - p)²)`.
    MeanSquaredError,
    /// `mean(|y - p|)`.
    MeanAbsoluteError,
    /// `100 · mean(|y - p| / |y|)`.
    MeanAbsolutePercentageError,
    /// `mean((log(1 + y) - log(1 + p))²)`.
    MeanSquaredLogarithmicError,
    /// Square near 0, absolute value far away.
    Huber,
    /// `mean(log cosh(p - y))`.
    LogCosh,
    /// `Σ y log(y / p)`.
    KLDivergence,
    /// `mean(p - y log p)`.
    Poisson,
    /// Minus the cosine of the angle.
    CosineSimilarity,
    /// `mean(max(1 - y p, 0))`.
    Hinge,
    /// `mean(max(1 - y p, 0)²)`.
    SquaredHinge,
    /// `max(max((1 - y) p) - Σ y p + 1, 0)`.
    CategoricalHinge,
    /// `1 - 2 Σ y p / (Σ y + Σ p)`: how far a predicted region misses the true one. The sums go over the whole batch unless
    /// [`axis`](Dice::axis) says otherwise, so it is no mean of losses of samples, and weights of samples scale it as a whole.
    ///
    /// ```
    /// use addax_losses::{Dice, Loss};
    /// use addax_tensor::Tensor;
    /// let y = Tensor::from_vec([1.0f32, 1.0, 0.0, 0.0], [2, 2]);
    /// let p = Tensor::from_vec([0.5f32, 1.0, 0.0, 0.5], [2, 2]);
    /// assert!((Dice::new().call(&y, &p).item::<f32>()? - (1.0 - 3.0 / 4.0)).abs() < 1e-6);
    /// let each = Dice::new().axis([1]).reduction("none").call(&y, &p).to_vec::<f32>()?;
    /// assert!((each[0] - (1.0 - 3.0 / 3.5)).abs() < 1e-6 && each[1] == 1.0);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    Dice,
}

macro_rules! settings {
    ($($formula:ident { $($(#[$doc:meta])* $field:ident: $t:ty),* $(,)? })*) => {$(
        settings!(of LossOf, $formula { $($(#[$doc])* $field: $t),* });
        settings!(of MeanOf, $formula { $($(#[$doc])* $field: $t),* });
    )*};
    (of $holder:ident, $formula:ident { $($(#[$doc:meta])* $field:ident: $t:ty),* }) => {
        impl $holder<formulas::$formula> {$(
            $(#[$doc])*
            pub fn $field(mut self, $field: $t) -> Self {
                self.formula.$field = $field.into();
                self
            }
        )*}
    };
}
settings! {
    SparseCategoricalCrossentropy {
        /// A class whose positions do not count, such as padding.
        ignore_class: i64,
        /// The axis of the classes (default -1).
        axis: i64,
    }
    CategoricalCrossentropy {
        /// How much of a label is spread evenly over all classes (default 0).
        label_smoothing: f64,
        /// The axis of the classes (default -1).
        axis: i64,
    }
    BinaryCrossentropy {
        /// How far labels are drawn to a half (default 0).
        label_smoothing: f64,
        /// The axis of the mean (default -1).
        axis: i64,
    }
    BinaryFocalCrossentropy {
        /// Whether ones weigh `alpha` and zeros `1 - alpha` (default no).
        apply_class_balancing: bool,
        /// The weight of ones (default 0.25).
        alpha: f64,
        /// How much easy examples are looked over (default 2).
        gamma: f64,
        /// How far labels are drawn to a half (default 0).
        label_smoothing: f64,
        /// The axis of the mean (default -1).
        axis: i64,
    }
    CategoricalFocalCrossentropy {
        /// A factor for all classes (default 0.25).
        alpha: f64,
        /// How much easy examples are looked over (default 2).
        gamma: f64,
        /// How much of a label is spread evenly over all classes (default 0).
        label_smoothing: f64,
        /// The axis of the classes (default -1).
        axis: i64,
    }
    Huber {
        /// Where the square ends and the line begins (default 1).
        delta: f64,
    }
    CosineSimilarity {
        /// The axis of the vectors (default -1).
        axis: i64,
    }
}

macro_rules! from_logits {
    ($($formula:ident),*) => {$(
        impl LossOf<formulas::$formula> {
            /// Of predictions that are logits, without softmax or sigmoid: exact where probabilities are near 0.
            pub fn from_logits() -> Self {
                LossOf::from(formulas::$formula { from_logits: true, ..Default::default() })
            }
        }
        impl MeanOf<formulas::$formula> {
            /// Of predictions that are logits, without softmax or sigmoid: exact where probabilities are near 0.
            pub fn from_logits() -> Self {
                MeanOf::from(formulas::$formula { from_logits: true, ..Default::default() })
            }
        }
    )*};
}
from_logits!(
    SparseCategoricalCrossentropy,
    CategoricalCrossentropy,
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalFocalCrossentropy
);

macro_rules! top {
    ($($formula:ident),*) => {$(
        impl MeanOf<formulas::$formula> {
            /// How many classes count as right (default 5).
            pub fn k(mut self, k: i64) -> Self {
                self.formula.k = k;
                self
            }
        }
    )*};
}
top!(TopKCategoricalAccuracy, SparseTopKCategoricalAccuracy);

impl MeanOf<formulas::BinaryAccuracy> {
    /// From above this on a prediction means 1 (default 0.5).
    pub fn threshold(mut self, threshold: f64) -> Self {
        self.formula.threshold = threshold;
        self
    }
}

impl LossOf<formulas::Dice> {
    /// The axes of the sums (default: all), such as `[1, 2, 3]` for a loss per picture.
    pub fn axis(mut self, axes: impl Into<Vec<i64>>) -> Self {
        self.formula.axis = Some(axes.into());
        self
    }
}
