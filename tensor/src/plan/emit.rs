//! From a cluster to a kernel: expressions become straight-line code over strided views.

use super::{
    ArgSpec, Core, Kernel, MatrixView, Row, Use,
    cluster::{Cluster, Role, Seed},
    coords::{below, flat, identity},
    expr::{Access, Affine, Block, Guard, Inst, Reg, Store},
    materialize::{dense_base, undelayed},
    rows::emit_rows,
    trace::{Id, Prim, TracedNode},
};
use crate::{
    dtype::{DType, Scalar},
    error::{Error, Result},
    graph::{MatMul, ReduceOp, View},
};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Where a value lies: a buffer, an element offset, rows chosen by enclosing loops.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// Number of the buffer.
    pub buffer: usize,
    /// First element.
    pub offset: u64,
    /// Rows.
    pub rows: Vec<Row>,
}

/// What emission needs to know about the graph.
pub struct Scope<'a> {
    /// The nodes.
    pub nodes: &'a [TracedNode],
    /// Which values lie in memory.
    pub memory: &'a [bool],
    /// Where those lie that are known so far.
    pub locations: &'a HashMap<Id, Location>,
}

/// A kernel and what its arguments are bound to.
pub struct Emitted {
    /// The kernel.
    pub kernel: Kernel,
    /// One location per argument.
    pub args: Vec<Location>,
}

/// A value that leaves its kernel.
pub struct Leaving {
    /// What.
    pub value: Id,
    /// Why.
    pub role: Role,
    /// Where to.
    pub to: Location,
    /// How it is folded into what lies there, instead of replacing it.
    pub fold: Option<ReduceOp>,
}

/// Builds the kernel of a cluster. `stores` lists what leaves it. `None` if there is nothing to do. `longest` bounds blocks of
/// kernels over rows, which are made longer than the cluster knows of.
pub fn emit(scope: &Scope, cluster: &Cluster, stores: &[Leaving], longest: usize) -> Result<Option<Emitted>> {
    if stores.is_empty() || cluster.shape.iter().product::<usize>() == 0 {
        return Ok(None);
    }
    let inside: HashSet<Id> = cluster.items.iter().filter(|i| i.role == Role::Value).map(|i| i.value).collect();
    if let Some(rows) = &cluster.rows {
        return emit_rows(scope, rows, &inside, stores, longest).map(Some);
    }
    let mut args = Args::default();
    let mut names = BTreeSet::new();
    let (core, shape, label) = match cluster.seed {
        Seed::Core(id) => {
            let (core, shape) = core(scope, id, &mut args, &mut names)?;
            (core, shape, scope.nodes[id].prim.name())
        }
        _ => (Core::Map, cluster.shape.clone(), "map"),
    };
    let flattened = shape != cluster.shape;
    let empty = identity_of_empty(&core, scope, cluster);
    let acc = match cluster.seed {
        Seed::Core(id) => Some((id, empty)),
        _ => None,
    };
    let mut e = Expression::new(scope, &inside, &mut args, &mut names, shape.len());
    e.acc = acc;
    let here = identity(shape.len());
    for leaving in stores {
        let reg = match (leaving.role, flattened) {
            (Role::Value, false) => e.expand(leaving.value, &here, &[])?,
            (_, true) => e.accumulator(leaving.value)?,
            (_, false) => e.value(leaving.value, &here, &[])?,
        };
        let index = match leaving.role {
            Role::Part(concat, part) => part_index(scope.nodes, concat, part, here.clone()),
            _ => flat(&here, &shape, shape.len()),
        };
        e.leave(leaving, reg, index)?;
    }
    let block = e.block;
    let core = if empty.is_some() { Core::Map } else { core };
    let label = label_of(label, &names);
    let kernel = Kernel { label, shape, core, block, args: args.specs, lean: false };
    Ok(Some(Emitted { kernel, args: args.locations }))
}

/// The result of reducing nothing, as a word, if this core reduces nothing.
fn identity_of_empty(core: &Core, scope: &Scope, cluster: &Cluster) -> Option<u32> {
    let Seed::Core(id) = cluster.seed else { return None };
    let dtype = scope.nodes[id].meta.dtype;
    match core {
        Core::Reduce { op, space, .. } if space.contains(&0) => Some(match op {
            ReduceOp::Prod => Scalar::Int(1).word(dtype),
            ReduceOp::All => 1,
            _ => 0,
        }),
        Core::MatMul { k: 0, .. } => Some(0),
        _ => None,
    }
}

