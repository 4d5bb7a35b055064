//! Loss scaling that finds its factor by itself.

use crate::{
    config,
    names::optimizer_from_config,
    optimizer::{Hold, Optimizer, Updates},
};
use addax_tensor::{DType, Error, Result, Tensor, Variable};
use serde_json::{Map, Value, json};

/// Keras' defaults.
const INITIAL_SCALE: f64 = 32768.0;
const GROWTH_STEPS: usize = 2000;
const NAME: &str = "loss_scale_optimizer";
/// The scale stays a normal number: at 0 or infinity it could never come back.
const SMALLEST: f64 = 1.0 / (1u128 << 126) as f64;
const LARGEST: f64 = (1u128 << 127) as f64;

/// Wraps an optimizer for training in `float16`, whose smallest number is 6e-8: smaller gradients would vanish on their way.
///
/// The loss is multiplied by a scale before gradients are taken, and gradients are divided by it before they are used. If
/// any of them is infinite or NaN, the scale was too large: nothing moves in this step, no weight, no slot, no count, and
/// the scale is halved. After 2000 good steps in a row it is doubled. Scale and decision are part of the recorded step; the host
/// never has to know.
///
/// [`compile`](../addax/struct.Model.html#method.compile) wraps the optimizer of a `mixed_float16` model by itself. The wrapped
/// optimizer's own `loss_scale_factor` has no effect.
///
/// ```
/// use addax_optim::{LossScaleOptimizer, Optimizer, SGD};
/// use addax_tensor::Tensor;
/// let mut opt = LossScaleOptimizer::new(SGD::new(0.5)).initial_scale(8.0);
/// let p = [Tensor::from_vec([1.0f32, 2.0], [2])];
/// let scaled = opt.scale_loss(&Tensor::from_vec([1.0f32, 1.0], [2])); // gradients of a scaled loss are scaled
/// assert_eq!(opt.update(&p, &[scaled])?[0].to_vec::<f32>()?, [0.5, 1.5]);
/// let overflown = Tensor::from_vec([1.0f32, f32::INFINITY], [2]);
/// assert_eq!(opt.update(&p, &[overflown])?[0].to_vec::<f32>()?, [1.0, 2.0]);
/// assert_eq!((opt.scale()?, opt.iterations()?), (4.0, 1));
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[derive(Debug)]
pub struct LossScaleOptimizer {
    inner: Box<dyn Optimizer>,
    name: String,
    initial_scale: f64,
    dynamic_growth_steps: usize,
    /// In Keras' files, but never used there either.
    unused: [Variable; 2],
    /// Good steps since the scale changed.
    step_counter: Variable,
    dynamic_scale: Variable,
}

impl LossScaleOptimizer {
    /// Keras' class name.
    pub const CLASS: &'static str = "LossScaleOptimizer";

    /// Around this optimizer.
    pub fn new(mut inner: impl Optimizer + 'static) -> Self {
        inner.set_loss_scale_factor(None);
        LossScaleOptimizer {
            inner: Box::new(inner),
            name: NAME.into(),
            initial_scale: INITIAL_SCALE,
            dynamic_growth_steps: GROWTH_STEPS,
            unused: [
                Variable::state(Tensor::scalar(0)).named("iteration"),
                Variable::state(Tensor::scalar(0.0)).named("learning_rate"),
            ],
            step_counter: Variable::state(Tensor::scalar(0)).named("step_counter"),
            dynamic_scale: scale_variable(INITIAL_SCALE),
        }
    }
    /// Name of this instance (default: `loss_scale_optimizer`).
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
    /// The first scale (default 32768).
    pub fn initial_scale(mut self, scale: f64) -> Self {
        self.initial_scale = scale;
        self.dynamic_scale = scale_variable(scale);
        self
    }
    /// After so many good steps in a row the scale doubles (default 2000).
    pub fn dynamic_growth_steps(mut self, steps: usize) -> Self {
        self.dynamic_growth_steps = steps;
        self
    }
    /// The optimizer inside.
    pub fn inner_optimizer(&self) -> &dyn Optimizer {
        &*self.inner
    }
    /// The scale of the next step.
    pub fn scale(&self) -> Result<f64> {
        Ok(f64::from(self.dynamic_scale.value().item::<f32>()?))
    }

    /// From Keras' JSON.
    pub(crate) fn from_map(map: &Map<String, Value>, warnings: &mut Vec<String>) -> Result<Self> {
        let inner = map.get("inner_optimizer");
        let inner = inner.ok_or_else(|| Error::format("LossScaleOptimizer: `inner_optimizer` is missing"))?;
        let (inner, notes) = optimizer_from_config(inner)?;
        warnings.extend(notes);
        let mut made = LossScaleOptimizer::new(inner);
        let fields = vec![
            ("name", (&mut made.name).into()),
            ("initial_scale", (&mut made.initial_scale).into()),
            ("dynamic_growth_steps", (&mut made.dynamic_growth_steps).into()),
        ];
        config::assign(Self::CLASS, fields, map, &["inner_optimizer"], warnings)?;
        made.check()?;
        let scale = made.initial_scale;
        Ok(made.initial_scale(scale))
    }
    fn check(&self) -> Result<()> {
        let wrong = |message: String| Err(Error::argument(format!("optimizer \"{}\": {message}", self.name)));
        if !(SMALLEST..=LARGEST).contains(&self.initial_scale) {
            return wrong(format!("initial_scale should be above 0 and finite, got {}", self.initial_scale));
        }
        if self.dynamic_growth_steps == 0 {
            return wrong("dynamic_growth_steps should be at least 1, got 0".into());
        }
        Ok(())
    }

