//! `metadata.json`: which format this is, and what the other files must be.

use crate::{
    ReadOptions,
    checksum::Sum,
    json::{self, At},
};
use addax_tensor::{Error, Result};
use serde_json::{Map, Value, json};
use std::{fmt::Display, path::Path};

pub(super) const MANIFEST: &str = "metadata.json";
const FORMAT: &str = "addax-model";

/// The format version that this crate writes, and the newest that it reads.
pub const FORMAT_VERSION: u64 = 1;

const CRC: &str = "crc32";

/// The error that a file is not what was saved.
pub(super) fn damaged(file: impl Display, what: &str) -> Error {
    Error::format(format!(
        "{file} {what}; copy or download the model again, or set `verify` to false in `ReadOptions` if you changed it"
    ))
}

/// CRC-32 of the manifest as compact JSON without its own entry. Without it a damaged name would hide a file.
pub(super) fn own_crc(manifest: &Map<String, Value>) -> String {
    let mut rest = manifest.clone();
    rest.shift_remove(CRC);
    hex(crc32fast::hash(Value::Object(rest).to_string().as_bytes()))
}

fn hex(crc: u32) -> String {
    format!("{crc:08x}")
}

pub(super) struct Manifest {
    files: Vec<(String, Sum)>,
    pub metadata: Map<String, Value>,
}

impl Manifest {
    pub fn new(metadata: Map<String, Value>) -> Self {
        Manifest { files: Vec::new(), metadata }
    }
    pub fn add(&mut self, name: &str, sum: Sum) {
        self.files.push((name.to_string(), sum));
    }
    pub fn has(&self, name: &str) -> bool {
        self.files.iter().any(|(n, _)| n == name)
    }
    pub fn sum(&self, name: &str) -> Result<&Sum> {
        self.files
            .iter()
            .find_map(|(n, s)| (n == name).then_some(s))
            .ok_or_else(|| Error::format(format!("{MANIFEST} does not list {name}; copy or download the model again")))
    }

    pub fn to_json(&self) -> Value {
        let files =
            self.files.iter().map(|(name, sum)| (name.clone(), json!({"bytes": sum.bytes, "crc32": hex(sum.crc32)})));
        let mut value = json!({
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "addax_version": env!("CARGO_PKG_VERSION"),
            "files": files.collect::<Map<_, _>>(),
            "metadata": self.metadata,
        });
        if let Some(map) = value.as_object_mut() {
            map.insert(CRC.to_string(), own_crc(map).into());
        }
        value
    }

    /// Reads the manifest; `name` begins the paths in errors. If `verify`, its own checksum must match.
    pub fn from_json(name: &str, value: &Value, verify: bool) -> Result<Self> {
        let root = At::new(name, value);
        let format = root.key("format")?;
        if format.str()? != FORMAT {
            return Err(format.expected(&format!("\"{FORMAT}\"")));
        }
        let version = root.key("format_version")?.u64()?;
        if version > FORMAT_VERSION {
            let by = root.get("addax_version")?.map_or(Ok("a newer version"), |v| v.str())?;
            return Err(Error::format(format!(
                "{name}: format version {version}, written by Addax {by}, is newer than version {FORMAT_VERSION}, \
                 which this Addax {} reads; update Addax",
                env!("CARGO_PKG_VERSION")
            )));
        }
        if verify && root.key(CRC)?.str()? != own_crc(root.object()?) {
            return Err(damaged(name, "was changed after it was saved"));
        }
        // Names are only compared with our own, never opened.
        let mut files = Vec::new();
        for (file, entry) in root.key("files")?.entries()? {
            let crc = entry.key("crc32")?;
            let crc32 = u32::from_str_radix(crc.str()?, 16).map_err(|_| crc.expected("eight hexadecimal digits"))?;
            files.push((file.to_string(), Sum { bytes: entry.key("bytes")?.u64()?, crc32 }));
        }
        let metadata = match root.get("metadata")? {
            Some(at) => at.object()?.clone(),
            None => Map::new(),
        };
        Ok(Manifest { files, metadata })
    }
}

/// Whether this file is the manifest of a model, of any version.
pub(super) fn is_model(path: &Path) -> bool {
    json::read(path, &ReadOptions::default()).is_ok_and(|v| v.get("format").and_then(Value::as_str) == Some(FORMAT))
}
