//! Functions of one, two or three elements. Operands broadcast by NumPy's rules; types meet by [`DType::promote`]. Sums and products of
//! `Bool` are truth values, as in Keras: whether either is true, whether both are.

use super::{operators::Operand, record};
use crate::{
    dtype::{DType, Scalar},
    error::{Error, Result},
    graph::{Binary, Meta, Op, Origin, Tensor, Unary},
};
use std::panic::Location;

impl Tensor {
    /// Applies a unary primitive. Integers are taken to `F32` first where only floats have a meaning.
    #[track_caller]
    pub fn unary(&self, op: Unary) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let dtype = self.dtype()?;
            let x = match op.accepts(dtype) {
                true => self.clone(),
                false if op == Unary::Not => {
                    return Err(Error::dtype(format!("`not` needs bool or integers, got {dtype}")));
                }
                false => self.cast_at(DType::F32, origin),
            };
            let mut meta = x.meta()?.clone();
            if op == Unary::IsFinite {
                meta.dtype = DType::Bool;
            }
            Ok(Tensor::record_one(Op::Unary(op), vec![x], meta, origin))
        })
    }

    pub(crate) fn binary(op: Binary, a: Operand, b: Operand, origin: Origin) -> Tensor {
        record(origin, || {
            let (a, b) = meet(a, b, origin)?;
            let dtype = a.dtype()?;
            let op = op.of_truths().filter(|_| dtype == DType::Bool).unwrap_or(op);
            let (a, b) = match op.accepts(dtype) {
                true => (a, b),
                false if op == Binary::Pow => (a.cast_at(DType::F32, origin), b.cast_at(DType::F32, origin)),
                false if dtype == DType::Bool => (a.cast_at(DType::I32, origin), b.cast_at(DType::I32, origin)),
                false => return Err(Error::dtype(format!("`{}` does not accept {dtype}", op.name()))),
            };
            let mut meta = a.meta()?.clone();
            if op.is_comparison() {
                meta.dtype = DType::Bool;
            }
            Ok(Tensor::record_one(Op::Binary(op), vec![a, b], meta, origin))
        })
    }

    /// `a` where `self` (a `Bool` tensor) is true, else `b`. All three broadcast.
    #[track_caller]
    pub fn select(&self, a: impl Into<Operand>, b: impl Into<Operand>) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            if self.dtype()? != DType::Bool {
                return Err(Error::dtype(format!("`select` needs a bool condition, got {}", self.dtype()?)));
            }
            let (a, b) = match (a.into(), b.into()) {
                (Operand::Scalar(x), Operand::Scalar(y)) => {
                    let dtype = y.meet(x.dtype());
                    (scalar_of(x, dtype, origin), scalar_of(y, dtype, origin))
                }
                (a, b) => meet(a, b, origin)?,
            };
            let shape = self.shape()?.broadcast(a.shape()?)?;
            let inputs =
                vec![self.broadcast_at(&shape, origin), a.broadcast_at(&shape, origin), b.broadcast_at(&shape, origin)];
            let dtype = a.dtype()?;
            Ok(Tensor::record_one(Op::Select, inputs, Meta { shape, dtype }, origin))
        })
    }

    /// Elements as `dtype`. Floats to integers round toward zero and saturate (NaN gives 0); to `Bool`, non-zero is true.
    #[track_caller]
    pub fn cast(&self, dtype: DType) -> Tensor {
        self.cast_at(dtype, Location::caller())
    }

    pub(crate) fn cast_at(&self, dtype: DType, origin: Origin) -> Tensor {
        match self.meta() {
            Err(_) => self.clone(),
            Ok(meta) if meta.dtype == dtype => self.clone(),
            Ok(meta) => {
                let meta = Meta { shape: meta.shape.clone(), dtype };
                Tensor::record_one(Op::Cast, vec![self.clone()], meta, origin)
            }
        }
    }

    /// The same value, through which no gradient flows.
    #[track_caller]
    pub fn stop_gradient(&self) -> Tensor {
        match self.meta() {
            Ok(meta) => Tensor::record_one(Op::StopGradient, vec![self.clone()], meta.clone(), Location::caller()),
            Err(_) => self.clone(),
        }
    }

    /// `log(e^self + e^other)`, without overflow.
    #[track_caller]
    pub fn logaddexp(&self, other: &Tensor) -> Tensor {
        // Equal infinities have no difference.
        let apart = self.equal(other).select(0.0, (self - other).abs());
        self.maximum(other) + (-apart).exp().log1p()
    }

    /// `max(min(x, high), low)`.
    #[track_caller]
    pub fn clip(&self, low: impl Into<Operand>, high: impl Into<Operand>) -> Tensor {
        self.minimum(high).maximum(low)
    }
}

