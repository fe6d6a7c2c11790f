//! What a running `serve` reads again with the secrets of now: the rules of earlier versions of files, and the secrets
//! themselves.

use std::sync::Arc;

use super::settings::LoadOptions;
use crate::engine::rules::reload::Secrets;
use crate::engine::run::old_rules::{OldRules, Unready};
use crate::expr::names::Resolver;
use crate::rule::Rule;
use crate::rule::load::one_rule;
use crate::secret::{Secret, Vault};
use crate::yaml::source::Source;

/// The current values of the secrets.
pub fn secrets_now(load_options: LoadOptions) -> Secrets {
    Arc::new(move |names| {
        let Ok(environment) = load_options.environment() else { return Vec::new() };
        names.iter().map(|name| environment.secret(name).map(Secret::new)).collect()
    })
}

/// Rules from file versions that are no longer in use, read with the current secrets.
pub struct OldRulesOnDisk(pub LoadOptions);

impl OldRules for OldRulesOnDisk {
    fn read(&self, file: String, text: String, rule: &str) -> Result<(Rule, Vault), Unready> {
        let environment = self.0.environment().map_err(|e| Unready::Missing(format!("{e:#}")))?;
        let secret = |name: &str| environment.secret(name);
        let variable = |name: &str| environment.variable(name);
        let lookup = Resolver::new(&secret, &variable, &|_| None);
        let read = one_rule(Source::stored(file, text), rule, &lookup);
        match lookup.missing().into_iter().next() {
            Some(what) => Err(Unready::Missing(what)),
            None => Ok((read.map_err(Unready::Unreadable)?, lookup.into_vault())),
        }
    }

    fn are_current(&self, secrets: &Vault) -> bool {
        let Ok(environment) = self.0.environment() else { return false };
        secrets.names().iter().all(|name| environment.secret(name).as_deref() == secrets.secret(name).map(Secret::reveal))
    }
}
