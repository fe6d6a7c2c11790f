//! Text in a condition that is probably not meant as text: a comparison in words, a list, a pattern in the wrong test. It is
//! valid, so it is a warning; text in quotes is taken for what it is, where people would write it like that.

use super::{left, meant};
use crate::expr::doubt;
use crate::expr::names::Names;
use crate::yaml::Node;
use crate::yaml::fields::Item;
use crate::yaml::is_json_number;
use crate::yaml::place::scalar;

/// Looks at what a field is compared with; `field` is the left side, and `test` is `is` or `not` if there is one.
pub(super) fn value(item: &Item, field: &str, test: &str, known: &Names) {
    match item.node {
        Node::Number(number) => grouped(item, number),
        Node::Text(text) if test.is_empty() && field == "method" => method(item, text, known),
        Node::Text(text) if test.is_empty() && left::goes_on(field, item, text) => {}
        Node::Text(text) => one(item, text, test, known),
        Node::List(_) => {
            for each in item.one_or_many() {
                if let Node::Text(text) = each.node {
                    element(&each, text, known);
                }
            }
        }
        _ => {}
    }
}

/// Looks at a single text.
fn one(item: &Item, text: &str, test: &str, known: &Names) {
    if doubt::field(item, text, known) || doubt::placeholders(item, text) {
        return;
    }
    let Some(Doubt { message, label, ours }) = doubtful(item, text) else { return };
    let draft = item.warning(as_text(text, message)).label(label);
    let Some(ours) = ours else { return draft.add() };
    // A test in place of `is`, which takes a value.
    match ours.strip_prefix("{ ").and_then(|ours| ours.strip_suffix(" }")).filter(|_| test == "is") {
        Some(inside) => draft.change(format!("write {inside}"), item.entry_span(), inside).add(),
        None => draft.write(&ours).add(),
    }
}

/// Looks at one of several values; tests have no place among them.
fn element(item: &Item, text: &str, known: &Names) {
    // Others are often the names of events: `event.created`, `incident.resolved`.
    let is_of_request = ["body.", "header.", "query.", "secret."].iter().any(|root| text.starts_with(root));
    if is_of_request && doubt::field(item, text, known) || doubt::placeholders(item, text) {
        return;
    }
    let Some(Doubt { message, ours, .. }) = doubtful(item, text) else { return };
    let draft = item.warning(as_text(text, message));
    let draft = draft.label("a list contains only values; write tests under `any:`, each with the field and a dash");
    match ours.as_deref().and_then(|ours| ours.strip_prefix('[')?.strip_suffix(']')) {
        Some(values) => draft.write(values).add(),
        None => draft.add(),
    }
}

fn as_text(text: &str, message: &str) -> String {
    format!("`{text}` is compared as text, character by character: {message}")
}

/// Text that is probably not meant as text.
struct Doubt {
    message: &'static str,
    label: &'static str,
    /// What to write instead, if that is known.
    ours: Option<String>,
}

