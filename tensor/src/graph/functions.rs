//! The functions that primitives apply to elements, fold axes by, or fold along an axis, with the types that they accept.

use crate::dtype::{DType, Scalar};

/// Functions of one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unary {
    /// `-x` (wraps for integers).
    Neg,
    /// `|x|`.
    Abs,
    /// -1, 0 or 1.
    Sign,
    /// `e^x`.
    Exp,
    /// Natural logarithm.
    Log,
    /// `e^x - 1`, exact near 0.
    Expm1,
    /// `log(1 + x)`, exact near 0.
    Log1p,
    /// Square root.
    Sqrt,
    /// `1 / sqrt(x)`.
    Rsqrt,
    /// `1 / x`.
    Reciprocal,
    /// `x * x`.
    Square,
    /// Sine of radians.
    Sin,
    /// Cosine of radians.
    Cos,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `log(1 + e^x)`.
    Softplus,
    /// Error function.
    Erf,
    /// Inverse error function on (-1, 1).
    Erfinv,
    /// `max(x, 0)`.
    Relu,
    /// Largest whole number not above.
    Floor,
    /// Smallest whole number not below.
    Ceil,
    /// Nearest whole number, ties to even.
    Round,
    /// Logical not of `Bool`, bitwise not of integers.
    Not,
    /// Whether a float is neither infinite nor NaN; gives `Bool`.
    IsFinite,
}

impl Unary {
    /// Every unary primitive.
    pub const ALL: [Unary; 24] = [
        Unary::Neg,
        Unary::Abs,
        Unary::Sign,
        Unary::Exp,
        Unary::Log,
        Unary::Expm1,
        Unary::Log1p,
        Unary::Sqrt,
        Unary::Rsqrt,
        Unary::Reciprocal,
        Unary::Square,
        Unary::Sin,
        Unary::Cos,
        Unary::Tanh,
        Unary::Sigmoid,
        Unary::Softplus,
        Unary::Erf,
        Unary::Erfinv,
        Unary::Relu,
        Unary::Floor,
        Unary::Ceil,
        Unary::Round,
        Unary::Not,
        Unary::IsFinite,
    ];
    /// Whether integers are accepted too (`Not` accepts only integers and `Bool`).
    pub fn accepts(self, dtype: DType) -> bool {
        match self {
            Unary::Neg | Unary::Abs | Unary::Sign | Unary::Square | Unary::Relu => dtype != DType::Bool,
            Unary::Not => !dtype.is_float(),
            _ => dtype.is_float(),
        }
    }
}

/// Functions of two elements of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Binary {
    /// `a + b`; integers wrap.
    Add,
    /// `a - b`; integers wrap.
    Sub,
    /// `a * b`; integers wrap.
    Mul,
    /// `a / b`; integers round toward zero, and division by 0 gives 0.
    Div,
    /// Remainder with the sign of `a`; by 0 gives 0 for integers.
    Rem,
    /// `a^b`, floats only.
    Pow,
    /// The larger.
    Max,
    /// The smaller.
    Min,
    /// Logical and (`Bool`), bitwise and (integers).
    And,
    /// Logical or (`Bool`), bitwise or (integers).
    Or,
    /// Exclusive or.
    Xor,
    /// Shift left; the amount is taken modulo 32.
    Shl,
    /// Shift right (arithmetic for `i32`); the amount is taken modulo 32.
    Shr,
    /// `a == b`, gives `Bool`.
    Eq,
    /// `a != b`, gives `Bool`.
    Ne,
    /// `a < b`, gives `Bool`.
    Lt,
    /// `a <= b`, gives `Bool`.
    Le,
}

impl Binary {
    /// Every binary primitive.
    pub const ALL: [Binary; 17] = [
        Binary::Add,
        Binary::Sub,
        Binary::Mul,
        Binary::Div,
        Binary::Rem,
        Binary::Pow,
        Binary::Max,
        Binary::Min,
        Binary::And,
        Binary::Or,
        Binary::Xor,
        Binary::Shl,
        Binary::Shr,
        Binary::Eq,
        Binary::Ne,
        Binary::Lt,
        Binary::Le,
    ];
    /// Whether the result is `Bool` whatever the operands are.
    pub fn is_comparison(self) -> bool {
        matches!(self, Binary::Eq | Binary::Ne | Binary::Lt | Binary::Le)
    }
    /// Whether operands of this type are accepted.
    pub fn accepts(self, dtype: DType) -> bool {
        match self {
            Binary::Eq | Binary::Ne => true,
            Binary::And | Binary::Or | Binary::Xor => !dtype.is_float(),
            Binary::Shl | Binary::Shr => dtype.is_int(),
            Binary::Pow => dtype.is_float(),
            _ => dtype != DType::Bool,
        }
    }
    /// The same function of truth values, where it gives a truth value again.
    pub(crate) const fn of_truths(self) -> Option<Binary> {
        match self {
            Binary::Add | Binary::Max => Some(Binary::Or),
            Binary::Mul | Binary::Min => Some(Binary::And),
            _ => None,
        }
    }
}

