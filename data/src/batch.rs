//! Batches, and how rows become batches.

use crate::source::{Epoch, Source};
use addax_tensor::{Array, DType, Error, Result, Shape};

/// Neighbouring rows of an epoch, ready for a step.
///
/// Give it back to its [`Loader`](crate::Loader) when the step is done; its memory then holds a later batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Features `[rows, ..]`.
    pub x: Array,
    /// Labels `[rows, ..]`, if the source has them.
    pub y: Option<Array>,
    /// Sample weights `[rows]`, float32, if the source has them.
    pub weight: Option<Array>,
    /// Number of this batch in its epoch, from 0.
    pub index: usize,
    /// Rows of the epoch that came before this batch.
    pub first_row: usize,
}

impl Batch {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.x.rows()
    }
    /// A batch without rows, to be filled.
    pub fn empty() -> Self {
        Batch { x: Array::zeros(DType::F32, [0]), y: None, weight: None, index: 0, first_row: 0 }
    }
    /// Fails unless features, labels and weights have equally many rows, at least one, and weights are float32.
    pub fn check(&self) -> Result<()> {
        let n = self.rows();
        if n == 0 {
            return Err(Error::data(format!("batch {} has no rows (x has shape {})", self.index, self.x.shape())));
        }
        for (what, array) in [("y", &self.y), ("weight", &self.weight)] {
            if let Some(array) = array.as_ref().filter(|a| a.rows() != n) {
                let shapes = format!("x {}, {what} {}", self.x.shape(), array.shape());
                return Err(Error::data(format!("batch {} has different numbers of rows: {shapes}", self.index)));
            }
        }
        match &self.weight {
            Some(w) if w.dtype() != DType::F32 || w.shape().rank() != 1 => Err(Error::data(format!(
                "sample weights of batch {} are {} {}; expected float32 [{n}]",
                self.index,
                w.dtype(),
                w.shape()
            ))),
            _ => Ok(()),
        }
    }
}

/// An array of this kind, in the memory of `old` if that is large enough. What it holds is not specified.
pub(crate) fn refit(old: Option<Array>, dtype: DType, shape: &Shape) -> Array {
    match old {
        Some(old) if old.dtype() == dtype && old.shape() == shape => old,
        Some(old) => old.recycled(dtype, shape),
        None => Array::zeros(dtype, shape),
    }
}

/// How rows become batches: size, order, and what happens to the rest. Plain data.
///
/// ```
/// use addax_data::{Batches, sets};
///
/// let digits = sets::digits()?.data;
/// let batches = Batches::new(100).shuffle(42);
/// assert_eq!(batches.count(digits.len()), 18);
/// let sizes: Vec<usize> = batches.over(&digits, 0)?.map(|b| b.map(|b| b.rows())).collect::<Result<_, _>>()?;
/// assert_eq!(sizes.iter().sum::<usize>(), 1797);
/// assert_eq!(sizes.last(), Some(&97));
/// # Ok::<(), addax_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batches {
    size: usize,
    seed: Option<u64>,
    drop_remainder: bool,
}

impl Default for Batches {
    /// 32 rows, as in Keras; in order.
    fn default() -> Self {
        Self::new(32)
    }
}

impl Batches {
    /// Batches of `size` rows, at least 1, in the order of the data; the last one of an epoch may be smaller.
    pub fn new(size: usize) -> Self {
        Batches { size, seed: None, drop_remainder: false }
    }
    /// Another order in each epoch; the same `(seed, epoch)` gives the same order on every machine.
    pub fn shuffle(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
    /// Whether the rows that do not fill a last batch are left out. They are kept by default.
    pub fn drop_remainder(mut self, drop: bool) -> Self {
        self.drop_remainder = drop;
        self
    }
    /// Rows of a full batch.
    pub fn size(&self) -> usize {
        self.size
    }
    /// The seed of the order; `None` if rows come in the order of the data.
    pub fn seed(&self) -> Option<u64> {
        self.seed
    }
    /// Whether a last smaller batch is left out.
    pub fn drops_remainder(&self) -> bool {
        self.drop_remainder
    }
    /// Number of batches in an epoch of `rows` rows; 0 if the size is 0.
    pub fn count(&self, rows: usize) -> usize {
        let full = rows.checked_div(self.size).unwrap_or(0);
        full + usize::from(!self.drop_remainder && full * self.size < rows && self.size > 0)
    }
    /// Fails if the size is 0, or if no batch can be made of `rows` rows.
    pub fn check(&self, rows: Option<usize>) -> Result<()> {
        if self.size == 0 {
            return Err(Error::argument("the batch size is 0; give at least 1"));
        }
        match rows {
            Some(0) => Err(Error::data("the data has no rows")),
            Some(n) if self.count(n) == 0 => Err(Error::argument(format!(
                "drop_remainder leaves no batch: {n} rows do not fill one batch of {}; use a smaller batch size",
                self.size
            ))),
            _ => Ok(()),
        }
    }
    /// The batches of one epoch, for a `for` loop. Training loops that reuse memory hold a [`Loader`](crate::Loader).
    pub fn over(&self, source: &dyn Source, epoch: u64) -> Result<Epoch> {
        let mut loader = source.loader(self)?;
        loader.start(epoch)?;
        Ok(Epoch::new(loader))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_sizes_are_errors() {
        assert_eq!(Batches::new(0).check(Some(3)).unwrap_err().to_string(), "the batch size is 0; give at least 1");
        assert_eq!(Batches::new(2).check(Some(0)).unwrap_err().to_string(), "the data has no rows");
        let error = Batches::new(32).drop_remainder(true).check(Some(10)).unwrap_err().to_string();
        assert!(error.starts_with("drop_remainder leaves no batch: 10 rows"), "{error}");
        assert!(Batches::new(32).check(Some(10)).is_ok() && Batches::new(32).check(None).is_ok());
    }

    #[test]
    fn batches_are_counted() {
        let count = |size, drop, rows| Batches::new(size).drop_remainder(drop).count(rows);
        assert_eq!((count(4, false, 10), count(4, true, 10), count(5, false, 10), count(5, true, 10)), (3, 2, 2, 2));
        assert_eq!((count(0, false, 10), count(20, false, 10), count(20, true, 10)), (0, 1, 0));
    }

    #[test]
    fn batches_with_different_rows_are_refused() {
        let rows = |n: usize| Array::zeros(DType::F32, [n]);
        let batch = Batch { x: rows(3), y: Some(rows(2)), ..Batch::empty() };
        assert_eq!(batch.check().unwrap_err().to_string(), "batch 0 has different numbers of rows: x [3], y [2]");
        let batch = Batch { x: rows(3), weight: Some(Array::zeros(DType::I32, [3])), ..Batch::empty() };
        assert_eq!(
            batch.check().unwrap_err().to_string(),
            "sample weights of batch 0 are int32 [3]; expected float32 [3]"
        );
        assert!(Batch::empty().check().is_err());
    }
}
