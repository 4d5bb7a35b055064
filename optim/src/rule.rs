//! What an optimization algorithm is, apart from everything that is common to all of them.

use crate::config::Fields;
use addax_tensor::Tensor;
use std::fmt;

/// A value that an algorithm keeps for every variable, or one for all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slot {
    /// Keras' name, such as `momentum`.
    pub name: &'static str,
    /// What every element is at first.
    pub initial: f64,
}

impl Slot {
    /// A slot that begins as zeros.
    pub const fn zeros(name: &'static str) -> Slot {
        Slot { name, initial: 0.0 }
    }
}

/// Where training stands: scalars that are tensors, because a recorded step must see them move.
#[derive(Clone, Debug)]
pub struct Moment {
    /// The learning rate, `F32`.
    pub rate: Tensor,
    /// Number of this update, from 1, `F32`.
    pub t: Tensor,
    /// The new values of [`Rule::shared`].
    pub shared: Vec<Tensor>,
}

impl Moment {
    /// `beta^t`.
    pub fn power(&self, beta: f64) -> Tensor {
        (&self.t * beta.ln()).exp()
    }
    /// `1 - beta^t`, exact also where `beta^t` is nearly 1.
    pub fn one_minus_power(&self, beta: f64) -> Tensor {
        -(&self.t * beta.ln()).expm1()
    }
}

/// One optimization algorithm: pure formulas from parameter, gradient and slots to their new values.
///
/// Everything else (learning rate, clipping, decay, averages, accumulation, files) is done by
/// [`Engine`](crate::Engine), so an algorithm of your own is one `impl`:
///
/// ```
/// use addax_optim::{Engine, Fields, Moment, Optimizer, Rule, Slot};
/// use addax_tensor::Tensor;
/// #[derive(Clone, Debug, Default)]
/// struct SignDescent;
/// impl Rule for SignDescent {
///     const CLASS: &'static str = "SignDescent";
///     fn update(&self, now: &Moment, p: &Tensor, g: &Tensor, _: &[Tensor]) -> (Tensor, Vec<Tensor>) {
///         (p - g.sign() * &now.rate, vec![])
///     }
/// }
/// let mut opt = Engine::with_rule(SignDescent, 0.5);
/// let p = opt.update(&[Tensor::ones([2])], &[Tensor::from_vec([3.0f32, -4.0], [2])])?;
/// assert_eq!(p[0].to_vec::<f32>()?, [0.5, 1.5]);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
pub trait Rule: Clone + Default + fmt::Debug + Send + Sync + 'static {
    /// Keras' class name.
    const CLASS: &'static str;
    /// Keras' default learning rate.
    const RATE: f64 = 0.001;
    /// Keras' default decay.
    const WEIGHT_DECAY: Option<f64> = None;

    /// The slots of a variable, in groups: files hold the first group of all variables, then the second of all, …
    fn slots(&self) -> Vec<Vec<Slot>> {
        Vec::new()
    }
    /// Scalars shared by all variables, `F32`; files hold them last.
    fn shared(&self) -> Vec<Slot> {
        Vec::new()
    }
    /// New values of the shared scalars from the old ones, which are in `now.shared`.
    fn update_shared(&self, now: &Moment) -> Vec<Tensor> {
        now.shared.clone()
    }
    /// New values of a parameter and of its slots. All have the parameter's shape and type; `slots` are flat, in the
    /// order of [`Rule::slots`].
    fn update(&self, now: &Moment, p: &Tensor, g: &Tensor, slots: &[Tensor]) -> (Tensor, Vec<Tensor>);
    /// Settings by Keras' names.
    fn fields(&mut self) -> Fields<'_> {
        Vec::new()
    }
}
