//! 2-D pooling and its gradients, channels last: every window's cells are visited in order, all channels of a cell at once.

use super::{
    Env,
    memory::Mem,
    program::{ArgInfo, Program},
    simd::vectorised,
    storage,
};
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::{Pool2d, PoolKind},
    plan::{Core, Kernel},
};
use addax_shaders::math;
use std::ops::Range;

/// Elements of a block of the result.
const BLOCK: usize = 1 << 15;

/// A member of the family made ready.
pub(super) struct PoolKernel {
    kind: Kind,
    pool: Pool2d,
    /// Shapes of the larger and the smaller image.
    x: [usize; 4],
    y: [usize; 4],
    operands: Vec<(usize, DType, usize)>,
    layout: Layout,
    block: Program,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Max,
    MaxGrad,
    MaxGather,
    Avg,
    AvgGrad,
}

/// How the work is cut, and where things lie in scratch, in elements.
struct Layout {
    converted: Vec<usize>,
    workers: usize,
    per_worker: usize,
    /// Rows of the result in a block (whole images for gradients).
    rows: usize,
    /// Where the positions of the largest lie in a worker's part.
    positions: usize,
    /// Where a row of values lies.
    values: usize,
}

fn aligned(elements: usize) -> usize {
    elements.next_multiple_of(16)
}

fn parts(kernel: &Kernel) -> Result<(Kind, Pool2d, [usize; 4], [usize; 4])> {
    let wrong = |what: String| Error::argument(format!("kernel \"{}\": {what}", kernel.label));
    let Core::Pool2d { kind, pool, operands } = &kernel.core else {
        return Err(wrong("is no pooling".into()));
    };
    let out: [usize; 4] =
        kernel.shape.as_slice().try_into().map_err(|_| wrong(format!("a pooling of shape {:?}", kernel.shape)))?;
    let shapes: Vec<[usize; 4]> = operands.iter().map(|(_, shape)| *shape).collect();
    let (kind, x, y, fits) = match (kind, shapes.as_slice()) {
        (PoolKind::Max, [x]) => (Kind::Max, *x, out, true),
        (PoolKind::Avg, [x]) => (Kind::Avg, *x, out, true),
        (PoolKind::MaxGrad, [x, dy]) => (Kind::MaxGrad, *x, *dy, *x == out),
        (PoolKind::MaxGather, [x, v]) => (Kind::MaxGather, *x, out, x == v),
        (PoolKind::AvgGrad(_), [dy]) => (Kind::AvgGrad, out, *dy, true),
        _ => return Err(wrong(format!("{} operands", shapes.len()))),
    };
    let expected = [x[0], pool.output_len(0, x[1]), pool.output_len(1, x[2]), x[3]];
    if !fits || y != expected || pool.strides.contains(&0) || pool.window.contains(&0) {
        return Err(wrong(format!("{pool:?} does not lead from {x:?} to {y:?}")));
    }
    Ok((kind, *pool, x, y))
}

fn layout(kernel: &Kernel, kind: Kind, x: [usize; 4], y: [usize; 4]) -> Layout {
    let Core::Pool2d { operands, .. } = &kernel.core else {
        return Layout { converted: Vec::new(), workers: 0, per_worker: 0, rows: 1, positions: 0, values: 0 };
    };
    let mut first = 0;
    let converted = operands.iter().map(|(arg, shape)| {
        let at = first;
        if kernel.args.get(*arg as usize).is_some_and(|spec| spec.dtype != DType::F32) {
            first += aligned(shape.iter().product());
        }
        at
    });
    let converted = converted.collect();
    let gradient = matches!(kind, Kind::MaxGrad | Kind::AvgGrad);
    let out = if gradient { x } else { y };
    let rows = if gradient { x[1] } else { (BLOCK / (out[2] * out[3]).max(1)).clamp(1, out[1].max(1)) };
    let positions = aligned(rows * out[2] * out[3]);
    let values = positions + aligned(x[3]);
    Layout { converted, workers: first, per_worker: values + aligned(x[3]), rows, positions, values }
}

