//! Rules of views: each is linear, its rule is the adjoint.

use super::Site;
use addax_tensor::{
    Result, Shape, Tensor,
    graph::{MatMul, Op, SliceAxis, View},
};

/// The cotangent of `x`, where `y` is `x` seen through `view`.
pub(super) fn vjp(view: &View, x: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let shape = x.shape()?;
    Ok(match view {
        // The same elements: ȳ in x's shape.
        View::Reshape(_) => dy.reshape(shape),
        // y[i₀, i₁, …] with axis k from axis order[k]: ȳ in the inverse order.
        View::Permute(order) => {
            let mut inverse = vec![0; order.len()];
            for (to, &from) in order.iter().enumerate() {
                inverse[from] = to as isize;
            }
            dy.permute(inverse)
        }
        // Each element of x was repeated: x̄ = Σ ȳ over the repeats.
        View::Broadcast(to) => {
            let added = to.rank() - shape.rank();
            let repeated = (0..to.rank()).filter(|&a| a < added || shape[a - added] != to[a]).collect::<Vec<_>>();
            sum_over(dy, &repeated)?.reshape(shape)
        }
        // y is a part of x: ȳ in its place, zeros elsewhere.
        View::Slice(axes) => {
            let cells = spread(dy, axes)?;
            let pads = axes.iter().zip(shape.iter()).zip(cells.shape()?.iter());
            let pads = pads.map(|((axis, len), cells)| (axis.start, len - axis.start - cells)).collect::<Vec<_>>();
            cells.pad(pads, 0.0)
        }
        // x is a part of y: its part of ȳ.
        View::Pad(pads, _) => {
            let axes = pads.iter().zip(shape.iter());
            let axes = axes.map(|(&(start, _), len)| SliceAxis { start, stop: start + len, step: 1 });
            dy.slice_axes(axes.collect::<Vec<_>>())
        }
        // Its own inverse.
        View::Flip(axes) => dy.flip(axes.as_slice()),
    })
}

/// The cotangent of each part of a concatenation along `axis`.
pub(super) fn parts(site: &Site, axis: usize) -> Result<Vec<Option<Tensor>>> {
    let dy = site.cotangent()?;
    let mut start = 0;
    let mut parts = Vec::with_capacity(site.inputs.len());
    for (i, part) in site.inputs.iter().enumerate() {
        let stop = start + part.shape()?[axis];
        parts.push(site.wants(i, || dy.slice(axis as isize, start..stop)));
        start = stop;
    }
    Ok(parts)
}

/// The elements of `dy` at the distances they had in the slice, zeros between them.
fn spread(dy: &Tensor, axes: &[SliceAxis]) -> Result<Tensor> {
    if axes.iter().all(|a| a.step == 1) {
        return Ok(dy.clone());
    }
    // [n] -> [n, 1] -> [n, step] -> [n·step] -> without the zeros after the last element.
    let (mut wide, mut pads, mut joined, mut kept) = (vec![], vec![], vec![], vec![]);
    for (axis, &n) in axes.iter().zip(dy.shape()?.iter()) {
        wide.push(n);
        pads.push((0, 0));
        if axis.step > 1 {
            wide.push(1);
            pads.push((0, axis.step - 1));
        }
        joined.push(n * axis.step);
        let stop = if n == 0 { 0 } else { (n - 1) * axis.step + 1 };
        kept.push(SliceAxis { start: 0, stop, step: 1 });
    }
    Ok(dy.reshape(wide).pad(pads, 0.0).reshape(joined).slice_axes(kept))
}

/// `Σ dy` over `axes`, which vanish.
///
/// The sum of a batch of products `Σ_b a_bᵀ·c_b` over all its batch axes is one product of taller matrices: the gradient of
/// a weight that was shared by a batch is computed in this way, without its gradient for each sample.
fn sum_over(dy: &Tensor, axes: &[usize]) -> Result<Tensor> {
    let batch = dy.rank()?.saturating_sub(2);
    if let Op::MatMul(MatMul { transpose_a: true, transpose_b: false }) = dy.node().op()
        && batch > 0
        && axes.iter().copied().eq(0..batch)
        && let [a, c] = dy.node().inputs().as_slice()
    {
        let how = MatMul { transpose_a: true, transpose_b: false };
        return Ok(tall(a)?.matmul_with(&tall(c)?, how));
    }
    Ok(dy.sum(axes))
}

/// `[.., m, n] -> [..·m, n]`.
fn tall(matrices: &Tensor) -> Result<Tensor> {
    let shape = matrices.shape()?;
    let columns = shape.last().copied().unwrap_or(1);
    let rows: usize = shape.iter().take(shape.rank().saturating_sub(1)).product();
    Ok(matrices.reshape(Shape::from([rows, columns])))
}
