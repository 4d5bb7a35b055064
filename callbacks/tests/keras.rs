//! What Keras' own callbacks did over the same metrics (`make_fixtures.py` writes the fixtures).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use addax_callbacks::{
    CSVLogger, CallbackList, EarlyStopping, LambdaCallback, Logs, ModelCheckpoint, ReduceLROnPlateau, Rehearsal,
    Trainer, logs,
};
use serde_json::Value as Json;
use std::{cell::RefCell, collections::BTreeMap};

fn cases(file: &str) -> Vec<Json> {
    let path = format!("{}/tests/fixtures/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let cases: Vec<Json> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(!cases.is_empty());
    cases
}

/// A number, NaN if null.
fn number(json: &Json) -> f64 {
    if json.is_null() { f64::NAN } else { json.as_f64().unwrap() }
}

fn count(json: &Json) -> usize {
    json.as_u64().unwrap().try_into().unwrap()
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

fn epochs(case: &Json, name: &str) -> Vec<Logs> {
    case["values"].as_array().unwrap().iter().map(|v| logs! { name => number(v) }).collect()
}

#[test]
fn early_stopping_goes_through_the_states_of_keras() {
    for case in cases("early_stopping") {
        let args = &case["args"];
        let mut early = EarlyStopping::new("val_loss")
            .min_delta(number(&args["min_delta"]))
            .patience(count(&args["patience"]))
            .mode(args["mode"].as_str().unwrap())
            .restore_best_weights(args["restore_best_weights"].as_bool().unwrap())
            .start_from_epoch(count(&args["start_from_epoch"]));
        if let Some(baseline) = args["baseline"].as_f64() {
            early = early.baseline(baseline);
        }
        let mut training = Rehearsal::new(epochs(&case, "val_loss"));
        training.run(&mut early).unwrap();
        let states = case["states"].as_array().unwrap();
        let last = states.last().unwrap();
        assert_eq!(training.history().epochs().len(), states.len(), "{case}");
        assert_eq!(early.stopped_epoch, case["stopped"].as_u64().map(|e| e as usize), "{case}");
        assert_eq!(early.wait, count(&last[0]), "{case}");
        match early.best {
            // Keras says 0 for the best epoch while there is none.
            None => assert!(last[2] == true && early.best_epoch.is_none(), "{case}"),
            Some(best) => {
                assert!(last[2] == false && same(best, number(&last[1])), "{case}");
                assert_eq!(early.best_epoch, Some(count(&last[3])), "{case}");
            }
        }
        let weights = training.weights().unwrap()[0].1.to_vec::<f32>().unwrap();
        assert_eq!(weights, [number(&case["weights"]) as f32], "{case}");
    }
}

#[test]
fn reduce_lr_on_plateau_goes_through_the_states_of_keras() {
    for case in cases("reduce_lr") {
        let args = &case["args"];
        let states = case["states"].as_array().unwrap();
        // Each prefix of the metrics, so that the state after each epoch is seen.
        for end in 1..=states.len() {
            let mut reduce = ReduceLROnPlateau::new("val_loss")
                .factor(number(&args["factor"]))
                .patience(count(&args["patience"]))
                .mode(args["mode"].as_str().unwrap())
                .min_delta(number(&args["min_delta"]))
                .cooldown(count(&args["cooldown"]))
                .min_lr(number(&args["min_lr"]));
            let mut training = Rehearsal::new(epochs(&case, "val_loss").into_iter().take(end)).with_learning_rate(1.0);
            training.run(&mut reduce).unwrap();
            let state = &states[end - 1];
            assert_eq!((reduce.wait, reduce.cooldown_counter), (count(&state[0]), count(&state[1])), "{end} {case}");
            assert!(same(reduce.best.unwrap(), number(&state[2])), "{end} {case}");
            // The rates are single-precision numbers, but the JSON reader may miss the last bit of a double.
            let rates = [training.history().last("learning_rate").unwrap(), training.learning_rate().unwrap()];
            assert_eq!(rates.map(|r| r as f32), [&state[3], &state[4]].map(|r| number(r) as f32), "{end} {case}");
        }
    }
}

#[test]
fn model_checkpoint_writes_the_files_of_keras() {
    let dir = std::env::temp_dir().join(format!("addax-keras-checkpoint-{}", std::process::id()));
    for case in cases("checkpoint") {
        let args = &case["args"];
        let mut checkpoint = ModelCheckpoint::new(dir.join(case["path"].as_str().unwrap()))
            .monitor("loss")
            .save_best_only(args["save_best_only"].as_bool().unwrap())
            .mode(args["mode"].as_str().unwrap());
        checkpoint = match args["save_freq"].as_u64() {
            Some(batches) => checkpoint.save_freq(batches as usize),
            None => checkpoint.save_freq(args["save_freq"].as_str().unwrap()),
        };
        if let Some(threshold) = args["initial_value_threshold"].as_f64() {
            checkpoint = checkpoint.initial_value_threshold(threshold);
        }
        std::fs::create_dir_all(&dir).unwrap();
        Rehearsal::new(epochs(&case, "loss")).with_steps(count(&case["steps"])).run(&mut checkpoint).unwrap();
        let saved = case["saved"].as_array().unwrap().iter();
        let expected: BTreeMap<String, String> =
            saved.map(|s| (s[1].as_str().unwrap().into(), format!("model of epoch {}\n", s[0]))).collect();
        let files = std::fs::read_dir(&dir).unwrap().map(|f| f.unwrap().path());
        let written: BTreeMap<String, String> = files
            .map(|f| (f.file_name().unwrap().to_str().unwrap().into(), std::fs::read_to_string(f).unwrap()))
            .collect();
        assert_eq!(written, expected, "{case}");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

#[test]
fn csv_logger_writes_the_text_of_keras() {
    let file = std::env::temp_dir().join(format!("addax-keras-csv-{}", std::process::id()));
    for case in cases("csv_logger") {
        let epochs: Vec<Logs> = case["epochs"].as_array().unwrap().iter().map(logs_of).collect();
        for append in [false, true] {
            let mut csv = CSVLogger::new(&file).separator(case["separator"].as_str().unwrap()).append(append);
            Rehearsal::new(epochs.clone()).run(&mut csv).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), case["text"].as_str().unwrap());
    }
    std::fs::remove_file(&file).unwrap();
}

fn logs_of(epoch: &Json) -> Logs {
    let values = epoch.as_array().unwrap().iter();
    values.map(|v| (v[0].as_str().unwrap(), v[1].as_str().unwrap().parse::<f64>().unwrap())).collect()
}

/// Keras' order of hooks in `fit`, as its documentation and source give it.
#[test]
fn hooks_come_in_the_order_of_keras() {
    let seen = RefCell::new(Vec::new());
    let note = |text: String| {
        seen.borrow_mut().push(text);
        Ok(())
    };
    let mut list = CallbackList::new();
    list.push(
        LambdaCallback::new()
            .on_train_begin(|logs, _| note(format!("train_begin {logs}")))
            .on_train_end(|logs, _| note(format!("train_end {logs}")))
            .on_epoch_begin(|epoch, logs, _| note(format!("epoch_begin {epoch} {logs}")))
            .on_epoch_end(|epoch, logs, _| note(format!("epoch_end {epoch} {logs}")))
            .on_train_batch_begin(|batch, logs, _| note(format!("train_batch_begin {batch} {logs}")))
            .on_train_batch_end(|batch, logs, _| note(format!("train_batch_end {batch} {logs}")))
            .on_test_begin(|logs, _| note(format!("test_begin {logs}")))
            .on_test_end(|logs, _| note(format!("test_end {logs}")))
            .on_test_batch_begin(|batch, logs, _| note(format!("test_batch_begin {batch} {logs}")))
            .on_test_batch_end(|batch, logs, _| note(format!("test_batch_end {batch} {logs}"))),
    );
    let epochs = [0.5, 0.25].map(|loss| logs! { "loss" => loss, "val_loss" => loss });
    Rehearsal::new(epochs).with_steps(2).run(list).unwrap();
    let mut expected = vec!["train_begin ".to_string()];
    for (epoch, loss) in ["loss: 0.5000", "loss: 0.2500"].iter().enumerate() {
        expected.push(format!("epoch_begin {epoch} "));
        for batch in 0..2 {
            expected.extend([format!("train_batch_begin {batch} "), format!("train_batch_end {batch} {loss}")]);
        }
        expected.extend(["test_begin ".into(), "test_batch_begin 0 ".into()]);
        expected.extend([format!("test_batch_end 0 {loss}"), format!("test_end {loss}")]);
        expected.push(format!("epoch_end {epoch} {loss} - val_{loss}"));
    }
    expected.push("train_end loss: 0.2500 - val_loss: 0.2500".into());
    assert_eq!(*seen.borrow(), expected);
}
