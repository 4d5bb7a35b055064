//! Parts of a data set: for validation, for testing.

use crate::{dataset::Dataset, permutation::Permutation};
use addax_tensor::{Array, Error, Result};
use std::collections::HashMap;

impl Dataset {
    /// Training rows and the **last** rows for validation, without shuffling: Keras' `validation_split`, which cuts at
    /// `floor(n * (1 - fraction))`. Fails unless `0 < fraction < 1` and both parts have rows.
    ///
    /// If rows are sorted by class, shuffle first or use [`Dataset::stratified_split`].
    pub fn validation_split(&self, fraction: f64) -> Result<(Dataset, Dataset)> {
        if !(fraction > 0.0 && fraction < 1.0) {
            return Err(Error::argument(format!("validation_split is {fraction}; give a fraction between 0 and 1")));
        }
        let at = (self.len() as f64 * (1.0 - fraction)).floor() as usize;
        if at == 0 || at >= self.len() {
            return Err(Error::argument(format!(
                "the data has {} rows, which is not enough for a validation_split of {fraction}: one part would be \
                 empty; give more rows or another fraction",
                self.len()
            )));
        }
        self.split_at(at)
    }
    /// All rows in the order of `seed`.
    pub fn shuffled(&self, seed: u64) -> Dataset {
        self.view(self.rows.pick(&Permutation::new(seed, 0).order(self.len())))
    }
    /// Shuffled parts of these fractions, which add up to 1: `split([0.7, 0.15, 0.15], 42)`. Each row is in exactly one.
    ///
    /// Fails if a fraction is not positive, their sum is not 1, or a part would be empty.
    pub fn split<const N: usize>(&self, fractions: [f64; N], seed: u64) -> Result<[Dataset; N]> {
        let order = Permutation::new(seed, 0).order(self.len());
        let cuts = cuts(&fractions, self.len())?;
        Ok(cuts.map(|(from, to)| self.view(self.rows.pick(&order[from..to]))))
    }
    /// Like [`Dataset::split`], but each part has about the same share of each class, the class being the row of `y`
    /// (a label or a one-hot vector). A count differs from its exact share by less than the number of parts.
    pub fn stratified_split<const N: usize>(&self, fractions: [f64; N], seed: u64) -> Result<[Dataset; N]> {
        cuts(&fractions, self.len())?;
        let mut part_of = vec![0; self.len()];
        let mut sizes = [0usize; N];
        // Each row goes to the part that lacks most: any stretch of the sorted rows, so any class, is shared out fairly.
        for (done, &row) in self.by_class(seed)?.iter().enumerate() {
            let lack = |part: usize| fractions[part] * (done + 1) as f64 - sizes[part] as f64;
            let part = (0..N).max_by(|&a, &b| lack(a).total_cmp(&lack(b)).then(b.cmp(&a))).unwrap_or(0);
            sizes[part] += 1;
            part_of[row] = part;
        }
        let mut parts = sizes.map(Vec::with_capacity);
        for row in Permutation::new(seed, 1).order(self.len()) {
            parts[part_of[row]].push(row);
        }
        if parts.iter().any(Vec::is_empty) {
            return Err(Error::argument(format!("{} rows are not enough for fractions {fractions:?}", self.len())));
        }
        Ok(parts.map(|rows| self.view(self.rows.pick(&rows))))
    }
    /// Shuffled training and test rows: [`Dataset::split`] in two.
    pub fn train_test(&self, test_fraction: f64, seed: u64) -> Result<(Dataset, Dataset)> {
        let [train, test] = self.split([1.0 - test_fraction, test_fraction], seed)?;
        Ok((train, test))
    }

    /// Positions sorted by class, shuffled by `seed` within each.
    pub(crate) fn by_class(&self, seed: u64) -> Result<Vec<usize>> {
        let y: &Array =
            self.columns.y.as_deref().ok_or_else(|| Error::data("stratifying needs labels; y is missing"))?;
        let size = y.row_bytes();
        let label = |i: usize| &y.bytes()[self.rows.get(i) * size..(self.rows.get(i) + 1) * size];
        let mut classes = HashMap::new();
        // Numbered in the order of the data: bytes of labels would sort differently on another kind of machine.
        let class: Vec<usize> = (0..self.len())
            .map(|i| {
                let next = classes.len();
                *classes.entry(label(i)).or_insert(next)
            })
            .collect();
        if classes.len() > 1 && 2 * classes.len() > self.len() {
            return Err(Error::data(format!(
                "{} rows have {} different labels; stratifying needs classes with several rows each",
                self.len(),
                classes.len()
            )));
        }
        let mut order = Permutation::new(seed, 0).order(self.len());
        order.sort_by_key(|&i| class[i]);
        Ok(order)
    }
}

