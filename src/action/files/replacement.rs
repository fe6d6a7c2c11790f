//! A new file that is written next to an old one and then replaces it. It has the same owner and group, and nobody can
//! read it who could not read the old one, not even while it is being written.
//!
//! Access control lists and extended attributes are not preserved. The content is written by [`super::batch`] and
//! [`super::xlsx`].

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use super::folder::Unwritten;
use crate::disk::{flush, flush_folder};

/// A file under a temporary name. It is deleted if it is dropped before it is ready.
pub(super) struct Replacement {
    temporary: PathBuf,
    file: File,
    /// Whether an intent may refer to this file. If so, it is not deleted: after a failure its inode number identifies the
    /// file, and must not be reused for another one.
    is_ready: bool,
    /// Owner and group of the old file, if the new one could not have both.
    lost: Option<(u32, u32)>,
}

impl Replacement {
    /// Creates an empty file next to the one that it will replace. A file that replaces nothing gets the default permissions.
    pub(super) fn new(path: &Path, old: Option<&File>) -> Result<Self, Unwritten> {
        let temporary = path.with_file_name(format!(".{}.doorbell", path.file_name().unwrap_or_default().to_string_lossy()));
        // Never write into a file left by a crash: someone may have opened it, or put a link in its place.
        match fs::remove_file(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e.into()),
            _ => {}
        }
        let mut options = File::options();
        options.write(true).create_new(true);
        if old.is_some() {
            options.mode(0o600);
        }
        let mut new = Self { file: options.open(&temporary)?, temporary, is_ready: false, lost: None };
        if let Some(old) = old {
            new.take_access(&old.metadata()?)?;
        }
        Ok(new)
    }

    /// Gives the file, which only we can read so far, the owner and group of the old one, and then its permissions.
    fn take_access(&mut self, old: &Metadata) -> Result<(), Unwritten> {
        let new = self.file.metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) && fchown(&self.file, Some(old.uid()), Some(old.gid())).is_err() {
            // Only root can give a file to another user, but any user can give it to a group that they belong to.
            let _ = fchown(&self.file, None, Some(old.gid()));
        }
        let new = self.file.metadata()?;
        let keeps = Keeps { owner: new.uid() == old.uid(), group: new.gid() == old.gid() };
        let mode = keeps.mode(old.mode()).map_err(|who| Unwritten::Again(who.refused(old)))?;
        self.file.set_permissions(Permissions::from_mode(mode))?;
        self.lost = (!keeps.owner || !keeps.group).then_some((old.uid(), old.gid()));
        Ok(())
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Flushes the content. From now on the file stays until it replaces the old one or another one is created.
    pub(super) fn ready(mut self) -> io::Result<Self> {
        flush(&self.file)?;
        self.is_ready = true;
        Ok(self)
    }

    /// Replaces the old file, and returns once this is safely on disk.
    pub(super) fn take_place(self, path: &Path) -> io::Result<()> {
        fs::rename(&self.temporary, path)?;
        if let Some((owner, group)) = self.lost {
            tracing::warn!(
                file = %path.display(), owner, group,
                "file replaced; its owner or group could not be preserved, so it now belongs to Doorbell's user"
            );
        }
        path.parent().map_or(Ok(()), flush_folder)?;
        flush(&self.file)
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.is_ready {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// What a new file has in common with the old one.
#[derive(Clone, Copy)]
struct Keeps {
    owner: bool,
    group: bool,
}

/// Whose access would change.
#[derive(Debug, PartialEq, Eq)]
enum Affected {
    Owner,
    Group,
}

impl Keeps {
    /// The permissions that give everyone the access they had and no one more; if that is impossible, whose access would
    /// change.
    fn mode(self, old: u32) -> Result<u32, Affected> {
        let (owner, group, others) = (old >> 6 & 6, old >> 3 & 6, old & 6);
        // If the group differs, members of the old group become "others", and some "others" are in the new group.
        if !self.group && group != others {
            return Err(Affected::Group);
        }
        // The old owner is almost always a member of the file's group.
        if !(self.owner || self.group && owner == group || owner == others) {
            return Err(Affected::Owner);
        }
        Ok(match self {
            Keeps { owner: true, group: true } => old & 0o7777,
            Keeps { group: true, .. } => old & 0o777,
            Keeps { group: false, .. } => old & 0o707 | (old & 7) << 3,
        })
    }
}

impl Affected {
    fn refused(&self, old: &Metadata) -> String {
        match self {
            Affected::Owner => format!(
                "its owner (user {}) would lose access if Doorbell replaced the file; run Doorbell as that user, or give the file a group that Doorbell's user belongs to and make it writable for that group (chmod g+w)",
                old.uid()
            ),
            Affected::Group => {
                format!("its group ({}) would lose access if Doorbell replaced the file; add Doorbell's user to that group", old.gid())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_takes_access_from_nobody_and_gives_it_to_nobody() {
        let all = Keeps { owner: true, group: true };
        let group = Keeps { owner: false, group: true };
        let owner = Keeps { owner: true, group: false };
        let none = Keeps { owner: false, group: false };
        for (keeps, old, mode) in [
            (all, 0o600, Ok(0o600)),
            (all, 0o2664, Ok(0o2664)),
            (group, 0o664, Ok(0o664)),
            (group, 0o2660, Ok(0o660)),
            (group, 0o666, Ok(0o666)),
            (group, 0o644, Err(Affected::Owner)),
            (group, 0o600, Err(Affected::Owner)),
            (group, 0o460, Err(Affected::Owner)),
            (owner, 0o644, Ok(0o644)),
            (owner, 0o600, Ok(0o600)),
            (owner, 0o754, Ok(0o744)),
            (owner, 0o664, Err(Affected::Group)),
            (owner, 0o640, Err(Affected::Group)),
            // "Others" must not gain access because a group lost it.
            (owner, 0o604, Err(Affected::Group)),
            (owner, 0o710, Ok(0o700)),
            (none, 0o666, Ok(0o666)),
            (none, 0o644, Err(Affected::Owner)),
            (none, 0o664, Err(Affected::Group)),
        ] {
            assert_eq!(keeps.mode(old), mode, "{old:o}");
        }
    }

    #[test]
    fn an_existing_file_with_the_temporary_name_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("a.csv"), folder.path().join("victim"));
        fs::write(&path, "old").unwrap();
        fs::write(&victim, "mine").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let old = File::open(&path).unwrap();
        let temporary = folder.path().join(".a.csv.doorbell");
        std::os::unix::fs::symlink(&victim, &temporary).unwrap();
        let new = Replacement::new(&path, Some(&old)).unwrap();
        io::Write::write_all(&mut new.file(), b"new").unwrap();
        assert_eq!(fs::symlink_metadata(&temporary).unwrap().mode() & 0o170_7777, 0o100_640);
        new.ready().unwrap().take_place(&path).unwrap();
        assert_eq!((fs::read(&path).unwrap(), fs::read(&victim).unwrap()), (b"new".to_vec(), b"mine".to_vec()));
        // An abandoned replacement leaves no files.
        drop(Replacement::new(&path, Some(&old)).unwrap());
        assert!(!temporary.exists() && path.exists());
    }
}
