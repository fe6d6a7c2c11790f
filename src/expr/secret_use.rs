//! Which fields of a rule depend on secrets: those that name one, and names under `set:` that use one. Conditions on them are
//! decided when the event arrives; later, the secrets may be others, or not known.

use std::collections::BTreeMap;

use serde_json::Value;

use super::condition::Line;
use super::field::{Field, Found, Root};
use super::names::stand_in;
use super::scope::SetName;
use crate::secret::{SHORTEST, Vault};

/// A number of fewer characters is shown although some secrets are not known.
const SHORT_NUMBER: usize = 8;

/// Some secrets, and the names under `set:` that depend on them.
pub struct SecretUse<'a> {
    wanted: &'a dyn Fn(&str) -> bool,
    /// By the name, one of the secrets.
    set: BTreeMap<&'a str, &'a str>,
    all: &'a [SetName],
}

impl<'a> SecretUse<'a> {
    pub fn of(set: &'a [SetName], wanted: &'a dyn Fn(&str) -> bool) -> Self {
        let mut all = Self { wanted, set: BTreeMap::new(), all: set };
        for one in set {
            if let Some(secret) = one.value.fields().into_iter().find_map(|field| all.in_field(field)) {
                all.set.insert(&one.name, secret);
            }
        }
        all
    }

    fn in_field(&self, field: &'a Field) -> Option<&'a str> {
        match &field.root {
            Root::Secret(name) => (self.wanted)(name).then_some(name),
            Root::Named(name) => self.set.get(name.as_str()).copied(),
            _ => None,
        }
    }

    /// A secret that this line depends on.
    pub fn in_line(&self, line: &'a Line) -> Option<&'a str> {
        line.fields().into_iter().find_map(|field| self.in_field(field))
    }

    /// The fields of the request that this line compares with a secret; none if it does not.
    pub fn compared_in(&self, line: &'a Line) -> Vec<&'a Field> {
        if self.in_line(line).is_none() {
            return Vec::new();
        }
        let mut fields = line.fields();
        let mut n = 0;
        // What a name stands for, and what that stands for; a name can only use those above it.
        while let Some(field) = fields.get(n) {
            if let Root::Named(name) = &field.root {
                fields.extend(self.all.iter().filter(|one| one.name == *name).flat_map(|one| one.value.fields()));
            }
            n += 1;
        }
        fields
    }
}

/// The secrets that are only placeholders, because whoever loaded the rules did not have them.
pub fn not_given(vault: &Vault) -> Vec<String> {
    vault.names().into_iter().filter(|name| vault.secret(name).is_some_and(|secret| secret.reveal() == stand_in(name))).collect()
}

/// Whether a secret that nobody knows here could be in the value of a field.
pub fn may_hold_secret(field: &Field, found: &Found) -> bool {
    fn may(value: &Value) -> bool {
        match value {
            Value::Null | Value::Bool(_) => false,
            Value::Number(number) => number.to_string().len() >= SHORT_NUMBER,
            Value::String(text) => text.len() >= SHORTEST,
            Value::Array(list) => list.iter().any(may),
            Value::Object(map) => map.iter().any(|(name, value)| name.len() >= SHORTEST || may(value)),
        }
    }
    match found {
        _ if matches!(field.root, Root::Sender | Root::Method | Root::Ip | Root::EventId | Root::Now) => false,
        Found::Missing => false,
        Found::One(value) => may(value),
        Found::Many(all) => all.iter().any(|value| may(value)),
    }
}
