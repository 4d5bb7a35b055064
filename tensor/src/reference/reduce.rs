//! Reductions over axes.

use super::{
    Ranged,
    accumulate::Sums,
    approx::{Approx, ULP, largest},
    binary::extreme,
    cast::{truth, wrap},
    index::for_each,
};
use crate::{
    dtype::DType,
    graph::{Binary, Meta, ReduceOp},
};

/// Over these axes, which vanish.
pub fn apply(op: ReduceOp, axes: &[usize], x: &Ranged, meta: Meta) -> Ranged {
    let groups = groups(axes, x, &meta);
    if op == ReduceOp::Sum {
        let mut sums = Sums::new(groups.len());
        for (at, group) in groups.iter().enumerate() {
            group.iter().for_each(|&i| sums.add(at, x.at(i)));
        }
        return sums.finish(meta);
    }
    let dtype = meta.dtype;
    Ranged::build(meta, |at| {
        let group: Vec<Approx> = groups[at].iter().map(|&i| x.at(i)).collect();
        match op {
            ReduceOp::Sum | ReduceOp::Prod => {
                let mut factors = Factors::default();
                group.into_iter().for_each(|x| factors.push(x));
                factors.finish(dtype)
            }
            ReduceOp::Max => group.into_iter().reduce(|a, b| extreme(Binary::Max, a, b)).unwrap_or(NOTHING),
            ReduceOp::Min => group.into_iter().reduce(|a, b| extreme(Binary::Min, a, b)).unwrap_or(NOTHING),
            ReduceOp::ArgMax => position(first_largest(&group)),
            ReduceOp::ArgMin => position(first_largest(&group.iter().map(|x| x.negated()).collect::<Vec<_>>())),
            ReduceOp::Any => decided_by(&group, true),
            ReduceOp::All => decided_by(&group, false),
        }
    })
}

/// Recording refuses the largest of nothing.
const NOTHING: Approx = Approx { value: f64::NAN, radius: f64::INFINITY };

/// A product in any order: partial products err by half a unit each, and must neither overflow nor vanish on the way.
pub struct Factors {
    value: f64,
    reach: f64,
    highest: f64,
    lowest: f64,
    count: f64,
    /// Whether all are known whole numbers.
    whole: bool,
    /// Whether all are known.
    exact: bool,
    /// The product of whole numbers, which wraps.
    wrapped: i64,
}

impl Default for Factors {
    fn default() -> Self {
        let one = 1.0;
        Factors { value: one, reach: one, highest: one, lowest: one, count: 0.0, whole: true, exact: true, wrapped: 1 }
    }
}

impl Factors {
    /// One factor more.
    pub fn push(&mut self, x: Approx) {
        self.value *= x.value;
        self.reach *= x.reach();
        self.highest *= x.reach().max(1.0);
        self.lowest *= x.value.abs().min(1.0);
        self.count += 1.0;
        self.whole &= x.is_exact() && x.value.fract() == 0.0;
        self.exact &= x.is_exact();
        self.wrapped = self.wrapped.wrapping_mul(x.value as i64);
    }
    /// The product, in a tensor of this type.
    pub fn finish(&self, dtype: DType) -> Approx {
        let &Factors { value, reach, highest, lowest, .. } = self;
        if !dtype.is_float() {
            return Approx::known(wrap(self.wrapped, dtype), self.exact);
        }
        if self.whole && value.abs() < 1.0 / ULP && value != 0.0 {
            return Approx::exact(value).correctly_rounded(dtype);
        }
        if highest.is_nan() || highest > largest(DType::F32) {
            return Approx::anything(value);
        }
        let spread = match lowest < f64::from(f32::MIN_POSITIVE) {
            true => reach + value.abs(),
            false => reach - value.abs() + reach * self.count * ULP / 2.0,
        };
        Approx { value, radius: spread }.rounded(0.5, dtype)
    }
}

/// Whether any element is `by`: one sure element decides.
fn decided_by(group: &[Approx], by: bool) -> Approx {
    let any = group.iter().any(|x| (x.value != 0.0) == by);
    let sure = group.iter().any(|x| (x.value != 0.0) == by && x.is_exact()) || group.iter().all(|x| x.is_exact());
    Approx::known(truth(any == by), sure)
}

/// The first winner of several, and who else an executor may take for it.
pub struct Winner {
    /// Position of the first largest.
    pub first: usize,
    /// Positions of the others that may be it.
    pub rivals: Vec<usize>,
    /// Whether all are numbers with a bounded error.
    pub bounded: bool,
}

/// The first of some numbers (at least one) that no other one exceeds.
pub fn first_largest(group: &[Approx]) -> Winner {
    let better = |best: usize, i: usize| if group[i].value > group[best].value { i } else { best };
    let first = (1..group.len()).fold(0, better);
    let sure = |i: usize| match i < first {
        true => group[i].high() < group[first].low(),
        false => group[i].high() <= group[first].low(),
    };
    let rivals = (0..group.len()).filter(|&i| i != first && !sure(i)).collect();
    Winner { first, rivals, bounded: group.iter().all(|x| x.is_bounded()) }
}

fn position(winner: Winner) -> Approx {
    let at = |i: usize| Approx::known(i as f64, winner.bounded);
    winner.rivals.iter().fold(at(winner.first), |best, &rival| best.or(at(rival)))
}

/// For each element of the result, the positions of the elements it is computed from, in order.
fn groups(axes: &[usize], x: &Ranged, meta: &Meta) -> Vec<Vec<usize>> {
    let shape = &x.meta.shape;
    let kept: Vec<usize> = (0..shape.rank()).filter(|axis| !axes.contains(axis)).collect();
    let strides = meta.shape.strides();
    let mut groups = vec![Vec::new(); meta.shape.numel()];
    let mut position = 0;
    for_each(shape, |index| {
        let at: usize = kept.iter().zip(&strides).map(|(&axis, stride)| index[axis] * stride).sum();
        groups[at].push(position);
        position += 1;
    });
    groups
}
