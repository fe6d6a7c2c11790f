//! Rule files as people edit them: which there are, what one says, whether a text would be valid in its place, and saving it.
//!
//! Nothing outside the rules folder is ever read or written. A file is replaced as a whole, and only if nobody else has
//! changed it in the meantime. Who may edit is up to the callers.

use std::fs::{self, File, Permissions};
use std::io::{Error, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use serde::Serialize;

use super::neighbours::Neighbours;
use crate::disk;
use crate::engine::rules::folder::{RuleFiles, read_rules};
use crate::engine::rules::reload::Load;
use crate::model::hash::hash;
use crate::problem::Problem;
use crate::rule::load::Loaded;
use crate::rule::ruleset::Ruleset;
use crate::text::printable::one_line;
use crate::yaml::source::{MAX_FILE, Source};

/// The rules folder, and how its files are compiled.
pub struct Editor {
    pub folder: PathBuf,
    /// With the real secrets: whether the files can be used.
    pub load: Load,
    /// With stand-ins for all secrets: for dry runs, which must not become a way to compare something with a secret.
    pub load_with_stand_ins: Load,
}

/// A rule file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleFile {
    /// Its name below the rules folder, with `/`.
    pub name: String,
    pub text: String,
    /// Changes with the text.
    pub version: String,
}

