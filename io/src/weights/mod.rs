//! Named arrays in a safetensors file.
//!
//! All data types of Addax are written as they are. On reading, the wider and narrower types of other programs are
//! converted, with a check of their range: `F64` to float32, `I8`, `I16`, `U16` and `I64` to int32, `U64` to uint32.
//! Bytes go straight between the arrays and the file, so that neither way takes memory for a second copy.

mod convert;
mod header;

use crate::{ReadOptions, atomic, refused, source};
use addax_tensor::{Array, Error, Result};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    path::Path,
};

/// Arrays with their names, and free text about them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    /// Names and arrays, in the order they were given in. Names are distinct.
    pub arrays: Vec<(String, Array)>,
    /// Free text by key, such as who made the file.
    pub metadata: BTreeMap<String, String>,
}

impl Weights {
    /// These arrays, without metadata.
    pub fn new(arrays: Vec<(String, Array)>) -> Self {
        Weights { arrays, metadata: BTreeMap::new() }
    }

    /// The array of this name; the error suggests near names.
    pub fn get(&self, name: &str) -> Result<&Array> {
        self.arrays
            .iter()
            .find_map(|(n, a)| (n == name).then_some(a))
            .ok_or_else(|| Error::unknown_name("array", name, self.arrays.iter().map(|(n, _)| n.as_str())))
    }

    /// Writes a safetensors file, whole or not at all (see [`atomic::write_file`]).
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("w.safetensors");
    /// use addax_io::Weights;
    /// use addax_tensor::Array;
    /// let kernel = Array::new([2, 1], &[0.5f32, -1.0])?;
    /// Weights::new(vec![("dense/kernel".into(), kernel)]).save(&path)?;
    /// assert_eq!(Weights::load(&path)?.get("dense/kernel")?.to_vec::<f32>()?, [0.5, -1.0]);
    /// # Ok::<(), addax_tensor::Error>(())
    /// ```
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        atomic::write_file(path, |to| write(to, &path.display().to_string(), &self.arrays, &self.metadata))
    }

    /// Reads a safetensors file with the default [`ReadOptions`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_with(path, &ReadOptions::default())
    }

    /// Reads a safetensors file. A file that is truncated, too large, of another format or damaged is an error that
    /// names it.
    pub fn load_with(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Self> {
        let path = path.as_ref();
        let (mut file, length) = source::open(path, options.max_bytes)?;
        read(&mut file, length, &path.display().to_string(), options)
    }
}

/// Writes arrays to `to` in the safetensors format. `name` stands in errors.
///
/// The order of `arrays` is kept in the header; their bytes are laid out by falling element size, so that each is
/// aligned. Equal input gives equal bytes. Fails if two arrays have one name, or a name is `__metadata__`.
pub fn write(
    to: &mut dyn Write,
    name: &str,
    arrays: &[(String, Array)],
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let writing = |e| refused::writing(name, e);
    let (header, order) = header::encode(arrays, metadata)?;
    to.write_all(&(header.len() as u64).to_le_bytes()).map_err(writing)?;
    to.write_all(&header).map_err(writing)?;
    for array in order {
        to.write_all(&convert::little_endian(array)).map_err(writing)?;
    }
    Ok(())
}

/// Reads arrays in the safetensors format from `from`, which holds `length` bytes. `name` stands in errors.
///
/// Returns every array or an error. What the header claims is checked against `length` before anything is allocated.
pub fn read(from: &mut dyn Read, length: u64, name: &str, options: &ReadOptions) -> Result<Weights> {
    read_parts(from, length, options).map_err(|e| e.named(name))
}

/// What is wrong with a file, before its name is known.
#[derive(Debug)]
enum Fault {
    /// The file's fault: what is wrong and what to do.
    Format(String),
    /// The system's.
    Io(std::io::Error),
    /// A value that no data type of Addax holds.
    Value(String, Error),
}

impl Fault {
    fn named(self, file: &str) -> Error {
        match self {
            Fault::Format(what) => Error::format(format!("{file}: {what}")),
            Fault::Io(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                Error::format(format!("{file} ended while it was read; copy or download it again"))
            }
            Fault::Io(e) => refused::reading(file, e),
            Fault::Value(array, e) => Error::format(format!("{file}: array \"{array}\": {e}")).caused_by(e),
        }
    }
}

fn read_parts(from: &mut dyn Read, length: u64, options: &ReadOptions) -> Result<Weights, Fault> {
    let header = header::decode(from, length, options)?;
    // Bytes come in the order of their offsets; the header's order is the writer's.
    let mut arrays: Vec<Option<(String, Array)>> = header.entries.iter().map(|_| None).collect();
    for &i in &header.by_offset {
        let Some((entry, slot)) = header.entries.get(i).zip(arrays.get_mut(i)) else { continue };
        *slot = Some((entry.name.clone(), convert::read(from, entry)?));
    }
    Ok(Weights { arrays: arrays.into_iter().flatten().collect(), metadata: header.metadata })
}
