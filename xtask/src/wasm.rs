//! `cargo xtask wasm`: `addax-tensor` type-checks for browsers (`wasm32-unknown-unknown`), with and without the GPU. That includes
//! its module `browser`, which awaits everything a program there needs and does not compile if a function that waits exists.
//!
//! It needs that target's standard library. rustup's is taken if it is installed; else Debian's `rustc-web`, a compiler with
//! the library's source, from which cargo builds the library first (`-Zbuild-std`). The two compilers differ, so each has a
//! folder of its own below `target/wasm`. Without either rustup is asked to install the target; where it cannot, nothing is
//! checked, which is said and is no failure.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

const TARGET: &str = "wasm32-unknown-unknown";
const HOW: &str = "`rustup target add wasm32-unknown-unknown`, or on Debian `apt-get install rustc-web rust-web-src`, or extract \
                   these two, libstd-rust-web-dev, libstd-rust-web-VERSION and libllvmVERSION with `dpkg -x` into one folder \
                   and run `cargo xtask wasm FOLDER`";

/// Where the standard library comes from.
#[derive(Debug, PartialEq, Eq)]
enum Library {
    /// It is installed beside the compiler in use.
    Installed,
    /// Its source lies beside Debian's compiler, below this folder (`/` where the packages are installed).
    Debian(PathBuf),
}

/// Checks the crate; an argument names the folder that Debian's packages were extracted into.
pub fn run(args: &[String]) -> Result<(), Box<dyn Error>> {
    let library = match args {
        [] => match find()? {
            Some(found) => found,
            None => {
                println!("wasm: NOT CHECKED, as there is no standard library for {TARGET}. To get one: {HOW}");
                return Ok(());
            }
        },
        [folder] => debian(&Path::new(folder).canonicalize()?)
            .ok_or_else(|| format!("\"{folder}\" has no usr/bin/rustc with its source beside it; to get one: {HOW}"))?,
        _ => return Err("usage: cargo xtask wasm [FOLDER with Debian's extracted packages]".into()),
    };
    for features in ["", "gpu"] {
        check(&library, features)?;
    }
    Ok(())
}

/// The library that is there, or that rustup can fetch.
fn find() -> Result<Option<Library>, Box<dyn Error>> {
    if installed()? {
        return Ok(Some(Library::Installed));
    }
    if let Some(found) = debian(Path::new("/")) {
        return Ok(Some(found));
    }
    println!("wasm: rustup target add {TARGET}");
    match Command::new("rustup").args(["target", "add", TARGET]).status() {
        Ok(status) if status.success() => {}
        Ok(status) => println!("wasm: rustup could not install the target ({status})"),
        Err(error) => println!("wasm: rustup could not be started: {error}"),
    }
    Ok(installed()?.then_some(Library::Installed))
}

/// Whether the compiler in use has the target's standard library.
fn installed() -> Result<bool, Box<dyn Error>> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output()?;
    let folder = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    let is_std = |name: &str| name.starts_with("libstd-") && name.ends_with(".rlib");
    Ok(fs::read_dir(folder)
        .is_ok_and(|mut files| files.any(|file| file.is_ok_and(|file| file.file_name().to_str().is_some_and(is_std)))))
}

/// Debian's compiler below a folder, if the library's source and what that needs are there too.
fn debian(root: &Path) -> Option<Library> {
    let source = root.join("usr/lib/rustlib/src/rust/library");
    let whole = root.join("usr/bin/rustc").is_file() && source.join("std").is_dir() && source.join("vendor").is_dir();
    whole.then(|| Library::Debian(root.to_path_buf()))
}

fn check(library: &Library, features: &str) -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(&root).args(["rustc", "--quiet", "--package", "addax-tensor", "--lib", "--profile", "check"]);
    command.args(["--target", TARGET, "--no-default-features", "--features", features]);
    // Only procedural macros and build scripts become code here, and optimising them takes longer than running them.
    command.args(["--config", "profile.dev.package.\"*\".opt-level=0"]);
    let (place, compiler) = match library {
        Library::Installed => ("installed", "the installed standard library".to_string()),
        Library::Debian(folder) => {
            command.args(["-Z", "build-std=std,panic_abort"]);
            command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", folder.join("usr/bin/rustc"));
            if folder != Path::new("/") {
                command.env("LD_LIBRARY_PATH", std::env::join_paths(shared_libraries(folder)?)?);
            }
            ("debian", format!("Debian's source in {}", folder.display()))
        }
    };
    command.arg("--target-dir").arg(root.join("target/wasm").join(place)).args(["--", "-D", "warnings"]);
    let began = Instant::now();
    let status = command.status()?;
    let name = if features.is_empty() { "no features" } else { features };
    if !status.success() {
        return Err(format!("addax-tensor ({name}) does not compile for {TARGET} ({status})").into());
    }
    println!("addax-tensor ({name}) type-checks for {TARGET} with {compiler}, {:.0} s", began.elapsed().as_secs_f64());
    Ok(())
}

/// Where an extracted compiler finds its shared libraries: `usr/lib` and its folder for this machine's architecture.
fn shared_libraries(root: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let lib = root.join("usr/lib");
    let mut folders = vec![lib.clone()];
    for entry in fs::read_dir(&lib)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().contains("-linux-") {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_without_the_source_is_not_usable() {
        let root = std::env::temp_dir().join(format!("addax-wasm-{}", std::process::id()));
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::create_dir_all(root.join("usr/lib/x86_64-linux-gnu")).unwrap();
        fs::write(root.join("usr/bin/rustc"), "").unwrap();
        assert_eq!(debian(&root), None);
        for part in ["std", "vendor"] {
            fs::create_dir_all(root.join("usr/lib/rustlib/src/rust/library").join(part)).unwrap();
        }
        assert_eq!(debian(&root), Some(Library::Debian(root.clone())));
        let lib = root.join("usr/lib");
        assert_eq!(shared_libraries(&root).unwrap(), [lib.clone(), lib.join("x86_64-linux-gnu")]);
        fs::remove_dir_all(root).unwrap();
    }
}