impl PoolKernel {
    pub(super) fn scratch(kernel: &Kernel, threads: usize) -> u64 {
        parts(kernel).map_or(0, |(kind, _, x, y)| {
            let layout = layout(kernel, kind, x, y);
            4 * (layout.workers + threads * layout.per_worker) as u64
        })
    }
    pub(super) fn new(kernel: &Kernel, args: &[ArgInfo]) -> Result<PoolKernel> {
        let wrong = |what: String| Error::argument(format!("kernel \"{}\": {what}", kernel.label));
        let (kind, pool, x, y) = parts(kernel)?;
        let Core::Pool2d { operands: given, .. } = &kernel.core else {
            return Err(wrong("is no pooling".into()));
        };
        let mut operands = Vec::with_capacity(given.len());
        for (i, (arg, shape)) in given.iter().enumerate() {
            let info = args.get(*arg as usize).ok_or_else(|| wrong(format!("argument {arg} does not exist")))?;
            let len: usize = shape.iter().product();
            if !info.dtype.is_float() || (info.elements as usize) < len {
                return Err(wrong(format!(
                    "operand {i} of shape {shape:?} is {} elements of {}",
                    info.elements, info.dtype
                )));
            }
            operands.push((*arg as usize, info.dtype, len));
        }
        let block = Program::new(&kernel.block, &kernel.shape, args, &kernel.label)?;
        if block.acc().is_some_and(|acc| acc != DType::F32) {
            return Err(wrong("the result of a pooling is float32".into()));
        }
        let layout = layout(kernel, kind, x, y);
        Ok(PoolKernel { kind, pool, x, y, operands, layout, block })
    }

    pub(super) fn run(&self, env: &Env<'_>) {
        let mut sources = [Mem::EMPTY; 2];
        for (which, source) in sources.iter_mut().enumerate().take(self.operands.len()) {
            *source = self.operand(env, which);
        }
        let gradient = matches!(self.kind, Kind::MaxGrad | Kind::AvgGrad);
        let out = if gradient { self.x } else { self.y };
        let blocks = out[1].div_ceil(self.layout.rows);
        let units = out[0] * blocks;
        let grain = (BLOCK / (self.layout.rows * self.x[2] * self.x[3]).max(1)).max(1);
        env.threads.run(units.div_ceil(grain), &|worker, piece| {
            for unit in piece * grain..((piece + 1) * grain).min(units) {
                let (image, first) = (unit / blocks, unit % blocks * self.layout.rows);
                let rows = first..(first + self.layout.rows).min(out[1]);
                let at = self.layout.workers + worker * self.layout.per_worker;
                let own = env.scratch.from(4 * at as u64).part(0, 4 * self.layout.per_worker);
                let len = rows.len() * out[2] * out[3];
                let result = own.write::<f32>(0, len);
                let positions = own.write::<i32>(self.layout.positions, self.x[3]);
                let values = own.write::<f32>(self.layout.values, self.x[3]);
                self.compute(&sources, image, rows, result, positions, values);
                let start = (image * out[1] + first) * out[2] * out[3];
                self.block.run(&env.frame(worker), start..start + len, own);
            }
        });
    }

