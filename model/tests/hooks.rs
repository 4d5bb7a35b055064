//! The order of hooks, stopping, and what callbacks can do with a model.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod common;

use addax::{callbacks::Direction, layers::Dense, prelude::*};
use common::{Paper, blobs, compiled, fixture, numbers};
use serde_json::{Value, json};
use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

/// Writes down every call: the hook, its number if it has one, the names in its logs, the shape of outputs.
#[derive(Clone, Default)]
struct Diary(Rc<RefCell<Vec<Value>>>);

impl Diary {
    fn note(&self, hook: &str, number: Option<usize>, logs: &Logs) -> addax::Result<()> {
        let mut entry = json!({"hook": hook});
        if let Some(number) = number {
            entry["number"] = number.into();
        }
        if !logs.is_empty() {
            // Keras has the names in the order of the alphabet, here the loss is the first.
            let names: BTreeSet<&str> = logs.keys().collect();
            entry["logs"] = names.into_iter().collect();
        }
        if logs.contains("outputs") {
            entry["outputs"] = logs.tensor("outputs")?.shape()?.to_vec().into();
        }
        self.0.borrow_mut().push(entry);
        Ok(())
    }
}

macro_rules! diary {
    (plain: $($plain:ident)*; numbered: $($numbered:ident)*) => {
        impl Callback for Diary {
            $(fn $plain(&mut self, logs: &mut Logs, _: &mut dyn Trainer) -> addax::Result<()> {
                self.note(stringify!($plain), None, logs)
            })*
            $(fn $numbered(&mut self, number: usize, logs: &mut Logs, t: &mut dyn Trainer) -> addax::Result<()> {
                assert!(t.steps_per_epoch().is_some());
                self.note(stringify!($numbered), Some(number), logs)
            })*
        }
    };
}
diary! {
    plain: on_train_begin on_train_end on_test_begin on_test_end on_predict_begin on_predict_end;
    numbered: on_epoch_begin on_epoch_end on_train_batch_begin on_train_batch_end on_test_batch_begin on_test_batch_end
        on_predict_batch_begin on_predict_batch_end
}

/// What real Keras called in this run.
fn keras(run: &str) -> Value {
    let golden = fixture("hooks.json");
    golden["runs"][run].clone()
}

#[test]
fn hooks_of_fit_come_in_keras_order() {
    let diary = Diary::default();
    let fit =
        Fit::epochs(2).batch_size(20).validation_split(0.25).validation_freq(2).verbose(0).callback(diary.clone());
    compiled().fit(&blobs(40, 1), fit).unwrap();
    assert_eq!(json!(*diary.0.borrow()), keras("fit")["calls"]);
}

#[test]
fn hooks_of_evaluate_come_in_keras_order() {
    for (run, how) in [("evaluate", Evaluate::new()), ("evaluate_steps", Evaluate::new().steps(2))] {
        let diary = Diary::default();
        compiled().evaluate_with(&blobs(40, 1), how.batch_size(16).callback(diary.clone())).unwrap();
        assert_eq!(json!(*diary.0.borrow()), keras(run)["calls"], "{run}");
    }
}

#[test]
fn hooks_of_predict_come_in_keras_order() {
    let data = blobs(40, 1);
    let whole = compiled().predict(&data).unwrap();
    let stopper = LambdaCallback::new().on_predict_batch_end(|batch, _, t| {
        if batch == 1 {
            t.stop();
        }
        Ok(())
    });
    let hows = [
        ("predict", Predict::new()),
        ("predict_steps", Predict::new().steps(2)),
        ("predict_stopped", Predict::new().callback(stopper)),
    ];
    for (run, how) in hows {
        let diary = Diary::default();
        let y = compiled().predict_with(&data, how.batch_size(16).callback(diary.clone())).unwrap();
        assert_eq!(json!(*diary.0.borrow()), keras(run)["calls"], "{run}");
        assert_eq!(json!(y.shape().to_vec()), keras(run)["result"], "{run}");
        // What was predicted is what `predict` gives, but for the rounding of products of other sizes.
        let (ours, all): (Vec<f32>, Vec<f32>) = (y.to_vec().unwrap(), whole.to_vec().unwrap());
        assert!(ours.iter().zip(&all).all(|(a, b)| (a - b).abs() < 1e-5), "{run}");
    }
}

