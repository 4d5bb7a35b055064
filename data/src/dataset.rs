//! Supervised data in memory.

use crate::rows::Rows;
use addax_tensor::{Array, DType, Error, Result, Shape};
use std::{borrow::Cow, fmt, ops::Range, sync::Arc};

/// Rows in memory: features `x` `[n, ..]`, and if known labels `y` `[n, ..]` and sample weights `[n]` (float32).
///
/// It is a view: clones and splits share the data and copy no row until a batch is gathered. Element types stay as they
/// are, so images remain `uint8` until a layer rescales them. It has at least one row.
///
/// ```
/// use addax_data::{Array, Dataset};
///
/// let x = Array::new([4, 2], &[0.0f32, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])?;
/// let y = Array::new([4], &[0i32, 1, 1, 0])?;
/// let xor = Dataset::new(x, y)?.with_sample_weight(&[1.0, 1.0, 1.0, 2.0])?;
/// let (train, val) = xor.validation_split(0.25)?;
/// assert_eq!((train.len(), val.len()), (3, 1));
/// assert_eq!(val.x().to_vec::<f32>()?, [1.0, 1.0]);
/// # Ok::<(), addax_data::Error>(())
/// ```
#[derive(Clone)]
pub struct Dataset {
    pub(crate) columns: Columns,
    pub(crate) rows: Rows,
}

/// The shared arrays under a view; all have the same number of rows.
#[derive(Clone)]
pub(crate) struct Columns {
    pub x: Arc<Array>,
    pub y: Option<Arc<Array>>,
    pub weight: Option<Arc<Array>>,
}

impl Dataset {
    /// Features and labels with equally many rows; `None` for data without labels.
    ///
    /// Fails if a value is a scalar, if the numbers of rows differ, or if there are none.
    pub fn new(x: Array, y: impl Into<Option<Array>>) -> Result<Self> {
        let y = y.into();
        for (what, array) in [("x", Some(&x)), ("y", y.as_ref())] {
            if array.is_some_and(|a| a.shape().rank() == 0) {
                return Err(Error::shape(format!("{what} is a scalar; a data set needs one row per sample")));
            }
        }
        let n = x.rows();
        if let Some(y) = y.as_ref().filter(|y| y.rows() != n) {
            return Err(Error::data(format!("x has {n} rows {}, but y has {} {}", x.shape(), y.rows(), y.shape())));
        }
        if n == 0 {
            return Err(Error::data(format!("x has no rows (shape {}); a data set needs at least one", x.shape())));
        }
        let columns = Columns { x: Arc::new(x), y: y.map(Arc::new), weight: None };
        Ok(Dataset { columns, rows: Rows::all(n) })
    }
    /// How much each row counts in the loss and in weighted metrics (Keras' `sample_weight`): one finite number per row.
    /// Fails for another number of weights, or if one is not finite.
    pub fn with_sample_weight(self, weight: &[f32]) -> Result<Self> {
        if weight.len() != self.len() {
            return Err(Error::data(format!(
                "x has {} rows, but there are {} sample weights",
                self.len(),
                weight.len()
            )));
        }
        if let Some((i, w)) = weight.iter().enumerate().find(|(_, w)| !w.is_finite()) {
            return Err(Error::data(format!("the sample weight of row {i} is {w}; weights are finite numbers")));
        }
        let weight = Some(Arc::new(Array::new([weight.len()], weight)?));
        // A part of a data set gathers its rows: they may come twice, with different weights.
        let own = |array: &Arc<Array>| match self.column(array) {
            Cow::Borrowed(_) => array.clone(),
            Cow::Owned(part) => Arc::new(part),
        };
        let columns = Columns { x: own(&self.columns.x), y: self.columns.y.as_ref().map(own), weight };
        Ok(Dataset { rows: Rows::all(self.len()), columns })
    }
    /// Number of rows, at least 1.
    pub fn len(&self) -> usize {
        self.rows.len()
    }
    /// Whether there are no rows: never, a data set has at least one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The features `[n, ..]`. Borrowed if this is the whole data set, a slice if it is neighbouring rows of one, else gathered.
    pub fn x(&self) -> Cow<'_, Array> {
        self.column(&self.columns.x)
    }
    /// The labels `[n, ..]`, if there are any; borrowed, sliced or gathered like [`Dataset::x`].
    pub fn y(&self) -> Option<Cow<'_, Array>> {
        self.columns.y.as_deref().map(|y| self.column(y))
    }
    /// The sample weights `[n]`, if there are any; borrowed, sliced or gathered like [`Dataset::x`].
    pub fn sample_weight(&self) -> Option<Cow<'_, Array>> {
        self.columns.weight.as_deref().map(|w| self.column(w))
    }
    /// Shape of one row's features, such as `[28, 28, 1]`.
    pub fn x_shape(&self) -> Shape {
        row_shape(&self.columns.x)
    }
    /// Shape of one row's labels; `[]` for a number per row.
    pub fn y_shape(&self) -> Option<Shape> {
        self.columns.y.as_deref().map(row_shape)
    }
    /// Element type of the features.
    pub fn x_dtype(&self) -> DType {
        self.columns.x.dtype()
    }
    /// Element type of the labels.
    pub fn y_dtype(&self) -> Option<DType> {
        self.columns.y.as_deref().map(Array::dtype)
    }
    /// The rows at `indices`, in that order; an index may come more than once. Fails if one is out of range, or if there
    /// are none.
    pub fn take(&self, indices: &[usize]) -> Result<Dataset> {
        if let Some(bad) = indices.iter().find(|&&i| i >= self.len()) {
            return Err(Error::data(format!("row {bad} is out of range for {} rows", self.len())));
        }
        if indices.is_empty() {
            return Err(Error::data("no rows were asked for; a data set needs at least one"));
        }
        Ok(self.view(self.rows.pick(indices)))
    }
    /// Neighbouring rows. Fails if the range is empty or ends past the last row.
    pub fn slice(&self, range: Range<usize>) -> Result<Dataset> {
        if range.is_empty() || range.end > self.len() {
            return Err(Error::data(format!(
                "rows {}..{} of {} are no data set; give a range with at least one of them",
                range.start,
                range.end,
                self.len()
            )));
        }
        Ok(self.view(self.rows.range(range)))
    }
    /// The first `n` rows and the others. Fails if either part would be empty.
    pub fn split_at(&self, n: usize) -> Result<(Dataset, Dataset)> {
        if n == 0 || n >= self.len() {
            return Err(Error::argument(format!("{} rows cannot be split at {n}: a part would be empty", self.len())));
        }
        Ok((self.view(self.rows.range(0..n)), self.view(self.rows.range(n..self.len()))))
    }

    /// The same data through other rows, each below the length of the arrays.
    pub(crate) fn view(&self, rows: Rows) -> Dataset {
        Dataset { columns: self.columns.clone(), rows }
    }
    fn column<'a>(&self, array: &'a Array) -> Cow<'a, Array> {
        if matches!(&self.rows, Rows::Range(all) if all.len() == array.rows()) {
            return Cow::Borrowed(array);
        }
        if let Rows::Range(some) = &self.rows
            && let Ok(part) = array.slice_rows(some.clone())
        {
            return Cow::Owned(part);
        }
        let mut dims = array.shape().to_vec();
        if let Some(first) = dims.first_mut() {
            *first = self.len();
        }
        let mut out = Array::zeros(array.dtype(), dims);
        gather(array, self.rows.iter(), out.bytes_mut());
        Cow::Owned(out)
    }
}

