//! What the system knows is asked for in one place, so that another platform changes one file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that fails panics")]

use std::{fs, path::Path};

const ASKING: [&str; 8] = [
    "std::env::",
    "std::thread::",
    "std::fs::",
    "std::time::Instant",
    "SystemTime",
    "pollster::",
    "Instant::",
    "std::process",
];

/// Every line of library code below a folder that asks the system.
fn asking(folder: &Path, found: &mut Vec<String>) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += asking(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") && path.file_name().is_some_and(|n| n != "platform.rs") {
            files += 1;
            let text = fs::read_to_string(&path).unwrap();
            let code = text.lines().take_while(|line| *line != "#[cfg(test)]").enumerate();
            let asks = code.filter(|(_, line)| !line.trim_start().starts_with("//"));
            let asks = asks.filter(|(_, line)| ASKING.iter().any(|word| line.contains(word)));
            found.extend(asks.map(|(n, line)| format!("{}:{}: {}", path.display(), n + 1, line.trim())));
        }
    }
    files
}

#[test]
fn only_the_platform_module_asks_the_system() {
    let mut found = Vec::new();
    let files = asking(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(files > 100, "only {files} files were seen");
    assert!(found.is_empty(), "ask `platform` instead:\n{}", found.join("\n"));
}
