//! The coalesced axes of a space: neighbours become one wherever every affine function of a block allows it, and the functions
//! become functions of what is left.

use crate::plan::expr::{Affine, Block, Guard, Inst};

/// Most axes of a space after coalescing.
pub(super) const MAX_RANK: usize = 8;

/// An affine function of a coalesced index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub base: i64,
    pub strides: [i64; MAX_RANK],
}

impl Line {
    pub(super) fn at(&self, index: &[usize]) -> i64 {
        self.base + self.strides.iter().zip(index).map(|(s, &i)| s * i as i64).sum::<i64>()
    }
    pub(super) fn is_constant(&self) -> bool {
        self.strides.iter().all(|&s| s == 0)
    }
}

/// Holds where `0 <= line < len`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub line: Line,
    pub len: i64,
}

/// The axes of a space, with neighbours merged where every affine function of the block allows it.
pub(super) struct Axes {
    pub lens: [usize; MAX_RANK],
    pub rank: usize,
    /// For each merged axis, the innermost original one.
    from: [usize; MAX_RANK],
    original: usize,
}

impl Axes {
    pub(super) fn coalesce(block: &Block, shape: &[usize]) -> Result<Axes, String> {
        let mut lines: Vec<&Affine> = Vec::new();
        for inst in &block.insts {
            match inst {
                Inst::Index(line) | Inst::Row { index: line, .. } => lines.push(line),
                Inst::Within(guards) => lines.extend(guards.iter().map(|g| &g.index)),
                Inst::Random { sample, element, .. } => lines.extend([sample, element]),
                _ => {}
            }
        }
        for access in block.accesses() {
            lines.push(&access.index);
            lines.extend(access.guards.iter().map(|g| &g.index));
        }
        if let Some(line) = lines.iter().find(|line| line.strides.len() != shape.len()) {
            return Err(format!("an index with {} strides in a space of {} axes", line.strides.len(), shape.len()));
        }
        let mut merged: Vec<(usize, usize)> = Vec::new();
        for (axis, &len) in shape.iter().enumerate().filter(|(_, len)| **len != 1) {
            match merged.last_mut() {
                Some((from, total))
                    if lines.iter().all(|line| line.strides[*from] == line.strides[axis] * len as i64) =>
                {
                    *from = axis;
                    *total *= len;
                }
                _ => merged.push((axis, len)),
            }
        }
        if merged.len() > MAX_RANK {
            return Err(format!("{} axes that cannot be merged, at most {MAX_RANK} fit", merged.len()));
        }
        let mut axes = Axes {
            lens: [1; MAX_RANK],
            rank: merged.len().max(1),
            from: [usize::MAX; MAX_RANK],
            original: shape.len(),
        };
        for (i, (from, len)) in merged.into_iter().enumerate() {
            axes.lens[i] = len;
            axes.from[i] = from;
        }
        Ok(axes)
    }
    pub(super) fn line(&self, affine: &Affine) -> Result<Line, String> {
        if affine.strides.len() != self.original {
            return Err(format!("an index with {} strides in a space of {} axes", affine.strides.len(), self.original));
        }
        let strides = self.from.map(|from| affine.strides.get(from).copied().unwrap_or(0));
        Ok(Line { base: affine.offset, strides })
    }
    pub(super) fn limits(&self, guards: &[Guard], shape: &[usize]) -> Result<Vec<Limit>, String> {
        let needed = guards.iter().filter(|guard| !guard.always(shape));
        needed.map(|guard| Ok(Limit { line: self.line(&guard.index)?, len: guard.len })).collect()
    }
    /// Whether it is the number of the run of the innermost axis.
    pub(super) fn counts_runs(&self, line: &Line) -> bool {
        let mut expected = 1;
        for axis in (0..self.rank - 1).rev() {
            if self.lens[axis] != 1 && line.strides[axis] != expected {
                return false;
            }
            expected *= self.lens[axis] as i64;
        }
        line.strides[self.rank - 1] == 0
    }
    pub(super) fn is_linear(&self, line: &Line) -> bool {
        let mut expected = 1;
        for axis in (0..self.rank).rev() {
            if self.lens[axis] != 1 && line.strides[axis] != expected {
                return false;
            }
            expected *= self.lens[axis] as i64;
        }
        true
    }
}
