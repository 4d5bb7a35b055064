//! Running folds, sorts, and elements chosen line by line. Each ends in one pass of a thread per result, before which folds and
//! sorts prepare the scratch buffer:
//!
//! - A fold is cut in chunks: a thread folds each, then one thread per line folds what the chunks came to.
//! - A sort ranks the elements of blocks by counting, then merges neighbouring blocks: every element looks for its place in the
//!   other block by halving. No barriers, `n log² n` comparisons.

use super::{
    Family, Pass,
    text::{Job, Text, line, names, parameters, unravel},
    words,
};
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::{Binary, Cumulate, CumulateOp, LineKind},
    plan::{Core, Kernel},
};

/// Elements that are ranked by counting.
const BLOCK: usize = 32;

/// The scratch words of a kernel.
pub fn scratch_words(kernel: &Kernel) -> u64 {
    let (Core::Line { kind, .. }, &[outer, len, inner]) = (&kernel.core, kernel.shape.as_slice()) else { return 0 };
    let all = outer * len * inner;
    (match kind {
        LineKind::Cumulate(_) => all + outer * inner * len.div_ceil(chunk(len)),
        LineKind::ArgSort { .. } => all * if len > BLOCK { 2 } else { 1 },
        LineKind::Take | LineKind::Add => 0,
    }) as u64
}

/// Elements that one thread folds: as many as there are chunks, in long lines.
fn chunk(len: usize) -> usize {
    len.isqrt().max(32)
}

/// The type that the block sees.
pub fn result(kind: LineKind, data: DType) -> DType {
    match kind {
        LineKind::ArgSort { .. } => DType::I32,
        _ => data.compute(),
    }
}

/// The argument with the elements, and the one with the indices.
pub fn arguments(kind: LineKind, operands: &[(u16, usize)]) -> Result<(u16, Option<u16>)> {
    match (kind, operands) {
        (LineKind::Cumulate(_) | LineKind::ArgSort { .. }, &[(x, _)]) => Ok((x, None)),
        (LineKind::Take, &[(data, _), (indices, _)]) => Ok((data, Some(indices))),
        (LineKind::Add, &[(indices, _), (updates, _)]) => Ok((updates, Some(indices))),
        _ => Err(Error::device(format!("`{}` of {} operands", kind.name(), operands.len()))),
    }
}

/// The arguments that the last pass reads.
pub fn reads(kind: LineKind, operands: &[(u16, usize)]) -> Vec<u16> {
    match kind {
        LineKind::Cumulate(_) | LineKind::ArgSort { .. } => Vec::new(),
        LineKind::Take | LineKind::Add => operands.iter().map(|(arg, _)| *arg).collect(),
    }
}

fn extents(job: &Job) -> Result<[usize; 3]> {
    <[usize; 3]>::try_from(job.kernel.shape.as_slice())
        .map_err(|_| Error::device(format!("lines of shape {:?}", job.kernel.shape)))
}

/// A pass of one thread for each of `count`, from statements that begin with its number `first`.
fn pass(mut text: Text, count: usize, statements: &str) -> Result<Pass> {
    text.push(&format!("fn body(first: u32, lanes: u32) {{\n{statements}}}"));
    let count = count as u64;
    Family { name: "map", variant: "", flags: Vec::new(), params: vec![count], extent: [count, 1, 1] }.pass(text)
}

/// The passes before the last.
pub fn before(job: &Job, kind: LineKind, operands: &[(u16, usize)]) -> Result<Vec<Pass>> {
    let (data, _) = arguments(kind, operands)?;
    match kind {
        LineKind::Cumulate(how) => folds(job, how, data),
        LineKind::ArgSort { descending } => sorts(job, descending, data),
        LineKind::Take | LineKind::Add => Ok(Vec::new()),
    }
}

fn combine(op: CumulateOp, a: &str, b: &str, dtype: DType) -> String {
    let op = match op {
        CumulateOp::Sum => Binary::Add,
        CumulateOp::Prod => Binary::Mul,
        CumulateOp::Max => Binary::Max,
        CumulateOp::Min => Binary::Min,
    };
    words::binary(op, a, b, dtype)
}

fn identity(op: CumulateOp, dtype: DType) -> String {
    words::from_word(&format!("{}u", op.identity(dtype).word(dtype.compute())), dtype)
}

