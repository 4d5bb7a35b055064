//! Tables with named columns, from CSV files.

mod csv_file;
mod newlines;
mod table;

pub use csv_file::CsvOptions;

use crate::{dataset::Dataset, permutation::Permutation, rows::Rows, split::cuts};
use addax_tensor::{Array, Error, Result};
use std::{collections::BTreeSet, fmt, path::Path, sync::Arc};
use table::{Column, Table};

/// A table of numbers (`float32`) and text, with named columns. A view: parts share the table and copy nothing.
///
/// ```
/// use addax_data::{CsvOptions, Frame};
///
/// let text = "area,city,price\n50,Bonn,100\n80,Trier,120\n65,Bonn,110\n90,Mainz,180\n";
/// let homes = Frame::from_csv(text.as_bytes(), "homes", &CsvOptions::new())?.target("price");
/// assert_eq!(homes.strings("city")?, ["Bonn", "Trier", "Bonn", "Mainz"]);
/// let [train, val] = homes.split([0.75, 0.25])?;
/// let data = train.features(["area"])?;
/// assert_eq!((data.len(), val.len()), (3, 1));
/// assert!(homes.f32("aera").unwrap_err().to_string().contains("did you mean \"area\"?"));
/// # Ok::<(), addax_data::Error>(())
/// ```
#[derive(Clone)]
pub struct Frame {
    table: Arc<Table>,
    rows: Rows,
    target: Option<String>,
}

