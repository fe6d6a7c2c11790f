//! Loads many files as one [`Ruleset`], or reports every problem in all of them: reads each file, then checks them
//! together.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::Rule;
use super::address::{self, Address};
use super::bounds::Bounds;
use super::by_itself;
use super::called;
use super::compile::{self, Origin};
use super::connections::{self, ReadConnection};
use super::files;
use super::foreign;
use super::ruleset::Ruleset;
use super::senders;
use super::when;
use crate::action::connections::Connections;
use crate::expr::field_use::FieldUses;
use crate::expr::names::{Names, Resolver};
use crate::model::hash::hash;
use crate::problem::proof::prove;
use crate::problem::{self, Problem};
use crate::route::{Route, Routes};
use crate::schedule::zone::{self, Named};
use crate::text::nearest::nearest;
use crate::yaml::Node;
use crate::yaml::fields::Item;
use crate::yaml::layout::{indent, is_blank};
use crate::yaml::place::scalar;
use crate::yaml::reader::{Effort, Reader};
use crate::yaml::source::Source;

/// In place of a key of a file.
const TOP_WORDS: [(&str, &str); 4] = [("rule", "rules"), ("webhook", "webhooks"), ("hooks", "webhooks"), ("workflows", "rules")];

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
    /// The `connections:` of all files.
    unread: Vec<Item<'a>>,
    /// By name.
    connections: BTreeMap<String, ReadConnection<'a>>,
    bounds: Bounds,
}

/// Reads all files. With `require_verify`, an address left open by oversight is an error. Corrections are tried before they
/// are shown: with each of them, all files are read again.
pub fn load(sources: Vec<Source>, lookup: Resolver, require_verify: bool) -> Loaded {
    let sources: Vec<Arc<Source>> = sources.into_iter().map(Arc::new).collect();
    let size = sources.iter().map(|s| s.text.len()).sum();
    let again = lookup.again();
    let mut loaded = once(&sources, lookup, require_verify);
    prove(&mut loaded.problems, size, |edit| {
        let mut changed = sources.clone();
        let source = changed.iter_mut().find(|s| s.name == edit.file)?;
        let text = edit.applied(&source.text)?;
        *source = Arc::new(Source::new(&edit.file, text.into_bytes()).ok()?);
        Some(once(&changed, again.again(), require_verify).problems)
    });
    loaded
}

/// The problems in the text of one file, each with its place and, where it is certain, its correction: for editors.
pub fn problems_of(name: &str, text: &str, lookup: Resolver) -> Vec<Problem> {
    match Source::new(name, text.as_bytes().to_vec()) {
        Ok(source) => load(vec![source], lookup, false).problems,
        Err(problem) => vec![*problem],
    }
}

/// Reads all files, without trying corrections.
fn once(sources: &[Arc<Source>], lookup: Resolver, require_verify: bool) -> Loaded {
    let mut problems = Vec::new();
    let mut nodes = Vec::new();
    for source in sources {
        match source.read() {
            Ok(node) => nodes.push((source, node)),
            Err(problem) => problems.push(*problem),
        }
    }
    let effort = Effort::default();
    let readers: Vec<Reader> = nodes.iter().map(|(source, _)| Reader::new(source, &effort)).collect();
    let mut all = Gathered {
        rules: Vec::new(),
        uses: Vec::new(),
        addresses: Vec::new(),
        entries: Vec::new(),
        unread: Vec::new(),
        connections: BTreeMap::new(),
        bounds: Bounds::default(),
    };
    let mut texts = Vec::new();
    let mut webhooks = Vec::new();
    for (reader, (source, node)) in readers.iter().zip(&nodes) {
        let origin =
            Origin { source: Arc::clone(source), text: hash(source.text.as_bytes()).into(), zone: zone_of(&reader.top(node), &lookup) };
        texts.push((origin.text.clone(), origin.source.clone()));
        webhooks.extend(read_file(&reader.top(node), &lookup, &origin, &mut all));
    }
    // Every address that starts rules, and whether any of these rules is enabled.
    let read = all.rules.iter().filter_map(|(r, ..)| r.as_ref());
    let called: Routes<bool> = read.flat_map(|r| r.when.iter().map(|w| (w.route.clone(), r.enabled))).collect();
    // After the rules: an address or a connection that only disabled rules use is as disabled as they are.
    for item in &webhooks {
        read_webhooks(item, &lookup, &called, &mut all);
    }
    let used = connections::used(all.rules.iter().filter_map(|(rule, ..)| rule.as_ref()));
    std::mem::take(&mut all.unread).iter().for_each(|item| connections::read(item, &lookup, &used, &mut all.connections));
    // A file that cannot be read at all may contain what seems to be missing in another one.
    if problems.is_empty() && !all.bounds.exceeded {
        together(&mut all, &called, require_verify);
    } else {
        unique_names(&all);
    }
    let Gathered { rules, addresses, entries, connections, .. } = all;
    let connections = Connections::new(connections.into_iter().filter_map(|(name, read)| Some((name, read.connection?))));
    drop(entries);
    let rules: Vec<Arc<Rule>> = rules.into_iter().filter_map(|(rule, ..)| rule.map(Arc::new)).collect();
    // An address with only disabled rules does not exist.
    let addresses: Vec<Address> = addresses.into_iter().map(|(a, _)| a).filter(|a| listens(&called, &a.route)).collect();
    problems.extend(nodes.iter().flat_map(|(source, _)| source.doubtful_lines()));
    problems.extend(readers.into_iter().flat_map(Reader::problems));
    problem::sort(&mut problems);
    let good = !problem::any_error(&problems);
    let ruleset = good.then(|| Ruleset::new(rules, addresses, Arc::new(lookup.into_vault()), texts).using(connections));
    Loaded { ruleset, problems }
}

