//! The text of a kernel's holes: its bindings, the functions that read and write arguments, and its block.

use super::{
    axes::{Axis, merge},
    words,
};
use crate::{
    dtype::DType,
    plan::{
        Arg, BufferSpec, Core, Kernel, Row,
        expr::{Access, Affine, Block, Guard, Inst},
    },
};

/// One kernel of a plan, and where its arguments lie.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The kernel.
    pub kernel: &'a Kernel,
    /// One per argument of the kernel.
    pub args: &'a [Arg],
    /// The plan's buffers.
    pub buffers: &'a [BufferSpec],
    /// Number of the plan's scalar words.
    pub scalars: usize,
    /// The plan's scratch buffer.
    pub scratch: Option<usize>,
}

impl Job<'_> {
    /// Whether an argument begins at a multiple of `count` elements, whatever the trip.
    pub fn starts_at_multiple(&self, arg: u16, count: u64) -> bool {
        let arg = &self.args[usize::from(arg)];
        arg.offset.is_multiple_of(count) && arg.rows.iter().all(|row| row.stride.is_multiple_of(count))
    }
    /// The type in memory of an argument.
    pub fn dtype(&self, arg: u16) -> DType {
        self.kernel.args[usize::from(arg)].dtype
    }
    fn buffer(&self, arg: u16) -> usize {
        self.args[usize::from(arg)].buffer
    }
}

/// How results reach memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// One word each.
    Word,
    /// Several to a word, written together.
    Packed,
    /// Several to a word, each put in its place by atomic operations: other threads write their own.
    Atomic,
}

/// A buffer of group 0, by its number in the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Number of the plan's buffer.
    pub buffer: usize,
    /// Whether it is written.
    pub written: bool,
    atomic: bool,
    wide: bool,
}

/// Element offset of an argument that depends on the trips of loops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moving {
    /// Offset apart from rows.
    pub offset: u64,
    /// The rows.
    pub rows: Vec<Row>,
}

/// Holes under construction.
pub struct Text<'a> {
    job: Job<'a>,
    /// Bindings so far.
    pub bindings: Vec<Binding>,
    known: Vec<u16>,
    /// Offsets that loops move, one per word of `trip`.
    pub moving: Vec<Moving>,
    /// Whether scalars are read.
    pub scalars: bool,
    philox: bool,
    functions: String,
}

/// Writing to a `String` cannot fail.
macro_rules! line {
    ($to:expr, $($part:tt)*) => { {
        use std::fmt::Write as _;
        let _ = writeln!($to, $($part)*);
    } };
}
pub(super) use line;

impl<'a> Text<'a> {
    /// Holes that read `reads` (those in `wide` also in fours) and write `puts`.
    pub fn new(job: Job<'a>, reads: &[u16], wide: &[u16], puts: &[(u16, Put)]) -> Self {
        let mut text = Text {
            job,
            bindings: Vec::new(),
            known: Vec::new(),
            moving: Vec::new(),
            scalars: false,
            philox: false,
            functions: String::new(),
        };
        for &arg in reads.iter().chain(puts.iter().map(|(arg, _)| arg)) {
            text.bind(job.buffer(arg), false);
        }
        for &(arg, put) in puts {
            let binding = text.bind(job.buffer(arg), true);
            text.bindings[binding].atomic |= put == Put::Atomic;
        }
        for &arg in wide {
            let binding = text.bind(job.buffer(arg), false);
            text.bindings[binding].wide |= !text.bindings[binding].written && job.dtype(arg).size() == 4;
        }
        let mut args: Vec<u16> = reads.iter().copied().chain(puts.iter().map(|(arg, _)| *arg)).collect();
        args.sort_unstable();
        args.dedup();
        for arg in args {
            text.argument(arg, wide.contains(&arg), puts);
        }
        text
    }

    fn bind(&mut self, buffer: usize, written: bool) -> usize {
        let found = self.bindings.iter().position(|b| b.buffer == buffer);
        let at = found.unwrap_or_else(|| {
            self.bindings.push(Binding { buffer, written: false, atomic: false, wide: false });
            self.bindings.len() - 1
        });
        self.bindings[at].written |= written;
        at
    }

    /// The name of the scratch buffer, bound for reading or writing.
    pub fn scratch(&mut self, written: bool) -> String {
        let buffer = self.job.scratch.unwrap_or(usize::MAX);
        format!("buffer_{}", self.bind(buffer, written))
    }