/// Copies rows of `from`, each below its length, one after the other into `to`.
pub(crate) fn gather(from: &Array, rows: impl Iterator<Item = usize>, to: &mut [u8]) {
    let size = from.row_bytes();
    if size > 0 {
        let bytes = from.bytes();
        for (to, i) in to.chunks_exact_mut(size).zip(rows) {
            to.copy_from_slice(&bytes[i * size..(i + 1) * size]);
        }
    }
}

fn row_shape(array: &Array) -> Shape {
    array.shape().iter().skip(1).copied().collect()
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dataset({} rows, x {} {}", self.len(), self.x_dtype(), self.x_shape())?;
        if let (Some(dtype), Some(shape)) = (self.y_dtype(), self.y_shape()) {
            write!(f, ", y {dtype} {shape}")?;
        }
        f.write_str(if self.columns.weight.is_some() { ", weighted)" } else { ")" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize) -> Dataset {
        let x: Vec<f32> = (0..2 * n).map(|v| v as f32).collect();
        let y: Vec<i32> = (0..n as i32).collect();
        Dataset::new(Array::new([n, 2], &x).unwrap(), Array::new([n], &y).unwrap()).unwrap()
    }

    #[test]
    fn different_lengths_and_no_rows_are_errors() {
        let x = Array::zeros(DType::F32, [3, 2]);
        let error = |x: &Array, y: Option<Array>| Dataset::new(x.clone(), y).unwrap_err().to_string();
        assert_eq!(error(&x, Some(Array::zeros(DType::I32, [2]))), "x has 3 rows [3, 2], but y has 2 [2]");
        assert_eq!(
            error(&Array::zeros(DType::U8, [0, 4]), None),
            "x has no rows (shape [0, 4]); a data set needs at least one"
        );
        assert_eq!(error(&Array::zeros(DType::F32, ()), None), "x is a scalar; a data set needs one row per sample");
        assert_eq!(
            numbers(3).with_sample_weight(&[1.0]).unwrap_err().to_string(),
            "x has 3 rows, but there are 1 sample weights"
        );
        assert_eq!(
            numbers(2).with_sample_weight(&[1.0, f32::NAN]).unwrap_err().to_string(),
            "the sample weight of row 1 is NaN; weights are finite numbers"
        );
        assert!(Dataset::new(x, None).unwrap().y().is_none());
    }

    #[test]
    fn views_of_views_show_the_right_rows() {
        let data = numbers(10).take(&[9, 1, 5, 5]).unwrap();
        assert_eq!(data.y().unwrap().to_vec::<i32>().unwrap(), [9, 1, 5, 5]);
        let part = data.slice(1..4).unwrap().take(&[2, 0]).unwrap();
        assert_eq!(part.x().to_vec::<f32>().unwrap(), [10.0, 11.0, 2.0, 3.0]);
        let (a, b) = numbers(10).split_at(4).unwrap();
        assert_eq!((a.len(), b.len()), (4, 6));
        assert_eq!(b.y().unwrap().to_vec::<i32>().unwrap(), [4, 5, 6, 7, 8, 9]);
        assert!(data.take(&[4]).is_err() && data.take(&[]).is_err() && data.slice(2..5).is_err());
        assert!(data.split_at(0).is_err() && data.split_at(4).is_err());
    }

    #[test]
    fn the_whole_is_borrowed_and_weights_travel_with_rows() {
        let data = numbers(3);
        assert!(matches!(data.x(), Cow::Borrowed(_)));
        let part = data.slice(1..3).unwrap().with_sample_weight(&[0.5, 2.0]).unwrap();
        let last = part.take(&[1]).unwrap();
        assert_eq!(last.sample_weight().unwrap().to_vec::<f32>().unwrap(), [2.0]);
        assert_eq!(last.y().unwrap().to_vec::<i32>().unwrap(), [2]);
        assert_eq!(format!("{last:?}"), "Dataset(1 rows, x float32 [2], y int32 [], weighted)");
    }
}
