//! From tensors to a flat, canonical list of primitives: equals merged, calls inlined, numbers and data taken out.
//! Two graphs of one structure give equal [`Traced`]s, whatever numbers and data they hold: it is the key of the plan cache.

use super::scans::{Group, Scans};
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::{
        Binary, Conv2d, ConvKind, LineKind, MatMul, Meta, Node, Op, Pool2d, PoolKind, ReduceOp, ScanSpec, Tensor,
        Unary, View, topological,
    },
    run::unreadable,
    shape::Shape,
    variable::Variable,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// Number of a value in a [`Traced`].
pub type Id = usize;

/// A primitive of a traced graph.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Prim {
    /// Input number `n` of the run.
    Input(usize),
    /// State number `n`, before the step.
    State(usize),
    /// Parameter number `n` of the enclosing loop body.
    Param(usize),
    /// Word `n` of the scalars.
    Scalar(u32),
    /// One element to one.
    Unary(Unary),
    /// Two elements to one.
    Binary(Binary),
    /// `(condition, a, b)`.
    Select,
    /// To the node's type.
    Cast,
    /// Other indices.
    View(View),
    /// Along an axis.
    Concat(usize),
    /// Over axes, ascending.
    Reduce(ReduceOp, Vec<usize>),
    /// Batched product.
    MatMul(MatMul),
    /// Convolution family.
    Conv2d(ConvKind, Conv2d),
    /// Pooling family.
    Pool2d(PoolKind, Pool2d),
    /// Along an axis.
    Gather(usize),
    /// Along an axis.
    ScatterAdd(usize),
    /// Line by line along an axis.
    Line(LineKind, usize),
    /// Philox.
    RandomBits(u32),
    /// Position along an axis.
    Iota(usize),
    /// A loop; its results are [`Prim::Part`]s.
    Scan(Arc<Loop>),
    /// Result `n` of a loop.
    Part(usize),
    /// The first operand, for something that is not computed before the second one is: see `plan/recompute`.
    After,
}

/// A traced loop body.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Loop {
    /// How it loops.
    pub spec: ScanSpec,
    /// Its nodes; parameters are [`Prim::Param`].
    pub nodes: Vec<TracedNode>,
    /// Carries, then per-step outputs, then values that are folded over the steps.
    pub outputs: Vec<Id>,
    /// How the last outputs are folded, one operation each: `Sum`, `Prod`, `Max`, `Min`, `Any` or `All`.
    pub folds: Vec<ReduceOp>,
    /// Shapes and types of the parameters.
    pub params: Vec<Meta>,
    /// For people: the layer or primitive of each node; empty where the loop's own label serves.
    pub labels: Vec<String>,
}

/// A primitive with its operands and its result.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TracedNode {
    /// What.
    pub prim: Prim,
    /// Of what.
    pub inputs: Vec<Id>,
    /// Shape and type of the result (of the first result for a loop).
    pub meta: Meta,
}

/// A canonical graph.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Traced {
    /// Operands stand before their users.
    pub nodes: Vec<TracedNode>,
    /// Inputs.
    pub inputs: Vec<Meta>,
    /// Which inputs hold the samples of a batch along axis 0; missing ones do not.
    pub batch: Vec<bool>,
    /// States.
    pub states: Vec<Meta>,
    /// Types of the scalar words.
    pub scalars: Vec<DType>,
    /// Results.
    pub outputs: Vec<Id>,
    /// New values of states: `(state, value)`.
    pub updates: Vec<(usize, Id)>,
}

impl Traced {
    /// Number of samples, if the inputs that hold samples agree on it.
    pub fn rows(&self) -> Option<usize> {
        let mut rows = None;
        for (meta, _) in self.inputs.iter().zip(&self.batch).filter(|(_, batch)| **batch) {
            let n = *meta.shape.first()?;
            if *rows.get_or_insert(n) != n {
                return None;
            }
        }
        rows
    }
}

/// What a trace takes out of the graph: the data of one run.
#[derive(Default)]
pub struct Feeds {
    /// One leaf (or placeholder, for a captured program) per input.
    pub inputs: Vec<Tensor>,
    /// One word per scalar.
    pub scalars: Vec<u32>,
    /// For people: the layer or primitive of each node.
    pub labels: Vec<String>,
}

