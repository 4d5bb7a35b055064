//! Reductions. A space is seen as `[outer, count, inner]` with the middle reduced: rows where `inner` is 1, else columns.
//!
//! Sums stay accurate however long they are: parts of at most some hundred terms per lane are added in `f32`, the parts in
//! `f64`, always in the same order.

mod fold;

use super::{
    Env, map,
    memory::Mem,
    program::{ArgInfo, Frame, Program},
    tile::Value,
};
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::ReduceOp,
    plan::{
        Core, Kernel,
        expr::{Affine, Block, Guard, Inst},
    },
};
use fold::State;

/// Fewer columns than this are summed as rows: a vector would be mostly empty.
const FEW_COLUMNS: usize = 16;
/// Longest part of a row that is reduced by one piece of work.
const ROW_PART: usize = 1 << 16;
/// Longest part of a column that is reduced in `f32`.
const COLUMN_PART: usize = 256;
/// Columns reduced together: their results stay in the first cache.
const BLOCK: usize = 1024;

/// How a space is reduced: decided by the kernel alone.
struct Layout {
    /// Order of the axes of `space`.
    order: Vec<usize>,
    outer: usize,
    count: usize,
    inner: usize,
    /// Terms of one part, and number of parts.
    part: usize,
    parts: usize,
}

impl Layout {
    fn new(op: ReduceOp, space: &[usize], reduced: &[bool]) -> Layout {
        let product = |axes: &[usize]| axes.iter().map(|&a| space[a]).product::<usize>();
        let long = |axis: &usize| space[*axis] != 1;
        let last = (0..space.len()).rev().filter(long).find(|&axis| reduced[axis]);
        let after = last.map_or(0, |axis| axis + 1);
        let inner: Vec<usize> = (after..space.len()).filter(|&a| !reduced[a]).collect();
        let outer: Vec<usize> = (0..after).filter(|&a| !reduced[a]).collect();
        let middle: Vec<usize> = (0..space.len()).filter(|&a| reduced[a]).collect();
        let (columns, rows, count) = (product(&inner), product(&outer), product(&middle));
        let as_rows = columns < FEW_COLUMNS || last.is_none();
        let order = if as_rows { [outer, inner, middle].concat() } else { [outer, middle, inner].concat() };
        let (outer, inner) = if as_rows { (rows * columns, 1) } else { (rows, columns) };
        let part = match (as_rows, op) {
            (true, _) => ROW_PART,
            // Positions are tracked in one go.
            (false, ReduceOp::ArgMax | ReduceOp::ArgMin) => count,
            (false, _) if count <= 2 * COLUMN_PART => count,
            (false, _) => COLUMN_PART,
        };
        let part = part.clamp(1, count.max(1));
        Layout { order, outer, count, inner, part, parts: count.div_ceil(part).max(1) }
    }
    fn scratch(&self) -> usize {
        match (self.parts, self.inner) {
            (1, _) => 0,
            (parts, 1) => self.outer * parts * size_of::<State>(),
            (parts, inner) => self.outer * parts * inner * 4,
        }
    }
}

/// A reduction made ready.
pub(super) struct ReduceKernel {
    op: ReduceOp,
    dtype: DType,
    layout: Layout,
    load: Program,
    block: Program,
    /// Units of work (rows, parts or blocks of columns) per piece.
    grain: usize,
}

impl ReduceKernel {
    pub(super) fn scratch(kernel: &Kernel) -> u64 {
        match &kernel.core {
            Core::Reduce { op, space, reduced, .. } => Layout::new(*op, space, reduced).scratch() as u64,
            _ => 0,
        }
    }
    pub(super) fn new(kernel: &Kernel, args: &[ArgInfo]) -> Result<ReduceKernel> {
        let wrong = |what: String| Error::argument(format!("kernel \"{}\": {what}", kernel.label));
        let Core::Reduce { op, space, reduced, load } = &kernel.core else {
            return Err(wrong("is no reduction".into()));
        };
        let kept: Vec<usize> = space.iter().zip(reduced).filter(|(_, r)| !**r).map(|(n, _)| *n).collect();
        if reduced.len() != space.len() || kept.iter().product::<usize>() != kernel.numel() {
            return Err(wrong(format!("space {space:?} less {reduced:?} does not give shape {:?}", kernel.shape)));
        }
        let Some(&dtype) = load.dtypes.last().filter(|dtype| op.accepts(**dtype)) else {
            return Err(wrong(format!("{op:?} cannot reduce {:?}", load.dtypes.last())));
        };
        if !load.stores.is_empty() || load.insts.iter().any(|inst| matches!(inst, Inst::Acc)) {
            return Err(wrong("a load neither stores nor sees a result".into()));
        }
        let result = if matches!(op, ReduceOp::ArgMax | ReduceOp::ArgMin) { DType::I32 } else { dtype };
        let block = Program::new(&kernel.block, &kernel.shape, args, &kernel.label)?;
        if block.acc().is_some_and(|acc| acc != result) {
            return Err(wrong(format!("the result of {op:?} is {result}")));
        }
        let layout = Layout::new(*op, space, reduced);
        let shape: Vec<usize> = layout.order.iter().map(|&axis| space[axis]).collect();
        // A space without terms has results all the same, and nothing to load.
        let load = if layout.count == 0 { Block::default() } else { permuted(load, &layout.order) };
        let shape = if layout.count == 0 { vec![1] } else { shape };
        let load = Program::new(&load, &shape, args, &kernel.label)?;
        let cost = map::cost(&load) + 0.1;
        let unit = match (layout.inner, layout.parts) {
            (1, 1) => layout.count,
            (1, _) => layout.part,
            (inner, _) => layout.part * inner.min(BLOCK),
        };
        let units = layout.outer * layout.parts * layout.inner.div_ceil(BLOCK);
        let grain = map::chunk(units, cost * unit as f64 + 20.0, 1);
        Ok(ReduceKernel { op: *op, dtype, layout, load, block, grain })
    }
    pub(super) fn run(&self, env: &Env<'_>) {
        match (self.layout.inner, self.layout.parts) {
            (1, 1) => self.rows(env),
            (1, _) => self.long_rows(env),
            (_, 1) => self.columns(env),
            _ => self.long_columns(env),
        }
    }

