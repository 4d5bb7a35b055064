//! Shares of right answers. Where every sample has one answer they are truth values, which metrics count exactly.

use super::crossentropy::class_numbers;
use crate::{config::Fields, formula::Formula, metrics::Direction, ranks::alike};
use addax_tensor::{DType, Result, Tensor};

macro_rules! accuracy {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $t:ty = $default:expr),* },
        |$this:ident, $y:ident, $p:ident| $formula:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $t,)*
        }
        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default),* }
            }
        }
        impl Formula for $name {
            const CLASS: &'static str = stringify!($name);
            const DIRECTION: Option<Direction> = Some(Direction::Up);
            fn values(&self, $y: &Tensor, $p: &Tensor) -> Result<Tensor> {
                let $this = self;
                $formula
            }
            fn fields(&mut self) -> Fields<'_> {
                vec![$((stringify!($field), (&mut self.$field).into())),*]
            }
        }
    };
}
accuracy!(
    /// How often predictions equal labels.
    Accuracy {},
    |_this, y, p| {
        let (y, p) = alike(y, p)?;
        share(y.equal(p))
    }
);
accuracy!(
    /// How often predictions, rounded at `threshold`, equal labels 0 and 1.
    BinaryAccuracy {
        /// From above this on a prediction means 1.
        threshold: f64 = 0.5
    },
    |this, y, p| {
        let (y, p) = alike(y, p)?;
        share(y.equal(p.greater(this.threshold).cast(p.dtype()?)))
    }
);
accuracy!(
    /// How often the most probable class is that of the one-hot label.
    CategoricalAccuracy {},
    |_this, y, p| {
        let (y, p) = alike(y, p)?;
        Ok(y.argmax(-1).equal(p.argmax(-1)))
    }
);
accuracy!(
    /// How often the most probable class is the label's number.
    SparseCategoricalAccuracy {},
    |_this, y, p| Ok(class_numbers(y, p, -1)?.equal(p.argmax(-1)))
);
accuracy!(
    /// How often the class of the one-hot label is among the `k` most probable.
    TopKCategoricalAccuracy {
        /// How many classes count as right.
        k: i64 = 5
    },
    |this, y, p| {
        let (y, p) = alike(y, p)?;
        among_top(&y.argmax(-1), &p, this.k)
    }
);
accuracy!(
    /// How often the label's number is among the `k` most probable classes.
    SparseTopKCategoricalAccuracy {
        /// How many classes count as right.
        k: i64 = 5
    },
    |this, y, p| among_top(&class_numbers(y, p, -1)?, p, this.k)
);

/// The mean over the last axis; of a single answer, the answer.
fn share(right: Tensor) -> Result<Tensor> {
    match right.shape()?.last() {
        Some(1) => Ok(right.squeeze(-1)),
        _ => Ok(right.cast(DType::F32).mean(-1)),
    }
}

/// Whether fewer than `k` classes are more probable than the true one.
fn among_top(classes: &Tensor, p: &Tensor, k: i64) -> Result<Tensor> {
    let axis = p.rank()? as isize - 1;
    let here = classes.expand_dims(-1).equal(Tensor::iota(DType::I32, p.shape()?, axis));
    let of_truth = here.select(p, 0.0).sum_keepdims(-1);
    let above = p.greater(of_truth).cast(DType::I32).sum(-1);
    Ok(above.less(k as i32).logical_and(here.any(-1)))
}
