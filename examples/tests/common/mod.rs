//! What several tests need.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails panics")]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The example that cargo built beside this test; built here if only this test was asked for.
pub fn example(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let place = own.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    if !place.exists() {
        let release = if cfg!(debug_assertions) { None } else { Some("--release") };
        let build = Command::new(env!("CARGO"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["build", "--quiet", "--example", name])
            .args(release)
            .status();
        assert!(build.unwrap().success());
    }
    place
}
