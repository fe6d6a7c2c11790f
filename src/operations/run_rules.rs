//! The rule of each run of an event: as it was when the event arrived, or, where the event was run again later, as it was then.

use crate::expr::names::{Resolver, env_stand_in, stand_in};
use crate::model::run::Run;
use crate::rule::Rule;
use crate::rule::load::one_rule;
use crate::rule::ruleset::Ruleset;
use crate::store::contract::Dossier;
use crate::yaml::source::Source;

/// The rules of all runs of one event.
pub struct RunRules<'d> {
    then: &'d Ruleset,
    later: Vec<Rule>,
}

impl<'d> RunRules<'d> {
    /// `then` are the rules that were current when the event arrived.
    pub fn of(dossier: &Dossier, then: &'d Ruleset) -> Self {
        // Only the names of steps are needed, so no secret is.
        let (secret, variable) = (|name: &str| Some(stand_in(name)), |name: &str| Some(env_stand_in(name)));
        let lookup = Resolver::new(&secret, &variable, &|_| None);
        let mut rules = Self { then, later: Vec::new() };
        for (page, _) in &dossier.runs {
            if rules.exact(&page.run).is_none() {
                let read = |(name, text): &(String, String)| one_rule(Source::stored(name, text.clone()), &page.run.rule, &lookup).ok();
                let found = dossier.later_texts.iter().filter_map(read).find(|rule| rule.text == page.run.text);
                rules.later.extend(found);
            }
        }
        rules
    }

    fn exact(&self, run: &Run) -> Option<&Rule> {
        let mut all = self.then.rules.iter().map(|rule| &**rule).chain(&self.later);
        all.find(|rule| rule.name == run.rule && rule.text == run.text)
    }

    /// The rule that a run began with; one of the same name if its own text cannot be read any more.
    pub fn of_run(&self, run: &Run) -> Option<&Rule> {
        self.exact(run).or_else(|| self.then.rules.iter().find(|rule| rule.name == run.rule).map(|rule| &**rule))
    }
}