/// Why a file was not saved.
#[derive(Debug, PartialEq)]
pub enum NotSaved {
    /// The name cannot be that of a rule file here.
    Name(String),
    /// Somebody else has changed it; this is what it says now. Nothing if it was deleted.
    Changed(Option<RuleFile>),
    TooLarge,
    /// Something else manages the folder; see [`Editor::read_only`].
    ReadOnly(&'static str),
    /// The folder cannot be written to; why, and what to do, in plain English.
    Disk(String),
}

impl Editor {
    /// Why nothing can be saved here, if that is known in advance: the folder belongs to something else, which would undo it.
    pub fn read_only(&self) -> Option<&'static str> {
        if self.folder.join("..data").exists() {
            return Some("The rules come from a ConfigMap, so they are changed there.");
        }
        if self.folder.join(".git").exists() {
            return Some("The rules folder is a git work tree, so rules are changed in its repository.");
        }
        let probe = self.folder.join(".doorbell-probe");
        let written = File::create(&probe).and_then(|_| fs::remove_file(&probe));
        // A full disk is something that passes.
        let is_forbidden = |e: &Error| matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem);
        written.is_err_and(|e| is_forbidden(&e)).then_some("Doorbell may not write to the rules folder.")
    }

    /// Why nothing can be saved, as a reason not to save something.
    fn writable(&self) -> Result<(), NotSaved> {
        self.read_only().map_or(Ok(()), |why| Err(NotSaved::ReadOnly(why)))
    }

    /// Whether a file can have this name. The error is a message for people.
    pub fn may_be_called(&self, name: &str) -> Result<(), String> {
        self.place(name).map(|_| ())
    }

    /// The names of all rule files, below the folder.
    pub fn files(&self) -> Vec<String> {
        read_rules(&self.folder).sources.iter().filter_map(|source| self.below(&source.name)).collect()
    }

    /// What all files say, for a new one.
    pub fn neighbours(&self) -> Neighbours {
        Neighbours::of(&read_rules(&self.folder).sources)
    }

    /// The name below the folder of a file as problems name it.
    pub fn below(&self, shown: &str) -> Option<String> {
        let rest = Path::new(shown).strip_prefix(&self.folder).ok()?;
        Some(rest.to_string_lossy().into_owned()).filter(|name| !name.is_empty())
    }

    /// A file by its name below the folder. The error is a message for people.
    pub fn read(&self, name: &str) -> Result<Option<RuleFile>, String> {
        let path = self.place(name)?;
        let text = match fs::metadata(&path) {
            Ok(found) if !found.is_file() => return Err(format!("{name} is not a file")),
            Ok(found) if found.len() > MAX_FILE as u64 => return Err(format!("{name} is larger than {} KB", MAX_FILE >> 10)),
            Ok(_) => fs::read(&path).map_err(|e| format!("{name} cannot be read: {}", disk::error_sentence(&e)))?,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(format!("{name} cannot be read: {}", disk::error_sentence(&e))),
        };
        let text = String::from_utf8(text).map_err(|_| format!("{name} is not UTF-8 text"))?;
        Ok(Some(RuleFile { version: version(&text), name: name.to_owned(), text }))
    }

    /// A name that no file has yet, like this one.
    pub fn free_name(&self, like: &str) -> String {
        let stem = like.trim_end_matches(".yaml");
        let names = (2..1_000).map(|n| format!("{stem}-{n}.yaml"));
        let mut names = std::iter::once(format!("{stem}.yaml")).chain(names);
        names.find(|name| self.place(name).is_ok_and(|path| !path.exists())).unwrap_or_else(|| like.to_owned())
    }

    /// What all rules would be with this text in place of the file: for real, or with stand-ins for secrets. The error is a
    /// message for people.
    pub fn with(&self, name: &str, text: &str, stand_ins: bool) -> Result<Loaded, String> {
        let shown = self.place(name)?.to_string_lossy().into_owned();
        let (mut sources, mut problems) = self.others(&shown);
        match Source::new(&shown, text.as_bytes().to_vec()) {
            Ok(source) => sources.push(source),
            Err(problem) => problems.push(*problem),
        }
        sources.sort_by(|a, b| a.name.cmp(&b.name));
        let load: &Load = if stand_ins { &self.load_with_stand_ins } else { &self.load };
        load(RuleFiles::of(sources, problems)).map_err(|e| format!("{e:#}"))
    }

    /// What all rules would be without this file. The error is a message for people.
    pub fn without(&self, name: &str) -> Result<Loaded, String> {
        let (sources, problems) = self.others(&self.place(name)?.to_string_lossy());
        (self.load)(RuleFiles::of(sources, problems)).map_err(|e| format!("{e:#}"))
    }

    /// All files but one, and what is wrong with finding them.
    fn others(&self, shown: &str) -> (Vec<Source>, Vec<Problem>) {
        let RuleFiles { mut sources, mut problems, .. } = read_rules(&self.folder);
        sources.retain(|source| source.name != shown);
        problems.retain(|problem| problem.file != shown);
        (sources, problems)
    }

    /// The rules in use, with stand-ins for secrets. The error is a message for people.
    pub fn in_use(&self, ruleset: &Ruleset) -> Result<Loaded, String> {
        let sources = ruleset.texts.iter().map(|(_, source)| Source::clone(source)).collect();
        (self.load_with_stand_ins)(RuleFiles::of(sources, Vec::new())).map_err(|e| format!("{e:#}"))
    }

    /// The rules in these files, with stand-ins for secrets; `None` if they cannot be read any more.
    pub fn of_then(&self, texts: &[(String, String)]) -> Option<Ruleset> {
        let sources = texts.iter().map(|(name, text)| Source::stored(name, text.clone())).collect();
        (self.load_with_stand_ins)(RuleFiles::of(sources, Vec::new())).ok()?.ruleset
    }

    /// Saves a file, if it is still the version that was opened; `None` for a file that must not exist yet.
    pub fn save(&self, name: &str, text: &str, opened: Option<&str>) -> Result<RuleFile, NotSaved> {
        let path = self.place(name).map_err(NotSaved::Name)?;
        if text.len() > MAX_FILE {
            return Err(NotSaved::TooLarge);
        }
        self.writable()?;
        self.as_opened(name, opened)?;
        let permissions = fs::metadata(&path).map_or(Permissions::from_mode(0o644), |found| found.permissions());
        self.replace(&path, text, permissions).map_err(of_disk)?;
        Ok(RuleFile { version: version(text), name: name.to_owned(), text: text.to_owned() })
    }

    /// Deletes a file, if it is still the version that was opened.
    pub fn remove(&self, name: &str, opened: &str) -> Result<(), NotSaved> {
        let path = self.place(name).map_err(NotSaved::Name)?;
        self.writable()?;
        self.as_opened(name, Some(opened))?;
        fs::remove_file(&path).and_then(|()| disk::flush_folder(path.parent().unwrap_or(&self.folder))).map_err(of_disk)
    }

    /// Gives a file another name that no file has, if it is still the version that was opened.
    pub fn rename(&self, name: &str, to: &str, opened: &str) -> Result<(), NotSaved> {
        let (path, new) = (self.place(name).map_err(NotSaved::Name)?, self.place(to).map_err(NotSaved::Name)?);
        self.writable()?;
        self.as_opened(name, Some(opened))?;
        if new.symlink_metadata().is_ok() {
            return Err(NotSaved::Name(format!("there is a file called {to} already")));
        }
        let flushed = |path: &Path| disk::flush_folder(path.parent().unwrap_or(&self.folder));
        fs::rename(&path, &new).and_then(|()| flushed(&new)).and_then(|()| flushed(&path)).map_err(of_disk)
    }

    /// Whether a file is still the version that was opened.
    fn as_opened(&self, name: &str, opened: Option<&str>) -> Result<(), NotSaved> {
        let now = self.read(name).map_err(NotSaved::Disk)?;
        match now.as_ref().map(|file| file.version.as_str()) == opened {
            true => Ok(()),
            false => Err(NotSaved::Changed(now)),
        }
    }

    /// Writes a new file beside the old one and puts it in its place, so that nobody ever reads half of it.
    fn replace(&self, path: &Path, text: &str, permissions: Permissions) -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(&self.folder);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let beside = folder.join(format!(".{name}.doorbell"));
        let written = || {
            let mut file = File::create(&beside)?;
            file.set_permissions(permissions)?;
            file.write_all(text.as_bytes())?;
            disk::flush(&file)?;
            fs::rename(&beside, path)?;
            disk::flush_folder(folder)
        };
        written().inspect_err(|_| drop(fs::remove_file(&beside)))
    }

    /// Where a file is, if it is a rule file inside the folder. The error is a message for people.
    fn place(&self, name: &str) -> Result<PathBuf, String> {
        let path = Path::new(name);
        let is_plain = path.components().all(|part| match part {
            Component::Normal(part) => !part.to_string_lossy().starts_with('.'),
            _ => false,
        });
        let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
        if !is_plain || name.contains('\\') || one_line(name) != name || name.ends_with('/') || name.len() > 200 {
            return Err(format!("`{}` is not the name of a file in the rules folder", name.escape_debug()));
        }
        if ending != "yaml" && ending != "yml" {
            return Err(format!("the name of a rule file ends in .yaml, so `{}` is not one", name.escape_debug()));
        }
        let whole = self.folder.join(path);
        // A link may lead somewhere else.
        let inside = |path: &Path| match (path.canonicalize(), self.folder.canonicalize()) {
            (Ok(real), Ok(folder)) => real.starts_with(folder),
            _ => false,
        };
        let parent = whole.parent().unwrap_or(&self.folder);
        if !inside(parent) || (whole.symlink_metadata().is_ok() && !inside(&whole)) {
            return Err(format!("{name} is not inside the rules folder"));
        }
        Ok(whole)
    }
}