/// The kernel's name: what it is built around, and what rides along.
pub(super) fn label_of(core: &str, names: &BTreeSet<&'static str>) -> String {
    let mut label = core.to_string();
    for name in names.iter().take(6) {
        label.push('+');
        label.push_str(name);
    }
    if names.len() > 6 {
        label.push_str("+…");
    }
    label
}

/// Where in a concatenation an element of a part lies.
pub(super) fn part_index(nodes: &[TracedNode], concat: Id, part: usize, mut coords: Vec<Affine>) -> Affine {
    let node = &nodes[concat];
    let rank = coords.first().map_or(0, |coord| coord.strides.len());
    if let Prim::Concat(axis) = node.prim {
        let before: usize = node.inputs[..part].iter().map(|&i| nodes[i].meta.shape[axis]).sum();
        coords[axis].offset += before as i64;
    }
    flat(&coords, &node.meta.shape, rank)
}

/// The arguments of a kernel, each location once.
#[derive(Default)]
pub(super) struct Args {
    pub specs: Vec<ArgSpec>,
    pub locations: Vec<Location>,
    known: HashMap<(Location, DType), u16>,
}

impl Args {
    fn of(&mut self, location: Location, dtype: DType, usage: Use) -> Result<u16> {
        if let Some(&arg) = self.known.get(&(location.clone(), dtype)) {
            let spec = &mut self.specs[usize::from(arg)];
            if spec.usage != usage {
                spec.usage = Use::ReadWrite;
            }
            return Ok(arg);
        }
        let arg = u16::try_from(self.specs.len()).map_err(|_| Error::argument("a kernel has too many arguments"))?;
        self.specs.push(ArgSpec { dtype, usage });
        self.locations.push(location.clone());
        self.known.insert((location, dtype), arg);
        Ok(arg)
    }
}

fn missing(id: Id) -> Error {
    Error::argument(format!("value {id} is read before it is planned"))
}

fn dense(scope: &Scope, id: Id, args: &mut Args) -> Result<u16> {
    let base = dense_base(scope.nodes, id);
    let location = scope.locations.get(&base).cloned().ok_or_else(|| missing(base))?;
    args.of(location, scope.nodes[base].meta.dtype, Use::Read)
}

fn four(scope: &Scope, id: Id) -> Result<[usize; 4]> {
    <[usize; 4]>::try_from(scope.nodes[id].meta.shape.dims())
        .map_err(|_| Error::shape(format!("expected 4 axes, got {}", scope.nodes[id].meta.shape)))
}

/// The core of a cluster and the shape its block runs over.
fn core<'a>(
    scope: &Scope<'a>,
    id: Id,
    args: &mut Args,
    names: &mut BTreeSet<&'static str>,
) -> Result<(Core, Vec<usize>)> {
    let node = &scope.nodes[id];
    let shape = node.meta.shape.to_vec();
    Ok(match &node.prim {
        Prim::Reduce(op, axes) => {
            let of = node.inputs[0];
            let space = scope.nodes[of].meta.shape.to_vec();
            let reduced = (0..space.len()).map(|a| axes.contains(&a)).collect();
            let nothing = HashSet::new();
            let mut e = Expression::new(scope, &nothing, args, names, space.len());
            let reg = e.value(of, &identity(space.len()), &[])?;
            (Core::Reduce { op: *op, space, reduced, load: e.ending_with(reg) }, shape)
        }
        Prim::MatMul(MatMul { transpose_a, transpose_b }) => {
            let a = matrix(scope, node.inputs[0], *transpose_a, args)?;
            let b = matrix(scope, node.inputs[1], *transpose_b, args)?;
            let dims = &scope.nodes[node.inputs[0]].meta.shape;
            let k = dims[dims.rank() - if *transpose_a { 2 } else { 1 }];
            (Core::MatMul { k, a, b }, shape)
        }
        Prim::Conv2d(kind, conv) => {
            let mut operand = |i: usize| Ok((dense(scope, node.inputs[i], args)?, four(scope, node.inputs[i])?));
            let operands = [operand(0)?, operand(1)?];
            (Core::Conv2d { kind: kind.clone(), conv: *conv, operands }, shape)
        }
        Prim::Pool2d(kind, pool) => {
            let operands = node
                .inputs
                .iter()
                .map(|&i| Ok((dense(scope, i, args)?, four(scope, i)?)))
                .collect::<Result<Vec<_>>>()?;
            (Core::Pool2d { kind: kind.clone(), pool: *pool, operands }, shape)
        }
        Prim::Gather(axis) => {
            let (data, indices) = (dense(scope, node.inputs[0], args)?, dense(scope, node.inputs[1], args)?);
            let len = scope.nodes[node.inputs[0]].meta.shape[*axis];
            (Core::Gather { data, indices, len }, around(&shape, *axis))
        }
        Prim::ScatterAdd(axis) => {
            let (indices, updates) = (dense(scope, node.inputs[0], args)?, dense(scope, node.inputs[1], args)?);
            let count = scope.nodes[node.inputs[0]].meta.shape.numel();
            (Core::ScatterAdd { indices, updates, count }, around(&shape, *axis))
        }
        Prim::Line(kind, axis) => {
            let operands = node
                .inputs
                .iter()
                .map(|&i| Ok((dense(scope, i, args)?, scope.nodes[i].meta.shape[*axis])))
                .collect::<Result<Vec<_>>>()?;
            (Core::Line { kind: *kind, operands }, around(&shape, *axis))
        }
        other => return Err(Error::argument(format!("`{}` has no kernel", other.name()))),
    })
}

