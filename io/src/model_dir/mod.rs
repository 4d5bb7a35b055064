//! A model in a folder: configuration, weights, optimizer and training state.
//!
//! | file | content |
//! | --- | --- |
//! | `metadata.json` | the format's name and version, the version of Addax, length and CRC-32 of each file, free text |
//! | `config.json` | the architecture, in Keras' schema |
//! | `weights.safetensors` | the weights |
//! | `optimizer.safetensors` | the optimizer's variables, if there are any |
//! | `state.json` | where training stands (epoch, seeds, …), if it is not null |
//!
//! Other files in the folder are left alone: loading ignores them, saving over the folder keeps them.

mod manifest;

use crate::{
    ReadOptions, Weights, atomic,
    checksum::{Sum, Summed},
    json, refused, source, weights,
};
use addax_tensor::{Array, Error, Result};
use manifest::{MANIFEST, Manifest};
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

pub use manifest::FORMAT_VERSION;

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "weights.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "state.json";
const FILES: [&str; 5] = [MANIFEST, CONFIG, WEIGHTS, OPTIMIZER, STATE];

/// What a model folder holds. Names of arrays are distinct within a file.
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("fashion");
/// use addax_io::ModelDir;
/// use addax_tensor::Array;
/// let model = ModelDir {
///     config: serde_json::json!({"class_name": "Sequential", "config": {"layers": []}}),
///     weights: vec![("dense/kernel".into(), Array::new([2], &[1.0f32, 2.0])?)],
///     state: serde_json::json!({"epoch": 3}),
///     ..ModelDir::default()
/// };
/// model.save(&path)?;
/// assert_eq!(ModelDir::load(&path)?, model);
/// # Ok::<(), addax_tensor::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelDir {
    /// The architecture, in Keras' schema; its content is the caller's.
    pub config: Value,
    /// The weights by path, such as `dense/kernel`.
    pub weights: Vec<(String, Array)>,
    /// The optimizer's variables; none are not saved.
    pub optimizer: Vec<(String, Array)>,
    /// Where training stands: epoch, seeds, …; null is not saved.
    pub state: Value,
    /// Free values about the model, such as who trained it.
    pub metadata: Map<String, Value>,
}

impl ModelDir {
    /// Saves to the folder `path`: the whole model or nothing (see [`atomic::write_dir`]).
    ///
    /// A model that is there already is replaced, other files in its folder are kept. Fails if `path` holds something
    /// else than a model, or a value of the model cannot be saved.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        atomic::recover_dir(path);
        let others = other_files(path)?;
        atomic::write_dir(path, |folder| {
            for name in others {
                let from = path.join(&name);
                atomic::copy_tree(&from, &folder.join(name))
                    .map_err(|e| Error::io(format!("keeping {}", from.display()), e))?;
            }
            self.write_parts(path, |name| File::create_new(folder.join(name)))
        })
    }

    /// Loads from the folder `path` with the default [`ReadOptions`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_with(path, &ReadOptions::default())
    }

    /// Loads from the folder `path`: everything or an error that names the file and what to do.
    ///
    /// A model that is being saved at the same time is read as it was before or as it is after. Fails if a file is
    /// missing, truncated, damaged or of another model; if a newer format version wrote it; if a limit of `options` is
    /// passed.
    pub fn load_with(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Self> {
        let path = path.as_ref();
        // The files are opened one after another: a save in between mixes two models, which the checksums tell.
        for _ in 0..10 {
            // The second try is for a writer that took two renames and was between them.
            let before = manifest_bytes(path, options).or_else(|_| manifest_bytes(path, options))?;
            let loaded = Self::read_parts(path, &before, options);
            if loaded.is_ok() || manifest_bytes(path, options).is_ok_and(|after| after == before) {
                return loaded;
            }
        }
        Err(Error::format(format!("{} is being written again and again; load it when that is done", path.display())))
    }

    /// Writes every file; `path` stands in errors.
    fn write_parts<W: Write>(&self, path: &Path, mut create: impl FnMut(&str) -> io::Result<W>) -> Result<()> {
        let mut part = |name: &str, fill: &dyn Fn(&mut dyn Write, &str) -> Result<()>| -> Result<Sum> {
            let shown = path.join(name).display().to_string();
            let refused = |e| refused::writing(&shown, e);
            let mut to = Summed::new(BufWriter::with_capacity(256 << 10, create(name).map_err(refused)?));
            fill(&mut to, &shown)?;
            let (buffered, sum) = to.finish();
            buffered.into_inner().map_err(|e| refused(e.into_error()))?;
            Ok(sum)
        };
        let mut manifest = Manifest::new(self.metadata.clone());
        let none = BTreeMap::new();
        manifest.add(CONFIG, part(CONFIG, &|to, shown| write_text(to, shown, &self.config))?);
        manifest.add(WEIGHTS, part(WEIGHTS, &|to, shown| weights::write(to, shown, &self.weights, &none))?);
        if !self.optimizer.is_empty() {
            manifest.add(OPTIMIZER, part(OPTIMIZER, &|to, shown| weights::write(to, shown, &self.optimizer, &none))?);
        }
        if !self.state.is_null() {
            manifest.add(STATE, part(STATE, &|to, shown| write_text(to, shown, &self.state))?);
        }
        part(MANIFEST, &|to, shown| write_text(to, shown, &manifest.to_json())).map(drop)
    }

    fn read_parts(path: &Path, manifest: &[u8], options: &ReadOptions) -> Result<Self> {
        let shown = |name: &str| path.join(name).display().to_string();
        let manifest = json::parse(&shown(MANIFEST), manifest, options)?;
        let manifest = Manifest::from_json(&shown(MANIFEST), &manifest, options.verify)?;
        let text = |name: &str| -> Result<Value> {
            let part = Part::open(path, name, &manifest, options, options.max_json_bytes)?;
            part.read(|from, length| {
                let mut bytes = Vec::new();
                from.take(length).read_to_end(&mut bytes).map_err(|e| refused::reading(shown(name), e))?;
                json::parse(&shown(name), &bytes, options)
            })
        };
        let arrays = |name: &str| -> Result<Vec<(String, Array)>> {
            let part = Part::open(path, name, &manifest, options, options.max_bytes)?;
            let read: Weights = part.read(|from, length| weights::read(from, length, &shown(name), options))?;
            Ok(read.arrays)
        };
        Ok(ModelDir {
            config: text(CONFIG)?,
            weights: arrays(WEIGHTS)?,
            optimizer: if manifest.has(OPTIMIZER) { arrays(OPTIMIZER)? } else { Vec::new() },
            state: if manifest.has(STATE) { text(STATE)? } else { Value::Null },
            metadata: manifest.metadata,
        })
    }
}

