//! Adding up: lanes within a row, neighbouring columns, and the parts of both.

use super::super::{element::Operand, simd::vectorised, tile::Value};
use crate::{dtype::DType, graph::ReduceOp};
use addax_shaders::math;

/// A partial result: bits of an `f64` for sums of floats, else a word and a position.
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(super) struct State {
    word: u32,
    position: u32,
    sum: f64,
}

/// No term was seen yet.
const NOWHERE: u32 = u32::MAX;

impl State {
    pub(super) fn new(op: ReduceOp, dtype: DType) -> State {
        State { word: State::identity(op, dtype), position: NOWHERE, sum: 0.0 }
    }
    /// The result of no terms.
    pub(super) fn identity(op: ReduceOp, dtype: DType) -> u32 {
        match (op, dtype) {
            (ReduceOp::Sum | ReduceOp::Any, _) => 0,
            (ReduceOp::Prod, DType::F32) => 1_f32.to_bits(),
            (ReduceOp::Prod | ReduceOp::All, _) => 1,
            (ReduceOp::Max | ReduceOp::ArgMax, DType::F32) => f32::NEG_INFINITY.to_bits(),
            (ReduceOp::Max | ReduceOp::ArgMax, DType::I32) => i32::MIN as u32,
            (ReduceOp::Max | ReduceOp::ArgMax, _) => 0,
            (ReduceOp::Min | ReduceOp::ArgMin, DType::F32) => f32::INFINITY.to_bits(),
            (ReduceOp::Min | ReduceOp::ArgMin, DType::I32) => i32::MAX as u32,
            (ReduceOp::Min | ReduceOp::ArgMin, _) => u32::MAX,
        }
    }
    /// Adds `len` terms, the first of which stands at `position`.
    pub(super) fn add(&mut self, op: ReduceOp, dtype: DType, terms: Value<'_>, len: usize, position: usize) {
        match terms {
            Value::Many(terms) => self.add_terms(op, dtype, terms.read::<u32>(0, len), position),
            Value::One(word) => self.add_terms(op, dtype, &[word; 1024][..len.min(1024)], position),
        }
    }
    fn add_terms(&mut self, op: ReduceOp, dtype: DType, terms: &[u32], position: usize) {
        match (op, dtype) {
            (ReduceOp::Sum, DType::F32) => self.sum += f64::from(f32::from_bits(row(op, dtype, terms))),
            (ReduceOp::ArgMax | ReduceOp::ArgMin, _) => {
                let extreme = row(op, dtype, terms);
                if self.position == NOWHERE || better(op, dtype, extreme, self.word) {
                    self.word = extreme;
                    self.position = position as u32 + first_of(dtype, terms, extreme);
                }
            }
            _ => self.word = pair(op, dtype, self.word, row(op, dtype, terms)),
        }
    }
    /// Adds the result of later terms.
    pub(super) fn join(&mut self, op: ReduceOp, dtype: DType, later: &State) {
        match op {
            ReduceOp::ArgMax | ReduceOp::ArgMin => {
                if self.position == NOWHERE || better(op, dtype, later.word, self.word) {
                    *self = *later;
                }
            }
            _ => {
                self.sum += later.sum;
                self.word = pair(op, dtype, self.word, later.word);
            }
        }
    }
    /// The result.
    pub(super) fn word(&self, op: ReduceOp, dtype: DType) -> u32 {
        match (op, dtype) {
            (ReduceOp::Sum, DType::F32) => (self.sum as f32).to_bits(),
            (ReduceOp::ArgMax | ReduceOp::ArgMin, _) if self.position == NOWHERE => 0,
            (ReduceOp::ArgMax | ReduceOp::ArgMin, _) => self.position,
            _ => self.word,
        }
    }
}

/// Whether `a` takes the place of an earlier `b`. NaN counts as more extreme than all numbers, so that it is not lost.
fn better(op: ReduceOp, dtype: DType, a: u32, b: u32) -> bool {
    let largest = op == ReduceOp::ArgMax;
    match dtype {
        DType::F32 => {
            let (a, b) = (f32::from_bits(a), f32::from_bits(b));
            !b.is_nan() && (a.is_nan() || if largest { a > b } else { a < b })
        }
        DType::I32 => {
            if largest {
                (a as i32) > b as i32
            } else {
                (a as i32) < b as i32
            }
        }
        _ => {
            if largest {
                a > b
            } else {
                a < b
            }
        }
    }
}

