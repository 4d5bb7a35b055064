//! One instruction as WGSL: the meaning of every scalar function on every compute type.

use crate::{
    dtype::DType,
    graph::{Binary, Unary},
};

/// What a block's text may call. `math.wgsl` has the rest.
pub const HELPERS: &str = include_str!("helpers.wgsl");

/// The WGSL type of a register.
pub fn name(dtype: DType) -> &'static str {
    match dtype.compute() {
        DType::I32 => "i32",
        DType::U32 => "u32",
        DType::Bool => "bool",
        _ => "f32",
    }
}

/// The zero of a register's type.
pub fn zero(dtype: DType) -> &'static str {
    match dtype.compute() {
        DType::I32 => "0i",
        DType::U32 => "0u",
        DType::Bool => "false",
        _ => "0.0",
    }
}

/// A word (an expression of type `u32`) as a register.
pub fn from_word(word: &str, dtype: DType) -> String {
    match dtype.compute() {
        DType::I32 => format!("bitcast<i32>({word})"),
        DType::U32 => word.to_string(),
        DType::Bool => format!("({word} != 0u)"),
        // Constant expressions must be finite, and a call is none.
        _ => format!("from_bits({word})"),
    }
}

/// The stored bits of a register, in the lowest bits of a `u32`.
pub fn stored(reg: &str, register: DType, storage: DType) -> String {
    match storage {
        DType::F32 | DType::I32 => format!("bitcast<u32>({reg})"),
        DType::U32 => reg.to_string(),
        DType::F16 => format!("to_f16({reg})"),
        DType::BF16 => format!("to_bf16({reg})"),
        DType::U8 => format!("({} & 255u)", cast(reg, register, DType::U32)),
        DType::Bool => format!("select(0u, 1u, {reg})"),
    }
}

/// A function of one operand of this compute type.
pub fn unary(op: Unary, x: &str, dtype: DType) -> String {
    match (op, dtype.compute()) {
        (Unary::Neg, DType::U32) => format!("(0u - {x})"),
        (Unary::Neg, _) => format!("(-{x})"),
        (Unary::Abs, DType::U32) => x.to_string(),
        (Unary::Abs, _) => format!("abs({x})"),
        (Unary::Sign, DType::U32) => format!("min({x}, 1u)"),
        (Unary::Sign, DType::I32) => format!("sign({x})"),
        (Unary::Sign, _) => format!("select(select({x}, -1.0, {x} < 0.0), 1.0, {x} > 0.0)"),
        (Unary::Square, _) => format!("({x} * {x})"),
        (Unary::Relu, DType::U32) => x.to_string(),
        (Unary::Relu, DType::I32) => format!("max({x}, 0i)"),
        (Unary::Relu, _) => format!("select({x}, 0.0, {x} < 0.0)"),
        (Unary::Not, DType::Bool) => format!("(!{x})"),
        (Unary::Not, _) => format!("(~{x})"),
        (Unary::Exp, _) => format!("math_exp({x})"),
        (Unary::Log, _) => format!("math_log({x})"),
        (Unary::Expm1, _) => format!("math_expm1({x})"),
        (Unary::Log1p, _) => format!("math_log1p({x})"),
        (Unary::Sqrt, _) => format!("sqrt({x})"),
        (Unary::Rsqrt, _) => format!("inverseSqrt({x})"),
        (Unary::Reciprocal, _) => format!("(1.0 / {x})"),
        (Unary::Sin, _) => format!("math_sin({x})"),
        (Unary::Cos, _) => format!("math_cos({x})"),
        (Unary::Tanh, _) => format!("math_tanh({x})"),
        (Unary::Sigmoid, _) => format!("math_sigmoid({x})"),
        (Unary::Softplus, _) => format!("math_softplus({x})"),
        (Unary::Erf, _) => format!("math_erf({x})"),
        (Unary::Erfinv, _) => format!("math_erfinv({x})"),
        (Unary::Floor, _) => format!("floor({x})"),
        (Unary::Ceil, _) => format!("ceil({x})"),
        (Unary::Round, _) => format!("round({x})"),
        (Unary::IsFinite, _) => format!("is_finite({x})"),
    }
}

