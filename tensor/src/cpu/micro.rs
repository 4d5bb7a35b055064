//! Micro-kernels of products: a few rows times one or two vectors of columns, held in registers over the whole contracted
//! length. One of the few modules with `unsafe`.
//!
//! Row `i` of the left operand is read at `rows[i] + segment + step·k`, one word at a time, so matrices of any strides,
//! transposed ones and the overlapping windows of a convolution need no copy. The right operand is read as whole vectors:
//! it is packed into panels, or has rows of consecutive elements.
//!
//! Safety argument: [`product`] checks every element that a kernel will touch against the windows before it calls one, and
//! kernels of an instruction set are only chosen after [`isa`] found it.

// Loops over registers are written by index, as the compiler unrolls them.
#![allow(clippy::needless_range_loop)]

use super::{
    memory::Mem,
    simd::{Isa, isa},
    vector::{Four, Vector},
};

/// Most rows of a tile on any machine.
pub(super) const MAX_ROWS: usize = 12;

/// The shape of a tile on this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct TileShape {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Elements of a vector.
    pub lanes: usize,
}

/// The tile that fills the registers of this machine.
pub(super) fn tile_shape() -> TileShape {
    match isa() {
        Isa::Avx512 => TileShape { rows: 12, cols: 32, lanes: 16 },
        Isa::Avx2 => TileShape { rows: 6, cols: 16, lanes: 8 },
        Isa::Base => TileShape { rows: 4, cols: 8, lanes: 4 },
    }
}

/// Where the contracted index runs: parts of equal length that begin at these elements.
#[derive(Clone, Debug)]
pub(super) struct Segments {
    starts: Vec<i64>,
    len: usize,
    step: i64,
    low: i64,
    high: i64,
}

impl Segments {
    /// `len` elements, `step` apart, from each of `starts` on.
    pub(super) fn new(starts: Vec<i64>, len: usize, step: i64) -> Segments {
        let reach = step * (len as i64 - 1);
        let low = starts.iter().min().copied().unwrap_or(0) + reach.min(0);
        let high = starts.iter().max().copied().unwrap_or(0) + reach.max(0);
        Segments { starts, len, step, low, high }
    }
    /// Length of the contracted axis.
    pub(super) fn count(&self) -> usize {
        self.starts.len() * self.len
    }
}

/// One tile: `outs[i][j] (+)= Σ_k rows[i][k] · right[k][j]` for `j < cols`.
pub(super) struct Product<'a> {
    /// Memory of the left operand.
    pub left: Mem<'a>,
    /// First element of each row.
    pub rows: &'a [i64],
    /// How a row is read.
    pub segments: &'a Segments,
    /// The right operand from the tile's first column on.
    pub right: Mem<'a>,
    /// Elements from row to row of the right operand.
    pub right_step: usize,
    /// Memory of the result.
    pub to: Mem<'a>,
    /// First element of each row of the result.
    pub outs: &'a [i64],
    /// Number of columns, at most [`TileShape::cols`].
    pub cols: usize,
    /// Whether the result is added to what is there.
    pub add: bool,
}

/// What a kernel is called with.
struct Call {
    rows: [*const f32; MAX_ROWS],
    outs: [*mut f32; MAX_ROWS],
    starts: *const i64,
    segments: usize,
    len: usize,
    step: isize,
    right: *const f32,
    right_step: usize,
    /// Columns of the last vector.
    tail: usize,
    add: bool,
}

type Kernel = unsafe fn(&Call);

/// What a kernel for regular operands is called with.
struct Strided {
    left: *const f32,
    row: isize,
    step: isize,
    len: usize,
    right: *const f32,
    right_step: usize,
    to: *mut f32,
    pitch: isize,
    tail: usize,
    add: bool,
}

type StridedKernel = unsafe fn(&Strided, usize, usize);

