//! The 2-D convolution family: one walk over all products, of which each member sums up another side.

use super::{Ranged, accumulate::Sums, index::dims4};
use crate::{
    error::Result,
    graph::{Conv2d, ConvKind, Meta},
};

/// A member of the family.
pub fn apply(kind: &ConvKind, conv: &Conv2d, a: &Ranged, b: &Ranged, meta: Meta) -> Result<Ranged> {
    let shapes = (dims4(&a.meta.shape)?, dims4(&b.meta.shape)?, dims4(&meta.shape)?);
    let mut sums = Sums::new(meta.shape.numel());
    match kind {
        ConvKind::Forward => {
            products(conv, shapes.0, shapes.1, shapes.2, |x, w, y| sums.add_product(y, a.at(x), b.at(w)))
        }
        ConvKind::InputGrad(_) => {
            products(conv, shapes.2, shapes.1, shapes.0, |x, w, y| sums.add_product(x, a.at(y), b.at(w)));
        }
        ConvKind::FilterGrad(_) => {
            products(conv, shapes.0, shapes.2, shapes.1, |x, w, y| sums.add_product(w, a.at(x), b.at(y)));
        }
    }
    let mut result = sums.finish(meta);
    // The zeros that an executor may pad an operand with meet every element of the other one.
    if !a.is_bounded() || !b.is_bounded() {
        result.radius.fill(f64::INFINITY);
    }
    Ok(result)
}

/// Calls `f` with the positions in x, w and y of every product `x·w` that is part of `y`.
fn products(
    conv: &Conv2d,
    [_, h, w, c]: [usize; 4],
    [kh, kw, cin, f]: [usize; 4],
    [n, oh, ow, _]: [usize; 4],
    mut product: impl FnMut(usize, usize, usize),
) {
    let filters = f / conv.groups;
    let inside = |i: usize, out: usize, k: usize, len: usize| {
        (out * conv.strides[i] + k * conv.dilation[i]).checked_sub(conv.pads[i].0).filter(|&at| at < len)
    };
    for image in 0..n {
        for (oy, ox) in (0..oh).flat_map(|oy| (0..ow).map(move |ox| (oy, ox))) {
            for (ky, kx) in (0..kh).flat_map(|ky| (0..kw).map(move |kx| (ky, kx))) {
                let (Some(iy), Some(ix)) = (inside(0, oy, ky, h), inside(1, ox, kx, w)) else {
                    continue;
                };
                let x = ((image * h + iy) * w + ix) * c;
                let k = (ky * kw + kx) * cin;
                let y = ((image * oh + oy) * ow + ox) * f;
                for group in 0..conv.groups {
                    for ci in 0..cin {
                        for fi in group * filters..(group + 1) * filters {
                            product(x + group * cin + ci, (k + ci) * f + fi, y + fi);
                        }
                    }
                }
            }
        }
    }
}
