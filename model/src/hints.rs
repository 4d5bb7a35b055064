//! Guard rails: likely mistakes, each said once in plain words. They never change what is computed.

use crate::{
    check::{Labels, numbers},
    model::Model,
};
use addax_callbacks::{Console, History, Verbosity};
use addax_data::Dataset;
use addax_layers::own_weights;
use addax_tensor::Array;
use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hasher},
    sync::{Mutex, PoisonError},
};

/// What was said already, and what is needed to find mistakes later.
#[derive(Default)]
pub(crate) struct Hints {
    said: Mutex<HashSet<&'static str>>,
    /// Marks of the rows that trainings were validated with.
    validated: HashSet<RowsMark>,
}

/// Who hears what a run has to say.
#[derive(Clone)]
pub(crate) struct Voice {
    /// Hears how the run goes, unless it is silent.
    pub console: Console,
    /// Hears hints, also those of a silent run; `None` if nobody wants them.
    hints: Option<Console>,
}

impl Voice {
    /// That of a run: the console that was chosen, else standard output. Hints of a silent run without a chosen console go to
    /// standard error.
    pub fn new(chosen: Option<&Console>, verbosity: Verbosity, quiet: bool) -> Voice {
        let silent = verbosity == Verbosity::Silent;
        let off = std::env::var("ADDAX_HINTS").is_ok_and(|v| matches!(v.as_str(), "off" | "0" | "false"));
        let open = chosen.cloned().unwrap_or_else(if silent { Console::stderr } else { Console::stdout });
        let hints = (!quiet && !off).then(|| open.clone());
        Voice { console: if silent { Console::silent() } else { open }, hints }
    }
    /// That of a run that nobody hears of.
    pub fn none() -> Voice {
        Voice { console: Console::silent(), hints: None }
    }
}

/// What tells rows from others: their number, and a sum over hashes of all of them, whatever their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct RowsMark {
    rows: usize,
    sum: u64,
}

impl RowsMark {
    /// Adds the rows of a batch.
    pub fn add(&mut self, x: &Array) {
        for row in x.bytes().chunks(x.row_bytes().max(1)) {
            let mut hasher = DefaultHasher::new();
            hasher.write(row);
            self.sum = self.sum.wrapping_add(hasher.finish());
        }
        self.rows += x.rows();
    }
}

impl Hints {
    /// Says it once. What nobody hears does not count as said.
    fn say(&self, voice: &Voice, what: &'static str, text: &str) {
        let Some(console) = &voice.hints else { return };
        if self.said.lock().unwrap_or_else(PoisonError::into_inner).insert(what) {
            tracing::warn!(hint = what, "{text}");
            console.line(&format!("hint: {text}"));
        }
    }
}

/// Larger numbers than this are rarely what a first layer should see.
const UNSCALED: f64 = 30.0;

impl Model {
    /// Looks at the model, the loss and the first batch before training.
    pub(crate) fn hint_before(&self, x: &Array, voice: &Voice) {
        self.hint_scale(x, voice);
        self.hint_logits(voice);
        self.hint_trainable(voice);
    }

    fn hint_scale(&self, x: &Array, voice: &Voice) {
        // Whatever stands before the first weights may scale.
        for layer in &self.chain.layers {
            let class = layer.class_name();
            if ["Rescaling", "Embedding"].contains(&class) || class.ends_with("Normalization") {
                return;
            }
            if !own_weights(&**layer).is_empty() || !addax_layers::children(&**layer).is_empty() {
                break;
            }
        }
        let largest = numbers(x).unwrap_or_default().into_iter().fold(0.0, |most: f64, v| most.max(v.abs()));
        if largest > UNSCALED {
            let example = if largest <= 255.0 { "`Rescaling::new(1.0 / 255.0)`" } else { "`Normalization`" };
            self.hints.say(
                voice,
                "scale",
                &format!(
                    "the inputs reach {largest}, and nothing scales them; networks learn best from numbers around -1 to 1. \
                     Begin the model with {example}"
                ),
            );
        }
    }

