//! One file.

use super::place::{Place, lock};
use addax_tensor::{Error, Result};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// Large enough that a system call costs nothing beside its bytes.
const BUFFER: usize = 256 << 10;

/// Writes the file at `path` whole or not at all, and returns what `fill` returned.
///
/// `fill` writes to a buffered sibling, which is forced to disk and renamed to `path`. If `fill` or the system fails,
/// the sibling is removed and the old file, if any, is unchanged. A symbolic link stays and its target is replaced;
/// permissions of an old file are kept. The folder must exist. Fails if `path` is something other than a regular file.
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("notes.txt");
/// use addax_io::atomic::write_file;
/// use addax_tensor::Error;
/// write_file(&path, |to| to.write_all(b"one").map_err(|e| Error::io("writing notes", e)))?;
/// let failed = write_file(&path, |to| {
///     to.write_all(b"half of tw").map_err(|e| Error::io("writing notes", e))?;
///     Err::<(), _>(Error::data("no more data"))
/// });
/// assert!(failed.is_err());
/// assert_eq!(std::fs::read(&path).unwrap(), b"one");
/// # Ok::<(), Error>(())
/// ```
pub fn write_file<T>(path: impl AsRef<Path>, fill: impl FnOnce(&mut dyn Write) -> Result<T>) -> Result<T> {
    let place = Place::of(path.as_ref())?;
    let old = fs::metadata(&place.path).ok();
    if old.as_ref().is_some_and(|m| !m.is_file()) {
        return Err(Error::argument(format!(
            "cannot write to {}: it is not a regular file; choose another name",
            place.path.display()
        )));
    }
    place.sweep();
    let refused = |e| place.refused(e);
    let temp = Temp::new(&place).map_err(refused)?;
    let mut writer = BufWriter::with_capacity(BUFFER, &temp.file);
    let value = fill(&mut writer)?;
    writer.flush().map_err(refused)?;
    drop(writer);
    if let Some(old) = old {
        temp.file.set_permissions(old.permissions()).map_err(refused)?;
    }
    temp.file.sync_all().map_err(refused)?;
    fs::rename(&temp.path, &place.path).map_err(refused)?;
    place.sync_parent();
    Ok(value)
}

/// A locked file that is removed on drop, unless it was renamed away.
struct Temp {
    path: PathBuf,
    file: File,
}

impl Temp {
    fn new(place: &Place) -> io::Result<Temp> {
        loop {
            let path = place.sibling();
            let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
            let temp = Temp { path, file };
            if lock(&temp.file, &temp.path) {
                return Ok(temp);
            }
        }
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        // Its name is unique: after the rename there is nothing of that name.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, bytes: &[u8]) -> Result<()> {
        write_file(path, |to| to.write_all(bytes).map_err(|e| Error::io("writing", e)))
    }

    #[test]
    fn a_panic_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        put(&path, b"old").unwrap();
        let caught = std::panic::catch_unwind(|| {
            write_file(&path, |to| -> Result<()> {
                to.write_all(b"new").unwrap();
                panic!("on purpose")
            })
        });
        assert!(caught.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_permissions_are_kept() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, b"old").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("target", &link).unwrap();
        put(&link, b"new").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn only_regular_files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let error = put(folder.path(), b"x").unwrap_err();
        assert!(error.to_string().ends_with("it is not a regular file; choose another name"), "{error}");
        if cfg!(target_os = "linux") {
            assert!(put(Path::new("/dev/full"), b"x").is_err());
        }
    }
}
