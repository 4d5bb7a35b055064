//! Rules of one operand. Where the result gives the derivative, the operand is not read: it need not be kept.

use addax_tensor::{Tensor, graph::Unary};
use std::f64::consts::{FRAC_2_SQRT_PI, PI};

/// The cotangent of `x`, where `y = op(x)`.
pub(super) fn vjp(op: Unary, x: &Tensor, y: &Tensor, dy: &Tensor) -> Option<Tensor> {
    Some(match op {
        // y = -x        x̄ = -ȳ
        Unary::Neg => -dy,
        // y = |x|        x̄ = ȳ·sign x, 0 at 0
        Unary::Abs => dy * x.sign(),
        // y = eˣ        x̄ = ȳ·y
        Unary::Exp => dy * y,
        // y = log x        x̄ = ȳ / x
        Unary::Log => dy / x,
        // y = eˣ - 1        x̄ = ȳ·(y + 1)
        Unary::Expm1 => dy * (y + 1.0),
        // y = log(1 + x)        x̄ = ȳ / (1 + x)
        Unary::Log1p => dy / (x + 1.0),
        // y = √x        x̄ = ȳ / 2y, infinite at 0
        Unary::Sqrt => dy * 0.5 / y,
        // y = 1/√x        x̄ = -ȳ·y³ / 2
        Unary::Rsqrt => dy * y.square() * y * -0.5,
        // y = 1/x        x̄ = -ȳ·y²
        Unary::Reciprocal => -(dy * y.square()),
        // y = x²        x̄ = 2·ȳ·x
        Unary::Square => dy * (x * 2.0),
        // y = sin x        x̄ = ȳ·cos x
        Unary::Sin => dy * x.cos(),
        // y = cos x        x̄ = -ȳ·sin x
        Unary::Cos => -(dy * x.sin()),
        // y = tanh x        x̄ = ȳ·(1 - y²)
        Unary::Tanh => dy * (1.0 - y.square()),
        // y = 1 / (1 + e⁻ˣ)        x̄ = ȳ·y·(1 - y)
        Unary::Sigmoid => dy * (y * (1.0 - y)),
        // y = log(1 + eˣ)        x̄ = ȳ·sigmoid x
        Unary::Softplus => dy * x.sigmoid(),
        // y = erf x        x̄ = ȳ·2/√π·e^(-x²)
        Unary::Erf => dy * ((-x.square()).exp() * FRAC_2_SQRT_PI),
        // y = erf⁻¹ x        x̄ = ȳ·√π/2·e^(y²)
        Unary::Erfinv => dy * (y.square().exp() * (PI.sqrt() / 2.0)),
        // y = max(x, 0)        x̄ = ȳ where y > 0, else 0
        Unary::Relu => y.greater(0.0).select(dy, 0.0),
        // Piecewise constant.
        Unary::Sign | Unary::Floor | Unary::Ceil | Unary::Round => return None,
        // No floats come out.
        Unary::Not | Unary::IsFinite => return None,
    })
}
