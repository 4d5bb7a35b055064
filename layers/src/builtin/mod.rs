//! Keras' own layers, one file each.

mod dense;

pub use dense::Dense;

use crate::registry::Registry;

/// The table of constructors.
pub(crate) fn register(registry: &mut Registry) {
    registry.register::<Dense>();
}

/// Builder methods that every layer with a `base` field has.
macro_rules! base_methods {
    ($layer:ident) => {
        impl $layer {
            /// Gives it a name; without one the model makes one of its class: `dense`, `dense_1`.
            pub fn named(mut self, name: impl Into<String>) -> Self {
                self.base.set_name(name);
                self
            }
            /// Whether training may change its weights.
            pub fn trainable(self, trainable: bool) -> Self {
                $crate::set_trainable(&self, trainable);
                self
            }
            /// In which types it computes.
            pub fn policy(mut self, policy: $crate::Policy) -> Self {
                self.base.set_policy(policy);
                self
            }
        }
    };
}
pub(crate) use base_methods;

/// Builder methods that set a field: `name: Type => Some` wraps it, `name: Type` takes it as it is.
macro_rules! setters {
    ($layer:ident { $($(#[$doc:meta])* $field:ident: $type:ty $(=> $wrap:ident)?),* $(,)? }) => {
        impl $layer {$(
            $(#[$doc])*
            pub fn $field(mut self, $field: impl Into<$type>) -> Self {
                self.$field = setters!(@wrap $($wrap)?, $field.into());
                self
            }
        )*}
    };
    (@wrap Some, $value:expr) => { Some($value) };
    (@wrap , $value:expr) => { $value };
}
pub(crate) use setters;