    /// Functions `at_N` (and `at4_N`) that read argument N, `slot_N` that gives its place.
    fn argument(&mut self, arg: u16, wide: bool, puts: &[(u16, Put)]) {
        self.known.push(arg);
        let place = &self.job.args[usize::from(arg)];
        let offset = match place.rows.is_empty() {
            true => format!("{}u", place.offset),
            false => {
                let n = self.moving.len();
                self.moving.push(Moving { offset: place.offset, rows: place.rows.clone() });
                format!("trip[{}].{}", n / 4, ["x", "y", "z", "w"][n % 4])
            }
        };
        let binding = self.bind(place.buffer, false);
        let Binding { atomic, wide: fours, .. } = self.bindings[binding];
        let word = |index: &str| match (atomic, fours) {
            (true, _) => format!("atomicLoad(&buffer_{binding}[{index}])"),
            (_, true) => format!("buffer_{binding}[({index}) >> 2u][({index}) & 3u]"),
            _ => format!("buffer_{binding}[{index}]"),
        };
        let dtype = self.job.dtype(arg);
        let ty = words::name(dtype);
        let read = match dtype {
            DType::F32 => format!("bitcast<f32>({})", word("e")),
            DType::I32 => format!("bitcast<i32>({})", word("e")),
            DType::U32 => word("e"),
            DType::F16 => {
                format!("unpack2x16float({} >> ((e & 1u) * 16u)).x", word("e >> 1u"))
            }
            DType::BF16 => format!("from_bits(({} >> ((e & 1u) * 16u)) << 16u)", word("e >> 1u")),
            DType::U8 => format!("(({} >> ((e & 3u) * 8u)) & 255u)", word("e >> 2u")),
            DType::Bool => format!("((({} >> ((e & 3u) * 8u)) & 255u) != 0u)", word("e >> 2u")),
        };
        let f = &mut self.functions;
        line!(f, "fn slot_{arg}(i: u32) -> u32 {{ return i + {offset}; }}");
        line!(f, "fn at_{arg}(i: u32) -> {ty} {{ let e = slot_{arg}(i); return {read}; }}");
        if wide {
            let four = match fours {
                true => format!("bitcast<vec4<{ty}>>(buffer_{binding}[slot_{arg}(i) >> 2u])"),
                false => format!("vec4<{ty}>(at_{arg}(i), at_{arg}(i + 1u), at_{arg}(i + 2u), at_{arg}(i + 3u))"),
            };
            line!(f, "fn at4_{arg}(i: u32) -> vec4<{ty}> {{ return {four}; }}");
        }
        if puts.contains(&(arg, Put::Word)) {
            line!(f, "fn put_{arg}(i: u32, bits: u32) {{ buffer_{binding}[slot_{arg}(i)] = bits; }}");
        }
        if puts.contains(&(arg, Put::Packed)) {
            let shift = if dtype.size() == 2 { 1 } else { 2 };
            line!(f, "fn put_{arg}(i: u32, bits: u32) {{ buffer_{binding}[slot_{arg}(i) >> {shift}u] = bits; }}");
        }
        if puts.contains(&(arg, Put::Atomic)) {
            let (shift, mask, width) = if dtype.size() == 2 { (1, 0xffff, 16) } else { (2, 0xff, 8) };
            line!(f, "fn put_{arg}(i: u32, bits: u32) {{");
            line!(f, "    let e = slot_{arg}(i);");
            line!(f, "    let by = (e & {}u) * {width}u;", (1 << shift) - 1);
            line!(f, "    let word = &buffer_{binding}[e >> {shift}u];");
            line!(f, "    atomicAnd(word, ~({mask}u << by));");
            line!(f, "    atomicOr(word, bits << by);");
            line!(f, "}}");
        }
    }

    /// Adds text.
    pub fn push(&mut self, text: &str) {
        self.functions.push_str(text);
        self.functions.push('\n');
    }

    /// The block's instructions as statements `let rN = …;`; its indices count over `coords`. `acc` is the core's result.
    pub fn statements(&mut self, block: &Block, coords: &[String]) -> String {
        let mut out = String::new();
        for (n, (inst, &dtype)) in block.insts.iter().zip(&block.dtypes).enumerate() {
            let reg = |r: u16| format!("r{r}");
            let of = |r: u16| block.dtypes.get(usize::from(r)).copied().unwrap_or(DType::F32);
            let value = match inst {
                Inst::Load(access) => self.load(&mut out, n, access, dtype, coords),
                Inst::Acc => "acc".to_string(),
                Inst::Row { slot, .. } | Inst::Kept { slot } => self.slot(*slot, coords),
                Inst::Keep { from, .. } => reg(*from),
                Inst::Scalar { slot } => {
                    self.scalars = true;
                    let word = format!("scalars[{}].{}", slot / 4, ["x", "y", "z", "w"][*slot as usize % 4]);
                    words::from_word(&word, dtype)
                }
                Inst::Const { word } => words::from_word(&format!("{word}u"), dtype),
                Inst::Index(index) => {
                    let at = affine(index, coords);
                    match dtype {
                        DType::U32 => at,
                        DType::I32 => format!("i32({at})"),
                        _ => format!("f32(i32({at}))"),
                    }
                }
                Inst::Within(guards) => within(guards, coords),
                Inst::Random { key, stream, sample, element } => {
                    self.philox = true;
                    let [low, high, step, first] = key.map(reg);
                    let (element, sample) = (affine(element, coords), affine(sample, coords));
                    format!("philox_bits({element}, {first} + {sample}, {step}, {stream}u, vec2<u32>({low}, {high}))")
                }
                Inst::Unary(op, x) => words::unary(*op, &reg(*x), of(*x)),
                Inst::Binary(op, a, b) => words::binary(*op, &reg(*a), &reg(*b), of(*a)),
                Inst::Select(c, a, b) => format!("select({}, {}, {})", reg(*b), reg(*a), reg(*c)),
                Inst::Cast { from, to } => words::cast(&reg(*from), of(*from), *to),
            };
            line!(out, "    let r{n} = {value};");
            if let Inst::Keep { slot, .. } = inst {
                line!(out, "    {} = r{n};", self.slot(*slot, coords));
            }
        }
        out
    }

