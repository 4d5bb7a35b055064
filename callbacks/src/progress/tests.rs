use super::*;
use crate::{CallbackList, EarlyStopping, LambdaCallback, LogValue, Rehearsal, console::tests::Paper, logs};
use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// A clock that moves only when told.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn pass(&self, milliseconds: u64) {
        self.0.fetch_add(milliseconds, Ordering::SeqCst);
    }
    fn bar(&self, verbosity: i32) -> ProgressBar {
        let clock = self.clone();
        ProgressBar::with_clock(verbosity, move || Duration::from_millis(clock.0.load(Ordering::SeqCst)))
    }
}

/// Two epochs of four steps of `milliseconds` each, with a message in between.
fn show(interactive: bool, verbosity: i32, milliseconds: u64) -> Paper {
    let (paper, clock) = (Paper::default(), Clock::default());
    let mut list = CallbackList::new();
    list.push(LambdaCallback::new().on_train_batch_begin(|_, _, _| {
        clock.pass(milliseconds);
        Ok(())
    }));
    list.push(EarlyStopping::new("val_loss").verbose(1));
    list.push(clock.bar(verbosity));
    let epochs = [1.0, 2.0, 3.0].map(|loss| logs! { "loss" => loss, "val_loss" => loss / 2.0 });
    let mut training = Rehearsal::new(epochs).with_steps(4).with_console(Console::new(paper.clone(), interactive));
    training.run(list).unwrap();
    paper
}

#[test]
fn a_terminal_shows_a_bar_per_epoch() {
    let bar = "━".repeat(20);
    let expected = [
        "Epoch 1/3".to_string(),
        format!("4/4 {bar} 1s 300ms/step - loss: 1.0000 - val_loss: 0.5000"),
        "Epoch 2/3".to_string(),
        format!("4/4 {bar} 1s 300ms/step - loss: 2.0000 - val_loss: 1.0000"),
        "Epoch 2: early stopping".to_string(),
    ];
    assert_eq!(show(true, 1, 300).screen(), expected);
    let text = show(true, 1, 300).text();
    assert!(text.contains("\x1b[1m2/4\x1b[0m"), "the bar moves");
    assert!(text.contains(&format!("\x1b[32m{}\x1b[0m\x1b[37m{}\x1b[0m", "━".repeat(10), "━".repeat(10))));
}

#[test]
fn a_pipe_gets_a_line_per_epoch() {
    let expected = "\
        Epoch 1/3 - 1s - 300ms/step - loss: 1.0000 - val_loss: 0.5000\n\
        Epoch 2/3 - 1s - 300ms/step - loss: 2.0000 - val_loss: 1.0000\n\
        Epoch 2: early stopping\n";
    assert_eq!(show(false, 1, 300).text(), expected);
    assert_eq!(show(true, 2, 300).text(), expected);
    assert_eq!(show(true, 0, 300).text(), "Epoch 2: early stopping\n");
}

#[test]
fn fast_steps_are_not_all_drawn() {
    let draws = |milliseconds| show(true, 1, milliseconds).text().matches("/step").count();
    // Each epoch: the first step, the end twice (live, then left to be read), and each step 50 ms after the last draw.
    assert_eq!(draws(1), 2 * 3);
    assert_eq!(draws(25), 2 * (3 + 1));
    assert_eq!(draws(50), 2 * (3 + 3));
}

/// A value that becomes ready when told, and complains if it is waited for before.
#[derive(Clone)]
struct OnDevice(Arc<AtomicBool>, f64);

impl LogValue for OnDevice {
    fn try_get(&self) -> Option<f64> {
        self.0.load(Ordering::SeqCst).then_some(self.1)
    }
    fn get(&self) -> Result<f64> {
        assert!(self.0.load(Ordering::SeqCst), "the bar waited for the device");
        Ok(self.1)
    }
}