    /// Gradients as they would be without the scale, and whether all of them are finite.
    fn unscaled<'t>(&self, gradients: impl Iterator<Item = &'t Tensor>) -> (Vec<Tensor>, Tensor) {
        let scale = self.dynamic_scale.value();
        let mut finite = Tensor::scalar(true);
        let mut unscaled = Vec::new();
        for g in gradients {
            finite = finite.logical_and(g.is_finite().all(..));
            // Small half floats would vanish if they were divided as such.
            unscaled.push(g.cast(DType::F32) / &scale);
        }
        (unscaled, finite)
    }
    /// The scale and the count of good steps after a step.
    fn adapted(&self, finite: &Tensor) -> Updates {
        let (count, scale) = (self.step_counter.value(), self.dynamic_scale.value());
        let grows = count.equal(self.dynamic_growth_steps - 1);
        let larger = grows.select((&scale * 2.0).minimum(LARGEST), &scale);
        let smaller = (&scale * 0.5).maximum(SMALLEST);
        let counted = grows.select(count.zeros_like(), &count + 1);
        vec![
            (self.step_counter.clone(), finite.select(counted, count.zeros_like())),
            (self.dynamic_scale.clone(), finite.select(larger, smaller)),
        ]
    }
    /// The updates if `finite`, else everything as it is; and what becomes of the scale.
    fn decided(&self, updates: Updates, finite: &Tensor) -> Updates {
        let kept = |(variable, new): (Variable, Tensor)| {
            let old = variable.value();
            (variable, finite.select(new, old))
        };
        updates.into_iter().map(kept).chain(self.adapted(finite)).collect()
    }
}

fn scale_variable(scale: f64) -> Variable {
    Variable::state(Tensor::scalar(scale)).named("dynamic_scale")
}

impl Optimizer for LossScaleOptimizer {
    fn class_name(&self) -> &str {
        Self::CLASS
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn record(&mut self, parameters: &[Tensor], gradients: &[Tensor]) -> Result<(Vec<Tensor>, Updates)> {
        self.check()?;
        let (unscaled, finite) = self.unscaled(gradients.iter());
        let (new, pending) = self.inner.record(parameters, &unscaled)?;
        let new = new.iter().zip(parameters).map(|(new, old)| finite.select(new, old.stop_gradient())).collect();
        Ok((new, self.decided(pending, &finite)))
    }
    fn apply_held(&mut self, gradients: &[(Variable, Tensor)], hold: Hold<'_>) -> Result<Updates> {
        self.check()?;
        let (unscaled, finite) = self.unscaled(gradients.iter().map(|(_, g)| g));
        let unscaled: Vec<_> = gradients.iter().map(|(v, _)| v.clone()).zip(unscaled).collect();
        let updates = self.inner.apply_held(&unscaled, hold)?;
        Ok(self.decided(updates, &finite))
    }
    fn build(&mut self, variables: &[Variable]) -> Result<()> {
        self.check()?;
        self.inner.build(variables)
    }
    fn finalize(&self) -> Updates {
        self.inner.finalize()
    }
    fn variables(&self) -> Vec<Variable> {
        let own = self.unused.iter().chain([&self.step_counter, &self.dynamic_scale]).cloned();
        own.chain(self.inner.variables()).collect()
    }
    fn paths(&self) -> Vec<(String, Variable)> {
        let own = self.unused.iter().chain([&self.step_counter, &self.dynamic_scale]);
        own.map(|v| (format!("{}/{}", self.name, v.name()), v.clone())).chain(self.inner.paths()).collect()
    }
    fn iterations(&self) -> Result<u64> {
        self.inner.iterations()
    }
    fn learning_rate(&self) -> Result<f64> {
        self.inner.learning_rate()
    }
    fn set_learning_rate(&self, rate: f64) -> Result<()> {
        self.inner.set_learning_rate(rate)
    }
    fn loss_scale_factor(&self) -> Option<f64> {
        None
    }
    fn set_loss_scale_factor(&mut self, _: Option<f64>) {}
    fn scale_loss(&self, loss: &Tensor) -> Tensor {
        loss.cast(DType::F32) * self.dynamic_scale.value()
    }
    fn config(&self) -> Result<Value> {
        let mut map = Map::new();
        if self.name != NAME {
            map.insert("name".into(), json!(self.name));
        }
        map.insert("inner_optimizer".into(), self.inner.config()?);
        if self.initial_scale != INITIAL_SCALE {
            map.insert("initial_scale".into(), json!(self.initial_scale));
        }
        if self.dynamic_growth_steps != GROWTH_STEPS {
            map.insert("dynamic_growth_steps".into(), json!(self.dynamic_growth_steps));
        }
        Ok(config::envelope("keras.optimizers", Self::CLASS, map))
    }
}
