//! Random graphs.

use super::{
    cells::{Cell, Primitive, ViewKind},
    leaf::{Draw, leaf},
    rng::Rng,
    views::Lens,
};
use crate::{
    dtype::{DType, Scalar},
    error::{Error, Result},
    graph::{Op, Tensor, topological},
    reference::{self, Env, Ranged},
};
use std::{collections::HashSet, panic::Location};

/// What graphs are made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cells to choose from.
    pub cells: Vec<Cell>,
    /// Most nodes beyond the wanted cells, roughly.
    pub extra: usize,
    /// How leaves are drawn.
    pub draw: Draw,
    /// Whether leaves are watched, so that gradients can be taken.
    pub watched: bool,
    /// Whether axes of length 0 occur.
    pub empty: bool,
    /// Most elements of a tensor, roughly.
    pub numel: usize,
}

impl Options {
    /// Everything there is.
    pub fn all() -> Options {
        Options { cells: Cell::all(), extra: 8, draw: Draw::Any, watched: false, empty: true, numel: 150 }
    }
    /// Everything, on tensors that do not fit into one tile or one workgroup.
    pub fn large() -> Options {
        Options { extra: 4, numel: 20_000, ..Options::all() }
    }
    /// Whether tensors are large.
    pub(super) fn is_large(&self) -> bool {
        self.numel >= 1000
    }
    /// Float graphs with a gradient almost everywhere, on watched leaves.
    pub fn differentiable() -> Options {
        let smooth = |cell: &Cell| cell.dtype == DType::F32 && cell.primitive.is_differentiable();
        let cells = Cell::all().into_iter().filter(smooth).collect();
        Options { cells, extra: 3, draw: Draw::Smooth, watched: true, empty: false, numel: 60 }
    }
}

/// A random graph.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The results that nothing else uses.
    pub outputs: Vec<Tensor>,
    /// The data it reads.
    pub leaves: Vec<Tensor>,
}

/// `count` graphs that together contain every cell of the options at least once (given enough graphs). The same seed gives the
/// same graphs.
pub fn graphs(seed: u64, count: usize, options: &Options) -> impl Iterator<Item = Graph> {
    let mut rng = Rng::new(seed);
    let mut deck = options.cells.clone();
    rng.shuffle(&mut deck);
    let share = deck.len().div_ceil(count.max(1)).clamp(1, 12);
    (0..count).map(move |i| {
        let wanted: Vec<_> = deck.iter().cycle().skip(i * share % deck.len().max(1)).take(share).copied().collect();
        graph(rng.bits(), &wanted, options)
    })
}

/// One graph with these cells in it, and some others.
pub fn graph(seed: u64, wanted: &[Cell], options: &Options) -> Graph {
    let mut maker = Maker::new(Rng::new(seed), options);
    for &cell in wanted {
        maker.grow(cell);
    }
    for _ in 0..maker.rng.below(options.extra + 1) {
        if let Some(cell) = maker.rng.pick(&options.cells) {
            maker.grow(cell);
        }
    }
    let outputs = maker.sinks();
    let leaves = topological(&outputs, |_| false).into_iter().filter(|t| t.node().leaf_values().is_some()).collect();
    Graph { outputs, leaves }
}

/// Makes one graph, node by node, from a pool of what is there already.
pub(super) struct Maker<'a> {
    pub rng: Rng,
    pub options: &'a Options,
    pub pool: Vec<Tensor>,
    /// Values of the pool; a body has none.
    values: Option<Env>,
    /// How deep bodies may still nest.
    pub depth: usize,
}

/// How often a step is tried until its values are tame.
const ATTEMPTS: usize = 24;

impl<'a> Maker<'a> {
    fn new(rng: Rng, options: &'a Options) -> Self {
        Maker { rng, options, pool: Vec::new(), values: Some(Env::new()), depth: 2 }
    }
    /// For the inside of a body with these parameters.
    pub fn of_body(rng: Rng, options: &'a Options, params: &[Tensor], depth: usize) -> Self {
        Maker { rng, options, pool: params.to_vec(), values: None, depth }
    }

