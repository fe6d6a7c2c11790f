//! The environment, read at load time: environment variables, files with secrets, the rules folder.
//!
//! A secret `NAME` comes from the file that the variable `NAME_FILE` names, else from `/run/secrets/NAME`, else from the
//! variable `NAME`, else from a file that its sender handed over. An env file adds variables without putting them into the
//! process.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Notify;

use crate::disk;
use crate::problem::Problem;
use crate::secret::Key;
use crate::yaml::source::{MAX_FILE, Source};

/// How deep folders may be nested.
const MAX_DEPTH: usize = 16;
/// The maximum number of rule files in one folder.
const MAX_FILES: usize = 10_000;

/// Environment variables; those of an env file take precedence.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    file: HashMap<String, String>,
    /// Where handed-over secrets are stored.
    handed: Option<HandedOverSecrets>,
}

impl Environment {
    /// Reads an env file: `NAME=value` lines, `#` comments, quotes removed.
    pub fn with_env_file(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).map_err(|e| anyhow::anyhow!("the env file {} cannot be read: {e}", path.display()))?;
        let mut file = HashMap::new();
        for (n, line) in text.lines().enumerate() {
            let line = line.trim().strip_prefix("export ").unwrap_or(line.trim());
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((name, value)) = line.split_once('=') else {
                anyhow::bail!("{}:{}: a line of an env file is written NAME=value", path.display(), n + 1);
            };
            let value = value.trim();
            let quoted = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q).and_then(|v| v.strip_suffix(*q)));
            file.insert(name.trim().to_owned(), quoted.unwrap_or(value).to_owned());
        }
        Ok(Self { file, handed: None })
    }

    /// Also looks for secrets that senders handed over, after all other places.
    pub fn and_handed(mut self, data: &Path, key: Key) -> Self {
        self.handed = Some(HandedOverSecrets::of(data, key));
        self
    }

    /// An environment variable.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.file.get(name).cloned().or_else(|| std::env::var(name).ok())
    }

    /// A secret. A trailing newline in a file is removed.
    pub fn secret(&self, name: &str) -> Option<String> {
        let from = |path: PathBuf| {
            fs::read_to_string(path).ok().map(|t| t.strip_suffix('\n').map_or(t.as_str(), |t| t.strip_suffix('\r').unwrap_or(t)).to_owned())
        };
        let safe = !name.contains(['/', '\\']) && name != "..";
        self.variable(&format!("{name}_FILE"))
            .and_then(|path| from(path.into()))
            .or_else(|| from(Path::new("/run/secrets").join(name)).filter(|_| safe))
            .or_else(|| self.variable(name))
            .or_else(|| self.handed.as_ref()?.read(name).filter(|_| safe))
    }

    /// Whether a secret exists and is not empty.
    pub fn has_secret(&self, name: &str) -> bool {
        self.secret(name).is_some_and(|value| !value.is_empty())
    }
}

/// What an encrypted secret begins with.
const SEALED: &[u8] = b"\0doorbell sealed\0";

/// The folder for secrets that senders handed over: one file each, named like the secret in the rules, readable by its owner
/// alone, and encrypted if there is a data key.
#[derive(Debug, Clone)]
pub struct HandedOverSecrets {
    folder: PathBuf,
    key: Key,
    /// Notified when a secret is added.
    changed: Arc<Notify>,
}

impl HandedOverSecrets {
    pub fn of(data: &Path, key: Key) -> Self {
        Self { folder: data.join("secrets"), key, changed: Arc::default() }
    }

    /// Notified when a secret is stored.
    pub fn changed(&self) -> Arc<Notify> {
        self.changed.clone()
    }

    /// A secret that was stored.
    fn read(&self, name: &str) -> Option<String> {
        let bytes = fs::read(self.folder.join(name)).ok()?;
        let opened = match (bytes.strip_prefix(SEALED), &self.key) {
            (None, _) => Ok(bytes),
            (Some(sealed), Some(key)) => key.open(sealed, name),
            (Some(_), None) => Err("it is encrypted; give its key with --data-key FILE".to_owned()),
        };
        let text = opened.and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is not text".to_owned()));
        text.inspect_err(|why| tracing::error!("secret {name} from a sender cannot be read: {why}")).ok()
    }