fn folds(job: &Job, how: Cumulate, data: u16) -> Result<Vec<Pass>> {
    let [outer, len, inner] = extents(job)?;
    let dtype = job.dtype(data);
    let (chunk, all) = (chunk(len), outer * len * inner);
    let chunks = len.div_ceil(chunk);
    let mut text = Text::new(*job, &[data], &[], &[]);
    let scratch = text.scratch(true);
    let bits = words::stored("sum", dtype.compute(), dtype.compute());
    let start = identity(how.op, dtype);
    let coords = ["i0", "c", "i2"].map(String::from);
    let mut out = unravel("first", &coords, &[outer, chunks, inner]);
    line!(out, "    var sum = {start};");
    line!(out, "    for (var k = c * {chunk}u; k < min((c + 1u) * {chunk}u, {len}u); k += 1u) {{");
    let place = if how.reverse { format!("{}u - k", len - 1) } else { "k".into() };
    line!(out, "        let at = (i0 * {len}u + {place}) * {inner}u + i2;");
    line!(out, "        sum = {};", combine(how.op, "sum", &format!("at_{data}(at)"), dtype));
    line!(out, "        {scratch}[at] = {bits};");
    line!(out, "    }}");
    line!(out, "    {scratch}[{all}u + first] = {bits};");
    let mut passes = vec![pass(text, outer * chunks * inner, &out)?];
    if chunks > 1 {
        // What comes before each chunk.
        let mut text = Text::new(*job, &[], &[], &[]);
        let scratch = text.scratch(true);
        let mut out = unravel("first", &["i0", "i2"].map(String::from), &[outer, inner]);
        line!(out, "    var sum = {start};");
        line!(out, "    for (var c = 0u; c < {chunks}u; c += 1u) {{");
        line!(out, "        let at = {all}u + (i0 * {chunks}u + c) * {inner}u + i2;");
        let own = words::from_word(&format!("{scratch}[at]"), dtype);
        line!(out, "        let own = {own};");
        line!(out, "        {scratch}[at] = {bits};");
        line!(out, "        sum = {};", combine(how.op, "sum", "own", dtype));
        line!(out, "    }}");
        passes.push(pass(text, outer * inner, &out)?);
    }
    Ok(passes)
}

/// A function `key` of an element's number, whose order as a whole number is the order of the elements, NaN last.
fn key(data: u16, dtype: DType, descending: bool) -> String {
    let mut out = String::new();
    line!(out, "fn key(i: u32) -> u32 {{\n    let x = at_{data}(i);");
    match dtype.compute() {
        DType::F32 => {
            line!(out, "    if (is_nan(x)) {{ return 0xffffffffu; }}");
            line!(out, "    let bits = bitcast<u32>(x);");
            // Both zeros are one number.
            line!(out, "    let word = select(bits, 0u, (bits << 1u) == 0u);");
            line!(out, "    let up = select(word | 0x80000000u, ~word, (word >> 31u) == 1u);");
        }
        DType::I32 => line!(out, "    let up = bitcast<u32>(x) ^ 0x80000000u;"),
        DType::Bool => line!(out, "    let up = select(0u, 1u, x);"),
        _ => line!(out, "    let up = x;"),
    }
    line!(out, "    return {};\n}}", if descending { "~up" } else { "up" });
    out
}

fn sorts(job: &Job, descending: bool, data: u16) -> Result<Vec<Pass>> {
    let [outer, len, inner] = extents(job)?;
    let all = outer * len * inner;
    let key = key(data, job.dtype(data), descending);
    let coords = ["i0", "p", "i2"].map(String::from);
    let place = unravel("first", &coords, &[outer, len, inner]);
    let start = || {
        let mut text = Text::new(*job, &[data], &[], &[]);
        let scratch = text.scratch(true);
        text.push(&key);
        (text, scratch)
    };
    let (text, scratch) = start();
    let mut out = place.clone();
    line!(out, "    let low = p / {BLOCK}u * {BLOCK}u;");
    line!(out, "    let own = key(first);\n    var rank = low;");
    line!(out, "    for (var q = low; q < min(low + {BLOCK}u, {len}u); q += 1u) {{");
    line!(out, "        let other = key((i0 * {len}u + q) * {inner}u + i2);");
    line!(out, "        if (other < own || (other == own && q < p)) {{ rank += 1u; }}\n    }}");
    line!(out, "    {scratch}[(i0 * {len}u + rank) * {inner}u + i2] = p;");
    let mut passes = vec![pass(text, all, &out)?];
    let mut width = BLOCK;
    while width < len {
        let (text, scratch) = start();
        let (from, to) = halves(passes.len() - 1, all);
        let mut out = place.clone();
        line!(out, "    let line = i0 * {len}u;");
        line!(out, "    let own = {scratch}[{from}u + first];");
        line!(out, "    let wanted = key((line + own) * {inner}u + i2);");
        line!(out, "    let low = p / {0}u * {0}u;\n    let middle = min(low + {width}u, {len}u);", 2 * width);
        line!(out, "    let left = p < middle;");
        // Elements of the other block that come before: the smaller, and equals where the other block is the left one.
        line!(out, "    var a = select(low, middle, left);");
        line!(out, "    let start = a;");
        line!(out, "    var b = select(middle, min(low + {}u, {len}u), left);", 2 * width);
        line!(out, "    while (a < b) {{\n        let m = (a + b) / 2u;");
        line!(
            out,
            "        let other = key((line + {scratch}[{from}u + (line + m) * {inner}u + i2]) * {inner}u + i2);"
        );
        line!(
            out,
            "        if (other < wanted || (other == wanted && !left)) {{ a = m + 1u; }} else {{ b = m; }}\n    }}"
        );
        line!(out, "    let rank = low + p - select(middle, low, left) + a - start;");
        line!(out, "    {scratch}[{to}u + (line + rank) * {inner}u + i2] = own;");
        passes.push(pass(text, all, &out)?);
        width *= 2;
    }
    Ok(passes)
}

