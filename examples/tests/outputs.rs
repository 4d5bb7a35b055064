//! What the examples print into a pipe is what their first lines promise.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

mod common;

use addax::prelude::*;
use common::example;
use std::{
    fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
};

/// What the example prints on success, without anything that only a terminal understands.
fn printed(name: &str, args: &[&str], folder: &Path) -> String {
    let output =
        Command::new(example(name)).args(args).env("TMPDIR", folder).env("ADDAX_DEVICE", "cpu").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains(['\x1b', '\r']), "{text}");
    text
}

/// What the example says when it fails.
fn refused(name: &str, args: &[&str]) -> String {
    let output = Command::new(example(name)).args(args).env("ADDAX_DEVICE", "cpu").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// The number between two pieces of text.
fn number(text: &str, before: &str, after: &str) -> f64 {
    let found = text.split_once(before).and_then(|(_, rest)| rest.split_once(after)).map(|(number, _)| number.trim());
    let found = found.unwrap_or_else(|| panic!("no \"{before}…{after}\" in {text}"));
    found.parse().unwrap_or_else(|_| panic!("\"{before}{found}{after}\" is no number"))
}

fn accuracy(text: &str) -> f64 {
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("test accuracy: 0.9"), "{last}");
    number(&format!("{last}\n"), "test accuracy: ", "\n")
}

#[test]
fn digits_stops_early_and_keeps_the_best() {
    let folder = tempfile::tempdir().unwrap();
    let text = printed("digits", &[], folder.path());
    assert!(
        text.contains("Training on cpu (")
            && text.contains(", seed 42, ")
            && text.contains(" MiB planned for a batch of 32")
    );
    assert!(text.contains("Planned memory for a batch of 32: "), "the summary tells it too: {text}");
    let ran = number(&text, "\ntrained ", " of 60 epochs");
    assert!(ran < 60.0 && ran == number(&text, "stopped after epoch ", ":"), "{text}");
    assert_eq!(number(&text, &format!("stopped after epoch {ran}: "), " epochs not trained"), 60.0 - ran);
    // What it saved was not measured, and is not claimed.
    assert!(text.contains("run again with `-- --full`") && !text.contains(" saved "), "{text}");
    assert!(number(&text, "weights of epoch ", " restored") < ran, "{text}");
    assert!(number(&text, "learning rate cut ", " times") >= 1.0, "{text}");
    assert!(accuracy(&text) >= 0.97, "{text}");
    assert_eq!(text.matches(" %), is ").count(), 6, "six pictures with what they are said to be: {text}");

    let out = folder.path().join("addax-digits");
    let curves = fs::read_to_string(out.join("curves.svg")).unwrap();
    assert!(curves.starts_with("<svg") && curves.matches("<polyline").count() >= 4, "{curves}");
    let (_, test) = data::sets::digits().unwrap().data.train_test(0.2, 7).unwrap();
    for file in ["digits.addax", "best.addax"] {
        let logs = Model::load(out.join(file)).unwrap().evaluate_with(&test, Evaluate::new().verbose(0)).unwrap();
        let found = logs.get("accuracy").unwrap();
        assert!((found - accuracy(&text)).abs() < 1e-4, "{file}: {found}");
    }
}

#[test]
fn digits_measures_what_stopping_early_saved() {
    let folder = tempfile::tempdir().unwrap();
    let text = printed("digits", &["--full"], folder.path());
    let row = |name: &str| -> [f64; 3] {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{text}"));
        let numbers: Vec<f64> = line.split_whitespace().map(|n| n.parse().unwrap()).collect();
        numbers.try_into().unwrap()
    };
    let ([epochs, seconds, early], [all, longer, full]) = (row("stopped early "), row("every epoch "));
    assert!(epochs < all && all == 60.0 && seconds < longer, "{text}");
    assert_eq!(number(&text, "stopping early saved ", " epochs and "), all - epochs);
    assert!((number(&text, " epochs and ", " s; ") - (longer - seconds)).abs() < 0.11, "{text}");
    assert_eq!(early, accuracy(&text));
    let apart = number(&text, "its test accuracy is ", " off that");
    assert!((apart - (early - full)).abs() < 1.1e-4 && apart.abs() <= 0.01, "{text}");
}

#[test]
fn iris_is_validated_in_five_folds() {
    let text = printed("iris", &[], Path::new("."));
    assert_eq!(text.matches(" over 5 folds").count(), 2, "{text}");
    assert!(accuracy(&text) >= 0.9, "{text}");
}