/// Traces what `outputs` and the new values of `updates` need. `placeholders` become the first inputs, in order, used or not.
pub fn trace(placeholders: &[Tensor], outputs: &[Tensor], updates: &[(Variable, Tensor)]) -> Result<(Traced, Feeds)> {
    let mut scalars = Scalars::default();
    let mut tracer = Tracer {
        scalars: &mut scalars,
        nodes: Vec::new(),
        seen: HashMap::new(),
        labels: Vec::new(),
        outside: Some(Outside::default()),
        invariants: None,
    };
    let mut env = Env::new();
    for placeholder in placeholders {
        tracer.input(placeholder, &mut env)?;
    }
    for (n, (variable, _)) in updates.iter().enumerate() {
        let leaf = variable.value();
        let meta = variable.meta()?.clone();
        let id = tracer.push(Prim::State(n), Vec::new(), meta.clone(), "state");
        env.insert(leaf.key(), id);
        if let Some(outside) = &mut tracer.outside {
            outside.states.push(meta);
        }
    }
    let roots: Vec<Tensor> = outputs.iter().chain(updates.iter().map(|(_, value)| value)).cloned().collect();
    tracer.walk(&roots, &mut env)?;
    let id_of = |t: &Tensor| env.get(&t.key()).copied().ok_or_else(|| lost(t));
    let ids = outputs.iter().map(id_of).collect::<Result<Vec<_>>>()?;
    let updates = updates.iter().enumerate().map(|(n, (_, v))| Ok((n, id_of(v)?))).collect::<Result<Vec<_>>>()?;
    let Tracer { nodes, labels, outside, .. } = tracer;
    let outside = outside.unwrap_or_default();
    let traced = Traced {
        nodes,
        inputs: outside.metas,
        batch: outside.batch,
        states: outside.states,
        scalars: scalars.dtypes,
        outputs: ids,
        updates,
    };
    Ok((traced, Feeds { inputs: outside.tensors, scalars: scalars.words, labels }))
}

type Env = HashMap<(u64, u16), Id>;

/// Numbers, one slot per recorded number (not per value: values may differ next time).
#[derive(Default)]
struct Scalars {
    slots: HashMap<u64, u32>,
    words: Vec<u32>,
    dtypes: Vec<DType>,
}

/// Data; absent inside loop bodies.
#[derive(Default)]
struct Outside {
    tensors: Vec<Tensor>,
    metas: Vec<Meta>,
    batch: Vec<bool>,
    states: Vec<Meta>,
}

pub(super) struct Tracer<'a> {
    scalars: &'a mut Scalars,
    pub(super) nodes: Vec<TracedNode>,
    seen: HashMap<TracedNode, Id>,
    labels: Vec<String>,
    outside: Option<Outside>,
    /// Present inside loop bodies.
    invariants: Option<Invariants>,
}

fn lost(tensor: &Tensor) -> Error {
    Error::argument(format!("a value was lost while tracing: {tensor:?}"))
}

