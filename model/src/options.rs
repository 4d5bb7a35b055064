//! What `fit`, `evaluate` and `predict` can be told.

use crate::StopHandle;
use addax_callbacks::{Callback, Verbosity};
use addax_data::{Dataset, Source};
use std::{any::Any, collections::BTreeMap};

/// A source of batches, and the data set behind it if it is one: only rows in memory can be split.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub source: &'a dyn Source,
    pub dataset: Option<&'a Dataset>,
}

impl<'a> Rows<'a> {
    pub fn new<S: Source + 'static>(source: &'a S) -> Self {
        let any: &dyn Any = source;
        Rows { source, dataset: any.downcast_ref() }
    }
}

impl<'a> From<&'a Dataset> for Rows<'a> {
    fn from(dataset: &'a Dataset) -> Self {
        Rows { source: dataset, dataset: Some(dataset) }
    }
}

/// How to fit: epochs, batches, validation, callbacks. Defaults are those of Keras.
///
/// ```
/// use addax::{layers::Dense, prelude::*};
/// let (train, test) = data::sets::iris()?.train_test(0.2, 1)?;
/// let mut model = Sequential::new().input([4]).add(Dense::new(3)).seed(1);
/// model.compile(Compile::new(Adam::new(0.1)).loss(SparseCategoricalCrossentropy::from_logits()))?;
/// let mut early = EarlyStopping::new("val_loss").patience(5);
/// let history = model.fit(&train, Fit::epochs(5).validation_split(0.2).seed(1).verbose(0).callback(&mut early))?;
/// assert_eq!(history.epochs().len(), 5);
/// # let _ = test;
/// # Ok::<(), addax::Error>(())
/// ```
pub struct Fit<'a> {
    pub(crate) epochs: usize,
    pub(crate) initial_epoch: usize,
    pub(crate) batch_size: Option<usize>,
    pub(crate) steps_per_epoch: Option<usize>,
    pub(crate) shuffle: bool,
    pub(crate) seed: Option<u64>,
    pub(crate) validation: Validation<'a>,
    pub(crate) class_weight: Option<BTreeMap<usize, f64>>,
    pub(crate) callbacks: Vec<Box<dyn Callback + 'a>>,
    pub(crate) verbosity: Verbosity,
    pub(crate) quiet_hints: bool,
    pub(crate) stop: StopHandle,
    pub(crate) restore_every: usize,
}

/// What is measured after an epoch, and when.
pub(crate) struct Validation<'a> {
    pub split: Option<f64>,
    pub data: Option<Rows<'a>>,
    pub batch_size: Option<usize>,
    pub steps: Option<usize>,
    pub freq: Freq,
}

/// After which epochs to validate.
#[derive(Clone, Debug)]
pub(crate) enum Freq {
    Every(usize),
    /// Epochs counted from 1.
    At(Vec<usize>),
}

impl Freq {
    /// Whether validation is due after this epoch (from 0).
    pub fn due(&self, epoch: usize) -> bool {
        match self {
            Freq::Every(n) => (epoch + 1).is_multiple_of((*n).max(1)),
            Freq::At(epochs) => epochs.contains(&(epoch + 1)),
        }
    }
}

/// When to validate: every so many epochs, or after those of a list (counted from 1).
pub trait ValidationFreq {
    #[doc(hidden)]
    fn freq(self) -> FreqChoice;
}
#[doc(hidden)]
pub struct FreqChoice(Freq);
impl ValidationFreq for usize {
    fn freq(self) -> FreqChoice {
        FreqChoice(Freq::Every(self))
    }
}
impl<const N: usize> ValidationFreq for [usize; N] {
    fn freq(self) -> FreqChoice {
        FreqChoice(Freq::At(self.to_vec()))
    }
}