/// Computes one tile. Does nothing if it would leave its windows, which compiled kernels never meet.
#[inline]
pub(super) fn product(p: &Product<'_>) {
    let lanes = tile_shape().lanes;
    let Segments { starts, len, step, low, high } = p.segments;
    let (len, step, low, high) = (*len, *step, *low, *high);
    let vectors = p.cols.div_ceil(lanes);
    let (left, to) = (p.left.count::<f32>() as i64, p.to.count::<f32>() as i64);
    let inside = |first: i64, low: i64, high: i64, len: i64| first + low >= 0 && first + high < len;
    let rows = p.rows.len();
    let total = starts.len() * len;
    let right = total.saturating_sub(1) * p.right_step + vectors * lanes;
    let fits = (1..=tile_shape().rows).contains(&rows)
        && p.outs.len() == rows
        && (1..=2).contains(&vectors)
        && (total == 0 || right <= p.right.count::<f32>())
        && (total == 0 || p.rows.iter().all(|&row| inside(row, low, high, left)))
        && p.outs.iter().all(|&out| inside(out, 0, p.cols as i64 - 1, to));
    debug_assert!(fits, "a tile leaves its windows");
    if !fits {
        return;
    }
    let mut call = Call {
        rows: [std::ptr::null(); MAX_ROWS],
        outs: [std::ptr::null_mut(); MAX_ROWS],
        starts: starts.as_ptr(),
        segments: if total == 0 { 0 } else { starts.len() },
        len,
        step: step as isize,
        right: p.right.pointer(),
        right_step: p.right_step,
        tail: p.cols - (vectors - 1) * lanes,
        add: p.add,
    };
    for i in 0..rows {
        // SAFETY: checked above.
        unsafe {
            call.rows[i] = p.left.pointer::<f32>().offset(p.rows[i] as isize);
            call.outs[i] = p.to.pointer::<f32>().offset(p.outs[i] as isize);
        }
    }
    let (kernel, _) = kernels()[rows - 1][vectors - 1];
    // SAFETY: every element is inside its window (above); the kernel is for this machine's instructions.
    unsafe { kernel(&call) }
}

/// Rows of tiles of regular operands: `to[i · pitch + j] (+)= Σ_k left[first + i · row + k · step] · right[k][j]` for `i < rows` and
/// `j < cols`.
pub(super) struct Tiles<'a> {
    /// Memory of the left operand, and its first element.
    pub left: Mem<'a>,
    pub first: i64,
    /// Elements of the left operand from row to row, and from column to column.
    pub row: i64,
    pub step: i64,
    /// Length of the contracted axis.
    pub len: usize,
    /// The right operand from the tiles' first column on, and elements from row to row.
    pub right: Mem<'a>,
    pub right_step: usize,
    /// The result, and elements from row to row.
    pub to: Mem<'a>,
    pub pitch: usize,
    /// Rows, and columns, which are at most [`TileShape::cols`].
    pub rows: usize,
    pub cols: usize,
    /// Whether the result is added to what is there.
    pub add: bool,
}

/// Computes tiles that stand one below the other, as equally high as can be. Does nothing if they would leave their windows, which
/// compiled kernels never meet.
pub(super) fn tile_rows(t: &Tiles<'_>) {
    let shape = tile_shape();
    if t.rows == 0 || t.cols == 0 {
        return;
    }
    let vectors = t.cols.div_ceil(shape.lanes);
    let (down, along) = (t.row * (t.rows as i64 - 1), t.step * (t.len as i64 - 1));
    let (low, high) = (t.first + down.min(0) + along.min(0), t.first + down.max(0) + along.max(0));
    let inside = low >= 0 && high < t.left.count::<f32>() as i64;
    let right = t.len.saturating_sub(1) * t.right_step + vectors * shape.lanes;
    let fits = vectors <= 2
        && (t.len == 0 || (inside && right <= t.right.count::<f32>()))
        && (t.rows - 1) * t.pitch + t.cols <= t.to.count::<f32>();
    debug_assert!(fits, "tiles leave their windows");
    if !fits {
        return;
    }
    let call = Strided {
        left: t.left.pointer::<f32>().cast_const().wrapping_offset(t.first as isize),
        row: t.row as isize,
        step: t.step as isize,
        len: t.len,
        right: t.right.pointer(),
        right_step: t.right_step,
        to: t.to.pointer(),
        pitch: t.pitch as isize,
        tail: t.cols - (vectors - 1) * shape.lanes,
        add: t.add,
    };
    let count = t.rows.div_ceil(shape.rows);
    let (high, higher) = (t.rows / count, t.rows % count);
    // SAFETY: every element is inside its window (above); the kernels are for this machine's instructions.
    unsafe {
        if higher > 0 {
            kernels()[high][vectors - 1].1(&call, 0, higher);
        }
        kernels()[high - 1][vectors - 1].1(&call, higher * (high + 1), count - higher);
    }
}

/// The kernel: `R` rows and `N` vectors of columns.
#[inline(always)]
unsafe fn tile<V: Vector, const R: usize, const N: usize>(call: &Call) {
    // SAFETY: the caller's, for every access below.
    unsafe {
        let mut sums = [[V::splat(0.0); N]; R];
        let rows: [*const f32; R] = std::array::from_fn(|i| call.rows[i]);
        let mut right = call.right;
        for segment in 0..call.segments {
            let at = *call.starts.add(segment) as isize;
            right = multiply(&mut sums, &rows, at, call.step, call.len, right, call.right_step);
        }
        let outs: [*mut f32; R] = std::array::from_fn(|i| call.outs[i]);
        store(&sums, &outs, call.tail, call.add);
    }
}

