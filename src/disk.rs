//! Disks and folders: flushing what was made in them, locking them, and their errors in words.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

/// Flushes a folder, so that a file made or renamed in it is still there after a power cut.
pub fn flush_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Held while a folder is ours; given back when it is dropped, also by a crash.
pub struct Lock {
    _file: File,
}

/// Takes a folder for this process. The error is a sentence that says who has it.
pub fn lock(folder: &Path, what: &str) -> Result<Lock, String> {
    let path = folder.join(".doorbell.lock");
    let cannot = |e: io::Error| format!("the {what} folder {} cannot be used: {}", folder.display(), words(&e));
    let mut options = File::options();
    let file = options.read(true).write(true).create(true).truncate(false).open(&path).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            return Err(format!(
                "another doorbell ({}) uses the {what} folder {}; stop it, or name another folder with --{what}",
                holder.trim(),
                folder.display()
            ));
        }
        Err(TryLockError::Error(e)) => return Err(cannot(e)),
    }
    fs::write(&path, format!("process {}\n", std::process::id())).map_err(cannot)?;
    Ok(Lock { _file: file })
}

/// An error of the file system in words.
pub fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full".to_owned(),
        io::ErrorKind::PermissionDenied => "Doorbell may not write there; look at the folder's owner and rights".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the disk can only be read".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => "a file stands where a folder is needed".to_owned(),
        io::ErrorKind::NotFound => "it is not there".to_owned(),
        _ => error.to_string(),
    }
}
