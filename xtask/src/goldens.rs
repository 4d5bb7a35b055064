//! `cargo xtask goldens`: runs real Keras and writes what it computes under `fixtures/keras/`.
//!
//! The scripts and their pinned packages are in `xtask/goldens/`; the schema is in `fixtures/keras/README.md`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Debug, Default, PartialEq)]
struct Options {
    /// A Python that has the packages already; without it a virtual environment is made under `target/`.
    python: Option<PathBuf>,
    /// The parts to write; none means all, and then fixtures that no part writes any more go away.
    parts: Vec<String>,
}

pub fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let options = parse(arguments)?;
    let task = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = task.parent().ok_or("the xtask folder has no parent")?;
    let scripts = task.join("goldens");
    let python = match options.python {
        Some(python) => python,
        None => environment(&root.join("target/goldens-venv"), &scripts.join("requirements.txt"))?,
    };
    // Written beside the fixtures and then put in their place, so that a failed run leaves them as they were.
    let fresh = root.join("target/goldens");
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh)?;
    }
    call(Command::new(python).arg("-B").arg(scripts.join("make.py")).arg(&fresh).args(&options.parts))?;
    let fixtures = root.join("fixtures/keras");
    if options.parts.is_empty() {
        remove_generated(&fixtures)?;
    }
    copy(&fresh, &fixtures)?;
    Ok(())
}

fn parse(arguments: &[String]) -> Result<Options, Box<dyn Error>> {
    let mut options = Options::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--python" => options.python = Some(rest.next().ok_or("--python needs the path of a Python")?.into()),
            flag if flag.starts_with('-') => {
                return Err(format!("unknown option `{flag}`; there is --python PATH, and names of parts").into());
            }
            part => options.parts.push(part.to_owned()),
        }
    }
    Ok(options)
}

/// The Python of a virtual environment that has the pinned packages.
fn environment(folder: &Path, requirements: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let python = if cfg!(windows) { folder.join("Scripts/python.exe") } else { folder.join("bin/python") };
    if !python.exists() {
        let system = if cfg!(windows) { "python" } else { "python3" };
        call(Command::new(system).args(["-m", "venv"]).arg(folder))?;
    }
    call(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(requirements))?;
    Ok(python)
}

fn call(command: &mut Command) -> Result<(), Box<dyn Error>> {
    let status = command.status().map_err(|error| format!("cannot start {command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}").into()) }
}

fn remove_generated(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_generated(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "json" || extension == "keras") {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Options, Box<dyn Error>> {
        parse(&arguments.iter().map(|&a| a.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn reads_python_and_parts_in_any_order() {
        let expected =
            Options { python: Some("venv/bin/python".into()), parts: vec!["losses".to_owned(), "layers".to_owned()] };
        assert_eq!(parsed(&["losses", "--python", "venv/bin/python", "layers"]).unwrap(), expected);
        assert_eq!(parsed(&[]).unwrap(), Options::default());
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        assert!(parsed(&["--pyhton", "x"]).unwrap_err().to_string().contains("--pyhton"));
        assert!(parsed(&["--python"]).unwrap_err().to_string().contains("needs the path"));
    }
}
