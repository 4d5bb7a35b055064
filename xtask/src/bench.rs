//! `cargo xtask bench [--device cpu|gpu] [--work NAME] [--policy NAME] [--json] [--profile] [--threads] [--start] [--rounds N]
//! [--peers PYTHON]`: the standard workloads; `cargo xtask bench --kernels [--kernel NAME] [--small] [--device D]
//! [--tflops N --gigabytes N]`: single kernels, with their share of what is measured or of what the card's data sheet says.
//!
//! With `--policy mixed_bfloat16`, models compute in half floats.
//! With `--profile`, every kernel of a training step with its time, its share of the step and of what the machine can do at most.
//! With `--threads`, one thread against all of them, interleaved.
//! With `--start`, how long a program takes from the start of its process to the end of its first training step.
//! With `--peers`, the same work runs in Keras and PyTorch too (`xtask/bench/peers.py`, with that Python), interleaved, so that
//! all see the same minutes of the machine; each one's best round counts, and ratios are printed.

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::Command,
};

const WORKS: [&str; 6] = ["mlp_small", "mlp", "convnet", "lstm", "transformer", "resnet"];
const PEERS: [&str; 3] = ["keras:jax", "keras:tensorflow", "torch"];

/// Measures.
pub fn run(args: &[String]) -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|at| args.get(at + 1)).cloned();
    build(&root)?;
    let rounds: usize = value("--rounds").map_or(Ok(3), |n| n.parse())?;
    let works: Vec<String> = value("--work").map_or_else(|| WORKS.map(String::from).to_vec(), |work| vec![work]);
    if args.iter().any(|a| a == "--threads") {
        return threads(&root, &works, rounds);
    }
    let Some(python) = value("--peers") else {
        let rest = args.iter().filter(|a| *a != "--rounds");
        let status = Command::new(root.join("target/release/bench")).current_dir(&root).args(rest).status()?;
        return if status.success() { Ok(()) } else { Err("the benchmark failed".into()) };
    };
    println!("milliseconds per training step, best of {rounds} interleaved rounds\n");
    println!("| work | addax | {} | fastest peer / addax |\n| --- | --- | --- | --- | --- | --- |", PEERS.join(" | "));
    for work in &works {
        let mut best = [f64::MAX; 1 + PEERS.len()];
        for _ in 0..rounds {
            best[0] = best[0].min(step_ms(own(&root, work))?);
            for (peer, best) in PEERS.iter().zip(&mut best[1..]) {
                let mut other = Command::new(&python);
                other.current_dir(&root).args(["xtask/bench/peers.py", peer, work]);
                *best = best.min(step_ms(other)?);
            }
        }
        let fastest = best[1..].iter().copied().fold(f64::MAX, f64::min);
        let cells: Vec<String> = best.iter().map(|ms| format!("{ms:.3}")).collect();
        println!("| {work} | {} | {:.2} |", cells.join(" | "), fastest / best[0]);
    }
    Ok(())
}

/// The program, to time one workload.
fn own(root: &Path, work: &str) -> Command {
    let mut command = Command::new(root.join("target/release/bench"));
    command.current_dir(root).args(["--json", "--work", work]);
    command
}

/// Prints what threads are worth.
fn threads(root: &Path, works: &[String], rounds: usize) -> Result<(), Box<dyn Error>> {
    let cores = std::thread::available_parallelism()?.to_string();
    println!("milliseconds per training step, best of {rounds} interleaved rounds\n");
    println!("| work | 1 thread | {cores} threads | faster by |\n| --- | --- | --- | --- |");
    for work in works {
        let mut best = [f64::MAX; 2];
        for _ in 0..rounds {
            for (count, best) in ["1", &cores].into_iter().zip(&mut best) {
                let mut command = own(root, work);
                command.env("ADDAX_NUM_THREADS", count);
                *best = best.min(step_ms(command)?);
            }
        }
        println!("| {work} | {:.3} | {:.3} | {:.2} |", best[0], best[1], best[0] / best[1]);
    }
    Ok(())
}

fn build(root: &Path) -> Result<(), Box<dyn Error>> {
    let status = Command::new(env!("CARGO"))
        .current_dir(root)
        .args(["build", "--release", "--quiet", "-p", "addax-examples", "--bin", "bench"])
        .status()?;
    if status.success() { Ok(()) } else { Err("the benchmark does not build".into()) }
}

/// The step time in the JSON line that a benchmark prints.
fn step_ms(mut command: Command) -> Result<f64, Box<dyn Error>> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let found = text.lines().rev().find_map(number);
    found.ok_or_else(|| format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}

fn number(line: &str) -> Option<f64> {
    let rest = line.split("\"step_ms\": ").nth(1)?;
    rest.split([',', '}']).next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_step_time_is_found() {
        assert_eq!(super::number("{\"who\": \"x\", \"step_ms\": 0.516, \"acc\": 1}"), Some(0.516));
        assert_eq!(super::number("no"), None);
    }
}
