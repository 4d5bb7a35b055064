//! Matrix products.

use super::{
    Family, Pass,
    cell::{Cell, puts, reads},
    choice::{Tuning, matmul_extents, product},
    reduce::second,
    text::{Job, Text, affine, batch_index, line, names, unravel},
};
use crate::{
    dtype::DType,
    error::Result,
    graph::ReduceOp,
    plan::{MatrixView, expr::Affine},
};

/// One operand's hole.
struct Operand<'a> {
    name: &'static str,
    view: &'a MatrixView,
    /// Whether neighbours in memory are neighbours along m (of A) or k (of B): against the engine's habit.
    across: bool,
    /// Whether four neighbours can be read at once.
    four: bool,
}

impl<'a> Operand<'a> {
    /// `rows` and `cols` are the extents of the matrix.
    fn new(job: &Job, name: &'static str, view: &'a MatrixView, rows: usize, cols: usize) -> Self {
        let across = view.row_stride == 1 && view.col_stride != 1;
        let (along, run, other) = match across {
            true => (view.row_stride, rows, view.col_stride),
            false => (view.col_stride, cols, view.row_stride),
        };
        let multiple = |n: &i64| n % 4 == 0;
        let four = along == 1
            && run % 4 == 0
            && multiple(&other)
            && multiple(&view.offset)
            && view.batch_strides.iter().all(multiple)
            && job.starts_at_multiple(view.arg, 4);
        Operand { name, view, across, four }
    }

    fn hole(&self, text: &mut Text, batch: &[usize]) {
        let (row, col) = if self.name == "a" { ("row", "k") } else { ("k", "col") };
        let (statements, batch) = batch_index("batch", batch, &self.view.batch_strides);
        let index = Affine { offset: self.view.offset, strides: vec![1, self.view.row_stride, self.view.col_stride] };
        let at = affine(&index, &[batch, row.to_string(), col.to_string()]);
        let (four, ty) = if self.four { ("4", "vec4<f32>") } else { ("", "f32") };
        let (name, arg) = (self.name, self.view.arg);
        text.push(&format!(
            "fn load_{name}{four}(batch: u32, {row}: u32, {col}: u32) -> {ty} {{\n{statements}    return at{four}_{arg}({at});\n}}"
        ));
    }
}

/// One pass, or two where few results have long sums.
pub fn passes(job: &Job, tuning: &Tuning, k: usize, a: &MatrixView, b: &MatrixView) -> Result<Vec<Pass>> {
    let shape = &job.kernel.shape;
    let e = matmul_extents(shape, k);
    let choice = product(tuning, e, true, true);
    let split = choice.split;
    let batch = &shape[..shape.len().saturating_sub(2)];
    let (m, n) = (e.m as usize, e.n as usize);
    let mut a = Operand::new(job, "a", a, m, k);
    let mut b = Operand::new(job, "b", b, k, n);
    let vectors = choice.engine != "point";
    let c_four = vectors && n % 4 == 0;
    let mut flags = Vec::new();
    if !vectors {
        (a.four, b.four) = (false, false);
    } else {
        let wanted =
            [(a.four, "A_VEC4"), (a.across, "A_BY_M"), (b.four, "B_VEC4"), (b.across, "B_BY_K"), (c_four, "C_VEC4")];
        flags.extend(wanted.iter().filter(|(on, _)| *on).map(|(_, flag)| *flag));
    }
    let wide: Vec<u16> = [&a, &b].iter().filter(|o| o.four).map(|o| o.view.arg).collect();
    let mut args = vec![a.view.arg, b.view.arg];
    let (four, value) = if c_four { ("4", "vec4<f32>") } else { ("", "f32") };
    let head = format!("fn store{four}(batch: u32, row: u32, col: u32, value: {value}) {{");
    let mut out = String::new();
    let mut text = match split.parts {
        1 => {
            let block = &job.kernel.block;
            args.extend(reads(block));
            let puts = puts(job, block, if c_four { 4 } else { 1 });
            let mut text = Text::new(*job, &args, &wide, &puts);
            let cell = Cell::new(&mut text, job, block, shape.len(), Some(DType::F32), puts);
            let coords = names(shape.len());
            line!(out, "{head}\n{}", unravel("batch", &coords[..batch.len()], batch));
            if let [.., row, col] = coords.as_slice() {
                line!(out, "    let {row} = row;\n    let {col} = col;");
            }
            line!(out, "{}}}", if c_four { cell.four("value") } else { cell.one("value") });
            text
        }
        _ => {
            let mut text = Text::new(*job, &args, &wide, &[]);
            let scratch = text.scratch(true);
            line!(out, "{head}\n    let at = (batch * {m}u + row) * {n}u + col;");
            match c_four {
                false => line!(out, "    {scratch}[at] = bitcast<u32>(value);"),
                true => {
                    for lane in 0..4 {
                        line!(out, "    {scratch}[at + {lane}u] = bitcast<u32>(value[{lane}]);");
                    }
                }
            }
            out.push('}');
            text
        }
    };
    a.hole(&mut text, batch);
    b.hole(&mut text, batch);
    text.push(&out);
    let first = Family {
        name: engine(choice.engine),
        variant: "",
        flags,
        params: vec![e.m, e.n, e.k, e.batches, split.parts, split.chunk],
        extent: match choice.engine {
            "point" => [e.m * e.n * e.batches * split.parts, 1, 1],
            _ => [e.m, e.n, e.batches * split.parts],
        },
    }
    .pass(text)?;
    Ok(match split.parts {
        1 => vec![first],
        parts => vec![first, second(job, tuning, ReduceOp::Sum, DType::F32, [e.batches, parts, e.m * e.n])?],
    })
}

fn engine(name: &str) -> &'static str {
    match name {
        "128" => "matmul_128",
        "64" => "matmul_64",
        "32" => "matmul_32",
        "skinny" => "matmul_skinny",
        "direct" => "matmul_direct",
        _ => "matmul_point",
    }
}
