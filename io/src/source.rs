//! Opens a file of unknown origin.

use crate::{ReadOptions, refused};
use addax_tensor::{Error, Result, error::bytes_for_people};
use std::{
    fs::{self, File},
    io::Read,
    path::Path,
};

/// The file and its length. Refuses what is no regular file (a pipe would wait for ever) or longer than `limit`.
pub(crate) fn open(path: &Path, limit: u64) -> Result<(File, u64)> {
    let reading = |e| refused::reading(path.display(), e);
    let file_type = fs::metadata(path).map_err(reading)?;
    if !file_type.is_file() {
        return Err(Error::format(format!("{} is not a regular file; give the path of a file", path.display())));
    }
    let file = File::open(path).map_err(reading)?;
    let length = file.metadata().map_err(reading)?.len();
    if length > limit {
        return Err(Error::format(format!(
            "{} has {}, over the limit of {}; if you trust it, raise the limit in `ReadOptions`",
            path.display(),
            bytes_for_people(length),
            bytes_for_people(limit)
        )));
    }
    Ok((file, length))
}

/// The bytes of a JSON file.
pub(crate) fn read_small(path: &Path, options: &ReadOptions) -> Result<Vec<u8>> {
    let (file, length) = open(path, options.max_json_bytes)?;
    let mut bytes = Vec::new();
    // The file may grow while it is read; its length is the limit.
    file.take(length).read_to_end(&mut bytes).map_err(|e| refused::reading(path.display(), e))?;
    Ok(bytes)
}