#[test]
fn a_callback_of_predict_sees_the_outputs_and_the_bar_counts_steps() {
    let data = blobs(10, 1);
    let mut model = compiled();
    let paper = Paper::default();
    model.set_console(paper.console());
    let mut seen = Vec::new();
    let watch = LambdaCallback::new().on_predict_batch_end(|_, logs, _| {
        seen.extend(logs.tensor("outputs")?.to_vec::<f32>()?);
        Ok(())
    });
    let y = model.predict_with(&data, Predict::new().batch_size(4).verbose(2).callback(watch)).unwrap();
    assert_eq!(seen, y.to_vec::<f32>().unwrap());
    assert!(paper.text().starts_with("3/3 - 0s - "), "{}", paper.text());
    let none = model.predict_with(&data, Predict::new().steps(0)).unwrap_err().to_string();
    assert!(none.contains("steps is 0; give at least 1") && none.contains("hooks.rs:"), "{none}");
    let none = model.predict_with(&data, Predict::new().batch_size(0)).unwrap_err().to_string();
    assert!(none.contains("the batch size is 0"), "{none}");
    // A hook that fails ends the prediction.
    let fails = LambdaCallback::new().on_predict_batch_begin(|_, _, _| Err(addax::Error::data("enough")));
    assert!(model.predict_with(&data, Predict::new().callback(fails)).unwrap_err().to_string().contains("enough"));
}

#[test]
fn a_stop_handle_ends_the_training_and_keeps_its_history() {
    let data = blobs(64, 1);
    let fit = Fit::epochs(100).batch_size(32).verbose(0);
    let stop = fit.stop_handle();
    let stopper = LambdaCallback::new().on_epoch_end(move |epoch, _, _| {
        if epoch == 2 {
            stop.stop();
        }
        Ok(())
    });
    let mut model = compiled();
    let history = model.fit(&data, fit.callback(stopper)).unwrap();
    assert_eq!(history.epochs(), [0, 1, 2]);
    // The model goes on as if nothing had happened.
    assert_eq!(model.fit(&data, Fit::epochs(1).verbose(0)).unwrap().epochs(), [0]);
}

#[test]
fn a_handle_stops_from_another_thread() {
    let fit = Fit::epochs(1_000_000).verbose(0);
    let stop = fit.stop_handle();
    let (begun, waiting) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        waiting.recv().unwrap();
        stop.stop();
    });
    let teller = LambdaCallback::new().on_epoch_end(move |_, _, _| {
        // After the first word nobody listens any more.
        let _ = begun.send(());
        Ok(())
    });
    let history = compiled().fit(&blobs(64, 1), fit.callback(teller)).unwrap();
    thread.join().unwrap();
    assert!(!history.epochs().is_empty() && history.epochs().len() < 1_000_000);
}

#[test]
fn early_stopping_brings_the_best_weights_back() {
    let data = blobs(60, 1);
    let mut best = Vec::new();
    let keeper = LambdaCallback::new().on_epoch_end(|epoch, _, t| {
        if epoch == 1 {
            best = t.weights()?;
        }
        // From here on it gets worse.
        t.set_learning_rate(if epoch == 0 { 0.01 } else { -10.0 })
    });
    let mut early = EarlyStopping::new("loss").patience(1).restore_best_weights(true);
    let mut model = compiled();
    let history = model.fit(&data, Fit::epochs(50).seed(1).verbose(0).callback(keeper).callback(&mut early)).unwrap();
    assert!(early.stopped_epoch.is_some(), "{history}");
    assert_eq!(early.best_epoch, Some(1), "{history}");
    let best: Vec<Vec<f32>> = best.iter().map(|(_, w)| w.to_vec().unwrap()).collect();
    assert_eq!(numbers(&model), best);
}