/// A rank-0 node of a weak number.
pub(crate) fn scalar_of(value: Scalar, dtype: DType, origin: Origin) -> Tensor {
    Tensor::record_one(Op::Scalar(value), Vec::new(), Meta::new(dtype, ()), origin)
}

/// Both operands with one type and one shape.
fn meet(a: Operand, b: Operand, origin: Origin) -> Result<(Tensor, Tensor)> {
    let (a, b) = match (a, b) {
        (Operand::Tensor(a), Operand::Tensor(b)) => (a, b),
        (Operand::Tensor(a), Operand::Scalar(s)) => {
            let dtype = s.meet(a.dtype()?);
            (a, scalar_of(s, dtype, origin))
        }
        (Operand::Scalar(s), Operand::Tensor(b)) => {
            let dtype = s.meet(b.dtype()?);
            (scalar_of(s, dtype, origin), b)
        }
        (Operand::Scalar(s), Operand::Scalar(t)) => {
            let dtype = t.meet(s.dtype());
            (scalar_of(s, dtype, origin), scalar_of(t, dtype, origin))
        }
    };
    let dtype = a.dtype()?.promote(b.dtype()?);
    let shape = a.shape()?.broadcast(b.shape()?)?;
    Ok((a.cast_at(dtype, origin).broadcast_at(&shape, origin), b.cast_at(dtype, origin).broadcast_at(&shape, origin)))
}

macro_rules! unary_methods {
    ($($(#[$doc:meta])* $method:ident => $op:ident),* $(,)?) => {
        impl Tensor {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(&self) -> Tensor {
                self.unary(Unary::$op)
            }
        )*}
    };
}
unary_methods! {
    /// `|x|`.
    abs => Abs,
    /// -1, 0 or 1.
    sign => Sign,
    /// `e^x`.
    exp => Exp,
    /// Natural logarithm.
    log => Log,
    /// `e^x - 1`, exact near 0.
    expm1 => Expm1,
    /// `log(1 + x)`, exact near 0.
    log1p => Log1p,
    /// Square root.
    sqrt => Sqrt,
    /// `1 / sqrt(x)`.
    rsqrt => Rsqrt,
    /// `1 / x`.
    reciprocal => Reciprocal,
    /// `x * x`.
    square => Square,
    /// Sine of radians.
    sin => Sin,
    /// Cosine of radians.
    cos => Cos,
    /// Hyperbolic tangent.
    tanh => Tanh,
    /// `1 / (1 + e^-x)`.
    sigmoid => Sigmoid,
    /// `log(1 + e^x)`.
    softplus => Softplus,
    /// Error function.
    erf => Erf,
    /// Inverse error function on (-1, 1).
    erfinv => Erfinv,
    /// `max(x, 0)`; its gradient at 0 is 0.
    relu => Relu,
    /// Largest whole number not above.
    floor => Floor,
    /// Smallest whole number not below.
    ceil => Ceil,
    /// Nearest whole number, ties to even.
    round => Round,
    /// Logical not of `Bool`, bitwise not of integers.
    logical_not => Not,
    /// Whether a float is neither infinite nor NaN; gives `Bool`.
    is_finite => IsFinite,
}

macro_rules! binary_methods {
    ($($(#[$doc:meta])* $method:ident => $op:ident),* $(,)?) => {
        impl Tensor {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $method(&self, other: impl Into<Operand>) -> Tensor {
                Tensor::binary(Binary::$op, self.into(), other.into(), Location::caller())
            }
        )*}
    };
}
binary_methods! {
    /// `self^other`, floats.
    pow => Pow,
    /// The larger of both; gradients of ties are shared evenly. Of `Bool`, whether either is true.
    maximum => Max,
    /// The smaller of both; gradients of ties are shared evenly. Of `Bool`, whether both are true.
    minimum => Min,
    /// Logical and of `Bool`, bitwise and of integers.
    logical_and => And,
    /// Logical or of `Bool`, bitwise or of integers.
    logical_or => Or,
    /// Exclusive or.
    logical_xor => Xor,
    /// Shift left, modulo 32.
    shift_left => Shl,
    /// Shift right, modulo 32.
    shift_right => Shr,
    /// `self == other`, gives `Bool`.
    equal => Eq,
    /// `self != other`, gives `Bool`.
    not_equal => Ne,
    /// `self < other`, gives `Bool`.
    less => Lt,
    /// `self <= other`, gives `Bool`.
    less_equal => Le,
}

impl Tensor {
    /// `self > other`, gives `Bool`.
    #[track_caller]
    pub fn greater(&self, other: impl Into<Operand>) -> Tensor {
        Tensor::binary(Binary::Lt, other.into(), self.into(), Location::caller())
    }
    /// `self >= other`, gives `Bool`.
    #[track_caller]
    pub fn greater_equal(&self, other: impl Into<Operand>) -> Tensor {
        Tensor::binary(Binary::Le, other.into(), self.into(), Location::caller())
    }
}