#[test]
fn the_bar_shows_late_values_without_waiting() {
    let (paper, clock) = (Paper::default(), Clock::default());
    let mut training = Rehearsal::new([]).with_steps(10).with_console(Console::new(paper.clone(), true));
    let mut bar = clock.bar(1);
    bar.on_train_begin(&mut Logs::new(), &mut training).unwrap();
    bar.on_epoch_begin(0, &mut Logs::new(), &mut training).unwrap();
    // The device runs three steps behind, so the newest value is never ready.
    let ready: Vec<_> = (0..10).map(|i| OnDevice(Arc::default(), f64::from(i))).collect();
    let seen = Mutex::new(Vec::new());
    for (step, value) in ready.iter().enumerate() {
        clock.pass(60);
        if step >= 3 {
            ready[step - 3].0.store(true, Ordering::SeqCst);
        }
        bar.on_train_batch_end(step, &mut logs! { "loss" => value.clone() }, &mut training).unwrap();
        seen.lock().unwrap().push(paper.screen().last().unwrap().split_once("loss: ").map(|(_, v)| v.to_string()));
    }
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen[2], None);
    assert_eq!(seen[3], Some("0.0000e+00".into()));
    assert_eq!(seen[6], Some("3.0000".into()));
    assert_eq!(seen[9], Some("6.0000".into()));
    ready.iter().for_each(|v| v.0.store(true, Ordering::SeqCst));
    bar.on_epoch_end(0, &mut logs! { "loss" => ready[9].clone() }, &mut training).unwrap();
    assert!(paper.screen().last().unwrap().ends_with("loss: 9.0000"));
}

#[test]
fn evaluation_alone_is_shown_and_a_failure_ends_the_live_line() {
    let (paper, clock) = (Paper::default(), Clock::default());
    let console = Console::new(paper.clone(), true);
    let mut t = Rehearsal::new([]).with_steps(2).with_console(console.clone());
    let mut bar = clock.bar(1);
    bar.on_test_begin(&mut Logs::new(), &mut t).unwrap();
    for batch in 0..2 {
        clock.pass(2000);
        bar.on_test_batch_end(batch, &mut logs! { "loss" => 0.5 }, &mut t).unwrap();
    }
    bar.on_test_end(&mut logs! { "loss" => 0.25 }, &mut t).unwrap();
    assert_eq!(paper.screen(), [format!("2/2 {} 4s 2s/step - loss: 0.2500", "━".repeat(20))]);
    bar.on_predict_begin(&mut Logs::new(), &mut t).unwrap();
    bar.on_predict_batch_end(0, &mut Logs::new(), &mut t).unwrap();
    drop(bar);
    console.line("error: out of memory");
    assert_eq!(paper.screen().last().unwrap(), "error: out of memory");
    assert!(paper.screen()[1].starts_with("1/2 ━━━━━━━━━━━━━━━━━━━━ 0s"), "{:?}", paper.screen());
}

#[test]
fn unknown_length_is_learned_from_the_first_epoch() {
    let (paper, clock) = (Paper::default(), Clock::default());
    let mut t =
        Rehearsal::new([logs! {}, logs! {}]).with_unknown_steps().with_console(Console::new(paper.clone(), true));
    let mut bar = clock.bar(1);
    bar.on_train_begin(&mut Logs::new(), &mut t).unwrap();
    for epoch in 0..2 {
        bar.on_epoch_begin(epoch, &mut Logs::new(), &mut t).unwrap();
        for batch in 0..3 {
            clock.pass(100);
            bar.on_train_batch_end(batch, &mut Logs::new(), &mut t).unwrap();
            if batch == 1 {
                let live = paper.screen().last().unwrap().clone();
                assert!(live.starts_with(["      2/Unknown 0s", "2/3 ━━━━━━━━━━━━━"][epoch]), "{live}");
            }
        }
        bar.on_epoch_end(epoch, &mut Logs::new(), &mut t).unwrap();
    }
    let ends: Vec<_> = paper.screen().into_iter().filter(|line| line.starts_with("3/3")).collect();
    assert_eq!(ends.len(), 2);
}