/// Where parts of these fractions of `n` rows begin and end.
pub(crate) fn cuts<const N: usize>(fractions: &[f64; N], n: usize) -> Result<[(usize, usize); N]> {
    if let Some(bad) = fractions.iter().find(|f| !(**f > 0.0 && **f <= 1.0)) {
        return Err(Error::argument(format!("{bad} among {fractions:?} is no fraction between 0 and 1")));
    }
    let sum: f64 = fractions.iter().sum();
    if (sum - 1.0).abs() > 1e-6 {
        return Err(Error::argument(format!("fractions {fractions:?} add up to {sum}, not to 1")));
    }
    let mut cuts = [(0, 0); N];
    let (mut total, mut from) = (0.0, 0);
    for (i, (cut, fraction)) in cuts.iter_mut().zip(fractions).enumerate() {
        total += fraction;
        // The last cut is exact even if the sum of the fractions is not.
        let to = if i + 1 == N { n } else { (total * n as f64).round() as usize };
        if to <= from {
            return Err(Error::argument(format!(
                "{n} rows are not enough for fractions {fractions:?}: part {i} would be empty"
            )));
        }
        *cut = (from, to);
        from = to;
    }
    Ok(cuts)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `n` rows whose feature is the row's number and whose label is its class among `classes`, sorted.
    pub(crate) fn classes(n: usize, classes: usize) -> Dataset {
        let x: Vec<i32> = (0..n as i32).collect();
        let y: Vec<i32> = (0..n).map(|i| (i * classes / n) as i32).collect();
        Dataset::new(Array::new([n, 1], &x).unwrap(), Array::new([n], &y).unwrap()).unwrap()
    }
    pub(crate) fn ids(data: &Dataset) -> Vec<i32> {
        data.x().to_vec().unwrap()
    }
    pub(crate) fn count(data: &Dataset, class: i32) -> usize {
        data.y().unwrap().to_vec::<i32>().unwrap().iter().filter(|&&y| y == class).count()
    }

    #[test]
    fn validation_split_takes_the_last_rows() {
        let (train, val) = classes(10, 2).validation_split(0.25).unwrap();
        assert_eq!(ids(&train), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(ids(&val), [7, 8, 9]);
        for bad in [0.0, 1.0, -0.1, f64::NAN] {
            assert!(classes(10, 2).validation_split(bad).is_err(), "{bad}");
        }
        let error = classes(2, 1).validation_split(0.9).unwrap_err().to_string();
        assert!(error.contains("2 rows") && error.contains("0.9"), "{error}");
    }

    #[test]
    fn unusable_fractions_are_errors() {
        let data = classes(10, 2);
        assert_eq!(data.split([0.5, 0.4], 0).unwrap_err().to_string(), "fractions [0.5, 0.4] add up to 0.9, not to 1");
        assert_eq!(
            data.split([0.99, 0.01], 0).unwrap_err().to_string(),
            "10 rows are not enough for fractions [0.99, 0.01]: part 1 would be empty"
        );
        assert!(data.split([1.5, -0.5], 0).is_err());
        assert!(data.split([f64::NAN, 1.0], 0).is_err());
    }

    #[test]
    fn stratifying_needs_classes() {
        let x = Array::new([4], &[1.0f32, 2.0, 3.0, 4.0]).unwrap();
        assert!(Dataset::new(x.clone(), None).unwrap().stratified_split([0.5, 0.5], 0).is_err());
        assert_eq!(
            Dataset::new(x.clone(), x).unwrap().stratified_split([0.5, 0.5], 0).unwrap_err().to_string(),
            "4 rows have 4 different labels; stratifying needs classes with several rows each"
        );
    }

    proptest! {
        /// Parts share out the rows: each comes exactly once, sizes are near their fractions, and a seed repeats them.
        #[test]
        fn parts_share_out_all_rows(n in 10usize..200, a in 0.2f64..0.5, b in 0.2f64..0.4, seed: u64, strata: bool) {
            let (data, fractions) = (classes(n, 3), [a, b, 1.0 - a - b]);
            let split = || if strata { data.stratified_split(fractions, seed) } else { data.split(fractions, seed) };
            prop_assume!(fractions.iter().all(|f| f * n as f64 > 1.0));
            let parts = split().unwrap();
            let mut all: Vec<i32> = parts.iter().flat_map(ids).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..n as i32).collect::<Vec<_>>());
            for (part, again) in parts.iter().zip(split().unwrap()) {
                prop_assert_eq!(ids(part), ids(&again));
            }
            for (part, f) in parts.iter().zip(fractions) {
                prop_assert!((part.len() as f64 - f * n as f64).abs() <= 2.0);
                for class in (0..3).filter(|_| strata) {
                    let share = f * count(&data, class) as f64;
                    prop_assert!((count(part, class) as f64 - share).abs() < 3.0);
                }
            }
        }
    }
}
