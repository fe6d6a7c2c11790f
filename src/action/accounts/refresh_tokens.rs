//! Refresh tokens that a server gave in place of those before: one file each in the data folder, readable by its owner alone, and
//! encrypted if there is a data key.
//!
//! Many servers accept a refresh token only once. So a new one is safely on disk before anything else happens, and two processes
//! (`serve`, and a command that tries connections) never use one at the same time: each holds its lock meanwhile. A file is found by
//! the refresh token in the rule files that it replaces. If people change that, theirs counts.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::action::connections::OAuth2;
use crate::disk;
use crate::model::hash::hash;
use crate::secret::{Key, Secret};

/// What an encrypted file begins with.
const SEALED: &[u8] = b"\0doorbell sealed\0";
/// The largest file that is read, in bytes.
const LARGEST: usize = 256 << 10;

/// The folder for them.
#[derive(Debug, Clone)]
pub struct RefreshTokens {
    folder: PathBuf,
    key: Key,
}

/// The refresh token of one account, while nobody else uses it.
#[derive(Debug)]
pub struct OwnedRefreshToken {
    folder: PathBuf,
    file: PathBuf,
    key: Key,
    id: String,
    _lock: File,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    /// For people who look for it.
    connection: String,
    refresh_token: String,
}

impl RefreshTokens {
    pub fn of(data: &Path, key: Key) -> Self {
        Self { folder: data.join("tokens"), key }
    }

    /// Waits until nobody else uses the refresh token of this account. The error is a message for people.
    pub fn own(&self, account: &OAuth2) -> Result<OwnedRefreshToken, String> {
        let cannot = |e: io::Error| {
            let shown = self.folder.display();
            format!("a new refresh token could not be saved in {shown}, so none is asked for: {}", disk::error_sentence(&e))
        };
        disk::private_folder(&self.folder).map_err(cannot)?;
        let id = id(account);
        let lock = disk::private_file().create(true).truncate(false).open(self.folder.join(format!("{id}.lock"))).map_err(cannot)?;
        lock.lock().map_err(cannot)?;
        disk::takes_writes(&lock).map_err(cannot)?;
        Ok(OwnedRefreshToken { folder: self.folder.clone(), file: self.folder.join(&id), key: self.key.clone(), id, _lock: lock })
    }
}

/// An id of the refresh token in the rule files, and of the account that it belongs to.
fn id(account: &OAuth2) -> String {
    let token = account.refresh_token.as_ref().map_or("", Secret::reveal);
    hash(format!("{}\0{}\0{token}", account.token_url, account.client_id.reveal()).as_bytes()).chars().take(32).collect()
}

impl OwnedRefreshToken {
    /// The one that was stored, if there is one. The error is a message for people.
    pub fn find(&self) -> Result<Option<Secret>, String> {
        let wrong = |why: String| format!("the refresh token in {} cannot be read: {why}", self.file.display());
        let bytes = match disk::read_at_most(&self.file, LARGEST) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|e| wrong(disk::error_sentence(&e)))?,
        };
        let opened = match (bytes.strip_prefix(SEALED), &self.key) {
            (None, _) => bytes,
            (Some(sealed), Some(key)) => key.open(sealed, &self.id).map_err(wrong)?,
            (Some(_), None) => return Err(wrong("it is encrypted; give its key with --data-key FILE".to_owned())),
        };
        let stored: Stored = serde_json::from_slice(&opened).map_err(|_| wrong("it is damaged".to_owned()))?;
        Ok(Some(Secret::new(stored.refresh_token)))
    }

    /// Stores a new one. Returns once it is safely on disk. The error is a message for people.
    pub fn keep(&self, connection: &str, token: &Secret) -> Result<(), String> {
        let stored = Stored { connection: connection.to_owned(), refresh_token: token.reveal().to_owned() };
        let text = serde_json::to_vec(&stored).map_err(|e| e.to_string())?;
        let bytes = match &self.key {
            Some(key) => SEALED.iter().copied().chain(key.seal(&text, &self.id)).collect(),
            None => text,
        };
        let write = || {
            let new = self.file.with_extension("new");
            let mut file = disk::private_file().create(true).truncate(true).open(&new)?;
            file.write_all(&bytes)?;
            disk::flush(&file)?;
            fs::rename(&new, &self.file)?;
            disk::flush_folder(&self.folder)
        };
        write().map_err(|e| format!("the new refresh token cannot be saved in {}: {}", self.folder.display(), disk::error_sentence(&e)))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::sync::Arc;

    use super::*;
    use crate::action::connections::ClientProof;
    use crate::secret::DataKey;

    fn account(refresh_token: &str) -> OAuth2 {
        OAuth2 {
            token_url: "https://login.example.com/token".parse().unwrap(),
            client_id: Secret::new("shop"),
            client_secret: None,
            proof: ClientProof::Header,
            scope: None,
            refresh_token: Some(Secret::new(refresh_token)),
            parameters: Vec::new(),
        }
    }

    fn data_key(folder: &Path) -> Key {
        let file = folder.join("key");
        fs::write(&file, "0123456789abcdef".repeat(4)).unwrap();
        Some(Arc::new(DataKey::read(&[file]).unwrap()))
    }

    #[test]
    fn a_stored_refresh_token_counts_until_people_change_theirs() {
        let folder = tempfile::tempdir().unwrap();
        for key in [None, data_key(folder.path())] {
            let is_sealed = key.is_some();
            let all = RefreshTokens::of(&folder.path().join(format!("data {is_sealed}")), key);
            let owned = all.own(&account("first")).unwrap();
            assert_eq!(owned.find(), Ok(None));
            owned.keep("crm", &Secret::new("second")).unwrap();
            owned.keep("crm", &Secret::new("third")).unwrap();
            assert_eq!(owned.find(), Ok(Some(Secret::new("third"))));
            assert_eq!(fs::metadata(&owned.file).unwrap().mode() & 0o777, 0o600);
            let bytes = fs::read(&owned.file).unwrap();
            assert_eq!(String::from_utf8_lossy(&bytes).contains("third"), !is_sealed);
            drop(owned);
            assert_eq!(all.own(&account("first")).unwrap().find(), Ok(Some(Secret::new("third"))));
            assert_eq!(all.own(&account("changed")).unwrap().find(), Ok(None));
        }
    }

    #[test]
    fn one_that_cannot_be_read_is_not_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let with_key = RefreshTokens::of(folder.path(), data_key(folder.path()));
        with_key.own(&account("first")).unwrap().keep("crm", &Secret::new("second")).unwrap();
        let without = RefreshTokens::of(folder.path(), None).own(&account("first")).unwrap();
        let shown = without.file.display();
        let why = format!("the refresh token in {shown} cannot be read: it is encrypted; give its key with --data-key FILE");
        assert_eq!(without.find(), Err(why));
        fs::write(&without.file, "{").unwrap();
        assert_eq!(without.find(), Err(format!("the refresh token in {shown} cannot be read: it is damaged")));
    }
}