    /// The variable of a slot in a kernel over rows: one of the row, or of an element, whose number among those of its thread is the
    /// last coordinate.
    fn slot(&self, slot: u16, coords: &[String]) -> String {
        match &self.job.kernel.core {
            Core::Rows { row_slots, .. } if usize::from(slot) >= *row_slots => {
                format!("kept_{slot}[{}]", coords.last().map_or("0u", String::as_str))
            }
            _ => format!("row_{slot}"),
        }
    }

    fn load(&self, out: &mut String, n: usize, access: &Access, dtype: DType, coords: &[String]) -> String {
        let at = affine(&access.index, coords);
        let arg = access.arg;
        if access.guards.is_empty() {
            return format!("at_{arg}({at})");
        }
        // An index moved to 0 costs less than a branch.
        line!(out, "    let g{n} = {};", within(&access.guards, coords));
        format!("select({}, at_{arg}(select(0u, {at}, g{n})), g{n})", words::zero(dtype))
    }

    /// The holes' text.
    pub fn finish(self) -> String {
        let mut out = String::from("#import math\n");
        if self.philox {
            out.push_str("#import philox\n");
        }
        for (n, binding) in self.bindings.iter().enumerate() {
            let access = if binding.written { "read_write" } else { "read" };
            let element = match binding {
                Binding { atomic: true, .. } => "atomic<u32>",
                Binding { wide: true, .. } => "vec4<u32>",
                _ => "u32",
            };
            line!(out, "@group(0) @binding({n}) var<storage, {access}> buffer_{n}: array<{element}>;");
        }
        let mut next = self.bindings.len();
        if self.scalars {
            let count = self.job.scalars.div_ceil(4).max(1);
            line!(out, "@group(0) @binding({next}) var<uniform> scalars: array<vec4<u32>, {count}>;");
            next += 1;
        }
        if !self.moving.is_empty() {
            let count = self.moving.len().div_ceil(4);
            line!(out, "@group(0) @binding({next}) var<uniform> trip: array<vec4<u32>, {count}>;");
        }
        out.push_str(words::HELPERS);
        out.push_str(&self.functions);
        out
    }
}

/// An index as an expression of type `u32`: negative numbers wrap, which sums and products undo.
pub fn affine(index: &Affine, coords: &[String]) -> String {
    let mut terms = Vec::new();
    for (&stride, coord) in index.strides.iter().zip(coords) {
        match stride {
            0 => {}
            1 => terms.push(coord.clone()),
            _ => terms.push(format!("{coord} * {}u", stride as u32)),
        }
    }
    if index.offset != 0 || terms.is_empty() {
        terms.push(format!("{}u", index.offset as u32));
    }
    match terms.as_slice() {
        [one] => one.clone(),
        _ => format!("({})", terms.join(" + ")),
    }
}

/// Whether all guards hold. An index below zero wraps to a huge number, so one comparison is enough.
fn within(guards: &[Guard], coords: &[String]) -> String {
    let one = |g: &Guard| format!("{} < {}u", affine(&g.index, coords), g.len.max(0) as u32);
    match guards {
        [] => "true".to_string(),
        _ => format!("({})", guards.iter().map(one).collect::<Vec<_>>().join(" && ")),
    }
}

/// Statements that take the number `of` apart into coordinates with these names, the last running fastest.
pub fn unravel(of: &str, names: &[String], lens: &[usize]) -> String {
    let mut out = String::new();
    let mut rest = of.to_string();
    for (axis, (name, len)) in names.iter().zip(lens).enumerate().rev() {
        if axis == 0 {
            line!(out, "    let {name} = {rest};");
        } else {
            line!(out, "    let {name} = {rest} % {len}u;");
            line!(out, "    let {name}_left = {rest} / {len}u;");
            rest = format!("{name}_left");
        }
    }
    out
}

/// Names `i0, i1, …`.
pub fn names(count: usize) -> Vec<String> {
    (0..count).map(|axis| format!("i{axis}")).collect()
}

/// The declaration of coordinates as parameters.
pub fn parameters(names: &[String]) -> String {
    names.iter().map(|name| format!("{name}: u32, ")).collect()
}

/// An index into the batch axes alone, as statements and an expression.
pub fn batch_index(batch: &str, lens: &[usize], strides: &[i64]) -> (String, String) {
    let index = Affine { offset: 0, strides: strides.to_vec() };
    let axes: Vec<Axis> = merge(lens, |_| 0, &[&index]);
    let names: Vec<String> = (0..axes.len()).map(|axis| format!("batch_{axis}")).collect();
    let lens: Vec<usize> = axes.iter().map(|a| a.len).collect();
    (unravel(batch, &names, &lens), affine(&super::axes::over(&index, &axes), &names))
}