    /// Adds a node of this cell. Results that overflow or are known too badly to be compared are avoided, if possible.
    pub fn grow(&mut self, cell: Cell) {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let Ok(made) = self.step(cell) else { continue };
            let Ok(tame) = self.is_tame(&made) else { continue };
            last = Some(made);
            if tame {
                break;
            }
        }
        self.pool.extend(last.into_iter().flatten());
    }

    fn is_tame(&mut self, made: &[Tensor]) -> Result<bool> {
        made.iter().try_for_each(Tensor::check)?;
        match &mut self.values {
            None => Ok(true),
            Some(env) => Ok(reference::evaluate_in(env, made)?.iter().all(is_comparable)),
        }
    }

    /// The results that nothing else in the pool uses.
    fn sinks(&self) -> Vec<Tensor> {
        let used: HashSet<_> =
            topological(&self.pool, |_| false).iter().flat_map(|t| t.node().inputs()).map(|t| t.key()).collect();
        self.pool.iter().filter(|t| !used.contains(&t.key())).cloned().collect()
    }

    /// A shape of up to four axes, mostly short and odd ones; now and then one is long.
    pub fn shape(&mut self, ranks: [usize; 2]) -> Vec<usize> {
        let rank = self.rng.between(ranks[0], ranks[1]);
        let lens: &[usize] = match self.options.is_large() {
            true => &[1, 2, 3, 7, 16, 17, 31, 64, 100, 257],
            false => &[1, 2, 3, 3, 5, 7],
        };
        let mut shape: Vec<usize> = (0..rank).map(|_| self.rng.pick(lens).unwrap_or(1)).collect();
        while shape.iter().product::<usize>() > self.options.numel {
            let longest = (0..rank).max_by_key(|&a| shape[a]).unwrap_or(0);
            shape[longest] = shape[longest].div_ceil(2);
        }
        let axis = self.rng.below(rank);
        if let Some(len) = shape.get_mut(axis) {
            if self.rng.chance(4) {
                *len = self.rng.pick(&[17, 33, 65, 130]).unwrap_or(17);
            } else if self.options.empty && self.rng.chance(1) {
                *len = 0;
            }
        }
        shape
    }

    /// The shape of something in the pool, or another one.
    pub fn likely_shape(&mut self, ranks: [usize; 2]) -> Vec<usize> {
        let fits =
            |t: &Tensor| t.shape().ok().filter(|s| ranks[0] <= s.rank() && s.rank() <= ranks[1]).map(|s| s.to_vec());
        let small = |s: &Vec<usize>| s.iter().product::<usize>() <= 3 * self.options.numel;
        let known: Vec<_> = self.pool.iter().filter_map(fits).filter(small).collect();
        match self.rng.pick(&known) {
            Some(shape) if self.rng.chance(60) => shape,
            _ => self.shape(ranks),
        }
    }

    /// Something of this type and shape, from the pool if possible.
    pub fn value(&mut self, dtype: DType, shape: &[usize]) -> Result<Tensor> {
        if self.rng.chance(65) {
            let same = |t: &Tensor| t.meta().is_ok_and(|m| m.dtype == dtype && m.shape.dims() == shape);
            let fitting: Vec<_> = self.pool.iter().filter(|t| same(t)).cloned().collect();
            if let Some(x) = self.rng.pick(&fitting) {
                return Ok(x);
            }
            let same_type = |t: &Tensor| t.dtype().is_ok_and(|d| d == dtype);
            let mut fitting: Vec<_> = self.pool.iter().filter(|t| same_type(t)).cloned().collect();
            if fitting.is_empty() {
                fitting = self.pool.clone();
            }
            if let Some(x) = self.rng.pick(&fitting) {
                return self.coerced(&x, dtype, shape);
            }
        }
        self.fresh(dtype, shape)
    }

    /// Something new: a leaf, or in a body, which has none, what its parameters give.
    pub fn fresh(&mut self, dtype: DType, shape: &[usize]) -> Result<Tensor> {
        if self.values.is_some() {
            let (draw, watched) = (self.options.draw, self.options.watched);
            return leaf(dtype, shape, draw, watched, &mut self.rng, Location::caller());
        }
        match self.rng.pick(&self.pool.clone()) {
            Some(x) if self.rng.chance(70) => self.coerced(&x, dtype, shape),
            _ => Ok(Tensor::full(dtype, shape, self.number(dtype))),
        }
    }

    /// A number of this type.
    pub fn number(&mut self, dtype: DType) -> Scalar {
        match dtype {
            DType::Bool => Scalar::Bool(self.rng.chance(50)),
            _ if dtype.is_float() => Scalar::Float(self.rng.pick(&[0.5, -1.5, 0.1, 2.0, 3.0, -0.3]).unwrap_or(1.0)),
            DType::I32 => Scalar::Int(self.rng.below(9) as i64 - 4),
            _ => Scalar::Int(self.rng.below(9) as i64),
        }
    }

    /// `x` as this type and shape: cast, repeated or cut, and reshaped.
    pub fn coerced(&mut self, x: &Tensor, dtype: DType, shape: &[usize]) -> Result<Tensor> {
        let wanted: usize = shape.iter().product();
        let len = x.shape()?.numel();
        let x = x.cast(dtype);
        if x.shape()?.dims() == shape {
            return Ok(x);
        }
        let flat = match len {
            0 => Tensor::full(dtype, [wanted], self.number(dtype)),
            _ if len >= wanted => x.reshape([len]).slice(0, ..wanted),
            _ => {
                let times = wanted.div_ceil(len);
                x.reshape([len]).broadcast_to([times, len]).reshape([times * len]).slice(0, ..wanted)
            }
        };
        Ok(flat.reshape(shape))
    }

    /// The operand that a cell is about: of its type, this shape, through its view.
    pub fn subject(&mut self, cell: Cell, shape: &[usize]) -> Result<Tensor> {
        let Some(kind) = cell.view else {
            let x = self.value(cell.dtype, shape)?;
            return if matches!(x.node().op(), Op::View(_)) { self.computed(&x) } else { Ok(x) };
        };
        let lens = self.lens(kind, shape, cell.dtype)?;
        let x = self.value(cell.dtype, &lens.source)?;
        Ok(lens.apply(&x))
    }

    /// The same kind of thing, but not a view.
    fn computed(&mut self, x: &Tensor) -> Result<Tensor> {
        match x.dtype()? {
            DType::Bool => Ok(!x),
            DType::U32 | DType::U8 => Ok(x.maximum(self.number(DType::U8))),
            _ if self.values.is_some() && self.rng.chance(50) => {
                let (dtype, shape) = (x.dtype()?, x.shape()?.to_vec());
                self.fresh(dtype, &shape)
            }
            _ => Ok(-x),
        }
    }

    /// A view of this kind with this result.
    pub fn lens(&mut self, kind: ViewKind, shape: &[usize], dtype: DType) -> Result<Lens> {
        let fill = self.number(dtype);
        (0..8)
            .find_map(|_| Lens::onto(kind, shape, fill, &mut self.rng))
            .ok_or_else(|| Error::argument("no view of this kind has this shape"))
    }

    /// Any cell that this graph may contain.
    pub fn any_cell(&mut self) -> Option<Cell> {
        let depth = self.depth;
        let shallow = |cell: &Cell| depth > 0 || !matches!(cell.primitive, Primitive::Call | Primitive::Scan);
        let cells: Vec<_> = self.options.cells.iter().filter(|cell| shallow(cell)).copied().collect();
        self.rng.pick(&cells)
    }
}

/// Whether most elements are bounded, and known well enough that a comparison says something.
fn is_comparable(x: &Ranged) -> bool {
    let float = x.meta.dtype.is_float();
    let tame = |i: usize| {
        let x = x.at(i);
        x.is_bounded() && (!float || (x.value.abs() < 1e4 && x.radius <= 0.02 * x.value.abs().max(1.0)))
    };
    let count = (0..x.value.len()).filter(|&i| tame(i)).count();
    4 * count >= 3 * x.value.len()
}
