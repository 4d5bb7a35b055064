//! Reductions, in one pass or two.

use super::{
    Family, Pass,
    axes::{Axis, block_over, indices, merge},
    cell::{Cell, reads},
    choice::{Tuning, class, has_place, reduced_extents, reduction},
    text::{Job, Put, Text, line, names, parameters, unravel},
    words,
};
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::ReduceOp,
    plan::expr::{Affine, Block},
};

/// The type a reduction counts in, and the type of its result.
pub fn types(op: ReduceOp, dtype: DType) -> (DType, DType) {
    match op {
        ReduceOp::Any | ReduceOp::All => (DType::U32, DType::Bool),
        ReduceOp::ArgMax | ReduceOp::ArgMin => (dtype.compute(), DType::I32),
        _ => (dtype.compute(), dtype.compute()),
    }
}

fn variant(op: ReduceOp, dtype: DType) -> String {
    match op {
        ReduceOp::Any | ReduceOp::All => op.name().to_string(),
        _ => format!("{}_{}", op.name(), words::name(dtype)),
    }
}

/// One pass, or two where few results have long sums.
pub fn passes(
    job: &Job,
    tuning: &Tuning,
    op: ReduceOp,
    space: &[usize],
    reduced: &[bool],
    load: &Block,
) -> Result<Vec<Pass>> {
    let dtype = *load.dtypes.last().ok_or_else(|| Error::device("a reduction of nothing"))?;
    let extents @ [outer, len, inner] = reduced_extents(space, reduced);
    let place = has_place(op);
    let choice = reduction(tuning, extents, true, if place { 8 } else { 4 });
    let split = choice.split;
    let family = Family {
        name: choice.name,
        variant: &variant(op, dtype),
        flags: Vec::new(),
        params: vec![outer, len, inner, split.parts, split.chunk],
        extent: [outer * split.parts * inner, 1, 1],
    };
    if split.parts == 1 {
        let mut holes = Final::new(job, reads(load));
        source(&mut holes.text, space, reduced, load, op, dtype);
        let text = holes.finish(op, dtype, inner);
        return Ok(vec![family.pass(text)?]);
    }
    let mut text = Text::new(*job, &reads(load), &[], &[]);
    source(&mut text, space, reduced, load, op, dtype);
    let scratch = text.scratch(true);
    let (counted, _) = types(op, dtype);
    let bits = words::stored("value", counted, counted);
    let mut out = String::new();
    let index = if place { ", index: u32" } else { "" };
    line!(out, "fn store(outer: u32, inner: u32, value: {}{index}) {{", words::name(counted));
    line!(out, "    {scratch}[outer * {inner}u + inner] = {bits};");
    if place {
        line!(out, "    {scratch}[outer * {inner}u + inner + {}u] = index;", outer * split.parts * inner);
    }
    out.push('}');
    text.push(&out);
    Ok(vec![family.pass(text)?, second(job, tuning, op, dtype, [outer, split.parts, inner])?])
}

/// The pass that combines `[outer, parts, inner]` from scratch and runs the block.
pub fn second(job: &Job, tuning: &Tuning, op: ReduceOp, dtype: DType, [outer, parts, inner]: [u64; 3]) -> Result<Pass> {
    let place = has_place(op);
    let mut holes = Final::new(job, Vec::new());
    let scratch = holes.text.scratch(false);
    let (counted, _) = types(op, dtype);
    let at = format!("(outer * {parts}u + reduced) * {inner}u + inner");
    let mut out = String::new();
    line!(out, "fn load(outer: u32, reduced: u32, inner: u32) -> {} {{", words::name(counted));
    line!(out, "    return {};\n}}", words::from_word(&format!("{scratch}[{at}]"), counted));
    if place {
        line!(out, "fn load_index(outer: u32, reduced: u32, inner: u32) -> u32 {{");
        line!(out, "    return {scratch}[{at} + {}u];\n}}", outer * parts * inner);
    }
    holes.text.push(&out);
    let text = holes.finish(op, dtype, inner);
    Family {
        name: reduction(tuning, [outer, parts, inner], false, 0).name,
        variant: &variant(op, dtype),
        flags: if place { vec!["PARTIALS"] } else { Vec::new() },
        params: vec![outer, parts, inner, 1, parts],
        extent: [outer * inner, 1, 1],
    }
    .pass(text)
}

