//! Rules of reductions.

use addax_tensor::{
    Result, Shape, Tensor,
    graph::{ReduceOp, SliceAxis},
};

/// The cotangent of `x`, where `y` is `x` reduced over `axes`.
pub(super) fn vjp(op: ReduceOp, axes: &[usize], x: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
    let shape = x.shape()?;
    let with_ones: Shape = (0..shape.rank()).map(|a| if axes.contains(&a) { 1 } else { shape[a] }).collect();
    Ok(Some(match op {
        // y = Σ x        x̄ = ȳ, repeated
        ReduceOp::Sum => dy.reshape(with_ones).broadcast_to(shape),
        // y = Π x        x̄ᵢ = ȳ·Π of the others
        ReduceOp::Prod => dy.reshape(with_ones) * others(x, axes)?,
        // y = max x        x̄ = ȳ / (number of ties) where x = y, else 0; min likewise
        ReduceOp::Max | ReduceOp::Min => {
            let winners = x.equal(y.reshape(&with_ones));
            let ties = winners.cast(x.dtype()?).sum(axes);
            winners.select((dy / ties).reshape(with_ones), 0.0)
        }
        // No floats come out.
        ReduceOp::ArgMax | ReduceOp::ArgMin | ReduceOp::Any | ReduceOp::All => return Ok(None),
    }))
}

/// For each element the product over `axes` of all others: `y / x`, but right where x is 0, and so are its derivatives.
fn others(x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let shape = x.shape()?;
    let kept = (0..shape.rank()).filter(|a| !axes.contains(a));
    let order: Vec<isize> = kept.chain(axes.iter().copied()).map(|a| a as isize).collect();
    let moved = x.permute(&order);
    let moved_shape = moved.shape()?.clone();
    let n: usize = axes.iter().map(|&a| shape[a]).product();
    let rows: usize = moved_shape.iter().take(shape.rank() - axes.len()).product();
    let mut back = vec![0; order.len()];
    for (to, &from) in order.iter().enumerate() {
        back[from as usize] = to as isize;
    }
    Ok(others_in_rows(&moved.reshape([rows, n]))?.reshape(moved_shape).permute(back))
}

/// [`others`] over the last axis of `x [rows, n]`, by a tree of pairs: `log n` levels, `n` products.
fn others_in_rows(x: &Tensor) -> Result<Tensor> {
    // Downwards, the products of pairs; an odd one out is paired with 1.
    let mut levels = Vec::new();
    let mut level = x.clone();
    loop {
        let [rows, n] = level.dims()?;
        if n < 2 {
            break;
        }
        let even = level.pad([(0, 0), (0, n % 2)], 1.0);
        let every_other = |start| {
            let all = SliceAxis { start: 0, stop: rows, step: 1 };
            even.slice_axes([all, SliceAxis { start, stop: n + n % 2, step: 2 }])
        };
        let (left, right) = (every_other(0), every_other(1));
        level = &left * &right;
        levels.push((left, right, n));
    }
    // Upwards: what is outside a pair, times the partner.
    let mut outside = level.ones_like();
    for (left, right, n) in levels.into_iter().rev() {
        let [rows, pairs] = left.dims()?;
        let both = Tensor::stack(&[&outside * right, &outside * left], -1);
        outside = both.reshape([rows, 2 * pairs]).slice(1, ..n);
    }
    Ok(outside)
}
