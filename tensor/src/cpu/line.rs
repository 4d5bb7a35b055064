//! Running folds, sorts, and elements chosen line by line: each piece of work is some whole lines.

use super::{
    Env,
    memory::Mem,
    program::{ArgInfo, Program},
    storage,
};
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::{Cumulate, CumulateOp, LineKind},
    plan::{Core, Kernel},
};
use addax_shaders::math;

/// Elements of the result in one piece of work, where lines are short.
const BLOCK: usize = 1 << 14;

/// A member of the family made ready.
pub(super) struct LineKernel {
    kind: LineKind,
    /// Result's shape: `[outer, length of lines, inner]`.
    shape: [usize; 3],
    data: Operand,
    indices: Option<usize>,
    layout: Layout,
    block: Program,
}

/// The argument that holds elements.
#[derive(Clone, Copy)]
struct Operand {
    arg: usize,
    dtype: DType,
    /// Length of its lines.
    len: usize,
}

/// How the work is cut, and where things lie in a worker's scratch, in words.
struct Layout {
    /// Outer indices of a piece.
    rows: usize,
    pieces: usize,
    /// The elements of the operand as words.
    data: usize,
    /// Sort keys with positions, two words each.
    keys: usize,
    per_worker: usize,
}

fn aligned(words: usize) -> usize {
    words.next_multiple_of(16)
}

struct Parts {
    kind: LineKind,
    shape: [usize; 3],
    data: (u16, usize),
    indices: Option<(u16, usize)>,
}

fn parts(kernel: &Kernel) -> Result<Parts> {
    let wrong = |what: String| Error::argument(format!("kernel \"{}\": {what}", kernel.label));
    let shape: [usize; 3] =
        kernel.shape.as_slice().try_into().map_err(|_| wrong(format!("lines of shape {:?}", kernel.shape)))?;
    let Core::Line { kind, operands } = &kernel.core else { return Err(wrong("has no lines".into())) };
    let (data, indices) = match (kind, operands.as_slice()) {
        (LineKind::Cumulate(_) | LineKind::ArgSort { .. }, &[x]) => (x, None),
        (LineKind::Take, &[data, indices]) => (data, Some(indices)),
        (LineKind::Add, &[indices, updates]) => (updates, Some(indices)),
        _ => return Err(wrong(format!("{} operands", operands.len()))),
    };
    let fits = match (kind, indices) {
        (LineKind::Take, Some((_, count))) => count == shape[1],
        (LineKind::Add, Some((_, count))) => count == data.1,
        _ => data.1 == shape[1],
    };
    match fits {
        true => Ok(Parts { kind: *kind, shape, data, indices }),
        false => Err(wrong(format!("lines of {operands:?} elements for a result of shape {shape:?}"))),
    }
}

fn layout(parts: &Parts) -> Layout {
    let [outer, len, inner] = parts.shape;
    let rows = (BLOCK / (len.max(parts.data.1) * inner).max(1)).clamp(1, outer.max(1));
    let data = aligned(rows * len * inner);
    // A fold runs in the result's own place.
    let loaded = if matches!(parts.kind, LineKind::Cumulate(_)) { 0 } else { aligned(rows * parts.data.1 * inner) };
    let keys = data + loaded;
    let sorted = if matches!(parts.kind, LineKind::ArgSort { .. }) { aligned(2 * len) } else { 0 };
    Layout { rows, pieces: outer.div_ceil(rows), data, keys, per_worker: keys + sorted }
}

impl LineKernel {
    pub(super) fn scratch(kernel: &Kernel, threads: usize) -> u64 {
        parts(kernel).map_or(0, |parts| {
            let layout = layout(&parts);
            4 * (threads.min(layout.pieces) * layout.per_worker) as u64
        })
    }