fn doubtful(item: &Item, text: &str) -> Option<Doubt> {
    let say = |message, label, ours| Some(Doubt { message, label, ours });
    if let Some(ours) = meant::comparison(text) {
        return say("this is not a comparison", "write a test in braces, such as { over: 100 }", Some(ours));
    }
    if meant::begins_with_sign(text) {
        return say("this is not a comparison", "write a test in braces, such as { over: 100 }", None);
    }
    if let Some(ours) = meant::list(text) {
        return say("this is one value, not several", "write several values as a list: [one, two]", Some(ours));
    }
    if let Some(ours) = meant::both(text).filter(|_| !item.is_quoted()) {
        return say("this is one value, not several", "write several values as a list, if one of them is enough: [one, two]", Some(ours));
    }
    if let Some(ours) = meant::range(text).filter(|_| !item.is_quoted()) {
        return say("this is not a range of numbers", "put it in quotes if it is text", Some(ours));
    }
    if let Some(ours) = meant::test(text).filter(|_| text.trim() == ".*") {
        return say("this is not a pattern", "write { exists: true }", Some(ours));
    }
    if let Some(ours) = meant::pattern(text) {
        return say("this is not a pattern", "write a pattern as { like: 'a*' } or { matches: '^a' }", Some(ours));
    }
    let is_certain = text.trim() == "*" || text.contains([' ', '(']);
    if let Some(ours) = meant::test(text).filter(|_| is_certain || !item.is_quoted()) {
        return say("this is not a test", "write a test in braces, or put the text in quotes", Some(ours));
    }
    if let Some(ours) = meant::literal(text).filter(|_| !item.is_quoted()) {
        return say("only `true`, `false` and `null` have a meaning", "put it in quotes if it is text", Some(ours.to_owned()));
    }
    if meant::is_grouped(text) && !item.is_quoted() {
        return say("this is not a number", "write the number with a point before its decimals, and nothing between the thousands", None);
    }
    // Text that is a number as it stands is in quotes. For all other text, finding that out costs a walk through the file.
    let number = meant::number(text).filter(|number| number != text && text.len() <= 12 && !item.is_quoted());
    number.and_then(|ours| say("this is not a number", "put it in quotes if it is text", Some(ours)))
}

/// `1.000` is one, not a thousand.
pub(super) fn grouped(item: &Item, number: &str) {
    let (whole, rest) = number.split_once('.').unwrap_or((number, ""));
    if rest == "000" && whole.len() <= 3 && whole != "0" {
        let draft = item.warning(format!("{number} is {whole}: the point is before the decimals"));
        draft.label("write the number without a point between the thousands").write(&format!("{whole}000")).add();
    }
}

