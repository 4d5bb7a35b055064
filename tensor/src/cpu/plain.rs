//! Cores as plain loops: slow, for the time until their fast paths stand.

use super::{
    Env,
    memory::Mem,
    program::{ArgInfo, Program},
};
use crate::{
    dtype::DType,
    error::Result,
    graph::{ConvKind, PoolKind},
    plan::{Core, Kernel},
};

pub(super) struct PlainKernel {
    core: Core,
    dtypes: Vec<DType>,
    shape: Vec<usize>,
    program: Program,
    numel: usize,
}

fn get(mem: Mem<'_>, dtype: DType, i: i64) -> f32 {
    let i = i as usize;
    match dtype {
        DType::F32 => mem.read::<f32>(i, 1)[0],
        DType::F16 => mem.read::<half::f16>(i, 1)[0].to_f32(),
        DType::BF16 => mem.read::<half::bf16>(i, 1)[0].to_f32(),
        DType::U8 | DType::Bool => f32::from_bits(u32::from(mem.read::<u8>(i, 1)[0])),
        DType::I32 | DType::U32 => f32::from_bits(mem.read::<u32>(i, 1)[0]),
    }
}

impl PlainKernel {
    pub(super) fn new(kernel: &Kernel, args: &[ArgInfo]) -> Result<PlainKernel> {
        let program = Program::new(&kernel.block, &kernel.shape, args, &kernel.label)?;
        Ok(PlainKernel {
            core: kernel.core.clone(),
            dtypes: kernel.args.iter().map(|a| a.dtype).collect(),
            shape: kernel.shape.clone(),
            program,
            numel: kernel.numel(),
        })
    }
    pub(super) fn scratch(kernel: &Kernel) -> u64 {
        kernel.numel() as u64 * 4
    }
    pub(super) fn run(&self, env: &Env<'_>) {
        let acc = env.scratch.part(0, self.numel * 4);
        let out = acc.write::<f32>(0, self.numel);
        let at = |arg: u16, i: i64| get(env.args[arg as usize], self.dtypes[arg as usize], i);
        match &self.core {
            Core::MatMul { k, a, b } => {
                let rank = self.shape.len();
                let (m, n) = (self.shape[rank - 2], self.shape[rank - 1]);
                for (i, out) in out.iter_mut().enumerate() {
                    let (batch, row, col) = (i / (m * n), i / n % m, i % n);
                    let (mut pa, mut pb, mut rest) = (a.offset, b.offset, batch);
                    for axis in (0..rank - 2).rev() {
                        let x = (rest % self.shape[axis]) as i64;
                        rest /= self.shape[axis];
                        pa += a.batch_strides[axis] * x;
                        pb += b.batch_strides[axis] * x;
                    }
                    pa += a.row_stride * row as i64;
                    pb += b.col_stride * col as i64;
                    *out = (0..*k as i64)
                        .map(|k| at(a.arg, pa + k * a.col_stride) * at(b.arg, pb + k * b.row_stride))
                        .sum();
                }
            }
            Core::Conv2d { kind, conv, operands: [(a, sa), (b, sb)] } => {
                let s: [usize; 4] = [self.shape[0], self.shape[1], self.shape[2], self.shape[3]];
                let (x, w, y) = match kind {
                    ConvKind::Forward => (*sa, *sb, s),
                    ConvKind::InputGrad(_) => (s, *sb, *sa),
                    ConvKind::FilterGrad(_) => (*sa, s, *sb),
                };
                out.fill(0.0);
                let per = y[3] / conv.groups;
                for n in 0..y[0] {
                    for oy in 0..y[1] {
                        for ox in 0..y[2] {
                            for ky in 0..w[0] {
                                for kx in 0..w[1] {
                                    let iy =
                                        (oy * conv.strides[0] + ky * conv.dilation[0]) as i64 - conv.pads[0].0 as i64;
                                    let ix =
                                        (ox * conv.strides[1] + kx * conv.dilation[1]) as i64 - conv.pads[1].0 as i64;
                                    if iy < 0 || ix < 0 || iy >= x[1] as i64 || ix >= x[2] as i64 {
                                        continue;
                                    }
                                    for f in 0..y[3] {
                                        for c in 0..w[2] {
                                            let xi = ((n * x[1] + iy as usize) * x[2] + ix as usize) * x[3]
                                                + f / per * w[2]
                                                + c;
                                            let wi = ((ky * w[1] + kx) * w[2] + c) * w[3] + f;
                                            let yi = ((n * y[1] + oy) * y[2] + ox) * y[3] + f;
                                            match kind {
                                                ConvKind::Forward => out[yi] += at(*a, xi as i64) * at(*b, wi as i64),
                                                ConvKind::InputGrad(_) => {
                                                    out[xi] += at(*a, yi as i64) * at(*b, wi as i64)
                                                }
                                                ConvKind::FilterGrad(_) => {
                                                    out[wi] += at(*a, xi as i64) * at(*b, yi as i64)
                                                }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            Core::Pool2d { kind, pool, operands } => {
                let s: [usize; 4] = [self.shape[0], self.shape[1], self.shape[2], self.shape[3]];
                let (x, y) = match kind {
                    PoolKind::Max | PoolKind::MaxGather | PoolKind::Avg => (operands[0].1, s),
                    PoolKind::MaxGrad => (s, operands[1].1),
                    PoolKind::AvgGrad(_) => (s, operands[0].1),
                };
                out.fill(0.0);
                for yi in 0..y.iter().product::<usize>() {
                    let (c, ox, oy, n) =
                        (yi % y[3], yi / y[3] % y[2], yi / y[3] / y[2] % y[1], yi / y[3] / y[2] / y[1]);
                    let mut cells = Vec::new();
                    for ky in 0..pool.window[0] {
                        for kx in 0..pool.window[1] {
                            let iy = (oy * pool.strides[0] + ky) as i64 - pool.pads[0].0 as i64;
                            let ix = (ox * pool.strides[1] + kx) as i64 - pool.pads[1].0 as i64;
                            if iy >= 0 && ix >= 0 && iy < x[1] as i64 && ix < x[2] as i64 {
                                cells.push(((n * x[1] + iy as usize) * x[2] + ix as usize) * x[3] + c);
                            }
                        }
                    }
                    let first = || {
                        let mut best = cells[0];
                        for &cell in &cells {
                            if at(operands[0].0, cell as i64) > at(operands[0].0, best as i64) {
                                best = cell;
                            }
                        }
                        best
                    };
                    match kind {
                        PoolKind::Max => out[yi] = at(operands[0].0, first() as i64),
                        PoolKind::MaxGather => out[yi] = at(operands[1].0, first() as i64),
                        PoolKind::MaxGrad => out[first()] += at(operands[1].0, yi as i64),
                        PoolKind::Avg => {
                            out[yi] =
                                cells.iter().map(|&i| at(operands[0].0, i as i64)).sum::<f32>() / cells.len() as f32;
                        }
                        PoolKind::AvgGrad(_) => {
                            for &i in &cells {
                                out[i] += at(operands[0].0, yi as i64) / cells.len() as f32;
                            }
                        }
                    }
                }
            }
            Core::Gather { data, indices, len } => {
                let (count, inner) = (self.shape[1], self.shape[2]);
                for (i, out) in out.iter_mut().enumerate() {
                    let (o, r, c) = (i / (count * inner), i / inner % count, i % inner);
                    let at_row = at(*indices, r as i64).to_bits() as i32;
                    *out = match at_row >= 0 && (at_row as usize) < *len {
                        true => at(*data, ((o * len + at_row as usize) * inner + c) as i64),
                        false => 0.0,
                    };
                }
            }
            Core::ScatterAdd { indices, updates, count } => {
                let (len, inner) = (self.shape[1], self.shape[2]);
                out.fill(0.0);
                for o in 0..self.shape[0] {
                    for r in 0..*count {
                        let to = at(*indices, r as i64).to_bits() as i32;
                        if to >= 0 && (to as usize) < len {
                            for c in 0..inner {
                                out[(o * len + to as usize) * inner + c] +=
                                    at(*updates, ((o * count + r) * inner + c) as i64);
                            }
                        }
                    }
                }
            }
            Core::Map | Core::Reduce { .. } => {}
        }
        self.program.run(&env.frame(0), 0..self.numel, acc);
    }
}