fn first_of(dtype: DType, terms: &[u32], extreme: u32) -> u32 {
    let position = if dtype == DType::F32 {
        let extreme = f32::from_bits(extreme);
        let floats: &[f32] = bytemuck::cast_slice(terms);
        floats.iter().position(|&x| x == extreme || (extreme.is_nan() && x.is_nan()))
    } else {
        terms.iter().position(|&x| x == extreme)
    };
    position.unwrap_or(0) as u32
}

fn pair(op: ReduceOp, dtype: DType, a: u32, b: u32) -> u32 {
    let mut word = [a];
    columns(op, dtype, &mut word, Operand::One(b));
    word[0]
}

#[inline(always)]
fn max(a: f32, b: f32) -> f32 {
    if a > b || math::is_nan(a) { a } else { b }
}

#[inline(always)]
fn min(a: f32, b: f32) -> f32 {
    if a < b || math::is_nan(a) { a } else { b }
}

/// All terms in lanes that are added up at the end: as many as the length deserves.
#[inline(always)]
fn lanes<T: Copy>(terms: &[T], identity: T, f: impl Fn(T, T) -> T) -> T {
    #[inline(always)]
    fn wide<T: Copy, const N: usize>(terms: &[T], identity: T, f: impl Fn(T, T) -> T) -> T {
        let mut sums = [identity; N];
        let mut chunks = terms.chunks_exact(N);
        for chunk in &mut chunks {
            for (sum, &x) in sums.iter_mut().zip(chunk) {
                *sum = f(*sum, x);
            }
        }
        for (sum, &x) in sums.iter_mut().zip(chunks.remainder()) {
            *sum = f(*sum, x);
        }
        let mut width = N / 2;
        while width > 0 {
            for i in 0..width {
                sums[i] = f(sums[i], sums[i + width]);
            }
            width /= 2;
        }
        sums[0]
    }
    match terms.len() {
        0..16 => terms.iter().fold(identity, |a, &x| f(a, x)),
        16..128 => wide::<T, 16>(terms, identity, f),
        _ => wide::<T, 64>(terms, identity, f),
    }
}

/// Reduces each row for itself. The closure is small, so that all of this is compiled for the caller's instructions.
#[inline(always)]
fn each_row(to: &mut [u32], terms: &[f32], len: usize, identity: f32, f: impl Fn(f32, f32) -> f32 + Copy) {
    for (to, row) in to.iter_mut().zip(terms.chunks_exact(len)) {
        let result = match row.first_chunk::<WIDE>() {
            _ if len >= 8 * WIDE => lanes(row, identity, f),
            Some(first) => {
                let mut sums = *first;
                let (chunks, rest) = row[WIDE..].as_chunks::<WIDE>();
                for chunk in chunks {
                    for (sum, &x) in sums.iter_mut().zip(chunk) {
                        *sum = f(*sum, x);
                    }
                }
                // The last terms once more, those that are new: a vector instead of single terms.
                if let (Some(last), false) = (row.last_chunk::<WIDE>(), rest.is_empty()) {
                    let old = WIDE - rest.len();
                    for lane in 0..WIDE {
                        sums[lane] = f(sums[lane], if lane >= old { last[lane] } else { identity });
                    }
                }
                tree(sums, f)
            }
            None => row.iter().fold(identity, |a, &x| f(a, x)),
        };
        *to = result.to_bits();
    }
}

/// Terms that are reduced side by side, where a row is short.
const WIDE: usize = 16;

#[inline(always)]
fn tree(mut sums: [f32; WIDE], f: impl Fn(f32, f32) -> f32) -> f32 {
    for i in 0..8 {
        sums[i] = f(sums[i], sums[i + 8]);
    }
    for i in 0..4 {
        sums[i] = f(sums[i], sums[i + 4]);
    }
    for i in 0..2 {
        sums[i] = f(sums[i], sums[i + 2]);
    }
    f(sums[0], sums[1])
}