/// Tiles of `R` rows, one below the other.
#[inline(always)]
unsafe fn tiles<V: Vector, const R: usize, const N: usize>(call: &Strided, first: usize, count: usize) {
    for row in (first..first + R * count).step_by(R) {
        // SAFETY: the caller's, for every access below.
        unsafe {
            let row = row as isize;
            let mut sums = [[V::splat(0.0); N]; R];
            let rows: [*const f32; R] = std::array::from_fn(|i| call.left.offset((row + i as isize) * call.row));
            multiply(&mut sums, &rows, 0, call.step, call.len, call.right, call.right_step);
            let outs: [*mut f32; R] = std::array::from_fn(|i| call.to.offset((row + i as isize) * call.pitch));
            store(&sums, &outs, call.tail, call.add);
        }
    }
}

/// Adds `len` products of columns of the rows from `at` on, and rows of the right operand; gives its next row.
#[inline(always)]
unsafe fn multiply<V: Vector, const R: usize, const N: usize>(
    sums: &mut [[V; N]; R],
    rows: &[*const f32; R],
    mut at: isize,
    step: isize,
    len: usize,
    mut right: *const f32,
    right_step: usize,
) -> *const f32 {
    for _ in 0..len {
        // SAFETY: the caller's.
        unsafe {
            let mut columns = [V::splat(0.0); N];
            for j in 0..N {
                columns[j] = V::load(right.add(j * V::LANES));
            }
            for i in 0..R {
                let a = V::splat(*rows[i].offset(at));
                for j in 0..N {
                    sums[i][j] = sums[i][j].add_product(a, columns[j]);
                }
            }
        }
        // The last step leaves the panel by less than a row: only an address, never read.
        right = right.wrapping_add(right_step);
        at += step;
    }
    right
}

#[inline(always)]
unsafe fn store<V: Vector, const R: usize, const N: usize>(
    sums: &[[V; N]; R],
    outs: &[*mut f32; R],
    tail: usize,
    add: bool,
) {
    for i in 0..R {
        for j in 0..N {
            let count = if j + 1 == N { tail } else { V::LANES };
            // SAFETY: the caller's.
            unsafe { sums[i][j].store(outs[i].add(j * V::LANES), count, add) };
        }
    }
}

/// Kernels by rows and vectors: of one tile, and of several of regular operands.
type Table = [[(Kernel, StridedKernel); 2]; MAX_ROWS];

macro_rules! table {
    ($one:ident, $many:ident; $($r:literal)*) => {
        [$([($one::<$r, 1> as Kernel, $many::<$r, 1> as StridedKernel), ($one::<$r, 2> as Kernel, $many::<$r, 2> as StridedKernel)]),*]
    };
}

unsafe fn base<const R: usize, const N: usize>(call: &Call) {
    // SAFETY: the caller's.
    unsafe { tile::<Four, R, N>(call) }
}
unsafe fn base_strided<const R: usize, const N: usize>(call: &Strided, first: usize, count: usize) {
    // SAFETY: the caller's.
    unsafe { tiles::<Four, R, N>(call, first, count) }
}

fn kernels() -> &'static Table {
    // Rows past a machine's tile are never asked for.
    static BASE: Table = table!(base, base_strided; 1 2 3 4 4 4 4 4 4 4 4 4);
    match isa() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => &x86::AVX512,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => &x86::AVX2,
        _ => &BASE,
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Call, Kernel, Strided, StridedKernel, Table, tile, tiles};
    use std::arch::x86_64::{__m256, __m512};

    pub(super) static AVX512: Table = table!(avx512, avx512_strided; 1 2 3 4 5 6 7 8 9 10 11 12);
    pub(super) static AVX2: Table = table!(avx2, avx2_strided; 1 2 3 4 5 6 6 6 6 6 6 6);

    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
    unsafe fn avx512<const R: usize, const N: usize>(call: &Call) {
        // SAFETY: the caller's.
        unsafe { tile::<__m512, R, N>(call) }
    }
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
    unsafe fn avx512_strided<const R: usize, const N: usize>(call: &Strided, first: usize, count: usize) {
        // SAFETY: the caller's.
        unsafe { tiles::<__m512, R, N>(call, first, count) }
    }
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2<const R: usize, const N: usize>(call: &Call) {
        // SAFETY: the caller's.
        unsafe { tile::<__m256, R, N>(call) }
    }
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2_strided<const R: usize, const N: usize>(call: &Strided, first: usize, count: usize) {
        // SAFETY: the caller's.
        unsafe { tiles::<__m256, R, N>(call, first, count) }
    }
}