    fn operand<'a>(&self, env: &Env<'a>, which: usize) -> Mem<'a> {
        let (arg, dtype, len) = self.operands[which];
        let memory = env.args[arg];
        if dtype == DType::F32 {
            return memory;
        }
        let to = env.scratch.from(4 * self.layout.converted[which] as u64);
        let grain = 1 << 15;
        env.threads.run(len.div_ceil(grain), &|_, piece| {
            let first = piece * grain;
            let words = to.write::<u32>(first, grain.min(len - first));
            storage::load(words, memory, dtype, first as i64, 1);
        });
        to
    }

    /// The part of a window that exists, along one axis.
    fn cells(&self, axis: usize, out: usize) -> Range<usize> {
        let first = out * self.pool.strides[axis];
        let pad = self.pool.pads[axis].0;
        let low = first.saturating_sub(pad);
        let high = (first + self.pool.window[axis]).saturating_sub(pad).min(self.x[1 + axis]);
        low.min(high)..high
    }

    fn compute(
        &self,
        sources: &[Mem<'_>; 2],
        image: usize,
        rows: Range<usize>,
        result: &mut [f32],
        positions: &mut [i32],
        values: &mut [f32],
    ) {
        let [_, height, width, channels] = self.x;
        let cell = |which: usize, y: usize, x: usize| -> &[f32] {
            sources[which].read(((image * height + y) * width + x) * channels, channels)
        };
        let gradient = |which: usize, y: usize, x: usize| -> &[f32] {
            sources[which].read(((image * self.y[1] + y) * self.y[2] + x) * channels, channels)
        };
        if matches!(self.kind, Kind::MaxGrad | Kind::AvgGrad) {
            result.fill(0.0);
            for oy in 0..self.y[1] {
                for ox in 0..self.y[2] {
                    let (down, across) = (self.cells(0, oy), self.cells(1, ox));
                    let count = down.len() * across.len();
                    if self.kind == Kind::MaxGrad {
                        self.find(&cell, down.clone(), across.clone(), values, positions);
                    }
                    for (i, (y, x)) in down.flat_map(|y| across.clone().map(move |x| (y, x))).enumerate() {
                        let to = &mut result[(y * width + x) * channels..][..channels];
                        if self.kind == Kind::MaxGrad {
                            add_where(to, gradient(1, oy, ox), positions, i as i32);
                        } else {
                            add_scaled(to, gradient(0, oy, ox), 1.0 / count as f32);
                        }
                    }
                }
            }
            return;
        }
        let mut out = result.chunks_exact_mut(channels.max(1));
        for oy in rows {
            for ox in 0..self.y[2] {
                let Some(to) = out.next() else { return };
                let (down, across) = (self.cells(0, oy), self.cells(1, ox));
                let count = down.len() * across.len();
                let cells = down.clone().flat_map(|y| across.clone().map(move |x| (y, x)));
                match self.kind {
                    Kind::Max => {
                        to.fill(f32::NEG_INFINITY);
                        cells.for_each(|(y, x)| largest(to, cell(0, y, x)));
                    }
                    Kind::MaxGather => {
                        self.find(&cell, down.clone(), across.clone(), values, positions);
                        to.fill(0.0);
                        cells.enumerate().for_each(|(i, (y, x))| add_where(to, cell(1, y, x), positions, i as i32));
                    }
                    _ => {
                        to.fill(0.0);
                        cells.for_each(|(y, x)| add_scaled(to, cell(0, y, x), 1.0));
                        scale(to, 1.0 / count.max(1) as f32);
                    }
                }
            }
        }
    }

    /// For every channel, which cell of the window is the first largest.
    fn find<'a>(
        &self,
        cell: &dyn Fn(usize, usize, usize) -> &'a [f32],
        down: Range<usize>,
        across: Range<usize>,
        values: &mut [f32],
        positions: &mut [i32],
    ) {
        positions.fill(-1);
        for (i, (y, x)) in down.flat_map(|y| across.clone().map(move |x| (y, x))).enumerate() {
            track(values, positions, cell(0, y, x), i as i32);
        }
    }
}

vectorised! {
    fn largest(to: &mut [f32], from: &[f32]) {
        for (to, &x) in to.iter_mut().zip(from) {
            *to = if *to > x || math::is_nan(*to) { *to } else { x };
        }
    }
    /// Keeps the first largest; NaN counts as larger than all numbers. The first cell always wins.
    fn track(values: &mut [f32], positions: &mut [i32], from: &[f32], position: i32) {
        for ((value, at), &x) in values.iter_mut().zip(positions).zip(from) {
            let take = position == 0 || (!math::is_nan(*value) && (math::is_nan(x) || x > *value));
            *value = if take { x } else { *value };
            *at = if take { position } else { *at };
        }
    }
    fn add_where(to: &mut [f32], from: &[f32], positions: &[i32], position: i32) {
        for ((to, &x), &at) in to.iter_mut().zip(from).zip(positions) {
            *to += if at == position { x } else { 0.0 };
        }
    }
    fn add_scaled(to: &mut [f32], from: &[f32], factor: f32) {
        for (to, &x) in to.iter_mut().zip(from) {
            *to += x * factor;
        }
    }
    fn scale(to: &mut [f32], factor: f32) {
        for to in to {
            *to *= factor;
        }
    }
}
