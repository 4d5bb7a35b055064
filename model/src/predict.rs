//! `predict`: outputs for inputs.

use crate::{
    batch_size, check,
    hints::Voice,
    model::Model,
    options::{Common, INFERENCE_BATCH, Predict},
    programs::Kin,
    session::Session,
};
use addax_callbacks::{Callback, CallbackList, Logs, Trainer, logs};
use addax_data::Dataset;
use addax_tensor::{Array, DType, Error, Program, Result, Tensor};
use std::{borrow::Cow, panic::Location, sync::Arc};

/// What can be predicted from: an [`Array`] with a row per sample, or the features of a [`Dataset`].
pub trait Inputs {
    /// The rows.
    fn rows(&self) -> Cow<'_, Array>;
}
impl Inputs for Array {
    fn rows(&self) -> Cow<'_, Array> {
        Cow::Borrowed(self)
    }
}
impl Inputs for Dataset {
    fn rows(&self) -> Cow<'_, Array> {
        self.x()
    }
}

impl Model {
    /// The outputs for these rows, in inference mode: `[n, ..]`, in batches of 128.
    ///
    /// The model is not changed, so a [shared](Model::share) one predicts from many threads. Steps are recorded once for each
    /// size of batch; the next call of the same size only computes.
    ///
    /// ```
    /// use addax::{layers::Dense, prelude::*};
    /// let model = Sequential::new().input([3]).add(Dense::new(2).kernel_initializer("ones"));
    /// let y = model.predict(&data::Array::new([1, 3], &[1.0f32, 2.0, 3.0])?)?;
    /// assert_eq!(y.to_vec::<f32>()?, [6.0, 6.0]);
    /// # Ok::<(), addax::Error>(())
    /// ```
    #[track_caller]
    pub fn predict(&self, inputs: &(impl Inputs + ?Sized)) -> Result<Array> {
        let at = Location::caller();
        self.predict_rows(&inputs.rows(), INFERENCE_BATCH).map_err(|e| e.at(at))
    }
    /// The same with a batch size, callbacks, a progress bar. Hooks come in Keras' order: `on_predict_begin`, the batches,
    /// `on_predict_end`. Callbacks may change the model, so it is borrowed mutably.
    #[track_caller]
    pub fn predict_with(&mut self, inputs: &(impl Inputs + ?Sized), how: Predict<'_>) -> Result<Array> {
        let at = Location::caller();
        self.predict_told(&inputs.rows(), how).map_err(|e| e.at(at))
    }
    /// The same with so many rows at once.
    #[track_caller]
    pub fn predict_in_batches(&self, inputs: &(impl Inputs + ?Sized), batch_size: usize) -> Result<Array> {
        let at = Location::caller();
        self.predict_rows(&inputs.rows(), batch_size).map_err(|e| e.at(at))
    }
    /// The same with all rows at once.
    #[track_caller]
    pub fn predict_on_batch(&self, x: &Array) -> Result<Array> {
        let at = Location::caller();
        self.predict_rows(x, x.rows().max(1)).map_err(|e| e.at(at))
    }

