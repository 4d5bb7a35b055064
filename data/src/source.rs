//! What training reads from: sources give loaders, loaders give batches.

use crate::{
    batch::{Batch, Batches, refit},
    dataset::{Dataset, gather},
    permutation::Permutation,
};
use addax_tensor::{Array, Result, Shape};
use std::{iter::FusedIterator, sync::Arc};

/// Something that batches can be read from. Implemented by [`Dataset`] and [`Generator`](crate::Generator).
pub trait Source: Send + Sync {
    /// Rows of an epoch, if that is known before reading.
    fn rows(&self) -> Option<usize>;
    /// A reader of batches, at the start of epoch 0. It shares the source's data and can go to another thread.
    ///
    /// Fails if `batches` cannot be made: see [`Batches::check`].
    fn loader(&self, batches: &Batches) -> Result<Box<dyn Loader>>;
}

impl<S: Source + ?Sized> Source for &S {
    fn rows(&self) -> Option<usize> {
        (**self).rows()
    }
    fn loader(&self, batches: &Batches) -> Result<Box<dyn Loader>> {
        (**self).loader(batches)
    }
}

/// Reads batches, epoch after epoch.
///
/// ```
/// use addax_data::{Batches, Loader, Source, sets};
///
/// let iris = sets::iris()?.data;
/// let mut loader = iris.loader(&Batches::new(32).shuffle(1))?;
/// for epoch in 0..3 {
///     loader.start(epoch)?;
///     while let Some(batch) = loader.next_batch()? {
///         // … a step …
///         loader.give_back(batch);
///     }
/// }
/// # Ok::<(), addax_data::Error>(())
/// ```
pub trait Loader: Send {
    /// Goes to the start of this epoch, wherever it is now.
    fn start(&mut self, epoch: u64) -> Result<()>;
    /// The next batch, or `None` at the end of the epoch. After an error, start again.
    fn next_batch(&mut self) -> Result<Option<Batch>>;
    /// Takes the memory of a batch that is no longer needed. A loader that gets its batches back allocates no more.
    fn give_back(&mut self, batch: Batch);
}

/// Batches of one epoch as an iterator; see [`Batches::over`]. It ends after an error.
pub struct Epoch {
    loader: Option<Box<dyn Loader>>,
}

impl Epoch {
    pub(crate) fn new(loader: Box<dyn Loader>) -> Self {
        Epoch { loader: Some(loader) }
    }
}

impl Iterator for Epoch {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.loader.as_mut()?.next_batch().transpose();
        if !matches!(next, Some(Ok(_))) {
            self.loader = None;
        }
        next
    }
}
impl FusedIterator for Epoch {}

impl Source for Dataset {
    fn rows(&self) -> Option<usize> {
        Some(self.len())
    }
    fn loader(&self, batches: &Batches) -> Result<Box<dyn Loader>> {
        batches.check(Some(self.len()))?;
        let total = if batches.drops_remainder() { batches.count(self.len()) * batches.size() } else { self.len() };
        // A batch larger than the data holds all of it.
        let size = batches.size().min(total);
        let column = |array: &Arc<Array>| Column::new(array.clone(), size, total % size);
        let mut loader = RowLoader {
            x: column(&self.columns.x),
            y: self.columns.y.as_ref().map(column),
            weight: self.columns.weight.as_ref().map(column),
            data: self.clone(),
            seed: batches.seed(),
            size,
            total,
            order: Vec::new(),
            position: 0,
            spare: Vec::with_capacity(MAX_SPARE),
        };
        loader.start(0)?;
        Ok(Box::new(loader))
    }
}

/// More batches than this are hardly on their way at once; others are freed.
pub(crate) const MAX_SPARE: usize = 16;

/// Gathers rows of a data set.
struct RowLoader {
    data: Dataset,
    x: Column,
    y: Option<Column>,
    weight: Option<Column>,
    seed: Option<u64>,
    size: usize,
    /// Rows of an epoch, a dropped remainder not among them.
    total: usize,
    /// Positions in the data set, in the order of the epoch; empty if that is their own order.
    order: Vec<usize>,
    position: usize,
    spare: Vec<Batch>,
}

/// An array, and the shapes of its batches, made once.
struct Column {
    array: Arc<Array>,
    full: Shape,
    last: Shape,
}

impl Column {
    fn new(array: Arc<Array>, rows: usize, last_rows: usize) -> Self {
        let shape = |rows: usize| std::iter::once(rows).chain(array.shape().iter().skip(1).copied()).collect();
        Column { full: shape(rows), last: shape(last_rows), array }
    }
    fn read(&self, rows: impl ExactSizeIterator<Item = usize>, old: Option<Array>) -> Array {
        let shape = if self.full.first() == Some(&rows.len()) { &self.full } else { &self.last };
        let mut to = refit(old, self.array.dtype(), shape);
        gather(&self.array, rows, to.bytes_mut());
        to
    }
}

