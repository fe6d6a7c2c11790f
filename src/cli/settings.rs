//! Options that several commands share, and what is made of them: the loader of rules, the store to ask. Also how
//! commands read headers, networks and lengths of time, and how they write counts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use ipnet::IpNet;

use crate::action::http::guard::Allowed;
use crate::action::http::own_ca::OwnCa;
use crate::disk;
use crate::engine::rules::environment::Environment;
use crate::engine::rules::folder::{RuleFiles, read_all};
use crate::expr::names::{Resolver, env_stand_in, stand_in};
use crate::operations::control::Commands;
use crate::operations::experience::Webhooks;
use crate::problem::{self, Problem, Severity};
use crate::rule::access;
use crate::rule::address::MOST_BODY;
use crate::rule::load::{Loaded, load};
use crate::rule::ruleset::Ruleset;
use crate::schedule::zone::{self, Named};
use crate::secret::{DataKey, Key};
use crate::store;
use crate::store::contract::{self, Queries};
use crate::text::count::number;
use crate::yaml::duration;

/// Where the rules are, and what they may use.
#[derive(Args, Clone, Debug)]
pub struct Rules {
    /// The folder with the rule files
    #[arg(long, env = "DOORBELL_RULES", default_value = "rules", value_name = "FOLDER")]
    pub rules: PathBuf,
    #[command(flatten)]
    pub load_options: LoadOptions,
}

#[derive(Args, Clone, Debug)]
pub struct LoadOptions {
    /// A file of NAME=value lines with secrets and variables
    #[arg(long, env = "DOORBELL_ENV_FILE", value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// Allow calls to this private network, such as 10.0.0.0/8
    #[arg(long, env = "DOORBELL_ALLOW_NETWORK", value_name = "CIDR", value_delimiter = ',', value_parser = network)]
    pub allow_network: Vec<IpNet>,
    /// Allow calls to this private host, such as crm.internal
    #[arg(long, env = "DOORBELL_ALLOW_HOST", value_name = "NAME", value_delimiter = ',')]
    pub allow_host: Vec<String>,
    /// The time zone of rules that name none, such as Europe/Berlin; by default, that of this machine
    #[arg(long, env = "DOORBELL_TIMEZONE", value_name = "ZONE", value_parser = time_zone)]
    pub timezone: Option<Named>,
    /// Report an error if an address does not define who may call it
    #[arg(long, env = "DOORBELL_REQUIRE_VERIFY", value_parser = clap::builder::FalseyValueParser::new(), num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    pub require_verify: bool,
    /// The data folder, which contains the secrets that senders have sent, and its key
    #[arg(skip)]
    pub handed: Option<(PathBuf, Key)>,
}

/// What calls to other servers trust.
#[derive(Args, Clone, Debug)]
pub struct Trust {
    /// A file with certificates (PEM) that calls trust in addition to the usual ones, such as that of your own CA
    #[arg(long, env = "DOORBELL_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl Trust {
    pub fn own_ca(&self) -> anyhow::Result<OwnCa> {
        self.ca_file.as_deref().map_or(Ok(OwnCa::default()), |file| OwnCa::read(file).map_err(anyhow::Error::msg))
    }
}

/// Where events and runs are stored.
#[derive(Args, Clone, Debug)]
pub struct Data {
    /// The folder where events and runs are saved
    #[arg(long, env = "DOORBELL_DATA", default_value = "data", value_name = "FOLDER")]
    pub data: PathBuf,
    /// A file with the key that encrypts what is saved; a second one after a comma can still be read
    #[arg(long, env = "DOORBELL_DATA_KEY", value_name = "FILE", value_delimiter = ',')]
    pub data_key: Vec<PathBuf>,
}

impl Data {
    /// The key of the data folder.
    pub fn key(&self) -> anyhow::Result<Key> {
        let read = || DataKey::read(&self.data_key).map(Arc::new).map_err(anyhow::Error::msg);
        (!self.data_key.is_empty()).then(read).transpose()
    }

    /// The store, for reading.
    pub fn queries(&self) -> anyhow::Result<Asked> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().context("Doorbell cannot start")?;
        Ok(Asked { queries: store::queries(&self.data, &self.key()?)?, runtime })
    }

    /// The last webhooks that were received, if there is a data folder that can be read.
    pub fn received(&self) -> Option<Webhooks> {
        if !self.data.is_dir() {
            return None;
        }
        let asked = self.queries().ok()?;
        asked.ask(Webhooks::received).ok()
    }

    /// The owner of the store, for changing it.
    pub fn commands(&self) -> anyhow::Result<Commands> {
        Commands::open(&self.data, &self.key()?).map_err(anyhow::Error::msg)
    }
}

/// A store that handles one query at a time.
pub struct Asked {
    queries: Arc<dyn Queries>,
    runtime: tokio::runtime::Runtime,
}

impl Asked {
    /// Runs a query, and waits for the result.
    pub fn ask<'a, T, F: Future<Output = contract::Result<T>>>(&'a self, question: impl FnOnce(&'a dyn Queries) -> F) -> anyhow::Result<T> {
        Ok(self.runtime.block_on(question(self.queries.as_ref()))?)
    }
}

