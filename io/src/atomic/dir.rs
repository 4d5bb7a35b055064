//! A whole folder.

use super::{
    place::{LOCK, NEW, OLD, Place, between_renames, exists, lock},
    tree,
};
use addax_tensor::{Error, Result};
use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

/// Writes the folder at `path` whole or not at all, and returns what `fill` returned.
///
/// `fill` gets an empty folder beside `path` to write into. It is forced to disk and swapped in; then **the old folder
/// is removed with everything in it**. If `fill` or the system fails, the old folder is unchanged. The parent folder
/// must exist. Fails if `path` is something other than a folder.
///
/// On Linux and macOS the swap is one step. Where the system or the file system cannot do that, it is two renames, and
/// a crash between them is repaired by the next `write_dir` or [`recover_dir`].
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("run");
/// use addax_io::atomic::write_dir;
/// use addax_tensor::Error;
/// write_dir(&path, |dir| std::fs::write(dir.join("log"), "epoch 1").map_err(|e| Error::io("writing log", e)))?;
/// assert_eq!(std::fs::read_to_string(path.join("log")).unwrap(), "epoch 1");
/// # Ok::<(), Error>(())
/// ```
pub fn write_dir<T>(path: impl AsRef<Path>, fill: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    write(path.as_ref(), fill, exchange)
}

/// Completes a [`write_dir`] to `path` that a crash cut off between its two renames. Does nothing if there is none.
///
/// Call it before reading a folder that does not seem to exist. Waits for a writer that is between its renames right
/// now.
pub fn recover_dir(path: impl AsRef<Path>) {
    if let Ok(place) = Place::of(path.as_ref()) {
        recover(&place);
    }
}

type Exchange = fn(&Path, &Path) -> io::Result<()>;

fn write<T>(path: &Path, fill: impl FnOnce(&Path) -> Result<T>, exchange: Exchange) -> Result<T> {
    let place = Place::of(path)?;
    recover(&place);
    place.sweep();
    let old = fs::metadata(&place.path).ok();
    if old.as_ref().is_some_and(|m| !m.is_dir()) {
        return Err(Error::argument(format!(
            "cannot write a folder to {}: it is a file; choose another name",
            place.path.display()
        )));
    }
    let refused = |e| place.refused(e);
    let mut stage = Stage::new(&place).map_err(refused)?;
    let new = stage.path.join(NEW);
    fs::create_dir(&new).map_err(refused)?;
    let value = fill(&new)?;
    if let Some(old) = old {
        fs::set_permissions(&new, old.permissions()).map_err(refused)?;
    }
    tree::sync(&new).map_err(refused)?;
    stage.swap(&place.path, exchange).map_err(refused)?;
    place.sync_parent();
    Ok(value)
}

/// A hidden folder with a lock, the new folder, and for a moment the old one. Removed on drop.
struct Stage {
    path: PathBuf,
    /// Set while the only copy of the old folder is in here.
    keep: bool,
    /// Held for the writer's life.
    _lock: File,
}

impl Stage {
    fn new(place: &Place) -> io::Result<Stage> {
        loop {
            let path = place.sibling();
            fs::create_dir(&path)?;
            let file = path.join(LOCK);
            match OpenOptions::new().write(true).create_new(true).open(&file) {
                Ok(made) => {
                    if lock(&made, &file) {
                        return Ok(Stage { path, keep: false, _lock: made });
                    }
                }
                // Another process took the empty folder for a leftover.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => {
                    let _ = fs::remove_dir(&path);
                    return Err(e);
                }
            }
        }
    }

    fn swap(&mut self, target: &Path, exchange: Exchange) -> io::Result<()> {
        let new = self.path.join(NEW);
        // Each turn that fails lost a race against another writer to the same target.
        for turn in 0..100 {
            if !exists(target) {
                match fs::rename(&new, target) {
                    Err(e) if taken(&e, target) => continue,
                    done => return done,
                }
            }
            match exchange(&new, target) {
                Ok(()) => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(_) => {}
            }
            let old = self.path.join(format!("{OLD}-{turn}"));
            match fs::rename(target, &old) {
                Ok(()) => self.keep = true,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            }
            match fs::rename(&new, target) {
                Ok(()) => {
                    self.keep = false;
                    return Ok(());
                }
                // Another writer put its folder there: ours goes over it in the next turn.
                Err(e) if taken(&e, target) => self.keep = false,
                Err(e) => {
                    self.keep = fs::rename(&old, target).is_err();
                    return Err(e);
                }
            }
        }
        Err(io::Error::new(io::ErrorKind::ResourceBusy, "other programs keep writing to it"))
    }
}

