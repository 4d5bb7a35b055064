//! What one slice of the batch computes: the nodes of a graph again, with fewer samples.

use super::wide;
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::{ConvKind, Meta, PoolKind, ReduceOp, SliceAxis, View},
    plan::{
        axes::{Cut, LoopSamples, Sample, Samples, Slice, demands, slice_of_fixed},
        trace::{Id, Loop, Prim, TracedNode},
    },
    shape::Shape,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// What a slice needs of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// All of it: it is the same for every slice.
    Whole(Id),
    /// The part of these samples.
    Slice(Id, Cut),
    /// What these samples contribute to a folded value.
    Partial(Id),
    /// A user's loop over this slice.
    Loop(Id),
    /// The number of the slice's first sample.
    First,
}

/// How a key comes about.
enum How {
    /// As a parameter that changes from slice to slice.
    Sliced,
    /// As a parameter that every slice sees alike.
    Invariant,
    /// By computing it from these.
    From(Vec<Key>),
}

/// How many samples there are, and how many a slice has.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Of the whole batch.
    pub rows: usize,
    /// Of a slice.
    pub slice: usize,
}

/// Builds the nodes of a slice.
pub struct Body<'a> {
    from: &'a [TracedNode],
    from_labels: &'a [String],
    samples: &'a Samples,
    size: Size,
    /// Values that an earlier loop over slices has kept, whole.
    kept: &'a HashSet<Id>,
    /// Whether this is a user's loop inside a slice: its parameters are its own.
    nested: bool,
    made: HashMap<Key, Id>,
    /// The nodes of the slice; parameters are numbered by `sliced` and `invariant` until [`finish`](Body::finish).
    pub nodes: Vec<TracedNode>,
    /// For people.
    pub labels: Vec<String>,
    /// Keys that come as parameters, one slice each.
    pub sliced: Vec<Key>,
    /// Values that come as parameters, alike for all slices.
    pub invariant: Vec<Id>,
}

/// Parameters beyond this are invariants, until their number is known.
const INVARIANT: usize = usize::MAX / 2;

