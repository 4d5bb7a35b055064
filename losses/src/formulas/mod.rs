//! What losses and metrics measure, one file per family.

mod accuracy;
mod crossentropy;
mod distribution;
mod focal;
mod hinge;
mod overlap;
mod regression;

pub use accuracy::*;
pub use crossentropy::*;
pub use distribution::*;
pub use focal::*;
pub use hinge::*;
pub use overlap::*;
pub use regression::*;

/// Keeps logarithms and quotients finite, as in Keras.
pub(crate) const EPSILON: f64 = 1e-7;
