//! The files that rules write: which there are, and what they say at their end. They are only read here.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use crate::disk::error_sentence;

/// The most files that are listed, and how deep folders are looked into.
const MOST_FILES: usize = 1_000;
const MAX_DEPTH: usize = 8;
/// How much of the end of a file is read.
const TAIL: u64 = 64 << 10;

/// A file that rules have written.
#[derive(Debug, PartialEq, Serialize)]
pub struct OutputFile {
    /// Its name below the output folder, with `/`.
    pub name: String,
    pub bytes: u64,
    pub changed: Option<Timestamp>,
}

/// The output folder, for people.
pub struct OutputFiles {
    pub folder: PathBuf,
    /// Folders that are not shown, even if they are inside it: rules and data.
    pub hidden: Vec<PathBuf>,
}

impl OutputFiles {
    /// All files, the last changed first.
    pub fn list(&self) -> Vec<OutputFile> {
        let mut all = Vec::new();
        self.gather(&self.folder, 0, &mut all);
        all.sort_by(|a, b| b.changed.cmp(&a.changed).then(a.name.cmp(&b.name)));
        all
    }

    fn gather(&self, folder: &Path, depth: usize, all: &mut Vec<OutputFile>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if name.starts_with('.') || all.len() >= MOST_FILES || self.is_hidden(&path) {
                continue;
            }
            // What a link leads to may be anywhere.
            let Ok(found) = entry.metadata() else { continue };
            if found.is_dir() && depth < MAX_DEPTH {
                self.gather(&path, depth + 1, all);
            } else if found.is_file()
                && let Ok(below) = path.strip_prefix(&self.folder)
            {
                let changed = found.modified().ok().and_then(|at| Timestamp::try_from(at).ok());
                all.push(OutputFile { name: below.to_string_lossy().into_owned(), bytes: found.len(), changed });
            }
        }
    }

    fn is_hidden(&self, path: &Path) -> bool {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        self.hidden.iter().any(|hidden| hidden.canonicalize().is_ok_and(|hidden| real.starts_with(hidden)))
    }

    /// A file, and its size in bytes. The error is a message for people.
    pub fn whole(&self, name: &str) -> Result<(File, u64), String> {
        let file = self.open(name)?;
        let size = file.metadata().map_err(|e| format!("{name} cannot be read: {}", error_sentence(&e)))?.len();
        Ok((file, size))
    }

    /// The first line of a file, and its last lines, at most `most`.
    pub fn tail(&self, name: &str, most: usize) -> Result<(String, Vec<String>), String> {
        let cannot = |e: std::io::Error| format!("{name} cannot be read: {}", error_sentence(&e));
        let mut file = self.open(name)?;
        let size = file.metadata().map_err(cannot)?.len();
        let mut beginning = Vec::new();
        (&mut file).take(TAIL.min(8 << 10)).read_to_end(&mut beginning).map_err(cannot)?;
        let first = String::from_utf8_lossy(&beginning).lines().next().unwrap_or_default().trim_start_matches('\u{feff}').to_owned();
        let from = size.saturating_sub(TAIL);
        file.seek(SeekFrom::Start(from)).map_err(cannot)?;
        let mut end = Vec::new();
        file.take(TAIL).read_to_end(&mut end).map_err(cannot)?;
        let text = String::from_utf8_lossy(&end);
        // The first of them may be cut off.
        let lines: Vec<&str> = text.lines().skip(usize::from(from > 0)).collect();
        let kept = lines.iter().skip(lines.len().saturating_sub(most));
        Ok((first, kept.map(|line| (*line).to_owned()).collect()))
    }

    /// Opens a file, if it is one of those that are listed.
    fn open(&self, name: &str) -> Result<File, String> {
        let is_plain = |part: Component| matches!(part, Component::Normal(part) if !part.to_string_lossy().starts_with('.'));
        let path = self.folder.join(name);
        let is_inside = match (path.canonicalize(), self.folder.canonicalize()) {
            (Ok(real), Ok(folder)) => real.starts_with(folder),
            _ => false,
        };
        if name.is_empty() || !Path::new(name).components().all(is_plain) || !is_inside || self.is_hidden(&path) || !path.is_file() {
            return Err("there is no such file in the output folder".to_owned());
        }
        File::open(&path).map_err(|e| format!("{name} cannot be read: {}", error_sentence(&e)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_folder_are_listed_and_read() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("output");
        fs::create_dir_all(root.join("2026")).unwrap();
        fs::create_dir_all(root.join("data")).unwrap();
        for (name, text) in [("a.csv", "A,B\n1,2\n"), ("2026/b.log", "x\n"), ("data/doorbell.db", "d"), (".doorbell.lock", "")] {
            fs::write(root.join(name), text).unwrap();
        }
        fs::write(dir.path().join("secret"), "s").unwrap();
        std::os::unix::fs::symlink(dir.path().join("secret"), root.join("link")).unwrap();
        let files = OutputFiles { folder: root.clone(), hidden: vec![root.join("data")] };
        let mut names: Vec<String> = files.list().into_iter().map(|file| file.name).collect();
        names.sort();
        assert_eq!(names, ["2026/b.log", "a.csv"]);
        assert_eq!(files.whole("2026/b.log").unwrap().1, 2);
        for name in ["link", "../secret", "data/doorbell.db", ".doorbell.lock", "", "2026", "/etc/passwd", "2026/../../secret"] {
            assert!(files.whole(name).is_err(), "{name}");
        }
    }

    #[test]
    fn the_end_of_a_long_file_is_read_without_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let files = OutputFiles { folder: dir.path().to_owned(), hidden: Vec::new() };
        let rows: String = (0..50_000).map(|n| format!("row {n}\n")).collect();
        fs::write(dir.path().join("a.log"), format!("title\n{rows}")).unwrap();
        let (first, last) = files.tail("a.log", 2).unwrap();
        assert_eq!((first.as_str(), last), ("title", vec!["row 49998".to_owned(), "row 49999".to_owned()]));
        fs::write(dir.path().join("b.log"), "one\ntwo").unwrap();
        assert_eq!(files.tail("b.log", 9).unwrap(), ("one".to_owned(), vec!["one".to_owned(), "two".to_owned()]));
    }
}
