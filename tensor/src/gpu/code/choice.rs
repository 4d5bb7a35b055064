//! Which shader runs a kernel, and in how many parts a long sum is cut.

use crate::{
    graph::{ConvKind, ReduceOp},
    plan::{Core, Kernel},
};

/// What a device likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuning {
    /// Whether workgroup memory and barriers are fast. On software adapters they are not.
    pub barriers: bool,
    /// Workgroups that keep the device busy.
    pub groups: u64,
}

/// Most bytes that the parts of a sum may take.
const MAX_PARTS: u64 = 64 << 20;

/// A long axis cut in `parts` of `chunk`, the last one perhaps shorter, none empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Number of parts.
    pub parts: u64,
    /// Length of each.
    pub chunk: u64,
}

impl Split {
    /// About `wanted` parts of at least `least` and a multiple of `unit`, for `results` sums of `bytes` each.
    fn new(length: u64, wanted: u64, least: u64, unit: u64, results: u64, bytes: u64) -> Split {
        let most = (length / least.max(1)).min(MAX_PARTS / (results * bytes).max(1)).max(1);
        let parts = wanted.clamp(1, most);
        let chunk = match parts {
            1 => length.max(1),
            _ => length.div_ceil(parts).next_multiple_of(unit),
        };
        Split { parts: length.div_ceil(chunk).max(1), chunk }
    }
}

/// A matrix product's shader and its split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// Name after `matmul_` or `conv2d_`.
    pub engine: &'static str,
    /// How k is cut.
    pub split: Split,
}

/// Extents of a matrix product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extents {
    /// Products side by side.
    pub batches: u64,
    /// Rows.
    pub m: u64,
    /// Columns.
    pub n: u64,
    /// Length of the sums.
    pub k: u64,
}

impl Extents {
    fn tiles(&self, rows: u64, cols: u64) -> u64 {
        self.m.div_ceil(rows) * self.n.div_ceil(cols) * self.batches
    }
}

/// Least length of a part of k.
const LEAST_K: u64 = 128;
/// Length of a part of k next to which adding it to the others is nothing.
const LONG_PART: u64 = 1024;

/// The engine of a product. `skinny` says whether the family has an engine for few rows, `split` whether k may be cut.
pub fn product(tuning: &Tuning, e: Extents, skinny: bool, split: bool) -> Product {
    let work = e.m * e.n * e.k;
    // Large tiles read less for each result, so a long sum is cut before tiles are made smaller, if they are filled well enough.
    let parts = if split { (e.k / LONG_PART).max(1) } else { 1 };
    let suits = |side: u64, groups: u64| {
        let tiles = e.tiles(side, side);
        let filled = 4 * e.m * e.n * e.batches >= tiles * side * side;
        tiles >= groups || (filled && tiles * parts >= groups)
    };
    let (engine, rows, cols, count) = if e.n < 4 && !skinny || work <= 4096 {
        ("point", 1, 1, 64)
    } else if !tuning.barriers {
        ("direct", 8, 4, 64)
    } else if skinny && e.m <= 4 {
        ("skinny", 4, 64, 1)
    } else if suits(128, tuning.groups) {
        ("128", 128, 128, 1)
    } else if suits(64, tuning.groups / 2) {
        ("64", 64, 64, 1)
    } else {
        ("32", 32, 32, 1)
    };
    let groups = e.tiles(rows, cols).div_ceil(count).max(1);
    let wanted = if split && groups * 2 <= tuning.groups { tuning.groups / groups } else { 1 };
    let split = Split::new(e.k, wanted, LEAST_K, 32, e.batches * e.m * e.n, 4);
    Product { engine, split }
}

/// A reduction's shader and its split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reduction {
    /// Name in the table.
    pub name: &'static str,
    /// How the reduced axis is cut.
    pub split: Split,
}

/// The shader of a reduction of `outer x reduced x inner`.
pub fn reduction(tuning: &Tuning, [outer, reduced, inner]: [u64; 3], may_split: bool, bytes: u64) -> Reduction {
    let results = (outer * inner).max(1);
    // Threads side by side should read neighbours: those of a row if the reduced axis runs fastest, else results.
    let (name, threads, least) = match (tuning.barriers, inner) {
        (true, 1..4) if reduced >= 512 => ("reduce_rows", 256, 4096),
        (true, 1..4) if reduced >= 24 => ("reduce_rows_32", 32, 1024),
        _ => ("reduce_columns", 1, 64),
    };
    let groups = (results * threads).div_ceil(256);
    let wanted = if may_split && groups * 4 <= tuning.groups { tuning.groups / groups } else { 1 };
    Reduction { name, split: Split::new(reduced, wanted, least, 1, results, bytes) }
}

/// Most instructions of a kernel over rows: a shader may be longer, but compiles the longer.
pub const MAX_ROW_INSTS: usize = 128;

/// The longest row of a kernel over rows. Its threads keep what stages hand on, up to
/// [`Stage::SLOTS`](crate::plan::Stage::SLOTS) numbers for each element: where one thread has the row, that is as many on its stack.
pub fn max_row(tuning: &Tuning) -> usize {
    if tuning.barriers { 8192 } else { 256 }
}

/// The shader of a kernel over rows, and how many threads it gives a row.
pub fn rows(tuning: &Tuning, rows: u64, len: u64) -> (&'static str, usize) {
    match len {
        _ if !tuning.barriers => ("rows_1", 1),
        // Threads side by side should read neighbours, but most of them would have nothing to do.
        ..16 if rows >= 64 * tuning.groups => ("rows_1", 1),
        512.. => ("rows", 256),
        128.. if rows < 8 * tuning.groups => ("rows", 256),
        _ => ("rows_32", 32),
    }
}

