//! Sums of many terms.

use super::Ranged;
use crate::graph::Meta;

/// One running sum per element of a result.
pub struct Sums {
    value: Vec<f64>,
    radius: Vec<f64>,
}

impl Sums {
    /// As many sums, all 0.
    pub fn new(len: usize) -> Self {
        Sums { value: vec![0.0; len], radius: vec![0.0; len] }
    }
    /// Adds a term to sum `at`.
    pub fn add(&mut self, at: usize, (x, rx): (f64, f64)) {
        self.value[at] += x;
        self.radius[at] += rx;
    }
    /// Adds a product to sum `at`.
    pub fn add_product(&mut self, at: usize, (x, rx): (f64, f64), (y, ry): (f64, f64)) {
        self.value[at] += x * y;
        self.radius[at] += x.abs() * ry + rx * y.abs() + rx * ry;
    }
    /// The sums as a tensor.
    pub fn finish(self, meta: Meta) -> Ranged {
        Ranged { meta, value: self.value, radius: self.radius }
    }
}
