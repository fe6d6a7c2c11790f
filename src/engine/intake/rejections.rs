//! Rejected requests and the reasons, stored next to the data, so that people can find out later what happened to one.
//!
//! Best effort: not flushed, limited per second, and the oldest are dropped when the file is full. So a flood of rejected
//! requests costs little. Bodies and headers are not stored; they are in [`kept_requests`](super::kept_requests) if the operator
//! wants that.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::kept_requests::KeptRequests;
use super::unknown_addresses::UnknownAddresses;
use crate::disk::private_file;

/// The maximum size of a file; the previous file is kept as well.
const MOST_BYTES: u64 = 1 << 20;
/// The maximum number of entries written in one second.
const MOST_A_SECOND: u32 = 50;
/// The maximum length of the method, the path and the reason that are stored, in characters.
const LONGEST: usize = 300;

/// The status of a request to an address that no rule uses.
const UNKNOWN: u16 = 404;

/// A request that was rejected.
#[derive(Debug, Serialize, Deserialize)]
pub struct Rejection {
    /// The id that the sender got with the answer.
    pub id: String,
    pub at: Timestamp,
    pub ip: String,
    pub method: String,
    pub address: String,
    pub status: u16,
    pub why: String,
}

/// The file of rejected requests.
pub struct Rejections {
    path: PathBuf,
    now: Mutex<Second>,
    /// Those of them that no rule uses.
    pub unknown_addresses: UnknownAddresses,
    /// The requests themselves, if they are kept.
    pub kept: Option<KeptRequests>,
}

/// How much was written in the current second.
#[derive(Default)]
struct Second {
    file: Option<File>,
    second: i64,
    count: u32,
}

fn paths(data: &Path) -> [PathBuf; 2] {
    ["refused.jsonl", "refused.old.jsonl"].map(|name| data.join(name))
}

impl Rejections {
    pub fn of(data: &Path) -> Self {
        let unknown_addresses = UnknownAddresses::default();
        let [path, old] = paths(data);
        for one in read(old).chain(read(path.clone())).filter(|one| one.status == UNKNOWN) {
            unknown_addresses.note(&one.address, &one.method, one.at);
        }
        Self { path, now: Mutex::default(), unknown_addresses, kept: None }
    }

    /// The same, with what was sent where the sender could not be verified.
    pub fn keeping_requests(self) -> Self {
        Self { kept: Some(KeptRequests::default()), ..self }
    }

    /// Stores a rejected request, if that can be done without waiting. Returns whether it was not one too many.
    pub fn remember(&self, mut refused: Rejection) -> bool {
        let mut now = self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if now.second != refused.at.as_second() {
            (now.second, now.count) = (refused.at.as_second(), 0);
        }
        now.count += 1;
        if now.count > MOST_A_SECOND {
            return false;
        }
        for text in [&mut refused.method, &mut refused.address, &mut refused.why] {
            if let Some((at, _)) = text.char_indices().nth(LONGEST) {
                text.truncate(at);
            }
        }
        if refused.status == UNKNOWN {
            self.unknown_addresses.note(&refused.address, &refused.method, refused.at);
        }
        let Ok(mut line) = serde_json::to_vec(&refused) else { return false };
        line.push(b'\n');
        if now.file.as_ref().and_then(|f| f.metadata().ok()).is_some_and(|m| m.len() > MOST_BYTES) {
            now.file = None;
            let _ = fs::rename(&self.path, self.path.with_file_name("refused.old.jsonl"));
        }
        if now.file.is_none() {
            now.file = private_file().create(true).append(true).open(&self.path).ok();
        }
        if let Some(file) = &mut now.file {
            let _ = file.write_all(&line);
        }
        true
    }

    /// The rejected request whose id begins with this text, if it is still stored.
    pub fn find(data: &Path, id: &str) -> Option<Rejection> {
        paths(data).into_iter().flat_map(read).find(|refused| refused.id.starts_with(id))
    }

    /// The latest rejected requests, newest first.
    pub fn latest(data: &Path, most: usize) -> Vec<Rejection> {
        let [new, old] = paths(data);
        let mut all: Vec<Rejection> = read(old).chain(read(new)).collect();
        all.reverse();
        all.truncate(most);
        all
    }
}

/// The rejected requests in a file, oldest first. A line that was cut off is left out.
fn read(path: PathBuf) -> impl Iterator<Item = Rejection> {
    let lines = File::open(path).map(BufReader::new).into_iter().flat_map(|f| f.lines().map_while(Result::ok));
    lines.filter_map(|line| serde_json::from_str(&line).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_rejections_is_saved_only_in_part_and_never_fills_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let rejections = Rejections::of(folder.path());
        for second in 0..200 {
            for n in 0..100 {
                rejections.remember(Rejection {
                    id: format!("{second}-{n}"),
                    at: Timestamp::from_second(second).unwrap(),
                    ip: "203.0.113.7".into(),
                    method: "POST".into(),
                    address: "/x".repeat(4_000),
                    status: 404,
                    why: "No rule uses this address.".into(),
                });
            }
        }
        let size = |path: &PathBuf| fs::metadata(path).unwrap().len();
        assert!(paths(folder.path()).iter().all(|p| size(p) < MOST_BYTES + 2_000));
        assert!(Rejections::find(folder.path(), "199-49").is_some());
        assert!(Rejections::find(folder.path(), "199-50").is_none(), "only 50 are saved per second");
        assert!(Rejections::find(folder.path(), "0-0").is_none(), "old rejections are deleted");
        let calls = |rejections: &Rejections| rejections.unknown_addresses.lately(Timestamp::from_second(200).unwrap())[0].calls;
        assert_eq!(calls(&rejections), 200 * u64::from(MOST_A_SECOND));
        assert!(calls(&Rejections::of(folder.path())) > 1_000, "what is stored is known after a restart");
    }
}