impl Loader for RowLoader {
    fn start(&mut self, epoch: u64) -> Result<()> {
        self.position = 0;
        if let Some(seed) = self.seed {
            Permutation::new(seed, epoch).fill(&mut self.order, self.data.len());
        }
        Ok(())
    }
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        let first = self.position;
        let end = self.total.min(first + self.size);
        if first == end {
            return Ok(None);
        }
        let (x, y, weight) = match self.spare.pop() {
            Some(old) => (Some(old.x), old.y, old.weight),
            None => (None, None, None),
        };
        let rows = || (first..end).map(|p| self.data.rows.get(if self.seed.is_some() { self.order[p] } else { p }));
        let batch = Batch {
            x: self.x.read(rows(), x),
            y: self.y.as_ref().map(|c| c.read(rows(), y)),
            weight: self.weight.as_ref().map(|c| c.read(rows(), weight)),
            index: first / self.size,
            first_row: first,
        };
        self.position = end;
        Ok(Some(batch))
    }
    fn give_back(&mut self, batch: Batch) {
        if self.spare.len() < MAX_SPARE {
            self.spare.push(batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split::tests::{classes, ids};
    use proptest::prelude::*;

    fn read(loader: &mut dyn Loader, epoch: u64) -> Vec<Batch> {
        loader.start(epoch).unwrap();
        std::iter::from_fn(|| loader.next_batch().unwrap()).collect()
    }

    #[test]
    fn unusable_batches_are_refused() {
        assert!(classes(3, 1).loader(&Batches::new(0)).is_err());
        assert!(classes(3, 1).loader(&Batches::new(4).drop_remainder(true)).is_err());
        assert_eq!(Batches::new(usize::MAX).over(&classes(3, 1), 0).unwrap().count(), 1);
    }

    #[test]
    fn a_foreign_batch_given_back_does_no_harm() {
        let data = classes(5, 2);
        let mut loader = data.loader(&Batches::new(3)).unwrap();
        let expected = read(&mut *loader, 0);
        loader.give_back(Batch { y: None, weight: None, ..expected[1].clone() });
        loader.give_back(Batch::empty());
        assert_eq!(read(&mut *loader, 0), expected);
    }

    #[test]
    fn labels_and_weights_stay_with_their_rows() {
        let weight: Vec<f32> = (0..50).map(|i| i as f32).collect();
        let data = classes(50, 50).with_sample_weight(&weight).unwrap().take(&[4, 30, 8, 9, 49]).unwrap();
        for batch in Batches::new(2).shuffle(9).over(&data, 2).unwrap() {
            let batch = batch.unwrap();
            batch.check().unwrap();
            let x: Vec<i32> = batch.x.to_vec().unwrap();
            assert_eq!(batch.y.unwrap().to_vec::<i32>().unwrap(), x);
            assert_eq!(batch.weight.unwrap().to_vec::<f32>().unwrap(), x.iter().map(|&v| v as f32).collect::<Vec<_>>());
        }
    }

    proptest! {
        /// An epoch is every row once, in order or in the permutation of (seed, epoch), with the remainder last; given
        /// back or not, started again or not.
        #[test]
        fn an_epoch_is_every_row_once(
            n in 1usize..60, size in 1usize..70, seed: Option<u64>, epoch: u64, drop: bool, recycle: bool,
        ) {
            let data = classes(n, 1).shuffled(5);
            let mut batches = Batches::new(size).drop_remainder(drop);
            if let Some(seed) = seed {
                batches = batches.shuffle(seed);
            }
            prop_assume!(batches.count(n) > 0);
            let mut order = ids(&data);
            if let Some(seed) = seed {
                order = Permutation::new(seed, epoch).order(n).into_iter().map(|i| order[i]).collect();
            }
            let mut loader = data.loader(&batches).unwrap();
            for _ in 0..2 {
                loader.start(epoch).unwrap();
                let (mut seen, mut index) = (Vec::new(), 0);
                while let Some(batch) = loader.next_batch().unwrap() {
                    prop_assert_eq!((batch.index, batch.first_row), (index, seen.len()));
                    prop_assert!(batch.rows() == size || seen.len() + batch.rows() == n);
                    seen.extend(batch.x.to_vec::<i32>().unwrap());
                    index += 1;
                    if recycle {
                        loader.give_back(batch);
                    }
                }
                prop_assert_eq!(index, batches.count(n));
                prop_assert_eq!(&seen, &order[..if drop { n / size * size } else { n }]);
            }
        }
    }
}
