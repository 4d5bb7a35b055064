//! Cross-validation.

use crate::{dataset::Dataset, permutation::Permutation};
use addax_tensor::{Error, Result};

/// The `(train, test)` pairs of a cross-validation; see [`Dataset::k_fold`]. Each row is in exactly one test part, and
/// the sizes of test parts differ by at most one.
#[derive(Clone, Debug)]
pub struct KFold {
    data: Dataset,
    /// Position `p` belongs to fold `p % k`.
    order: Vec<usize>,
    k: usize,
    seed: u64,
    next: usize,
}

impl Dataset {
    /// `k` pairs of training and test rows, shuffled by `seed`. Fails unless `2 <= k <= n`.
    ///
    /// ```
    /// let data = addax_data::sets::wine()?.data;
    /// for (train, test) in data.k_fold(5, 42)? {
    ///     assert_eq!(train.len() + test.len(), 178);
    /// }
    /// # Ok::<(), addax_data::Error>(())
    /// ```
    pub fn k_fold(&self, k: usize, seed: u64) -> Result<KFold> {
        self.folds(k, seed, Permutation::new(seed, 0).order(self.len()))
    }
    /// Like [`Dataset::k_fold`], but each class of `y` is shared out evenly: its counts in two test parts differ by at
    /// most one.
    pub fn stratified_k_fold(&self, k: usize, seed: u64) -> Result<KFold> {
        self.folds(k, seed, self.by_class(seed)?)
    }
    fn folds(&self, k: usize, seed: u64, order: Vec<usize>) -> Result<KFold> {
        if k < 2 || k > self.len() {
            return Err(Error::argument(format!(
                "{k} folds of {} rows: give at least 2 folds and at most one per row",
                self.len()
            )));
        }
        Ok(KFold { data: self.clone(), order, k, seed, next: 0 })
    }
}

impl Iterator for KFold {
    type Item = (Dataset, Dataset);

    fn next(&mut self) -> Option<Self::Item> {
        let fold = self.next;
        (fold < self.k).then(|| {
            self.next += 1;
            let part = |test: bool| {
                let inside = self.order.iter().enumerate().filter(|(p, _)| (p % self.k == fold) == test);
                let mut rows: Vec<usize> = inside.map(|(_, &row)| row).collect();
                // Stratified rows come class by class.
                Permutation::new(self.seed, 1 + fold as u64).shuffle(&mut rows);
                self.data.view(self.data.rows.pick(&rows))
            };
            (part(false), part(true))
        })
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.k - self.next, Some(self.k - self.next))
    }
}
impl ExactSizeIterator for KFold {}

#[cfg(test)]
mod tests {
    use crate::split::tests::{classes, count, ids};
    use proptest::prelude::*;

    #[test]
    fn too_few_and_too_many_folds_are_errors() {
        assert_eq!(
            classes(5, 1).k_fold(6, 0).unwrap_err().to_string(),
            "6 folds of 5 rows: give at least 2 folds and at most one per row"
        );
        assert!(classes(5, 1).k_fold(1, 0).is_err());
        assert_eq!(classes(5, 1).k_fold(5, 0).unwrap().len(), 5);
    }

    proptest! {
        /// Every row is tested once, and trained on in the other folds; classes are even when stratified.
        #[test]
        fn folds_cover_the_rows(n in 8usize..100, k in 2usize..8, seed: u64, strata: bool) {
            let data = classes(n, 3);
            let folds = if strata { data.stratified_k_fold(k, seed) } else { data.k_fold(k, seed) }.unwrap();
            prop_assert_eq!(folds.len(), k);
            let mut tested = Vec::new();
            for (train, test) in folds {
                prop_assert!(test.len() == n / k || test.len() == n.div_ceil(k));
                let mut both = [ids(&train), ids(&test)].concat();
                both.sort_unstable();
                prop_assert_eq!(both, ids(&data));
                for class in (0..3).filter(|_| strata) {
                    let all = count(&data, class);
                    prop_assert!((all / k..=all.div_ceil(k)).contains(&count(&test, class)));
                }
                tested.extend(ids(&test));
            }
            tested.sort_unstable();
            prop_assert_eq!(tested, ids(&data));
        }
    }
}
