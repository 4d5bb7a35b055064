//! The 2-D pooling family.

use super::{Ranged, accumulate::Sums, index::dims4};
use crate::{
    error::{Error, Result},
    graph::{Meta, Pool2d, PoolKind},
};

/// A member of the family; `other` is its second operand.
pub fn apply(kind: &PoolKind, pool: &Pool2d, x: &Ranged, other: Option<&Ranged>, meta: Meta) -> Result<Ranged> {
    let second = || other.ok_or_else(|| Error::argument("this pooling takes two inputs"));
    let (from, to) = (dims4(&x.meta.shape)?, dims4(&meta.shape)?);
    let mut result = Ranged::exact(meta.clone(), vec![0.0; meta.shape.numel()]);
    let mut sums = Sums::new(meta.shape.numel());
    match kind {
        PoolKind::Max => windows(pool, from, |y, cells| result.value[y] = x.value[first_largest(x, cells)]),
        PoolKind::MaxGather => {
            let values = second()?;
            windows(pool, from, |y, cells| result.value[y] = values.value[first_largest(x, cells)]);
        }
        PoolKind::MaxGrad => {
            let dy = second()?;
            windows(pool, from, |y, cells| sums.add(first_largest(x, cells), dy.at(y)));
            return Ok(sums.finish(meta));
        }
        PoolKind::Avg => windows(pool, from, |y, cells| {
            let total: f64 = cells.iter().map(|&cell| x.value[cell]).sum();
            result.value[y] = total / cells.len() as f64;
        }),
        PoolKind::AvgGrad(_) => {
            windows(pool, to, |y, cells| {
                let share = 1.0 / cells.len() as f64;
                cells.iter().for_each(|&cell| sums.add_product(cell, x.at(y), (share, 0.0)));
            });
            return Ok(sums.finish(meta));
        }
    }
    Ok(result)
}

/// The first of these cells that no other one exceeds.
fn first_largest(x: &Ranged, cells: &[usize]) -> usize {
    let mut best = cells[0];
    for &cell in cells {
        if x.value[cell] > x.value[best] {
            best = cell;
        }
    }
    best
}

/// Calls `f` with the position of every window in y, and the positions in x of its cells that exist: never none,
/// because pads are smaller than the window.
fn windows(pool: &Pool2d, [n, h, w, c]: [usize; 4], mut window: impl FnMut(usize, &[usize])) {
    let (oh, ow) = (pool.output_len(0, h), pool.output_len(1, w));
    let span = |i: usize, out: usize, len: usize| {
        let start = out * pool.strides[i];
        let cell = move |k: usize| (start + k).checked_sub(pool.pads[i].0).filter(|&at| at < len);
        (0..pool.window[i]).filter_map(cell)
    };
    let mut cells = Vec::new();
    for image in 0..n {
        for (oy, ox) in (0..oh).flat_map(|oy| (0..ow).map(move |ox| (oy, ox))) {
            for channel in 0..c {
                cells.clear();
                for iy in span(0, oy, h) {
                    cells.extend(span(1, ox, w).map(|ix| ((image * h + iy) * w + ix) * c + channel));
                }
                window(((image * oh + oy) * ow + ox) * c + channel, &cells);
            }
        }
    }
}
