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
        return Layout { converted: Vec::new(), workers: 0, per_worker: 0, rows: 1 };
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
    Layout { converted, workers: first, per_worker: aligned(rows * out[2] * out[3]), rows }
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
                self.compute(&sources, image, rows, result);
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

    /// The cells of a window that exist, within an image.
    fn window(&self, oy: usize, ox: usize) -> Window {
        let (down, across) = (self.cells(0, oy), self.cells(1, ox));
        let [_, _, width, channels] = self.x;
        let first = (down.start * width + across.start) * channels;
        Window { first, rows: down.len(), cols: across.len(), pitch: width * channels, channels }
    }

    /// Some rows of the result of an image.
    fn compute(&self, sources: &[Mem<'_>; 2], image: usize, rows: Range<usize>, result: &mut [f32]) {
        let large = self.x[1..].iter().product::<usize>();
        let small = self.y[1..].iter().product::<usize>();
        let channels = self.x[3];
        let of = |which: usize, len: usize| -> &[f32] { sources[which].read(image * len, len) };
        let first = rows.start;
        match self.kind {
            Kind::MaxGrad | Kind::AvgGrad => {
                result.fill(0.0);
                let max = self.kind == Kind::MaxGrad;
                let (x, dy) = if max { (of(0, large), of(1, small)) } else { (&[][..], of(0, small)) };
                for (i, dy) in dy.chunks_exact(channels.max(1)).enumerate() {
                    let window = self.window(i / self.y[2], i % self.y[2]);
                    if max { max_grad(result, x, dy, window) } else { avg_grad(result, dy, window) }
                }
            }
            _ => {
                let x = of(0, large);
                let v = if self.kind == Kind::MaxGather { of(1, large) } else { &[][..] };
                for (i, to) in result.chunks_exact_mut(channels.max(1)).enumerate() {
                    let window = self.window(first + i / self.y[2], i % self.y[2]);
                    match self.kind {
                        Kind::Max => max(to, x, window),
                        Kind::MaxGather => max_gather(to, x, v, window),
                        _ => avg(to, x, window),
                    }
                }
            }
        }
    }
}

/// Cells of an image, all channels of each.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// First element of the first cell.
    first: usize,
    rows: usize,
    cols: usize,
    /// Elements from row to row.
    pitch: usize,
    channels: usize,
}

/// Channels that are handled together: what is known of them stays in the first cache.
const GROUP: usize = 64;

impl Window {
    /// Calls `each(number, element)` for every cell, where the element is that of channel `channel`.
    #[inline(always)]
    fn cells(self, channel: usize, mut each: impl FnMut(i32, usize)) {
        let mut number = 0;
        for row in 0..self.rows {
            for col in 0..self.cols {
                each(number, self.first + row * self.pitch + col * self.channels + channel);
                number += 1;
            }
        }
    }
    /// Which cell is the first largest, for each channel of a group. NaN counts as larger than all numbers.
    #[inline(always)]
    fn find(self, x: &[f32], channel: usize, at: &mut [i32]) {
        let mut best = [f32::NEG_INFINITY; GROUP];
        let best = &mut best[..at.len()];
        at.fill(0);
        self.cells(channel, |number, element| {
            let x = &x[element..element + best.len()];
            for ((best, at), &x) in best.iter_mut().zip(at.iter_mut()).zip(x) {
                let wins = !math::is_nan(*best) & (math::is_nan(x) | (x > *best));
                *best = if wins { x } else { *best };
                *at = if wins { number } else { *at };
            }
        });
    }
}

vectorised! {
    fn max(to: &mut [f32], x: &[f32], window: Window) {
        to.fill(f32::NEG_INFINITY);
        window.cells(0, |_, element| {
            for (to, &x) in to.iter_mut().zip(&x[element..]) {
                *to = if *to > x || math::is_nan(*to) { *to } else { x };
            }
        });
    }
    fn max_gather(to: &mut [f32], x: &[f32], v: &[f32], window: Window) {
        let mut at = [0; GROUP];
        for (group, to) in to.chunks_mut(GROUP).enumerate() {
            let at = &mut at[..to.len()];
            window.find(x, group * GROUP, at);
            window.cells(group * GROUP, |number, element| {
                for ((to, &at), &v) in to.iter_mut().zip(at.iter()).zip(&v[element..]) {
                    *to = if at == number { v } else { *to };
                }
            });
        }
    }
    fn max_grad(dx: &mut [f32], x: &[f32], dy: &[f32], window: Window) {
        let mut at = [0; GROUP];
        for (group, dy) in dy.chunks(GROUP).enumerate() {
            let at = &mut at[..dy.len()];
            window.find(x, group * GROUP, at);
            window.cells(group * GROUP, |number, element| {
                for ((dx, &at), &dy) in dx[element..].iter_mut().zip(at.iter()).zip(dy) {
                    *dx += if at == number { dy } else { 0.0 };
                }
            });
        }
    }
    fn avg(to: &mut [f32], x: &[f32], window: Window) {
        let factor = 1.0 / (window.rows * window.cols).max(1) as f32;
        to.fill(0.0);
        window.cells(0, |_, element| {
            for (to, &x) in to.iter_mut().zip(&x[element..]) {
                *to += x;
            }
        });
        to.iter_mut().for_each(|to| *to *= factor);
    }
    fn avg_grad(dx: &mut [f32], dy: &[f32], window: Window) {
        let factor = 1.0 / (window.rows * window.cols).max(1) as f32;
        window.cells(0, |_, element| {
            for (dx, &dy) in dx[element..].iter_mut().zip(dy) {
                *dx += dy * factor;
            }
        });
    }
}
