//! Kernels over rows: one, 32 or 256 threads take a row from its first stage to the block. What stages hand on lies with each
//! thread: results per row, and what was kept of the elements that are its own in every stage.

use super::{
    Family, Pass,
    axes::{Axis, block_over, indices, merge},
    cell::{Cell, puts, reads},
    choice::{self, Tuning, has_place},
    reduce::types,
    text::{Job, Put, Text, affine, line, names, parameters, unravel},
    words,
};
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::ReduceOp,
    plan::{
        Core, Stage,
        expr::{Affine, Block, Inst},
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// One pass.
pub fn passes(job: &Job, tuning: &Tuning) -> Result<Vec<Pass>> {
    let Core::Rows { axes, stages, row_slots, .. } = &job.kernel.core else {
        return Err(Error::device("a kernel without rows"));
    };
    let count = job.kernel.rows(*axes) as u64;
    let rows = Rows::new(job, *axes, stages);
    let (name, lanes) = choice::rows(tuning, count, rows.len() as u64);
    let walk = rows.walk(job, lanes);
    let along = puts(job, &rows.block, walk.pack);
    let once = rows.stages.iter().flat_map(|stage| puts(job, &stage.block, 1));
    let written: Vec<(u16, Put)> = along.iter().copied().chain(once).collect();
    let read: Vec<u16> = rows.blocks().into_iter().flat_map(reads).collect();
    let mut text = Text::new(*job, &read, &[], &written);
    text.push(&rows.slots(*row_slots, walk.steps * walk.pack));
    let mut body = unravel("row", &rows.outer_names(), &lens(&rows.outer));
    let (mut combine, mut joins) = (String::new(), BTreeSet::new());
    for (n, stage) in rows.stages.iter().enumerate() {
        let dtype = *stage.load.dtypes.last().ok_or_else(|| Error::device("a stage that reduces nothing"))?;
        rows.load(&mut text, n, stage, dtype);
        body.push_str(&rows.reduced(&walk, n, stage.op, dtype));
        body.push_str(&rows.once(&mut text, job, n, &stage.block));
        joins.insert(join(stage.op, dtype));
        combine.push_str(&combined(n, stage.op, dtype));
    }
    joins.iter().for_each(|join| text.push(join));
    text.push(&format!(
        "fn combine(stage: u32, a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {{\n{combine}    return a;\n}}"
    ));
    if !rows.block.stores.is_empty() {
        body.push_str(&rows.stored(&mut text, job, &walk, along));
    }
    text.push(&format!("fn row_stages(row: u32, lane: u32, stored: bool) {{\n{body}}}"));
    let family = Family { name, variant: "", flags: Vec::new(), params: vec![count], extent: [count, 1, 1] };
    Ok(vec![family.pass(text)?])
}

/// How the threads of a row walk it: each over pieces of `pack` neighbours, every `lanes`th of them.
struct Walk {
    lanes: usize,
    pack: usize,
    /// Pieces of a row.
    pieces: usize,
    /// Pieces of a thread, at most.
    steps: usize,
}

impl Walk {
    /// Whether each thread has as many pieces.
    fn is_even(&self) -> bool {
        self.steps * self.lanes == self.pieces
    }
}

/// A kernel's blocks over merged axes: those that count rows, and those of a row.
struct Rows {
    outer: Vec<Axis>,
    inner: Vec<Axis>,
    stages: Vec<Stage>,
    block: Block,
}

impl Rows {
    fn new(job: &Job, axes: usize, stages: &[Stage]) -> Rows {
        let kernel = job.kernel;
        let first = kernel.shape.len().saturating_sub(axes);
        let all: Vec<&Affine> = kernel.blocks().into_iter().flat_map(indices).collect();
        let axes = merge(&kernel.shape, |axis| u8::from(axis >= first), &all);
        let (outer, inner): (Vec<Axis>, Vec<Axis>) = axes.iter().partition(|axis| axis.class == 0);
        let stage =
            |s: &Stage| Stage { op: s.op, load: block_over(&s.load, &axes), block: block_over(&s.block, &outer) };
        Rows { stages: stages.iter().map(stage).collect(), block: block_over(&kernel.block, &axes), outer, inner }
    }

    /// Elements of a row.
    fn len(&self) -> usize {
        self.inner.iter().map(|axis| axis.len).product()
    }

    fn blocks(&self) -> Vec<&Block> {
        self.stages.iter().flat_map(|stage| [&stage.load, &stage.block]).chain([&self.block]).collect()
    }

    /// Results that share words are a piece: one thread has them all.
    fn walk(&self, job: &Job, lanes: usize) -> Walk {
        let last = self.inner.last().map_or(1, |axis| axis.len);
        let narrowest = self.block.stores.iter().map(|store| job.dtype(store.access.arg).size()).min().unwrap_or(4);
        let pack = [4, 2].into_iter().find(|pack| pack * narrowest <= 4 && last.is_multiple_of(*pack)).unwrap_or(1);
        let pieces = self.len() / pack;
        Walk { lanes, pack, pieces, steps: pieces.div_ceil(lanes) }
    }

    fn outer_names(&self) -> Vec<String> {
        names(self.outer.len())
    }
    fn inner_names(&self) -> Vec<String> {
        names(self.outer.len() + self.inner.len()).split_off(self.outer.len())
    }
    /// The coordinates of an element, and behind them its number among those of its thread.
    fn coords(&self) -> Vec<String> {
        names(self.outer.len() + self.inner.len() + 1)
    }

    /// The slots as variables of a thread that has so many elements of a row.
    fn slots(&self, row_slots: usize, elements: usize) -> String {
        let mut dtypes: BTreeMap<usize, DType> = BTreeMap::new();
        for (n, Stage { op, load, .. }) in self.stages.iter().enumerate() {
            dtypes.extend(load.dtypes.last().map(|dtype| (n, types(*op, *dtype).1)));
        }
        for block in self.blocks() {
            for (inst, dtype) in block.insts.iter().zip(&block.dtypes) {
                if let Inst::Keep { slot, .. } = inst {
                    dtypes.insert(usize::from(*slot), *dtype);
                }
            }
        }
        let mut out = String::new();
        for (slot, dtype) in dtypes {
            let ty = words::name(dtype);
            match slot < row_slots {
                true => line!(out, "var<private> row_{slot}: {ty};"),
                false => line!(out, "var<private> kept_{slot}: array<{ty}, {elements}>;"),
            }
        }
        out
    }

    /// Adds `load_N`: what stage N reduces, at an element.
    fn load(&self, text: &mut Text, n: usize, Stage { op, load, .. }: &Stage, dtype: DType) {
        let coords = self.coords();
        let statements = text.statements(load, &coords);
        let last = format!("r{}", load.insts.len().saturating_sub(1));
        let (counted, _) = types(*op, dtype);
        let value = if dtype == DType::Bool { words::cast(&last, dtype, counted) } else { last };
        let (params, ty) = (parameters(&coords), words::name(counted));
        text.push(&format!("fn load_{n}({params}) -> {ty} {{\n{statements}    return {value};\n}}"));
    }

    /// Statements that reduce a row: first what is a thread's own, then what the threads have.
    fn reduced(&self, walk: &Walk, n: usize, op: ReduceOp, dtype: DType) -> String {
        let (counted, result) = types(op, dtype);
        let Walk { pack, pieces, steps, .. } = walk;
        let join = join_name(op, counted);
        let coords: String =
            names(self.outer.len() + self.inner.len()).iter().map(|name| format!("{name}, ")).collect();
        // Past the row's end the last piece comes again, which changes no maximum, but is left out of sums.
        let piece =
            if walk.is_even() { "piece".to_string() } else { format!("min(piece, {}u)", pieces.saturating_sub(1)) };
        let term = match op {
            ReduceOp::Sum | ReduceOp::Prod if !walk.is_even() => {
                let identity = words::cast(if op == ReduceOp::Sum { "0u" } else { "1u" }, DType::U32, counted);
                format!("select({identity}, value, piece < {pieces}u)")
            }
            _ => "value".to_string(),
        };
        let mut out = String::new();
        line!(out, "    var total_{n}: {};", words::name(counted));
        line!(out, "    var place_{n} = 0u;");
        line!(out, "    for (var n = 0u; n < {}u; n += 1u) {{", steps * pack);
        line!(out, "        let piece = n / {pack}u * LANES + lane;");
        line!(out, "        let at = {piece} * {pack}u + n % {pack}u;");
        line!(
            out,
            "{}        let value = load_{n}({coords}n);",
            unravel("at", &self.inner_names(), &lens(&self.inner))
        );
        if has_place(op) {
            line!(out, "        if (n == 0u || {join}(total_{n}, place_{n}, value, at)) {{");
            line!(out, "            total_{n} = value;\n            place_{n} = at;\n        }}");
        } else {
            line!(out, "        let term = {term};");
            line!(out, "        if (n == 0u) {{ total_{n} = term; }} else {{ total_{n} = {join}(total_{n}, term); }}");
        }
        let word = words::stored(&format!("total_{n}"), counted, counted);
        line!(out, "    }}\n    let all_{n} = row_reduce({n}u, vec2<u32>({word}, place_{n}));");
        let found = match has_place(op) {
            true => format!("i32(all_{n}.y)"),
            false => words::from_word(&format!("all_{n}.x"), result),
        };
        line!(out, "    row_{n} = {found};");
        out
    }

    /// Statements for what follows from stage N once per row. Each thread has its results; one writes what leaves the kernel, and
    /// it alone reads what lies there before.
    fn once(&self, text: &mut Text, job: &Job, n: usize, block: &Block) -> String {
        let coords = self.outer_names();
        let (params, list) = (parameters(&coords), coords.join(", "));
        let mut kept = Block { stores: Vec::new(), ..block.clone() };
        kept.prune(false);
        let mut out = String::new();
        if !kept.insts.is_empty() {
            let statements = text.statements(&kept, &coords);
            text.push(&format!("fn once_{n}({params}) {{\n{statements}}}"));
            line!(out, "    once_{n}({list});");
        }
        if !block.stores.is_empty() {
            let mut left = text.statements(block, &coords);
            for store in &block.stores {
                let register = block.dtypes.get(usize::from(store.reg)).copied().unwrap_or(DType::F32);
                let bits = words::stored(&format!("r{}", store.reg), register, job.dtype(store.access.arg));
                line!(left, "    put_{}({}, {bits});", store.access.arg, affine(&store.access.index, &coords));
            }
            text.push(&format!("fn leave_{n}({params}) {{\n{left}}}"));
            line!(out, "    if (stored && lane == 0u) {{ leave_{n}({list}); }}");
        }
        out
    }

    /// Statements that run the block over a thread's own elements.
    fn stored(&self, text: &mut Text, job: &Job, walk: &Walk, along: Vec<(u16, Put)>) -> String {
        let Walk { pack, pieces, steps, .. } = walk;
        let cell = Cell::new(text, job, &self.block, self.outer.len() + self.inner.len() + 1, None, along);
        let outer = self.outer_names();
        let mut out = String::new();
        line!(out, "fn put_piece({}first: u32, n: u32) {{", parameters(&outer));
        out.push_str(&unravel("first", &self.inner_names(), &lens(&self.inner)));
        for part in 0..*pack {
            // The neighbours of a piece differ in the last coordinate, and in their number.
            let mut coords = cell.coords.clone();
            for (coord, from) in coords.iter_mut().skip(outer.len()).rev().zip([Some("n"), None]) {
                *coord = format!("({} + {part}u)", from.unwrap_or(coord.as_str()));
            }
            line!(out, "    let c{part} = {};", cell.call("", &coords));
            if cell.has_single() {
                line!(out, "    put_cell(c{part}, {});", coords.join(", "));
            }
        }
        line!(out, "{}}}", cell.packed(*pack));
        text.push(&out);
        let list: String = outer.iter().map(|coord| format!("{coord}, ")).collect();
        let own = if walk.is_even() { "stored".to_string() } else { format!("stored && piece < {pieces}u") };
        format!(
            "    for (var n = 0u; n < {steps}u; n += 1u) {{
        let piece = n * LANES + lane;
        if ({own}) {{ put_piece({list}piece * {pack}u, n * {pack}u); }}
    }}\n"
        )
    }
}

