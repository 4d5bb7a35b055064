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
    pub(crate) common: Common<'a>,
    pub(crate) epochs: usize,
    pub(crate) initial_epoch: usize,
    pub(crate) shuffle: bool,
    pub(crate) seed: Option<u64>,
    pub(crate) validation: Validation<'a>,
    pub(crate) class_weight: Option<BTreeMap<usize, f64>>,
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
            common: Common::new(Verbosity::Auto),
            epochs,
            initial_epoch: 0,
            shuffle: true,
            seed: None,
            validation,
            class_weight: None,
            stop: StopHandle::default(),
            restore_every: 1000,
        }
    }
    /// The number to call the first epoch by, when a training goes on; epochs count from 0.
    pub fn initial_epoch(mut self, epoch: usize) -> Self {
        self.initial_epoch = epoch;
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
    /// Says nothing about likely mistakes. Otherwise each is said once, on standard error where nothing else is shown. The
    /// environment's `ADDAX_HINTS=off` does it for all.
    pub fn quiet_hints(mut self, quiet: bool) -> Self {
        self.common.quiet_hints = quiet;
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
    pub(crate) common: Common<'a>,
}

impl Default for Evaluate<'_> {
    fn default() -> Self {
        Evaluate { common: Common::new(Verbosity::Silent) }
    }
}

impl Evaluate<'_> {
    /// Silent, in batches of 128.
    pub fn new() -> Self {
        Self::default()
    }
    /// Says nothing about likely mistakes, as [`Fit::quiet_hints`].
    pub fn quiet_hints(mut self, quiet: bool) -> Self {
        self.common.quiet_hints = quiet;
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
    pub(crate) common: Common<'a>,
}

impl Default for Predict<'_> {
    fn default() -> Self {
        Predict { common: Common { quiet_hints: true, ..Common::new(Verbosity::Silent) } }
    }
}

impl Predict<'_> {
    /// Silent, in batches of 128.
    pub fn new() -> Self {
        Self::default()
    }
}

/// Rows that are evaluated or predicted at once unless told otherwise. Nothing is kept for a backward pass, so a batch can
/// be larger than in training.
pub(crate) const INFERENCE_BATCH: usize = 128;

/// What each of them can be told.
pub(crate) struct Common<'a> {
    pub batch_size: Option<usize>,
    /// Of an epoch, where there are epochs.
    pub steps: Option<usize>,
    pub callbacks: Vec<Box<dyn Callback + 'a>>,
    pub verbosity: Verbosity,
    pub quiet_hints: bool,
}

impl Common<'_> {
    fn new(verbosity: Verbosity) -> Self {
        Common { batch_size: None, steps: None, callbacks: Vec::new(), verbosity, quiet_hints: false }
    }
}

/// The methods that tell it. Steps have the name and the meaning that Keras gives them there.
macro_rules! common_methods {
    ($options:ident, $batch:literal, $(#[$doc:meta])* $steps:ident) => {
        impl<'a> $options<'a> {
            #[doc = concat!("Rows of a step (default ", $batch, ").")]
            pub fn batch_size(mut self, rows: usize) -> Self {
                self.common.batch_size = Some(rows);
                self
            }
            $(#[$doc])*
            pub fn $steps(mut self, steps: usize) -> Self {
                self.common.steps = Some(steps);
                self
            }
            /// Adds a callback. Borrowed (`&mut early`) it can be read afterwards.
            pub fn callback(mut self, callback: impl Callback + 'a) -> Self {
                self.common.callbacks.push(Box::new(callback));
                self
            }
            /// 0: nothing; 1: a bar; 2: a line, per epoch where there are epochs.
            pub fn verbose(mut self, verbosity: impl Into<Verbosity>) -> Self {
                self.common.verbosity = verbosity.into();
                self
            }
        }
    };
}
common_methods! {
    Fit, "32",
    /// An epoch ends after so many steps. Without a batch size, rows in memory are cut into so many batches.
    steps_per_epoch
}
common_methods! {
    Evaluate, "128",
    /// Ends after so many steps.
    steps
}
common_methods! {
    Predict, "128",
    /// Ends after so many steps, with the outputs so far.
    steps
}
