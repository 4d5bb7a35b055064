//! Callbacks from closures.

use crate::{Callback, Logs, Trainer, callback::with_hooks};
use addax_tensor::Result;

type Plain<'a> = Box<dyn FnMut(&mut Logs, &mut dyn Trainer) -> Result<()> + 'a>;
type Numbered<'a> = Box<dyn FnMut(usize, &mut Logs, &mut dyn Trainer) -> Result<()> + 'a>;

macro_rules! lambda {
    (plain: $($plain:ident)*; numbered: $($numbered:ident)*;) => {
        /// A callback made of closures, one per hook at most: Keras' `LambdaCallback`.
        ///
        /// ```
        /// use addax_callbacks::{LambdaCallback, Rehearsal, logs};
        /// let mut losses = Vec::new();
        /// let mut watch = LambdaCallback::new().on_epoch_end(|epoch, logs, t| {
        ///     losses.push(logs.get("loss")?);
        ///     if epoch == 1 {
        ///         t.stop();
        ///     }
        ///     Ok(())
        /// });
        /// Rehearsal::new([3.0, 2.0, 1.0].map(|loss| logs! { "loss" => loss })).run(&mut watch)?;
        /// drop(watch);
        /// assert_eq!(losses, [3.0, 2.0]);
        /// # Ok::<(), addax_callbacks::Error>(())
        /// ```
        #[derive(Default)]
        pub struct LambdaCallback<'a> {
            $($plain: Option<Plain<'a>>,)*
            $($numbered: Option<Numbered<'a>>,)*
        }

        impl<'a> LambdaCallback<'a> {
            /// A callback that does nothing yet.
            pub fn new() -> Self {
                Self::default()
            }
            $(
                /// Calls `f` at the hook of this name.
                pub fn $plain(mut self, f: impl FnMut(&mut Logs, &mut dyn Trainer) -> Result<()> + 'a) -> Self {
                    self.$plain = Some(Box::new(f));
                    self
                }
            )*
            $(
                /// Calls `f` with the number of the epoch or batch at the hook of this name.
                pub fn $numbered(
                    mut self,
                    f: impl FnMut(usize, &mut Logs, &mut dyn Trainer) -> Result<()> + 'a,
                ) -> Self {
                    self.$numbered = Some(Box::new(f));
                    self
                }
            )*
        }

        impl Callback for LambdaCallback<'_> {
            $(fn $plain(&mut self, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
                self.$plain.as_mut().map_or(Ok(()), |f| f(logs, t))
            })*
            $(fn $numbered(&mut self, number: usize, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
                self.$numbered.as_mut().map_or(Ok(()), |f| f(number, logs, t))
            })*
        }
    };
}
with_hooks!(lambda);
