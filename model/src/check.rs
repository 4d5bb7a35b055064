//! Data is checked on the host before training: a label out of range must not become a wrong number on the device.

use crate::{chain::Input, compile::Compiled, model::Model};
use addax_data::Batch;
use addax_losses::check_labels;
use addax_tensor::{Array, Error, Result, Shape};
use std::collections::BTreeMap;

/// Shape of one sample.
pub(crate) fn sample_shape(x: &Array) -> Shape {
    x.shape().iter().skip(1).copied().collect()
}

/// Fails unless rows of the data have the shape that the model takes.
pub(crate) fn samples(input: &Input, x: &Array) -> Result<()> {
    let got = sample_shape(x);
    if x.shape().rank() > 0 && got == input.shape {
        return Ok(());
    }
    let hint = if x.shape().rank() == 0 {
        "; data needs one row per sample"
    } else if *x.shape() == input.shape {
        "; put an axis for the samples in front, also for a single one"
    } else if got.numel() == input.shape.numel() {
        "; the numbers are as many: reshape the data, or add `Reshape` or `Flatten` as the first layer"
    } else {
        ""
    };
    Err(Error::shape(format!(
        "the model takes samples of shape {}, the data has samples of shape {got} (batches of shape {}){hint}",
        input.shape,
        x.shape()
    ))
    .inside(input.name.clone()))
}

/// What labels must be, by the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Labels {
    /// Anything.
    Free,
    /// Class numbers below `classes`, or the one that is left out.
    Classes { classes: usize, ignored: Option<i64> },
    /// Numbers from 0 to 1.
    Unit,
}

impl Labels {
    /// The rule for this loss and predictions with so many columns.
    pub fn of(compiled: &Compiled, columns: Option<usize>) -> Labels {
        let Some(loss) = &compiled.loss else { return Labels::Free };
        match (loss.class_name(), columns) {
            ("SparseCategoricalCrossentropy", Some(classes)) => {
                let ignored = loss.config().pointer("/config/ignore_class").and_then(|c| c.as_i64());
                Labels::Classes { classes, ignored }
            }
            ("BinaryCrossentropy" | "BinaryFocalCrossentropy" | "CategoricalCrossentropy", _) => Labels::Unit,
            _ => Labels::Free,
        }
    }
    /// Fails on the first label that breaks the rule.
    pub fn check(self, y: &Array) -> Result<()> {
        match self {
            Labels::Free => Ok(()),
            Labels::Classes { classes, ignored } => check_labels(y, classes, ignored),
            Labels::Unit => {
                let values = numbers(y)?;
                match values.iter().position(|v| !(0.0..=1.0).contains(v)) {
                    None => Ok(()),
                    Some(at) => Err(Error::data(format!(
                        "row {}: label {} is not from 0 to 1, as this loss needs it",
                        at * y.rows() / values.len().max(1),
                        values.get(at).copied().unwrap_or(f64::NAN)
                    ))),
                }
            }
        }
    }
    /// The same for a batch that was just read.
    pub fn check_batch(self, batch: &Batch) -> Result<()> {
        match &batch.y {
            Some(y) => self.check(y).map_err(|error| {
                error.context(format!("batch {}, which begins at row {}", batch.index, batch.first_row))
            }),
            None => Ok(()),
        }
    }
}

/// Elements as numbers.
pub(crate) fn numbers(array: &Array) -> Result<Vec<f64>> {
    use addax_tensor::DType;
    Ok(match array.dtype() {
        DType::F32 | DType::F16 | DType::BF16 => array.to_vec::<f32>()?.into_iter().map(f64::from).collect(),
        DType::I32 => array.to_vec::<i32>()?.into_iter().map(f64::from).collect(),
        DType::U32 => array.to_vec::<u32>()?.into_iter().map(f64::from).collect(),
        DType::U8 => array.bytes().iter().copied().map(f64::from).collect(),
        DType::Bool => array.bytes().iter().map(|&b| f64::from(u8::from(b != 0))).collect(),
    })
}

/// How much each row of a batch counts, by its class.
pub(crate) struct ClassWeights(pub BTreeMap<usize, f64>);

impl ClassWeights {
    /// One weight per row, `F32`. Labels are class numbers, or one row of probabilities each.
    pub fn of(&self, y: &Array) -> Result<Array> {
        let (values, rows) = (numbers(y)?, y.rows());
        let columns = values.len() / rows.max(1);
        if y.shape().rank() > 2 {
            return Err(Error::data(format!("class_weight needs one label per row, y has shape {}", y.shape())));
        }
        let class = |row: &[f64]| match row {
            [one] => one.round() as usize,
            many => {
                let best = many.iter().enumerate().max_by(|(i, a), (j, b)| a.total_cmp(b).then(j.cmp(i)));
                best.map_or(0, |(i, _)| i)
            }
        };
        let weights: Vec<f32> =
            values.chunks(columns.max(1)).map(|row| self.0.get(&class(row)).copied().unwrap_or(1.0) as f32).collect();
        Array::new([rows], &weights)
    }
}

/// Fails unless a batch fits the model.
pub(crate) fn batch(model: &Model, batch: &Batch) -> Result<()> {
    batch.check()?;
    samples(model.input()?, &batch.x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_out_of_range_names_its_row() {
        let y = Array::new([4, 1], &[0i32, 1, 7, -1]).unwrap();
        let classes = |ignored| Labels::Classes { classes: 3, ignored };
        let error = classes(Some(-1)).check(&y).unwrap_err().to_string();
        assert!(error.starts_with("row 2: label 7"), "{error}");
        let batch = Batch {
            x: Array::zeros(addax_tensor::DType::F32, [4, 1]),
            y: Some(y),
            weight: None,
            index: 1,
            first_row: 4,
        };
        let error = classes(None).check_batch(&batch).unwrap_err().to_string();
        assert!(error.starts_with("batch 1, which begins at row 4: row 2: label 7"), "{error}");
        let y = Array::new([2, 2], &[0.0f32, 1.0, 0.5, 1.5]).unwrap();
        let error = Labels::Unit.check(&y).unwrap_err().to_string();
        assert!(error.starts_with("row 1: label 1.5"), "{error}");
        assert!(Labels::Free.check(&y).is_ok());
    }

    #[test]
    fn rows_weigh_as_their_class() {
        let weights = ClassWeights([(1, 2.5)].into());
        let y = Array::new([3], &[0i32, 1, 2]).unwrap();
        assert_eq!(weights.of(&y).unwrap().to_vec::<f32>().unwrap(), [1.0, 2.5, 1.0]);
        let one_hot = Array::new([2, 2], &[0.0f32, 1.0, 1.0, 0.0]).unwrap();
        assert_eq!(weights.of(&one_hot).unwrap().to_vec::<f32>().unwrap(), [2.5, 1.0]);
    }
}