vectorised! {
    /// Reduces some terms of a row; for positions, gives the extreme itself.
    fn row(op: ReduceOp, dtype: DType, terms: &[u32]) -> u32 {
        match dtype {
            DType::F32 => {
                let terms: &[f32] = bytemuck::cast_slice(terms);
                match op {
                    ReduceOp::Sum => lanes(terms, 0.0, |a, b| a + b).to_bits(),
                    ReduceOp::Prod => lanes(terms, 1.0, |a, b| a * b).to_bits(),
                    ReduceOp::Max | ReduceOp::ArgMax => lanes(terms, f32::NEG_INFINITY, max).to_bits(),
                    _ => lanes(terms, f32::INFINITY, min).to_bits(),
                }
            }
            DType::I32 if matches!(op, ReduceOp::Max | ReduceOp::Min | ReduceOp::ArgMax | ReduceOp::ArgMin) => {
                let terms: &[i32] = bytemuck::cast_slice(terms);
                match op {
                    ReduceOp::Max | ReduceOp::ArgMax => lanes(terms, i32::MIN, |a, b| a.max(b)) as u32,
                    _ => lanes(terms, i32::MAX, |a, b| a.min(b)) as u32,
                }
            }
            _ => match op {
                ReduceOp::Sum => lanes(terms, 0, |a, b| a.wrapping_add(b)),
                ReduceOp::Prod => lanes(terms, 1, |a, b| a.wrapping_mul(b)),
                ReduceOp::Max | ReduceOp::ArgMax => lanes(terms, 0, |a, b| a.max(b)),
                ReduceOp::Min | ReduceOp::ArgMin => lanes(terms, u32::MAX, |a, b| a.min(b)),
                ReduceOp::Any => lanes(terms, 0, |a, b| a | b),
                ReduceOp::All => lanes(terms, 1, |a, b| a & b),
            },
        }
    }
    /// Reduces rows of `len` terms each, which lie one after the other.
    pub(super) fn rows(op: ReduceOp, dtype: DType, to: &mut [u32], terms: &[u32], len: usize) {
        let floats: &[f32] = bytemuck::cast_slice(terms);
        // One look at all terms spares a look at each of them in every comparison.
        let ordered = || !floats.iter().fold(false, |nan, &x| nan | math::is_nan(x));
        let larger = |a: f32, b: f32| if a > b { a } else { b };
        let smaller = |a: f32, b: f32| if a < b { a } else { b };
        match (op, dtype) {
            (ReduceOp::Sum, DType::F32) => each_row(to, floats, len, 0.0, |a, b| a + b),
            (ReduceOp::Max, DType::F32) if ordered() => each_row(to, floats, len, f32::NEG_INFINITY, larger),
            (ReduceOp::Max, DType::F32) => each_row(to, floats, len, f32::NEG_INFINITY, max),
            (ReduceOp::Min, DType::F32) if ordered() => each_row(to, floats, len, f32::INFINITY, smaller),
            (ReduceOp::Min, DType::F32) => each_row(to, floats, len, f32::INFINITY, min),
            _ => {
                for (to, terms) in to.iter_mut().zip(terms.chunks_exact(len)) {
                    let mut state = State::new(op, dtype);
                    state.add_terms(op, dtype, terms, 0);
                    *to = state.word(op, dtype);
                }
            }
        }
    }
    /// Adds terms of several rows, one after the other in memory, to each of neighbouring columns.
    pub(super) fn column_rows(op: ReduceOp, dtype: DType, to: &mut [u32], terms: &[u32]) {
        if op == ReduceOp::Sum && dtype == DType::F32 {
            let to: &mut [f32] = bytemuck::cast_slice_mut(to);
            let terms: &[f32] = bytemuck::cast_slice(terms);
            let width = to.len().max(1);
            // A vector of columns stays in a register for all rows.
            for (at, to) in to.chunks_mut(16).enumerate() {
                if let Ok(to) = <&mut [f32; 16]>::try_from(&mut *to) {
                    let mut sums = *to;
                    for row in terms.chunks_exact(width) {
                        if let Some(Ok(row)) = row.get(16 * at..16 * at + 16).map(<&[f32; 16]>::try_from) {
                            for (sum, &x) in sums.iter_mut().zip(row) {
                                *sum += x;
                            }
                        }
                    }
                    *to = sums;
                } else {
                    for row in terms.chunks_exact(width) {
                        for (to, &x) in to.iter_mut().zip(row.get(16 * at..).unwrap_or(&[])) {
                            *to += x;
                        }
                    }
                }
            }
        } else {
            for row in terms.chunks_exact(to.len().max(1)) {
                columns(op, dtype, to, Operand::Many(row));
            }
        }
    }
    /// Adds a term to each of neighbouring columns.
    pub(super) fn columns(op: ReduceOp, dtype: DType, to: &mut [u32], terms: Operand<'_, u32>) {
        #[inline(always)]
        fn each<T: Copy>(to: &mut [T], terms: &[T], one: T, f: impl Fn(T, T) -> T) {
            if terms.is_empty() {
                for r in to.iter_mut() {
                    *r = f(*r, one);
                }
            } else {
                for (r, &x) in to.iter_mut().zip(terms) {
                    *r = f(*r, x);
                }
            }
        }
        let (terms, one): (&[u32], u32) = match terms {
            Operand::Many(terms) => (terms, 0),
            Operand::One(word) => (&[], word),
        };
        match dtype {
            DType::F32 => {
                let to: &mut [f32] = bytemuck::cast_slice_mut(to);
                let (terms, one): (&[f32], f32) = (bytemuck::cast_slice(terms), f32::from_bits(one));
                match op {
                    ReduceOp::Sum => each(to, terms, one, |a, b| a + b),
                    ReduceOp::Prod => each(to, terms, one, |a, b| a * b),
                    ReduceOp::Max | ReduceOp::ArgMax => each(to, terms, one, max),
                    _ => each(to, terms, one, min),
                }
            }
            DType::I32 if matches!(op, ReduceOp::Max | ReduceOp::Min) => {
                let to: &mut [i32] = bytemuck::cast_slice_mut(to);
                let (terms, one): (&[i32], i32) = (bytemuck::cast_slice(terms), one as i32);
                if op == ReduceOp::Max {
                    each(to, terms, one, |a, b| a.max(b));
                } else {
                    each(to, terms, one, |a, b| a.min(b));
                }
            }
            _ => match op {
                ReduceOp::Sum => each(to, terms, one, |a, b| a.wrapping_add(b)),
                ReduceOp::Prod => each(to, terms, one, |a, b| a.wrapping_mul(b)),
                ReduceOp::Max | ReduceOp::ArgMax => each(to, terms, one, |a, b| a.max(b)),
                ReduceOp::Min | ReduceOp::ArgMin => each(to, terms, one, |a, b| a.min(b)),
                ReduceOp::Any => each(to, terms, one, |a, b| a | b),
                ReduceOp::All => each(to, terms, one, |a, b| a & b),
            },
        }
    }
    /// Keeps, for each of neighbouring columns, the extreme and its position.
    pub(super) fn track(op: ReduceOp, dtype: DType, best: &mut [u32], at: &mut [u32], terms: Operand<'_, u32>, position: u32) {
        #[inline(always)]
        fn each(best: &mut [u32], at: &mut [u32], terms: Operand<'_, u32>, position: u32, wins: impl Fn(u32, u32) -> bool) {
            for (i, (best, at)) in best.iter_mut().zip(at).enumerate() {
                let term = match terms {
                    Operand::One(word) => word,
                    Operand::Many(words) => words.get(i).copied().unwrap_or(0),
                };
                // The first term always wins, so that the identity's value does not matter.
                let take = position == 0 || wins(term, *best);
                *best = if take { term } else { *best };
                *at = if take { position } else { *at };
            }
        }
        let largest = op == ReduceOp::ArgMax;
        match (dtype, largest) {
            (DType::F32, true) => each(best, at, terms, position, |a, b| {
                let (a, b) = (f32::from_bits(a), f32::from_bits(b));
                !math::is_nan(b) && (math::is_nan(a) || a > b)
            }),
            (DType::F32, false) => each(best, at, terms, position, |a, b| {
                let (a, b) = (f32::from_bits(a), f32::from_bits(b));
                !math::is_nan(b) && (math::is_nan(a) || a < b)
            }),
            (DType::I32, true) => each(best, at, terms, position, |a, b| (a as i32) > b as i32),
            (DType::I32, false) => each(best, at, terms, position, |a, b| (a as i32) < b as i32),
            (_, true) => each(best, at, terms, position, |a, b| a > b),
            (_, false) => each(best, at, terms, position, |a, b| a < b),
        }
    }
    fn add_wide(sums: &mut [f64], terms: &[f32]) {
        for (sum, &x) in sums.iter_mut().zip(terms) {
            *sum += f64::from(x);
        }
    }
}

/// Combines the parts of neighbouring columns in order.
pub(super) fn join_columns<'a>(
    op: ReduceOp,
    dtype: DType,
    to: &mut [u32],
    parts: usize,
    of_part: &dyn Fn(usize) -> &'a [u32],
) {
    if op == ReduceOp::Sum && dtype == DType::F32 {
        let mut sums = [0.0; super::BLOCK];
        let sums = &mut sums[..to.len()];
        for part in 0..parts {
            add_wide(sums, bytemuck::cast_slice(of_part(part)));
        }
        for (to, &sum) in to.iter_mut().zip(&*sums) {
            *to = (sum as f32).to_bits();
        }
        return;
    }
    to.fill(State::identity(op, dtype));
    for part in 0..parts {
        columns(op, dtype, to, Operand::Many(of_part(part)));
    }
}