fn of_disk(e: Error) -> NotSaved {
    NotSaved::Disk(match e.kind() {
        ErrorKind::StorageFull => "the disk of the rules folder is full; free some space on it".to_owned(),
        ErrorKind::QuotaExceeded => "the rules folder has reached its quota; free some space in it".to_owned(),
        _ => disk::error_sentence(&e),
    })
}

/// The version of a text: its hash.
fn version(text: &str) -> String {
    hash(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn editor(folder: &Path) -> Editor {
        let load: Load = Arc::new(|_| Err(anyhow::anyhow!("unused")));
        Editor { folder: folder.to_owned(), load: load.clone(), load_with_stand_ins: load }
    }

    #[test]
    fn nothing_outside_the_folder_is_read_or_written() {
        let dir = tempfile::tempdir().unwrap();
        let rules = dir.path().join("rules");
        fs::create_dir_all(rules.join("sub")).unwrap();
        fs::write(dir.path().join("secret.yaml"), "s").unwrap();
        std::os::unix::fs::symlink(dir.path().join("secret.yaml"), rules.join("link.yaml")).unwrap();
        std::os::unix::fs::symlink(dir.path(), rules.join("out")).unwrap();
        let editor = editor(&rules);
        for name in [
            "../secret.yaml",
            "/etc/passwd.yaml",
            "sub/../../secret.yaml",
            "link.yaml",
            "out/secret.yaml",
            ".hidden.yaml",
            "sub/.hidden.yaml",
            "a.txt",
            "a.yaml/",
            "a\0.yaml",
            "a\u{1b}]0;x.yaml",
            "a\u{202e}lmay.yaml",
            "..\\a.yaml",
            "",
            "missing/a.yaml",
        ] {
            assert!(editor.read(name).is_err(), "{name:?}");
            assert!(matches!(editor.save(name, "x", None), Err(NotSaved::Name(_))), "{name:?}");
        }
        assert_eq!(fs::read_to_string(dir.path().join("secret.yaml")).unwrap(), "s");
        assert!(editor.save("sub/a.yml", "x", None).is_ok());
    }

    #[test]
    fn only_the_version_that_was_opened_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let editor = editor(dir.path());
        let first = editor.save("a.yaml", "one", None).unwrap();
        assert_eq!(editor.save("a.yaml", "two", None), Err(NotSaved::Changed(Some(first.clone()))));
        let second = editor.save("a.yaml", "two", Some(&first.version)).unwrap();
        assert_eq!(editor.save("a.yaml", "three", Some(&first.version)), Err(NotSaved::Changed(Some(second.clone()))));
        fs::remove_file(dir.path().join("a.yaml")).unwrap();
        assert_eq!(editor.save("a.yaml", "three", Some(&second.version)), Err(NotSaved::Changed(None)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
        assert_eq!(editor.save("a.yaml", &"x".repeat(MAX_FILE + 1), None), Err(NotSaved::TooLarge));
    }

    #[test]
    fn a_saved_file_keeps_its_permissions_and_a_new_name_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let editor = editor(dir.path());
        let first = editor.save("orders.yaml", "one", None).unwrap();
        fs::set_permissions(dir.path().join("orders.yaml"), Permissions::from_mode(0o640)).unwrap();
        editor.save("orders.yaml", "two", Some(&first.version)).unwrap();
        assert_eq!(fs::metadata(dir.path().join("orders.yaml")).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(editor.free_name("orders.yaml"), "orders-2.yaml");
        assert_eq!(editor.free_name("other.yaml"), "other.yaml");
    }

    #[test]
    fn a_file_is_deleted_or_renamed_only_as_it_was_opened() {
        let dir = tempfile::tempdir().unwrap();
        let editor = editor(dir.path());
        let first = editor.save("a.yaml", "one", None).unwrap();
        let second = editor.save("a.yaml", "two", Some(&first.version)).unwrap();
        assert_eq!(editor.remove("a.yaml", &first.version), Err(NotSaved::Changed(Some(second.clone()))));
        assert_eq!(editor.rename("a.yaml", "b.yaml", &first.version), Err(NotSaved::Changed(Some(second.clone()))));
        editor.save("b.yaml", "other", None).unwrap();
        let taken = NotSaved::Name("there is a file called b.yaml already".to_owned());
        assert_eq!(editor.rename("a.yaml", "b.yaml", &second.version), Err(taken));
        for name in ["../c.yaml", "c.txt", ".c.yaml", "missing/c.yaml"] {
            assert!(matches!(editor.rename("a.yaml", name, &second.version), Err(NotSaved::Name(_))), "{name}");
        }
        assert_eq!(editor.rename("a.yaml", "c.yaml", &second.version), Ok(()));
        assert_eq!(editor.remove("a.yaml", &second.version), Err(NotSaved::Changed(None)));
        assert_eq!(editor.remove("c.yaml", &second.version), Ok(()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "only b.yaml is left");
    }

    #[test]
    fn a_folder_that_something_else_manages_is_read_only() {
        let dir = tempfile::tempdir().unwrap();
        let editor = editor(dir.path());
        assert_eq!(editor.read_only(), None);
        let file = editor.save("a.yaml", "one", None).unwrap();
        fs::create_dir(dir.path().join(".git")).unwrap();
        let why = editor.read_only().unwrap();
        assert!(why.contains("git"));
        assert_eq!(editor.save("a.yaml", "two", Some(&file.version)), Err(NotSaved::ReadOnly(why)));
        assert_eq!(editor.remove("a.yaml", &file.version), Err(NotSaved::ReadOnly(why)));
        assert_eq!(editor.rename("a.yaml", "b.yaml", &file.version), Err(NotSaved::ReadOnly(why)));
    }
}
