//! What is under a frame: columns by name.

use addax_tensor::{Error, Result};
use std::sync::Arc;

/// All rows of a file.
pub(crate) struct Table {
    /// What errors call it.
    pub source: String,
    pub names: Vec<String>,
    pub columns: Vec<Arc<Column>>,
    /// Line of the file in which each row starts, from 1.
    pub lines: Vec<u64>,
}

pub(crate) enum Column {
    /// NaN stands for a missing value; infinities do not occur.
    Numbers(Vec<f32>),
    Text(Text),
}

/// Strings in one allocation.
#[derive(Default)]
pub(crate) struct Text {
    all: String,
    ends: Vec<usize>,
}

impl Text {
    pub fn push(&mut self, cell: &str) {
        self.all.push_str(cell);
        self.ends.push(self.all.len());
    }
    pub fn len(&self) -> usize {
        self.ends.len()
    }
    /// Cell `i`, which is below [`Text::len`].
    pub fn get(&self, i: usize) -> &str {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.all[start..self.ends[i]]
    }
}

impl Table {
    pub fn column(&self, name: &str) -> Result<&Column> {
        let at = self.names.iter().position(|n| n == name);
        at.and_then(|i| self.columns.get(i))
            .map(|c| &**c)
            .ok_or_else(|| Error::unknown_name("column", name, self.names.iter().map(String::as_str)))
    }
    pub fn with_column(&self, name: &str, column: Column) -> Table {
        let mut columns = self.columns.clone();
        if let Some(old) = self.names.iter().position(|n| n == name).and_then(|i| columns.get_mut(i)) {
            *old = Arc::new(column);
        }
        Table { source: self.source.clone(), names: self.names.clone(), columns, lines: self.lines.clone() }
    }
    /// Whether no number is missing in this row.
    pub fn is_complete(&self, row: usize) -> bool {
        self.columns.iter().all(|c| !matches!(&**c, Column::Numbers(numbers) if numbers[row].is_nan()))
    }
    /// The error for text where numbers are needed; tells the first such cell of these rows.
    pub fn no_number(&self, name: &str, rows: impl Iterator<Item = usize>) -> Error {
        let Ok(Column::Text(text)) = self.column(name) else {
            return Error::data(format!("column \"{name}\" of {} holds no numbers", self.source));
        };
        let bad = rows.into_iter().find(|&row| number(text.get(row)).is_none());
        match bad {
            Some(row) => Error::data(format!(
                "{}, line {}: column \"{name}\" has \"{}\", which is no float32 number; correct it, or name it in \
                 `CsvOptions::missing` if it stands for a missing value",
                self.source,
                self.lines[row],
                text.get(row)
            )),
            None => Error::data(format!("column \"{name}\" of {} is text", self.source)),
        }
    }
}

/// A cell as a finite number.
pub(crate) fn number(cell: &str) -> Option<f32> {
    cell.parse().ok().filter(|v: &f32| v.is_finite())
}