/// `[outer, axis, inner]` lengths.
fn around(shape: &[usize], axis: usize) -> Vec<usize> {
    vec![shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()]
}

/// A matrix operand as a strided view of the memory below its views.
fn matrix(scope: &Scope, operand: Id, transposed: bool, args: &mut Args) -> Result<MatrixView> {
    let shape = &scope.nodes[operand].meta.shape;
    let rank = shape.rank();
    let mut coords = identity(rank);
    let mut id = undelayed(scope.nodes, operand);
    let index = loop {
        if scope.memory[id] {
            break flat(&coords, &scope.nodes[id].meta.shape, rank);
        }
        let Prim::View(view) = &scope.nodes[id].prim else { return Err(missing(id)) };
        let input = undelayed(scope.nodes, scope.nodes[id].inputs[0]);
        let mut guards = Vec::new();
        match below(view, &scope.nodes[id].meta.shape, &scope.nodes[input].meta.shape, &coords, rank, &mut guards) {
            Some(next) if guards.is_empty() => coords = next,
            None if matches!(view, View::Reshape(_)) && scope.memory[input] => {
                let index = flat(&coords, &scope.nodes[id].meta.shape, rank);
                id = input;
                break index;
            }
            _ => return Err(missing(id)),
        }
        id = input;
    };
    let location = scope.locations.get(&id).cloned().ok_or_else(|| missing(id))?;
    let arg = args.of(location, scope.nodes[id].meta.dtype, Use::Read)?;
    let (row, col) = (index.strides[rank - 2], index.strides[rank - 1]);
    let (row_stride, col_stride) = if transposed { (col, row) } else { (row, col) };
    Ok(MatrixView {
        arg,
        offset: index.offset,
        batch_strides: index.strides[..rank - 2].to_vec(),
        row_stride,
        col_stride,
    })
}

/// Straight-line code under construction.
pub(super) struct Expression<'e, 'a> {
    scope: &'e Scope<'a>,
    /// Values that this kernel computes itself.
    inside: &'e HashSet<Id>,
    /// The value that the core computes, and its word if the core reduces nothing.
    acc: Option<(Id, Option<u32>)>,
    /// Values that stages of this kernel give, with their slots; and whether the code runs once per row.
    pub results: Option<(&'e HashMap<Id, u16>, bool)>,
    args: &'e mut Args,
    pub block: Block,
    memo: HashMap<(Id, Vec<Affine>, Vec<Guard>), Reg>,
    rank: usize,
    names: &'e mut BTreeSet<&'static str>,
}

impl<'e, 'a> Expression<'e, 'a> {
    /// Nothing yet, over a space of this many axes.
    pub fn new(
        scope: &'e Scope<'a>,
        inside: &'e HashSet<Id>,
        args: &'e mut Args,
        names: &'e mut BTreeSet<&'static str>,
        rank: usize,
    ) -> Self {
        let (block, memo) = (Block::default(), HashMap::new());
        Expression { scope, inside, acc: None, results: None, args, block, memo, rank, names }
    }

    /// The code as a `load` hole, whose value is its last register.
    pub fn ending_with(mut self, reg: Reg) -> Block {
        if usize::from(reg) + 1 != self.block.insts.len() {
            let dtype = self.block.dtypes[usize::from(reg)];
            self.block.push(Inst::Cast { from: reg, to: dtype }, dtype);
        }
        self.block
    }