    pub(super) fn new(kernel: &Kernel, args: &[ArgInfo]) -> Result<LineKernel> {
        let wrong = |what: String| Error::argument(format!("kernel \"{}\": {what}", kernel.label));
        let parts = parts(kernel)?;
        let [outer, _, inner] = parts.shape;
        let info = |(arg, len): (u16, usize)| {
            let info = args.get(arg as usize).ok_or_else(|| wrong(format!("argument {arg} does not exist")))?;
            match info.elements as usize >= outer * len * inner {
                true => Ok(info.dtype),
                false => Err(wrong(format!("[{outer}, {len}, {inner}] from {} elements", info.elements))),
            }
        };
        let dtype = info(parts.data)?;
        if let Some(indices) = parts.indices
            && info(indices)? != DType::I32
        {
            return Err(wrong(format!("indices of type {}", info(indices)?)));
        }
        let result = match parts.kind {
            LineKind::ArgSort { .. } => DType::I32,
            _ => dtype.compute(),
        };
        let block = Program::new(&kernel.block, &kernel.shape, args, &kernel.label)?;
        if block.acc().is_some_and(|acc| acc != result) {
            return Err(wrong(format!("the result of {dtype} is {result}")));
        }
        Ok(LineKernel {
            kind: parts.kind,
            shape: parts.shape,
            data: Operand { arg: parts.data.0 as usize, dtype, len: parts.data.1 },
            indices: parts.indices.map(|(arg, _)| arg as usize),
            layout: layout(&parts),
            block,
        })
    }

    pub(super) fn run(&self, env: &Env<'_>) {
        let Layout { rows, pieces, per_worker, .. } = self.layout;
        let [outer, len, inner] = self.shape;
        env.threads.run(pieces, &|worker, piece| {
            // As many places as pieces, where these are fewer than workers.
            let slot = if pieces <= env.threads.count() { piece } else { worker };
            let own = env.scratch.from(4 * (slot * per_worker) as u64).part(0, 4 * per_worker);
            let first = piece * rows;
            let count = rows.min(outer - first);
            let result = own.write::<u32>(0, count * len * inner);
            self.compute(env, own, first, count, result);
            let start = first * len * inner;
            self.block.run(&env.frame(worker), start..start + result.len(), own);
        });
    }

    /// The lines of `count` outer indices from `first` on.
    fn compute(&self, env: &Env<'_>, own: Mem<'_>, first: usize, count: usize, result: &mut [u32]) {
        let [_, len, inner] = self.shape;
        let Operand { arg, dtype, len: from } = self.data;
        let load = |to: &mut [u32]| storage::load(to, env.args[arg], dtype, (first * from * inner) as i64, 1);
        if let LineKind::Cumulate(how) = self.kind {
            load(result);
            result.chunks_exact_mut((len * inner).max(1)).for_each(|slab| cumulate(how, dtype, slab, inner));
            return;
        }
        let data = own.write::<u32>(self.layout.data, count * from * inner);
        load(data);
        let chosen = if self.kind == LineKind::Take { len } else { from };
        let indices = self
            .indices
            .map_or(&[][..], |arg| env.args[arg].read::<i32>(first * chosen * inner, count * chosen * inner));
        for row in 0..count {
            let result = &mut result[row * len * inner..][..len * inner];
            let data = &data[row * from * inner..][..from * inner];
            let at = |n: usize| row * n * inner..(row + 1) * n * inner;
            match self.kind {
                LineKind::Cumulate(_) => {}
                LineKind::ArgSort { descending } => {
                    let keys = own.write::<u64>(self.layout.keys / 2, len);
                    argsort(descending, dtype, result, data, inner, keys);
                }
                LineKind::Take => take(result, data, &indices[at(len)], inner),
                LineKind::Add => add(dtype, result, data, &indices[at(from)], inner),
            }
        }
    }
}

/// Folds the lines of `slab [len, inner]` in place.
fn cumulate(how: Cumulate, dtype: DType, slab: &mut [u32], inner: usize) {
    if slab.is_empty() {
        return;
    }
    if how.exclusive {
        let identity = how.op.identity(dtype).word(dtype.compute());
        let last = slab.len() - inner;
        match how.reverse {
            false => {
                slab.copy_within(..last, inner);
                slab[..inner].fill(identity);
            }
            true => {
                slab.copy_within(inner.., 0);
                slab[last..].fill(identity);
            }
        }
    }
    let float = |f: fn(f32, f32) -> f32| move |a: u32, b: u32| f(f32::from_bits(a), f32::from_bits(b)).to_bits();
    let (op, reverse) = (how.op, how.reverse);
    match (op, dtype.compute()) {
        (CumulateOp::Sum, DType::F32) => fold(slab, inner, reverse, float(|a, b| a + b)),
        (CumulateOp::Prod, DType::F32) => fold(slab, inner, reverse, float(|a, b| a * b)),
        (CumulateOp::Max, DType::F32) => {
            fold(slab, inner, reverse, float(|a, b| if a >= b || math::is_nan(a) { a } else { b }));
        }
        (CumulateOp::Min, DType::F32) => {
            fold(slab, inner, reverse, float(|a, b| if a <= b || math::is_nan(a) { a } else { b }));
        }
        (CumulateOp::Sum, _) => fold(slab, inner, reverse, u32::wrapping_add),
        (CumulateOp::Prod, _) => fold(slab, inner, reverse, u32::wrapping_mul),
        (CumulateOp::Max, DType::I32) => fold(slab, inner, reverse, |a, b| (a as i32).max(b as i32) as u32),
        (CumulateOp::Min, DType::I32) => fold(slab, inner, reverse, |a, b| (a as i32).min(b as i32) as u32),
        (CumulateOp::Max, _) => fold(slab, inner, reverse, u32::max),
        (CumulateOp::Min, _) => fold(slab, inner, reverse, u32::min),
    }
}