#[test]
fn a_loss_that_is_no_number_ends_the_training() {
    let mut model = Sequential::new().input([4]).add(Dense::new(1)).seed(1);
    model.compile(Compile::new(SGD::new(1e30)).loss("mse")).unwrap();
    let data = Dataset::new(blobs(40, 1).x().into_owned(), Array::zeros(DType::F32, [40, 1])).unwrap();
    let mut nan = TerminateOnNaN::new();
    let history = model.fit(&data, Fit::epochs(50).batch_size(10).verbose(0).callback(&mut nan)).unwrap();
    assert!(nan.stopped_at.is_some() && history.epochs().len() < 50, "{history}");
}

#[test]
fn a_callback_can_predict_and_evaluate_without_disturbing_the_metrics() {
    let data = blobs(60, 1);
    let run = |nosy: bool| {
        let (x, y) = (data.x().into_owned(), data.y().unwrap().into_owned());
        let look = LambdaCallback::new().on_train_batch_end(move |_, _, t| {
            if nosy {
                assert_eq!(t.predict(&x)?.shape().dims(), [60, 3]);
                assert!(t.evaluate(std::slice::from_ref(&x), std::slice::from_ref(&y))?.get("loss")? > 0.0);
                assert_eq!(t.metric_direction("accuracy"), Some(Direction::Max));
                assert_eq!(t.metric_direction("unknown"), None);
            }
            Ok(())
        });
        let mut model = compiled();
        let history = model.fit(&data, Fit::epochs(2).seed(1).validation_split(0.2).verbose(0).callback(look)).unwrap();
        (history.to_json(), numbers(&model))
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn steps_per_epoch_goes_on_where_the_last_epoch_stopped() {
    let data = blobs(40, 1);
    let history = compiled().fit(&data, Fit::epochs(3).batch_size(8).steps_per_epoch(3).verbose(0)).unwrap();
    assert_eq!((history.epochs().len(), history.params().steps), (3, Some(3)));
    // Without a batch size the rows are cut into so many batches.
    let count = Rc::new(RefCell::new(0));
    let counted = count.clone();
    let counter = LambdaCallback::new().on_train_batch_end(move |_, _, _| {
        *counted.borrow_mut() += 1;
        Ok(())
    });
    compiled().fit(&data, Fit::epochs(1).steps_per_epoch(3).verbose(0).callback(counter)).unwrap();
    assert_eq!(*count.borrow(), 3);
}

#[test]
fn batches_one_by_one_train_as_fit_does() {
    let data = blobs(64, 1);
    let (mut by_fit, mut by_hand) = (compiled(), compiled());
    let history = by_fit.fit(&data, Fit::epochs(1).batch_size(32).shuffle(false).verbose(0)).unwrap();
    let mut last = Logs::new();
    for batch in data::Batches::new(32).over(&data, 0).unwrap() {
        let batch = batch.unwrap();
        last = by_hand.train_on_batch(&batch.x, batch.y.as_ref().unwrap(), None).unwrap();
    }
    assert_eq!(numbers(&by_fit), numbers(&by_hand));
    assert_eq!(history.last("loss").unwrap(), last.get("loss").unwrap());
    let (x, y) = (data.x(), data.y().unwrap());
    let tested = by_hand.test_on_batch(&x, &y, None).unwrap();
    assert!((tested.get("loss").unwrap() - by_fit.evaluate(&data).unwrap().get("loss").unwrap()).abs() < 1e-6);
    assert_eq!(by_hand.predict_on_batch(&x).unwrap().rows(), 64);
}
