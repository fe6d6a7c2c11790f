//! Loads many files as one [`Ruleset`], or reports every problem in all of them: reads each file, then checks them
//! together.

use std::collections::HashMap;
use std::sync::Arc;

use super::Rule;
use super::address::{self, Address};
use super::compile::{self, Origin};
use super::ruleset::Ruleset;
use super::senders;
use crate::expr::field_use::FieldUses;
use crate::expr::names::{Names, Resolver};
use crate::model::hash::hash;
use crate::problem::{self, Problem};
use crate::route::{Route, Routes};
use crate::text::nearest::nearest;
use crate::yaml::Node;
use crate::yaml::fields::Item;
use crate::yaml::reader::Reader;
use crate::yaml::source::Source;

/// Top-level keys in the files of other tools.
const OTHER_TOOLS: [&str; 6] = ["jobs", "automation", "nodes", "pipeline", "services", "apiVersion"];
const TOP_WORDS: [(&str, &str); 4] = [
    ("rule", "did you mean `rules`?"),
    ("webhook", "did you mean `webhooks`?"),
    ("hooks", "did you mean `webhooks`?"),
    ("workflows", "did you mean `rules`?"),
];

/// The result of loading: the rules if there were no errors, and every problem.
pub struct Loaded {
    pub ruleset: Option<Ruleset>,
    pub problems: Vec<Problem>,
}