#[inline(always)]
fn fold(slab: &mut [u32], inner: usize, reverse: bool, op: impl Fn(u32, u32) -> u32) {
    if inner == 1 {
        let step = |sum: &mut Option<u32>, x: &mut u32| {
            *x = sum.map_or(*x, |sum| op(sum, *x));
            *sum = Some(*x);
        };
        let mut sum = None;
        match reverse {
            false => slab.iter_mut().for_each(|x| step(&mut sum, x)),
            true => slab.iter_mut().rev().for_each(|x| step(&mut sum, x)),
        }
        return;
    }
    let len = slab.len() / inner;
    for n in 1..len {
        let (done, next) = match reverse {
            false => {
                let (done, next) = slab.split_at_mut(n * inner);
                (&done[(n - 1) * inner..], &mut next[..inner])
            }
            true => {
                let (next, done) = slab.split_at_mut((len - n) * inner);
                (&done[..inner], &mut next[(len - n - 1) * inner..])
            }
        };
        for (x, &sum) in next.iter_mut().zip(done) {
            *x = op(sum, *x);
        }
    }
}

/// A word whose order as a whole number is the order of the elements, NaN last.
#[inline(always)]
fn key(word: u32, dtype: DType, descending: bool) -> u32 {
    let up = match dtype.compute() {
        DType::F32 => {
            if math::is_nan(f32::from_bits(word)) {
                return u32::MAX;
            }
            // Both zeros are one number.
            let word = if word << 1 == 0 { 0 } else { word };
            if word >> 31 == 1 { !word } else { word | 0x8000_0000 }
        }
        DType::I32 => word ^ 0x8000_0000,
        _ => word,
    };
    if descending { !up } else { up }
}

/// Positions of the elements of each line of `data [len, inner]` in sorted order.
fn argsort(descending: bool, dtype: DType, result: &mut [u32], data: &[u32], inner: usize, keys: &mut [u64]) {
    for lane in 0..inner {
        let elements = data[lane..].iter().step_by(inner);
        for (i, (to, &word)) in keys.iter_mut().zip(elements).enumerate() {
            *to = u64::from(key(word, dtype, descending)) << 32 | i as u64;
        }
        // Positions tell equal elements apart, so the order is the stable one.
        keys.sort_unstable();
        for (to, &key) in result[lane..].iter_mut().step_by(inner).zip(keys.iter()) {
            *to = key as u32;
        }
    }
}

fn take(result: &mut [u32], data: &[u32], indices: &[i32], inner: usize) {
    let len = data.len() / inner.max(1);
    for (n, (to, &index)) in result.iter_mut().zip(indices).enumerate() {
        let chosen = usize::try_from(index).ok().filter(|&index| index < len);
        *to = chosen.map_or(0, |index| data[index * inner + n % inner]);
    }
}

fn add(dtype: DType, result: &mut [u32], updates: &[u32], indices: &[i32], inner: usize) {
    result.fill(0);
    let len = result.len() / inner.max(1);
    let float = dtype.is_float();
    for (n, (&update, &index)) in updates.iter().zip(indices).enumerate() {
        let Some(index) = usize::try_from(index).ok().filter(|&index| index < len) else { continue };
        let to = &mut result[index * inner + n % inner];
        *to = match float {
            true => (f32::from_bits(*to) + f32::from_bits(update)).to_bits(),
            false => to.wrapping_add(update),
        };
    }
}