    /// Whole rows: some hundred at a time, then the block on their results.
    fn rows(&self, env: &Env<'_>) {
        let (outer, count) = (self.layout.outer, self.layout.count);
        env.threads.run(outer.div_ceil(self.grain), &|worker, piece| {
            let frame = env.frame(worker);
            let end = ((piece + 1) * self.grain).min(outer);
            let mut first = piece * self.grain;
            while first < end {
                let mut results = [0; BLOCK];
                let rows = (end - first).min(BLOCK);
                let results = &mut results[..rows];
                reduce_rows(self.op, self.dtype, &self.load, &frame, first, count, results);
                self.block.run(&frame, first..first + rows, Mem::over(results));
                first += rows;
            }
        });
    }

    /// Parts of rows, whose results are combined in order.
    fn long_rows(&self, env: &Env<'_>) {
        let Layout { outer, count, part: longest, parts, .. } = self.layout;
        let units = outer * parts;
        env.threads.run(units.div_ceil(self.grain), &|worker, piece| {
            let frame = env.frame(worker);
            for unit in piece * self.grain..((piece + 1) * self.grain).min(units) {
                let (row, first) = (unit / parts, unit % parts * longest);
                let len = longest.min(count - first);
                let mut state = State::new(self.op, self.dtype);
                self.load.each(&frame, row * count + first, len, 1, len, &mut |position, n, value| {
                    state.add(self.op, self.dtype, part(value, 0, n), n, position - row * count);
                });
                env.scratch.write::<State>(unit, 1).fill(state);
            }
        });
        let frame = env.frame(0);
        let mut first = 0;
        while first < outer {
            let mut results = [0; BLOCK];
            let rows = (outer - first).min(BLOCK);
            let results = &mut results[..rows];
            for (i, result) in results.iter_mut().enumerate() {
                let mut state = State::new(self.op, self.dtype);
                for part in env.scratch.read::<State>((first + i) * parts, parts) {
                    state.join(self.op, self.dtype, part);
                }
                *result = state.word(self.op, self.dtype);
            }
            self.block.run(&frame, first..first + rows, Mem::over(results));
            first += rows;
        }
    }

    /// Whole columns: blocks of neighbours, then the block on their results.
    fn columns(&self, env: &Env<'_>) {
        let Layout { outer, count, inner, .. } = self.layout;
        let blocks = inner.div_ceil(BLOCK);
        env.threads.run((outer * blocks).div_ceil(self.grain), &|worker, piece| {
            let frame = env.frame(worker);
            for unit in piece * self.grain..((piece + 1) * self.grain).min(outer * blocks) {
                let (row, first) = (unit / blocks, unit % blocks * BLOCK);
                let width = (inner - first).min(BLOCK);
                let mut results = [0; BLOCK];
                let results = &mut results[..width];
                self.column_part(&frame, row, 0..count, first, results);
                let start = row * inner + first;
                self.block.run(&frame, start..start + width, Mem::over(results));
            }
        });
    }

