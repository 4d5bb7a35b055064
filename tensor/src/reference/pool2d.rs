//! The 2-D pooling family.

use super::{Approx, Ranged, accumulate::Sums, binary::extreme, index::dims4, reduce::first_largest};
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::{Binary, Meta, Pool2d, PoolKind},
};

/// A member of the family; `other` is its second operand.
pub fn apply(kind: &PoolKind, pool: &Pool2d, x: &Ranged, other: Option<&Ranged>, meta: Meta) -> Result<Ranged> {
    let second = || other.ok_or_else(|| Error::argument("this pooling takes two inputs"));
    let (from, to) = (dims4(&x.meta.shape)?, dims4(&meta.shape)?);
    let window_of = |cells: &[usize]| cells.iter().map(|&cell| x.at(cell)).collect::<Vec<_>>();
    let mut y = vec![Approx::exact(0.0); meta.shape.numel()];
    let mut sums = Sums::new(meta.shape.numel());
    match kind {
        PoolKind::Max => windows(pool, from, |at, cells| {
            y[at] = window_of(cells).into_iter().reduce(|a, b| extreme(Binary::Max, a, b)).unwrap_or(y[at]);
        }),
        PoolKind::MaxGather => {
            let values = second()?;
            windows(pool, from, |at, cells| {
                let winner = first_largest(&window_of(cells));
                let own = values.at(cells[winner.first]);
                let value = winner.rivals.iter().fold(own, |own, &rival| own.or(values.at(cells[rival])));
                y[at] = if winner.bounded { value } else { Approx::anything(value.value) };
            });
        }
        PoolKind::MaxGrad => {
            let dy = second()?;
            windows(pool, from, |at, cells| {
                let winner = first_largest(&window_of(cells));
                let (share, none) = (dy.at(at), Approx::exact(0.0));
                let own = if winner.rivals.is_empty() { share } else { share.or(none) };
                sums.add(cells[winner.first], if winner.bounded { own } else { Approx::anything(share.value) });
                for &rival in &winner.rivals {
                    sums.add(cells[rival], if winner.bounded { none.or(share) } else { Approx::anything(0.0) });
                }
            });
        }
        PoolKind::Avg => windows(pool, from, |at, cells| {
            let share = share(cells);
            cells.iter().for_each(|&cell| sums.add_product(at, x.at(cell), share));
        }),
        PoolKind::AvgGrad(_) => windows(pool, to, |at, cells| {
            let share = share(cells);
            cells.iter().for_each(|&cell| sums.add_product(cell, x.at(at), share));
        }),
    }
    match kind {
        PoolKind::Max | PoolKind::MaxGather => Ok(Ranged::build(meta, |at| y[at])),
        _ => Ok(sums.finish(meta)),
    }
}

/// One part of the cells of a window, by a product or a quotient.
fn share(cells: &[usize]) -> Approx {
    Approx::exact(1.0 / cells.len() as f64).rounded(3.0, DType::F32)
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
