//! The secrets that a set of rules names: found by name, and redacted in everything that is shown or stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::Regex;
use serde_json::Value;

use super::pattern;
use super::value::Secret;

/// What replaces a secret wherever it would be seen.
pub const STRUCK: &str = "***";

/// A secret and the pattern that finds it in a text.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) secret: Secret,
    /// `None` for an empty secret.
    pattern: Option<Arc<Regex>>,
}

/// The secrets and environment values that a set of rules names.
#[derive(Clone, Default)]
pub struct Vault {
    pub(super) secrets: BTreeMap<String, Known>,
    env: BTreeMap<String, String>,
    /// The patterns of all secrets, those of long secrets first: one secret may be a part of another.
    patterns: Vec<Arc<Regex>>,
}

impl Vault {
    /// Stores a secret under its name.
    pub fn keep(&mut self, name: &str, value: String) {
        if self.secrets.get(name).is_some_and(|known| known.secret.reveal() == value) {
            return;
        }
        let pattern = pattern::of(&value).map(Arc::new);
        self.insert(name, Known { secret: Secret::new(value), pattern });
    }

    fn insert(&mut self, name: &str, known: Known) {
        self.secrets.insert(name.to_owned(), known);
        let mut all: Vec<&Known> = self.secrets.values().collect();
        all.sort_by_key(|known| std::cmp::Reverse(known.secret.reveal().len()));
        self.patterns = all.into_iter().filter_map(|known| known.pattern.clone()).collect();
    }

    pub fn keep_env(&mut self, name: &str, value: String) {
        self.env.insert(name.to_owned(), value);
    }

    pub fn secret(&self, name: &str) -> Option<&Secret> {
        self.secrets.get(name).map(|known| &known.secret)
    }

    /// The names of all secrets.
    pub fn names(&self) -> Vec<String> {
        self.secrets.keys().cloned().collect()
    }

    pub fn env(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str)
    }

    /// The text with every secret redacted.
    pub fn strike(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for pattern in &self.patterns {
            if pattern.is_match(&out) {
                out = pattern.replace_all(&out, STRUCK).into_owned();
            }
        }
        out
    }

    /// The value with every secret redacted in its texts and names.
    pub fn strike_value(&self, value: Value) -> Value {
        match value {
            _ if self.patterns.is_empty() => value,
            Value::String(text) => Value::String(self.strike(&text)),
            Value::Array(list) => list.into_iter().map(|value| self.strike_value(value)).collect(),
            Value::Object(map) => map.into_iter().map(|(name, value)| (self.strike(&name), self.strike_value(value))).collect(),
            other => other,
        }
    }

    /// Whether a secret occurs in the text.
    pub(super) fn contains_secret(&self, text: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.is_match(text))
    }

    /// Adds another vault's secrets, so that both are redacted.
    pub fn join(&mut self, other: &Vault) {
        for (name, known) in &other.secrets {
            if !self.secrets.contains_key(name) {
                self.insert(name, known.clone());
            }
        }
    }
}