/// What a reduction over axes computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReduceOp {
    /// Sum; floats accumulate in `f32` or better.
    Sum,
    /// Product.
    Prod,
    /// Largest.
    Max,
    /// Smallest.
    Min,
    /// Position of the first largest along one axis, as `I32`.
    ArgMax,
    /// Position of the first smallest along one axis, as `I32`.
    ArgMin,
    /// Whether any is true.
    Any,
    /// Whether all are true.
    All,
}

impl ReduceOp {
    /// Every reduction.
    pub const ALL: [ReduceOp; 8] = [
        ReduceOp::Sum,
        ReduceOp::Prod,
        ReduceOp::Max,
        ReduceOp::Min,
        ReduceOp::ArgMax,
        ReduceOp::ArgMin,
        ReduceOp::Any,
        ReduceOp::All,
    ];
    /// Whether elements of this type are accepted.
    pub fn accepts(self, dtype: DType) -> bool {
        match self {
            ReduceOp::Any | ReduceOp::All => dtype == DType::Bool,
            _ => dtype != DType::Bool,
        }
    }
    /// The same function of truth values, where it gives a truth value again.
    pub(crate) const fn of_truths(self) -> Option<ReduceOp> {
        match self {
            ReduceOp::Max => Some(ReduceOp::Any),
            ReduceOp::Min => Some(ReduceOp::All),
            _ => None,
        }
    }
}

/// What a running fold along an axis computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CumulateOp {
    /// Running sum.
    Sum,
    /// Running product.
    Prod,
    /// Largest so far; NaN from the first NaN on.
    Max,
    /// Smallest so far; NaN from the first NaN on.
    Min,
}

impl CumulateOp {
    /// Every running fold.
    pub const ALL: [CumulateOp; 4] = [CumulateOp::Sum, CumulateOp::Prod, CumulateOp::Max, CumulateOp::Min];
    /// What it is before the first element, in a tensor of this type.
    pub fn identity(self, dtype: DType) -> Scalar {
        let float = dtype.is_float();
        match (self, dtype) {
            (CumulateOp::Sum, _) => Scalar::Int(0),
            (CumulateOp::Prod, _) => Scalar::Int(1),
            (CumulateOp::Max, _) if float => Scalar::Float(f64::NEG_INFINITY),
            (CumulateOp::Min, _) if float => Scalar::Float(f64::INFINITY),
            (CumulateOp::Max, DType::I32) => Scalar::Int(i32::MIN.into()),
            (CumulateOp::Min, DType::I32) => Scalar::Int(i32::MAX.into()),
            (CumulateOp::Max, _) => Scalar::Int(0),
            (CumulateOp::Min, DType::U8) => Scalar::Int(u8::MAX.into()),
            (CumulateOp::Min, _) => Scalar::Int(u32::MAX.into()),
        }
    }
}

macro_rules! names {
    ($t:ty { $($v:ident => $n:literal),* $(,)? }) => {
        impl $t {
            /// The primitive's name: one name everywhere.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$v => $n),* }
            }
        }
    };
}
names!(Unary { Neg => "neg", Abs => "abs", Sign => "sign", Exp => "exp", Log => "log", Expm1 => "expm1", Log1p => "log1p",
    Sqrt => "sqrt", Rsqrt => "rsqrt", Reciprocal => "reciprocal", Square => "square", Sin => "sin", Cos => "cos", Tanh => "tanh",
    Sigmoid => "sigmoid", Softplus => "softplus", Erf => "erf", Erfinv => "erfinv", Relu => "relu", Floor => "floor",
    Ceil => "ceil", Round => "round", Not => "not", IsFinite => "is_finite" });
names!(Binary { Add => "add", Sub => "sub", Mul => "mul", Div => "div", Rem => "rem", Pow => "pow", Max => "maximum", Min => "minimum",
    And => "and", Or => "or", Xor => "xor", Shl => "shl", Shr => "shr", Eq => "eq", Ne => "ne", Lt => "lt", Le => "le" });
names!(ReduceOp { Sum => "sum", Prod => "prod", Max => "max", Min => "min", ArgMax => "argmax", ArgMin => "argmin", Any => "any", All => "all" });
names!(CumulateOp { Sum => "cumsum", Prod => "cumprod", Max => "cummax", Min => "cummin" });
