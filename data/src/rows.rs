//! Which rows of a table a view shows.

use std::{ops::Range, sync::Arc};

/// Rows of a shared table. Cheap to clone; an index is always below the table's length, which [`Rows::all`] fixes.
#[derive(Clone, Debug)]
pub(crate) enum Rows {
    /// Neighbours.
    Range(Range<usize>),
    /// Any rows in any order.
    List(Arc<[usize]>),
}

impl Rows {
    pub fn all(n: usize) -> Self {
        Rows::Range(0..n)
    }
    pub fn len(&self) -> usize {
        match self {
            Rows::Range(range) => range.len(),
            Rows::List(list) => list.len(),
        }
    }
    /// Row of the table behind row `i` of the view; `i` is below [`Rows::len`].
    pub fn get(&self, i: usize) -> usize {
        match self {
            Rows::Range(range) => range.start + i,
            Rows::List(list) => list[i],
        }
    }
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.len()).map(|i| self.get(i))
    }
    /// The rows at these positions of the view; each is below [`Rows::len`].
    pub fn pick(&self, positions: &[usize]) -> Rows {
        Rows::List(positions.iter().map(|&i| self.get(i)).collect())
    }
    /// A range of the view that ends at or before [`Rows::len`].
    pub fn range(&self, range: Range<usize>) -> Rows {
        match self {
            Rows::Range(all) => Rows::Range(all.start + range.start..all.start + range.end),
            Rows::List(list) => Rows::List(Arc::from(&list[range])),
        }
    }
}
