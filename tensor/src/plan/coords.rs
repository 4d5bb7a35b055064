//! Coordinates through views: where an element of a view lies in what it looks at.

use super::expr::{Affine, Guard};
use crate::graph::View;

/// The coordinates of the iteration space itself: one unit coordinate per axis.
pub fn identity(rank: usize) -> Vec<Affine> {
    (0..rank)
        .map(|axis| {
            let mut strides = vec![0; rank];
            strides[axis] = 1;
            Affine { offset: 0, strides }
        })
        .collect()
}

/// Row-major element index of these coordinates in a dense value of this shape.
pub fn flat(coords: &[Affine], shape: &[usize], rank: usize) -> Affine {
    let strides = Affine::row_major(shape).strides;
    let mut index = Affine::constant(0, rank);
    for (coord, stride) in coords.iter().zip(strides) {
        add_scaled(&mut index, coord, stride);
    }
    index
}

fn add_scaled(to: &mut Affine, from: &Affine, factor: i64) {
    to.offset += factor * from.offset;
    for (a, b) in to.strides.iter_mut().zip(&from.strides) {
        *a += factor * b;
    }
}

/// Axes of two shapes that hold the same elements, matched in groups: `(axes of outer, axes of inner)`.
/// Axes of length 1 belong to no group.
pub fn groups(outer: &[usize], inner: &[usize]) -> Option<Vec<(Vec<usize>, Vec<usize>)>> {
    let long = |s: &[usize]| (0..s.len()).filter(|&a| s[a] != 1).collect::<Vec<_>>();
    let (a, b) = (long(outer), long(inner));
    let (mut i, mut j) = (0, 0);
    let mut result = Vec::new();
    while i < a.len() && j < b.len() {
        let (start_i, start_j) = (i, j);
        let (mut m, mut n) = (outer[a[i]], inner[b[j]]);
        while m != n {
            if m < n {
                i += 1;
                m *= outer[*a.get(i)?];
            } else {
                j += 1;
                n *= inner[*b.get(j)?];
            }
        }
        i += 1;
        j += 1;
        result.push((a[start_i..i].to_vec(), b[start_j..j].to_vec()));
    }
    (i == a.len() && j == b.len()).then_some(result)
}

/// Whether a reshape only joins axes of what it looks at never, that is: its coordinates are affine in the outer ones.
pub fn reshape_is_affine(outer: &[usize], inner: &[usize]) -> bool {
    groups(outer, inner).is_some_and(|groups| groups.iter().all(|(_, inner)| inner.len() == 1))
}

/// Coordinates below a view, given those above it and the shapes above and below. New guards are appended.
/// `None` if they are not affine (a reshape that splits an axis).
pub fn below(
    view: &View,
    above: &[usize],
    under: &[usize],
    coords: &[Affine],
    rank: usize,
    guards: &mut Vec<Guard>,
) -> Option<Vec<Affine>> {
    Some(match view {
        View::Reshape(_) => {
            let mut result = vec![Affine::constant(0, rank); under.len()];
            for (outer, inner) in groups(above, under)? {
                let [inner] = inner[..] else { return None };
                let mut stride = 1;
                for &axis in outer.iter().rev() {
                    add_scaled(&mut result[inner], &coords[axis], stride);
                    stride *= above[axis] as i64;
                }
            }
            result
        }
        View::Permute(order) => {
            let mut result = vec![Affine::constant(0, rank); under.len()];
            for (coord, &axis) in coords.iter().zip(order) {
                result[axis] = coord.clone();
            }
            result
        }
        View::Broadcast(_) => {
            let added = above.len() - under.len();
            (0..under.len())
                .map(|a| if under[a] == 1 { Affine::constant(0, rank) } else { coords[a + added].clone() })
                .collect()
        }
        View::Slice(axes) => coords
            .iter()
            .zip(axes)
            .map(|(coord, axis)| Affine {
                offset: axis.start as i64 + coord.offset * axis.step as i64,
                strides: coord.strides.iter().map(|s| s * axis.step as i64).collect(),
            })
            .collect(),
        View::Flip(axes) => (0..coords.len())
            .map(|a| match axes.contains(&a) {
                true => Affine {
                    offset: under[a] as i64 - 1 - coords[a].offset,
                    strides: coords[a].strides.iter().map(|s| -s).collect(),
                },
                false => coords[a].clone(),
            })
            .collect(),
        View::Pad(pads, _) => (0..coords.len())
            .map(|a| {
                let mut index = coords[a].clone();
                index.offset -= pads[a].0 as i64;
                if pads[a] != (0, 0) {
                    guards.push(Guard { index: index.clone(), len: under[a] as i64 });
                }
                index
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reshape_that_joins_is_affine_and_one_that_splits_is_not() {
        assert!(reshape_is_affine(&[2, 3, 4], &[6, 4]));
        assert!(reshape_is_affine(&[2, 1, 3], &[2, 3, 1]));
        assert!(!reshape_is_affine(&[6, 4], &[2, 3, 4]));
        assert!(!reshape_is_affine(&[6], &[2, 3]));
    }

    #[test]
    fn flip_and_slice_compose() {
        let coords = identity(1);
        let flipped = below(&View::Flip(vec![0]), &[5], &[5], &coords, 1, &mut Vec::new()).unwrap();
        assert_eq!((flipped[0].at(&[0]), flipped[0].at(&[4])), (4, 0));
    }
}