impl Tracer<'_> {
    pub(super) fn push(&mut self, prim: Prim, inputs: Vec<Id>, meta: Meta, label: &str) -> Id {
        let node = TracedNode { prim, inputs, meta };
        if let Some(&id) = self.seen.get(&node) {
            return id;
        }
        self.nodes.push(node.clone());
        self.labels.push(label.to_string());
        self.seen.insert(node, self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    fn input(&mut self, tensor: &Tensor, env: &mut Env) -> Result<()> {
        if env.contains_key(&tensor.key()) {
            return Ok(());
        }
        let meta = tensor.meta()?.clone();
        let Some(outside) = &mut self.outside else {
            return Err(Error::argument(
                "the body of a call or loop uses a tensor from outside; hand it over as a parameter",
            )
            .at(tensor.origin()));
        };
        outside.tensors.push(tensor.clone());
        outside.batch.push(tensor.node().holds_samples() && meta.shape.rank() > 0);
        outside.metas.push(meta.clone());
        let n = outside.tensors.len() - 1;
        let id = self.push(Prim::Input(n), Vec::new(), meta, "input");
        env.insert(tensor.key(), id);
        Ok(())
    }

    /// Traces everything `roots` need that `env` does not have yet.
    fn walk(&mut self, roots: &[Tensor], env: &mut Env) -> Result<()> {
        // The results that somebody reads, and the nodes of those that are not at hand: of a node with several results, some
        // may have been computed before and others not.
        let (mut used, mut missing) = (HashSet::new(), HashSet::new());
        let mut stack = roots.to_vec();
        while let Some(tensor) = stack.pop() {
            let at_hand = tensor.value().is_some() || env.contains_key(&tensor.key());
            if used.insert(tensor.key()) && !at_hand && missing.insert(tensor.node().id()) {
                stack.extend(tensor.node().inputs());
            }
        }
        let order = topological(roots, |t| !missing.contains(&t.node().id()));
        let scans = Scans::group(&order, &used);
        for tensor in &order {
            let node = tensor.node();
            for out in 0..node.metas().len() {
                let result = tensor.sibling(out);
                if result.value().is_some() && used.contains(&result.key()) {
                    self.input(&result, env)?;
                }
            }
            if !missing.contains(&node.id()) {
                continue;
            }
            let inputs = node.inputs();
            let ids =
                inputs.iter().map(|t| env.get(&t.key()).copied().ok_or_else(|| lost(t))).collect::<Result<Vec<_>>>()?;
            self.record(tensor, node, &inputs, ids, &scans, env)?;
        }
        Ok(())
    }

    fn record(
        &mut self,
        tensor: &Tensor,
        node: &Arc<Node>,
        inputs: &[Tensor],
        ids: Vec<Id>,
        scans: &Scans,
        env: &mut Env,
    ) -> Result<()> {
        let meta = node.metas()[0].clone();
        let label = match node.scope() {
            Some(scope) => format!("{scope} {}", node.op().name()),
            None => node.op().name().to_string(),
        };
        let mut push = |prim: Prim, ids: Vec<Id>| self.push(prim, ids, meta.clone(), &label);
        let id = match node.op() {
            Op::Leaf => return Err(lost(tensor)),
            Op::Param(_) => return Err(unreadable(tensor)),
            Op::Error(error) => return Err(error.clone()),
            Op::StopGradient => ids[0],
            Op::Scalar(value) => {
                let slot = self.scalar(node.id(), *value, meta.dtype)?;
                self.push(Prim::Scalar(slot), Vec::new(), meta, &label)
            }
            Op::Unary(op) => self.elementwise(Prim::Unary(*op), ids, meta, &label),
            Op::Binary(Binary::Add) => self.add(ids[0], ids[1], meta, &label),
            Op::Binary(op) => self.elementwise(Prim::Binary(*op), ids, meta, &label),
            Op::Select => self.elementwise(Prim::Select, ids, meta, &label),
            Op::Cast => self.elementwise(Prim::Cast, ids, meta, &label),
            Op::View(view) => self.view(view, ids[0], meta, &label),
            Op::Concat(axis) => push(Prim::Concat(*axis), ids),
            Op::Reduce(op, axes) => self.reduce(*op, axes, ids[0], meta, &label),
            Op::MatMul(how) => self.matmul(*how, ids, meta, &label),
            Op::Conv2d(kind, conv) => push(Prim::Conv2d(kind.clone(), *conv), ids),
            Op::Pool2d(kind, pool) => push(Prim::Pool2d(kind.clone(), *pool), ids),
            Op::Gather(axis) => push(Prim::Gather(*axis), ids),
            Op::ScatterAdd(axis) => push(Prim::ScatterAdd(*axis), ids),
            Op::Line(kind, axis) => push(Prim::Line(*kind, *axis), ids),
            Op::RandomBits { stream } => push(Prim::RandomBits(*stream), ids),
            Op::Iota(axis) => push(Prim::Iota(*axis), ids),
            Op::Call(body) => {
                let mut inner: Env = body.params.iter().map(Tensor::key).zip(ids).collect();
                self.walk(&body.outputs, &mut inner)?;
                for (out, result) in body.outputs.iter().enumerate() {
                    let id = inner.get(&result.key()).copied().ok_or_else(|| lost(result))?;
                    env.entry(tensor.sibling(out).key()).or_insert(id);
                }
                return Ok(());
            }
            Op::Scan(_, spec) => {
                let group = scans.of(tensor, inputs).ok_or_else(|| lost(tensor))?;
                let (scan, parts) = self.scan(group, ids, &label)?;
                for (&out, part) in group.used.iter().zip(parts) {
                    let meta = group.body.outputs[out].meta()?.clone();
                    let meta = if out < spec.carries { meta } else { stacked(&meta, spec.steps) };
                    let id = self.push(Prim::Part(part), vec![scan], meta, &label);
                    if out < node.metas().len() {
                        env.entry(tensor.sibling(out).key()).or_insert(id);
                    }
                }
                return Ok(());
            }
        };
        env.insert(tensor.sibling(0).key(), id);
        Ok(())
    }

    fn scalar(&mut self, node: u64, value: crate::dtype::Scalar, dtype: DType) -> Result<u32> {
        if let Some(&slot) = self.scalars.slots.get(&node) {
            return Ok(slot);
        }
        let slot = u32::try_from(self.scalars.words.len())
            .map_err(|_| Error::argument("one step uses more than 4,294,967,295 numbers; put them in a tensor"))?;
        // A number of a narrow type has that type's precision.
        let word = match dtype {
            DType::F16 => f32::from(half::f16::from_f64(value.as_f64())).to_bits(),
            DType::BF16 => f32::from(half::bf16::from_f64(value.as_f64())).to_bits(),
            DType::U8 => value.word(dtype) & 0xff,
            _ => value.word(dtype),
        };
        self.scalars.words.push(word);
        self.scalars.dtypes.push(dtype.compute());
        self.scalars.slots.insert(node, slot);
        Ok(slot)
    }

    /// A loop, and the number of the part that each used output is. Outputs that stack the same value are one part.
    fn scan(&mut self, group: &Group, mut ids: Vec<Id>, label: &str) -> Result<(Id, Vec<usize>)> {
        let Group { body, spec, used } = group;
        let mut inner = Tracer {
            scalars: &mut *self.scalars,
            nodes: Vec::new(),
            seen: HashMap::new(),
            labels: Vec::new(),
            outside: None,
            invariants: Some(Invariants { first: spec.carries + spec.inputs, given: ids.len(), turned: Vec::new() }),
        };
        let mut env = Env::new();
        let mut params = Vec::new();
        for (i, param) in body.params.iter().enumerate() {
            let meta = param.meta()?.clone();
            env.insert(param.key(), inner.push(Prim::Param(i), Vec::new(), meta.clone(), "param"));
            params.push(meta);
        }
        let wanted: Vec<Tensor> = used.iter().map(|&out| body.outputs[out].clone()).collect();
        inner.walk(&wanted, &mut env)?;
        let mut outputs: Vec<Id> = Vec::new();
        let mut parts = Vec::new();
        for (n, tensor) in wanted.iter().enumerate() {
            let id = env.get(&tensor.key()).copied().ok_or_else(|| lost(tensor))?;
            let stacked = outputs.iter().skip(spec.carries).position(|&other| other == id && n >= spec.carries);
            parts.push(stacked.map_or(outputs.len(), |at| spec.carries + at));
            if stacked.is_none() {
                outputs.push(id);
            }
        }
        let Tracer { nodes, invariants, .. } = inner;
        for invariant in invariants.map(|i| i.turned).unwrap_or_default() {
            let turned = turned(&params[invariant]);
            ids.push(self.view(&View::Permute(vec![1, 0]), ids[invariant], turned.clone(), label));
            params.push(turned);
        }
        let meta = wanted[0].meta()?.clone();
        let traced = Loop { spec: *spec, nodes, outputs, folds: Vec::new(), params, labels: Vec::new() };
        Ok((self.push(Prim::Scan(Arc::new(traced)), ids, meta, label), parts))
    }

    /// A product with an invariant matrix that is turned becomes a product with the matrix turned once, before the loop:
    /// else each step would turn it, or copy it to an order that is fast to read.
    fn matmul(&mut self, how: MatMul, ids: Vec<Id>, meta: Meta, label: &str) -> Id {
        let right = &self.nodes[ids[1]];
        if let (true, Prim::Param(param), 2, Some(invariants)) =
            (how.transpose_b, &right.prim, right.meta.shape.rank(), &mut self.invariants)
            && let Some(turned_param) = invariants.turn(*param)
        {
            let matrix = turned(&right.meta);
            let matrix = self.push(Prim::Param(turned_param), Vec::new(), matrix, "param");
            let how = MatMul { transpose_b: false, ..how };
            return self.push(Prim::MatMul(how), vec![ids[0], matrix], meta, label);
        }
        self.push(Prim::MatMul(how), ids, meta, label)
    }
}

/// The parameters of a loop's body that are the same in every step.
struct Invariants {
    /// The first of them.
    first: usize,
    /// Parameters that the body was recorded with.
    given: usize,
    /// Those that are turned before the loop, in the order of the parameters that this adds.
    turned: Vec<usize>,
}

impl Invariants {
    /// The parameter that holds this one turned, if this one is an invariant.
    fn turn(&mut self, param: usize) -> Option<usize> {
        if !(self.first..self.given).contains(&param) {
            return None;
        }
        let at = self.turned.iter().position(|&p| p == param).unwrap_or_else(|| {
            self.turned.push(param);
            self.turned.len() - 1
        });
        Some(self.given + at)
    }
}

fn turned(matrix: &Meta) -> Meta {
    Meta { shape: matrix.shape.iter().rev().copied().collect(), dtype: matrix.dtype }
}

fn stacked(meta: &Meta, steps: usize) -> Meta {
    let shape: Shape = std::iter::once(steps).chain(meta.shape.iter().copied()).collect();
    Meta { shape, dtype: meta.dtype }
}
