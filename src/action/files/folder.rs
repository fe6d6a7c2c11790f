//! The output folder: the only place that rules write to, no matter what a file name is built from.
//!
//! Names from templates are made safe when they are rendered (`template::Destination::File`). This is the second barrier:
//! a path that is outside the folder, including through links, or inside the rules or data folder, is refused.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::download::{self, Download, OWN};
use crate::disk::{Lock, error_sentence, flush_folder, lock};
use crate::model::outcome::Outcome;

/// The maximum length of the name of one file or folder, in bytes, as on most file systems.
const MAX_NAME: usize = 255;

/// The folder that rules write to.
#[derive(Debug, Clone)]
pub struct Output {
    root: PathBuf,
    /// Folders that rules never write to, even if they are inside the output folder.
    forbidden: Vec<PathBuf>,
    lock: Arc<Lock>,
}

/// Why something cannot be written or read, in plain English.
#[derive(Debug, Clone)]
pub enum Unwritten {
    /// It may work if retried later.
    Again(String),
    Never(String),
}

impl Unwritten {
    /// The same, with what it is about.
    pub fn because(self, of: &str) -> Self {
        match self {
            Unwritten::Again(why) => Unwritten::Again(format!("{of}: {why}")),
            Unwritten::Never(why) => Unwritten::Never(format!("{of}: {why}")),
        }
    }

    /// What becomes of a step for this reason.
    pub fn outcome(self) -> Outcome {
        match self {
            Unwritten::Again(why) => Outcome::retry(why),
            Unwritten::Never(why) => Outcome::failed(why),
        }
    }
}

impl From<io::Error> for Unwritten {
    fn from(e: io::Error) -> Self {
        Unwritten::Again(error_sentence(&e))
    }
}

impl Output {
    /// Locks the folder for this process; creates it if it is missing. The error is a message for people.
    pub fn open(root: &Path, forbidden: &[&Path]) -> Result<Self, String> {
        let made = fs::create_dir_all(root).and_then(|()| root.canonicalize());
        let real = made.map_err(|e| format!("the output folder {} cannot be used: {}", root.display(), error_sentence(&e)))?;
        let forbidden = forbidden.iter().filter_map(|p| p.canonicalize().ok()).collect();
        let lock = Arc::new(lock(&real, "output")?);
        download::clear(&real).map_err(|e| format!("the output folder {} cannot be used: {}", root.display(), error_sentence(&e)))?;
        Ok(Self { root: real, forbidden, lock })
    }

    /// The folder's own id, which stays the same wherever it is mounted.
    pub fn id(&self) -> &str {
        self.lock.id()
    }

    /// Whether the folder is still the one that was locked, and not, for example, the empty mount point of a missing disk.
    pub fn is_there(&self) -> Result<(), Unwritten> {
        self.lock.is_there().map_err(Unwritten::Again)
    }

    /// Begins a file that is received.
    pub(super) fn download(&self, key: &str) -> Result<Download, Unwritten> {
        self.is_there()?;
        Ok(Download::begin(&self.root, key)?)
    }

    /// Whether a file of this name exists; creates nothing.
    pub fn has(&self, name: &str) -> Result<bool, Unwritten> {
        check(name).map_err(Unwritten::Never)?;
        self.is_there()?;
        match fs::symlink_metadata(self.root.join(name)) {
            Ok(_) => Ok(true),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
            Err(e) => Err(Unwritten::Again(format!("{name} cannot be read: {}", error_sentence(&e)))),
        }
    }

    /// The path of a file in the folder; creates the parent folders and flushes them.
    pub fn place(&self, name: &str) -> Result<PathBuf, Unwritten> {
        check(name).map_err(Unwritten::Never)?;
        self.is_there()?;
        let path = self.root.join(name);
        let parent = path.parent().unwrap_or(&self.root);
        if !parent.is_dir() {
            self.make(parent).map_err(|e| Unwritten::Again(format!("the folder for {name} cannot be created: {}", error_sentence(&e))))?;
        }
        let folder =
            parent.canonicalize().map_err(|e| Unwritten::Again(format!("the folder for {name} cannot be used: {}", error_sentence(&e))))?;
        let file = folder.join(path.file_name().unwrap_or_default());
        let real = match file.is_symlink() {
            true => {
                file.canonicalize().map_err(|_| Unwritten::Never(format!("{name} is a symbolic link to a file that does not exist")))?
            }
            false => file,
        };
        if !real.starts_with(&self.root) {
            return Err(Unwritten::Never(format!("{name} would be outside the output folder")));
        }
        if self.forbidden.iter().any(|f| real.starts_with(f) && f != &self.root) {
            return Err(Unwritten::Never(format!("{name} would be in the rules or data folder, where rules cannot write")));
        }
        Ok(real)
    }

    /// Creates folders one by one, so that each is flushed and none is created behind a link that leads outside.
    fn make(&self, folder: &Path) -> io::Result<()> {
        let mut at = self.root.clone();
        for part in folder.strip_prefix(&self.root).unwrap_or(folder).components() {
            at.push(part);
            if !at.is_dir() {
                fs::create_dir(&at)?;
                flush_folder(at.parent().unwrap_or(&self.root))?;
            }
            if !at.canonicalize()?.starts_with(&self.root) {
                return Err(io::Error::other("it would be outside the output folder"));
            }
        }
        Ok(())
    }
}

/// Whether a name may be used in the folder.
pub fn check(name: &str) -> Result<(), String> {
    if name.trim().is_empty() {
        return Err("the file name is empty".to_owned());
    }
    if name.ends_with('/') {
        return Err(format!("`{name}` is a folder; the file name is missing"));
    }
    if name.starts_with('/') || name.starts_with('\\') || name.as_bytes().get(1) == Some(&b':') {
        return Err(format!("`{name}` would be outside the output folder"));
    }
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) if part.len() > MAX_NAME => return Err(format!("a file name has at most {MAX_NAME} characters")),
            Component::Normal(part) if part.to_string_lossy().starts_with(OWN) => {
                return Err(format!("names that begin with {OWN} are reserved for Doorbell"));
            }
            Component::Normal(_) => {}
            _ => return Err(format!("`{name}` would be outside the output folder")),
        }
    }
    if name.contains('\0') {
        return Err("a file name cannot contain a NUL character".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_name_leads_out_of_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let (out, data) = (dir.path().join("out"), dir.path().join("out/data"));
        fs::create_dir_all(&data).unwrap();
        std::os::unix::fs::symlink(dir.path(), out.join("link")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", out.join("file")).unwrap();
        let output = Output::open(&out, &[&data]).unwrap();
        for name in
            ["../x", "/etc/x", "a/../../x", "link/x", "file", "data/x", "", ".", "a/", "C:\\x", ".doorbell.lock", "a/./../..", "link/new/x"]
        {
            assert!(output.place(name).is_err(), "{name}");
        }
        assert!(!dir.path().join("new").exists());
        assert_eq!(output.place("a/b.csv").unwrap(), out.canonicalize().unwrap().join("a/b.csv"));
    }
}
