//! `+ - * / % - !` on tensors and numbers, and what may stand beside a tensor.

use crate::{
    dtype::Scalar,
    graph::{Binary, Tensor, Unary},
};
use std::{
    ops::{Add, Div, Mul, Neg, Not, Rem, Sub},
    panic::Location,
};

/// The other side of a binary operation: a tensor, or a number that takes the tensor's type.
#[derive(Clone, Debug)]
pub enum Operand {
    /// A tensor.
    Tensor(Tensor),
    /// A weak number.
    Scalar(Scalar),
}

impl From<Tensor> for Operand {
    fn from(tensor: Tensor) -> Self {
        Operand::Tensor(tensor)
    }
}
impl From<&Tensor> for Operand {
    fn from(tensor: &Tensor) -> Self {
        Operand::Tensor(tensor.clone())
    }
}
impl<S: Into<Scalar>> From<S> for Operand {
    fn from(scalar: S) -> Self {
        Operand::Scalar(scalar.into())
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $binary:ident) => {
        impl<R: Into<Operand>> $trait<R> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, rhs: R) -> Tensor {
                Tensor::binary(Binary::$binary, self.into(), rhs.into(), Location::caller())
            }
        }
        impl<R: Into<Operand>> $trait<R> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, rhs: R) -> Tensor {
                Tensor::binary(Binary::$binary, self.into(), rhs.into(), Location::caller())
            }
        }
        operator!(left $trait, $method, $binary, f64);
        operator!(left $trait, $method, $binary, i64);
    };
    (left $trait:ident, $method:ident, $binary:ident, $scalar:ty) => {
        impl $trait<Tensor> for $scalar {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, rhs: Tensor) -> Tensor {
                Tensor::binary(Binary::$binary, self.into(), rhs.into(), Location::caller())
            }
        }
        impl $trait<&Tensor> for $scalar {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, rhs: &Tensor) -> Tensor {
                Tensor::binary(Binary::$binary, self.into(), rhs.into(), Location::caller())
            }
        }
    };
}
operator!(Add, add, Add);
operator!(Sub, sub, Sub);
operator!(Mul, mul, Mul);
operator!(Div, div, Div);
operator!(Rem, rem, Rem);

impl Neg for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        self.unary(Unary::Neg)
    }
}
impl Neg for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        self.unary(Unary::Neg)
    }
}
impl Not for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn not(self) -> Tensor {
        self.unary(Unary::Not)
    }
}
impl Not for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn not(self) -> Tensor {
        self.unary(Unary::Not)
    }
}