    fn hint_logits(&self, voice: &Voice) {
        let (Some(compiled), Some(last)) = (&self.compiled, self.chain.layers.last()) else { return };
        let Some(loss) = &compiled.loss else { return };
        let config = loss.config();
        let from_logits = config.pointer("/config/from_logits").and_then(|v| v.as_bool()).unwrap_or(false);
        let wanted = match loss.class_name() {
            "SparseCategoricalCrossentropy" | "CategoricalCrossentropy" => "softmax",
            "BinaryCrossentropy" => "sigmoid",
            _ => return,
        };
        let settings = last.config().unwrap_or_default();
        let activation = match last.class_name() {
            "Softmax" => "softmax",
            _ => settings.get("activation").and_then(|v| v.as_str()).unwrap_or("linear"),
        };
        let ends_in_dense = matches!(last.class_name(), "Dense" | "Softmax" | "Activation");
        if from_logits && matches!(activation, "softmax" | "sigmoid") {
            let text = format!(
                "the model ends in {activation}, and the loss expects logits: {activation} is applied twice. Take the \
                 activation away, or the loss without `from_logits`"
            );
            self.hints.say(voice, "logits", &text);
        } else if !from_logits && ends_in_dense && activation == "linear" {
            let text = format!(
                "the model ends without activation, and the loss expects probabilities. Use the loss with `from_logits()`, or \
                 end in `.activation(\"{wanted}\")`"
            );
            self.hints.say(voice, "logits", &text);
        }
    }

    fn hint_trainable(&self, voice: &Voice) {
        let (Some(compiled), Ok(now)) = (&self.compiled, self.trainable()) else { return };
        let rest = compiled.trained.iter().filter(|v| !now.contains(v)).count();
        let late = now.iter().filter(|v| !compiled.trained.contains(v)).count();
        if rest + late > 0 {
            let text = format!(
                "layers were frozen or unfrozen after `compile`: {rest} weights now rest, {late} wait to be trained until you \
                 call `compile` again"
            );
            self.hints.say(voice, "trainable", &text);
        }
    }

    /// Looks at the history after an epoch.
    pub(crate) fn hint_after_epoch(&self, history: &History, voice: &Voice) {
        let (Ok(train), Ok(val)) = (history.get("loss"), history.get("val_loss")) else { return };
        let last = |series: &[f64]| -> Option<[f64; 4]> { series.last_chunk::<4>().copied() };
        let (Some(train), Some(val)) = (last(train), last(val)) else { return };
        let falls = train.windows(2).all(|w| w[1] < w[0]);
        let rises = val.windows(2).all(|w| w[1] > w[0]);
        if falls && rises {
            self.hints.say(
                voice,
                "gap",
                "the training loss falls while the validation loss has risen for three epochs: the model learns its rows by \
                 heart. `EarlyStopping`, `Dropout`, weight decay or more data help",
            );
        }
    }

    /// Compares the classes of rows that were split off with those that are left.
    pub(crate) fn hint_sorted(&self, train: &Dataset, held_out: &Dataset, voice: &Voice) {
        let classes = matches!(self.labels(), Ok(Labels::Classes { .. }));
        let labels = |data: &Dataset| data.y().and_then(|y| numbers(&y).ok()).unwrap_or_default();
        if !classes {
            return;
        }
        let known: HashSet<u64> = labels(train).into_iter().map(f64::to_bits).collect();
        if let Some(new) = labels(held_out).into_iter().find(|label| !known.contains(&label.to_bits())) {
            let text = format!(
                "validation_split keeps the last rows, and class {new} is among them alone: the rows seem to be sorted. Shuffle \
                 them first (`data.shuffled(1)`), or split with `stratified_split`"
            );
            self.hints.say(voice, "sorted", &text);
        }
    }
    /// Remembers which rows chose the epoch.
    pub(crate) fn note_validation(&mut self, mark: RowsMark) {
        self.hints.validated.insert(mark);
    }
    /// Whether there is anything to compare the rows of an evaluation with.
    pub(crate) fn was_validated(&self) -> bool {
        !self.hints.validated.is_empty()
    }
    /// Compares rows that were evaluated with those of validations.
    pub(crate) fn hint_test_rows(&self, mark: RowsMark, voice: &Voice) {
        if self.hints.validated.contains(&mark) {
            self.hints.say(
                voice,
                "test",
                "these rows were the validation data of `fit`; if they chose the epoch or the settings, this result flatters. \
                 Keep rows for a last test",
            );
        }
    }
}