#[test]
fn out_of_memory_learns_the_same_under_every_budget() {
    let text = printed("out_of_memory", &[], Path::new("."));
    let rows: Vec<Vec<&str>> = text
        .lines()
        .skip_while(|line| !line.trim_start().starts_with("budget "))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_whitespace().rev().collect())
        .collect();
    assert!(rows.len() >= 6, "{text}");
    let loss = |row: &[&str]| row[1].parse::<f64>().unwrap();
    assert!(rows.iter().all(|row| (loss(row) - loss(&rows[0])).abs() < 1e-3), "{text}");
    assert!(text.matches(" slices").count() >= 5, "{text}");
    assert!(text.contains("is refused before anything runs:\nout of memory on cpu ("), "{text}");
}

/// Pictures and labels in the format of Fashion-MNIST.
fn write_pictures(folder: &Path) {
    for (name, rows) in [("train", 200u32), ("t10k", 50)] {
        let header = |kind: u8, sizes: &[u32]| {
            let mut bytes = vec![0, 0, 8, kind];
            bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
            bytes
        };
        let mut images = header(3, &[rows, 28, 28]);
        images.extend((0..rows * 784).map(|i| (i * 7919 % 251) as u8));
        let mut labels = header(1, &[rows]);
        labels.extend((0..rows).map(|i| (i % 10) as u8));
        fs::write(folder.join(format!("{name}-images-idx3-ubyte")), images).unwrap();
        fs::write(folder.join(format!("{name}-labels-idx1-ubyte")), labels).unwrap();
    }
}

#[test]
fn fashion_mnist_trains_each_of_its_models() {
    let folder = tempfile::tempdir().unwrap();
    write_pictures(folder.path());
    let data = folder.path().to_str().unwrap();
    for model in ["mlp", "convnet", "lstm"] {
        let text = printed("fashion_mnist", &["--data", data, "--epochs", "1", "--model", model], folder.path());
        assert!(text.contains("\n1 epochs in "), "{text}");
        assert!(text.lines().last().unwrap().starts_with("test accuracy: 0."), "{text}");
    }
    let error = refused("fashion_mnist", &["--data", data, "--model", "mpl"]);
    assert!(error.contains("unknown model \"mpl\"; did you mean \"mlp\""), "{error}");
}

#[test]
fn a_folder_without_fashion_mnist_is_told_of_and_the_next_one_is_read() {
    let folder = tempfile::tempdir().unwrap();
    write_pictures(folder.path());
    let mut command = Command::new(example("fashion_mnist"));
    command.args(["--data", "/nowhere", "--epochs", "1", "--model", "mlp"]).env("ADDAX_DEVICE", "cpu");
    let output = command.env("FASHION_MNIST", folder.path()).output().unwrap();
    let (text, told) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(told.contains("Fashion-MNIST is not in /nowhere: no train-images-idx3-ubyte.gz"), "{told}");
    assert!(output.status.success() && text.contains("\n1 epochs in "), "{text}{told}");
}

#[test]
fn plans_are_printed_when_asked_for() {
    let mut command = Command::new(example("iris"));
    let output = command.env("ADDAX_DEVICE", "cpu").env("ADDAX_LOG", "plan").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let plans: Vec<&str> = text.lines().filter(|line| line.starts_with("plan: ")).collect();
    assert!(plans.iter().any(|plan| plan.contains(" dispatches, workspace ")), "{text}");
    assert!(text.lines().any(|line| line.starts_with("  matmul") && line.contains("[16, 4]")), "{text}");
}

#[test]
fn wrong_options_are_told_with_the_usage() {
    let usage = "usage: digits [--device cpu|gpu] [--full]";
    assert_eq!(
        refused("digits", &["--device", "cuda"]),
        "Error: unknown device \"cuda\"; did you mean \"cpu\" or \"gpu\"?\n"
    );
    assert_eq!(refused("digits", &["--ful"]), format!("Error: unknown option --ful\n{usage}\n"));
    assert_eq!(printed("digits", &["--help"], Path::new(".")), format!("{usage}\n"));
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let output = Command::new(example("digits")).args(["--device", "cpu"]).env("TMPDIR", "/dev/null").output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("Error: making /dev/null/addax-digits: "), "{error}");
}

#[test]
fn a_reader_that_goes_away_ends_the_program_without_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(example("digits"));
    command.args(["--device", "cpu"]).env("TMPDIR", folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut some = [0; 4];
    process.stdout.take().unwrap().read_exact(&mut some).unwrap();
    let output = process.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && !error.contains("panicked"), "{}: {error}", output.status);
}
