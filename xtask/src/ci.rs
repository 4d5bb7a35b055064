//! `cargo xtask ci`: everything that must pass before a change lands, in the order in which it fails fastest.

use std::{error::Error, path::PathBuf, process::Command, time::Instant};

/// Runs every check; stops at the first that fails.
pub fn run(_: &[String]) -> Result<(), Box<dyn Error>> {
    let devices = std::env::var("ADDAX_TEST_DEVICES").unwrap_or_else(|_| "cpu".into());
    println!("test devices: {devices}");
    step("format", &["fmt", "--all", "--check"])?;
    step("lints", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    step("tests", &["test", "--workspace"])?;
    step("shaders", &["xtask", "shaders"])?;
    step_with("documentation", &["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")])?;
    step("crates alone", &["xtask", "alone"])?;
    step("browsers", &["xtask", "wasm"])?;
    step("example digits", &["run", "--release", "--example", "digits"])?;
    step("example iris", &["run", "--release", "--example", "iris"])?;
    step("example out_of_memory", &["run", "--release", "--example", "out_of_memory"])?;
    Ok(())
}

fn step(name: &str, args: &[&str]) -> Result<(), Box<dyn Error>> {
    step_with(name, args, &[])
}

fn step_with(name: &str, args: &[&str], env: &[(&str, &str)]) -> Result<(), Box<dyn Error>> {
    println!("\n== {name}: cargo {}", args.join(" "));
    let began = Instant::now();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let status = Command::new(env!("CARGO")).current_dir(root).args(args).envs(env.iter().copied()).status()?;
    if !status.success() {
        return Err(format!("{name} failed ({status})").into());
    }
    println!("== {name}: passed in {:.0} s", began.elapsed().as_secs_f64());
    Ok(())
}