    /// Stores a register, or folds it into what lies there.
    pub fn leave(&mut self, leaving: &Leaving, reg: Reg, index: Affine) -> Result<()> {
        let dtype = self.scope.nodes[leaving.value].meta.dtype;
        let usage = if leaving.fold.is_some() { Use::ReadWrite } else { Use::Write };
        let arg = self.args.of(leaving.to.clone(), dtype, usage)?;
        let access = Access { arg, index, guards: Vec::new() };
        let reg = match leaving.fold {
            Some(op) => self.fold(op, reg, dtype, access.clone())?,
            None => reg,
        };
        self.block.stores.push(Store { reg, access });
        Ok(())
    }

    /// The register of a value at these coordinates: loaded if it lies in memory, else computed.
    pub fn value(&mut self, id: Id, coords: &[Affine], guards: &[Guard]) -> Result<Reg> {
        match self.scope.memory[id] && !self.inside.contains(&id) {
            true => {
                let index = flat(coords, &self.scope.nodes[id].meta.shape, self.rank);
                self.load(id, index, guards)
            }
            false => self.expand(id, coords, guards),
        }
    }

    fn load(&mut self, id: Id, index: Affine, guards: &[Guard]) -> Result<Reg> {
        let key = (id, vec![index.clone()], guards.to_vec());
        if let Some(&reg) = self.memo.get(&key) {
            return Ok(reg);
        }
        let location = self.scope.locations.get(&id).cloned().ok_or_else(|| missing(id))?;
        let dtype = self.scope.nodes[id].meta.dtype;
        let arg = self.args.of(location, dtype, Use::Read)?;
        let reg = self.block.push(Inst::Load(Access { arg, index, guards: guards.to_vec() }), dtype.compute());
        self.memo.insert(key, reg);
        Ok(reg)
    }

    /// The core's own result, for kernels whose space is not the value's shape.
    fn accumulator(&mut self, id: Id) -> Result<Reg> {
        let dtype = self.scope.nodes[id].meta.dtype;
        let reg = match self.acc {
            Some((core, Some(word))) if core == id => self.block.push(Inst::Const { word }, dtype.compute()),
            Some((core, None)) if core == id => self.block.push(Inst::Acc, dtype.compute()),
            _ => return Err(missing(id)),
        };
        Ok(self.wrapped(reg, dtype))
    }

    /// What lies there, joined with a register.
    fn fold(&mut self, op: ReduceOp, reg: Reg, dtype: DType, access: Access) -> Result<Reg> {
        let compute = dtype.compute();
        let old = self.block.push(Inst::Load(access), compute);
        let joined = self.block.push(Inst::Binary(op.joining()?, old, reg), compute);
        Ok(self.wrapped(joined, dtype))
    }

    /// Bytes wrap after every operation, as if stored.
    fn wrapped(&mut self, reg: Reg, dtype: DType) -> Reg {
        match dtype {
            DType::U8 => self.block.push(Inst::Cast { from: reg, to: dtype }, dtype.compute()),
            _ => reg,
        }
    }

