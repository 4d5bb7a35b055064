//! The table of vector-Jacobian products: one rule per primitive, in tensor operations, so that gradients have gradients.
//!
//! In the formulas `ȳ` is the cotangent of the result `y`, and `x̄` that of the operand `x`.

mod binary;
mod call;
mod contract;
mod line;
mod reduce;
mod unary;
mod view;

use crate::{body::Bodies, scan};
use addax_tensor::{
    Error, Result, Tensor,
    graph::{Node, Op},
};

/// A node that cotangents have arrived at.
pub(crate) struct Site<'a> {
    pub node: &'a Node,
    /// A result of the node: the result, where it has one.
    pub y: &'a Tensor,
    pub inputs: &'a [Tensor],
    /// The cotangent of each result; `None` is zero. At least one is not.
    pub dy: &'a [Option<Tensor>],
    /// Which inputs' cotangents are asked for. At least one is.
    pub wanted: &'a [bool],
}

impl Site<'_> {
    /// The operands of a primitive that has `N`.
    fn operands<const N: usize>(&self) -> Result<&[Tensor; N]> {
        self.inputs.try_into().map_err(|_| {
            let (name, got) = (self.node.op().name(), self.inputs.len());
            Error::argument(format!("`{name}` has {N} operands, this one was recorded with {got}"))
                .at(self.node.origin())
        })
    }
    /// The cotangent of a primitive with one result.
    fn cotangent(&self) -> Result<&Tensor> {
        self.dy.first().and_then(Option::as_ref).ok_or_else(|| {
            Error::argument(format!("`{}` has no cotangent", self.node.op().name())).at(self.node.origin())
        })
    }
    /// The cotangent of operand `i`, recorded only if it is asked for.
    pub fn wants(&self, i: usize, cotangent: impl FnOnce() -> Tensor) -> Option<Tensor> {
        self.wanted.get(i).is_some_and(|w| *w).then(cotangent)
    }
}

/// The cotangents of the inputs; `None` is zero.
pub(crate) fn vjp(site: &Site, bodies: &mut Bodies) -> Result<Vec<Option<Tensor>>> {
    let op = site.node.op();
    Ok(match op {
        // Values that depend on no float, and the value that hides its own dependence.
        Op::Leaf
        | Op::Param(_)
        | Op::Scalar(_)
        | Op::RandomBits { .. }
        | Op::Iota(_)
        | Op::StopGradient
        | Op::Error(_) => vec![None; site.inputs.len()],

        Op::Unary(op) => {
            let [x] = site.operands()?;
            vec![unary::vjp(*op, x, site.y, site.cotangent()?)]
        }
        Op::Binary(op) => binary::vjp(*op, site, site.operands()?, site.cotangent()?),

        // y = a where c, else b        ā = ȳ where c, else 0        b̄ = 0 where c, else ȳ
        Op::Select => {
            let ([c, _, _], dy) = (site.operands()?, site.cotangent()?);
            vec![None, site.wants(1, || c.select(dy, 0.0)), site.wants(2, || c.select(0.0, dy))]
        }
        // y = x in another type        x̄ = ȳ in x's type
        Op::Cast => {
            let [x] = site.operands()?;
            vec![Some(site.cotangent()?.cast(x.dtype()?))]
        }
        Op::View(view) => {
            let [x] = site.operands()?;
            vec![Some(view::vjp(view, x, site.cotangent()?)?)]
        }
        // y = [x₀, x₁, …]        x̄ᵢ = its part of ȳ
        Op::Concat(axis) => view::parts(site, *axis)?,
        Op::Reduce(op, axes) => {
            let [x] = site.operands()?;
            vec![reduce::vjp(*op, axes, x, site.y, site.cotangent()?)?]
        }
        Op::MatMul(how) => contract::matmul(*how, site, site.operands()?, site.cotangent()?),
        Op::Conv2d(kind, conv) => contract::conv2d(kind, *conv, site, site.operands()?, site.cotangent()?)?,
        Op::Pool2d(kind, pool) => contract::pool2d(kind, *pool, site)?,

        // y = rows of x at i        x̄ = rows of ȳ added at i
        Op::Gather(axis) => {
            let ([x, at], dy) = (site.operands()?, site.cotangent()?);
            vec![Some(dy.scatter_add(at, *axis as isize, x.shape()?[*axis])), None]
        }
        // y = rows of x added at i        x̄ = rows of ȳ at i
        Op::ScatterAdd(axis) => {
            let ([at, _], dy) = (site.operands()?, site.cotangent()?);
            vec![None, Some(dy.gather(at, *axis as isize))]
        }
        Op::Line(kind, axis) => line::vjp(*kind, *axis as isize, site)?,

        Op::Call(body) => call::vjp(body, site, bodies)?,
        Op::Scan(body, spec) => scan::vjp(body, *spec, site, bodies)?,
    })
}