    /// Parts of columns, whose results are combined in order.
    fn long_columns(&self, env: &Env<'_>) {
        let Layout { outer, count, inner, part: longest, parts, .. } = self.layout;
        let blocks = inner.div_ceil(BLOCK);
        let units = outer * parts * blocks;
        env.threads.run(units.div_ceil(self.grain), &|worker, piece| {
            let frame = env.frame(worker);
            for unit in piece * self.grain..((piece + 1) * self.grain).min(units) {
                let (row, first) = (unit / blocks, unit % blocks * BLOCK);
                let (row, part) = (row / parts, row % parts);
                let width = (inner - first).min(BLOCK);
                let results = env.scratch.write((row * parts + part) * inner + first, width);
                self.column_part(&frame, row, part * longest..((part + 1) * longest).min(count), first, results);
            }
        });
        env.threads.run(if outer * parts * inner > 1 << 18 { outer * blocks } else { 1 }, &|worker, piece| {
            let frame = env.frame(worker);
            let all = outer * parts * inner <= 1 << 18;
            for unit in if all { 0..outer * blocks } else { piece..piece + 1 } {
                let (row, first) = (unit / blocks, unit % blocks * BLOCK);
                let width = (inner - first).min(BLOCK);
                let mut results = [0; BLOCK];
                let results = &mut results[..width];
                let of_part = |part: usize| env.scratch.read::<u32>((row * parts + part) * inner + first, width);
                fold::join_columns(self.op, self.dtype, results, parts, &of_part);
                let start = row * inner + first;
                self.block.run(&frame, start..start + width, Mem::over(results));
            }
        });
    }

    /// Reduces rows `rows` of the middle axis for neighbouring columns.
    fn column_part(
        &self,
        frame: &Frame<'_>,
        row: usize,
        rows: std::ops::Range<usize>,
        first: usize,
        results: &mut [u32],
    ) {
        let Layout { count, inner, .. } = self.layout;
        let mut best = [0; BLOCK];
        let width = results.len();
        let best = &mut best[..width];
        results.fill(State::identity(self.op, self.dtype));
        let track = matches!(self.op, ReduceOp::ArgMax | ReduceOp::ArgMin);
        if track {
            best.fill(State::identity(self.op, self.dtype));
            results.fill(0);
        }
        if rows.is_empty() {
            return;
        }
        let start = (row * count + rows.start) * inner + first;
        self.load.each(frame, start, width, rows.len(), inner, &mut |position, len, value| {
            let mut done = 0;
            while done < len {
                let (at, column) = ((position + done) / inner % count, (position + done) % inner - first);
                let n = (width - column).min(len - done);
                if let (Value::Many(words), false, true) = (value, track, n == inner) {
                    let whole = (len - done) / inner * inner;
                    fold::column_rows(self.op, self.dtype, results, words.part(done * 4, whole * 4).read(0, whole));
                    done += whole;
                    continue;
                }
                let (value, to) = (part(value, done, n), &mut results[column..column + n]);
                if track {
                    fold::track(self.op, self.dtype, &mut best[column..column + n], to, value.operand(n), at as u32);
                } else {
                    fold::columns(self.op, self.dtype, to, value.operand(n));
                }
                done += n;
            }
        });
    }
}

/// Reduces whole rows of `count` terms, from row `first` on: one for each of the results.
pub(super) fn reduce_rows(
    op: ReduceOp,
    dtype: DType,
    load: &Program,
    frame: &Frame<'_>,
    first: usize,
    count: usize,
    results: &mut [u32],
) {
    let (mut state, empty) = (State::new(op, dtype), State::new(op, dtype));
    if count == 0 {
        return results.fill(empty.word(op, dtype));
    }
    let terms = results.len() * count;
    load.each(frame, first * count, terms, 1, terms, &mut |position, len, value| {
        let mut done = 0;
        while done < len {
            let (row, at) = ((position + done) / count - first, (position + done) % count);
            let n = (count - at).min(len - done);
            if let (Value::Many(words), true) = (value, at == 0 && n == count) {
                let whole = (len - done) / count;
                let words = words.part(done * 4, whole * count * 4).read(0, whole * count);
                fold::rows(op, dtype, &mut results[row..row + whole], words, count);
                done += whole * count;
                continue;
            }
            state.add(op, dtype, part(value, done, n), n, at);
            done += n;
            if at + n == count {
                results[row] = state.word(op, dtype);
                state = empty;
            }
        }
    });
}

/// Elements `first..first + len` of a tile's value.
fn part(value: Value<'_>, first: usize, len: usize) -> Value<'_> {
    match value {
        Value::One(word) => Value::One(word),
        Value::Many(words) => Value::Many(words.part(first * 4, len * 4)),
    }
}

/// A block over the same space with its axes in another order.
fn permuted(block: &Block, order: &[usize]) -> Block {
    let line = |affine: &Affine| Affine {
        offset: affine.offset,
        strides: order.iter().map(|&axis| affine.strides.get(axis).copied().unwrap_or(0)).collect(),
    };
    let guards = |guards: &[Guard]| -> Vec<Guard> {
        guards.iter().map(|g| Guard { index: line(&g.index), len: g.len }).collect()
    };
    let mut block = block.clone();
    for inst in &mut block.insts {
        match inst {
            Inst::Load(access) => {
                access.index = line(&access.index);
                access.guards = guards(&access.guards);
            }
            Inst::Index(index) => *index = line(index),
            Inst::Within(all) => *all = guards(all),
            Inst::Random { sample, element, .. } => {
                *sample = line(sample);
                *element = line(element);
            }
            _ => {}
        }
    }
    block
}