/// The contents of all files, with their places.
struct Gathered<'a> {
    rules: Vec<(Option<Rule>, String, Item<'a>)>,
    /// What has to be checked of some of these rules when all addresses are known.
    uses: Vec<(usize, FieldUses)>,
    addresses: Vec<(Address, Item<'a>)>,
    /// Entries whose route could be read, valid or not.
    entries: Vec<(Route, Item<'a>)>,
}

/// Reads all files. With `require_verify`, an address left open by oversight is an error.
pub fn load(sources: Vec<Source>, lookup: Resolver, require_verify: bool) -> Loaded {
    let sources: Vec<Arc<Source>> = sources.into_iter().map(Arc::new).collect();
    let mut problems = Vec::new();
    let mut nodes = Vec::new();
    for source in &sources {
        match source.read() {
            Ok(node) => nodes.push((source, node)),
            Err(problem) => problems.push(*problem),
        }
    }
    let readers: Vec<Reader> = nodes.iter().map(|(source, _)| Reader::new(source)).collect();
    let mut all = Gathered { rules: Vec::new(), uses: Vec::new(), addresses: Vec::new(), entries: Vec::new() };
    let mut texts = Vec::new();
    let mut webhooks = Vec::new();
    for (reader, (source, node)) in readers.iter().zip(&nodes) {
        let origin = Origin { source: Arc::clone(source), text: hash(source.text.as_bytes()).into() };
        texts.push((origin.text.clone(), origin.source.clone()));
        webhooks.extend(read_file(&reader.top(node), &lookup, &origin, &mut all));
    }
    // Every address that starts rules, and whether any of these rules is enabled.
    let read = all.rules.iter().filter_map(|(r, ..)| r.as_ref());
    let called: Routes<bool> = read.flat_map(|r| r.when.iter().map(|w| (w.route.clone(), r.enabled))).collect();
    // After the rules: an address that only disabled rules use is as disabled as they are.
    for item in &webhooks {
        read_webhooks(item, &lookup, &called, &mut all);
    }
    // A file that cannot be read at all may contain what seems to be missing in another one.
    if problems.is_empty() {
        together(&mut all, &called, require_verify);
    } else {
        unique_names(&all);
    }
    let Gathered { rules, addresses, entries, .. } = all;
    drop(entries);
    let rules: Vec<Arc<Rule>> = rules.into_iter().filter_map(|(rule, ..)| rule.map(Arc::new)).collect();
    // An address with only disabled rules does not exist.
    let addresses: Vec<Address> = addresses.into_iter().map(|(a, _)| a).filter(|a| listens(&called, &a.route)).collect();
    problems.extend(readers.into_iter().flat_map(Reader::problems));
    problem::sort(&mut problems);
    let good = !problem::any_error(&problems);
    let ruleset = good.then(|| Ruleset::new(rules, addresses, Arc::new(lookup.into_vault()), texts));
    Loaded { ruleset, problems }
}

/// Reads one rule from a stored file, for a run that began with it. The error is a message for people.
pub fn one_rule(source: Source, name: &str, lookup: &Resolver) -> Result<Rule, String> {
    let source = Arc::new(source);
    let node = source.read().map_err(|problem| problem.message)?;
    let reader = Reader::new(&source);
    let origin = Origin { source: Arc::clone(&source), text: hash(source.text.as_bytes()).into() };
    let read = || {
        let rules = reader.top(&node).fields("a rule file")?.may("rules")?.entries("`rules:`")?;
        rules.iter().find(|(n, _)| n == name).and_then(|(n, item)| compile::read(n, item, lookup, &origin)).map(|(rule, _)| rule)
    };
    let rule = read();
    let problems = reader.problems();
    rule.ok_or_else(|| problems.into_iter().next().map_or_else(|| format!("the file has no rule `{name}`"), |p| p.message))
}

/// Reads a file's rules, and returns its `webhooks:` for later.
fn read_file<'a>(top: &Item<'a>, lookup: &Resolver, origin: &Origin, all: &mut Gathered<'a>) -> Option<Item<'a>> {
    if let Node::List(_) = top.node {
        top.problem("a rule file begins with `rules:`")
            .label("write `rules:` above, then each rule's name and a colon, without a dash")
            .add();
        return None;
    }
    let mut fields = top.fields("a rule file")?;
    fields.may("$schema");
    let (has_webhooks, has_rules) = (fields.has("webhooks"), fields.has("rules"));
    let webhooks = fields.may("webhooks");
    if let Some(rules) = fields.may("rules") {
        match rules.node {
            Node::List(_) => rules
                .problem("rules are not a list: each rule has a name and a colon")
                .label("write `New orders:` instead of the dash, and the rule below it")
                .add(),
            _ => {
                for (name, item) in rules.entries("`rules:`").unwrap_or_default() {
                    let (rule, uses) = compile::read(&name, &item, lookup, origin).unzip();
                    all.uses.extend(uses.map(|uses| (all.rules.len(), uses)));
                    all.rules.push((rule, name, item));
                }
            }
        }
    }
    if !has_webhooks && !has_rules {
        if let Some(theirs) = OTHER_TOOLS.iter().find(|k| fields.has(k)) {
            fields
                .key(theirs)
                .problem("this is a file for another tool")
                .label("begin a rule file with `rules:`; docs/rules.md shows one, and `doorbell new` creates one")
                .add();
            return None;
        }
        let looks_like_a_rule = ["when", "then", "if", "on", "trigger"].iter().any(|k| fields.has(k));
        let has_rules_inside = fields.left().any(|k| fields.key(k).node.has("then") || fields.key(k).node.has("when"));
        let label = match (looks_like_a_rule, has_rules_inside) {
            (true, _) => "write `rules:` on the first line, then the rule's name and a colon, and this below it",
            (_, true) => "write `rules:` on the first line, and indent every line below it by two spaces",
            _ => "write `rules:` and a rule below it",
        };
        if looks_like_a_rule || has_rules_inside {
            top.problem("this file has neither `rules:` nor `webhooks:`").label(label).add();
            return None;
        }
        if !fields.left().any(|k| TOP_WORDS.iter().any(|(theirs, _)| *theirs == k) || nearest(k, ["rules", "webhooks"]).is_some()) {
            top.problem("this file has neither `rules:` nor `webhooks:`").label(label).add();
        }
    }
    fields.done(&TOP_WORDS, &[]);
    webhooks
}

/// Whether an enabled rule listens there.
fn listens(called: &Routes<bool>, route: &Route) -> bool {
    called.same(route).any(|enabled| *enabled)
}

fn read_webhooks<'a>(item: &Item<'a>, lookup: &Resolver, called: &Routes<bool>, all: &mut Gathered<'a>) {
    for (path, entry) in item.entries("`webhooks:`").unwrap_or_default() {
        match Route::read(&path) {
            Err((message, label)) => entry.problem(message).at_key().label(label).add(),
            Ok(route) => {
                let mut known = Names::new(lookup);
                known.placeholders = route.placeholders().map(str::to_owned).collect();
                known.disabled = called.same(&route).next().is_some() && !listens(called, &route);
                all.entries.push((route.clone(), entry.clone()));
                if let Some(address) = address::read(route, &entry, &known) {
                    all.addresses.push((address, entry));
                }
            }
        }
    }
}

/// Reports two rules with the same name.
fn unique_names(all: &Gathered) {
    let mut names: HashMap<&str, &Item> = HashMap::new();
    for (_, name, item) in &all.rules {
        if let Some(first) = names.insert(name, item) {
            let file = &first.source().name;
            let line = first.source().locate(&first.path).map_or(0, |(l, _)| l.saturating_sub(1).max(1));
            item.problem(format!("two rules have the name `{name}`"))
                .at_key()
                .label(format!("the other one is at {file}:{line}; rename one of them"))
                .add();
        }
    }
}

/// Checks that need all files.
fn together(all: &mut Gathered, called: &Routes<bool>, require_verify: bool) {
    unique_names(all);
    let mut before = Routes::default();
    for (route, entry) in &all.entries {
        if let Some((other, ())) = before.meeting(route).first() {
            let message = match other.same(route) {
                true => format!("the address {} is configured twice", route.text()),
                false => format!("a path can match both {} and {}", other.text(), route.text()),
            };
            entry.problem(message).at_key().label("write in one place who may call it").add();
        }
        before.add(route.clone(), ());
    }
    let all_rules_read = all.rules.iter().all(|(r, ..)| r.is_some());
    for (route, entry) in &all.entries {
        if called.same(route).next().is_some() {
            continue;
        }
        let texts = || called.iter().map(|(r, _)| r);
        let near = texts().find(|r| r.text().trim_end_matches('/').eq_ignore_ascii_case(route.text().trim_end_matches('/')));
        if let Some(near) = near {
            entry
                .problem(format!("no rule uses {}, but one uses {}", route.text(), near.text()))
                .at_key()
                .label(format!("write {}", near.text()))
                .add();
        } else if all_rules_read {
            let near = nearest(route.text(), texts().map(Route::text));
            let label =
                near.map_or("remove it, or write a rule with `when: { webhook: … }`".to_owned(), |n| format!("did you mean {n}?"));
            entry.problem(format!("no rule uses {}", route.text())).at_key().label(label).add();
        }
    }
    addresses(all, called, require_verify);
    let by_route: Routes<&Address> = all.addresses.iter().map(|(address, _)| (address.route.clone(), address)).collect();
    for (n, uses) in &all.uses {
        let Some((Some(rule), _, item)) = all.rules.get(*n) else { continue };
        let mut addresses: Vec<&Address> = Vec::new();
        for address in rule.when.iter().flat_map(|when| by_route.same(&when.route)) {
            if !addresses.iter().any(|known| known.route.same(&address.route)) {
                addresses.push(address);
            }
        }
        senders::look(rule, uses, item, &addresses);
    }
}

/// Every address that starts rules has one entry: its own, or the open one.
fn addresses(all: &mut Gathered, called: &Routes<bool>, require_verify: bool) {
    let described: Routes<bool> = all.entries.iter().map(|(route, entry)| (route.clone(), entry.node.has("method"))).collect();
    let mut numbers: Routes<usize> = all.addresses.iter().map(|(a, _)| a.route.clone()).zip(0..).collect();
    let mut responding: HashMap<String, &str> = HashMap::new();
    for (rule, name, item) in &all.rules {
        let Some(rule) = rule else { continue };
        for when in &rule.when {
            let wanted = when.methods.clone().unwrap_or_default();
            let place = item.clone();
            let found = numbers.same(&when.route).next();
            match found {
                Some(n) => {
                    let address = &mut all.addresses[*n].0;
                    let said = described.same(&when.route).any(|method| *method);
                    let missing: Vec<&String> = wanted.iter().filter(|m| !address.methods.contains(m)).collect();
                    if said && !missing.is_empty() {
                        let list = address.methods.join(", ");
                        place
                            .problem(format!("{} accepts only {list}, so this rule never runs", when.route.text()))
                            .at_key()
                            .label("write the same `method:` in both places")
                            .add();
                    } else {
                        address.methods.extend(missing.into_iter().cloned().collect::<Vec<_>>());
                    }
                }
                None => {
                    if described.same(&when.route).next().is_some() {
                        continue;
                    }
                    let other = numbers.meeting(&when.route).into_iter().next();
                    if let Some((other, _)) = other.filter(|(r, _)| described.same(r).next().is_some()) {
                        let message = format!(
                            "a path can match both {} and {}, which has an entry under `webhooks:`",
                            when.route.text(),
                            other.text()
                        );
                        place
                            .problem(message)
                            .at_key()
                            .label(format!("add {} there as well, or choose another address", when.route.text()))
                            .add();
                        continue;
                    }
                    numbers.add(when.route.clone(), all.addresses.len());
                    all.addresses.push((Address::open(when.route.clone(), wanted), place.clone()));
                }
            }
            if rule.enabled && rule.responds() {
                let key = when.route.text().trim_end_matches('/').to_owned();
                if let Some(other) = responding.insert(key, name).filter(|o| *o != name) {
                    place
                        .warning(format!("`{other}` also answers the callers of {}; the first answer wins", when.route.text()))
                        .at_key()
                        .add();
                }
            }
        }
    }
    for (address, place) in &mut all.addresses {
        if address.methods.is_empty() {
            address.methods.push("POST".into());
        }
        if !address.described && listens(called, &address.route) {
            let message = format!("anyone who knows the address {} can call it", address.route.text());
            let draft = if require_verify { place.problem(message) } else { place.warning(message) };
            draft
                .at_key()
                .label(format!("write under `webhooks:` who may call it: {}: {{ verify: … }}", address.route.text()))
                .note("`verify: none` leaves it open on purpose")
                .add();
        }
    }
}
