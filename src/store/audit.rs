//! The audit log: what people did to this Doorbell, one line of JSON each, in the data folder.
//!
//! Unlike the log, it is still there after a restart. Those who write an entry decide what is worth one; `doorbell audit` shows
//! them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::disk;

const FILE: &str = "audit.jsonl";
/// The size at which a new file begins, and how many older ones are kept: 40 MB in total, about 200,000 entries.
const MOST_BYTES: u64 = 8 << 20;
const MOST_FILES: usize = 4;

/// Something that a person did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub at: Timestamp,
    /// The number of the user of the operating system; `None` if it is not known.
    pub user: Option<u32>,
    /// What was done, as a sentence without a subject: `replayed event … (1 run)`.
    pub did: String,
}

/// The audit log of a data folder.
#[derive(Debug)]
pub struct Audit {
    data: PathBuf,
    writing: Mutex<()>,
}

impl Audit {
    pub fn of(data: &Path) -> Self {
        Self { data: data.to_owned(), writing: Mutex::default() }
    }

    /// Adds an entry and flushes it. If that is not possible, it is logged; what was done cannot be undone anyway.
    pub fn write(&self, at: Timestamp, user: Option<u32>, did: impl Into<String>) {
        let entry = Entry { at, user, did: did.into() };
        if let Err(e) = self.append(&entry) {
            tracing::error!("audit log cannot be written ({}); the entry is: user {user:?} {}", disk::error_sentence(&e), entry.did);
        }
    }

    fn append(&self, entry: &Entry) -> std::io::Result<()> {
        let _one = self.writing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let path = self.data.join(FILE);
        if fs::metadata(&path).is_ok_and(|m| m.len() >= MOST_BYTES) {
            for n in (1..MOST_FILES).rev() {
                // The oldest one is overwritten; a missing one leaves a gap that does no harm.
                let _ = fs::rename(set_aside(&self.data, n), set_aside(&self.data, n + 1));
            }
            fs::rename(&path, set_aside(&self.data, 1))?;
        }
        let mut file = disk::private_file().create(true).append(true).open(&path)?;
        file.write_all((serde_json::to_string(entry)? + "\n").as_bytes())?;
        file.sync_data()
    }
}

fn set_aside(data: &Path, n: usize) -> PathBuf {
    data.join(format!("audit.{n}.jsonl"))
}

/// The latest entries of a data folder, oldest first.
pub fn entries(data: &Path, most: usize) -> std::io::Result<Vec<Entry>> {
    let files = (1..=MOST_FILES).rev().map(|n| set_aside(data, n)).chain([data.join(FILE)]);
    let mut all = Vec::new();
    for file in files {
        match fs::File::open(file) {
            // A line that was cut off by a crash is left out.
            Ok(file) => all.extend(BufReader::new(file).lines().map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(all.split_off(all.len().saturating_sub(most)))
}

/// The user of this process, where the system shows it.
pub fn me() -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").ok().map(|m| m.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_files_are_set_aside_and_the_oldest_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::of(folder.path());
        for round in 0..6 {
            audit.write(Timestamp::UNIX_EPOCH, Some(round), "replayed");
            let file = fs::File::options().append(true).open(folder.path().join(FILE)).unwrap();
            file.set_len(MOST_BYTES).unwrap();
        }
        audit.write(Timestamp::UNIX_EPOCH, None, "cancelled\nforged");
        let all = entries(folder.path(), 100).unwrap();
        assert_eq!(all.iter().map(|e| e.user).collect::<Vec<_>>(), [Some(2), Some(3), Some(4), Some(5), None]);
        assert_eq!(entries(folder.path(), 1).unwrap().first().map(|e| e.did.as_str()), Some("cancelled\nforged"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1 + MOST_FILES);
    }
}
