//! Normalization.

use super::{base_methods, setters};
use crate::{AxisList, Base, Cx, Fields, Layer, Numbers, Weight};
use addax_tensor::{Array, Axes, DType, Error, Result, Shape, Tensor, Variable};

/// Smallest standard deviation that is divided by.
const EPSILON: f64 = 1e-7;

/// `(x - mean) / √variance`, with statistics of the training data: those that [`adapt`](Normalization::adapt) found, or
/// those given. One pair per index of `axis`; over all values with [`over_all`](Normalization::over_all). The shape stays.
///
/// ```
/// use addax_layers::{Cx, Normalization};
/// use addax_tensor::Tensor;
/// let area = [50.0f32, 100.0, 150.0];
/// let norm = Normalization::new();
/// norm.adapt(&area[..])?;
/// let y = Cx::inference().call(&norm, Tensor::from_vec(area, [3, 1]))?.to_vec::<f32>()?;
/// assert!((y[2] - 1.5f32.sqrt()).abs() < 1e-6);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[derive(Fields)]
#[fields(keras, blank = Normalization::new())]
pub struct Normalization {
    base: Base,
    axis: AxisList,
    mean: Option<Numbers>,
    variance: Option<Numbers>,
    invert: bool,
    #[fields(key = "mean")]
    adapted_mean: Weight,
    #[fields(key = "variance")]
    adapted_variance: Weight,
    count: Weight,
}

impl Default for Normalization {
    fn default() -> Self {
        Normalization::new()
    }
}

impl Normalization {
    /// Statistics per index of the last axis, to be adapted.
    pub fn new() -> Self {
        Normalization {
            base: Base::default(),
            axis: AxisList(vec![-1]),
            mean: None,
            variance: None,
            invert: false,
            adapted_mean: Weight::new(),
            adapted_variance: Weight::new(),
            count: Weight::new(),
        }
    }
    /// One mean and one variance over all values (Keras' `axis=None`).
    pub fn over_all(mut self) -> Self {
        self.axis = AxisList(vec![]);
        self
    }

    /// Forgets earlier data and takes the statistics of this. A vector counts as samples of one value.
    pub fn adapt(&self, data: impl Samples) -> Result<()> {
        let mut moments = None;
        data.each(&mut |array| self.merge(&mut moments, array))?;
        self.store(moments)
    }
    /// Adds a batch to the statistics, as if all batches had come at once.
    pub fn update(&self, data: impl Samples) -> Result<()> {
        let mut moments = self.stored()?;
        data.each(&mut |array| self.merge(&mut moments, array))?;
        self.store(moments)
    }

    /// The axes that keep statistics of their own.
    fn kept(&self, shape: &Shape) -> Result<Vec<usize>> {
        let kept = Axes::from(self.axis.0.as_slice()).resolve(shape)?;
        match kept.contains(&0) && shape.rank() > 0 {
            true => Err(Error::argument("axis 0 counts samples; it cannot have statistics of its own")),
            false => Ok(kept),
        }
    }
    fn merge(&self, moments: &mut Option<Moments>, array: &Array) -> Result<()> {
        if self.mean.is_some() {
            return Err(Error::argument("this layer was given its mean and variance; it cannot be adapted"));
        }
        let shape = match array.shape().dims() {
            [n] => Shape::from([*n, 1]),
            dims => Shape::from(dims),
        };
        let kept = self.kept(&shape)?;
        let own: Vec<usize> = kept.iter().filter_map(|&a| shape.get(a).copied()).collect();
        let values = host_floats(array)?;
        let batch = Moments::of(&values, &shape, &kept, own);
        *moments = Some(match moments.take() {
            None => batch,
            Some(before) => before.join(&batch)?,
        });
        Ok(())
    }
    fn stored(&self) -> Result<Option<Moments>> {
        let (Some(mean), Some(variance), Some(count)) =
            (self.adapted_mean.variable(), self.adapted_variance.variable(), self.count.variable())
        else {
            return Ok(None);
        };
        let count = f64::from(count.value().item::<i32>()?);
        let floats = |v: &Variable| Ok::<_, Error>(v.value().to_vec::<f32>()?.into_iter().map(f64::from).collect());
        let spread: Vec<f64> = floats(variance)?;
        let squares = spread.iter().map(|v| v * count).collect();
        Ok(Some(Moments { count, mean: floats(mean)?, squares, shape: mean.shape()?.to_vec() }))
    }
    fn store(&self, moments: Option<Moments>) -> Result<()> {
        let moments = moments.filter(|m| m.count > 0.0).ok_or_else(|| Error::data("adapt needs at least one value"))?;
        let variance: Vec<f64> = moments.squares.iter().map(|s| s / moments.count).collect();
        let count = Tensor::from_vec([moments.count.min(f64::from(i32::MAX)) as i32], ());
        put(&self.adapted_mean, Tensor::from_vec(&moments.mean, moments.shape.clone()))?;
        put(&self.adapted_variance, Tensor::from_vec(variance, moments.shape))?;
        put(&self.count, count)
    }
    /// Mean and variance, with the axes of `x`.
    fn statistics(&self, x: &Tensor, cx: &Cx) -> Result<(Tensor, Tensor)> {
        let shape = x.shape()?;
        let kept = self.kept(shape)?;
        let own: Vec<usize> = kept.iter().filter_map(|&a| shape.get(a).copied()).collect();
        let wide: Vec<usize> = shape.iter().enumerate().map(|(a, &n)| if kept.contains(&a) { n } else { 1 }).collect();
        let (mean, variance) = match (&self.mean, &self.variance) {
            (Some(mean), Some(variance)) => {
                let given = |numbers: &Numbers| match numbers.values() {
                    [one] => Ok(Tensor::full(DType::F32, own.clone(), *one)),
                    values if values.len() == own.iter().product::<usize>() => {
                        Ok(Tensor::from_vec(values, own.clone()))
                    }
                    values => Err(Error::shape(format!(
                        "{} given statistics do not fit the {own:?} that input {shape} asks for",
                        values.len()
                    ))),
                };
                (given(mean)?, given(variance)?)
            }
            (None, None) => {
                let _ = cx.state_of(&self.count, DType::I32, (), 0.0)?;
                (cx.state(&self.adapted_mean, own.clone(), "zeros")?, cx.state(&self.adapted_variance, own, "ones")?)
            }
            _ => return Err(Error::argument("give both mean and variance, or neither and call adapt")),
        };
        Ok((mean.reshape(wide.clone()), variance.reshape(wide)))
    }
}
base_methods!(Normalization);
setters!(Normalization {
    /// The axes with statistics of their own, counted with the batch as 0.
    axis: AxisList,
    /// The mean: a number, or one per index of `axis`. Goes with `variance`.
    mean: Numbers => Some,
    /// The variance: a number, or one per index of `axis`. Goes with `mean`.
    variance: Numbers => Some,
    /// Whether to go back from normalized values.
    invert: bool,
});

