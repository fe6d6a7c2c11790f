//! Text in a condition that is probably not meant as text: a comparison in words, a list, a pattern in the wrong test. It is
//! valid, so it is a warning; text in quotes is taken for what it is, where people would write it like that.

use super::meant;
use crate::expr::doubt;
use crate::expr::names::Names;
use crate::yaml::Node;
use crate::yaml::fields::Item;
use crate::yaml::is_json_number;

/// Looks at what a field is compared with by `is`; `field` is the left side.
pub(super) fn value(item: &Item, field: &str, known: &Names) {
    if let Node::Number(number) = item.node {
        grouped(item, number);
    }
    let Node::Text(text) = item.node else { return };
    if doubt::field(item, text, known) || doubt::placeholders(item, text) {
        return;
    }
    if field == "ip" {
        return network(item, text);
    }
    if field == "method" {
        return method(item, text);
    }
    let say = |message: &str, label: &str, ours: Option<String>| {
        let draft = item.warning(format!("`{text}` is compared as text, character by character: {message}")).label(label.to_owned());
        match ours {
            Some(ours) => draft.write(&ours).add(),
            None => draft.add(),
        }
    };
    if let Some(ours) = meant::comparison(text) {
        return say("this is not a comparison", "write a test in braces, such as { over: 100 }", Some(ours));
    }
    if meant::begins_with_sign(text) {
        return say("this is not a comparison", "write a test in braces, such as { over: 100 }", None);
    }
    if let Some(ours) = meant::list(text) {
        return say("this is one value, not several", "write several values as a list: [one, two]", Some(ours));
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
    if text.len() <= 12
        && let Some(ours) = meant::number(text).filter(|_| !item.is_quoted())
    {
        say("this is not a number", "put it in quotes if it is text", Some(ours));
    }
}

/// `1.000` is one, not a thousand.
pub(super) fn grouped(item: &Item, number: &str) {
    let (whole, rest) = number.split_once('.').unwrap_or((number, ""));
    if rest == "000" && whole.len() <= 3 && whole != "0" {
        let draft = item.warning(format!("{number} is {whole}: the point is before the decimals"));
        draft.label("write the number without a point between the thousands").write(&format!("{whole}000")).add();
    }
}

fn network(item: &Item, text: &str) {
    if text.parse::<std::net::IpAddr>().is_ok() {
        return;
    }
    let draft = item.warning(format!("`{text}` is not the address of one machine, so this is never true"));
    let draft = draft.label("for a network write { in_network: 10.0.0.0/8 }");
    let stars = text.strip_suffix(".*").map(|t| format!("{t}.0/24"));
    draft.write(&format!("{{ in_network: {} }}", stars.as_deref().unwrap_or(text))).add();
}

fn method(item: &Item, text: &str) {
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
        if is_glob { draft.write(&crate::yaml::place::scalar(bare)).add() } else { draft.add() }
    }
}

/// Looks at the pattern of `like`, in which only `*` has a meaning.
pub(super) fn like(item: &Item, pattern: &str) {
    let is_regex = pattern.starts_with('^') || pattern.ends_with('$') || pattern.contains(".*") || pattern.contains("\\d");
    if is_regex || meant::slashed(pattern).is_some() {
        let draft = item.warning("in `like` only `*` has a meaning; this is a pattern for `matches`");
        let bare = pattern.trim_start_matches('^').trim_end_matches('$').replace(".*", "*");
        let draft = draft.label("write * for any text, or use `matches` instead of `like`");
        match bare.contains(['\\', '[', '(', '+', '?', '|', '/']) {
            false => draft.write(&format!("'{bare}'")).add(),
            true => draft.add(),
        }
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
