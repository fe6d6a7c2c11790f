//! Switches off the rules of a file that cannot run yet, because secrets or variables that they need are not set: otherwise the
//! file would keep all other files from being used, too.
//!
//! The change is tried before it is returned; the caller decides what to do with the text.

use std::collections::BTreeSet;

use crate::problem::{Problem, Severity};
use crate::rule::Rule;
use crate::rule::load::Loaded;

/// How the text of the file, in place of the one in the folder, is loaded: with real secrets, and with stand-ins for them.
pub struct Loads<'a> {
    pub real: &'a dyn Fn(&str) -> Result<Loaded, String>,
    pub with_stand_ins: &'a dyn Fn(&str) -> Result<Loaded, String>,
}

/// The secrets and variables that keep a file from being used, by name; empty if something else is wrong with it as well.
pub fn not_set(problems: &[Problem], file: &str) -> Vec<String> {
    let errors = problems.iter().filter(|problem| problem.file == file && problem.severity == Severity::Error);
    let names: Option<BTreeSet<String>> = errors.map(|problem| problem.not_set.clone()).collect();
    names.unwrap_or_default().into_iter().collect()
}

/// The text of a file in which the rules that need something that is not set are switched off; nothing if that does not help.
pub fn switched_off(file: &str, text: &str, loads: &Loads) -> Result<Option<String>, String> {
    let missing = not_set(&(loads.real)(text)?.problems, file);
    let Some(ruleset) = (loads.with_stand_ins)(text)?.ruleset.filter(|_| !missing.is_empty()) else { return Ok(None) };
    let mine: Vec<&Rule> = ruleset.rules.iter().map(|rule| &**rule).filter(|rule| rule.source.name == file && rule.enabled).collect();
    let needs = |rule: &&Rule| missing.iter().any(|name| mentions(rule.own_text(), name));
    // Where the address itself needs it, all of its rules wait.
    let some: Vec<&Rule> = mine.iter().copied().filter(|rule| needs(rule)).collect();
    for rules in [some, mine] {
        let Some(changed) = without(text, &rules) else { continue };
        let is_solved = !(loads.real)(&changed)?.problems.iter().any(|problem| problem.file == file && problem.severity == Severity::Error);
        if is_solved {
            return Ok(Some(changed));
        }
    }
    Ok(None)
}

fn mentions(text: &str, name: &str) -> bool {
    [format!("secret.{name}"), format!("env.{name}")].iter().any(|field| text.contains(field.as_str()))
}

/// The text with `enabled: false` in each of these rules; nothing if one of them is not written in lines of its own.
fn without(text: &str, rules: &[&Rule]) -> Option<String> {
    let mut changed = text.to_owned();
    // From the last one on, so that the places of the others stay.
    let mut places = rules.iter().map(|rule| Some((place(text, rule)?, rule.own_text()))).collect::<Option<Vec<_>>>()?;
    places.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    for (at, own) in places {
        let indent: String = own.chars().take_while(|c| *c == ' ').collect();
        let is_switch = |line: &&str| line.strip_prefix(&indent).is_some_and(|rest| rest.starts_with("enabled:"));
        match own.lines().find(is_switch) {
            Some(line) => {
                let start = at + own.find(line)?;
                changed.replace_range(start..start + line.len(), &format!("{indent}enabled: false"));
            }
            None => changed.insert_str(at, &format!("{indent}enabled: false\n")),
        }
    }
    Some(changed).filter(|_| !rules.is_empty())
}

/// Where the own lines of a rule begin, in bytes.
fn place(text: &str, rule: &Rule) -> Option<usize> {
    let (line, _) = rule.source.locate(&rule.path)?;
    // The loader leaves out the mark that some editors put at the beginning of a file.
    let mark = text.len() - text.trim_start_matches('\u{feff}').len();
    let at = mark + rule.source.offset(line, 1)?;
    text.get(at..)?.starts_with(rule.own_text()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::names::{Resolver, stand_in};
    use crate::rule::load::load;
    use crate::yaml::source::Source;

    /// Switches off what needs a secret other than `SET`.
    fn changed(text: &str) -> Option<String> {
        let loaded = |text: &str, all: bool| {
            let secret = |name: &str| (all || name == "SET").then(|| stand_in(name));
            let source = Source::new("a.yaml", text.as_bytes().to_vec()).map_err(|e| e.message)?;
            Ok(load(vec![source], Resolver::new(&secret, &|_| None, &|_| None), false))
        };
        let (real, with_stand_ins) = (|text: &str| loaded(text, false), |text: &str| loaded(text, true));
        switched_off("a.yaml", text, &Loads { real: &real, with_stand_ins: &with_stand_ins }).unwrap()
    }

    #[test]
    fn only_the_rules_that_need_it_are_switched_off() {
        let text = "webhooks:\n  /a: { verify: none }\nrules:\n  One:\n    when: { webhook: /a }\n    then:\n      - log: \"{{ secret.SET }}\"\n  Two:\n    # why\n    when: { webhook: /a }\n    enabled: true\n    then:\n      - log: \"{{ secret.MISSING }}\"\n  Three:\n    when: { webhook: /a }\n    then: [ { log: \"{{ secret.OTHER }}\" } ]\n";
        let expected = text.replace("enabled: true", "enabled: false").replace("  Three:\n", "  Three:\n    enabled: false\n");
        assert_eq!(changed(text).as_deref(), Some(expected.as_str()));
        assert_eq!(changed(&expected), None, "nothing is missing any more");
        assert_eq!(changed(&format!("\u{feff}{text}")), Some(format!("\u{feff}{expected}")));
    }

    #[test]
    fn where_an_address_needs_it_all_rules_of_the_file_wait() {
        let text = "webhooks:\n  /a:\n    verify: { token: { header: X-Token, value: \"{{ secret.MISSING }}\" } }\nrules:\n  One:\n    when: { webhook: /a }\n    then:\n      - log: one\n";
        assert_eq!(changed(text), Some(text.replace("  One:\n", "  One:\n    enabled: false\n")));
    }

    #[test]
    fn other_mistakes_and_rules_in_braces_are_left_to_people() {
        let text = "webhooks:\n  /a: { verify: none }\nrules:\n  One:\n    when: { webhook: /a }\n    then:\n      - log: \"{{ secret.MISSING }}\"\n";
        assert!(changed(text).is_some());
        assert_eq!(changed(&text.replace("log:", "lgo:")), None);
        let braces =
            "webhooks:\n  /a: { verify: none }\nrules: { One: { when: { webhook: /a }, then: [ { log: \"{{ secret.MISSING }}\" } ] } }\n";
        assert_eq!(changed(braces), None);
    }
}