/// Reads one rule from a stored file, for a run that began with it. The error is a message for people.
pub fn one_rule(source: Source, name: &str, lookup: &Resolver) -> Result<Rule, String> {
    let source = Arc::new(source);
    let node = source.read().map_err(|problem| problem.message)?;
    let effort = Effort::default();
    let reader = Reader::new(&source, &effort);
    let zone = zone_of(&reader.top(&node), lookup);
    let origin = Origin { source: Arc::clone(&source), text: hash(source.text.as_bytes()).into(), zone };
    let read = || {
        let rules = reader.top(&node).fields("a rule file")?.may("rules")?.entries("`rules:`")?;
        rules.iter().find(|(n, _)| n == name).and_then(|(n, item)| compile::read(n, item, lookup, &origin)).map(|(rule, _)| rule)
    };
    let rule = read();
    let problems = reader.problems();
    rule.ok_or_else(|| problems.into_iter().next().map_or_else(|| format!("the file has no rule `{name}`"), |p| p.message))
}

/// The time zone of a file's rules. Problems with it are reported when the file is read.
fn zone_of(top: &Item, lookup: &Resolver) -> Named {
    let written = match top.node {
        Node::Map(entries) => entries.iter().find(|(key, _)| key == "timezone"),
        _ => None,
    };
    let named = written.and_then(|(_, node)| if let Node::Text(name) = node { Some(name) } else { None });
    named.and_then(|name| zone::place(name).ok()).unwrap_or_else(|| lookup.zone().clone())
}