/// Looks at what the address of a caller is compared with: one that is a network never equals it.
pub(super) fn ip(item: &Item, known: &Names) {
    let is_network = |node: &Node| match node {
        Node::Text(text) => text.parse::<std::net::IpAddr>().is_err() && !text.contains("{{"),
        _ => false,
    };
    let said = |text: &str| format!("`{text}` is not the address of one machine, so this is never true");
    let label = "for a network write { in_network: 10.0.0.0/8 }";
    let ours = |text: &str| scalar(meant::network(text).as_deref().unwrap_or(text));
    match item.node {
        // Reported already, if it is a field or a placeholder.
        Node::Text(text) if doubt::field(item, text, known) || doubt::placeholders(item, text) => {}
        Node::Text(text) if is_network(item.node) => {
            item.warning(said(text)).label(label).write(&format!("{{ in_network: {} }}", ours(text))).add();
        }
        Node::List(all) => {
            for one in item.one_or_many().iter().filter(|one| is_network(one.node)).take(1) {
                let (Some(text), Some(raw)) = (one.text(), item.raw()) else { return };
                // The caret is below one of them, but all of them move.
                let networks: Vec<String> =
                    all.iter().filter_map(|node| if let Node::Text(t) = node { Some(ours(t)) } else { None }).collect();
                let whole = format!("{{ in_network: [{}] }}", networks.join(", "));
                let span = item.span_within(raw);
                one.warning(said(&text)).label(label).change(format!("write {whole}"), span, whole).add();
            }
        }
        Node::Map(entries) => {
            for (test, value) in item.fields("a test").into_iter().flat_map(|mut fields| fields.rest()) {
                match (test.as_str(), value.node) {
                    ("is", Node::Text(text)) if is_network(value.node) => {
                        let ours = format!("in_network: {}", ours(text));
                        value.warning(said(text)).label(label).change(format!("write {ours}"), value.entry_span(), ours).add();
                    }
                    ("is", Node::List(all)) if all.iter().any(is_network) && entries.len() == 1 => {
                        let each = all.iter().filter_map(|node| if let Node::Text(t) = node { Some(ours(t)) } else { None });
                        let ours = format!("in_network: [{}]", each.collect::<Vec<_>>().join(", "));
                        let draft = value.warning("a network is not the address of one machine, so this is never true").label(label);
                        draft.change(format!("write {ours}"), value.entry_span(), ours).add();
                    }
                    ("not", _) => ip(&value, known),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn method(item: &Item, text: &str, known: &Names) {
    if doubt::field(item, text, known) || doubt::placeholders(item, text) {
        return;
    }
    if text.chars().any(|c| c.is_ascii_lowercase()) {
        let draft = item.warning(format!("a method is in upper case, so `{text}` is never true"));
        draft.label("write it in upper case, such as POST").write(&text.to_ascii_uppercase()).add();
    }
}

/// Looks at the text of `contains`, `starts_with` and `ends_with`, where a pattern has no meaning.
pub(super) fn part(item: &Item, test: &str) {
    let Node::Text(text) = item.node else { return };
    let bare = text.trim_matches('*');
    let is_glob = text.len() > bare.len() && !bare.is_empty() && !bare.contains([' ', '*']);
    let is_regex = meant::slashed(text).is_some() || text.contains(".*") || text.starts_with('^') && text.len() > 1;
    if is_glob || is_regex {
        let draft = item.warning(format!("`{test}` looks for exactly this text; `{text}` is not a pattern here"));
        let draft = draft.label("write the text alone, or use `like` or `matches`");
        if is_glob { draft.write(&scalar(bare)).add() } else { draft.add() }
    }
}

/// Looks at the pattern of `like`, in which only `*` has a meaning.
pub(super) fn like(item: &Item, pattern: &str) {
    let is_regex = pattern.starts_with('^') || pattern.ends_with('$') || pattern.contains(".*") || pattern.contains("\\d");
    // `10.*` has a point before any text.
    let is_regex = is_regex && meant::network(pattern).is_none();
    if is_regex || meant::slashed(pattern).is_some() {
        let draft = item.warning("in `like` only `*` has a meaning; this is a pattern for `matches`");
        let bare = pattern.trim_start_matches('^').trim_end_matches('$').replace(".*", "*");
        let draft = draft.label("write * for any text, or use `matches` instead of `like`");
        match bare.contains(['\\', '[', '(', '+', '?', '|', '/']) {
            false => draft.write(&format!("'{bare}'")).add(),
            true => draft.add(),
        }
    } else if let Some(ours) = meant::wildcard(pattern) {
        let draft = item.warning("in `like` only `*` has a meaning; `?` is a question mark").label("use a pattern: matches: '^a.b$'");
        draft.change(format!("write {ours}"), item.entry_span(), ours).add();
    } else if pattern.contains('%') && !pattern.contains('*') {
        let draft = item.warning("in `like` the sign for any text is `*`, not `%`").label("write * for any text");
        draft.write(&format!("'{}'", pattern.replace('%', "*"))).add();
    } else if !pattern.contains('*') {
        let draft = item.warning("without a `*`, `like` is the same as `is`").label("write * for any text, such as 'paid*'");
        draft.propose("write '*' before and after it to find it anywhere in the text", &format!("'*{pattern}*'")).add();
    } else if pattern.chars().all(|c| c == '*') {
        item.warning("this is true for any text").label("write { exists: true } if the field only has to exist").add();
    }
}

/// Looks at the pattern of `matches`.
pub(super) fn matches(item: &Item, pattern: &str) {
    if matches!(pattern, "" | ".*" | "^.*$" | "^" | "$" | ".*?") {
        item.warning("this is true for any text").label("write { exists: true } if the field only has to exist").add();
    }
}

/// Whether `count` is compared with a number; reports it if not.
pub(super) fn counted(item: &Item) -> bool {
    let wrong = |text: &str| {
        let draft =
            item.problem("`count` compares how many there are with a number").label("write a number or a test, such as { over: 2 }");
        match meant::comparison(text).or_else(|| meant::number(text)) {
            Some(ours) => draft.write(&ours).add(),
            None => draft.add(),
        }
        false
    };
    match item.node {
        Node::Text(text) if !text.contains("{{") && !is_json_number(text) => wrong(text),
        Node::Number(n) if n.starts_with('-') || n.contains(['.', 'e', 'E']) => wrong(n),
        Node::Bool(_) | Node::Null => wrong(""),
        _ => true,
    }
}