impl<'a> Body<'a> {
    /// Slices of this graph.
    pub fn new(
        from: &'a [TracedNode],
        from_labels: &'a [String],
        samples: &'a Samples,
        size: Size,
        kept: &'a HashSet<Id>,
    ) -> Body<'a> {
        Body {
            from,
            from_labels,
            samples,
            size,
            kept,
            nested: false,
            made: HashMap::new(),
            nodes: Vec::new(),
            labels: Vec::new(),
            sliced: Vec::new(),
            invariant: Vec::new(),
        }
    }

    /// The node that gives this, made with all it needs.
    pub fn make(&mut self, root: Key) -> Result<Id> {
        let mut stack = vec![(root, false)];
        while let Some((key, ready)) = stack.pop() {
            if self.made.contains_key(&key) {
                continue;
            }
            match self.how(key)? {
                How::From(needs) if !ready => {
                    stack.push((key, true));
                    stack.extend(needs.into_iter().map(|need| (need, false)));
                }
                how => {
                    let id = self.node(key, how)?;
                    self.made.insert(key, id);
                }
            }
        }
        self.made.get(&root).copied().ok_or_else(|| lost(root))
    }

    /// Adds a node of the slice's own.
    pub fn push(&mut self, prim: Prim, inputs: Vec<Id>, meta: Meta, label: String) -> Id {
        self.nodes.push(TracedNode { prim, inputs, meta });
        self.labels.push(label);
        self.nodes.len() - 1
    }

    /// Numbers the parameters: slices first, then what is alike for all.
    pub fn finish(&mut self) {
        let count = self.sliced.len();
        for node in &mut self.nodes {
            if let Prim::Param(p) = &mut node.prim
                && *p >= INVARIANT
            {
                *p = *p - INVARIANT + count;
            }
        }
    }

    /// Shape and type of a value as a slice sees it.
    pub fn meta(&self, key: Key) -> Meta {
        match key {
            Key::Slice(id, cut) => {
                let meta = &self.from[id].meta;
                let mut dims = meta.shape.to_vec();
                dims[cut.axis] = cut.len(self.size.slice);
                Meta::new(meta.dtype, dims)
            }
            Key::Whole(id) | Key::Partial(id) | Key::Loop(id) => self.from[id].meta.clone(),
            Key::First => Meta::new(DType::U32, [1]),
        }
    }

    fn how(&self, key: Key) -> Result<How> {
        let all = |id: Id, key: &dyn Fn(Id) -> Key| How::From(self.from[id].inputs.iter().map(|&i| key(i)).collect());
        Ok(match key {
            Key::First => How::Sliced,
            Key::Whole(id) => match &self.from[id].prim {
                Prim::Param(_) if self.nested => How::From(Vec::new()),
                Prim::Scalar(_) | Prim::Iota(_) | Prim::View(_) => all(id, &Key::Whole),
                _ if self.nested => all(id, &Key::Whole),
                _ => How::Invariant,
            },
            Key::Loop(id) | Key::Partial(id) => How::From(self.cut_operands(id)),
            Key::Slice(id, cut) if self.samples.of[id].cut().is_some() => match &self.from[id].prim {
                Prim::Input(_) => How::Sliced,
                _ if self.kept.contains(&id) => How::Sliced,
                Prim::Param(_) => How::From(Vec::new()),
                Prim::Part(_) => How::From(vec![Key::Loop(self.from[id].inputs[0])]),
                Prim::RandomBits(_) => How::From(vec![Key::Whole(self.from[id].inputs[0]), Key::First]),
                _ if self.samples.of[id].cut() == Some(cut) => How::From(self.cut_operands(id)),
                _ => return Err(lost(key)),
            },
            Key::Slice(id, cut) => match slice_of_fixed(self.from, id, cut, self.size.rows) {
                Slice::Again => all(id, &Key::Whole),
                Slice::Through(source, cut) => How::From(vec![Key::Slice(source, cut)]),
                Slice::Operands => all(id, &|i| Key::Slice(i, cut)),
                Slice::Outside if self.nested => return Err(lost(key)),
                Slice::Outside => How::Sliced,
            },
        })
    }

    fn cut_operands(&self, id: Id) -> Vec<Key> {
        let cuts = demands(self.from, self.samples, id);
        let key = |(&input, cut): (&Id, Option<Cut>)| match cut {
            Some(cut) => Key::Slice(input, cut),
            None => Key::Whole(input),
        };
        self.from[id].inputs.iter().zip(cuts).map(key).collect()
    }

    fn node(&mut self, key: Key, how: How) -> Result<Id> {
        let meta = self.meta(key);
        let label = match key {
            Key::Whole(id) | Key::Slice(id, _) | Key::Partial(id) | Key::Loop(id) => {
                self.from_labels.get(id).cloned().unwrap_or_default()
            }
            Key::First => "first sample".into(),
        };
        let inputs = match how {
            How::Sliced => {
                self.sliced.push(key);
                let param = Prim::Param(self.sliced.len() - 1);
                return Ok(self.push(param, Vec::new(), meta, label));
            }
            How::Invariant => {
                let Key::Whole(id) = key else { return Err(lost(key)) };
                self.invariant.push(id);
                let param = Prim::Param(INVARIANT + self.invariant.len() - 1);
                return Ok(self.push(param, Vec::new(), meta, label));
            }
            How::From(needs) => {
                let made = needs.iter().map(|need| self.made.get(need).copied().ok_or_else(|| lost(*need)));
                made.collect::<Result<Vec<_>>>()?
            }
        };
        let (Key::Whole(id) | Key::Slice(id, _) | Key::Partial(id) | Key::Loop(id)) = key else {
            return Err(lost(key));
        };
        let prim = match (key, &self.from[id].prim) {
            (Key::Loop(_), Prim::Scan(looped)) => {
                let inner = self.samples.loops.get(&id).ok_or_else(|| lost(key))?;
                let looped = nested(looped, inner, self.size)?;
                let meta = looped.nodes[looped.outputs[0]].meta.clone();
                return Ok(self.push(Prim::Scan(Arc::new(looped)), inputs, meta, label));
            }
            (Key::Slice(_, cut), prim) => smaller(prim, cut.axis, &meta.shape),
            (_, prim) => prim.clone(),
        };
        if let (Key::Partial(_), Prim::Reduce(ReduceOp::Sum | ReduceOp::Prod, _) | Prim::ScatterAdd(_)) = (key, &prim) {
            return Ok(self.push_wide(prim, inputs, meta, label));
        }
        Ok(self.push(prim, inputs, meta, label))
    }

    /// Part of a fold, in the type that parts are joined in: rounded to a narrow one, each part would err anew.
    fn push_wide(&mut self, prim: Prim, inputs: Vec<Id>, meta: Meta, label: String) -> Id {
        let widened = |dtype: DType| Some(wide(dtype)).filter(|&wide| wide != dtype);
        let widen = |body: &mut Self, id: Id| match widened(body.nodes[id].meta.dtype) {
            Some(dtype) => {
                let meta = Meta { dtype, ..body.nodes[id].meta.clone() };
                body.push(Prim::Cast, vec![id], meta, label.clone())
            }
            None => id,
        };
        let inputs = inputs.into_iter().map(|id| widen(self, id)).collect();
        let meta = Meta { dtype: wide(meta.dtype), ..meta };
        self.push(prim, inputs, meta, label)
    }
}