impl<'a> Fit<'a> {
    /// Trains until this many epochs are done, in batches of 32, in a new order each epoch.
    pub fn epochs(epochs: usize) -> Self {
        let validation = Validation { split: None, data: None, batch_size: None, steps: None, freq: Freq::Every(1) };
        Fit {
            epochs,
            initial_epoch: 0,
            batch_size: None,
            steps_per_epoch: None,
            shuffle: true,
            seed: None,
            validation,
            class_weight: None,
            callbacks: Vec::new(),
            verbosity: Verbosity::Auto,
            quiet_hints: false,
            stop: StopHandle::default(),
            restore_every: 1000,
        }
    }
    /// Rows of a step (default 32).
    pub fn batch_size(mut self, rows: usize) -> Self {
        self.batch_size = Some(rows);
        self
    }
    /// The number to call the first epoch by, when a training goes on; epochs count from 0.
    pub fn initial_epoch(mut self, epoch: usize) -> Self {
        self.initial_epoch = epoch;
        self
    }
    /// An epoch ends after so many steps. Without a batch size, rows in memory are cut into so many batches.
    pub fn steps_per_epoch(mut self, steps: usize) -> Self {
        self.steps_per_epoch = Some(steps);
        self
    }
    /// Whether rows come in a new order each epoch (default), or in that of the data.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }
    /// The seed of the order of rows and of random layers. Weights that were not set, trained or seeded before start from
    /// it too, so that one seed repeats a whole training.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
    /// The last rows, this share of all, are kept for validation. Needs rows in memory.
    pub fn validation_split(mut self, fraction: f64) -> Self {
        self.validation.split = Some(fraction);
        self
    }
    /// Measured after each epoch; the results are named `val_…`.
    pub fn validation_data<S: Source + 'static>(mut self, data: &'a S) -> Self {
        self.validation.data = Some(Rows::new(data));
        self
    }
    /// Rows of a validation step (default: the batch size).
    pub fn validation_batch_size(mut self, rows: usize) -> Self {
        self.validation.batch_size = Some(rows);
        self
    }
    /// Validation ends after so many steps.
    pub fn validation_steps(mut self, steps: usize) -> Self {
        self.validation.steps = Some(steps);
        self
    }
    /// Validates every `n` epochs, or after the epochs of a list (counted from 1).
    pub fn validation_freq(mut self, freq: impl ValidationFreq) -> Self {
        self.validation.freq = freq.freq().0;
        self
    }
    /// How much the rows of each class count in the loss: `[(0, 1.0), (1, 5.0)]`. Classes not named count 1.
    pub fn class_weight(mut self, weights: impl IntoIterator<Item = (usize, f64)>) -> Self {
        self.class_weight = Some(weights.into_iter().collect());
        self
    }
    /// Adds a callback. Borrowed (`&mut early`) it can be read afterwards.
    pub fn callback(mut self, callback: impl Callback + 'a) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }
    /// 0: nothing; 1: a bar; 2: a line per epoch.
    pub fn verbose(mut self, verbosity: impl Into<Verbosity>) -> Self {
        self.verbosity = verbosity.into();
        self
    }
    /// Says nothing about likely mistakes. Otherwise each is said once, on standard error where nothing else is shown. The
    /// environment's `ADDAX_HINTS=off` does it for all.
    pub fn quiet_hints(mut self, quiet: bool) -> Self {
        self.quiet_hints = quiet;
        self
    }
    /// After how many steps within an epoch (default 1000, at least 1) to make another restore point, beside those at the beginning
    /// of training and of each epoch: a copy of weights, optimizer and counters on the host, for the case that the device is lost.
    /// Each costs reading them back once, and as much memory on the host; on a CPU, which cannot be lost, none is made.
    pub fn restore_every(mut self, steps: usize) -> Self {
        self.restore_every = steps.max(1);
        self
    }
    /// Ends the training from elsewhere; see [`StopHandle`].
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }
    /// The same with a handle that exists already.
    pub fn stop_with(mut self, stop: &StopHandle) -> Self {
        self.stop = stop.clone();
        self
    }
}

/// How to evaluate.
pub struct Evaluate<'a> {
    pub(crate) batch_size: usize,
    pub(crate) steps: Option<usize>,
    pub(crate) callbacks: Vec<Box<dyn Callback + 'a>>,
    pub(crate) verbosity: Verbosity,
    pub(crate) quiet_hints: bool,
}

/// Rows that are evaluated or predicted at once unless told otherwise. Nothing is kept for a backward pass, so a batch can
/// be larger than in training.
pub(crate) const INFERENCE_BATCH: usize = 128;

impl Default for Evaluate<'_> {
    fn default() -> Self {
        let (callbacks, verbosity) = (Vec::new(), Verbosity::Silent);
        Evaluate { batch_size: INFERENCE_BATCH, steps: None, callbacks, verbosity, quiet_hints: false }
    }
}

impl<'a> Evaluate<'a> {
    /// Silent, in batches of 128.
    pub fn new() -> Self {
        Self::default()
    }
    /// Rows of a step.
    pub fn batch_size(mut self, rows: usize) -> Self {
        self.batch_size = rows;
        self
    }
    /// Ends after so many steps.
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = Some(steps);
        self
    }
    /// Adds a callback.
    pub fn callback(mut self, callback: impl Callback + 'a) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }
    /// 0: nothing; 1: a bar; 2: a line.
    pub fn verbose(mut self, verbosity: impl Into<Verbosity>) -> Self {
        self.verbosity = verbosity.into();
        self
    }
    /// Says nothing about likely mistakes, as [`Fit::quiet_hints`].
    pub fn quiet_hints(mut self, quiet: bool) -> Self {
        self.quiet_hints = quiet;
        self
    }
}

/// How to predict.
///
/// ```
/// use addax::{layers::Dense, prelude::*};
/// let mut model = Sequential::new().input([3]).add(Dense::new(2).kernel_initializer("ones"));
/// let mut seen = Vec::new();
/// let watch = LambdaCallback::new().on_predict_batch_end(|_, logs, _| {
///     seen.push(logs.tensor("outputs")?.shape()?[0]);
///     Ok(())
/// });
/// let y = model.predict_with(&Array::zeros(DType::F32, [5, 3]), Predict::new().batch_size(2).callback(watch))?;
/// assert_eq!((y.rows(), seen), (5, vec![2, 2, 1]));
/// # Ok::<(), addax::Error>(())
/// ```
pub struct Predict<'a> {
    pub(crate) batch_size: usize,
    pub(crate) steps: Option<usize>,
    pub(crate) callbacks: Vec<Box<dyn Callback + 'a>>,
    pub(crate) verbosity: Verbosity,
}

impl Default for Predict<'_> {
    fn default() -> Self {
        Predict { batch_size: INFERENCE_BATCH, steps: None, callbacks: Vec::new(), verbosity: Verbosity::Silent }
    }
}

impl<'a> Predict<'a> {
    /// Silent, in batches of 128.
    pub fn new() -> Self {
        Self::default()
    }
    /// Rows of a step.
    pub fn batch_size(mut self, rows: usize) -> Self {
        self.batch_size = rows;
        self
    }
    /// Ends after so many steps, with the outputs so far.
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = Some(steps);
        self
    }
    /// Adds a callback.
    pub fn callback(mut self, callback: impl Callback + 'a) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }
    /// 0: nothing; 1: a bar; 2: a line.
    pub fn verbose(mut self, verbosity: impl Into<Verbosity>) -> Self {
        self.verbosity = verbosity.into();
        self
    }
}