impl Frame {
    /// Reads a CSV file with a header line and commas between cells. A column all of whose cells are numbers is one of
    /// numbers, any other is text; empty cells are missing values.
    ///
    /// Fails if the file cannot be read, has no rows or no unique column names, or if a line has too few or too many
    /// cells; the error names the line.
    pub fn read_csv(path: impl AsRef<Path>) -> Result<Frame> {
        Self::read_csv_with(path, &CsvOptions::new())
    }
    /// [`Frame::read_csv`] for other kinds of CSV.
    pub fn read_csv_with(path: impl AsRef<Path>, options: &CsvOptions) -> Result<Frame> {
        let name = path.as_ref().display().to_string();
        let file = std::fs::File::open(path).map_err(|e| Error::io(format!("reading {name}"), e))?;
        Self::from_csv(file, &name, options)
    }
    /// Reads CSV from anywhere; `name` is what errors call it.
    pub fn from_csv(reader: impl std::io::Read, name: &str, options: &CsvOptions) -> Result<Frame> {
        let table = csv_file::read(reader, name, options)?;
        Ok(Frame { rows: Rows::all(table.lines.len()), table: Arc::new(table), target: None })
    }
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }
    /// Whether there are no rows: never, a frame has at least one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Names of the columns, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.table.names.iter().map(String::as_str)
    }
    /// Whether this column holds text. Fails if there is no such column.
    pub fn is_text(&self, name: &str) -> Result<bool> {
        Ok(matches!(self.table.column(name)?, Column::Text(_)))
    }
    /// A column of numbers, `float32` `[n, 1]`. Fails if there is no such column, or if a cell is no number or missing,
    /// naming its line.
    pub fn f32(&self, name: &str) -> Result<Array> {
        Array::new([self.len(), 1], &self.numbers(name)?)
    }
    /// A column of text. Fails if there is no such column or if it holds numbers.
    pub fn strings(&self, name: &str) -> Result<Vec<&str>> {
        match self.table.column(name)? {
            Column::Text(text) => Ok(self.rows.iter().map(|row| text.get(row)).collect()),
            Column::Numbers(_) => Err(Error::data(format!(
                "column \"{name}\" of {} holds numbers; to read it as text, name it in `CsvOptions::text`",
                self.table.source
            ))),
        }
    }
    /// Names the column to predict; it becomes the labels of [`Frame::features`].
    pub fn target(mut self, name: impl Into<String>) -> Frame {
        self.target = Some(name.into());
        self
    }
    /// The classes of a target that is text, sorted: label `i` is `classes[i]`. They are those of the whole table, so
    /// that all parts number them alike.
    pub fn classes(&self) -> Result<Vec<&str>> {
        let name = self.target.as_deref().ok_or_else(|| Error::argument("no target was named; call `target` first"))?;
        match self.table.column(name)? {
            Column::Text(text) => {
                Ok((0..text.len()).map(|i| text.get(i)).collect::<BTreeSet<_>>().into_iter().collect())
            }
            Column::Numbers(_) => {
                Err(Error::data(format!("the target \"{name}\" of {} holds numbers, no classes", self.table.source)))
            }
        }
    }
    /// The target: `float32` `[n, 1]` if it holds numbers; `int32` `[n]` if it is text, the number of its class.
    pub fn labels(&self) -> Result<Array> {
        let name = self.target.as_deref().ok_or_else(|| Error::argument("no target was named; call `target` first"))?;
        if !self.is_text(name)? {
            return self.f32(name);
        }
        let classes = self.classes()?;
        let class = |text: &&str| classes.binary_search(text).unwrap_or_default() as i32;
        Array::new([self.len()], &self.strings(name)?.iter().map(class).collect::<Vec<_>>())
    }
    /// Columns of numbers side by side as features `[n, columns]`, with the target, if one was named, as labels.
    pub fn features<const N: usize>(&self, names: [&str; N]) -> Result<Dataset> {
        if let Some(name) = names.iter().find(|n| Some(**n) == self.target.as_deref()) {
            return Err(Error::argument(format!("column \"{name}\" is the target and cannot be a feature as well")));
        }
        let columns = names.map(|name| self.numbers(name));
        let mut x = vec![0.0; self.len() * N];
        for (i, column) in columns.into_iter().enumerate() {
            for (to, value) in x.iter_mut().skip(i).step_by(N).zip(column?) {
                *to = value;
            }
        }
        let y = self.target.is_some().then(|| self.labels()).transpose()?;
        Dataset::new(Array::new([self.len(), N], &x)?, y)
    }
    /// Shuffled parts of these fractions, which add up to 1; the same in every run. See [`Dataset::split`].
    ///
    /// Fails if a target was named that is no column.
    pub fn split<const N: usize>(&self, fractions: [f64; N]) -> Result<[Frame; N]> {
        self.split_by_seed(fractions, 0)
    }
    /// [`Frame::split`] in the order of a seed.
    pub fn split_by_seed<const N: usize>(&self, fractions: [f64; N], seed: u64) -> Result<[Frame; N]> {
        if let Some(target) = &self.target {
            self.table.column(target)?;
        }
        let order = Permutation::new(seed, 0).order(self.len());
        Ok(cuts(&fractions, self.len())?.map(|(from, to)| self.view(self.rows.pick(&order[from..to]))))
    }
    /// With `value` wherever this column of numbers has none.
    pub fn fill(&self, name: &str, value: f32) -> Result<Frame> {
        let Column::Numbers(numbers) = self.table.column(name)? else {
            return Err(self.table.no_number(name, self.rows.iter()));
        };
        let filled = numbers.iter().map(|&v| if v.is_nan() { value } else { v }).collect();
        let table = Arc::new(self.table.with_column(name, Column::Numbers(filled)));
        Ok(Frame { table, ..self.clone() })
    }
    /// Without the rows in which a column of numbers has no value. Fails if no row is left.
    pub fn drop_missing(&self) -> Result<Frame> {
        let kept: Vec<usize> = (0..self.len()).filter(|&i| self.table.is_complete(self.rows.get(i))).collect();
        if kept.is_empty() {
            return Err(Error::data(format!("every row of {} misses a value; use `fill` instead", self.table.source)));
        }
        Ok(self.view(self.rows.pick(&kept)))
    }

    fn view(&self, rows: Rows) -> Frame {
        Frame { rows, ..self.clone() }
    }
    fn numbers(&self, name: &str) -> Result<Vec<f32>> {
        let Column::Numbers(numbers) = self.table.column(name)? else {
            return Err(self.table.no_number(name, self.rows.iter()));
        };
        let value = |row: usize| match numbers[row] {
            missing if missing.is_nan() => Err(Error::data(format!(
                "{}, line {}: column \"{name}\" has no value; use `fill` or `drop_missing`",
                self.table.source, self.table.lines[row]
            ))),
            value => Ok(value),
        };
        self.rows.iter().map(value).collect()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} rows of {}:", self.len(), self.table.source)?;
        for (i, (name, column)) in self.table.names.iter().zip(&self.table.columns).enumerate() {
            let kind = if matches!(**column, Column::Text(_)) { "text" } else { "float32" };
            write!(f, "{} {name} {kind}", if i > 0 { "," } else { "" })?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOMES: &str = "\
area, city, rooms, zip, price
50, Bonn, 2, 053, 100
80,\"Trier, West\", , 054, 120.5

65, Bonn, 3, 053, 110
";

    fn frame(text: &str) -> Result<Frame> {
        Frame::from_csv(text.as_bytes(), "homes.csv", &CsvOptions::new().text(["zip"]))
    }
    fn frame_of(text: &str) -> Result<Frame> {
        Frame::from_csv(text.as_bytes(), "homes.csv", &CsvOptions::new())
    }
    fn error<T>(result: Result<T>) -> String {
        result.err().unwrap().to_string()
    }

    #[test]
    fn columns_are_numbers_or_text() {
        let homes = frame(HOMES).unwrap();
        assert_eq!(
            format!("{homes:?}"),
            "Frame(3 rows of homes.csv: area float32, city text, rooms float32, zip text, price float32)"
        );
        assert_eq!(homes.f32("area").unwrap(), Array::new([3, 1], &[50.0f32, 80.0, 65.0]).unwrap());
        assert_eq!(homes.strings("city").unwrap(), ["Bonn", "Trier, West", "Bonn"]);
        assert_eq!(homes.strings("zip").unwrap(), ["053", "054", "053"]);
    }

    #[test]
    fn wrong_columns_and_cells_are_named() {
        let homes = frame(HOMES).unwrap();
        assert_eq!(error(homes.f32("Aera")), "unknown column \"Aera\"; did you mean \"area\"?");
        assert_eq!(
            error(homes.f32("city")),
            "homes.csv, line 2: column \"city\" has \"Bonn\", which is no float32 number; correct it, or name it in \
             `CsvOptions::missing` if it stands for a missing value"
        );
        assert_eq!(
            error(homes.f32("rooms")),
            "homes.csv, line 3: column \"rooms\" has no value; use `fill` or `drop_missing`"
        );
        assert!(error(homes.strings("area")).contains("holds numbers"));
        assert!(error(homes.clone().target("prize").split([0.5, 0.5])).contains("did you mean \"price\"?"));
        assert!(error(homes.clone().target("price").features(["price"])).contains("is the target"));
        assert!(error(homes.labels()).contains("no target"));
        // The line is that of the file, in any part of the table: an empty line was skipped above line 5.
        let mixed = frame(&HOMES.replace("65", "65 m2").replace("50,", "many,")).unwrap();
        let last = mixed.view(mixed.rows.pick(&[2]));
        assert!(error(last.f32("area")).starts_with("homes.csv, line 5: column \"area\" has \"65 m2\""));
    }

    #[test]
    fn missing_values_are_filled_or_dropped() {
        let homes = frame(HOMES).unwrap();
        assert_eq!(homes.fill("rooms", 1.0).unwrap().f32("rooms").unwrap().to_vec::<f32>().unwrap(), [2.0, 1.0, 3.0]);
        assert_eq!(homes.drop_missing().unwrap().f32("rooms").unwrap().to_vec::<f32>().unwrap(), [2.0, 3.0]);
        assert!(homes.fill("city", 1.0).is_err());
        let options = CsvOptions::new().delimiter(b';').missing(["NA", "-"]);
        let table = Frame::from_csv("a;b\n1;NA\n-;x\n".as_bytes(), "t", &options).unwrap();
        assert_eq!(table.fill("a", 0.5).unwrap().f32("a").unwrap().to_vec::<f32>().unwrap(), [1.0, 0.5]);
        assert_eq!(table.strings("b").unwrap(), ["NA", "x"]);
        assert!(
            error(Frame::from_csv("a,b\n,1\n2,\n".as_bytes(), "t", &CsvOptions::new()).unwrap().drop_missing())
                .contains("every row")
        );
    }

    #[test]
    fn features_and_targets_make_a_data_set() {
        let homes = frame(HOMES).unwrap();
        let data = homes.clone().target("price").features(["price2", "area"]);
        assert!(error(data).contains("did you mean \"price\"?"));
        let data = homes.fill("rooms", 0.0).unwrap().target("price").features(["rooms", "area"]).unwrap();
        assert_eq!(*data.x(), Array::new([3, 2], &[2.0f32, 50.0, 0.0, 80.0, 3.0, 65.0]).unwrap());
        assert_eq!(*data.y().unwrap(), Array::new([3, 1], &[100.0f32, 120.5, 110.0]).unwrap());
        // A part without "Bonn" still numbers "Trier, West" as 1.
        let city = homes.target("city");
        let part = city.view(city.rows.pick(&[1]));
        assert_eq!(part.classes().unwrap(), ["Bonn", "Trier, West"]);
        assert_eq!(*part.features(["area"]).unwrap().y().unwrap(), Array::new([1], &[1i32]).unwrap());
    }

    #[test]
    fn broken_files_are_errors_with_lines() {
        let frame = frame_of;
        assert_eq!(error(frame("a,b\n1,2\n3\n")), "homes.csv, line 3 has 1 cells, but the header has 2");
        assert_eq!(error(frame("a,b,a\n1,2,3\n")), "homes.csv: two columns are called \"a\"");
        assert_eq!(error(frame("a,b\n")), "homes.csv has no rows below its header");
        assert_eq!(error(frame("")), "homes.csv is empty; a CSV file starts with the names of its columns");
        let bytes: &[u8] = b"a\n1\n\xff\n";
        assert_eq!(
            error(Frame::from_csv(bytes, "t.csv", &CsvOptions::new())),
            "t.csv, line 3: column 1 is not UTF-8 text"
        );
        assert_eq!(
            error(Frame::from_csv("zap\n1\n".as_bytes(), "t.csv", &CsvOptions::new().text(["zip"]))),
            "unknown column \"zip\"; did you mean \"zap\"?"
        );
        assert!(matches!(
            Frame::read_csv("no such file.csv").unwrap_err().kind(),
            addax_tensor::ErrorKind::Io(m) if m.contains("no such file.csv")
        ));
        let big = Frame::from_csv("a\n1\n1e39\n".as_bytes(), "t.csv", &CsvOptions::new()).unwrap();
        assert!(error(big.f32("a")).contains("line 3: column \"a\" has \"1e39\""));
    }

    proptest! {
        /// Each row knows its line, whatever ends lines, with empty lines and with cells of several lines.
        #[test]
        fn rows_know_their_lines(
            rows in prop::collection::vec((0usize..3, 0usize..3), 1..30), crlf: bool, bom: bool, last: bool,
        ) {
            let end = if crlf { "\r\n" } else { "\n" };
            let mut text = format!("{}a,b{end}", if bom { "\u{feff}" } else { "" });
            let mut lines = Vec::new();
            for (empty, within) in rows {
                text.push_str(&end.repeat(empty));
                lines.push(text.matches('\n').count() as u64 + 1);
                text.push_str(&format!("1,\"{}x\"{end}", end.repeat(within)));
            }
            let text = if last { text.trim_end() } else { &text };
            prop_assert_eq!(&frame_of(text).unwrap().table.lines, &lines);
            let short = frame_of(&format!("{text}{}3", if last { end } else { "" })).unwrap_err().to_string();
            let line = text.trim_end().matches('\n').count() + 2;
            prop_assert_eq!(short, format!("homes.csv, line {line} has 1 cells, but the header has 2"));
        }

        /// Numbers and text come back as they were written, with any content and line ends.
        #[test]
        fn what_is_written_is_read(
            rows in prop::collection::vec((-1e30f32..1e30, "[a-z\",;\n]{0,6}[a-z]"), 1..20), crlf: bool, bom: bool,
        ) {
            let mut bytes = if bom { "\u{feff}".as_bytes().to_vec() } else { Vec::new() };
            let terminator = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
            {
                let mut writer = csv::WriterBuilder::new().terminator(terminator).from_writer(&mut bytes);
                writer.write_record(["number", "text"]).unwrap();
                for (number, text) in &rows {
                    writer.write_record([number.to_string(), text.clone()]).unwrap();
                }
                writer.flush().unwrap();
            }
            let frame = Frame::from_csv(bytes.as_slice(), "t", &CsvOptions::new().text(["text"])).unwrap();
            let (numbers, texts): (Vec<f32>, Vec<String>) = rows.into_iter().unzip();
            prop_assert_eq!(frame.f32("number").unwrap().to_vec::<f32>().unwrap(), numbers);
            let texts: Vec<&str> = texts.iter().map(|t| t.trim()).collect();
            prop_assert_eq!(frame.strings("text").unwrap(), texts);
        }
    }
}