/// A user's loop over a slice of the batch.
fn nested(looped: &Loop, samples: &LoopSamples, size: Size) -> Result<Loop> {
    let kept = HashSet::new();
    let mut body = Body { nested: true, ..Body::new(&looped.nodes, &looped.labels, &samples.body, size, &kept) };
    let key = |(&id, sample): (&Id, &Sample)| match sample.cut() {
        Some(cut) => Key::Slice(id, cut),
        None => Key::Whole(id),
    };
    let outputs = looped.outputs.iter().zip(&samples.outputs).map(key).collect::<Vec<_>>();
    let outputs = outputs.into_iter().map(|key| body.make(key)).collect::<Result<Vec<_>>>()?;
    let mut params = looped.params.clone();
    for (meta, sample) in params.iter_mut().zip(&samples.params) {
        if let Some(cut) = sample.cut() {
            let mut dims = meta.shape.to_vec();
            dims[cut.axis] = cut.len(size.slice);
            meta.shape = dims.into();
        }
    }
    let labels = if looped.labels.is_empty() { Vec::new() } else { body.labels };
    Ok(Loop { spec: looped.spec, nodes: body.nodes, outputs, folds: Vec::new(), params, labels })
}

/// A primitive over fewer samples, which `axis` of its result counts.
fn smaller(prim: &Prim, axis: usize, shape: &Shape) -> Prim {
    match prim {
        Prim::View(View::Reshape(_)) => Prim::View(View::Reshape(shape.clone())),
        Prim::View(View::Broadcast(_)) => Prim::View(View::Broadcast(shape.clone())),
        Prim::View(View::Slice(axes)) => {
            let mut axes = axes.clone();
            axes[axis] = SliceAxis { start: 0, stop: shape[axis], step: 1 };
            Prim::View(View::Slice(axes))
        }
        Prim::Conv2d(ConvKind::InputGrad(_), conv) => Prim::Conv2d(ConvKind::InputGrad(shape.clone()), *conv),
        Prim::Pool2d(PoolKind::AvgGrad(_), pool) => Prim::Pool2d(PoolKind::AvgGrad(shape.clone()), *pool),
        other => other.clone(),
    }
}

fn lost(key: Key) -> Error {
    Error::argument(format!("a slice of the batch has no {key:?}"))
}