/// Whether a rename failed because another writer's folder is there, or was a moment ago. Not every system says so.
fn taken(e: &io::Error, target: &Path) -> bool {
    matches!(e.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty) || exists(target)
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Swaps two folders in one step.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// If the target is missing and a sibling holds both the old folder and the new one, its writer stopped between the two
/// renames: the new folder is complete (it was forced to disk before the first rename), so it goes in.
fn recover(place: &Place) {
    if exists(&place.path) {
        return;
    }
    for stage in place.siblings().into_iter().filter(|s| between_renames(s)) {
        let Ok(lock) = OpenOptions::new().write(true).open(stage.join(LOCK)) else { continue };
        if lock.lock().is_ok()
            && between_renames(&stage)
            && !exists(&place.path)
            && fs::rename(stage.join(NEW), &place.path).is_ok()
        {
            place.sync_parent();
            let _ = fs::remove_dir_all(&stage);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_exchange(_: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn put(path: &Path, text: &str, exchange: Exchange) -> Result<()> {
        write(path, |d| fs::write(d.join("f"), text).map_err(|e| Error::io("writing", e)), exchange)
    }

    fn get(path: &Path) -> String {
        fs::read_to_string(path.join("f")).unwrap()
    }

    fn entries(path: &Path) -> usize {
        fs::read_dir(path).unwrap().count()
    }

    #[test]
    fn both_ways_to_swap_replace_the_folder() {
        for exchange in [exchange as Exchange, no_exchange] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("m");
            for text in ["one", "two", "three"] {
                put(&path, text, exchange).unwrap();
                assert_eq!(get(&path), text);
                assert_eq!((entries(folder.path()), entries(&path)), (1, 1));
            }
        }
    }

    #[test]
    fn a_failed_fill_keeps_the_old_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        put(&path, "old", exchange).unwrap();
        let failed = write_dir(&path, |d| {
            fs::write(d.join("f"), "half").unwrap();
            Err::<(), _>(Error::data("no more data"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "no more data");
        assert_eq!(get(&path), "old");
        assert_eq!(entries(folder.path()), 1);
    }

    #[test]
    fn a_crash_between_the_renames_is_repaired() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        let place = Place::of(&path).unwrap();
        for repair in [|p: &Path| recover_dir(p), |p: &Path| drop(write_dir(p, |_| Err::<(), _>(Error::data("no"))))] {
            put(&path, "old", exchange).unwrap();
            // The state after the first rename, its writer gone.
            let mut stage = Stage::new(&place).unwrap();
            stage.keep = true;
            put(&stage.path.join(NEW), "new", exchange).unwrap();
            fs::rename(&path, stage.path.join("old-0")).unwrap();
            drop(stage);
            repair(&path);
            assert_eq!(get(&path), "new");
            assert_eq!(entries(folder.path()), 1);
        }
    }

    #[test]
    fn a_deleted_folder_stays_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        let mut stage = Stage::new(&Place::of(&path).unwrap()).unwrap();
        stage.keep = true;
        fs::create_dir(stage.path.join("old-0")).unwrap();
        drop(stage);
        recover_dir(&path);
        assert!(!path.exists());
    }

    #[test]
    fn many_writers_leave_one_whole_folder() {
        for exchange in [exchange as Exchange, no_exchange] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("m");
            std::thread::scope(|s| {
                for writer in 0..4 {
                    let path = &path;
                    s.spawn(move || (0..10).for_each(|i| put(path, &format!("{writer} {i}"), exchange).unwrap()));
                }
            });
            assert!(get(&path).ends_with(" 9"));
            assert_eq!((entries(folder.path()), entries(&path)), (1, 1));
        }
    }

    #[test]
    fn a_file_is_not_replaced_by_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        fs::write(&path, "x").unwrap();
        assert!(put(&path, "y", exchange).unwrap_err().to_string().ends_with("it is a file; choose another name"));
        let under = put(&path.join("n"), "y", exchange).unwrap_err().to_string();
        assert!(under.contains("its folder is a file"), "{under}");
        assert_eq!(fs::read(&path).unwrap(), b"x");
    }
}
