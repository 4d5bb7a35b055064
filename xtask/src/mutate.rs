//! `cargo xtask mutate [NUMBER…]`: plants one-line faults in a copy of the sources, one after the other, and demands that the
//! tests named with each notice it. A fault that survives is a hole in the tests. The kernels are built with fewer
//! optimisations than elsewhere: most of the time goes into building, once per fault.

mod faults;

use faults::FAULTS;
use std::{
    collections::BTreeSet,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Tests that run longer than this have noticed: a fault may take away what ends a loop or wakes a thread.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs every fault, or those whose number is named.
pub fn run(args: &[String]) -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let copy = root.join("target").join("mutate").join("sources");
    let chosen: Vec<usize> = match args {
        [] => (0..FAULTS.len()).collect(),
        some => some.iter().map(|a| a.parse()).collect::<Result<_, _>>()?,
    };
    let known = |number: &usize| FAULTS.get(*number).ok_or_else(|| no_fault(*number));
    let faults = chosen.iter().map(known).collect::<Result<Vec<_>, _>>()?;
    copy_sources(&root, &copy)?;
    for tests in faults.iter().map(|fault| fault.tests).collect::<BTreeSet<_>>() {
        if !pass(&copy, tests)? {
            return Err(format!("`cargo test {tests}` fails without any fault; mend that first").into());
        }
    }
    let began = Instant::now();
    let mut survived = Vec::new();
    for (number, fault) in chosen.iter().zip(&faults) {
        let started = Instant::now();
        let path = copy.join(fault.file);
        let sound = fs::read_to_string(&path)?;
        if sound.matches(fault.from).count() != 1 {
            return Err(format!("fault {number}: {} does not hold this once: {}", fault.file, fault.from).into());
        }
        fs::write(&path, sound.replace(fault.from, fault.to))?;
        let passed = pass(&copy, fault.tests);
        fs::write(&path, sound)?;
        let caught = matches!(passed, Ok(false));
        let verdict = if caught { "caught  " } else { "SURVIVED" };
        println!("{number:>3} {verdict} {:>4.0} s {}: {}", started.elapsed().as_secs_f64(), fault.file, fault.to);
        if let Err(mistake) = passed {
            println!("    {mistake}");
        }
        if !caught {
            survived.push(*number);
        }
    }
    println!("{} faults in {:.0} s", faults.len(), began.elapsed().as_secs_f64());
    match survived.is_empty() {
        true => Ok(()),
        false => Err(format!("faults {survived:?} survived").into()),
    }
}

fn no_fault(number: usize) -> String {
    format!("there are {} faults, counted from 0, and no number {number}", FAULTS.len())
}

/// Whether these tests build and pass, one target after the other: what fails ends it. A fault that does not build is a mistake of the
/// table, not a fault that was caught.
fn pass(sources: &Path, tests: &str) -> Result<bool, Box<dyn Error>> {
    for target in targets(tests) {
        if !passes(sources, &target)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Arguments for each target that these arguments of `cargo test` name. The unit tests come last: for them a crate is built again.
fn targets(tests: &str) -> Vec<Vec<&str>> {
    let words: Vec<&str> = tests.split_whitespace().collect();
    let (package, chosen) = words.split_at(2);
    let mut targets: Vec<Vec<&str>> = Vec::new();
    for word in chosen {
        match (word.starts_with("--"), targets.last_mut()) {
            (false, Some(target)) => target.push(word),
            _ => targets.push([package, &[*word]].concat()),
        }
    }
    targets.sort_by_key(|target| target.contains(&"--lib"));
    targets
}

fn passes(sources: &Path, target: &[&str]) -> Result<bool, Box<dyn Error>> {
    let cargo = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO"));
        command.current_dir(sources).env("CARGO_TARGET_DIR", sources.with_file_name("build"));
        command.env("CARGO_INCREMENTAL", "1").args(["--config", "profile.dev.package.addax-tensor.opt-level=1"]);
        command.args(["--config", "profile.dev.debug=false", "test", "--quiet"]);
        command.args(target).args(more);
        // A group of its own, so that what hangs is ended with the tests that it started.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    };
    if !cargo(&["--no-run"])?.wait()?.success() {
        return Err(format!("`cargo test {}` does not build", target.join(" ")).into());
    }
    let ended = within(PATIENCE, cargo(&[])?)?;
    Ok(ended.is_some_and(|status| status.success()))
}

/// How the process ended; none if it did not end in this time, and was killed with all that it started.
fn within(time: Duration, mut process: Child) -> Result<Option<ExitStatus>, Box<dyn Error>> {
    let began = Instant::now();
    loop {
        if let Some(status) = process.try_wait()? {
            return Ok(Some(status));
        }
        if began.elapsed() > time {
            #[cfg(unix)]
            Command::new("kill").args(["-KILL", "--", &format!("-{}", process.id())]).status()?;
            process.kill().ok();
            process.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Copies what git tracks, and takes away what it does not track any more.
fn copy_sources(root: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    let listed = Command::new("git").current_dir(root).args(["ls-files"]).output()?;
    let listed = String::from_utf8(listed.stdout)?;
    let tracked: BTreeSet<&str> = listed.lines().collect();
    let list = to.with_file_name("listed");
    for file in fs::read_to_string(&list).unwrap_or_default().lines().filter(|file| !tracked.contains(file)) {
        fs::remove_file(to.join(file)).ok();
    }
    fs::create_dir_all(to)?;
    fs::write(&list, &listed)?;
    for file in tracked {
        let (from, to) = (root.join(file), to.join(file));
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        // Unchanged files keep their time, so that only what changed is built again.
        if fs::read(&to).ok() != fs::read(&from).ok() {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_run_one_by_one() {
        assert_eq!(
            targets("-p tensor --lib --test rows --test half"),
            [
                ["-p", "tensor", "--test", "rows"].to_vec(),
                vec!["-p", "tensor", "--test", "half"],
                vec!["-p", "tensor", "--lib"]
            ]
        );
        assert_eq!(targets("-p optim --lib --tests"), [["-p", "optim", "--tests"], ["-p", "optim", "--lib"]]);
    }

    /// The table follows the sources: what a fault replaces is there, once.
    #[test]
    fn every_fault_has_its_place() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (number, fault) in FAULTS.iter().enumerate() {
            let text = fs::read_to_string(root.join(fault.file)).unwrap();
            assert_eq!(text.matches(fault.from).count(), 1, "fault {number} in {}: {}", fault.file, fault.from);
            assert_ne!(fault.from, fault.to);
        }
    }
}
