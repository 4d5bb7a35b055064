//! The algorithms, one file per family.

/// The settings of an optimizer: its formula's struct with Keras' defaults, and a builder method for each.
macro_rules! settings {
    ($optimizer:ident = $rule:ident, rate: $rate:literal { $($(#[$doc:meta])* $field:ident: $type:ty = $default:expr,)* }) => {
        #[doc = concat!("The formula of [`", stringify!($optimizer), "`].")]
        #[derive(Clone, Debug)]
        pub struct $rule {
            $($field: $type,)*
        }

        impl Default for $rule {
            fn default() -> Self {
                $rule { $($field: $default,)* }
            }
        }

        impl $optimizer {
            #[doc = concat!("With this learning rate (Keras' default is ", $rate, ") or schedule.")]
            pub fn new(rate: impl Into<LearningRate>) -> Self {
                Engine::with_rule($rule::default(), rate)
            }
            $(
                $(#[$doc])*
                pub fn $field(mut self, $field: $type) -> Self {
                    self.rule.$field = $field;
                    self
                }
            )*
        }

        impl $rule {
            /// All settings, under their names in Keras.
            fn settings(&mut self) -> Fields<'_> {
                vec![$((stringify!($field), (&mut self.$field).into()),)*]
            }
        }
    };
}

mod adagrad;
mod adam;
mod adamax;
mod ftrl;
mod lamb;
mod lion;
mod rmsprop;
mod sgd;

pub use adagrad::{Adadelta, AdadeltaRule, Adagrad, AdagradRule};
pub use adam::{Adam, AdamRule, AdamW, AdamWRule};
pub use adamax::{Adamax, AdamaxRule, Nadam, NadamRule};
pub use ftrl::{Ftrl, FtrlRule};
pub use lamb::{Lamb, LambRule};
pub use lion::{Lion, LionRule};
pub use rmsprop::{RMSprop, RmspropRule};
pub use sgd::{SGD, SgdRule};
