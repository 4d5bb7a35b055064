//! Predicting from other threads while training goes on.

use crate::{model::Model, predict::Inputs};
use addax_tensor::{Array, Result};
use std::{
    panic::Location,
    sync::{Arc, OnceLock},
};

/// Predicts with the weights that a model has at the time of each call, from any thread, also while the model is trained. A cheap
/// handle; see [`Model::predictor`].
#[derive(Clone, Debug)]
pub struct Predictor(Arc<Model>);

impl Model {
    /// A handle that shares this model's weights and predicts from other threads, also during [`fit`](Model::fit).
    ///
    /// Each call of [`Predictor::predict`] sees the weights of one moment: those after some step, never a mix of two. A training step
    /// that meets a prediction under way writes its new weights beside the old ones, which takes their bytes once more. The handle
    /// stays on the device that the model has now.
    ///
    /// ```
    /// use addax::{layers::Dense, prelude::*};
    /// let iris = data::sets::iris()?.data;
    /// let mut model = Sequential::new().input([4]).add(Dense::new(3));
    /// model.compile(Compile::new("sgd").loss(SparseCategoricalCrossentropy::from_logits()))?;
    /// let predictor = model.predictor()?;
    /// let x = iris.x().into_owned();
    /// let meanwhile = std::thread::spawn(move || predictor.predict(&x));
    /// model.fit(&iris, Fit::epochs(1).verbose(0))?;
    /// assert_eq!(meanwhile.join().unwrap()?.shape().to_vec(), [150, 3]);
    /// # Ok::<(), addax::Error>(())
    /// ```
    pub fn predictor(&self) -> Result<Predictor> {
        let built = self.build()?.clone();
        Ok(Predictor(Arc::new(Model {
            chain: self.chain.share()?,
            seed: OnceLock::from(self.seed()),
            built: OnceLock::from(Ok(built)),
            key: OnceLock::from(self.key().clone()),
            device: OnceLock::from(self.device()?),
            ..Model::default()
        })))
    }
}

impl Predictor {
    /// The outputs for these rows, in inference mode. All rows are computed in one run, because it is a run that sees the weights of one
    /// moment; in slices, if memory is short.
    #[track_caller]
    pub fn predict(&self, inputs: &(impl Inputs + ?Sized)) -> Result<Array> {
        let at = Location::caller();
        let rows = inputs.rows();
        self.0.predict_rows(&rows, rows.rows().max(1)).map_err(|e| e.at(at))
    }
}