/// `[outer, reduced, inner]` of a reduction: kept axes up to the last reduced one are outer.
pub fn reduced_extents(space: &[usize], reduced: &[bool]) -> [u64; 3] {
    let last = reduced.iter().rposition(|r| *r).unwrap_or(0);
    let mut extents = [1; 3];
    for (axis, (&len, &gone)) in space.iter().zip(reduced).enumerate() {
        let class = class(axis, gone, last);
        extents[usize::from(class)] *= len as u64;
    }
    extents
}

/// 0 outer, 1 reduced, 2 inner.
pub fn class(axis: usize, reduced: bool, last_reduced: usize) -> u8 {
    match (reduced, axis > last_reduced) {
        (true, _) => 1,
        (false, false) => 0,
        (false, true) => 2,
    }
}

/// Whether partial results come with a place.
pub fn has_place(op: ReduceOp) -> bool {
    matches!(op, ReduceOp::ArgMax | ReduceOp::ArgMin)
}

/// The product that a convolution is.
pub fn conv_extents(kind: &ConvKind, shape: &[usize], operands: &[(u16, [usize; 4]); 2], groups: usize) -> Extents {
    let (_, second) = &operands[1];
    let product = |list: &[usize]| list.iter().product::<usize>() as u64;
    let result = <[usize; 4]>::try_from(shape).unwrap_or_default();
    let g = groups.max(1);
    let (m, n, k) = match kind {
        ConvKind::Forward => (product(&result[..3]), result[3] / g, product(&second[..3])),
        ConvKind::InputGrad(_) => (product(&result[..3]), second[2], product(&second[..2]) * (second[3] / g) as u64),
        ConvKind::FilterGrad(_) => (product(&result[..3]), result[3] / g, product(&second[..3])),
    };
    Extents { batches: g as u64, m, n: n as u64, k }
}

/// Scratch bytes that the shaders of a kernel need.
pub fn scratch(kernel: &Kernel, tuning: &Tuning) -> u64 {
    if let Core::ScatterAdd { count, .. } = &kernel.core {
        let len = kernel.shape.get(1).copied().unwrap_or(1);
        return 4 * (len + count) as u64;
    }
    if let Core::Line { .. } = &kernel.core {
        return 4 * super::line::scratch_words(kernel);
    }
    let (parts, bytes) = match &kernel.core {
        Core::Reduce { op, space, reduced, .. } => {
            let bytes = if has_place(*op) { 8 } else { 4 };
            (reduction(tuning, reduced_extents(space, reduced), true, bytes).split.parts, bytes)
        }
        Core::MatMul { k, .. } => (product(tuning, matmul_extents(&kernel.shape, *k), true, true).split.parts, 4),
        Core::Conv2d { kind: kind @ ConvKind::FilterGrad(_), conv, operands } => {
            let extents = conv_extents(kind, &kernel.shape, operands, conv.groups);
            (product(tuning, extents, false, true).split.parts, 4)
        }
        _ => (1, 0),
    };
    if parts > 1 { parts * bytes * kernel.numel() as u64 } else { 0 }
}

/// The extents of a product whose result has this shape.
pub fn matmul_extents(shape: &[usize], k: usize) -> Extents {
    let (batch, rest) = shape.split_at(shape.len().saturating_sub(2));
    let (m, n) = match rest {
        [m, n] => (*m, *n),
        _ => (1, 1),
    };
    Extents { batches: batch.iter().product::<usize>() as u64, m: m as u64, n: n as u64, k: k as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Parts cover the axis, and none is empty.
        #[test]
        fn splits_cover(length in 1u64..100_000, wanted in 1u64..300, least in 1u64..500, unit in 1u64..40) {
            let Split { parts, chunk } = Split::new(length, wanted, least, unit, 10, 4);
            prop_assert!(parts * chunk >= length);
            prop_assert!((parts - 1) * chunk < length);
        }
    }

    #[test]
    fn few_results_of_long_sums_are_split() {
        let gpu = Tuning { barriers: true, groups: 256 };
        let e = Extents { batches: 1, m: 32, n: 32, k: 8192 };
        assert!(product(&gpu, e, true, true).split.parts > 8);
        assert_eq!(
            product(&gpu, Extents { m: 4096, n: 4096, ..e }, true, true),
            Product { engine: "128", split: Split { parts: 1, chunk: 8192 } }
        );
        assert!(reduction(&gpu, [1, 1_000_000, 1], true, 4).split.parts > 100);
    }

    /// The gradient in the filter of a convolution of 3 by 3, from 64 channels to 64.
    #[test]
    fn long_sums_are_cut_before_tiles_are_made_smaller() {
        let gpu = Tuning { barriers: true, groups: 256 };
        let e = Extents { batches: 1, m: 576, n: 64, k: 100_352 };
        let Product { engine, split } = product(&gpu, e, false, true);
        assert_eq!(engine, "128");
        assert!(e.tiles(128, 128) * split.parts >= 200, "{split:?}");
        // What cannot be cut gets small tiles, and so does what would leave large ones empty.
        assert_eq!(product(&gpu, e, false, false).engine, "32");
        assert_eq!(product(&gpu, Extents { m: 9, n: 32, ..e }, false, true).engine, "32");
    }
}
