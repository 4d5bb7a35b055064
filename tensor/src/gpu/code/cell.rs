//! A block as two functions: `cell` computes what leaves it, `put` writes that to memory.

use super::{
    text::{Job, Put, Text, affine, line, names, parameters},
    words,
};
use crate::{
    dtype::DType,
    plan::expr::{Affine, Block, Store},
};

/// How each store of a block reaches memory when threads write `lanes` neighbours along the last axis: `aligned` says that
/// the first of them is a multiple of `lanes`, and `count` indices along the last axis are written in all.
pub fn puts(job: &Job, block: &Block, lanes: usize) -> Vec<(u16, Put)> {
    block.stores.iter().map(|store| (store.access.arg, put(job, store, lanes))).collect()
}

fn put(job: &Job, store: &Store, lanes: usize) -> Put {
    let arg = store.access.arg;
    let per_word = 4 / job.dtype(arg).size();
    if per_word == 1 {
        return Put::Word;
    }
    let index = &store.access.index;
    let (last, others) = index.strides.split_last().map_or((0, [].as_slice()), |(last, others)| (*last, others));
    let multiple = |n: &i64| n % per_word as i64 == 0;
    let whole = lanes >= per_word
        && last == 1
        && multiple(&index.offset)
        && others.iter().all(multiple)
        && job.starts_at_multiple(arg, per_word as u64);
    if whole { Put::Packed } else { Put::Atomic }
}

/// Arguments that a block reads.
pub fn reads(block: &Block) -> Vec<u16> {
    let stores = block.stores.len();
    let all: Vec<u16> = block.accesses().map(|access| access.arg).collect();
    all[..all.len() - stores].to_vec()
}

/// A block's functions in a text, for threads that compute `lanes` neighbours along the last axis.
pub struct Cell {
    /// Names of the coordinates.
    pub coords: Vec<String>,
    /// Type of the core's result, if the block sees one.
    pub acc: Option<DType>,
    puts: Vec<(u16, Put)>,
    sizes: Vec<usize>,
    packed: Vec<(usize, u16, Affine)>,
}

impl Cell {
    /// Writes `cell(acc, coordinates…) -> Cell` and `put_cell(c, coordinates…)`.
    pub fn new(
        text: &mut Text,
        job: &Job,
        block: &Block,
        rank: usize,
        acc: Option<DType>,
        puts: Vec<(u16, Put)>,
    ) -> Cell {
        let coords = names(rank);
        let statements = text.statements(block, &coords);
        let params = parameters(&coords);
        let result = acc.map(|dtype| format!("acc: {}, ", words::name(dtype))).unwrap_or_default();
        let mut out = String::from("struct Cell {\n");
        for n in 0..block.stores.len() {
            line!(out, "    s{n}: u32,");
        }
        line!(out, "}}\n\nfn cell({result}{params}) -> Cell {{\n{statements}");
        let bits: Vec<String> = block
            .stores
            .iter()
            .map(|store| {
                let register = block.dtypes.get(usize::from(store.reg)).copied().unwrap_or(DType::F32);
                words::stored(&format!("r{}", store.reg), register, job.dtype(store.access.arg))
            })
            .collect();
        line!(out, "    return Cell({});\n}}\n\nfn put_cell(c: Cell, {params}) {{", bits.join(", "));
        let mut packed = Vec::new();
        for (n, (store, (arg, put))) in block.stores.iter().zip(&puts).enumerate() {
            match put {
                Put::Packed => packed.push((n, *arg, store.access.index.clone())),
                _ => line!(out, "    put_{arg}({}, c.s{n});", affine(&store.access.index, &coords)),
            }
        }
        out.push('}');
        text.push(&out);
        let sizes = puts.iter().map(|(arg, _)| job.dtype(*arg).size()).collect();
        Cell { coords, acc, puts, sizes, packed }
    }

    /// Statements that write whole words of `lanes` cells `c0, c1, …` that begin at the coordinates.
    pub fn packed(&self, lanes: usize) -> String {
        let mut out = String::new();
        for (n, arg, index) in &self.packed {
            let per_word = 4 / self.sizes[*n];
            for word in 0..lanes / per_word {
                let parts: Vec<String> = (0..per_word)
                    .map(|part| format!("(c{}.s{n} << {}u)", word * per_word + part, part * 8 * self.sizes[*n]))
                    .collect();
                let at = affine(index, &self.coords);
                line!(out, "    put_{arg}({at} + {}u, {});", word * per_word, parts.join(" | "));
            }
        }
        out
    }

    /// Whether something is left for `put_cell` to write.
    pub fn has_single(&self) -> bool {
        self.puts.iter().any(|(_, put)| *put != Put::Packed)
    }

    /// A call of `cell`.
    pub fn call(&self, acc: &str, coords: &[String]) -> String {
        let list: Vec<&str> = self.acc.map(|_| acc).into_iter().chain(coords.iter().map(String::as_str)).collect();
        format!("cell({})", list.join(", "))
    }

    /// Statements that compute and write one index, whose core gave `acc`.
    pub fn one(&self, acc: &str) -> String {
        format!(
            "    put_cell({}{});\n",
            self.call(acc, &self.coords),
            self.coords.iter().map(|c| format!(", {c}")).collect::<String>()
        )
    }

    /// Statements that compute and write four neighbours along the last coordinate, whose core gave the vector `acc`.
    pub fn four(&self, acc: &str) -> String {
        let mut out = String::new();
        let Some((last, others)) = self.coords.split_last() else { return out };
        for lane in 0..4 {
            let mut coords = others.to_vec();
            coords.push(format!("({last} + {lane}u)"));
            line!(out, "    let c{lane} = {};", self.call(&format!("{acc}.{}", ["x", "y", "z", "w"][lane]), &coords));
            if self.has_single() {
                line!(out, "    put_cell(c{lane}, {});", coords.join(", "));
            }
        }
        out + &self.packed(4)
    }
}
