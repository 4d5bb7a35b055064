//! Kernels without a reduction: the block alone, gathers and scatters, and the last pass of work along lines.

use super::{
    Family, Pass,
    axes::{Axis, block_over, indices, merge},
    cell::{Cell, reads},
    line as along,
    text::{Job, Put, Text, line, names, unravel},
    words,
};
use crate::{
    dtype::DType,
    error::Result,
    plan::{
        Core,
        expr::{Affine, Block},
    },
};

/// One pass: a thread per element, or per word of elements where results are narrower than a word. Scatters need one more
/// before it.
pub fn passes(job: &Job) -> Result<Vec<Pass>> {
    let kernel = job.kernel;
    let axes: Vec<Axis> = match &kernel.core {
        Core::Map => merge(&kernel.shape, |_| 0, &indices(&kernel.block)),
        // The core names its axes.
        _ => kernel.shape.iter().enumerate().map(|(of, &len)| Axis { len, of, class: 0 }).collect(),
    };
    let lens: Vec<usize> = axes.iter().map(|a| a.len).collect();
    let block = block_over(&kernel.block, &axes);
    let narrowest = block.stores.iter().map(|s| job.dtype(s.access.arg).size()).min().unwrap_or(4);
    let lanes = 4 / narrowest;
    let puts = puts(job, &block, &lens);
    let mut args = reads(&block);
    let scatters = matches!(kernel.core, Core::ScatterAdd { .. });
    let acc = match kernel.core {
        Core::Line { kind, ref operands } => {
            args.extend(along::reads(kind, operands));
            Some(along::result(kind, job.dtype(along::arguments(kind, operands)?.0)))
        }
        Core::Gather { data, indices, .. } => {
            args.extend([data, indices]);
            Some(job.dtype(data).compute())
        }
        Core::ScatterAdd { updates, .. } => {
            args.push(updates);
            Some(job.dtype(updates).compute())
        }
        _ => None,
    };
    let mut text = Text::new(*job, &args, &[], &puts);
    let cell = Cell::new(&mut text, job, &block, axes.len(), acc, puts);
    if let Core::Line { kind, operands } = &kernel.core {
        let core = along::core(job, &mut text, *kind, operands)?;
        text.push(&core);
    } else if let Some(dtype) = acc {
        let chains = if scatters { text.scratch(false) } else { String::new() };
        text.push(&core(job, dtype, &chains));
    }
    let result = if acc.is_some() { format!("core({})", cell.coords.join(", ")) } else { String::new() };
    let place = unravel("n", &cell.coords, &lens);
    let coords: String = cell.coords.iter().map(|c| format!(", {c}")).collect();
    let mut out = String::new();
    line!(out, "fn cell_at(n: u32) -> Cell {{\n{place}    return {};\n}}", cell.call(&result, &cell.coords));
    line!(out, "fn put_at(n: u32, c: Cell) {{\n{place}    put_cell(c{coords});\n}}");
    line!(out, "fn put_words(n: u32{}) {{", (0..lanes).map(|l| format!(", c{l}: Cell")).collect::<String>());
    line!(out, "{place}{}}}", cell.packed(lanes));
    line!(out, "fn body(first: u32, lanes: u32) {{");
    for lane in 0..lanes {
        line!(out, "    let c{lane} = cell_at(first + min({lane}u, lanes - 1u));");
    }
    if cell.has_single() {
        line!(out, "    put_at(first, c0);");
        for lane in 1..lanes {
            line!(out, "    if (lanes > {lane}u) {{ put_at(first + {lane}u, c{lane}); }}");
        }
    }
    line!(out, "    put_words(first{});\n}}", (0..lanes).map(|l| format!(", c{l}")).collect::<String>());
    text.push(&out);
    let count = kernel.numel() as u64;
    let mut passes = Vec::new();
    if let Core::ScatterAdd { indices, count, .. } = kernel.core {
        passes.push(chains(job, indices, count)?);
    }
    if let Core::Line { kind, operands } = &kernel.core {
        passes.extend(along::before(job, *kind, operands)?);
    }
    let name = match lanes {
        1 => "map",
        2 => "map_2",
        _ => "map_4",
    };
    let family = Family { name, variant: "", flags: Vec::new(), params: vec![count], extent: [count, 1, 1] };
    passes.push(family.pass(text)?);
    Ok(passes)
}

