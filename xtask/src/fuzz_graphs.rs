//! `cargo xtask fuzz-graphs [COUNT] [SEED]`: many more random graphs than `cargo test` has time for. The CPU must agree with the
//! reference on each, fused and unfused, as a whole and in slices of the batch, and on their gradients; and to the bit with itself,
//! where all that can be is computed again. Gradients are held against differences, too.

use std::{error::Error, process::Command, time::Instant};

/// Runs the task.
pub fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let number = |at: usize, default: u64| match arguments.get(at) {
        Some(text) => text.parse().map_err(|_| format!("`{text}` is not a whole number")),
        None => Ok(default),
    };
    let (count, seed) = (number(0, 100_000)?, number(1, 1)?);
    let tests: [(&str, &[&str]); 4] = [
        ("random_graphs", &["-p", "addax-tensor", "--test", "random_graphs"]),
        ("splitting", &["-p", "addax-tensor", "--test", "splitting"]),
        ("computing again", &["-p", "addax-tensor", "--lib", "plan::recompute"]),
        ("gradients", &["-p", "addax-autodiff", "--test", "random_graphs"]),
    ];
    for (test, which) in tests {
        let began = Instant::now();
        let status = Command::new(env!("CARGO"))
            .args(["test", "--release"])
            .args(which)
            .args(["--", "--nocapture"])
            .env("ADDAX_TEST_GRAPHS", count.to_string())
            .env("ADDAX_TEST_SEED", seed.to_string())
            .status()?;
        if !status.success() {
            return Err(format!(
                "`{test}` failed; its last lines say which graph, and record it in a few lines of Rust"
            )
            .into());
        }
        println!("{test}: {count} graphs of seed {seed} agree, {:.0} s", began.elapsed().as_secs_f64());
    }
    Ok(())
}
