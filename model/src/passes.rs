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
    /// Batches of this epoch so far, and of this pass.
    count: usize,
    within: usize,
}

/// A place in the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pass: u64,
    within: usize,
    count: usize,
}

impl Passes {
    /// At the start of this pass.
    pub fn new(rows: Rows<'_>, batches: &Batches, pass: u64, limit: Option<usize>) -> Result<Passes> {
        let mut loader = loader(rows, batches)?;
        loader.start(pass)?;
        Ok(Passes { loader, pass, limit, count: 0, within: 0 })
    }
    /// Where it is now.
    pub fn mark(&self) -> Mark {
        Mark { pass: self.pass, within: self.within, count: self.count }
    }
    /// Goes to a place that it has been at; the order of rows is a function of the pass, so the same batches follow.
    pub fn seek(&mut self, mark: Mark) -> Result<()> {
        if self.pass != mark.pass || self.within > mark.within {
            self.begin(mark.pass)?;
        }
        while self.within < mark.within {
            let Some(batch) = self.fetch()? else {
                return Err(Error::data(format!(
                    "the data gave {} batches where it had given {}; it has to give the same ones again",
                    self.within, mark.within
                )));
            };
            self.give_back(batch);
        }
        self.count = mark.count;
        Ok(())
    }
    fn begin(&mut self, pass: u64) -> Result<()> {
        self.pass = pass;
        self.within = 0;
        self.loader.start(pass)
    }
    fn fetch(&mut self) -> Result<Option<Batch>> {
        let next = self.loader.next_batch()?;
        self.within += usize::from(next.is_some());
        Ok(next)
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
        let mut next = self.fetch()?;
        if next.is_none() && self.limit.is_some() {
            self.begin(self.pass + 1)?;
            next = self.fetch()?;
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
            self.begin(self.pass + 1)?;
        }
        Ok(())
    }
}
