//! Small real data sets inside the crate; sources and licences are in `sets/README.md` of the crate.

use crate::dataset::Dataset;
use addax_tensor::{Array, Error, Result};
use flate2::read::ZlibDecoder;
use std::io::Read;

/// A data set for classification, with the names of what is in it.
#[derive(Clone, Debug)]
pub struct NamedDataset {
    /// Features and `int32` labels `[n]`, sorted or not as they were published.
    pub data: Dataset,
    /// Names of the features in order; empty for images.
    pub features: &'static [&'static str],
    /// Name of each label.
    pub classes: &'static [&'static str],
}

impl NamedDataset {
    /// Shuffled training and test rows; see [`Dataset::train_test`].
    pub fn train_test(&self, test_fraction: f64, seed: u64) -> Result<(Dataset, Dataset)> {
        self.data.train_test(test_fraction, seed)
    }
}

/// 1797 handwritten digits as 8 x 8 images with values 0 to 16: `uint8` `[1797, 8, 8, 1]`, in 10 classes.
///
/// ```
/// let digits = addax_data::sets::digits()?;
/// let (train, test) = digits.train_test(0.2, 42)?;
/// assert_eq!(train.x_shape().dims(), [8, 8, 1]);
/// assert_eq!(train.len() + test.len(), 1797);
/// # Ok::<(), addax_data::Error>(())
/// ```
pub fn digits() -> Result<NamedDataset> {
    let (pixels, labels) = unpack(include_bytes!("../sets/digits.bin"), 1797, 64)?;
    let x = Array::new([1797, 8, 8, 1], &pixels)?;
    let classes = &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    Ok(NamedDataset { data: Dataset::new(x, labels)?, features: &[], classes })
}

/// 150 iris flowers of 3 species by 4 lengths in cm: `float32` `[150, 4]`, sorted by class.
pub fn iris() -> Result<NamedDataset> {
    table(
        include_bytes!("../sets/iris.bin"),
        150,
        &["sepal length", "sepal width", "petal length", "petal width"],
        &["setosa", "versicolor", "virginica"],
    )
}

/// 178 wines of 3 cultivars by 13 chemical measurements: `float32` `[178, 13]`, sorted by class.
pub fn wine() -> Result<NamedDataset> {
    table(
        include_bytes!("../sets/wine.bin"),
        178,
        &[
            "alcohol",
            "malic acid",
            "ash",
            "alcalinity of ash",
            "magnesium",
            "total phenols",
            "flavanoids",
            "nonflavanoid phenols",
            "proanthocyanins",
            "color intensity",
            "hue",
            "od280/od315 of diluted wines",
            "proline",
        ],
        &["class 0", "class 1", "class 2"],
    )
}

/// 569 breast tumours, malignant (0) or benign (1), by 30 measurements of cell nuclei: `float32` `[569, 30]`.
pub fn breast_cancer() -> Result<NamedDataset> {
    table(
        include_bytes!("../sets/breast_cancer.bin"),
        569,
        &[
            "mean radius",
            "mean texture",
            "mean perimeter",
            "mean area",
            "mean smoothness",
            "mean compactness",
            "mean concavity",
            "mean concave points",
            "mean symmetry",
            "mean fractal dimension",
            "radius error",
            "texture error",
            "perimeter error",
            "area error",
            "smoothness error",
            "compactness error",
            "concavity error",
            "concave points error",
            "symmetry error",
            "fractal dimension error",
            "worst radius",
            "worst texture",
            "worst perimeter",
            "worst area",
            "worst smoothness",
            "worst compactness",
            "worst concavity",
            "worst concave points",
            "worst symmetry",
            "worst fractal dimension",
        ],
        &["malignant", "benign"],
    )
}

fn table(
    packed: &[u8],
    rows: usize,
    features: &'static [&'static str],
    classes: &'static [&'static str],
) -> Result<NamedDataset> {
    let values = rows * features.len();
    let (planes, labels) = unpack(packed, rows, 4 * features.len())?;
    // Column by column, low bytes of all numbers first.
    let number = |i: usize| f32::from_le_bytes([0, 1, 2, 3].map(|byte| planes[byte * values + i]));
    let row_major: Vec<f32> = (0..values).map(|i| number(i % features.len() * rows + i / features.len())).collect();
    let x = Array::new([rows, features.len()], &row_major)?;
    Ok(NamedDataset { data: Dataset::new(x, labels)?, features, classes })
}

/// `rows * row_bytes` bytes of features, and the labels.
fn unpack(packed: &[u8], rows: usize, row_bytes: usize) -> Result<(Vec<u8>, Array)> {
    let mut features = vec![0; rows * row_bytes];
    let mut labels = vec![0; rows];
    let mut reader = ZlibDecoder::new(packed);
    reader
        .read_exact(&mut features)
        .and_then(|()| reader.read_exact(&mut labels))
        .map_err(|e| Error::format("an embedded data set is damaged").caused_by(e))?;
    let labels: Vec<i32> = labels.into_iter().map(i32::from).collect();
    Ok((features, Array::new([rows], &labels)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(set: &NamedDataset) -> Vec<usize> {
        let labels: Vec<i32> = set.data.y().unwrap().to_vec().unwrap();
        (0..set.classes.len() as i32).map(|c| labels.iter().filter(|&&l| l == c).count()).collect()
    }
    fn row(set: &NamedDataset, i: usize) -> Vec<f32> {
        set.data.slice(i..i + 1).unwrap().x().to_vec().unwrap()
    }

    #[test]
    fn digits_are_whole() {
        let set = digits().unwrap();
        assert_eq!(counts(&set), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        let x: Vec<u8> = set.data.x().to_vec().unwrap();
        assert_eq!(x[..16], [0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0]);
        assert_eq!(*x.iter().max().unwrap(), 16);
        assert_eq!(x.iter().map(|&v| u64::from(v)).sum::<u64>(), 561_718);
        assert_eq!(set.data.y().unwrap().to_vec::<i32>().unwrap()[..5], [0, 1, 2, 3, 4]);
    }

    #[test]
    fn iris_is_whole() {
        let set = iris().unwrap();
        assert_eq!(counts(&set), [50, 50, 50]);
        assert_eq!(row(&set, 0), [5.1, 3.5, 1.4, 0.2]);
        assert_eq!(row(&set, 149), [5.9, 3.0, 5.1, 1.8]);
        let sum: f32 = set.data.x().to_vec::<f32>().unwrap().iter().sum();
        assert!((sum - 2078.7).abs() < 0.01, "{sum}");
    }

    #[test]
    fn wine_is_whole() {
        let set = wine().unwrap();
        assert_eq!(counts(&set), [59, 71, 48]);
        assert_eq!(row(&set, 0)[..5], [14.23, 1.71, 2.43, 15.6, 127.0]);
        assert_eq!(row(&set, 177)[12], 560.0);
        assert_eq!(set.features.len(), 13);
    }

    #[test]
    fn breast_cancer_is_whole() {
        let set = breast_cancer().unwrap();
        assert_eq!(counts(&set), [212, 357]);
        assert_eq!(row(&set, 0)[..4], [17.99, 10.38, 122.8, 1001.0]);
        assert_eq!(row(&set, 568)[..2], [7.76, 24.54]);
        assert_eq!((set.features.len(), set.features[29]), (30, "worst fractal dimension"));
    }

    #[test]
    fn a_damaged_set_is_an_error() {
        assert!(matches!(unpack(&[1, 2, 3], 1, 1).unwrap_err().kind(), addax_tensor::ErrorKind::Format(_)));
    }
}
