//! Where a write goes, and the hidden siblings it goes through.

use crate::refused;
use addax_tensor::{Error, Result};
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

const SUFFIX: &str = ".addax-tmp";
/// In a sibling folder: the lock file, the folder being written, and what the names of old folders begin with.
pub(super) const LOCK: &str = "lock";
pub(super) const NEW: &str = "new";
pub(super) const OLD: &str = "old";

/// A target with its symbolic links resolved, so that a rename replaces what a link points to and not the link.
pub(super) struct Place {
    pub path: PathBuf,
    parent: PathBuf,
    prefix: String,
}

impl Place {
    pub fn of(path: &Path) -> Result<Place> {
        let linked = fs::symlink_metadata(path).is_ok_and(|m| m.is_symlink());
        let path = if linked {
            fs::canonicalize(path).map_err(|e| Error::io(format!("following the link {}", path.display()), e))?
        } else {
            path.to_path_buf()
        };
        let Some(name) = path.file_name() else {
            return Err(Error::argument(format!(
                "cannot write to \"{}\": it ends in no name; add the name to save under",
                path.display()
            )));
        };
        // Long names would pass the file system's limit with a prefix: a part of the name and a checksum of it all do.
        let start: String = name.to_string_lossy().chars().take(40).collect();
        let prefix = format!(".{start}-{:08x}-", crc32fast::hash(name.as_encoded_bytes()));
        let parent = match path.parent() {
            Some(p) if !p.as_os_str().is_empty() => p.to_path_buf(),
            _ => PathBuf::from("."),
        };
        Ok(Place { path, parent, prefix })
    }

    /// A new hidden path beside the target, on the same file system.
    pub fn sibling(&self) -> PathBuf {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.subsec_nanos());
        self.parent.join(format!("{}{:x}-{nanos:x}-{count:x}{SUFFIX}", self.prefix, process::id()))
    }

    /// Siblings of this target that exist now, whoever wrote them.
    pub fn siblings(&self) -> Vec<PathBuf> {
        let is_ours = |name: &OsString| {
            let name = name.to_string_lossy();
            name.starts_with(&self.prefix) && name.ends_with(SUFFIX)
        };
        let Ok(entries) = fs::read_dir(&self.parent) else { return Vec::new() };
        entries.flatten().map(|e| e.file_name()).filter(is_ours).map(|n| self.parent.join(n)).collect()
    }

    /// Removes siblings whose writer died. What cannot be removed stays: it is in nobody's way.
    pub fn sweep(&self) {
        for sibling in self.siblings() {
            let Ok(kind) = fs::symlink_metadata(&sibling) else { continue };
            if kind.is_dir() {
                // A sibling folder without a lock is being made or removed right now, or empty.
                if fs::remove_dir(&sibling).is_ok() {
                    continue;
                }
                let Ok(lock) = OpenOptions::new().write(true).open(sibling.join(LOCK)) else { continue };
                let needed = || between_renames(&sibling) && !exists(&self.path);
                if lock.try_lock().is_ok() && !needed() {
                    let _ = fs::remove_dir_all(&sibling);
                }
            } else if kind.is_file() {
                let Ok(file) = OpenOptions::new().write(true).open(&sibling) else { continue };
                if file.try_lock().is_ok() {
                    let _ = fs::remove_file(&sibling);
                }
            }
        }
    }

    /// Makes the target's entry in its folder durable. Not every file system can: the content is safe either way.
    pub fn sync_parent(&self) {
        if cfg!(unix)
            && let Ok(folder) = File::open(&self.parent)
        {
            let _ = folder.sync_all();
        }
    }

    /// The error for a step that the operating system refused.
    pub fn refused(&self, e: io::Error) -> Error {
        refused::writing(self.path.display(), e)
    }
}

/// Locks a sibling just made. False if another process swept it before the lock was held: make a new one.
///
/// Where the file system knows no locks, nobody can sweep either.
pub(super) fn lock(file: &File, path: &Path) -> bool {
    file.lock().is_err() || exists(path)
}

/// Whether there is anything of that name, a dangling link too.
pub(super) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Whether the writer of a sibling folder stopped between moving the old folder away and the new one in.
pub(super) fn between_renames(stage: &Path) -> bool {
    let (mut new, mut old) = (false, false);
    for entry in fs::read_dir(stage).into_iter().flatten().flatten() {
        let name = entry.file_name();
        new |= name == NEW;
        old |= name.to_string_lossy().starts_with(OLD);
    }
    new && old
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_of_another_name_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let ours = Place::of(&folder.path().join("a")).unwrap();
        let other = Place::of(&folder.path().join("a-b")).unwrap();
        fs::write(other.sibling(), b"").unwrap();
        fs::write(ours.sibling(), b"").unwrap();
        fs::write(folder.path().join(".a-notes.addax-tmp"), b"").unwrap();
        ours.sweep();
        assert_eq!(ours.siblings().len(), 0);
        assert_eq!(other.siblings().len(), 1);
        assert!(folder.path().join(".a-notes.addax-tmp").exists());
    }

    #[test]
    fn a_locked_sibling_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::of(&folder.path().join("m")).unwrap();
        let path = place.sibling();
        let file = File::create(&path).unwrap();
        assert!(lock(&file, &path));
        place.sweep();
        assert!(path.exists());
        drop(file);
        place.sweep();
        assert!(!path.exists());
    }

    #[test]
    fn names_at_the_limit_of_the_file_system_work() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::of(&folder.path().join("ü".repeat(127))).unwrap();
        assert!(File::create(place.sibling()).is_ok());
    }

    #[test]
    fn a_path_without_a_name_is_refused() {
        for path in ["/", "..", "x/.."] {
            let error = Place::of(Path::new(path)).err().unwrap();
            assert!(error.to_string().contains("add the name to save under"), "{error}");
        }
    }
}
