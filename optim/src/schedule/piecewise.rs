//! Constant rates between boundaries.

use super::{Known, Schedule};
use crate::config::Fields;
use addax_tensor::Tensor;
use serde_json::Value;

/// `values[0]` up to and including step `boundaries[0]`, then `values[1]` up to `boundaries[1]`, …, at last the last value.
#[derive(Clone, Debug)]
pub struct PiecewiseConstantDecay {
    boundaries: Vec<f64>,
    values: Vec<f64>,
}

impl PiecewiseConstantDecay {
    /// Rising boundaries and one value more than boundaries; anything else is an error at the first use.
    pub fn new(boundaries: impl IntoIterator<Item = u64>, values: impl Into<Vec<f64>>) -> Self {
        PiecewiseConstantDecay { boundaries: boundaries.into_iter().map(|b| b as f64).collect(), values: values.into() }
    }
    fn mistake(&self) -> Option<String> {
        let (b, v) = (self.boundaries.len(), self.values.len());
        if v != b + 1 {
            return Some(format!("PiecewiseConstantDecay: {b} boundaries need {} values, got {v}", b + 1));
        }
        let rising = self.boundaries.windows(2).all(|w| w[0] < w[1]);
        (!rising).then(|| format!("PiecewiseConstantDecay: boundaries should rise, got {:?}", self.boundaries))
    }
}

impl Schedule for PiecewiseConstantDecay {
    #[track_caller]
    fn rate(&self, step: &Tensor) -> Tensor {
        if let Some(mistake) = self.mistake() {
            return Tensor::error(addax_tensor::Error::argument(mistake), std::panic::Location::caller());
        }
        let last = Tensor::scalar(self.values.last().copied().unwrap_or(0.0));
        // From the last piece backwards, so that the first boundary not below the step wins.
        self.boundaries.iter().zip(&self.values).rev().fold(last, |after, (b, v)| step.less_equal(*b).select(*v, after))
    }
    fn config(&self) -> Value {
        self.to_config()
    }
}

impl Known for PiecewiseConstantDecay {
    const CLASS: &'static str = "PiecewiseConstantDecay";
    const REQUIRED: &'static [&'static str] = &["boundaries", "values"];
    fn blank() -> Self {
        PiecewiseConstantDecay { boundaries: Vec::new(), values: Vec::new() }
    }
    fn fields(&mut self) -> Fields<'_> {
        vec![("boundaries", (&mut self.boundaries).into()), ("values", (&mut self.values).into())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_belongs_to_the_piece_before_it() {
        let s = PiecewiseConstantDecay::new([5, 8], [0.3, 0.2, 0.1]);
        let rates: Vec<f64> = [0, 5, 6, 8, 9].into_iter().map(|i| s.at(i).unwrap()).collect();
        assert_eq!(rates, [0.3, 0.3, 0.2, 0.2, 0.1]);
    }

    #[test]
    fn pieces_that_do_not_fit_are_an_error() {
        let message = PiecewiseConstantDecay::new([5], [0.3]).at(0).unwrap_err().to_string();
        assert!(message.starts_with("PiecewiseConstantDecay: 1 boundaries need 2 values, got 1"), "{message}");
        let message = PiecewiseConstantDecay::new([5, 5], [0.3, 0.2, 0.1]).at(0).unwrap_err().to_string();
        assert!(message.contains("should rise"), "{message}");
    }
}
