//! Rows chosen by indices, and sums into rows chosen by indices.

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
    plan::{Core, Kernel},
};

/// Elements gathered before the block runs on them.
const BLOCK: usize = 1 << 12;
/// Elements summed into before the block runs on them, and the most pieces: each looks at all indices.
const SUMS: usize = 1 << 15;
const MOST_PIECES: usize = 64;

/// A gather or a scatter made ready.
pub(super) struct GatherKernel {
    scatter: bool,
    /// Result's shape.
    shape: [usize; 3],
    data: usize,
    indices: usize,
    dtype: DType,
    /// Length of the gathered axis, or number of indices.
    len: usize,
    /// Rows of a piece.
    rows: usize,
    block: Program,
}

struct Parts {
    scatter: bool,
    shape: [usize; 3],
    data: u16,
    indices: u16,
    len: usize,
}

fn parts(kernel: &Kernel) -> Result<Parts> {
    let wrong = |what: String| Error::argument(format!("kernel \"{}\": {what}", kernel.label));
    let shape: [usize; 3] =
        kernel.shape.as_slice().try_into().map_err(|_| wrong(format!("a gather of shape {:?}", kernel.shape)))?;
    match kernel.core {
        Core::Gather { data, indices, len } => Ok(Parts { scatter: false, shape, data, indices, len }),
        Core::ScatterAdd { indices, updates, count } => {
            Ok(Parts { scatter: true, shape, data: updates, indices, len: count })
        }
        _ => Err(wrong("is no gather".into())),
    }
}

/// Rows of the result in one piece.
fn rows(parts: &Parts) -> usize {
    let [_, rows, inner] = parts.shape;
    if parts.scatter {
        (SUMS / inner.max(1)).max(rows.div_ceil(MOST_PIECES)).clamp(1, rows.max(1))
    } else {
        (4 * BLOCK / inner.max(1)).clamp(1, rows.max(1))
    }
}

impl GatherKernel {
    pub(super) fn scratch(kernel: &Kernel, threads: usize) -> u64 {
        match parts(kernel) {
            Ok(parts) if parts.scatter => (4 * threads * (rows(&parts) * parts.shape[2]).next_multiple_of(16)) as u64,
            _ => 0,
        }
    }
    pub(super) fn new(kernel: &Kernel, args: &[ArgInfo]) -> Result<GatherKernel> {
        let wrong = |what: String| Error::argument(format!("kernel \"{}\": {what}", kernel.label));
        let parts = parts(kernel)?;
        let info = |arg: u16| args.get(arg as usize).ok_or_else(|| wrong(format!("argument {arg} does not exist")));
        let (data, indices) = (info(parts.data)?, info(parts.indices)?);
        let [outer, rows_out, inner] = parts.shape;
        let count = if parts.scatter { parts.len } else { rows_out };
        if indices.dtype != DType::I32 || (indices.elements as usize) < count {
            return Err(wrong(format!("{count} indices from {} elements of {}", indices.elements, indices.dtype)));
        }
        if (data.elements as usize) < outer * parts.len * inner {
            return Err(wrong(format!("[{outer}, {}, {inner}] from {} elements", parts.len, data.elements)));
        }
        let block = Program::new(&kernel.block, &kernel.shape, args, &kernel.label)?;
        if block.acc().is_some_and(|acc| acc != data.dtype.compute()) {
            return Err(wrong(format!("the result of {} is {}", data.dtype, data.dtype.compute())));
        }
        Ok(GatherKernel {
            scatter: parts.scatter,
            shape: parts.shape,
            data: parts.data as usize,
            indices: parts.indices as usize,
            dtype: data.dtype,
            len: parts.len,
            rows: rows(&parts),
            block,
        })
    }

    pub(super) fn run(&self, env: &Env<'_>) {
        let [outer, rows, _] = self.shape;
        let blocks = rows.div_ceil(self.rows);
        env.threads.run(outer * blocks, &|worker, piece| {
            let (outer, first) = (piece / blocks, piece % blocks * self.rows);
            let range = first..(first + self.rows).min(rows);
            if self.scatter { self.sum(env, worker, outer, range) } else { self.gather(env, worker, outer, range) }
        });
    }

    /// Copies rows, as many as fit at a time, or parts of long ones.
    fn gather(&self, env: &Env<'_>, worker: usize, outer: usize, rows: std::ops::Range<usize>) {
        let [_, count, inner] = self.shape;
        let indices = env.args[self.indices].read::<i32>(0, count);
        let data = env.args[self.data];
        let frame = env.frame(worker);
        let mut buffer = [0_u32; BLOCK];
        let (mut position, end) = (rows.start * inner, rows.end * inner);
        while position < end {
            let len = (end - position).min(BLOCK);
            let mut done = 0;
            while done < len {
                let (row, at) = ((position + done) / inner, (position + done) % inner);
                let n = (inner - at).min(len - done);
                let to = &mut buffer[done..done + n];
                match usize::try_from(indices[row]).ok().filter(|&i| i < self.len) {
                    Some(index) => {
                        storage::load(to, data, self.dtype, ((outer * self.len + index) * inner + at) as i64, 1)
                    }
                    None => to.fill(0),
                }
                done += n;
            }
            let start = outer * count * inner + position;
            self.block.run(&frame, start..start + len, Mem::over(&mut buffer[..len]));
            position += len;
        }
    }

    /// Sums the updates of some rows, in the order of the indices.
    fn sum(&self, env: &Env<'_>, worker: usize, outer: usize, rows: std::ops::Range<usize>) {
        let [_, all, inner] = self.shape;
        let size = (self.rows * inner).next_multiple_of(16);
        let own = env.scratch.from(4 * (worker * size) as u64).part(0, 4 * size);
        let sums = own.write::<u32>(0, rows.len() * inner);
        sums.fill(0);
        let indices = env.args[self.indices].read::<i32>(0, self.len);
        let mut widened = [0; 1024];
        for (i, &index) in indices.iter().enumerate() {
            let Some(row) = usize::try_from(index).ok().filter(|row| rows.contains(row)) else { continue };
            let to = &mut sums[(row - rows.start) * inner..][..inner];
            let first = (outer * self.len + i) * inner;
            for (part, to) in to.chunks_mut(widened.len()).enumerate() {
                let words = &mut widened[..to.len()];
                storage::load(words, env.args[self.data], self.dtype, (first + part * 1024) as i64, 1);
                if self.dtype.is_float() {
                    add_floats(bytemuck::cast_slice_mut(to), bytemuck::cast_slice(words));
                } else {
                    add_ints(to, words);
                }
            }
        }
        let start = (outer * all + rows.start) * inner;
        let len = sums.len();
        self.block.run(&env.frame(worker), start..start + len, own);
    }
}

vectorised! {
    fn add_floats(to: &mut [f32], from: &[f32]) {
        for (to, &x) in to.iter_mut().zip(from) {
            *to += x;
        }
    }
    fn add_ints(to: &mut [u32], from: &[u32]) {
        for (to, &x) in to.iter_mut().zip(from) {
            *to = to.wrapping_add(x);
        }
    }
}