/// A function of two operands of this compute type.
pub fn binary(op: Binary, a: &str, b: &str, dtype: DType) -> String {
    let compute = dtype.compute();
    let infix = |symbol: &str| format!("({a} {symbol} {b})");
    let call = |function: &str| format!("{function}({a}, {b})");
    match (op, compute) {
        (Binary::Add, _) => infix("+"),
        (Binary::Sub, _) => infix("-"),
        (Binary::Mul, _) => infix("*"),
        (Binary::Div, DType::I32) => call("div_i32"),
        (Binary::Div, DType::U32) => call("div_u32"),
        (Binary::Div, _) => infix("/"),
        (Binary::Rem, DType::I32) => call("rem_i32"),
        (Binary::Rem, DType::U32) => call("rem_u32"),
        (Binary::Rem, _) => infix("%"),
        (Binary::Pow, _) => call("math_pow"),
        (Binary::Max, DType::F32) => format!("select({a}, {b}, {b} > {a} || is_nan({b}))"),
        (Binary::Min, DType::F32) => format!("select({a}, {b}, {b} < {a} || is_nan({b}))"),
        (Binary::Max, _) => call("max"),
        (Binary::Min, _) => call("min"),
        (Binary::And, DType::Bool) => infix("&&"),
        (Binary::Or, DType::Bool) => infix("||"),
        (Binary::Xor, DType::Bool) => infix("!="),
        (Binary::And, _) => infix("&"),
        (Binary::Or, _) => infix("|"),
        (Binary::Xor, _) => infix("^"),
        (Binary::Shl, _) => format!("({a} << (u32({b}) & 31u))"),
        (Binary::Shr, _) => format!("({a} >> (u32({b}) & 31u))"),
        (Binary::Eq, _) => infix("=="),
        (Binary::Ne, _) => format!("(!({a} == {b}))"),
        (Binary::Lt, _) => infix("<"),
        (Binary::Le, _) => infix("<="),
    }
}

/// A register of compute type `from` as the compute type of `to`, rounded to what `to` can hold.
pub fn cast(x: &str, from: DType, to: DType) -> String {
    let from = from.compute();
    let float = || match from {
        DType::Bool => format!("select(0.0, 1.0, {x})"),
        DType::I32 | DType::U32 => format!("f32({x})"),
        _ => x.to_string(),
    };
    match (to, from) {
        (DType::F32, _) => float(),
        (DType::F16, _) => format!("unpack2x16float(to_f16({})).x", float()),
        (DType::BF16, _) => format!("from_bits(to_bf16({}) << 16u)", float()),
        (DType::I32, DType::F32) => format!("to_i32({x})"),
        (DType::I32, DType::U32) => format!("bitcast<i32>({x})"),
        (DType::I32, DType::Bool) => format!("select(0i, 1i, {x})"),
        (DType::U32, DType::F32) => format!("to_u32({x})"),
        (DType::U8, DType::F32) => format!("min(to_u32({x}), 255u)"),
        (DType::U32, DType::I32) => format!("bitcast<u32>({x})"),
        (DType::U8, DType::I32) => format!("(bitcast<u32>({x}) & 255u)"),
        (DType::U8, DType::U32) => format!("({x} & 255u)"),
        (DType::U32 | DType::U8, DType::Bool) => format!("select(0u, 1u, {x})"),
        (DType::Bool, DType::F32) => format!("(!({x} == 0.0))"),
        (DType::Bool, DType::I32) => format!("({x} != 0i)"),
        (DType::Bool, DType::U32) => format!("({x} != 0u)"),
        _ => x.to_string(),
    }
}
