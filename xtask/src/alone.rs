//! `cargo xtask alone`: each crate is usable by itself. A temporary project depends on one crate only and runs the first
//! program of that crate's README; dependency trees must not hold what a crate promises to do without.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Folder, crate, features, and crates that must not be in its tree.
const CRATES: [(&str, &str, &[&str]); 11] = [
    ("shaders", "addax-shaders", &["wgpu", "addax-tensor"]),
    ("tensor", "addax-tensor", &["wgpu", "addax-autodiff", "serde_json"]),
    ("autodiff", "addax-autodiff", &["wgpu", "addax-layers"]),
    ("io", "addax-io", &["wgpu", "addax-layers"]),
    ("layers", "addax-layers", &["wgpu", "addax-optim", "addax-losses"]),
    ("optim", "addax-optim", &["wgpu", "addax-autodiff", "addax-layers", "addax-losses"]),
    ("losses", "addax-losses", &["wgpu", "addax-layers", "addax-optim"]),
    ("data", "addax-data", &["wgpu", "addax-layers", "addax-autodiff"]),
    ("callbacks", "addax-callbacks", &["wgpu", "addax-layers", "addax-autodiff"]),
    ("derive", "addax-derive", &["addax-tensor"]),
    ("model", "addax", &["wgpu"]),
];

/// Runs the check for all crates, or for those named.
pub fn run(args: &[String]) -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let place = root.join("target").join("alone");
    for (folder, name, banned) in CRATES {
        if !args.is_empty() && !args.iter().any(|a| a == name || a == folder) {
            continue;
        }
        print!("{name:<18}");
        check_tree(&root, name, banned)?;
        let code = program(&root.join(folder).join("README.md"))?;
        let code = code.ok_or_else(|| format!("{name}: there is no program in {folder}/README.md"))?;
        run_alone(&root, &place, folder, name, &code)?;
        println!("its README runs against it alone");
    }
    Ok(())
}

/// Fails if the crate without default features pulls in something it promises to do without.
fn check_tree(root: &Path, name: &str, banned: &[&str]) -> Result<(), Box<dyn Error>> {
    let output = Command::new(env!("CARGO"))
        .current_dir(root)
        .args(["tree", "--edges", "normal", "--prefix", "none", "--no-default-features", "--package", name])
        .output()?;
    if !output.status.success() {
        return Err(format!("cargo tree {name}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let tree = String::from_utf8(output.stdout)?;
    for line in tree.lines() {
        let found = line.split(' ').next().unwrap_or_default();
        if banned.contains(&found) {
            return Err(format!("{name} pulls in {found}, which it promises to do without").into());
        }
    }
    Ok(())
}

/// The first Rust program of a README: a fenced block with a `fn main`.
fn program(readme: &Path) -> Result<Option<String>, Box<dyn Error>> {
    let text = fs::read_to_string(readme).map_err(|e| format!("{}: {e}", readme.display()))?;
    let blocks = text.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next());
    Ok(blocks.map(str::to_string).find(|code| code.contains("fn main")))
}

fn run_alone(root: &Path, place: &Path, folder: &str, name: &str, code: &str) -> Result<(), Box<dyn Error>> {
    let project = place.join(folder);
    fs::create_dir_all(project.join("src"))?;
    let path = root.join(folder);
    let manifest = format!(
        "[package]\nname = \"alone-{folder}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         {name} = {{ path = {path:?}, default-features = false }}\n\n[profile.dev.package.\"*\"]\nopt-level = 1\ndebug = false\n"
    );
    fs::write(project.join("Cargo.toml"), manifest)?;
    fs::write(project.join("src/main.rs"), code)?;
    // The workspace's lock file keeps versions equal, so nothing new is downloaded.
    fs::copy(root.join("Cargo.lock"), project.join("Cargo.lock"))?;
    let output = Command::new(env!("CARGO"))
        .current_dir(&project)
        .env("CARGO_TARGET_DIR", place.join("target"))
        .args(["run", "--quiet"])
        .output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{name} alone: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_block_with_a_main_is_the_program() {
        let folder = std::env::temp_dir().join(format!("addax-alone-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let readme = folder.join("README.md");
        fs::write(&readme, "# x\n```rust\nlet a = 1;\n```\n```rust\nfn main() {}\n```\n").unwrap();
        assert_eq!(program(&readme).unwrap().unwrap(), "fn main() {}\n");
        fs::remove_dir_all(folder).unwrap();
    }
}
