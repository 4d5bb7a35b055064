//! Ctrl-C: the first one ends the training and keeps everything; one after the training, or a second one while the training
//! ends, is an ordinary Ctrl-C.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod common;

use addax::{layers::Dense, prelude::*};
use addax_examples::interrupt;
use common::example;
use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    time::Duration,
};

const SIGINT: i32 = 2;

/// A program whose output is read while it runs. It is ended with the test.
struct Program {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Program {
    fn start(command: &mut Command) -> Program {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Program { process, output }
    }
    /// Reads until a line starts with this; everything read so far.
    fn read_until(&mut self, start: &str) -> String {
        let mut text = String::new();
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).unwrap();
            assert!(read > 0, "the program ended without a line that starts with \"{start}\":\n{text}");
            text.push_str(&line);
            if line.starts_with(start) {
                return text;
            }
        }
    }
    fn interrupt(&self) {
        let status = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
    fn finish(mut self) -> (String, ExitStatus) {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        (rest, self.process.wait().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A folder of this test alone, for the example's files.
fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("addax-interrupt-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn an_interrupted_training_keeps_history_and_checkpoint() {
    let folder = folder();
    let mut program = Program::start(Command::new(example("digits")).args(["--device", "cpu"]).env("TMPDIR", &folder));
    let begin = program.read_until("Epoch 2/60");
    let warnings = begin.matches("with `--release`").count();
    assert_eq!(warnings, usize::from(cfg!(debug_assertions)), "{begin}");
    program.interrupt();
    let (text, status) = program.finish();
    assert!(status.success(), "{status}: {text}");
    let trained = text.lines().find_map(|line| line.strip_prefix("trained ")).expect("a summary of the training");
    let ran: usize = trained.split(' ').next().unwrap().parse().unwrap();
    assert!((2..60).contains(&ran), "{trained}");
    // Every epoch that counts has its line: those after the second are in the rest of the output.
    let told = text.lines().filter(|line| line.starts_with("Epoch ")).count();
    assert_eq!(told, ran - 2, "{text}");
    assert!(text.contains("test accuracy: "), "{text}");

    let (_, test) = data::sets::digits().unwrap().data.train_test(0.2, 7).unwrap();
    for file in ["best.addax", "digits.addax"] {
        let model = Model::load(folder.join("addax-digits").join(file)).unwrap();
        let few = test.slice(0..5).unwrap();
        let logits = model.predict(few.x().as_ref()).unwrap();
        assert_eq!(logits.shape().dims(), [5, 10], "{file}");
        assert!(logits.to_vec::<f32>().unwrap().iter().all(|v| v.is_finite()), "{file}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// Set in the process that [`training_that_waits`] runs in.
const CHILD: &str = "ADDAX_INTERRUPT_TEST";

/// Not a test of its own: the program that the tests below interrupt.
#[test]
fn training_that_waits() {
    let Ok(work) = std::env::var(CHILD) else { return };
    let x = Array::new([64, 1], &[0.5f32; 64]).unwrap();
    let data = Dataset::new(x.clone(), x).unwrap();
    let mut model = Sequential::new().add(Dense::new(1)).seed(1);
    model.compile(Compile::new("sgd").loss("mse")).unwrap();
    let mut begun = |epoch: usize, _: &mut Logs, _: &mut dyn Trainer| {
        if epoch == 0 {
            println!("\nbegun");
        }
        Ok(())
    };
    let mut stuck = |_: &mut Logs, _: &mut dyn Trainer| {
        if work == "stuck" {
            println!("\nending");
            std::thread::sleep(Duration::from_secs(60));
        }
        Ok(())
    };
    let hooks = LambdaCallback::new().on_epoch_begin(&mut begun).on_train_end(&mut stuck);
    let fit = Fit::epochs(usize::MAX).verbose(0).callback(hooks);
    let listening = interrupt::stops(fit.stop_handle()).unwrap();
    let history = model.fit(&data, fit).unwrap();
    drop(listening);
    println!("\nover {}", history.epochs().len());
    std::thread::sleep(Duration::from_secs(60));
}

fn waiting(work: &str) -> Program {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "training_that_waits", "--nocapture"]).env(CHILD, work);
    Program::start(&mut command)
}

#[test]
fn after_fit_an_interrupt_ends_the_process_by_its_signal() {
    let mut program = waiting("after");
    program.read_until("begun");
    program.interrupt();
    program.read_until("over ");
    program.interrupt();
    let (_, status) = program.finish();
    assert_eq!(status.signal(), Some(SIGINT), "{status}");
}

#[test]
fn a_second_interrupt_does_not_wait_for_the_training_to_end() {
    let mut program = waiting("stuck");
    program.read_until("begun");
    program.interrupt();
    program.read_until("ending");
    program.interrupt();
    let (_, status) = program.finish();
    assert_eq!(status.signal(), Some(SIGINT), "{status}");
}
