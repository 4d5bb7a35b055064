//! Products of matrix blocks: packing the right operand into panels, and tiles over a block.

use super::{
    memory::Mem,
    micro::{Tiles, tile_rows, tile_shape},
    simd::vectorised,
};
use std::ops::Range;

/// Elements from row to row and from column to column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strides {
    pub row: i64,
    pub col: i64,
}

/// Elements of the panels of `k` rows and `n` columns: [`panel_width`] columns each, the last one as many vectors as it needs.
pub(super) fn packed_len(k: usize, n: usize) -> usize {
    k * n.next_multiple_of(tile_shape().lanes)
}

/// Columns of a panel.
pub(super) fn panel_width() -> usize {
    tile_shape().cols
}

/// Copies rows `k` by columns `cols` of a matrix into panels, each holding its columns row by row, padded with zeros.
/// The panels belong to the whole matrix of `n` columns: `cols` must begin at a panel.
pub(super) fn pack(to: Mem<'_>, from: Mem<'_>, first: i64, strides: Strides, k: usize, cols: Range<usize>, n: usize) {
    let (width, lanes) = (panel_width(), tile_shape().lanes);
    let mut col = cols.start;
    while col < cols.end {
        let count = width.min(n - col);
        let padded = count.next_multiple_of(lanes);
        let panel = to.write::<f32>(col * k, padded * k);
        pack_panel(panel, from, first + strides.col * col as i64, strides, count, padded);
        col += width;
    }
}

/// As [`pack`] for all `n` columns, but only `rows` of the `k` rows. The columns are consecutive in memory and are read as they
/// lie there, whole rows at a time: a panel by itself takes one line of each page, which no prefetcher foresees.
pub(super) fn pack_whole_rows(
    to: Mem<'_>,
    from: Mem<'_>,
    first: i64,
    step: i64,
    k: usize,
    rows: Range<usize>,
    n: usize,
) {
    let (width, lanes) = (panel_width(), tile_shape().lanes);
    for row in rows {
        let source = from.read::<f32>((first + step * row as i64).max(0) as usize, n);
        for (panel, source) in source.chunks(width).enumerate() {
            let padded = source.len().next_multiple_of(lanes);
            let to = to.write::<f32>(panel * width * k + row * padded, padded);
            pack_rows(to, source, 0, 0, source.len(), padded);
        }
    }
}

/// Rows of `count` elements, each padded to `padded`.
pub(super) fn pack_panel(panel: &mut [f32], from: Mem<'_>, first: i64, strides: Strides, count: usize, padded: usize) {
    if panel.is_empty() {
        return;
    }
    let k = panel.len() / padded;
    let reach = |n: usize, stride: i64| stride * (n as i64 - 1);
    let (by_row, by_col) = (reach(k, strides.row), reach(count, strides.col));
    let low = first + by_row.min(0) + by_col.min(0);
    let high = first + by_row.max(0) + by_col.max(0);
    if low < 0 {
        return;
    }
    let from = from.read::<f32>(low as usize, (high - low + 1) as usize);
    let first = (first - low) as usize;
    if from.is_empty() {
        return;
    }
    if strides.col == 1 {
        pack_rows(panel, from, first, strides.row, count, padded);
    } else if strides.row == 1 {
        pack_columns(panel, from, first, strides.col, count, padded);
    } else {
        for (r, row) in panel.chunks_exact_mut(padded).enumerate() {
            let start = first as i64 + strides.row * r as i64;
            for (c, x) in row.iter_mut().enumerate() {
                *x = if c < count { from[(start + strides.col * c as i64) as usize] } else { 0.0 };
            }
        }
    }
}

