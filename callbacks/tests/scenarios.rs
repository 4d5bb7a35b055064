//! Callbacks at work together, and what they say when something is wrong.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use addax_callbacks::{
    CSVLogger, Callback, CallbackList, Console, Direction, EarlyStopping, Error, History, LambdaCallback,
    LearningRateScheduler, Logs, ModelCheckpoint, ProgressBar, ReduceLROnPlateau, Rehearsal, Result, TerminateOnNaN,
    Trainer, Value, logs,
};
use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, Mutex},
};

/// What a console showed.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}
impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn losses<const N: usize>(losses: [f64; N]) -> [Logs; N] {
    losses.map(|loss| logs! { "loss" => loss, "val_loss" => loss })
}

/// An empty folder of this test.
fn folder(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("addax-callbacks-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

fn refusal(callback: impl Callback) -> String {
    let mut training = Rehearsal::new(losses([1.0]));
    let error = training.run(callback).unwrap_err().to_string();
    assert!(training.history().epochs().is_empty(), "refused before the first epoch");
    error
}

#[test]
fn bad_arguments_are_refused_when_training_begins() {
    for (error, expected) in [
        (
            refusal(EarlyStopping::new("val_loss").mode("up")),
            "EarlyStopping: mode is \"auto\", \"min\" or \"max\", got \"up\"",
        ),
        (
            refusal(EarlyStopping::new("val_loss").min_delta(f64::NAN)),
            "EarlyStopping: min_delta must be a finite number",
        ),
        (refusal(EarlyStopping::new("val_loss").baseline(f64::NAN)), "EarlyStopping: baseline must be a number"),
        (refusal(ReduceLROnPlateau::new("val_loss").factor(1.0)), "factor must be at least 0 and below 1, got 1"),
        (
            refusal(ReduceLROnPlateau::new("val_loss").factor(f64::NAN)),
            "factor must be at least 0 and below 1, got NaN",
        ),
        (refusal(ReduceLROnPlateau::new("val_loss").min_lr(-1.0)), "min_lr must be at least 0, got -1"),
        (refusal(ModelCheckpoint::new("m-{epoch.keras")), "`{` without `}`"),
        (
            refusal(ModelCheckpoint::new("m.keras").save_freq(0)),
            "save_freq is \"epoch\" or a number of batches above 0, got 0",
        ),
        (refusal(ModelCheckpoint::new("m.keras").save_freq(-3)), "got -3"),
        (refusal(ModelCheckpoint::new("m.keras").save_freq("batch")), "got \"batch\""),
        (refusal(CSVLogger::new("log.csv").separator("")), "separator must be one character, got \"\""),
        (refusal(CSVLogger::new("no/such/folder/log.csv")), "CSVLogger: opening no/such/folder/log.csv: "),
        (refusal(LearningRateScheduler::new(|_, _| f64::NAN)), "the schedule returned NaN for epoch 0"),
    ] {
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_rate_that_follows_a_schedule_is_refused_at_once() {
    let mut training = Rehearsal::new(losses([1.0, 1.0])).with_schedule();
    let error = training.run(ReduceLROnPlateau::new("val_loss")).unwrap_err().to_string();
    assert_eq!(error, "the learning rate follows a schedule and cannot be set");
    assert!(training.history().epochs().is_empty());
}

#[test]
fn a_typing_slip_in_monitor_is_told() {
    let epochs = [0.5, 0.6].map(|a| logs! { "loss" => 1.0, "val_accuracy" => a });
    let mut training = Rehearsal::new(epochs).with_direction("accuracy", Direction::Max);
    let error = training.run(EarlyStopping::new("val_acuracy")).unwrap_err().to_string();
    let expected = "EarlyStopping: no log \"val_acuracy\" to monitor; did you mean \"val_accuracy\"? \
                    The logs are: loss, val_accuracy";
    assert_eq!(error, expected);
    let mut early = EarlyStopping::new("val_accuracy");
    training.run(&mut early).unwrap();
    assert_eq!(early.best, Some(0.6));
}

#[test]
fn used_again_a_callback_starts_anew_but_the_best_checkpoint_stays() {
    let dir = folder("again");
    let mut early = EarlyStopping::new("val_loss").patience(1);
    let mut best = ModelCheckpoint::new(dir.join("best.keras")).save_best_only(true);
    for (first, stopped, written) in [(0.5, Some(2), "model of epoch 1\n"), (0.7, Some(2), "model of epoch 1\n")] {
        let mut list = CallbackList::new();
        list.push(&mut early);
        list.push(&mut best);
        Rehearsal::new(losses([first, first - 0.125, 0.9, 0.0])).run(list).unwrap();
        assert_eq!(early.stopped_epoch, stopped);
        assert_eq!(early.best, Some(first - 0.125));
        assert_eq!(best.best, Some(0.375));
        assert_eq!(fs::read_to_string(dir.join("best.keras")).unwrap(), written);
    }
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_checkpoint_that_cannot_be_written_does_not_end_training() {
    let dir = folder("full");
    let path = dir.join("models/best.keras");
    let mut best = ModelCheckpoint::new(&path).save_best_only(true);
    let (models, away) = (dir.join("models"), dir.join("away"));
    let mut list = CallbackList::new();
    list.push(LambdaCallback::new().on_epoch_begin(|epoch, _, _| {
        // For one epoch a file stands where the folder was.
        if epoch == 1 {
            fs::rename(&models, &away).unwrap();
            fs::write(&models, "").unwrap();
        }
        if epoch == 2 {
            fs::remove_file(&models).unwrap();
            fs::rename(&away, &models).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "model of epoch 0\n");
        }
        Ok(())
    }));
    list.push(&mut best);
    let paper = Paper::default();
    let mut training = Rehearsal::new(losses([0.5, 0.25, 0.375, 0.4])).with_console(Console::new(paper.clone(), false));
    training.run(list).unwrap();
    assert_eq!(training.history().epochs().len(), 4);
    assert_eq!(paper.text().matches("best.keras was not written").count(), 1, "{}", paper.text());
    assert_eq!(best.failures().len(), 1);
    assert_eq!((best.failures()[0].epoch, &best.failures()[0].path), (1, &path));
    let note = &training.history().notes()[0];
    assert!(note.epoch == Some(1) && note.text.contains("best.keras was not written"), "{note:?}");
    // What was lost is not the best: the next better than what is on disk is saved.
    assert_eq!(best.best, Some(0.375));
    assert_eq!(fs::read_to_string(&path).unwrap(), "model of epoch 2\n");
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_path_that_makes_no_sense_ends_training() {
    let dir = folder("senseless");
    for (path, expected) in [
        ("m-{acc:.2f}.keras", "no log for {acc} in the path. The logs are: loss, val_loss"),
        ("m-{batch}.keras", "{batch} in a path needs save_freq in batches"),
        ("m", "no format is known for"),
    ] {
        let error = Rehearsal::new(losses([1.0])).run(ModelCheckpoint::new(dir.join(path))).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn weights_alone_and_a_missing_metric_are_saved_as_in_keras() {
    let dir = folder("weights");
    let mut checkpoint = ModelCheckpoint::new(dir.join("w.weights.h5")).save_weights_only(true).save_best_only(true);
    let mut training = Rehearsal::new([0.5, 0.5].map(|loss| logs! { "loss" => loss }));
    training.run(&mut checkpoint).unwrap();
    assert_eq!(fs::read_to_string(dir.join("w.weights.h5")).unwrap(), "weights of epoch 1\n");
    assert_eq!(checkpoint.best, None);
    assert_eq!(training.history().notes().len(), 1);
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn nan_stops_training_or_fails_it() {
    let epochs = || losses([1.0, f64::INFINITY, 1.0]);
    let mut nan = TerminateOnNaN::new();
    let mut training = Rehearsal::new(epochs()).with_steps(3);
    training.run(&mut nan).unwrap();
    assert_eq!((nan.stopped_at, training.history().epochs()), (Some((1, 0)), [0, 1].as_slice()));
    let error = Rehearsal::new(epochs()).run(TerminateOnNaN::new().raise_error(true)).unwrap_err().to_string();
    assert!(error.starts_with("the loss is inf at batch 0 of epoch 2"), "{error}");
}

#[test]
fn nan_is_found_in_losses_that_come_late() {
    // These values are ready only when somebody waits for them.
    let mut nan = TerminateOnNaN::new();
    let mut training = Rehearsal::new([]);
    nan.on_train_begin(&mut Logs::new(), &mut training).unwrap();
    nan.on_epoch_begin(0, &mut Logs::new(), &mut training).unwrap();
    for batch in 0..40 {
        let loss = if batch < 5 { 1.0 } else { f64::NAN };
        let mut logs = logs! { "loss" => Value::waiting(move || Ok(loss)) };
        nan.on_train_batch_end(batch, &mut logs, &mut training).unwrap();
        assert_eq!(nan.stopped_at.is_some(), batch >= 5 + 16, "batch {batch}");
    }
    assert!(training.stopped());
    assert_eq!(nan.stopped_at, Some((0, 5)));

    let mut nan = TerminateOnNaN::new();
    let lost = logs! { "loss" => Value::waiting(|| Err(Error::device("the device was lost"))) };
    assert!(Rehearsal::new([lost]).with_steps(17).run(&mut nan).is_err());
    Rehearsal::new(losses([1.0])).run(&mut nan).unwrap();
    assert_eq!(nan.stopped_at, None, "a run that failed leaves nothing behind");

    let mut nan = TerminateOnNaN::new();
    Rehearsal::new([logs! { "loss" => Value::waiting(|| Ok(f64::NAN)) }, logs! {}]).run(&mut nan).unwrap();
    assert_eq!(nan.stopped_at, Some((0, 0)), "found before the epoch ends");
}

#[test]
fn a_callback_may_add_logs_for_those_after_it() {
    let mut csv = History::default();
    let mut list = CallbackList::new();
    list.push(LambdaCallback::new().on_epoch_end(|epoch, logs, _| {
        logs.insert("squares", (epoch * epoch) as f64);
        Ok(())
    }));
    list.push(&mut csv);
    let mut training = Rehearsal::new(losses([1.0, 0.5, 0.25]));
    training.run(list).unwrap();
    assert_eq!(csv.get("squares").unwrap(), [0.0, 1.0, 4.0]);
    assert_eq!(training.history().get("squares").unwrap(), [0.0, 1.0, 4.0]);
}

#[test]
fn the_first_error_ends_the_run_and_the_history_stays() {
    let ended = std::cell::Cell::new(false);
    let mut list = CallbackList::new();
    list.push(LambdaCallback::new().on_epoch_end(|epoch, _, _| match epoch {
        1 => Err(Error::data("the disk of the samples is full")),
        _ => Ok(()),
    }));
    list.push(LambdaCallback::new().on_train_end(|_, _| {
        ended.set(true);
        Ok(())
    }));
    let mut training = Rehearsal::new(losses([1.0, 0.5, 0.25]));
    assert_eq!(training.run(list).unwrap_err().to_string(), "the disk of the samples is full");
    assert_eq!(training.history().get("loss").unwrap(), [1.0]);
    assert!(!ended.get());
}

#[test]
fn a_progress_bar_of_the_user_replaces_the_own() {
    let count = |user: Vec<Box<dyn Callback>>| CallbackList::for_run(user, 1).len();
    assert_eq!(count(vec![]), 2);
    assert_eq!(count(vec![Box::new(ProgressBar::new(2))]), 2);
    let mut bar = ProgressBar::new(2);
    let list = CallbackList::for_run([Box::new(&mut bar) as Box<dyn Callback>], 1);
    assert_eq!(list.len(), 2);
}

#[test]
fn what_failed_on_the_device_fails_where_it_is_read() -> Result<()> {
    let lost = || Value::waiting(|| Err(Error::device("the device was lost")));
    let mut training = Rehearsal::new([logs! { "loss" => lost() }]);
    assert_eq!(training.run(CallbackList::new()).unwrap_err().to_string(), "the device was lost");
    let mut reader = LambdaCallback::new().on_train_batch_end(|_, logs, _| {
        assert_eq!(logs.try_get("loss"), None);
        logs.get("loss").map(drop)
    });
    assert!(Rehearsal::new([logs! { "loss" => lost() }]).run(&mut reader).is_err());
    Ok(())
}

#[test]
fn a_csv_row_that_cannot_be_written_does_not_end_training() {
    // Writing to this device of Linux always says that the disk is full.
    if !std::path::Path::new("/dev/full").exists() {
        return;
    }
    let mut csv = CSVLogger::new("/dev/full").append(true);
    let paper = Paper::default();
    let mut training = Rehearsal::new(losses([1.0, 0.5])).with_console(Console::new(paper.clone(), false));
    training.run(&mut csv).unwrap();
    assert_eq!(training.history().epochs().len(), 2);
    assert_eq!((csv.failures().len(), training.history().notes().len()), (2, 2));
    assert_eq!(paper.text().matches("CSVLogger: writing /dev/full").count(), 2, "{}", paper.text());
    assert!(csv.failures()[0].to_string().contains("/dev/full"));
}

#[test]
fn a_csv_file_is_begun_once_and_continued() {
    let dir = folder("csv");
    let file = dir.join("log.csv");
    for append in [true, true, false] {
        Rehearsal::new(losses([1.0])).run(CSVLogger::new(&file).append(append)).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("epoch,loss,val_loss\n0,1.0,1.0\n"), "{text}");
        assert_eq!(text.matches("epoch").count(), 1, "{text}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 2, "begun anew");
    fs::remove_dir_all(&dir).unwrap();
}
