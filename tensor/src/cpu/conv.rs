//! 2-D convolution and its gradients as products whose left operand is never built: a row of it is a window of the image,
//! and windows overlap, so micro-kernels read them where they are. Where a window leaves the image, the thread that needs
//! it copies the rows at hand with zeros around them.
//!
//! `window` has the product for results that are images (forward, input gradient), `filter` the one for the filter gradient.
//! `winograd` has both for convolutions of 3 by 3 without strides that have enough channels.

mod filter;
mod window;
mod winograd;

use super::{
    Env,
    memory::Mem,
    program::{ArgInfo, Program},
    storage,
};
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::{Conv2d, ConvKind},
    plan::{Core, Kernel},
};
use filter::Filter;
use window::Window;

/// Floating-point operations of a piece of work, at least.
const PIECE: usize = 3_000_000;

/// The sizes of a convolution, whichever member of the family.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    conv: Conv2d,
    /// Shapes of image, filters and result of the forward member.
    x: [usize; 4],
    w: [usize; 4],
    y: [usize; 4],
}

impl Sizes {
    fn groups(&self) -> usize {
        self.conv.groups
    }
    /// Channels and filters of a group.
    fn per_group(&self) -> (usize, usize) {
        (self.w[2], self.w[3] / self.conv.groups)
    }
    fn flops(&self) -> usize {
        2 * self.y.iter().product::<usize>() * self.w[..3].iter().product::<usize>()
    }
}

/// An image as a kernel sees it: surrounded by zeros, or cut.
#[derive(Clone, Copy, Debug)]
struct Frame {
    /// Rows, columns and channels in memory.
    rows: usize,
    cols: usize,
    channels: usize,
    /// Zeros in front of rows and columns.
    front: [usize; 2],
    /// Columns with zeros.
    wide: usize,
    /// Whether the image is seen as it lies in memory.
    direct: bool,
}

impl Frame {
    fn new([_, rows, cols, channels]: [usize; 4], front: [usize; 2], [tall, wide]: [usize; 2]) -> Frame {
        let direct = front == [0, 0] && tall <= rows && wide <= cols;
        Frame { rows, cols, channels, front, wide: if direct { cols } else { wide }, direct }
    }
    fn pitch(&self) -> usize {
        self.wide * self.channels
    }
    /// Elements of a copy of some rows.
    fn copy_len(&self, rows: usize) -> usize {
        if self.direct { 0 } else { rows * self.pitch() }
    }
    /// Rows `first..first + count` of image `n`, counted with the zeros: in memory if they are there, else copied to `to`.
    fn rows<'a>(&self, image: Mem<'a>, n: usize, first: usize, count: usize, to: Mem<'a>) -> Mem<'a> {
        let row = self.cols * self.channels;
        if self.direct {
            return image.from(4 * ((n * self.rows + first) * row) as u64);
        }
        let pitch = self.pitch();
        let left = (self.front[1] * self.channels).min(pitch);
        let inside = row.min(pitch - left);
        for (i, out) in to.write::<f32>(0, count * pitch).chunks_exact_mut(pitch).enumerate() {
            match (first + i).checked_sub(self.front[0]).filter(|&y| y < self.rows) {
                Some(y) => {
                    out[..left].fill(0.0);
                    out[left..left + inside].copy_from_slice(image.read((n * self.rows + y) * row, inside));
                    out[left + inside..].fill(0.0);
                }
                None => out.fill(0.0),
            }
        }
        to
    }
}

/// A member of the family made ready.
pub(super) struct ConvKernel {
    sizes: Sizes,
    operands: [u16; 2],
    dtypes: [DType; 2],
    lens: [usize; 2],
    /// Places of converted operands in scratch, in elements.
    converted: [usize; 2],
    form: Form,
    block: Program,
}

enum Form {
    Window(Window),
    Filter(Filter),
    WinogradImage(winograd::Image),
    WinogradFilter(winograd::Filter),
}

fn aligned(elements: usize) -> usize {
    elements.next_multiple_of(16)
}

fn sizes(kernel: &Kernel) -> Result<Sizes> {
    let wrong = |what: String| Error::argument(format!("kernel \"{}\": {what}", kernel.label));
    let Core::Conv2d { kind, conv, operands: [(_, first), (_, second)] } = &kernel.core else {
        return Err(wrong("is no convolution".into()));
    };
    let out: [usize; 4] =
        kernel.shape.as_slice().try_into().map_err(|_| wrong(format!("a convolution of shape {:?}", kernel.shape)))?;
    let (x, w, y) = match kind {
        ConvKind::Forward => (*first, *second, out),
        ConvKind::InputGrad(_) => (out, *second, *first),
        ConvKind::FilterGrad(_) => (*first, out, *second),
    };
    let expected = [x[0], conv.output_len(0, x[1], w[0]), conv.output_len(1, x[2], w[1]), w[3]];
    let fits = conv.groups > 0
        && conv.strides.iter().chain(&conv.dilation).all(|&n| n > 0)
        && x[3] == w[2] * conv.groups
        && w[3].is_multiple_of(conv.groups)
        && y == expected;
    if !fits {
        return Err(wrong(format!("{conv:?} does not lead from {x:?} by {w:?} to {y:?}")));
    }
    Ok(Sizes { conv: *conv, x, w, y })
}

