//! Sums of many terms.

use super::{
    Ranged,
    approx::{Approx, ULP},
};
use crate::graph::Meta;

/// One running sum per element of a result.
pub struct Sums(Vec<Sum>);

#[derive(Clone)]
struct Sum {
    value: f64,
    /// What the errors of the terms add up to.
    radius: f64,
    /// What the magnitudes of the terms add up to.
    reach: f64,
    terms: f64,
    /// Largest power of two that divides every term.
    grain: f64,
}

impl Sums {
    /// As many sums, all 0.
    pub fn new(len: usize) -> Self {
        Sums(vec![Sum { value: 0.0, radius: 0.0, reach: 0.0, terms: 0.0, grain: f64::INFINITY }; len])
    }
    /// Adds a term to sum `at`.
    pub fn add(&mut self, at: usize, x: Approx) {
        let sum = &mut self.0[at];
        sum.value += x.value;
        sum.radius += x.radius;
        sum.reach += x.reach();
        sum.terms += 1.0;
        sum.grain = sum.grain.min(grain(x.value));
    }
    /// Sum `at` becomes what sum `before` is so far.
    pub fn go_on(&mut self, before: usize, at: usize) {
        self.0[at] = self.0[before].clone();
    }
    /// Adds a product to sum `at`.
    pub fn add_product(&mut self, at: usize, x: Approx, y: Approx) {
        let radius = x.value.abs() * y.radius + x.radius * y.value.abs() + x.radius * y.radius;
        self.add(at, Approx { value: x.value * y.value, radius });
    }
    /// The sums as a tensor. Those of integers wrap. In whatever order the terms are added, each of as many additions (and multiplications) errs
    /// by at most half a unit in the last place of what the magnitudes add up to.
    pub fn finish(self, meta: Meta) -> Ranged {
        let sums = self.0;
        let dtype = meta.dtype;
        Ranged::build(meta, |at| {
            let sum = &sums[at];
            let total = Approx { value: sum.value, radius: sum.radius };
            if dtype.is_int() {
                return Approx::whole(sum.value as i64, sum.radius, dtype);
            }
            // Few enough bits from the largest sum to the last digit: no order rounds.
            let exact = total.is_exact() && sum.reach * ULP / 2.0 <= sum.grain;
            match exact || sum.terms < 2.0 {
                true => total.correctly_rounded(dtype),
                false if sum.reach.is_finite() => {
                    let rounding = sum.reach * sum.terms * ULP / 2.0;
                    Approx { value: sum.value, radius: sum.radius + rounding }.rounded(0.5, dtype)
                }
                false => Approx::anything(sum.value),
            }
        })
    }
}

/// The last binary digit of a number, as a power of two.
fn grain(x: f64) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return f64::INFINITY;
    }
    let exponent = ((x.to_bits() >> 52) & 0x7ff) as i32 - 1075;
    let digits = (x.to_bits() & ((1 << 52) - 1)) | 1 << 52;
    2f64.powi(exponent + digits.trailing_zeros() as i32)
}
