//! `cargo xtask ci`: everything that must pass before a change lands, in the order in which it fails fastest.

use std::{error::Error, path::PathBuf, process::Command, time::Instant};

/// Runs every check; stops at the first that fails.
pub fn run(_: &[String]) -> Result<(), Box<dyn Error>> {
    let devices = std::env::var("ADDAX_TEST_DEVICES").unwrap_or_else(|_| "cpu".into());
    println!("test devices: {devices}");
    step_with_oldest_compiler()?;
    step("format", &["fmt", "--all", "--check"])?;
    step("lints", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    step("tests", &["test", "--workspace"])?;
    // In the workspace the examples turn downloading on; alone it is off.
    step("data without downloads", &["test", "--package", "addax-data"])?;
    step("shaders", &["xtask", "shaders"])?;
    step_with("documentation", &["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")])?;
    step("crates alone", &["xtask", "alone"])?;
    step("browsers", &["xtask", "wasm"])?;
    step("example digits", &["run", "--release", "--example", "digits"])?;
    step("example iris", &["run", "--release", "--example", "iris"])?;
    step("example out_of_memory", &["run", "--release", "--example", "out_of_memory"])?;
    Ok(())
}

/// Cargo.toml promises the oldest compiler that works. Where another one is in use, rustup's compiler of that version checks the
/// workspace; where there is none, nobody has tested the promise, which is a failure.
fn step_with_oldest_compiler() -> Result<(), Box<dyn Error>> {
    let promised = env!("CARGO_PKG_RUST_VERSION");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = String::from_utf8(Command::new(rustc).arg("--version").output()?.stdout)?;
    if is_version(&version, promised) {
        println!("compiler: {}, the oldest that Cargo.toml promises", version.trim());
        return Ok(());
    }
    println!("\n== oldest compiler: rustup run {promised} cargo check --workspace");
    let status = Command::new("rustup")
        .current_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".."))
        .args(["run", "--install", promised, "cargo", "check", "--workspace", "--target-dir", "target/oldest"])
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the workspace does not build with Rust {promised} ({status})").into()),
        Err(error) => Err(format!("Rust {promised} is promised and {} in use; rustup: {error}", version.trim()).into()),
    }
}

/// Whether `rustc --version` printed this version, such as `1.95`, whatever the third number.
fn is_version(printed: &str, version: &str) -> bool {
    let number = printed.split(' ').nth(1).unwrap_or_default();
    number.strip_prefix(version).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        assert!(is_version("rustc 1.95.0 (59807616e 2026-04-14)", "1.95"));
        assert!(!is_version("rustc 1.96.0 (59807616e 2026-05-28)", "1.95"));
        assert!(!is_version("rustc 1.950.0 (x)", "1.95") && !is_version("", "1.95"));
    }
}
