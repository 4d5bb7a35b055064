//! Passes over the data: an epoch is one, unless it is counted in steps.

use crate::{evaluate::loader, options::Rows};
use addax_data::{Batch, Batches, Loader};
use addax_tensor::{Error, Result};

/// Reads the batches of epochs.
pub(crate) struct Passes {
    loader: Box<dyn Loader>,
    /// The pass that runs now; it decides the order of rows.
    pass: u64,
    /// Steps of an epoch, if they were given: then the next pass follows wherever one ends.
    limit: Option<usize>,
    /// Batches of this epoch so far.
    count: usize,
}

impl Passes {
    /// At the start of this pass.
    pub fn new(rows: Rows<'_>, batches: &Batches, pass: u64, limit: Option<usize>) -> Result<Passes> {
        let mut loader = loader(rows, batches)?;
        loader.start(pass)?;
        Ok(Passes { loader, pass, limit, count: 0 })
    }
    /// A first look at the data, before training starts.
    pub fn peek(&mut self) -> Result<Batch> {
        let first = self.loader.next_batch()?;
        let first = first.ok_or_else(|| Error::data("there is nothing to train on: the data gave no batch"))?;
        first.check()?;
        self.loader.start(self.pass)?;
        Ok(first)
    }
    /// The next batch of the epoch with its number, or `None` at the end.
    pub fn next(&mut self) -> Result<Option<(usize, Batch)>> {
        if self.limit.is_some_and(|limit| self.count >= limit) {
            return Ok(None);
        }
        let mut next = self.loader.next_batch()?;
        if next.is_none() && self.limit.is_some() {
            self.pass += 1;
            self.loader.start(self.pass)?;
            next = self.loader.next_batch()?;
        }
        let Some(batch) = next else {
            return if self.count == 0 { Err(Error::data("the data gave no batch in this epoch")) } else { Ok(None) };
        };
        self.count += 1;
        Ok(Some((self.count - 1, batch)))
    }
    /// Takes the memory of a batch back.
    pub fn give_back(&mut self, batch: Batch) {
        self.loader.give_back(batch);
    }
    /// Begins the next epoch.
    pub fn end_epoch(&mut self) -> Result<()> {
        self.count = 0;
        if self.limit.is_none() {
            self.pass += 1;
            self.loader.start(self.pass)?;
        }
        Ok(())
    }
}
