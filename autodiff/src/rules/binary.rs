//! Rules of two operands of one shape.

use super::Site;
use addax_tensor::{Tensor, graph::Binary};

/// The cotangents of `a` and `b`, where `y = op(a, b)`.
pub(super) fn vjp(op: Binary, site: &Site, [a, b]: &[Tensor; 2], dy: &Tensor) -> Vec<Option<Tensor>> {
    let y = site.y;
    match op {
        // y = a + b        ā = ȳ        b̄ = ȳ
        Binary::Add => vec![Some(dy.clone()), Some(dy.clone())],
        // y = a - b        ā = ȳ        b̄ = -ȳ
        Binary::Sub => vec![Some(dy.clone()), site.wants(1, || -dy)],
        // y = a·b        ā = ȳ·b        b̄ = ȳ·a
        Binary::Mul => vec![site.wants(0, || dy * b), site.wants(1, || dy * a)],
        // y = a / b        ā = ȳ / b        b̄ = -ȳ·y / b
        Binary::Div => vec![site.wants(0, || dy / b), site.wants(1, || -(dy / b * y))],
        // y = a - b·trunc(a / b)        ā = ȳ        b̄ = -ȳ·trunc(a / b), where trunc(a / b) = (a - y) / b
        Binary::Rem => vec![Some(dy.clone()), site.wants(1, || -(dy * ((a - y) / b).round()))],
        // y = aᵇ        ā = ȳ·b·aᵇ⁻¹        b̄ = ȳ·y·log a
        Binary::Pow => vec![site.wants(0, || dy * slope(a, b)), site.wants(1, || dy * (y * positive_log(a)))],
        // y = max(a, b)        ā = ȳ where a > b, ȳ/2 where a = b        b̄ likewise
        Binary::Max => vec![site.wants(0, || winner(b, a, dy)), site.wants(1, || winner(a, b, dy))],
        // y = min(a, b)        ā = ȳ where a < b, ȳ/2 where a = b        b̄ likewise
        Binary::Min => vec![site.wants(0, || winner(a, b, dy)), site.wants(1, || winner(b, a, dy))],
        // No floats come out.
        Binary::And
        | Binary::Or
        | Binary::Xor
        | Binary::Shl
        | Binary::Shr
        | Binary::Eq
        | Binary::Ne
        | Binary::Lt
        | Binary::Le => vec![None, None],
    }
}

/// `b·aᵇ⁻¹`; 0 where both are 0, where the formula would be `0·∞`.
fn slope(a: &Tensor, b: &Tensor) -> Tensor {
    let nothing = a.equal(0.0).logical_and(b.equal(0.0));
    b * a.pow(nothing.select(1.0, b - 1.0))
}

/// `log a`, and 0 for a ≤ 0, where a power has no derivative by its exponent.
fn positive_log(a: &Tensor) -> Tensor {
    a.greater(0.0).select(a, 1.0).log()
}

/// `dy` where `low < high`, half of it where they tie, else 0.
fn winner(low: &Tensor, high: &Tensor, dy: &Tensor) -> Tensor {
    low.less(high).select(dy, low.equal(high).select(dy * 0.5, 0.0))
}
