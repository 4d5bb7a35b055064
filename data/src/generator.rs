//! Batches made by a function.

use crate::{
    batch::{Batch, Batches},
    source::{Loader, MAX_SPARE, Source},
};
use addax_tensor::{Error, Result};
use std::sync::Arc;

/// Which batch a [`Generator`] is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Number of the epoch.
    pub epoch: u64,
    /// Number of the batch in its epoch, from 0.
    pub index: usize,
    /// Rows of a full batch.
    pub size: usize,
    /// The seed of the training, if rows are to be shuffled.
    pub seed: Option<u64>,
}

/// A [`Source`] whose batches a function makes: augmented images, files, simulations.
///
/// The function gets a [`Step`] and fills a [`Batch`], which may still hold an older batch whose memory it can use again;
/// it says `false` when the epoch is over. As order and content depend on the step alone, an epoch can be repeated.
///
/// ```
/// use addax_data::{Array, Batches, Generator};
///
/// let squares = Generator::new(|step, batch| {
///     let from = step.index * step.size;
///     let x: Vec<f32> = (from..from + step.size).map(|v| v as f32).collect();
///     batch.y = Some(Array::new([step.size, 1], &x.iter().map(|v| v * v).collect::<Vec<_>>())?);
///     batch.x = Array::new([step.size, 1], &x)?;
///     Ok(step.index < 3)
/// });
/// assert_eq!(Batches::new(8).over(&squares, 0)?.count(), 3);
/// # Ok::<(), addax_data::Error>(())
/// ```
#[derive(Clone)]
pub struct Generator {
    fill: Arc<Fill>,
    rows: Option<usize>,
}

type Fill = dyn Fn(Step, &mut Batch) -> Result<bool> + Send + Sync;

impl Generator {
    /// Batches made by `fill`.
    pub fn new(fill: impl Fn(Step, &mut Batch) -> Result<bool> + Send + Sync + 'static) -> Self {
        Generator { fill: Arc::new(fill), rows: None }
    }
    /// Says how many rows an epoch has, so that progress can be shown from the start.
    pub fn with_rows(mut self, rows: usize) -> Self {
        self.rows = Some(rows);
        self
    }
}

impl Source for Generator {
    fn rows(&self) -> Option<usize> {
        self.rows
    }
    fn loader(&self, batches: &Batches) -> Result<Box<dyn Loader>> {
        batches.check(self.rows)?;
        let step = Step { epoch: 0, index: 0, size: batches.size(), seed: batches.seed() };
        let drop_remainder = batches.drops_remainder();
        Ok(Box::new(Filler { fill: self.fill.clone(), step, rows: 0, drop_remainder, over: false, spare: Vec::new() }))
    }
}

struct Filler {
    fill: Arc<Fill>,
    step: Step,
    /// Rows of the epoch so far.
    rows: usize,
    drop_remainder: bool,
    over: bool,
    spare: Vec<Batch>,
}

impl Loader for Filler {
    fn start(&mut self, epoch: u64) -> Result<()> {
        self.step = Step { epoch, index: 0, ..self.step };
        self.rows = 0;
        self.over = false;
        Ok(())
    }
    fn next_batch(&mut self) -> Result<Option<Batch>> {
        if self.over {
            return Ok(None);
        }
        let mut batch = self.spare.pop().unwrap_or_else(Batch::empty);
        if !(self.fill)(self.step, &mut batch)? {
            self.over = true;
            self.spare.push(batch);
            return Ok(None);
        }
        batch.index = self.step.index;
        batch.first_row = self.rows;
        batch.check()?;
        if batch.rows() > self.step.size {
            return Err(Error::data(format!(
                "the generator made {} rows for batch {}, which has at most {}",
                batch.rows(),
                batch.index,
                self.step.size
            )));
        }
        if self.drop_remainder && batch.rows() < self.step.size {
            self.over = true;
            return Ok(None);
        }
        self.rows += batch.rows();
        self.step.index += 1;
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
    use addax_tensor::{Array, DType};

    fn sized(sizes: &'static [usize]) -> Generator {
        Generator::new(|step, batch| {
            let Some(&rows) = sizes.get(step.index) else { return Ok(false) };
            batch.x = Array::zeros(DType::U8, [rows, 2]);
            Ok(true)
        })
    }

    #[test]
    fn an_epoch_ends_and_starts_again() {
        let mut loader = sized(&[4, 4, 1]).loader(&Batches::new(4)).unwrap();
        for epoch in 0..2 {
            loader.start(epoch).unwrap();
            let mut seen = Vec::new();
            while let Some(batch) = loader.next_batch().unwrap() {
                seen.push((batch.index, batch.first_row, batch.rows()));
                loader.give_back(batch);
            }
            assert_eq!(seen, [(0, 0, 4), (1, 4, 4), (2, 8, 1)]);
            assert!(loader.next_batch().unwrap().is_none());
        }
        assert_eq!(Batches::new(4).drop_remainder(true).over(&sized(&[4, 4, 1]), 0).unwrap().count(), 2);
    }

    #[test]
    fn wrong_batches_are_refused() {
        let error = |sizes| Batches::new(4).over(&sized(sizes), 0).unwrap().next().unwrap().unwrap_err().to_string();
        assert_eq!(error(&[5]), "the generator made 5 rows for batch 0, which has at most 4");
        assert_eq!(error(&[0]), "batch 0 has no rows (x has shape [0, 2])");
    }
}
