//! Rules of primitives that treat every line along an axis for itself.

use super::Site;
use addax_tensor::{
    DType, Result, Tensor,
    graph::{Cumulate, CumulateOp, LineKind},
};

/// The cotangents of the operands.
pub(super) fn vjp(kind: LineKind, axis: isize, site: &Site) -> Result<Vec<Option<Tensor>>> {
    Ok(match kind {
        LineKind::Cumulate(how) => {
            let [x] = site.operands()?;
            vec![Some(cumulate(how, axis, x, site.cotangent()?)?)]
        }
        // No floats come out.
        LineKind::ArgSort { .. } => vec![None],
        // y = x at i        x̄ = ȳ added at i
        LineKind::Take => {
            let ([x, at], dy) = (site.operands()?, site.cotangent()?);
            vec![Some(dy.add_along_axis(at, axis, length(x, axis)?)), None]
        }
        // y = x added at i        x̄ = ȳ at i
        LineKind::Add => {
            let ([at, _], dy) = (site.operands()?, site.cotangent()?);
            vec![None, Some(dy.take_along_axis(at, axis))]
        }
    })
}

fn length(x: &Tensor, axis: isize) -> Result<usize> {
    let shape = x.shape()?;
    Ok(shape[shape.axis(axis)?])
}

fn cumulate(how: Cumulate, axis: isize, x: &Tensor, dy: &Tensor) -> Result<Tensor> {
    if how.op == CumulateOp::Sum {
        // y = L·x        x̄ = Lᵀ·ȳ, which runs the other way
        return Ok(dy.cumulate(Cumulate { reverse: !how.reverse, ..how }, axis));
    }
    if length(x, axis)? == 0 {
        return Ok(dy.clone());
    }
    if how.reverse {
        let forwards = cumulate(Cumulate { reverse: false, ..how }, axis, &x.flip(axis), &dy.flip(axis))?;
        return Ok(forwards.flip(axis));
    }
    // Of an exclusive fold, result i + 1 belongs to element i.
    let dy = if how.exclusive { later(dy, axis, 1, 0.0)? } else { dy.clone() };
    match how.op {
        CumulateOp::Max => to_winner(axis, x, &dy),
        CumulateOp::Min => to_winner(axis, &-x, &dy),
        _ => product(axis, x, &dy),
    }
}

/// `y[i] = x[0]·…·x[i]`: `x̄[k] = (x[0]·…·x[k-1]) · S[k]` with `S[k] = ȳ[k] + x[k+1]·S[k+1]`, which divides by nothing and so is
/// right at zeros. The recurrence is solved by doubling: after `n` turns `S` covers `2ⁿ` terms and `A` their factors.
fn product(axis: isize, x: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let n = length(x, axis)?;
    let mut sums = dy.clone();
    let mut factors = later(x, axis, 1, 0.0)?;
    let mut reach = 1;
    while reach < n {
        sums = &sums + &factors * later(&sums, axis, reach, 0.0)?;
        factors = &factors * later(&factors, axis, reach, 0.0)?;
        reach *= 2;
    }
    let before = Cumulate { op: CumulateOp::Prod, reverse: false, exclusive: true };
    Ok(x.cumulate(before, axis) * sums)
}

/// `y[i] = max(x[0], …, x[i])`: each `ȳ[i]` goes to the first element that is as large as `y[i]`.
fn to_winner(axis: isize, x: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let shape = x.shape()?;
    let before = Cumulate { op: CumulateOp::Max, reverse: false, exclusive: true };
    let place = Tensor::iota(DType::I32, shape, axis);
    // Places where a new maximum is set; the first is one, as nothing was before.
    let record = x.greater(x.cumulate(before, axis));
    let winner = record.select(place, 0).cummax(axis);
    Ok(dy.add_along_axis(&winner, axis, length(x, axis)?))
}

/// `x[i + by]` at `i`, `fill` behind the end.
fn later(x: &Tensor, axis: isize, by: usize, fill: f64) -> Result<Tensor> {
    let at = x.shape()?.axis(axis)?;
    let by = by.min(length(x, axis)?);
    let mut pads = vec![(0, 0); x.rank()?];
    pads[at] = (0, by);
    Ok(x.slice(axis, by..).pad(pads, fill))
}
