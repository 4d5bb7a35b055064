//! Bits of integers under their usual names, and what whole numbers share.

use super::{measure::operand, operators::Operand, record};
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::{Binary, Tensor, Unary},
};
use std::panic::Location;

macro_rules! bitwise_methods {
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
bitwise_methods! {
    /// The bits set in both; integers and `Bool`.
    bitwise_and => And,
    /// The bits set in one or both; integers and `Bool`.
    bitwise_or => Or,
    /// The bits set in just one; integers and `Bool`.
    bitwise_xor => Xor,
}

impl Tensor {
    /// The bits that are not set; of `Bool` the other truth.
    #[track_caller]
    pub fn bitwise_not(&self) -> Tensor {
        self.unary(Unary::Not)
    }

    /// Integers with their bits moved up by `by` places, zeros entering: `self · 2^by`, wrapping. From 32 on nothing is left.
    #[track_caller]
    pub fn left_shift(&self, by: impl Into<Operand>) -> Tensor {
        let (origin, by) = (Location::caller(), by.into());
        record(origin, || {
            let by = operand(self, by, origin)?;
            let moved = self.shift_left(&by);
            Ok(fits(&by).select(moved, 0i64))
        })
    }

    /// Integers with their bits moved down by `by` places, the sign entering: `floor(self / 2^by)`. From 32 on the sign is left.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([20, -20], [2]);
    /// assert_eq!(x.right_shift(3i64).to_vec::<i32>()?, vec![2, -3]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn right_shift(&self, by: impl Into<Operand>) -> Tensor {
        let (origin, by) = (Location::caller(), by.into());
        record(origin, || {
            let by = operand(self, by, origin)?;
            let moved = self.shift_right(&by);
            let dtype = self.dtype()?.promote(by.dtype()?);
            let sign =
                if dtype == DType::I32 { self.cast_at(dtype, origin).shift_right(31i64) } else { moved.zeros_like() };
            Ok(fits(&by).select(moved, sign))
        })
    }

    /// The greatest whole number that divides both without a remainder, not negative; 0 for two zeros.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let x = Tensor::from_vec([12, -18, 0], [3]);
    /// assert_eq!(x.gcd(8i64).to_vec::<i32>()?, vec![4, 2, 8]);
    /// assert_eq!(x.lcm(8i64).to_vec::<i32>()?, vec![24, 72, 0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn gcd(&self, other: impl Into<Operand>) -> Tensor {
        let (origin, other) = (Location::caller(), other.into());
        record(origin, || {
            let (mut a, mut b) = whole(self, other, "gcd", origin)?;
            // Euclid's, as often as two numbers of 32 bits can need it: a remainder by 0 is 0, so more turns change nothing but the
            // place, which `select` keeps.
            for _ in 0..EUCLID {
                let done = b.equal(0i64);
                (a, b) = (done.select(&a, &b), &a % &b);
            }
            Ok(a)
        })
    }

    /// The least whole number, not negative, that both divide; 0 if one is 0.
    #[track_caller]
    pub fn lcm(&self, other: impl Into<Operand>) -> Tensor {
        let (origin, other) = (Location::caller(), other.into());
        record(origin, || {
            let (a, b) = whole(self, other, "lcm", origin)?;
            // Division by 0 gives 0.
            Ok(&a / a.gcd(&b) * b)
        })
    }
}

/// Neighbours in Fibonacci's sequence need the most divisions; the 47th is the last below 2^32.
const EUCLID: usize = 47;

/// Whether an amount leaves bits over.
fn fits(by: &Tensor) -> Tensor {
    by.less(32i64)
}

/// Magnitudes of two integers of one type.
fn whole(a: &Tensor, b: Operand, what: &str, origin: crate::graph::Origin) -> Result<(Tensor, Tensor)> {
    let b = operand(a, b, origin)?;
    let dtype = a.dtype()?.promote(b.dtype()?);
    if !dtype.is_int() {
        return Err(Error::dtype(format!("{what} needs integers, got {dtype}")));
    }
    Ok((a.cast_at(dtype, origin).abs(), b.cast_at(dtype, origin).abs()))
}
