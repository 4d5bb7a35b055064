//! Distances of numbers, as means over the last axis: `[.., n], [.., n] -> [..]`.

use super::EPSILON;
use crate::{config::Fields, formula::Formula, ranks::alike};
use addax_tensor::{Result, Tensor};

macro_rules! plain {
    ($(#[$doc:meta])* $name:ident $({ $($item:item)* })?, |$y:ident, $p:ident| $formula:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $name;
        impl Formula for $name {
            const CLASS: &'static str = stringify!($name);
            $($($item)*)?
            fn values(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
                let ($y, $p) = alike(y_true, y_pred)?;
                Ok($formula)
            }
        }
    };
}
plain!(
    /// `mean((y - p)²)`.
    MeanSquaredError,
    |y, p| (y - p).square().mean(-1)
);
plain!(
    /// `mean(|y - p|)`.
    MeanAbsoluteError,
    |y, p| (y - p).abs().mean(-1)
);
plain!(
    /// `100 · mean(|y - p| / |y|)`.
    MeanAbsolutePercentageError,
    |y, p| ((&y - p).abs() / y.abs().maximum(EPSILON)).mean(-1) * 100.0
);
plain!(
    /// `mean((log(1 + y) - log(1 + p))²)`; negative numbers count as 0.
    MeanSquaredLogarithmicError,
    |y, p| (y.maximum(EPSILON).log1p() - p.maximum(EPSILON).log1p()).square().mean(-1)
);
plain!(
    /// `mean(log cosh(p - y))`: near 0 like half the square, far away like the absolute value.
    LogCosh {
        const METRIC: &'static str = "LogCoshError";
        const METRIC_NAME: &'static str = "logcosh";
    },
    |y, p| {
        let x = (p - y).abs();
        // |x| + log(1 + e^-2|x|) - log 2; by |x|, so that neither side cancels.
        (&x + (&x * -2.0).softplus() - std::f64::consts::LN_2).mean(-1)
    }
);
plain!(
    /// `√mean((y - p)²)` over all numbers; as a metric.
    RootMeanSquaredError {
        fn finish(&self, mean: Tensor) -> Tensor {
            mean.sqrt()
        }
    },
    |y, p| (y - p).square()
);

/// `mean(½ e²)` where `|e| <= delta`, `mean(delta · |e| - ½ delta²)` beyond.
#[derive(Clone, Debug)]
pub struct Huber {
    /// Where the square ends and the line begins.
    pub delta: f64,
}

impl Default for Huber {
    fn default() -> Self {
        Huber { delta: 1.0 }
    }
}

impl Formula for Huber {
    const CLASS: &'static str = "Huber";
    const NAME: &'static str = "huber_loss";
    fn values(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        let (y, p) = alike(y_true, y_pred)?;
        let (e, d) = (p - y, self.delta);
        let size = e.abs();
        Ok(size.less_equal(d).select(e.square() * 0.5, size * d - 0.5 * d * d).mean(-1))
    }
    fn fields(&mut self) -> Fields<'_> {
        vec![("delta", (&mut self.delta).into())]
    }
}