fn lens(axes: &[Axis]) -> Vec<usize> {
    axes.iter().map(|axis| axis.len).collect()
}

fn join_name(op: ReduceOp, counted: DType) -> String {
    format!("join_{}_{}", op.name(), words::name(counted))
}

/// What two partial results become; or, where a place is sought, whether the second one goes before the first.
fn join(op: ReduceOp, dtype: DType) -> String {
    let (counted, _) = types(op, dtype);
    let (name, ty) = (join_name(op, counted), words::name(counted));
    if let Ok(function) = op.joining() {
        return format!(
            "fn {name}(a: {ty}, b: {ty}) -> {ty} {{ return {}; }}",
            words::binary(function, "a", "b", counted)
        );
    }
    // As in `combine.wgsl`: the lowest place of equals, the first NaN before all numbers.
    let sign = if op == ReduceOp::ArgMax { ">" } else { "<" };
    let precedes = |b: &str, a: &str| match counted {
        DType::F32 => format!("(({b} {sign} {a} || is_nan({b})) && !is_nan({a}))"),
        _ => format!("({b} {sign} {a})"),
    };
    format!(
        "fn {name}(a: {ty}, a_place: u32, b: {ty}, b_place: u32) -> bool {{
    return {} || (b_place < a_place && !{});\n}}",
        precedes("b", "a"),
        precedes("a", "b")
    )
}

/// A line of the hole `combine`.
fn combined(n: usize, op: ReduceOp, dtype: DType) -> String {
    let (counted, _) = types(op, dtype);
    let join = join_name(op, counted);
    let (a, b) = (words::from_word("a.x", counted), words::from_word("b.x", counted));
    let result = match has_place(op) {
        true => format!("select(a, b, {join}({a}, a.y, {b}, b.y))"),
        false => format!("vec2<u32>({}, 0u)", words::stored(&format!("{join}({a}, {b})"), counted, counted)),
    };
    format!("    if (stage == {n}u) {{ return {result}; }}\n")
}