/// Reads a file's rules, and returns its `webhooks:` for later.
fn read_file<'a>(top: &Item<'a>, lookup: &Resolver, origin: &Origin, all: &mut Gathered<'a>) -> Option<Item<'a>> {
    let is_ours = top.node.has("rules") || top.node.has("webhooks");
    if !is_ours && foreign::is_foreign(top) {
        return None;
    }
    if let Node::Text(_) | Node::Null | Node::Empty = top.node {
        top.problem("this file contains no rules").label("write `rules:`, and below it a name, a colon and the rule").add();
        return None;
    }
    if let Node::List(_) = top.node {
        top.problem("a rule file begins with `rules:`")
            .label("write `rules:` above, then each rule's name and a colon, without a dash")
            .add();
        return None;
    }
    let mut fields = top.fields("a rule file")?;
    fields.may("$schema");
    if let Some(zone) = fields.may("timezone") {
        when::read_zone(&zone);
    }
    all.unread.extend(fields.may("connections"));
    let (has_webhooks, has_rules) = (fields.has("webhooks") || fields.has("connections"), fields.has("rules"));
    let webhooks = fields.may("webhooks");
    if let Some(rules) = fields.may("rules") {
        match rules.node {
            Node::List(_) => list_of_rules(&rules),
            Node::Map(entries) if entries.is_empty() => {
                rules.problem("there are no rules here").at_key().label("write a name, a colon and the rule below it").add()
            }
            Node::Map(entries)
                if rules.node.has("when") && rules.node.has("then") && entries.iter().all(|(_, node)| *node != Node::Empty) =>
            {
                let draft = rules
                    .problem("this rule has no name")
                    .at_key()
                    .label("write a name and a colon below `rules:`, and indent the rule below it");
                let source = rules.source();
                let named = rules.line().and_then(|first| {
                    let depth = indent(source.line(first));
                    let last =
                        (first..=source.lines()).take_while(|n| is_blank(source.line(*n)) || indent(source.line(*n)) >= depth).last()?;
                    source.moved(first, last, 2).map(|(span, text)| (span, format!("{}My rule:\n{text}", " ".repeat(depth))))
                });
                match named {
                    Some((span, text)) => {
                        draft.change("write `My rule:` below `rules:`, and indent the rule by two more spaces", Some(span), text).add()
                    }
                    None => draft.add(),
                }
            }
            _ => {
                for (name, item) in rules.entries("`rules:`").unwrap_or_default() {
                    if !all.bounds.allows_rule(&item) {
                        break;
                    }
                    let (rule, uses) = compile::read(&name, &item, lookup, origin).unzip();
                    let mut called = rule.iter().flat_map(|r: &Rule| &r.when);
                    if !called.all(|when| all.bounds.allows_address(&when.route, &item)) {
                        break;
                    }
                    all.uses.extend(uses.map(|uses| (all.rules.len(), uses)));
                    all.rules.push((rule, name, item));
                }
            }
        }
    }
    if !has_webhooks && !has_rules {
        let looks_like_a_rule = ["when", "then", "if", "on", "trigger"].iter().any(|k| fields.has(k));
        let has_rules_inside = fields.left().any(|k| fields.key(k).node.has("then") || fields.key(k).node.has("when"));
        let label = match (looks_like_a_rule, has_rules_inside) {
            (true, _) => "write `rules:` on the first line, then the rule's name and a colon, and this below it",
            (_, true) => "write `rules:` on the first line, and indent every line below it by two spaces",
            _ => "write `rules:` and a rule below it",
        };
        if looks_like_a_rule || has_rules_inside {
            let indented = |by: usize, head: &str| {
                let source = top.source();
                source
                    .rewritten(1, source.lines(), |_, l| if l.trim().is_empty() { l.to_owned() } else { " ".repeat(by) + l })
                    .map(|(span, text)| (span, format!("{head}{text}")))
            };
            let (span, text) = if has_rules_inside { indented(2, "rules:\n") } else { indented(4, "rules:\n  My rule:\n") }.unzip();
            top.problem("this file has neither `rules:` nor `webhooks:`").label(label).change(label, span, text.unwrap_or_default()).add();
            return None;
        }
        if !fields.left().any(|k| TOP_WORDS.iter().any(|(theirs, _)| *theirs == k) || nearest(k, ["rules", "webhooks"]).is_some()) {
            fields.lacks("rules", "this file has neither `rules:` nor `webhooks:`", label);
        }
    }
    fields.done(&TOP_WORDS);
    webhooks
}

/// Reports rules that are written as a list: the name is a key.
fn list_of_rules(rules: &Item) {
    let draft = rules.problem("rules are not a list: each rule has a name and a colon");
    let draft = draft.label("write `New orders:` instead of the dash, and the rule below it");
    let source = rules.source();
    let named = || {
        let first = rules.line()?;
        let depth = indent(source.line(first));
        let last = (first..=source.lines()).take_while(|n| is_blank(source.line(*n)) || indent(source.line(*n)) >= depth).last()?;
        source.rewritten(first, last, |_, line| {
            let rest = line.trim_start();
            let name = rest.strip_prefix("- name:").filter(|_| indent(line) == depth).map(|name| name.trim().trim_matches(['"', '\'']));
            match name {
                Some(name) => format!("{}{}:", " ".repeat(depth), scalar(name)),
                None if line.trim().is_empty() || depth > 0 => {
                    format!("{}{line}", if depth > 0 && indent(line) > depth { "  " } else { "" })
                }
                None => format!("  {line}"),
            }
        })
    };
    match named() {
        Some((span, text)) => draft.change("write each name before a colon, without the dash and `name:`", Some(span), text).add(),
        None => draft.add(),
    }
}

/// Whether an enabled rule listens there.
fn listens(called: &Routes<bool>, route: &Route) -> bool {
    called.same(route).any(|enabled| *enabled)
}