/// The pass that finds, for every position, the first update that goes there, and for every update the next one that goes
/// where it goes; the number of updates where there is none. So adding costs as much as there is to add, in a fixed order.
fn chains(job: &Job, indices: u16, count: usize) -> Result<Pass> {
    let len = job.kernel.shape.get(1).copied().unwrap_or(1);
    let mut text = Text::new(*job, &[indices], &[], &[]);
    let scratch = text.scratch(true);
    text.push(&format!(
        "fn body(first: u32, lanes: u32) {{
    var wanted = first;
    var i = 0u;
    if (first >= {len}u) {{
        i = first - {len}u;
        wanted = bitcast<u32>(at_{indices}(i));
        i += 1u;
    }}
    while (i < {count}u) {{
        if (bitcast<u32>(at_{indices}(i)) == wanted) {{
            break;
        }}
        i += 1u;
    }}
    {scratch}[first] = i;
}}"
    ));
    let all = (len + count) as u64;
    Family { name: "map", variant: "", flags: Vec::new(), params: vec![all], extent: [all, 1, 1] }.pass(text)
}

/// Narrow results share words: a thread writes whole words if it has all that lie in them.
fn puts(job: &Job, block: &Block, lens: &[usize]) -> Vec<(u16, Put)> {
    let dense = Affine::row_major(lens).strides;
    let count: usize = lens.iter().product();
    let one = |store: &crate::plan::expr::Store| {
        let arg = store.access.arg;
        let size = job.dtype(arg).size();
        let per_word = 4 / size;
        if per_word == 1 {
            return Put::Word;
        }
        let place = &job.args[usize::from(arg)];
        let index = &store.access.index;
        // A last word that is not full is written whole only where nothing follows it.
        let ends = count.is_multiple_of(per_word)
            || (place.offset == 0 && place.rows.is_empty() && job.buffers[place.buffer].bytes == (count * size) as u64);
        let packed = index.strides == dense
            && index.offset % per_word as i64 == 0
            && job.starts_at_multiple(arg, per_word as u64)
            && ends;
        if packed { Put::Packed } else { Put::Atomic }
    };
    block.stores.iter().map(|store| (store.access.arg, one(store))).collect()
}

/// What a gather or scatter computes at `[outer, position, inner]`, as a function of the three.
/// `chains` names the scratch buffer of [`chains`].
fn core(job: &Job, dtype: DType, chains: &str) -> String {
    let ty = words::name(dtype);
    let zero = words::zero(dtype);
    let shape: Vec<usize> = job.kernel.shape.clone();
    let inner = shape.last().copied().unwrap_or(1);
    let mut out = String::new();
    let coords = names(3);
    let params = super::text::parameters(&coords);
    match job.kernel.core {
        Core::Gather { data, indices, len } => {
            line!(out, "fn core({params}) -> {ty} {{");
            line!(out, "    let row = bitcast<u32>(at_{indices}(i1));");
            line!(out, "    let inside = row < {len}u;");
            line!(out, "    let at = (i0 * {len}u + select(0u, row, inside)) * {inner}u + i2;");
            line!(out, "    return select({zero}, at_{data}(at), inside);\n}}");
        }
        Core::ScatterAdd { updates, count, .. } => {
            // In the order of the indices, so that the sum is the same every time.
            let len = shape.get(1).copied().unwrap_or(1);
            line!(out, "fn core({params}) -> {ty} {{");
            line!(out, "    var total = {zero};");
            line!(out, "    for (var i = {chains}[i1]; i < {count}u; i = {chains}[{len}u + i]) {{");
            line!(out, "        total += at_{updates}((i0 * {count}u + i) * {inner}u + i2);");
            line!(out, "    }}\n    return total;\n}}");
        }
        _ => {}
    }
    out
}
