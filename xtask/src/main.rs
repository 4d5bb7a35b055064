//! The project's own tasks, run as `cargo xtask TASK`.

mod alone;
mod bench;
mod ci;
mod fuzz_graphs;
mod goldens;
mod mutate;
mod shaders;
mod wasm;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK [ARGUMENTS]

tasks:
  shaders                           check every shader and permutation, and the Rust table beside them
  goldens [--python PATH] [PART…]   write fixtures/keras/ again from real Keras (needs Python 3.11 or newer)
  alone [CRATE…]                    compile and run each crate's README against that crate only
  bench [--device D] [--work NAME]  the standard workloads; --peers PYTHON times Keras and PyTorch beside them
  mutate [NUMBER…]                  plant one-line faults and demand that the tests notice each
  fuzz-graphs [COUNT] [SEED]        random graphs by the hundred thousand, against the reference
  wasm [FOLDER]                     type-check addax-tensor for browsers, if their standard library can be found
  ci                                everything that must pass before a change lands";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let outcome = match task.as_str() {
        "shaders" => shaders::run(&rest),
        "goldens" => goldens::run(&rest),
        "alone" => alone::run(&rest),
        "bench" => bench::run(&rest),
        "mutate" => mutate::run(&rest),
        "fuzz-graphs" => fuzz_graphs::run(&rest),
        "wasm" => wasm::run(&rest),
        "ci" => ci::run(&rest),
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
