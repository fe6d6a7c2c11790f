//! Disks and folders: flushes changes, closes folders to others, locks them, and reports disk errors in plain English.

use std::cell::Cell;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Flushes a file, and checks whether its disk still [accepts](takes_writes) writes.
pub fn flush(file: &File) -> io::Result<()> {
    file.sync_all()?;
    takes_writes(file)
}

/// Whether the disk of a file that is open for writing is still available: writes zero bytes, which changes nothing. If
/// the disk disappears during a flush, the flush may report success although nothing was stored (seen with ext4, after
/// its journal was aborted); a check after the flush reports the error.
pub fn takes_writes(mut file: &File) -> io::Result<()> {
    file.write(&[]).map(drop)
}

/// Reads a file, or a pipe, of at most this size: a device such as `/dev/zero` never ends.
pub fn read_at_most(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
    match bytes.len() > most {
        true => Err(io::Error::other(format!(
            "it is larger than {}",
            if most < 1 << 20 { format!("{} KB", most >> 10) } else { format!("{} MB", most >> 20) }
        ))),
        false => Ok(bytes),
    }
}

/// The same for text.
pub fn read_text_at_most(path: &Path, most: usize) -> io::Result<String> {
    String::from_utf8(read_at_most(path, most)?).map_err(|_| io::Error::other("it is not UTF-8 text"))
}

/// Flushes a folder, so that a file created or renamed in it still exists after a power failure.
pub fn flush_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The permissions of what only its owner may read: a folder, and a file.
const PRIVATE_FOLDER: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// Creates a folder that only its owner may open, or closes an existing one to others. The error is often that it belongs to
/// somebody else.
pub fn private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(folder)?;
    close_to_others(folder, PRIVATE_FOLDER)
}

/// Closes an existing file to others.
pub fn close_file(file: &Path) -> io::Result<()> {
    close_to_others(file, PRIVATE_FILE)
}

fn close_to_others(path: &Path, mode: u32) -> io::Result<()> {
    match is_open_to(path, 0o077) {
        true => fs::set_permissions(path, Permissions::from_mode(mode)),
        false => Ok(()),
    }
}

/// Options to create or open a file that only its owner may read.
pub fn private_file() -> OpenOptions {
    let mut options = File::options();
    options.write(true).mode(PRIVATE_FILE);
    options
}

/// Whether any of these permission bits is set, such as 0o004: everybody may read it.
pub fn is_open_to(path: &Path, bits: u32) -> bool {
    fs::metadata(path).is_ok_and(|m| m.mode() & bits != 0)
}

/// A lock that this process holds on a folder; released when it is dropped, or when the process crashes.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    path: PathBuf,
    /// The lock file's inode number and its content, which is unique.
    number: u64,
    text: String,
    /// The folder's display name.
    what: String,
    id: String,
}

impl Lock {
    /// The folder's own id: chosen at random when it was first locked, and unchanged since.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether the folder is still the one that was locked. The error is a message for people.
    pub fn is_there(&self) -> Result<(), String> {
        // Some network mounts renumber their files from time to time.
        let is_same = fs::metadata(&self.path).is_ok_and(|m| m.ino() == self.number);
        if is_same || fs::read_to_string(&self.path).is_ok_and(|text| text == self.text) {
            return Ok(());
        }
        let folder = self.path.parent().unwrap_or(&self.path).display();
        Err(format!(
            "the {} folder {folder} was moved, emptied or replaced while Doorbell was using it; put it back, or restart Doorbell",
            self.what
        ))
    }
}

/// Locks a folder for this process. The error is a message that names the process holding it.
pub fn lock(folder: &Path, what: &str) -> Result<Lock, String> {
    let path = folder.join(".doorbell.lock");
    let cannot = |e: io::Error| format!("the {what} folder {} cannot be used: {}", folder.display(), error_sentence(&e));
    let file = private_file().read(true).create(true).truncate(false).open(&path).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            return Err(format!(
                "another Doorbell ({}) is using the {what} folder {}; stop it, or choose another folder with --{what}",
                holder.lines().find(|l| l.starts_with("process ")).unwrap_or("of an earlier version"),
                folder.display()
            ));
        }
        Err(TryLockError::Error(e)) => return Err(cannot(e)),
    }
    let drawn = || format!("{:016x}", RandomState::new().hash_one(&path));
    let known = fs::read_to_string(&path).unwrap_or_default();
    let id = known.lines().find_map(|l| l.strip_prefix("folder ")).filter(|id| id.len() == 16).map_or_else(drawn, str::to_owned);
    // The id comes first and is overwritten with the same bytes, so that a power failure cannot lose it.
    let text = format!("folder {id}\nprocess {}\n{}\n", std::process::id(), drawn());
    file.write_all_at(text.as_bytes(), 0).and_then(|()| file.set_len(text.len() as u64)).map_err(cannot)?;
    flush(&file).and_then(|()| flush_folder(folder)).map_err(cannot)?;
    let number = file.metadata().map_err(cannot)?.ino();
    Ok(Lock { _file: file, path, number, text, what: what.to_owned(), id })
}

/// Whether a process has locked a folder.
pub fn is_taken(folder: &Path) -> bool {
    File::open(folder.join(".doorbell.lock")).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// An error of the file system in plain English.
pub fn error_sentence(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied; check the owner and permissions of the folder".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the disk is read-only".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => "there is a file where a folder is needed".to_owned(),
        io::ErrorKind::NotFound => "it does not exist".to_owned(),
        _ => error.to_string(),
    }
}

/// What went wrong on the disk, in plain English.
pub type Trouble = Cell<Option<String>>;

/// A file that records the errors of its disk, because code that reads it through several layers cannot distinguish them
/// from a damaged file.
#[derive(Clone, Copy)]
pub struct Watched<'f> {
    file: &'f File,
    trouble: &'f Trouble,
}

impl<'f> Watched<'f> {
    pub fn new(file: &'f File, trouble: &'f Trouble) -> Self {
        Self { file, trouble }
    }

    fn seen<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|e| self.trouble.set(Some(error_sentence(e))))
    }
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer);
        self.seen(read)
    }
}

impl Write for Watched<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes);
        self.seen(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Watched<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        // A damaged workbook may contain offsets that no file has.
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit_and_a_device_never_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "x".repeat(2048)).unwrap();
        assert_eq!(read_at_most(&path, 2048).unwrap().len(), 2048);
        assert_eq!(read_at_most(&path, 2047).unwrap_err().to_string(), "it is larger than 1 KB");
        assert_eq!(read_text_at_most(Path::new("/dev/zero"), 1 << 20).unwrap_err().to_string(), "it is larger than 1 MB");
    }
}