    /// Stores a new secret safely on disk; returns the path of its file. The error is a message for people. An existing
    /// secret is never replaced, because otherwise anybody could put another one in its place.
    pub fn keep(&self, name: &str, secret: &str) -> Result<PathBuf, String> {
        if name.contains(['/', '\\']) || name.starts_with('.') {
            return Err(format!("`{name}` cannot be a file name, so no secret is accepted for it"));
        }
        let cannot = |e: std::io::Error| format!("the secret from the sender cannot be saved in {}: {e}", self.folder.display());
        disk::private_folder(&self.folder).map_err(cannot)?;
        let path = self.folder.join(name);
        let file = disk::private_file().create_new(true).open(&path);
        let mut file = file.map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => format!("a secret was received before, and it stays in use ({})", path.display()),
            _ => cannot(e),
        })?;
        let sealed = self.key.as_ref().map(|key| SEALED.iter().copied().chain(key.seal(secret.as_bytes(), name)).collect());
        let bytes: Vec<u8> = sealed.unwrap_or_else(|| secret.as_bytes().to_vec());
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(cannot)?;
        disk::flush_folder(&self.folder).map_err(cannot)?;
        self.changed.notify_one();
        Ok(path)
    }
}

/// The result of reading the rules folder.
#[derive(Default)]
pub struct RuleFiles {
    pub sources: Vec<Source>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// Reads every rule file of a folder (or a single file), in the order of their names. Hidden files are skipped, including
/// those that Kubernetes and editors put next to the rules.
pub fn read_rules(path: &Path) -> RuleFiles {
    let RuleFiles { mut sources, mut problems } = RuleFiles::default();
    if path.is_file() {
        read_file(path, &mut sources, &mut problems);
        return RuleFiles { sources, problems };
    }
    if !path.is_dir() {
        let said = "this folder does not exist";
        problems.push(Problem::of_file(&shown(path), said, "create it and put a rule file into it, or choose another folder with --rules"));
        return RuleFiles { sources, problems };
    }
    let mut files = Vec::new();
    gather(path, 0, &mut HashSet::new(), &mut files, &mut problems);
    files.sort();
    if files.len() > MAX_FILES {
        problems.push(Problem::of_file(
            &shown(path),
            format!("this folder contains more than {MAX_FILES} rule files"),
            "put several rules into one file",
        ));
        files.truncate(MAX_FILES);
    }
    for file in files {
        read_file(&file, &mut sources, &mut problems);
    }
    RuleFiles { sources, problems }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

fn gather(folder: &Path, depth: usize, seen: &mut HashSet<PathBuf>, files: &mut Vec<PathBuf>, problems: &mut Vec<Problem>) {
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    if depth > MAX_DEPTH || !seen.insert(real) {
        return;
    }
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) => {
            return problems.push(Problem::of_file(
                &shown(folder),
                format!("this folder cannot be read: {e}"),
                "check its owner and permissions",
            ));
        }
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        if path.is_dir() {
            gather(&path, depth + 1, seen, files, problems);
        } else if extension == "yaml" || extension == "yml" {
            files.push(path);
        }
    }
}

fn read_file(path: &Path, sources: &mut Vec<Source>, problems: &mut Vec<Problem>) {
    let name = shown(path);
    let size = fs::metadata(path).map(|m| m.len()).unwrap_or(0);
    let bytes = if size > MAX_FILE as u64 { Ok(vec![b' '; MAX_FILE + 1]) } else { fs::read(path) };
    match bytes {
        Ok(bytes) => match Source::new(&name, bytes) {
            Ok(source) => sources.push(source),
            Err(problem) => problems.push(*problem),
        },
        Err(e) => problems.push(Problem::of_file(&name, format!("this file cannot be read: {e}"), "check its owner and permissions")),
    }
}
