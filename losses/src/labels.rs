//! Labels, looked at on the host before they reach a device.

use addax_tensor::{Array, DType, Error, Result};

/// Fails unless every class number is in `0..classes`, and names the first row that is wrong. A label out of range would
/// otherwise count as no class at all. Floats have to be whole numbers.
///
/// ```
/// use addax_losses::check_labels;
/// use addax_tensor::Array;
/// let labels = Array::new([3], &[0i32, 10, 2])?;
/// let error = check_labels(&labels, 10, None).unwrap_err();
/// assert!(error.to_string().starts_with("row 1: label 10 is no class number from 0 to 9"));
/// # Ok::<(), addax_tensor::Error>(())
/// ```
pub fn check_labels(labels: &Array, classes: usize, ignore_class: Option<i64>) -> Result<()> {
    let whole: Vec<f64> = match labels.dtype() {
        DType::I32 | DType::U8 => labels.to_vec::<i32>()?.into_iter().map(f64::from).collect(),
        DType::U32 => labels.to_vec::<u32>()?.into_iter().map(f64::from).collect(),
        DType::Bool => labels.to_vec::<bool>()?.into_iter().map(|b| f64::from(u8::from(b))).collect(),
        DType::F32 | DType::F16 | DType::BF16 => labels.to_vec::<f64>()?,
    };
    let fine =
        |v: f64| v.fract() == 0.0 && (0.0..classes as f64).contains(&v) || Some(v) == ignore_class.map(|c| c as f64);
    let per_row = (whole.len() / labels.rows().max(1)).max(1);
    match whole.iter().position(|v| !fine(*v)) {
        None => Ok(()),
        Some(at) => Err(Error::data(format!(
            "row {}: label {} is no class number from 0 to {}; count classes from 0, or give the last layer more units",
            at / per_row,
            whole.get(at).copied().unwrap_or(f64::NAN),
            classes.saturating_sub(1)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bad_row_is_named() {
        let of = |labels: Array| check_labels(&labels, 3, Some(-1)).map_err(|e| e.to_string());
        assert_eq!(of(Array::new([2, 2], &[0i32, 2, -1, 1]).unwrap()), Ok(()));
        assert!(of(Array::new([2, 2], &[0i32, 2, 1, 3]).unwrap()).unwrap_err().starts_with("row 1: label 3"));
        assert!(of(Array::new([2, 1], &[0.0f32, 1.5]).unwrap()).unwrap_err().starts_with("row 1: label 1.5"));
        assert!(of(Array::new([2], &[255u8, 0]).unwrap()).unwrap_err().starts_with("row 0: label 255"));
        assert!(of(Array::new([1], &[f32::NAN]).unwrap()).unwrap_err().starts_with("row 0: label NaN"));
        assert_eq!(of(Array::zeros(DType::I32, [0])), Ok(()));
    }
}
