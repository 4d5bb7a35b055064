//! The gradient of an invariant: the sum over all steps of what each step adds.
//!
//! `Σ_t h_tᵀ·z_t` is one product of the stacked `h` and `z`, merged to `[steps·batch, ..]`; `Σ_t Σ_b z_t` is one sum over the
//! stacked `z`; and a linear view of a sum is the view of the total. Whatever else a step adds is added up in a carry.

use super::merged;
use addax_tensor::{
    Error, Result, Tensor,
    graph::{Binary, Body, ConvKind, MatMul, Meta, Op, ReduceOp, Unary, View},
};
use std::{
    collections::{HashMap, HashSet},
    panic::Location,
};

/// How a total comes about.
pub(super) enum Total {
    /// The sum of these.
    Sum(Vec<Total>),
    /// A linear function of one total.
    Linear(Op, Meta, Box<Total>),
    /// An operation that sums over the first axis of these stacked operands, over all steps at once.
    Merged(Op, Meta, Vec<Tensor>),
    /// The sum of a stack over these axes of a step, and over the steps.
    Reduced(Vec<usize>, Tensor),
    /// A carry of the reverse loop.
    Carried(usize),
}

/// What the totals of one loop need.
pub(super) struct Totals {
    /// Tensors of a step that are read as stacks.
    pub stacked: Vec<Tensor>,
    /// Tensors of a step that are added up in carries.
    pub carried: Vec<Tensor>,
    met: HashSet<(u64, u16)>,
    /// Whether nothing may be stacked.
    as_they_go: bool,
}

impl Totals {
    /// None yet. Sums are carried rather than stacked if `as_they_go`.
    pub fn new(as_they_go: bool) -> Self {
        Totals { stacked: Vec::new(), carried: Vec::new(), met: HashSet::new(), as_they_go }
    }

    /// How to sum `step` over all steps.
    pub fn total(&mut self, step: &Tensor) -> Result<Total> {
        let mut terms = Vec::new();
        let mut sums = vec![step.clone()];
        while let Some(term) = sums.pop() {
            match term.node().op() {
                Op::Binary(Binary::Add) => sums.extend(term.node().inputs().into_iter().rev()),
                _ => terms.push(self.term(&term)?),
            }
        }
        Ok(match (terms.pop(), terms.is_empty()) {
            (Some(only), true) => only,
            (last, _) => Total::Sum(terms.into_iter().chain(last).collect()),
        })
    }

    fn term(&mut self, step: &Tensor) -> Result<Total> {
        let (op, meta, inputs) = (step.node().op(), step.meta()?.clone(), step.node().inputs());
        if let [x] = inputs.as_slice()
            && is_linear(op, x)
        {
            let inner = self.total(x)?;
            // A carry had to add up the operand: it adds up the result instead, and the loop ends with it.
            if !matches!(inner, Total::Carried(_)) {
                return Ok(Total::Linear(op.clone(), meta, Box::new(inner)));
            }
            self.carried.pop();
        }
        Ok(match op {
            Op::Reduce(ReduceOp::Sum, axes) if !self.as_they_go => {
                self.stack(&inputs);
                inputs.into_iter().next().map(|x| Total::Reduced(axes.clone(), x)).ok_or_else(no_operand)?
            }
            op if !self.as_they_go && sums_over_rows(op, &inputs) => {
                self.stack(&inputs);
                Total::Merged(op.clone(), meta, inputs)
            }
            _ => {
                self.carried.push(step.clone());
                Total::Carried(self.carried.len() - 1)
            }
        })
    }

    fn stack(&mut self, tensors: &[Tensor]) {
        for tensor in tensors {
            if self.met.insert(tensor.key()) {
                self.stacked.push(tensor.clone());
            }
        }
    }
}

fn no_operand() -> Error {
    Error::argument("a sum was recorded without its operand")
}

/// Whether the operation on one float operand is linear and keeps no rows apart.
fn is_linear(op: &Op, x: &Tensor) -> bool {
    match op {
        Op::View(View::Pad(_, value)) => value.as_f64() == 0.0,
        Op::View(_) | Op::Unary(Unary::Neg) => true,
        Op::Cast => x.dtype().is_ok_and(|d| d.is_float()),
        _ => false,
    }
}

/// Whether the result is a sum over the first axis of every operand.
fn sums_over_rows(op: &Op, inputs: &[Tensor]) -> bool {
    match op {
        Op::MatMul(MatMul { transpose_a: true, transpose_b: false }) => {
            inputs.iter().all(|t| t.rank().is_ok_and(|r| r == 2))
        }
        Op::Conv2d(ConvKind::FilterGrad(_), _) => true,
        Op::ScatterAdd(axis) => *axis == 0,
        _ => false,
    }
}

/// Where the totals find their values, outside of the loops.
pub(super) struct Sources<'a> {
    pub steps: usize,
    pub body: &'a Body,
    /// The values of the body's parameters.
    pub values: &'a [Tensor],
    /// `[steps, ..]` by tensor of a step.
    pub stacks: &'a HashMap<(u64, u16), Tensor>,
    /// The final values of the carries that add up.
    pub sums: &'a [Tensor],
}

impl Sources<'_> {
    fn stack(&self, tensor: &Tensor) -> Result<Tensor> {
        if let Some(stack) = self.stacks.get(&tensor.key()) {
            return Ok(stack.clone());
        }
        // An invariant: the same at every step.
        let position = self.body.params.iter().position(|p| p.same(tensor));
        let value = position.and_then(|i| self.values.get(i)).unwrap_or(tensor);
        let shape = tensor.shape()?;
        Ok(value.broadcast_to(std::iter::once(self.steps).chain(shape.iter().copied()).collect::<Vec<_>>()))
    }
}

impl Total {
    /// Records the total.
    pub fn record(&self, sources: &Sources) -> Result<Tensor> {
        Ok(match self {
            Total::Sum(terms) => {
                let mut terms = terms.iter().map(|term| term.record(sources));
                let first = terms.next().ok_or_else(no_operand)??;
                terms.try_fold(first, |sum, term| Ok::<_, Error>(sum + term?))?
            }
            Total::Linear(op, meta, inner) => {
                Tensor::record_one(op.clone(), vec![inner.record(sources)?], meta.clone(), Location::caller())
            }
            Total::Merged(op, meta, operands) => {
                let rows = |t: &Tensor| sources.stack(t).and_then(|stack| merged(&stack));
                let operands = operands.iter().map(rows).collect::<Result<Vec<_>>>()?;
                Tensor::record_one(op.clone(), operands, meta.clone(), Location::caller())
            }
            Total::Reduced(axes, operand) => {
                let over: Vec<usize> = std::iter::once(0).chain(axes.iter().map(|a| a + 1)).collect();
                sources.stack(operand)?.sum(over)
            }
            Total::Carried(i) => sources.sums.get(*i).cloned().ok_or_else(no_operand)?,
        })
    }
}
