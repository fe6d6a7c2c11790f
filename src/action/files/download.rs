//! A file that is being received. Until it is complete, it is in a folder of Doorbell's own, which is emptied at each start, so
//! that nobody takes a part of it for the whole.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{private_file, private_folder};

/// The prefix of Doorbell's own files in the output folder.
pub const OWN: &str = ".doorbell";

/// The folder, below the output folder.
fn folder(root: &Path) -> PathBuf {
    root.join(format!("{OWN}.downloads"))
}

/// Removes what an earlier process has left.
pub(super) fn clear(root: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder(root)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// A file that is deleted when it is dropped.
#[derive(Debug)]
pub struct Download {
    path: PathBuf,
    file: File,
}

impl Download {
    /// Begins a file; no other one that is received at the same time has this key.
    pub(super) fn begin(root: &Path, key: &str) -> io::Result<Self> {
        let folder = folder(root);
        private_folder(&folder)?;
        let path = folder.join(key);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = private_file().read(true).create_new(true).open(&path)?;
        Ok(Self { path, file })
    }

    pub fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
