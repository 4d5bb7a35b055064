//! From CSV to a table.

use super::{
    newlines::Newlines,
    table::{Column, Table, Text, number},
};
use addax_tensor::{Error, Result};
use std::{io::Read, sync::Arc};

/// How a CSV file is written: delimiter, which cells are missing, which columns are text although they look like numbers.
#[derive(Clone, Debug)]
pub struct CsvOptions {
    delimiter: u8,
    missing: Vec<String>,
    text: Vec<String>,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl CsvOptions {
    /// Commas; only empty cells are missing; types told by content.
    pub fn new() -> Self {
        CsvOptions { delimiter: b',', missing: Vec::new(), text: Vec::new() }
    }
    /// The byte between cells, such as `b';'` or `b'\t'`.
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
        self
    }
    /// Cells that stand for a missing number, besides empty ones: `["NA", "?"]`.
    pub fn missing<S: Into<String>>(mut self, cells: impl IntoIterator<Item = S>) -> Self {
        self.missing.extend(cells.into_iter().map(Into::into));
        self
    }
    /// Columns to read as text in any case, such as postal codes.
    pub fn text<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.text.extend(columns.into_iter().map(Into::into));
        self
    }
}

pub(super) fn read(reader: impl Read, source: &str, options: &CsvOptions) -> Result<Table> {
    let mut reader = csv::ReaderBuilder::new().delimiter(options.delimiter).from_reader(Newlines::new(reader));
    let headers = reader.headers().map(|names| names.iter().map(|n| n.trim().to_string()).collect());
    let names: Vec<String> = headers.map_err(|e| broken(source, last_line(&mut reader), e))?;
    if names.is_empty() {
        return Err(Error::format(format!("{source} is empty; a CSV file starts with the names of its columns")));
    }
    if let Some((i, name)) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
        return Err(Error::format(match name.as_str() {
            "" => format!("{source}: column {} is not the only one without a name", i + 1),
            name => format!("{source}: two columns are called \"{name}\""),
        }));
    }
    if let Some(unknown) = options.text.iter().find(|t| !names.contains(t)) {
        return Err(Error::unknown_name("column", unknown, names.iter().map(String::as_str)));
    }
    let mut cells: Vec<Text> = names.iter().map(|_| Text::default()).collect();
    let mut lines = Vec::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|e| broken(source, last_line(&mut reader), e))? {
        for (column, cell) in cells.iter_mut().zip(&record) {
            column.push(cell.trim());
        }
        let within = record.as_slice().bytes().filter(|&b| b == b'\n').count() as u64;
        lines.push(last_line(&mut reader).saturating_sub(within));
    }
    if lines.is_empty() {
        return Err(Error::data(format!("{source} has no rows below its header")));
    }
    let columns = names
        .iter()
        .zip(cells)
        .map(|(name, text)| match options.text.contains(name) {
            true => Column::Text(text),
            false => typed(text, options),
        })
        .map(Arc::new)
        .collect();
    Ok(Table { source: source.to_string(), names, columns, lines })
}

/// The line on which the last record ended.
fn last_line<R: Read>(reader: &mut csv::Reader<Newlines<R>>) -> u64 {
    // The byte before is the line feed or carriage return that ended it, or its own if the file ended.
    let end = reader.position().byte().saturating_sub(1);
    reader.get_mut().line(end)
}

/// Numbers if there is one and all other cells are numbers or missing.
fn typed(text: Text, options: &CsvOptions) -> Column {
    let is_missing = |cell: &str| cell.is_empty() || options.missing.iter().any(|m| m == cell);
    let value = |i| match text.get(i) {
        cell if is_missing(cell) => Some(f32::NAN),
        cell => number(cell),
    };
    match (0..text.len()).map(value).collect::<Option<Vec<f32>>>() {
        Some(numbers) if numbers.iter().any(|v| !v.is_nan()) => Column::Numbers(numbers),
        _ => Column::Text(text),
    }
}

/// The error for a record that ends on this line.
fn broken(source: &str, line: u64, error: csv::Error) -> Error {
    match error.into_kind() {
        csv::ErrorKind::Io(e) => Error::io(format!("reading {source}"), e),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            Error::format(format!("{source}, line {line} has {len} cells, but the header has {expected_len}"))
        }
        csv::ErrorKind::Utf8 { err, .. } => {
            Error::format(format!("{source}, line {line}: column {} is not UTF-8 text", err.field() + 1))
        }
        other => Error::format(format!("{source}, line {line}: {other:?}")),
    }
}