    fn predict_told(&mut self, x: &Array, how: Predict<'_>) -> Result<Array> {
        let Common { batch_size, steps, callbacks, verbosity, quiet_hints } = how.common;
        let batch_size = batch_size.unwrap_or(INFERENCE_BATCH);
        check_rows(x, batch_size)?;
        if steps == Some(0) {
            return Err(Error::argument("steps is 0; give at least 1"));
        }
        let voice = Voice::new(self.console.as_ref(), verbosity, quiet_hints);
        let batches = x.rows().div_ceil(batch_size).min(steps.unwrap_or(usize::MAX));
        let mut callbacks = CallbackList::for_run(callbacks, verbosity);
        let mut session = Session::new(self, voice);
        session.steps = Some(batches);
        let mut outputs = Outputs::default();
        callbacks.on_predict_begin(&mut Logs::new(), &mut session)?;
        for batch in 0..batches {
            callbacks.on_predict_batch_begin(batch, &mut Logs::new(), &mut session)?;
            let y = session.model.predict_batch(batch_of(x, batch, batch_size)?.as_ref())?;
            outputs.push(&y);
            let mut logs = logs! { "outputs" => Tensor::from_array(y) };
            callbacks.on_predict_batch_end(batch, &mut logs, &mut session)?;
            if session.stopped() {
                break;
            }
        }
        callbacks.on_predict_end(&mut Logs::new(), &mut session)?;
        outputs.joined()
    }
    pub(crate) fn predict_rows(&self, x: &Array, batch_size: usize) -> Result<Array> {
        check_rows(x, batch_size)?;
        if x.rows() <= batch_size {
            return self.predict_batch(x);
        }
        let mut outputs = Outputs::default();
        for batch in 0..x.rows().div_ceil(batch_size) {
            outputs.push(&self.predict_batch(batch_of(x, batch, batch_size)?.as_ref())?);
        }
        outputs.joined()
    }
    /// The outputs for all these rows at once.
    fn predict_batch(&self, x: &Array) -> Result<Array> {
        let refused = match self.program_for(x).and_then(|program| run(&program, x)) {
            Err(error) if error.is_out_of_memory() => error,
            other => return other,
        };
        let kin = Kin::of(x);
        Err(batch_size::told(refused, &self.device()?, x.rows(), |rows| self.record_predict(&kin.with_rows(rows))))
    }
    /// The program for data like this; recorded at the first call.
    fn program_for(&self, x: &Array) -> Result<Arc<Program>> {
        if let Some(program) = self.programs.find(|kin| kin.fits(x)) {
            return Ok(program);
        }
        self.build_with(check::sample_shape(x))?;
        check::samples(self.input()?, x)?;
        let kin = Kin::of(x);
        let program = self.record_predict(&kin)?.capture(&self.device()?)?;
        Ok(self.programs.insert(kin, program))
    }
}

fn run(program: &Program, x: &Array) -> Result<Array> {
    let output = program.run(&[x])?.into_iter().next();
    output.ok_or_else(|| Error::device("a step gave no output"))?.to_array()
}

/// Fails where there is nothing to predict.
fn check_rows(x: &Array, batch_size: usize) -> Result<()> {
    if batch_size == 0 {
        return Err(Error::argument("the batch size is 0; give at least 1"));
    }
    if x.rows() == 0 && x.shape().rank() > 0 {
        return Err(Error::data(format!("there is nothing to predict: the data has no rows (shape {})", x.shape())));
    }
    Ok(())
}

/// The rows of a batch.
fn batch_of(x: &Array, batch: usize, batch_size: usize) -> Result<Cow<'_, Array>> {
    if x.rows() <= batch_size {
        return Ok(Cow::Borrowed(x));
    }
    let from = batch * batch_size;
    x.slice_rows(from..x.rows().min(from + batch_size)).map(Cow::Owned)
}

/// Outputs of batches, one after the other.
#[derive(Default)]
struct Outputs {
    /// Shape and type of the first.
    kind: Option<(Vec<usize>, DType)>,
    bytes: Vec<u8>,
}

impl Outputs {
    fn push(&mut self, y: &Array) {
        self.kind.get_or_insert_with(|| (y.shape().to_vec(), y.dtype()));
        self.bytes.extend_from_slice(y.bytes());
    }
    fn joined(self) -> Result<Array> {
        let (mut dims, dtype) = self.kind.ok_or_else(|| Error::data("there is nothing to predict"))?;
        // Axis 0 follows the rows, by a factor if a layer folds other axes into it.
        let row: usize = dims.iter().skip(1).product::<usize>() * dtype.size();
        if let Some(first) = dims.first_mut() {
            *first = self.bytes.len() / row.max(1);
        }
        Array::from_bytes(dtype, dims, self.bytes)
    }
}