vectorised! {
    fn pack_rows(panel: &mut [f32], from: &[f32], first: usize, stride: i64, count: usize, padded: usize) {
        let mut at = first as i64;
        for row in panel.chunks_exact_mut(padded) {
            let source = &from[at as usize..at as usize + count];
            // The usual widths: panels, and tiles of the left operand.
            if let (Ok(row), Ok(source)) = (<&mut [f32; 32]>::try_from(&mut *row), <&[f32; 32]>::try_from(source)) {
                *row = *source;
            } else if let (Ok(row), Ok(source)) = (<&mut [f32; 12]>::try_from(&mut *row), <&[f32; 12]>::try_from(source)) {
                *row = *source;
            } else {
                row[..count].copy_from_slice(source);
                row[count..].fill(0.0);
            }
            at += stride;
        }
    }
    /// Transposes: each column of the panel is consecutive in memory. Goes by blocks of 16 by 16, which stay in registers.
    fn pack_columns(panel: &mut [f32], from: &[f32], first: usize, stride: i64, count: usize, padded: usize) {
        let k = panel.len() / padded;
        if count < padded {
            panel.fill(0.0);
        }
        let mut c = 0;
        while c < count {
            let width = (count - c).min(16);
            let mut r = 0;
            while r < k {
                let height = (k - r).min(16);
                if width == 16 && height == 16 {
                    let mut block = [[0.0_f32; 16]; 16];
                    for (j, column) in block.iter_mut().enumerate() {
                        let start = (first as i64 + stride * (c + j) as i64) as usize + r;
                        column.copy_from_slice(&from[start..start + 16]);
                    }
                    for i in 0..16 {
                        let row = &mut panel[(r + i) * padded + c..][..16];
                        for (j, x) in row.iter_mut().enumerate() {
                            *x = block[j][i];
                        }
                    }
                } else {
                    for j in 0..width {
                        let start = (first as i64 + stride * (c + j) as i64) as usize + r;
                        for (i, &x) in from[start..start + height].iter().enumerate() {
                            panel[(r + i) * padded + c + j] = x;
                        }
                    }
                }
                r += 16;
            }
            c += 16;
        }
    }
}

/// The right operand of a block: its first panel, or its first row where rows are consecutive.
#[derive(Clone, Copy)]
pub(super) struct Right<'a> {
    pub memory: Mem<'a>,
    /// `None` for panels, else elements from row to row.
    pub row: Option<usize>,
}

/// `to[i][j] (+)= Σ_k left[i][k] · right[k][j]` over a block; `right` begins at the block's first column, which begins a panel.
#[allow(clippy::too_many_arguments)]
pub(super) fn block(
    left: Mem<'_>,
    first: i64,
    strides: Strides,
    right: Right<'_>,
    to: Mem<'_>,
    pitch: usize,
    (rows, cols, k): (usize, usize, usize),
    add: bool,
) {
    let shape = tile_shape();
    let mut col = 0;
    while col < cols {
        let count = shape.cols.min(cols - col);
        let (right, right_step) = match right.row {
            None => (right.memory.from((col * k * 4) as u64), count.next_multiple_of(shape.lanes)),
            Some(step) => (right.memory.from((col * 4) as u64), step),
        };
        tile_rows(&Tiles {
            left,
            first,
            row: strides.row,
            step: strides.col,
            len: k,
            right,
            right_step,
            to: to.from(4 * col as u64),
            pitch,
            rows,
            cols: count,
            add,
        });
        col += count;
    }
}

/// Copies a block of the left operand so that the rows of each tile stand side by side: `[tile][k][tile rows]`.
pub(super) fn pack_left(to: Mem<'_>, from: Mem<'_>, first: i64, strides: Strides, rows: usize, k: usize) {
    let height = tile_shape().rows;
    let mut row = 0;
    while row < rows {
        let count = height.min(rows - row);
        let panel = to.write::<f32>(row * k, count * k);
        let turned = Strides { row: strides.col, col: strides.row };
        pack_panel(panel, from, first + strides.row * row as i64, turned, count, count);
        row += count;
    }
}

/// As [`block`], with a left operand from [`pack_left`].
pub(super) fn block_packed(
    left: Mem<'_>,
    right: Right<'_>,
    to: Mem<'_>,
    pitch: usize,
    size: (usize, usize, usize),
    add: bool,
) {
    let (rows, cols, k) = size;
    let height = tile_shape().rows;
    let width = panel_width();
    let mut col = 0;
    while col < cols {
        let count = width.min(cols - col);
        let right = match right.row {
            None => Right { memory: right.memory.from((col * k * 4) as u64), row: None },
            Some(_) => Right { memory: right.memory.from((col * 4) as u64), ..right },
        };
        let mut row = 0;
        while row < rows {
            let tall = height.min(rows - row);
            let left = left.part(row * k * 4, tall * k * 4);
            let strides = Strides { row: 1, col: tall as i64 };
            let to = to.from(((row * pitch + col) * 4) as u64);
            block(left, 0, strides, right, to, pitch, (tall, count, k), add);
            row += tall;
        }
        col += count;
    }
}
