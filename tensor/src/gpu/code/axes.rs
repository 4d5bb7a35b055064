//! Fewer axes: neighbours that every index runs through as if they were one become one, which saves divisions.

use crate::plan::expr::{Access, Affine, Block, Guard, Inst, Store};

/// An axis of a merged space: its length, and the original axis whose stride it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Number of indices.
    pub len: usize,
    /// Innermost of the original axes it stands for.
    pub of: usize,
    /// Only axes of one class are merged.
    pub class: u8,
}

/// The axes of `shape` that are left when those of length 1 go and neighbours of one class merge wherever all of `indices`
/// allow it.
pub fn merge(shape: &[usize], class: impl Fn(usize) -> u8, indices: &[&Affine]) -> Vec<Axis> {
    let mut axes: Vec<Axis> = Vec::new();
    for (of, &len) in shape.iter().enumerate().filter(|(_, len)| **len != 1) {
        let class = class(of);
        let stride = |index: &Affine, axis: usize| index.strides.get(axis).copied().unwrap_or(0);
        if let Some(last) = axes.last_mut()
            && last.class == class
            && indices.iter().all(|index| stride(index, last.of) == stride(index, of) * len as i64)
        {
            *last = Axis { len: last.len * len, of, class };
            continue;
        }
        axes.push(Axis { len, of, class });
    }
    axes
}

/// Every index of a block.
pub fn indices(block: &Block) -> Vec<&Affine> {
    let mut list = Vec::new();
    for inst in &block.insts {
        match inst {
            Inst::Load(access) => {
                list.push(&access.index);
                list.extend(access.guards.iter().map(|g| &g.index));
            }
            Inst::Index(index) => list.push(index),
            Inst::Within(guards) => list.extend(guards.iter().map(|g| &g.index)),
            Inst::Random { sample, element, .. } => list.extend([sample, element]),
            _ => {}
        }
    }
    list.extend(block.stores.iter().map(|store| &store.access.index));
    list
}

/// An index over merged axes.
pub fn over(index: &Affine, axes: &[Axis]) -> Affine {
    let stride = |axis: &Axis| index.strides.get(axis.of).copied().unwrap_or(0);
    Affine { offset: index.offset, strides: axes.iter().map(stride).collect() }
}

/// A block over merged axes.
pub fn block_over(block: &Block, axes: &[Axis]) -> Block {
    let guards = |list: &[Guard]| list.iter().map(|g| Guard { index: over(&g.index, axes), len: g.len }).collect();
    let access = |a: &Access| Access { arg: a.arg, index: over(&a.index, axes), guards: guards(&a.guards) };
    let inst = |inst: &Inst| match inst {
        Inst::Load(a) => Inst::Load(access(a)),
        Inst::Index(index) => Inst::Index(over(index, axes)),
        Inst::Within(list) => Inst::Within(guards(list)),
        Inst::Random { key, stream, sample, element } => {
            Inst::Random { key: *key, stream: *stream, sample: over(sample, axes), element: over(element, axes) }
        }
        other => other.clone(),
    };
    let store = |store: &Store| Store { reg: store.reg, access: access(&store.access) };
    Block {
        insts: block.insts.iter().map(inst).collect(),
        dtypes: block.dtypes.clone(),
        stores: block.stores.iter().map(store).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dense_axes_become_one() {
        let dense = Affine::row_major(&[2, 3, 1, 4]);
        let axes = merge(&[2, 3, 1, 4], |_| 0, &[&dense]);
        assert_eq!(axes, [Axis { len: 24, of: 3, class: 0 }]);
        assert_eq!(over(&dense, &axes), Affine { offset: 0, strides: vec![1] });
    }

    #[test]
    fn classes_stay_apart() {
        let dense = Affine::row_major(&[2, 3]);
        assert_eq!(merge(&[2, 3], |axis| axis as u8, &[&dense]).len(), 2);
    }

    proptest! {
        /// A merged space visits the same elements in the same order.
        #[test]
        fn merging_keeps_every_index(
            shape in proptest::collection::vec(1usize..4, 0..5),
            strides in proptest::collection::vec(-3i64..4, 5),
            dense: bool,
        ) {
            let index = match dense {
                true => Affine::row_major(&shape),
                false => Affine { offset: 7, strides: strides[..shape.len()].to_vec() },
            };
            let axes = merge(&shape, |_| 0, &[&index]);
            let merged = over(&index, &axes);
            let lens: Vec<usize> = axes.iter().map(|a| a.len).collect();
            let unravel = |mut n: usize, lens: &[usize]| {
                let mut at = vec![0; lens.len()];
                for (place, len) in at.iter_mut().zip(lens).rev() {
                    *place = n % len;
                    n /= len;
                }
                at
            };
            for n in 0..shape.iter().product() {
                prop_assert_eq!(index.at(&unravel(n, &shape)), merged.at(&unravel(n, &lens)));
            }
        }
    }
}