/// The hole `load`, from the block over the whole space.
fn source(text: &mut Text, space: &[usize], reduced: &[bool], load: &Block, op: ReduceOp, dtype: DType) {
    let last = reduced.iter().rposition(|r| *r).unwrap_or(0);
    let class = |axis: usize| class(axis, reduced.get(axis).copied().unwrap_or(false), last);
    let axes = merge(space, class, &indices(load));
    let block = block_over(load, &axes);
    let coords = names(axes.len());
    let statements = text.statements(&block, &coords);
    let result = format!("r{}", block.insts.len().saturating_sub(1));
    let (counted, _) = types(op, dtype);
    let ty = words::name(counted);
    let mut out = String::new();
    line!(out, "fn value({}) -> {ty} {{\n{statements}", parameters(&coords));
    line!(
        out,
        "    return {};\n}}",
        if dtype == DType::Bool { words::cast(&result, dtype, DType::U32) } else { result }
    );
    line!(out, "fn load(outer: u32, reduced: u32, inner: u32) -> {ty} {{");
    for (number, name) in ["outer", "reduced", "inner"].into_iter().enumerate() {
        let mine: Vec<(String, &Axis)> =
            coords.iter().cloned().zip(&axes).filter(|(_, a)| usize::from(a.class) == number).collect();
        let lens: Vec<usize> = mine.iter().map(|(_, axis)| axis.len).collect();
        let own: Vec<String> = mine.into_iter().map(|(coord, _)| coord).collect();
        out.push_str(&unravel(name, &own, &lens));
    }
    line!(out, "    return value({});\n}}", coords.join(", "));
    text.push(&out);
}

/// Holes of the pass that runs the kernel's block.
struct Final<'a> {
    text: Text<'a>,
    job: &'a Job<'a>,
    block: Block,
    lens: Vec<usize>,
    puts: Vec<(u16, Put)>,
}

impl<'a> Final<'a> {
    fn new(job: &'a Job<'a>, mut args: Vec<u16>) -> Self {
        let block = &job.kernel.block;
        // The result's position counts over the axes in order, so they merge as in a map.
        let dense = Affine::row_major(&job.kernel.shape);
        let mut all = indices(block);
        all.push(&dense);
        let axes = merge(&job.kernel.shape, |_| 0, &all);
        let block = block_over(block, &axes);
        args.extend(reads(&block));
        let puts = super::cell::puts(job, &block, 1);
        let text = Text::new(*job, &args, &[], &puts);
        Final { text, job, block, lens: axes.iter().map(|a| a.len).collect(), puts }
    }

    /// Adds the hole `store`.
    fn finish(mut self, op: ReduceOp, dtype: DType, inner: u64) -> Text<'a> {
        let (counted, result) = types(op, dtype);
        let cell = Cell::new(&mut self.text, self.job, &self.block, self.lens.len(), Some(result), self.puts);
        let place = has_place(op);
        let acc = match op {
            _ if place => "i32(index)",
            ReduceOp::Any | ReduceOp::All => "(value != 0u)",
            _ => "value",
        };
        let mut out = String::new();
        let index = if place { ", index: u32" } else { "" };
        line!(out, "fn store(outer: u32, inner: u32, value: {}{index}) {{", words::name(counted));
        line!(out, "    let n = outer * {inner}u + inner;");
        line!(out, "{}{}}}", unravel("n", &cell.coords, &self.lens), cell.one(acc));
        self.text.push(&out);
        self.text
    }
}