fn read_webhooks<'a>(item: &Item<'a>, lookup: &Resolver, called: &Routes<bool>, all: &mut Gathered<'a>) {
    for (path, entry) in item.entries("`webhooks:`").unwrap_or_default() {
        match Route::read(&path) {
            Err(_) if matches!(path.as_str(), "rules" | "webhooks") => {
                let draft = entry.problem(format!("`{path}:` is indented too far, so it is read as an address"));
                draft.at_key().one_level_out().label("write it at the beginning of its line").add();
            }
            Err(no) => {
                let draft = entry.problem(no.message).at_key().label(no.label);
                match no.meant {
                    Some(meant) => draft.write(&scalar(&meant)).add(),
                    None => draft.add(),
                }
            }
            Ok(route) => {
                if !all.bounds.allows_address(&route, &entry) {
                    return;
                }
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
            let line = if item.shows_more_errors() { first.line_of(&first.path) } else { None };
            let place = line.map_or(format!("in {file}"), |l| format!("at {file}:{}", l.saturating_sub(1).max(1)));
            item.problem(format!("two rules have the name `{name}`"))
                .at_key()
                .label(format!("the other one is {place}; rename one of them"))
                .add();
        }
    }
}

/// Checks that need all files.
fn together(all: &mut Gathered, called: &Routes<bool>, require_verify: bool) {
    unique_names(all);
    let names: HashSet<&str> = all.rules.iter().map(|(_, name, _)| &**name).collect();
    for (rule, _, item) in &all.rules {
        rule.iter().for_each(|rule| by_itself::look_together(rule, item, &names, called));
    }
    let mut before = Routes::default();
    for (route, entry) in &all.entries {
        if let Some((other, ())) = before.meeting(route).first() {
            let message = match other.same(route) {
                true => format!("the address {} is configured twice", route.text()),
                false => format!("a path can match both {} and {}", other.text(), route.text()),
            };
            entry.problem(message).together().at_key().label("write in one place who may call it").add();
        }
        before.add(route.clone(), ());
    }
    let all_rules_read = all.rules.iter().all(|(r, ..)| r.is_some());
    for (route, entry) in &all.entries {
        if called.same(route).next().is_some() {
            continue;
        }
        // Comparing it with all others is only worth while it is shown.
        let texts = || called.iter().map(|(r, _)| r).take(if entry.shows_more_errors() { usize::MAX } else { 0 });
        let near = texts().find(|r| r.text().trim_end_matches('/').eq_ignore_ascii_case(route.text().trim_end_matches('/')));
        if let Some(near) = near {
            entry
                .problem(format!("no rule uses {}, but one uses {}", route.text(), near.text()))
                .together()
                .at_key()
                .label("write the address in both places in the same way")
                .write(&scalar(near.text()))
                .add();
        } else if all_rules_read {
            let draft = entry.problem(format!("no rule uses {}", route.text())).together().at_key();
            let draft = draft.label("remove it, or write a rule with `when: { webhook: … }`");
            // The only entry that no rule uses, and the only address without an entry, are probably the same.
            let open: Vec<&Route> = texts().filter(|r| !all.entries.iter().any(|(e, _)| e.same(r))).collect();
            let lonely = all.entries.iter().filter(|(e, _)| called.same(e).next().is_none()).count() == 1;
            match (nearest(route.text(), texts().map(Route::text)), open.as_slice()) {
                (Some(near), _) => draft.meant(near).add(),
                (None, [one]) if lonely => {
                    draft.propose(format!("did you mean `{}`, which a rule uses?", one.text()), &scalar(one.text())).add()
                }
                _ => draft.add(),
            }
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
    connections::look(all.rules.iter().filter_map(|(rule, _, item)| Some((rule.as_ref()?, item))), &all.connections);
    called::look(
        all.rules.iter().filter_map(|(rule, _, item)| Some((rule.as_ref()?, item))),
        &all.rules.iter().map(|(_, name, _)| &**name).collect(),
    );
    files::look(all.rules.iter().filter_map(|(rule, _, item)| Some((rule.as_ref()?, item))));
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
                            .together()
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
                            .together()
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
                        .together()
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
                .together()
                .at_key()
                .label(format!("write under `webhooks:` who may call it: {}: {{ verify: … }}", address.route.text()))
                .note("`verify: none` leaves it open on purpose")
                .add();
        }
    }
}
