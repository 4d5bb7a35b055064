//! Where the generated code finds `addax-layers`.

use proc_macro2::TokenStream;
use quote::quote;
use std::{env, fs, path::Path};

/// `::addax_layers` if the user's package depends on it (or is it), else `::addax::layers`.
pub fn layers_crate() -> TokenStream {
    let is_layers = env::var("CARGO_PKG_NAME").is_ok_and(|name| name == "addax-layers");
    let manifest = env::var("CARGO_MANIFEST_DIR")
        .ok()
        .and_then(|dir| fs::read_to_string(Path::new(&dir).join("Cargo.toml")).ok())
        .unwrap_or_default();
    if is_layers || names_dependency(&manifest, "addax-layers") || !names_dependency(&manifest, "addax") {
        quote!(::addax_layers)
    } else {
        quote!(::addax::layers)
    }
}

/// Whether a line of the manifest sets `name`, in any of the ways Cargo accepts: `name = ..`, `name.workspace = true`,
/// `[dependencies.name]`.
fn names_dependency(manifest: &str, name: &str) -> bool {
    manifest.lines().map(str::trim).any(|line| {
        let table = line.starts_with('[')
            && line.contains("dependencies.")
            && line.trim_end_matches(']').ends_with(&format!(".{name}"));
        let key = line.split(['=', '.', ' ']).next().unwrap_or_default().trim_matches('"');
        table || (key == name && line.contains('='))
    })
}

#[cfg(test)]
mod tests {
    use super::names_dependency;

    #[test]
    fn finds_dependencies_as_cargo_does() {
        for manifest in ["addax = \"0.1\"", "addax.workspace = true", "[dev-dependencies.addax]", "addax={path=\"..\"}"]
        {
            assert!(names_dependency(manifest, "addax"), "{manifest}");
            assert!(!names_dependency(manifest, "addax-layers"), "{manifest}");
        }
        assert!(names_dependency("addax-layers = { workspace = true }", "addax-layers"));
        assert!(!names_dependency("name = \"addax\"", "addax"));
    }
}