fn write_text(to: &mut dyn Write, name: &str, value: &Value) -> Result<()> {
    let text = json::to_pretty(value)?;
    to.write_all(text.as_bytes()).map_err(|e| refused::writing(name, e))
}

/// Names in the folder `path` that are not a model's. Fails if there are any and no model, so that a slip of the
/// keyboard never replaces a folder of something else.
fn other_files(path: &Path) -> Result<Vec<std::ffi::OsString>> {
    let reading = |e| refused::reading(path.display(), e);
    if !path.is_dir() {
        return Ok(Vec::new());
    }
    let names: io::Result<Vec<_>> = fs::read_dir(path).map_err(reading)?.map(|e| Ok(e?.file_name())).collect();
    let names = names.map_err(reading)?;
    if !names.is_empty() && !manifest::is_model(&path.join(MANIFEST)) {
        return Err(Error::argument(format!(
            "{} holds files that are not an Addax model; save under another name, or remove the folder first",
            path.display()
        )));
    }
    Ok(names.into_iter().filter(|n| !FILES.iter().any(|f| n == f)).collect())
}

fn manifest_bytes(path: &Path, options: &ReadOptions) -> Result<Vec<u8>> {
    if !path.exists() {
        atomic::recover_dir(path);
    }
    if !path.is_dir() {
        let why = if path.exists() { "is a file, not a model folder" } else { "does not exist" };
        return Err(Error::format(format!("{} {why}; give the folder that `save` wrote", path.display())));
    }
    let file = inside(path, MANIFEST, options)?;
    if !file.exists() {
        return Err(Error::format(format!(
            "{} has no {MANIFEST}: it is no Addax model, or a part was lost when it was copied",
            path.display()
        )));
    }
    source::read_small(&file, options)
}

/// The path of a file in the folder; refuses a link that leads out of it.
fn inside(folder: &Path, name: &str, options: &ReadOptions) -> Result<PathBuf> {
    let path = folder.join(name);
    let is_link = fs::symlink_metadata(&path).is_ok_and(|m| m.is_symlink());
    if is_link && !options.follow_links {
        let reading = |e| Error::io(format!("following the link {}", path.display()), e);
        let (target, home) = (fs::canonicalize(&path).map_err(reading)?, fs::canonicalize(folder).map_err(reading)?);
        if !target.starts_with(home) {
            return Err(Error::format(format!(
                "{} is a link that leads out of the model's folder; if you trust it, set `follow_links` in \
                 `ReadOptions`",
                path.display()
            )));
        }
    }
    Ok(path)
}

/// A file of the model, and what the manifest says about it.
struct Part<'a> {
    file: File,
    path: PathBuf,
    length: u64,
    wanted: Option<&'a Sum>,
}

impl<'a> Part<'a> {
    fn open(folder: &Path, name: &str, manifest: &'a Manifest, options: &ReadOptions, limit: u64) -> Result<Self> {
        let path = inside(folder, name, options)?;
        if !path.exists() {
            return Err(Error::format(format!("{} is missing; copy or download the model again", path.display())));
        }
        let wanted = manifest.sum(name)?;
        let (file, length) = source::open(&path, limit)?;
        let part = Part { file, path, length, wanted: options.verify.then_some(wanted) };
        match part.wanted {
            Some(sum) if sum.bytes != length => {
                Err(manifest::damaged(part.path.display(), &format!("has {length} bytes, {} were saved", sum.bytes)))
            }
            _ => Ok(part),
        }
    }

    /// Reads the file by `read`. The checksum is of the same bytes and decides: without it nothing is returned.
    fn read<T>(mut self, read: impl FnOnce(&mut dyn Read, u64) -> Result<T>) -> Result<T> {
        let reading = |e| refused::reading(self.path.display(), e);
        let mut summed = Summed::new(&mut self.file);
        let value = read(&mut summed, self.length);
        io::copy(&mut summed, &mut io::sink()).map_err(reading)?;
        let (_, sum) = summed.finish();
        match (self.wanted, value) {
            (Some(wanted), value) if *wanted != sum => {
                let error = manifest::damaged(self.path.display(), "was changed after it was saved");
                Err(match value {
                    Err(cause) => error.caused_by(cause),
                    Ok(_) => error,
                })
            }
            (_, value) => value,
        }
    }
}

#[cfg(test)]
mod tests;
