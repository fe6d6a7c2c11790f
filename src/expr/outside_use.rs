//! Which fields of a rule depend on what is outside of the request: those that name a secret or a variable, and names under `set:`
//! that use one. Conditions on them are decided when the event arrives; later, the values may be others, or not known.

use std::collections::BTreeMap;

use serde_json::Value;

use super::condition::Line;
use super::field::{Field, Found, Root};
use super::names::{env_stand_in, stand_in};
use super::scope::SetName;
use crate::secret::{SHORTEST, Vault};

/// A number of fewer characters is shown although some secrets are not known.
const SHORT_NUMBER: usize = 8;

/// Whether a secret or a variable is meant.
type Wanted<'a> = &'a dyn Fn(&Root) -> bool;

/// Some secrets and variables, and the names under `set:` that depend on them.
pub struct OutsideUse<'a> {
    wanted: Wanted<'a>,
    /// By the name, one of the fields that it depends on.
    set: BTreeMap<&'a str, &'a Field>,
    all: Vec<&'a SetName>,
}

impl<'a> OutsideUse<'a> {
    pub fn of(set: impl IntoIterator<Item = &'a SetName>, wanted: Wanted<'a>) -> Self {
        let mut all = Self { wanted, set: BTreeMap::new(), all: set.into_iter().collect() };
        for one in all.all.clone() {
            if let Some(outside) = one.value.fields().into_iter().find_map(|field| all.in_field(field)) {
                all.set.insert(&one.name, outside);
            }
        }
        all
    }

    fn in_field(&self, field: &'a Field) -> Option<&'a Field> {
        match &field.root {
            Root::Named(name) => self.set.get(name.as_str()).copied(),
            root => (self.wanted)(root).then_some(field),
        }
    }

    /// A secret or variable that this line depends on.
    pub fn in_line(&self, line: &'a Line) -> Option<&'a Field> {
        line.fields().into_iter().find_map(|field| self.in_field(field))
    }

    /// The fields of the request that this line compares with one of them; none if it does not.
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

/// Whether a field names a secret.
pub fn is_secret(root: &Root) -> bool {
    matches!(root, Root::Secret(_))
}

/// Whether a field names a secret or a variable.
pub fn is_outside(root: &Root) -> bool {
    matches!(root, Root::Secret(_) | Root::Env(_))
}

/// Whether there is only a placeholder for a secret or variable, because whoever loaded the rules did not have it.
pub fn is_not_given(root: &Root, vault: &Vault) -> bool {
    match root {
        Root::Secret(name) => vault.secret(name).is_some_and(|secret| secret.reveal() == stand_in(name)),
        Root::Env(name) => vault.env(name).is_some_and(|value| value == env_stand_in(name)),
        _ => false,
    }
}

/// The secrets that are only placeholders.
pub fn secrets_not_given(vault: &Vault) -> Vec<String> {
    vault.names().into_iter().filter(|name| is_not_given(&Root::Secret(name.clone()), vault)).collect()
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