    /// Computes a value at these coordinates from its operands.
    pub fn expand(&mut self, id: Id, coords: &[Affine], guards: &[Guard]) -> Result<Reg> {
        let mut key = (id, coords.to_vec(), guards.to_vec());
        key.1.push(Affine::default()); // tells a computed value from a load at the same coordinates
        if let Some(&reg) = self.memo.get(&key) {
            return Ok(reg);
        }
        if self.acc.is_some_and(|(core, _)| core == id) {
            let reg = self.accumulator(id)?;
            self.memo.insert(key, reg);
            return Ok(reg);
        }
        let node = &self.scope.nodes[id];
        let dtype = node.meta.dtype;
        let compute = dtype.compute();
        if let Some((slots, per_row)) = self.results
            && let Some(&slot) = slots.get(&id)
        {
            let index = flat(coords, &node.meta.shape, self.rank);
            let inst = if per_row { Inst::Kept { slot } } else { Inst::Row { slot, index } };
            let reg = self.block.push(inst, compute);
            let reg = self.wrapped(reg, dtype);
            self.memo.insert(key, reg);
            return Ok(reg);
        }
        if !matches!(node.prim, Prim::View(_) | Prim::Scalar(_) | Prim::After) {
            self.names.insert(node.prim.name());
        }
        let mut operands = Vec::new();
        if matches!(node.prim, Prim::Unary(_) | Prim::Binary(_) | Prim::Select | Prim::Cast) {
            for &input in &node.inputs {
                operands.push(self.value(input, coords, guards)?);
            }
        }
        let reg = match &node.prim {
            Prim::Unary(op) => self.block.push(Inst::Unary(*op, operands[0]), compute),
            Prim::Binary(op) => self.block.push(Inst::Binary(*op, operands[0], operands[1]), compute),
            Prim::Select => self.block.push(Inst::Select(operands[0], operands[1], operands[2]), compute),
            Prim::Cast => self.block.push(Inst::Cast { from: operands[0], to: dtype }, compute),
            Prim::Scalar(slot) => self.block.push(Inst::Scalar { slot: *slot }, compute),
            Prim::Iota(axis) => {
                let whole = if compute == DType::F32 { DType::I32 } else { compute };
                let reg = self.block.push(Inst::Index(coords[*axis].clone()), whole);
                match whole == compute {
                    true => reg,
                    false => self.block.push(Inst::Cast { from: reg, to: dtype }, compute),
                }
            }
            Prim::RandomBits(stream) => {
                let mut key = [0; 4];
                for (i, word) in key.iter_mut().enumerate().take(3) {
                    *word = self.value(node.inputs[0], &[Affine::constant(i as i64, self.rank)], &[])?;
                }
                let zero = Affine::constant(0, self.rank);
                key[3] = match node.inputs.get(1) {
                    Some(&first) => self.value(first, std::slice::from_ref(&zero), &[])?,
                    None => self.block.push(Inst::Const { word: 0 }, DType::U32),
                };
                let sample = coords.first().cloned().unwrap_or(zero);
                let inner = node.meta.shape.get(1..).unwrap_or_default();
                let element = flat(coords.get(1..).unwrap_or_default(), inner, self.rank);
                self.block.push(Inst::Random { key, stream: *stream, sample, element }, compute)
            }
            Prim::After => {
                return self.value(node.inputs[0], coords, guards).inspect(|&reg| {
                    self.memo.insert(key, reg);
                });
            }
            Prim::View(view) => {
                return self.through(view, id, coords, guards).inspect(|&reg| {
                    self.memo.insert(key, reg);
                });
            }
            _ => return Err(missing(id)),
        };
        let reg = match &node.prim {
            Prim::Unary(_) | Prim::Binary(_) | Prim::Iota(_) => self.wrapped(reg, dtype),
            _ => reg,
        };
        self.memo.insert(key, reg);
        Ok(reg)
    }

    fn through(&mut self, view: &View, id: Id, coords: &[Affine], guards: &[Guard]) -> Result<Reg> {
        let node = &self.scope.nodes[id];
        let input = undelayed(self.scope.nodes, node.inputs[0]);
        let under = self.scope.nodes[input].meta.shape.clone();
        let mut inner = guards.to_vec();
        let Some(next) = below(view, &node.meta.shape, &under, coords, self.rank, &mut inner) else {
            let index = flat(coords, &node.meta.shape, self.rank);
            return self.load(input, index, guards);
        };
        let View::Pad(_, fill) = view else { return self.value(input, &next, &inner) };
        let own = inner[guards.len()..].to_vec();
        if own.is_empty() {
            return self.value(input, &next, &inner);
        }
        let compute = node.meta.dtype.compute();
        let value = self.value(input, &next, &inner)?;
        let within = self.block.push(Inst::Within(own), DType::Bool);
        let fill = self.block.push(Inst::Const { word: fill.word(node.meta.dtype) }, compute);
        Ok(self.block.push(Inst::Select(within, value, fill), compute))
    }
}

impl Prim {
    /// The primitive's name, as in the graph.
    pub fn name(&self) -> &'static str {
        match self {
            Prim::Input(_) => "input",
            Prim::State(_) => "state",
            Prim::Param(_) => "param",
            Prim::Scalar(_) => "scalar",
            Prim::Unary(op) => op.name(),
            Prim::Binary(op) => op.name(),
            Prim::Select => "select",
            Prim::Cast => "cast",
            Prim::View(view) => view.name(),
            Prim::Concat(_) => "concat",
            Prim::Reduce(op, _) => op.name(),
            Prim::MatMul(_) => "matmul",
            Prim::Conv2d(kind, conv) => crate::graph::Op::Conv2d(kind.clone(), *conv).name(),
            Prim::Pool2d(kind, pool) => crate::graph::Op::Pool2d(kind.clone(), *pool).name(),
            Prim::Gather(_) => "gather",
            Prim::ScatterAdd(_) => "scatter_add",
            Prim::Line(kind, _) => kind.name(),
            Prim::RandomBits(_) => "random_bits",
            Prim::Iota(_) => "iota",
            Prim::Scan(_) => "scan",
            Prim::Part(_) => "part",
            Prim::After => "after",
        }
    }
}