/// Elements of converted operands, their places, and the first element after them.
fn converted(kernel: &Kernel) -> ([DType; 2], [usize; 2], [usize; 2], usize) {
    let Core::Conv2d { operands, .. } = &kernel.core else {
        return ([DType::F32; 2], [0; 2], [0; 2], 0);
    };
    let dtypes = operands.map(|(arg, _)| kernel.args.get(arg as usize).map_or(DType::F32, |spec| spec.dtype));
    let lens = operands.map(|(_, shape)| shape.iter().product::<usize>());
    let [a, b] = [0, 1].map(|i| if dtypes[i] == DType::F32 { 0 } else { aligned(lens[i]) });
    (dtypes, lens, [0, a], a + b)
}

impl ConvKernel {
    pub(super) fn scratch(kernel: &Kernel, threads: usize) -> u64 {
        let (_, _, _, first) = converted(kernel);
        let form = sizes(kernel).map(|sizes| Form::new(kernel, &sizes, first, None));
        form.map_or(first as u64 * 4, |form| 4 * form.end(threads) as u64)
    }
    pub(super) fn new(kernel: &Kernel, args: &[ArgInfo]) -> Result<ConvKernel> {
        let wrong = |what: String| Error::argument(format!("kernel \"{}\": {what}", kernel.label));
        let sizes = sizes(kernel)?;
        let Core::Conv2d { operands, .. } = &kernel.core else {
            return Err(wrong("is no convolution".into()));
        };
        for (i, (arg, shape)) in operands.iter().enumerate() {
            let info = args.get(*arg as usize).ok_or_else(|| wrong(format!("argument {arg} does not exist")))?;
            let len: usize = shape.iter().product();
            if !info.dtype.is_float() || (info.elements as usize) < len {
                return Err(wrong(format!(
                    "operand {i} of shape {shape:?} is {} elements of {}",
                    info.elements, info.dtype
                )));
            }
        }
        let block = Program::new(&kernel.block, &kernel.shape, args, &kernel.label)?;
        if block.acc().is_some_and(|acc| acc != DType::F32) {
            return Err(wrong("the result of a convolution is float32".into()));
        }
        let (dtypes, lens, converted, first) = converted(kernel);
        let form = Form::new(kernel, &sizes, first, block.plain_store());
        Ok(ConvKernel { sizes, operands: operands.map(|(arg, _)| arg), dtypes, lens, converted, form, block })
    }
    pub(super) fn run(&self, env: &Env<'_>) {
        let [a, b] = [0, 1].map(|i| self.operand(env, i));
        match &self.form {
            Form::Window(window) => window.run(env, &self.sizes, a, b, &self.block),
            Form::Filter(filter) => filter.run(env, &self.sizes, a, b, &self.block),
            Form::WinogradImage(image) => image.run(env, a, b, &self.block),
            Form::WinogradFilter(filter) => filter.run(env, a, b, &self.block),
        }
    }
    fn operand<'a>(&self, env: &Env<'a>, which: usize) -> Mem<'a> {
        let memory = env.args[self.operands[which] as usize];
        if self.dtypes[which] == DType::F32 {
            return memory;
        }
        let to = env.scratch.from(4 * self.converted[which] as u64);
        let (len, grain) = (self.lens[which], 1 << 15);
        env.threads.run(len.div_ceil(grain), &|_, piece| {
            let first = piece * grain;
            let words = to.write::<u32>(first, grain.min(len - first));
            storage::load(words, memory, self.dtypes[which], first as i64, 1);
        });
        to
    }
}

impl Form {
    fn new(kernel: &Kernel, sizes: &Sizes, first: usize, plain: Option<(usize, i64)>) -> Form {
        let Core::Conv2d { kind, .. } = &kernel.core else {
            return Form::Window(Window::forward(sizes, first, plain));
        };
        match (kind, !kernel.lean && winograd::serves(sizes, kind)) {
            (ConvKind::Forward, false) => Form::Window(Window::forward(sizes, first, plain)),
            (ConvKind::Forward, true) => Form::WinogradImage(winograd::Image::forward(sizes, first, plain)),
            (ConvKind::InputGrad(_), false) => Form::Window(Window::input_grad(sizes, first, plain)),
            (ConvKind::InputGrad(_), true) => Form::WinogradImage(winograd::Image::input_grad(sizes, first, plain)),
            (ConvKind::FilterGrad(_), false) => Form::Filter(Filter::new(sizes, first)),
            (ConvKind::FilterGrad(_), true) => Form::WinogradFilter(winograd::Filter::new(sizes, first)),
        }
    }
    /// Elements of scratch in all.
    fn end(&self, threads: usize) -> usize {
        match self {
            Form::Window(window) => window.end(threads),
            Form::Filter(filter) => filter.end(threads),
            Form::WinogradImage(image) => image.end(threads),
            Form::WinogradFilter(filter) => filter.end(threads),
        }
    }
}
