//! Writes the logs of each epoch to a table.

use crate::{Callback, Logs, Trainer, text, trainer::tell};
use addax_tensor::{Error, Result};
use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

/// Writes a row per epoch to a CSV file: Keras' `CSVLogger`.
///
/// Columns are `epoch` (from 0) and the logs of the first epoch by name; if none of those is a `val_` one, a `val_`
/// column follows for each. What an epoch does not have is `NA`. Each row is written out at once, so that nothing is
/// lost if the program dies. A row that cannot be written does not end training: the console and the history's notes say so, and
/// it is in [`CSVLogger::failures`].
///
/// ```
/// use addax_callbacks::{CSVLogger, Rehearsal, logs};
/// # let dir = std::env::temp_dir().join(format!("addax-csv-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir).unwrap();
/// let file = dir.join("log.csv");
/// let losses = [0.5, 0.25].map(|loss| logs! { "loss" => loss, "val_loss" => loss * 2.0 });
/// Rehearsal::new(losses).run(&mut CSVLogger::new(&file))?;
/// assert_eq!(std::fs::read_to_string(&file).unwrap(), "epoch,loss,val_loss\n0,0.5,1.0\n1,0.25,0.5\n");
/// # std::fs::remove_dir_all(&dir).unwrap();
/// # Ok::<(), addax_callbacks::Error>(())
/// ```
pub struct CSVLogger {
    path: PathBuf,
    separator: String,
    append: bool,
    file: Option<File>,
    columns: Option<Vec<String>>,
    header: bool,
    failures: Vec<Error>,
}

impl CSVLogger {
    /// Writes to this file, anew for each training.
    pub fn new(path: impl AsRef<Path>) -> Self {
        CSVLogger {
            path: path.as_ref().into(),
            separator: ",".into(),
            append: false,
            file: None,
            columns: None,
            header: true,
            failures: Vec::new(),
        }
    }
    /// What stands between fields; one character, as in Keras.
    pub fn separator(mut self, separator: impl Into<String>) -> Self {
        self.separator = separator.into();
        self
    }
    /// Whether rows are added to a file that exists, without another header unless it is empty.
    pub fn append(mut self, append: bool) -> Self {
        self.append = append;
        self
    }
    /// Rows that could not be written.
    pub fn failures(&self) -> &[Error] {
        &self.failures
    }
    fn open(&self) -> std::io::Result<(File, bool)> {
        if self.append {
            let file = OpenOptions::new().append(true).create(true).open(&self.path)?;
            let empty = file.metadata()?.len() == 0;
            return Ok((file, empty));
        }
        Ok((File::create(&self.path)?, true))
    }
    fn row<'a>(&self, fields: impl IntoIterator<Item = &'a str>) -> String {
        let fields: Vec<_> = fields.into_iter().map(|f| text::csv_field(f, &self.separator)).collect();
        fields.join(&self.separator) + "\n"
    }
}

/// Columns after `epoch`, from the logs of the first epoch.
fn columns(logs: &Logs) -> Vec<String> {
    let mut names: Vec<String> = logs.keys().map(String::from).collect();
    names.sort();
    if !names.iter().any(|n| n.starts_with("val_")) {
        // The first epoch may simply be one without validation.
        names.extend(names.iter().map(|n| format!("val_{n}")).collect::<Vec<_>>());
    }
    names
}

impl Callback for CSVLogger {
    fn on_train_begin(&mut self, _: &mut Logs, _: &mut dyn Trainer) -> Result<()> {
        if self.separator.chars().count() != 1 {
            let got = &self.separator;
            return Err(Error::argument(format!("CSVLogger: separator must be one character, got \"{got}\"")));
        }
        let (file, header) =
            self.open().map_err(|e| Error::io(format!("CSVLogger: opening {}", self.path.display()), e))?;
        (self.file, self.header, self.columns) = (Some(file), header, None);
        self.failures.clear();
        Ok(())
    }

    fn on_epoch_end(&mut self, epoch: usize, logs: &mut Logs, t: &mut dyn Trainer) -> Result<()> {
        let mut rows = String::new();
        let columns = self.columns.take().unwrap_or_else(|| columns(logs));
        if std::mem::take(&mut self.header) {
            rows += &self.row(std::iter::once("epoch").chain(columns.iter().map(String::as_str)));
        }
        let mut cells = vec![epoch.to_string()];
        for name in &columns {
            cells.push(match logs.value(name) {
                Some(value) => text::shortest(value.get()?),
                None => "NA".into(),
            });
        }
        rows += &self.row(cells.iter().map(String::as_str));
        self.columns = Some(columns);
        if let Some(Err(error)) = self.file.as_mut().map(|file| file.write_all(rows.as_bytes())) {
            let error = Error::io(format!("CSVLogger: writing {}", self.path.display()), error);
            tell(t, error.to_string());
            self.failures.push(error);
        }
        Ok(())
    }

    fn on_train_end(&mut self, _: &mut Logs, _: &mut dyn Trainer) -> Result<()> {
        self.file = None;
        Ok(())
    }
}
