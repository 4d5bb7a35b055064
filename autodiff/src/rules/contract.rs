//! Rules of products and windows: each family is closed under differentiation.

use super::Site;
use addax_tensor::{
    Result, Tensor,
    graph::{Conv2d, ConvKind, MatMul, Pool2d, PoolKind},
};

/// `y = A·B`: `Ā = ȳ·Bᵀ`, `B̄ = Aᵀ·ȳ`; an operand that is stored transposed gets the transpose of its formula.
pub(super) fn matmul(how: MatMul, site: &Site, [a, b]: &[Tensor; 2], dy: &Tensor) -> Vec<Option<Tensor>> {
    let MatMul { transpose_a: ta, transpose_b: tb } = how;
    let with = |transpose_a, transpose_b| MatMul { transpose_a, transpose_b };
    let da = || match ta {
        false => dy.matmul_with(b, with(false, !tb)),
        true => b.matmul_with(dy, with(tb, true)),
    };
    let db = || match tb {
        false => a.matmul_with(dy, with(!ta, false)),
        true => dy.matmul_with(a, with(true, ta)),
    };
    vec![site.wants(0, da), site.wants(1, db)]
}

/// `y = conv(x, w)` is linear in both, and so are its two gradients: each of the three has the other two as its rule.
pub(super) fn conv2d(
    kind: &ConvKind,
    conv: Conv2d,
    site: &Site,
    [a, b]: &[Tensor; 2],
    dy: &Tensor,
) -> Result<Vec<Option<Tensor>>> {
    let (shape_a, shape_b) = (a.shape()?, b.shape()?);
    Ok(match kind {
        // y = conv(x, w)        x̄ = input_grad(ȳ, w)        w̄ = filter_grad(x, ȳ)
        ConvKind::Forward => vec![
            site.wants(0, || dy.conv2d_input_grad(b, shape_a, conv)),
            site.wants(1, || a.conv2d_filter_grad(dy, shape_b, conv)),
        ],
        // x = input_grad(g, w)        ḡ = conv(x̄, w)        w̄ = filter_grad(x̄, g)
        ConvKind::InputGrad(_) => {
            vec![site.wants(0, || dy.conv2d(b, conv)), site.wants(1, || dy.conv2d_filter_grad(a, shape_b, conv))]
        }
        // w = filter_grad(x, g)        x̄ = input_grad(g, w̄)        ḡ = conv(x, w̄)
        ConvKind::FilterGrad(_) => {
            vec![site.wants(0, || b.conv2d_input_grad(dy, shape_a, conv)), site.wants(1, || a.conv2d(dy, conv))]
        }
    })
}

/// Which cell wins does not change with a small step, so max-pooling is a gather, its gradient the scatter at the same
/// cells; mean-pooling and its gradient are each other's adjoint.
pub(super) fn pool2d(kind: &PoolKind, pool: Pool2d, site: &Site) -> Result<Vec<Option<Tensor>>> {
    let dy = site.cotangent()?;
    Ok(match kind {
        // y = max of windows of x        x̄ = max_grad(x, ȳ)
        PoolKind::Max => {
            let [x] = site.operands()?;
            vec![Some(x.max_pool2d_grad(dy, pool))]
        }
        // g at the winners of x        ḡ = gather(x, ȳ)        x̄ = 0
        PoolKind::MaxGrad => {
            let [x, _] = site.operands()?;
            vec![None, site.wants(1, || x.max_pool2d_gather(dy, pool))]
        }
        // v at the winners of x        v̄ = max_grad(x, ȳ)        x̄ = 0
        PoolKind::MaxGather => {
            let [x, _] = site.operands()?;
            vec![None, site.wants(1, || x.max_pool2d_grad(dy, pool))]
        }
        // y = mean of windows of x        x̄ = avg_grad(ȳ)
        PoolKind::Avg => {
            let [x] = site.operands()?;
            vec![Some(dy.avg_pool2d_grad(x.shape()?, pool))]
        }
        // x = avg_grad(g)        ḡ = mean of windows of x̄
        PoolKind::AvgGrad(_) => vec![Some(dy.avg_pool2d(pool))],
    })
}
