//! Comparing gradients with differences.

use crate::grad_or_zeros;
use addax_tensor::{Array, Error, ErrorKind, Result, Tensor, reference};
use std::{collections::HashMap, fmt};

/// How closely [`gradcheck`] looks.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Distance of the points of the difference. A function must be smooth twice this far around its input.
    pub step: f64,
    /// Largest difference that passes, relative to 1 or to the size of the gradient's terms, whichever is larger.
    pub tolerance: f64,
}

impl Default for Options {
    fn default() -> Self {
        Options { step: 3e-4, tolerance: 1e-7 }
    }
}

/// One element of one input.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Position of the input.
    pub input: usize,
    /// Row-major position of the element.
    pub element: usize,
    /// The element.
    pub at: f64,
    /// The derivative by the recorded gradient.
    pub recorded: f64,
    /// The derivative by differences.
    pub measured: f64,
    /// Their difference, relative as [`Options::tolerance`].
    pub error: f64,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { input, element, at, error, .. } = self;
        // As many digits as tell something.
        let (recorded, measured) = (self.recorded as f32, self.measured as f32);
        write!(
            f,
            "element {element} of input {input}, at {at}: the gradient says {recorded}, differences say {measured} \
             (relative error {error:.1e})"
        )
    }
}

/// What [`gradcheck`] found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Number of elements compared.
    pub elements: usize,
    /// The one that differs most; `None` if there was none to compare.
    pub worst: Option<Entry>,
}

/// Compares the gradient of `f` with fourth-order central differences of the whole graph in `f64`, for every element of every
/// float input (integers and truth values are handed to `f` unchanged). A result with several elements is checked under a
/// fixed cotangent that is different for each of them.
///
/// Fails with [`ErrorKind::Gradient`] and the worst element if it is beyond the tolerance. Where `f` is not smooth (ties, kinks)
/// differences mean nothing: compare with the convention there.
///
/// ```
/// use addax_autodiff::gradcheck::{gradcheck, Options};
/// use addax_tensor::Array;
/// let x = Array::new([3], &[0.5f32, -1.0, 100.0])?;
/// gradcheck(|x| x[0].tanh() * x[0].sin(), &[x.clone()], Options::default())?;
/// let wrong = gradcheck(|x| x[0].stop_gradient() * &x[0], &[x], Options::default());
/// assert!(wrong.unwrap_err().to_string().starts_with("gradcheck: element "));
/// # Ok::<(), addax_tensor::Error>(())
/// ```
pub fn gradcheck(f: impl Fn(&[Tensor]) -> Tensor, inputs: &[Array], options: Options) -> Result<Report> {
    let leaves: Vec<Tensor> = inputs.iter().map(|array| Tensor::from_array(array.clone())).collect();
    let y = f(&leaves);
    let cotangent: Vec<f64> = (0..y.shape()?.numel()).map(|i| 0.5 + (i as f64 * 0.618_033_988_75).fract()).collect();
    let weights = Tensor::from_vec(&cotangent, y.shape()?).cast(y.dtype()?);
    // The cotangent as it is after rounding.
    let cotangent = values(&weights, &HashMap::new())?;
    let floats: Vec<usize> = (0..inputs.len()).filter(|&i| inputs[i].dtype().is_float()).collect();
    let roots: Vec<&Tensor> = floats.iter().map(|&i| &leaves[i]).collect();
    let gradients = grad_or_zeros(&(&y * &weights).sum_all(), roots)?;

    let mut report = Report { elements: 0, worst: None };
    for (&input, gradient) in floats.iter().zip(&gradients) {
        let point = inputs[input].to_vec::<f64>()?;
        let recorded = values(gradient, &HashMap::new())?;
        for (element, &recorded) in recorded.iter().enumerate() {
            let (measured, size) = slope(&y, &cotangent, &leaves[input], &point, element, options.step)?;
            let error = (recorded - measured).abs() / size.max(1.0);
            report.elements += 1;
            // A NaN is never close.
            if report.worst.as_ref().is_none_or(|worst| error.is_nan() || error > worst.error) {
                report.worst = Some(Entry { input, element, at: point[element], recorded, measured, error });
            }
        }
    }
    match &report.worst {
        Some(worst) if worst.error.is_nan() || worst.error > options.tolerance => {
            Err(Error::new(ErrorKind::Gradient(format!("gradcheck: {worst}"))))
        }
        _ => Ok(report),
    }
}

fn values(tensor: &Tensor, given: &HashMap<(u64, u16), Vec<f64>>) -> Result<Vec<f64>> {
    let ranged = reference::evaluate_with(given, std::slice::from_ref(tensor))?;
    ranged.into_iter().next().map(|r| r.value).ok_or_else(|| Error::argument("a tensor has no value"))
}

/// The derivative of `cotangent · y` by one element, `(8·(y(x + h) - y(x - h)) - (y(x + 2h) - y(x - 2h))) / 12h`, and the sum of
/// its terms' absolute values.
fn slope(y: &Tensor, cotangent: &[f64], leaf: &Tensor, point: &[f64], element: usize, h: f64) -> Result<(f64, f64)> {
    let at = |steps: f64| {
        let mut moved = point.to_vec();
        moved[element] += steps * h;
        values(y, &HashMap::from([(leaf.key(), moved)]))
    };
    // Differences first: what did not change cancels exactly.
    let near = at(1.0)?.into_iter().zip(at(-1.0)?).map(|(a, b)| a - b);
    let far = at(2.0)?.into_iter().zip(at(-2.0)?).map(|(a, b)| a - b);
    let slopes = near.zip(far).map(|(near, far)| (8.0 * near - far) / (12.0 * h));
    let terms: Vec<f64> = slopes.zip(cotangent).map(|(slope, c)| slope * c).collect();
    Ok((terms.iter().sum(), terms.iter().map(|t| t.abs()).sum()))
}
