//! The environment, read at load time: environment variables and files with secrets.
//!
//! A secret `NAME` comes from the file that the variable `NAME_FILE` names, else from `/run/secrets/NAME`, else from the
//! variable `NAME`, else from a file that its sender handed over. An env file adds variables without putting them into the
//! process.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Notify;

use crate::disk;
use crate::secret::Key;

/// The maximum sizes of an env file and of a file with a secret, in bytes.
const MAX_ENV_FILE: usize = 1 << 20;
const MAX_SECRET: usize = 64 << 10;

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
        let text = disk::read_text_at_most(path, MAX_ENV_FILE)
            .map_err(|e| anyhow::anyhow!("the env file {} cannot be read: {e}", path.display()))?;
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
            disk::read_text_at_most(&path, MAX_SECRET)
                .ok()
                .map(|t| t.strip_suffix('\n').map_or(t.as_str(), |t| t.strip_suffix('\r').unwrap_or(t)).to_owned())
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
        let bytes = disk::read_at_most(&self.folder.join(name), MAX_SECRET).ok()?;
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