impl Layer for Normalization {
    type In = Tensor;
    type Out = Tensor;
    /// Raw values may be larger than half floats can be.
    fn autocast(&self) -> bool {
        false
    }
    fn forward(&self, x: Tensor, cx: &mut Cx) -> Result<Tensor> {
        let compute = cx.policy().compute;
        let cx = &cx.in_float32();
        let x = x.cast(DType::F32);
        let (mean, variance) = self.statistics(&x, cx)?;
        let deviation = variance.sqrt().maximum(EPSILON);
        let y = if self.invert { mean + x * deviation } else { (x - mean) / deviation };
        Ok(y.cast(compute))
    }
}

/// What statistics are taken of: arrays, tensors, slices of numbers (samples of one value), lists of arrays.
pub trait Samples {
    /// Shows every batch.
    fn each(self, show: &mut dyn FnMut(&Array) -> Result<()>) -> Result<()>;
}
impl Samples for &Array {
    fn each(self, show: &mut dyn FnMut(&Array) -> Result<()>) -> Result<()> {
        show(self)
    }
}
impl Samples for &Tensor {
    fn each(self, show: &mut dyn FnMut(&Array) -> Result<()>) -> Result<()> {
        show(&self.to_array()?)
    }
}
impl Samples for &[f32] {
    fn each(self, show: &mut dyn FnMut(&Array) -> Result<()>) -> Result<()> {
        show(&Array::new([self.len()], self)?)
    }
}
impl Samples for &Vec<f32> {
    fn each(self, show: &mut dyn FnMut(&Array) -> Result<()>) -> Result<()> {
        self.as_slice().each(show)
    }
}
impl Samples for &[Array] {
    fn each(self, show: &mut dyn FnMut(&Array) -> Result<()>) -> Result<()> {
        self.iter().try_for_each(show)
    }
}

fn host_floats(array: &Array) -> Result<Vec<f64>> {
    match array.dtype() {
        float if float.is_float() => array.to_vec::<f64>(),
        DType::Bool => Ok(array.bytes().iter().map(|&b| f64::from(b)).collect()),
        _ => Ok(array.to_vec::<i64>()?.into_iter().map(|v| v as f64).collect()),
    }
}

fn put(weight: &Weight, value: Tensor) -> Result<()> {
    match weight.variable() {
        Some(variable) => variable.assign(&value),
        None => weight.fill(false, || Ok(Variable::state(value))).map(|_| ()),
    }
}

/// Count, mean and sum of squared deviations per index of the kept axes.
struct Moments {
    count: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
    shape: Vec<usize>,
}

impl Moments {
    /// In two passes, for the sake of the last digits.
    fn of(values: &[f64], shape: &Shape, kept: &[usize], own: Vec<usize>) -> Moments {
        let slots = own.iter().product::<usize>();
        let strides = shape.strides();
        let slot = |position: usize| {
            kept.iter()
                .zip(&own)
                .fold(0, |at, (&axis, &n)| at * n + strides.get(axis).map_or(0, |s| position / s) % n.max(1))
        };
        let count = values.len() as f64 / slots.max(1) as f64;
        let sum = |f: &dyn Fn(usize, f64) -> f64| {
            let mut total = vec![0.0; slots];
            for (position, &value) in values.iter().enumerate() {
                let at = slot(position);
                if let Some(total) = total.get_mut(at) {
                    *total += f(at, value);
                }
            }
            total
        };
        let mean: Vec<f64> = sum(&|_, value| value).into_iter().map(|total| total / count.max(1.0)).collect();
        let squares = sum(&|at, value| mean.get(at).map_or(0.0, |m| (value - m).powi(2)));
        Moments { count, mean, squares, shape: own }
    }
    /// Of both together.
    fn join(mut self, other: &Moments) -> Result<Moments> {
        if self.shape != other.shape {
            return Err(Error::shape(format!(
                "batches with statistics {:?} and {:?} do not fit",
                self.shape, other.shape
            )));
        }
        let total = (self.count + other.count).max(f64::MIN_POSITIVE);
        let pairs = self.mean.iter_mut().zip(&mut self.squares).zip(other.mean.iter().zip(&other.squares));
        for ((mean, squares), (other_mean, other_squares)) in pairs {
            let apart = other_mean - *mean;
            *mean += apart * other.count / total;
            *squares += other_squares + apart * apart * self.count * other.count / total;
        }
        self.count += other.count;
        Ok(self)
    }
}