impl LoadOptions {
    pub fn allowed(&self) -> Allowed {
        Allowed { networks: self.allow_network.clone(), hosts: self.allow_host.clone() }
    }

    pub fn environment(&self) -> anyhow::Result<Environment> {
        let environment = self.env_file.as_deref().map_or(Ok(Environment::default()), Environment::with_env_file)?;
        Ok(match &self.handed {
            Some((data, key)) => environment.and_handed(data, key.clone()),
            None => environment,
        })
    }

    /// Loads rules from files: the one loader of all commands.
    pub fn load(&self, path: &Path, secrets: Secrets) -> anyhow::Result<Loaded> {
        self.load_all(&[path.to_owned()], secrets)
    }

    /// The same for several folders and files. Files that seem to be meant as rule files are mentioned.
    pub fn load_all(&self, paths: &[PathBuf], secrets: Secrets) -> anyhow::Result<Loaded> {
        let mut files = read_all(paths);
        files.problems.extend(files.not_read());
        self.load_files(files, secrets)
    }

    /// Loads rules from files that have been read.
    pub fn load_files(&self, files: RuleFiles, secrets: Secrets) -> anyhow::Result<Loaded> {
        let environment = self.environment()?;
        let allowed = self.allowed();
        let secret = |name: &str| match secrets {
            Secrets::Real => environment.secret(name),
            Secrets::Stood => Some(environment.secret(name).unwrap_or_else(|| stand_in(name))),
            Secrets::Words => Some(stand_in(name)),
        };
        let variable = |name: &str| match secrets {
            Secrets::Real => environment.variable(name),
            Secrets::Stood => Some(environment.variable(name).unwrap_or_else(|| env_stand_in(name))),
            Secrets::Words => Some(env_stand_in(name)),
        };
        let refuses = |url: &str| allowed.refuses_text(url);
        let RuleFiles { sources, mut problems, .. } = files;
        let zone = self.timezone.clone().unwrap_or_else(Named::system);
        let resolver = Resolver::new(&secret, &variable, &refuses).in_zone(zone);
        // Only `serve` stores anything, and knows whether there is a key.
        let resolver = if matches!(self.handed, Some((_, None))) { resolver.without_data_key() } else { resolver };
        let mut loaded = load(sources, resolver, self.require_verify);
        if problem::any_error(&problems) {
            loaded.ruleset = None;
        }
        problems.append(&mut loaded.problems);
        problem::sort(&mut problems);
        loaded.problems = problems;
        Ok(loaded)
    }
}

fn time_zone(name: &str) -> Result<Named, String> {
    zone::place(name).map_err(|no| match no.meant {
        Some(meant) => format!("{}; did you mean {meant}?", no.why),
        None => format!("{}; write a place, such as Europe/Berlin", no.why),
    })
}

/// How secrets are resolved.
#[derive(Clone, Copy, PartialEq)]
pub enum Secrets {
    /// They must exist.
    Real,
    /// `secret.NAME` is used in place of one that is missing.
    Stood,
    /// `secret.NAME` is used in place of all of them, so that the result is the same on every machine.
    Words,
}

/// `3 rules in 2 files`, for example, as shown at the end of `check` and the start of `serve`.
pub fn counted(ruleset: &Ruleset) -> String {
    if ruleset.rules.is_empty() {
        return "no rules yet: put a file that ends in .yaml into the rules folder".to_owned();
    }
    let off = ruleset.rules.iter().filter(|r| !r.enabled).count();
    let rules = number(ruleset.rules.len(), "rule");
    let off = if off > 0 { format!(" ({off} switched off)") } else { String::new() };
    format!("{rules}{off} in {}", number(ruleset.texts.len(), "file"))
}

/// `2 errors and 1 warning`.
pub fn counted_problems(problems: &[Problem]) -> String {
    let count = |severity, word| {
        let n = problems.iter().filter(|p| p.severity == severity).count();
        (n > 0).then(|| number(n, word))
    };
    let counts = [count(Severity::Error, "error"), count(Severity::Warning, "warning"), count(Severity::Note, "note")];
    counts.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

/// Reads a file that somebody named, of at most the size of the largest body.
pub fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    disk::read_at_most(path, MOST_BODY).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => anyhow::anyhow!("the file {} does not exist", path.display()),
        std::io::ErrorKind::IsADirectory => anyhow::anyhow!("{} is a folder, not a file", path.display()),
        _ => anyhow::anyhow!("{} cannot be read: {e}", path.display()),
    })
}

/// Parses headers from the command line, `Name: value`; the names become lower case.
pub fn headers(lines: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let read = |line: &String| {
        let (name, value) = line.split_once(':').with_context(|| format!("a header is written `Name: value`, not `{line}`"))?;
        Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
    };
    lines.iter().map(read).collect()
}

/// Parses a network, or a single address, from the command line.
pub fn network(text: &str) -> Result<IpNet, String> {
    access::network(text).ok_or("write for example 10.0.0.0/8 or 10.0.0.7".to_owned())
}

/// Parses a duration from the command line.
pub fn length(text: &str) -> Result<Duration, String> {
    duration::read(text).map_err(|wrong| wrong.instead.map_or(wrong.rule.to_owned(), |instead| format!("write `{instead}`")))
}