/// First words of the half of scratch that merge number `n` reads, and of the one it writes.
fn halves(n: usize, all: usize) -> (usize, usize) {
    if n.is_multiple_of(2) { (0, all) } else { (all, 0) }
}

/// The result at `[outer, position, inner]`, as a function `core` of the three.
pub fn core(job: &Job, text: &mut Text, kind: LineKind, operands: &[(u16, usize)]) -> Result<String> {
    let [_, len, inner] = extents(job)?;
    let (data, indices) = arguments(kind, operands)?;
    let dtype = job.dtype(data);
    let (ty, zero) = (words::name(result(kind, dtype)), words::zero(dtype));
    let all: usize = job.kernel.shape.iter().product();
    let from = operands.iter().find(|(arg, _)| *arg == data).map_or(0, |(_, len)| *len);
    let mut out = String::new();
    line!(out, "fn core({}) -> {ty} {{", parameters(&names(3)));
    match (kind, indices) {
        (LineKind::Cumulate(how), _) => {
            let scratch = text.scratch(false);
            let chunk = chunk(len);
            let last = len.saturating_sub(1);
            line!(out, "    let k = {};", if how.reverse { format!("{last}u - i1") } else { "i1".into() });
            let newest = match how.exclusive {
                false => "k",
                true => {
                    line!(out, "    if (k == 0u) {{ return {}; }}", identity(how.op, dtype));
                    line!(out, "    let newest = k - 1u;");
                    "newest"
                }
            };
            let place = if how.reverse { format!("{last}u - {newest}") } else { newest.into() };
            let own = words::from_word(&format!("{scratch}[(i0 * {len}u + {place}) * {inner}u + i2]"), dtype);
            line!(out, "    let own = {own};");
            let chunks = len.div_ceil(chunk);
            match chunks > 1 {
                false => line!(out, "    return own;"),
                true => {
                    let at = format!("{scratch}[{all}u + (i0 * {chunks}u + {newest} / {chunk}u) * {inner}u + i2]");
                    line!(out, "    let sum = {};", words::from_word(&at, dtype));
                    line!(out, "    return {};", combine(how.op, "sum", "own", dtype));
                }
            }
        }
        (LineKind::ArgSort { .. }, _) => {
            let scratch = text.scratch(false);
            let mut merges = 0;
            while BLOCK << merges < len {
                merges += 1;
            }
            let (at, _) = halves(merges, all);
            line!(out, "    return bitcast<i32>({scratch}[{at}u + (i0 * {len}u + i1) * {inner}u + i2]);");
        }
        (LineKind::Take, Some(indices)) => {
            line!(out, "    let row = bitcast<u32>(at_{indices}((i0 * {len}u + i1) * {inner}u + i2));");
            line!(out, "    let inside = row < {from}u;");
            line!(out, "    let at = (i0 * {from}u + select(0u, row, inside)) * {inner}u + i2;");
            line!(out, "    return select({zero}, at_{data}(at), inside);");
        }
        (LineKind::Add, Some(indices)) => {
            line!(out, "    var total = {zero};");
            line!(out, "    for (var i = 0u; i < {from}u; i += 1u) {{");
            line!(out, "        let at = (i0 * {from}u + i) * {inner}u + i2;");
            line!(out, "        if (bitcast<u32>(at_{indices}(at)) == i1) {{ total += at_{data}(at); }}");
            line!(out, "    }}\n    return total;");
        }
        _ => return Err(Error::device(format!("`{}` without indices", kind.name()))),
    }
    out.push('}');
    Ok(out)
}
