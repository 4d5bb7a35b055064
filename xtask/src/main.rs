//! The project's own tasks, run as `cargo xtask TASK`.

mod goldens;
mod shaders;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK [ARGUMENTS]

tasks:
  goldens [--python PATH] [PART…]   write fixtures/keras/ again from real Keras (needs Python 3.11 or newer)
  shaders [--write FOLDER]          check every kernel in every permutation";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let outcome = match task.as_str() {
        "goldens" => goldens::run(&rest),
        "shaders" => shaders::run(&rest),
        "" | "help" | "-h" | "--help" => {
            println!("{USAGE}");
            Ok(())
        }
        unknown => Err(format!("unknown task `{unknown}`\n\n{USAGE}").into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
