//! Connectionist temporal classification: labels without times for scores at every time.

use super::{index::whole_numbers, record};
use crate::{
    dtype::DType,
    error::{Error, Result},
    graph::{Body, Meta, ScanSpec, Tensor, try_recorded_at},
};
use std::panic::Location;

/// The logarithm of what counts as impossible; Keras' number.
const IMPOSSIBLE: f64 = -1e5;

impl Tensor {
    /// The negative logarithm of the probability of label sequences, summed over all ways to spread them over time with blanks in
    /// between (Graves et al. 2006): scores before softmax `[b, t, classes]` (self) and integers `labels [b, n]`, of which the first
    /// `label_lengths [b]` and `lengths [b]` count, give `[b]`, `F32`. `blank` is the class of no label. One loop over time.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// // One step, one label, four classes of equal score.
    /// let (labels, one) = (Tensor::from_vec([2], [1, 1]), Tensor::from_vec([1], [1]));
    /// let loss = Tensor::zeros([1, 1, 4]).ctc_loss(&labels, &one, &one, 0);
    /// assert!((loss.to_vec::<f32>()?[0] - 4f32.ln()).abs() < 1e-6);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn ctc_loss(&self, labels: &Tensor, label_lengths: &Tensor, lengths: &Tensor, blank: usize) -> Tensor {
        let origin = Location::caller();
        record(origin, || {
            let [batch, steps, classes] = self.dims()?;
            let [rows, n] = labels.dims()?;
            let fits = [label_lengths, lengths].iter().all(|l| l.shape().is_ok_and(|s| s.dims() == [batch]));
            if rows != batch || !fits || steps == 0 || n == 0 || blank >= classes {
                return Err(Error::shape(format!(
                    "ctc_loss: scores {} need labels [{batch}, n], two vectors of {batch} lengths and a blank below {classes}, got {}, \
                     {}, {} and {blank}",
                    self.shape()?,
                    labels.shape()?,
                    label_lengths.shape()?,
                    lengths.shape()?
                )));
            }
            let labels = whole_numbers(labels)?;
            let scores = self.cast_at(DType::F32, origin).log_softmax(-1);
            // [t, b, n] and [t, b, 1]: what it costs to emit each label, and none.
            let emit = scores.take_along_axis(&labels.expand_dims(1), -1).move_axis(1, 0);
            let none = scores.slice(-1, blank..blank + 1).move_axis(1, 0);
            let inside = Tensor::iota(DType::I32, [steps, batch, 1], 0).less(whole_numbers(lengths)?.expand_dims(-1));
            // Between equal neighbours there must be a blank.
            let again = labels.slice(1, ..n - 1).equal(labels.slice(1, 1..));
            let again = again.pad([(0, 0), (0, 1)], false).cast(DType::F32);
            let meta = |n| Meta::new(DType::F32, [batch, n]);
            let metas = [meta(n + 1), meta(n), meta(n), meta(1), Meta::new(DType::Bool, [batch, 1]), meta(n)];
            let body = Body::new("ctc", &metas, |p| {
                let [blanks, labels, emit, none, inside, again] = p else {
                    return Err(Error::argument("a step of ctc has six parameters"));
                };
                let ready = entered(blanks, &(labels + again * IMPOSSIBLE), n);
                let new_labels = (ready.slice(1, ..n) + emit).logaddexp(&(labels + emit));
                let new_blanks = entered(&(ready + none), &(labels + none + (1.0 - again) * IMPOSSIBLE), n);
                Ok(vec![inside.select(new_blanks, blanks), inside.select(new_labels, labels)])
            })?;
            let start = Tensor::full(DType::F32, [batch, n], IMPOSSIBLE);
            let blanks = Tensor::concat(&[Tensor::zeros([batch, 1]), start.clone()], 1);
            let spec = ScanSpec { steps, carries: 2, inputs: 3, reverse: false };
            let done = Tensor::scan(&body, spec, &[blanks, start, emit, none, inside, again])?;
            let end = entered(&done[0], &done[1], n);
            // A sequence is over behind its last label.
            Ok(-end.take_along_axis(&whole_numbers(label_lengths)?.expand_dims(-1), 1).squeeze(1))
        })
    }

    /// The likeliest class at every time, with repetitions merged (if `merge_repeated`) and blanks taken out: scores `[b, t, classes]`
    /// (self), of which `lengths [b]` times count, give labels `I32 [1, b, t]`, -1 behind the last one, and `[b, 1]`, the negative sum
    /// of the scores on the way: Keras' strategy `"greedy"`.
    ///
    /// ```
    /// use addax_tensor::Tensor;
    /// let scores = Tensor::from_vec([1, 1, 0, 1, 2], [1, 5]).one_hot(3, addax_tensor::DType::F32);
    /// let labels = scores.ctc_decode(&Tensor::from_vec([5], [1]), true, 0)?.0;
    /// assert_eq!(labels.to_vec::<i32>()?, vec![1, 1, 2, -1, -1]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    #[track_caller]
    pub fn ctc_decode(&self, lengths: &Tensor, merge_repeated: bool, blank: usize) -> Result<(Tensor, Tensor)> {
        let origin = Location::caller();
        try_recorded_at(origin, || {
            let [batch, steps, classes] = self.dims()?;
            if lengths.shape()?.dims() != [batch] || steps == 0 || blank >= classes {
                let (scores, given) = (self.shape()?, lengths.shape()?);
                return Err(Error::shape(format!(
                    "ctc_decode: scores {scores} need {batch} lengths and a blank below {classes}, got {given} and {blank}"
                )));
            }
            let scores = self.cast_at(DType::F32, origin);
            let place = Tensor::iota(DType::I32, [batch, steps], 1);
            let inside = place.less(whole_numbers(lengths)?.expand_dims(-1));
            let best = inside.select(scores.argmax(-1), blank as i64);
            let repeated = match merge_repeated {
                true => best.slice(1, 1..).equal(best.slice(1, ..steps - 1)).pad([(0, 0), (1, 0)], false),
                false => inside.full_like(false),
            };
            let kept = repeated.logical_or(best.equal(blank as i64)).logical_not();
            let order = kept.select(place, steps as i64).argsort(1, false);
            let labels = kept.select(best, -1i64).take_along_axis(&order, 1);
            let score = -inside.select(scores.max(-1), 0.0).sum_keepdims(1);
            Ok((labels.expand_dims(0), score))
        })
    }
}

/// The scores of being behind each of the `n` labels, or before the first: those in `blanks [b, n + 1]`, and what comes from `labels
/// [b, n]`.
fn entered(blanks: &Tensor, labels: &Tensor, n: usize) -> Tensor {
    Tensor::concat(&[blanks.slice(1, ..1), blanks.slice(1, 1..n + 1).logaddexp(labels)], 1)
}
