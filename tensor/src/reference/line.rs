//! Primitives that treat every line along an axis for itself.

use super::{Approx, Ranged, accumulate::Sums, binary::extreme, cast::number, index::around, reduce::Factors};
use crate::{
    error::{Error, Result},
    graph::{Binary, Cumulate, CumulateOp, LineKind, Meta},
};
use std::rc::Rc;

/// The member of the family, along this axis.
pub fn apply(kind: LineKind, axis: usize, inputs: &[Rc<Ranged>], meta: Meta) -> Result<Ranged> {
    Ok(match (kind, inputs) {
        (LineKind::Cumulate(how), [x]) => cumulate(how, axis, x, meta),
        (LineKind::ArgSort { descending }, [x]) => argsort(descending, axis, x, meta),
        (LineKind::Take, [data, indices]) => take(axis, data, indices, meta),
        (LineKind::Add, [indices, updates]) => add(axis, indices, updates, meta),
        _ => return Err(Error::argument(format!("`{}` does not take {} inputs", kind.name(), inputs.len()))),
    })
}

/// Positions of each line's elements.
fn lines([outer, len, inner]: [usize; 3]) -> impl Iterator<Item = Vec<usize>> {
    let line = move |o: usize, j: usize| (0..len).map(|i| (o * len + i) * inner + j).collect();
    (0..outer).flat_map(move |o| (0..inner).map(move |j| line(o, j)))
}

fn cumulate(how: Cumulate, axis: usize, x: &Ranged, meta: Meta) -> Ranged {
    let dtype = meta.dtype;
    // Of infinities nothing is promised anywhere.
    let identity = number(how.op.identity(dtype), dtype);
    let mut sums = Sums::new(x.value.len());
    let mut folds = vec![identity; x.value.len()];
    for mut line in lines(around(&x.meta.shape, axis)) {
        if how.reverse {
            line.reverse();
        }
        let mut factors = Factors::default();
        let mut best = identity;
        for (n, &at) in line.iter().enumerate() {
            if n > 0 {
                sums.go_on(line[n - 1], at);
            }
            // The newest element that counts here.
            let newest = if how.exclusive { n.checked_sub(1).map(|before| line[before]) } else { Some(at) };
            let Some(newest) = newest.map(|at| x.at(at)) else { continue };
            match how.op {
                CumulateOp::Sum => sums.add(at, newest),
                CumulateOp::Prod => {
                    factors.push(newest);
                    folds[at] = factors.finish(dtype);
                }
                CumulateOp::Max | CumulateOp::Min => {
                    let op = if how.op == CumulateOp::Max { Binary::Max } else { Binary::Min };
                    let first = n == usize::from(how.exclusive);
                    best = if first { newest } else { extreme(op, best, newest) };
                    folds[at] = best;
                }
            }
        }
    }
    match how.op {
        CumulateOp::Sum => sums.finish(meta),
        _ => Ranged::build(meta, |at| folds[at]),
    }
}

fn argsort(descending: bool, axis: usize, x: &Ranged, meta: Meta) -> Ranged {
    let mut sorted = vec![Approx::exact(0.0); x.value.len()];
    for line in lines(around(&x.meta.shape, axis)) {
        // What is sorted: NaN above everything, the larger first if descending.
        let key = |i: usize| {
            let x = x.at(line[i]);
            match (x.value.is_nan(), descending) {
                (true, _) => Approx { value: f64::INFINITY, radius: x.radius },
                (false, true) => x.negated(),
                (false, false) => x,
            }
        };
        let nan = |i: usize| x.value[line[i]].is_nan();
        let mut order: Vec<usize> = (0..line.len()).collect();
        order.sort_by(|&a, &b| nan(a).cmp(&nan(b)).then(partial(key(a).value, key(b).value)).then(a.cmp(&b)));
        let known = (0..line.len()).all(|i| key(i).is_exact());
        let bounded = (0..line.len()).all(|i| key(i).is_exact() || key(i).is_bounded());
        for (rank, &i) in order.iter().enumerate() {
            let own = key(i);
            // Whether everything before it surely comes before, and everything after it after.
            let before = |&j: &usize| apart(key(j), own);
            let after = |&j: &usize| apart(own, key(j));
            let sure = known || bounded && order[..rank].iter().all(before) && order[rank + 1..].iter().all(after);
            sorted[line[rank]] = Approx::known(i as f64, sure);
        }
    }
    Ranged::build(meta, |at| sorted[at])
}

fn partial(a: f64, b: f64) -> std::cmp::Ordering {
    a.partial_cmp(&b).unwrap_or(std::cmp::Ordering::Equal)
}

/// Whether of two neighbours in order the first surely comes first: both are known, or their intervals do not meet.
fn apart(first: Approx, second: Approx) -> bool {
    (first.is_exact() && second.is_exact()) || first.high() < second.low()
}

fn take(axis: usize, data: &Ranged, indices: &Ranged, meta: Meta) -> Ranged {
    let [_, len, inner] = around(&data.meta.shape, axis);
    let count = meta.shape[axis];
    Ranged::build(meta, |at| {
        let (outer, j) = (at / inner / count, at % inner);
        let index = indices.value[at];
        let element = match 0.0 <= index && index < len as f64 {
            true => data.at((outer * len + index as usize) * inner + j),
            false => Approx::exact(0.0),
        };
        if indices.at(at).is_exact() { element } else { Approx::anything(element.value) }
    })
}

fn add(axis: usize, indices: &Ranged, updates: &Ranged, meta: Meta) -> Ranged {
    let from = lines(around(&updates.meta.shape, axis));
    let to: Vec<Vec<usize>> = lines(around(&meta.shape, axis)).collect();
    let mut sums = Sums::new(meta.shape.numel());
    let mut unsure = Vec::new();
    for (from, to) in from.zip(&to) {
        for &at in &from {
            let index = indices.value[at];
            if 0.0 <= index && index < to.len() as f64 {
                sums.add(to[index as usize], updates.at(at));
            }
        }
        if from.iter().any(|&at| !indices.at(at).is_exact()) {
            unsure.extend_from_slice(to);
        }
    }
    let mut result = sums.finish(meta);
    for at in unsure {
        result.radius[at] = f64::INFINITY;
    }
    result
}
