//! Folders with everything in them.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// Forces every file and folder under `root` to disk.
pub(super) fn sync(root: &Path) -> io::Result<()> {
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                // Windows syncs only what is open for writing, others also files that are read-only.
                File::options().read(true).write(cfg!(windows)).open(entry.path())?.sync_all()?;
            }
        }
        if cfg!(unix) {
            // Some file systems cannot sync a folder.
            let _ = File::open(&folder).and_then(|f| f.sync_all());
        }
    }
    Ok(())
}

/// Copies the file or folder `from` to `to`. Files are linked where the file system can, which takes no space.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut left: Vec<(PathBuf, PathBuf)> = vec![(from.to_path_buf(), to.to_path_buf())];
    while let Some((from, to)) = left.pop() {
        if fs::symlink_metadata(&from)?.is_dir() {
            fs::create_dir(&to)?;
            for entry in fs::read_dir(&from)? {
                let name = entry?.file_name();
                left.push((from.join(&name), to.join(name)));
            }
        } else if fs::hard_link(&from, &to).is_err() {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}
