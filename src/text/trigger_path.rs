//! `@{triggerBody()?['order']?['id']}`: how Power Automate and Logic Apps name a part of what came, as a field of ours.

use std::ops::Range;

use super::span;

/// What begins such a name, and our field for it.
const ROOTS: [(&str, &str); 4] = [("triggerBody()", "body"), ("triggerOutputs()", ""), ("item()", "item"), ("items(", "item")];
/// The parts of the outputs of a trigger, and ours.
const OUTPUTS: [(&str, &str); 4] = [("body", "body"), ("headers", "header"), ("queries", "query"), ("relativePathParameters", "path")];

/// The first such name in some text, with its `@` and braces, and our field.
pub fn find(text: &str) -> Option<(Range<usize>, String)> {
    let (start, root, field) = ROOTS.iter().filter_map(|(theirs, ours)| Some((text.find(theirs)?, *theirs, *ours))).min()?;
    let mut at = start + root.len();
    if root.ends_with('(') {
        at += span::from(text, at).find(')')? + 1;
    }
    let mut field = field.to_owned();
    let mut is_first = true;
    while let Some((length, name)) = part(span::from(text, at)) {
        at += length;
        match OUTPUTS.iter().find(|(theirs, _)| *theirs == name).filter(|_| is_first && field.is_empty()) {
            Some((_, ours)) => field = (*ours).to_owned(),
            None => name.split('/').for_each(|name| field += &below(name)),
        }
        is_first = false;
    }
    let before = span::before(text, start);
    let after = span::from(text, at);
    let closed = after.len() - after.trim_start().len();
    match () {
        () if field.is_empty() || field.starts_with(['.', '[']) || field.contains('"') => None,
        () if before.ends_with("@{") && after.trim_start().starts_with('}') => Some((start - 2..at + closed + 1, field)),
        () if before == "@" && after.is_empty() => Some((0..at, field)),
        () => None,
    }
}

/// `?['name']`, `[0]` or `.name` at the beginning of some text: its length, and the name.
fn part(text: &str) -> Option<(usize, &str)> {
    let rest = text.strip_prefix('?').unwrap_or(text);
    let asked = text.len() - rest.len();
    if let Some(inside) = rest.strip_prefix('[') {
        let (name, _) = inside.split_once(']')?;
        return Some((asked + name.len() + 2, name.trim_matches(['\'', '"'])));
    }
    let name = rest.strip_prefix('.')?;
    let length = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
    (length > 0).then(|| (asked + 1 + length, span::before(name, length)))
}

/// A name below a field, as fields are written.
fn below(name: &str) -> String {
    let is_plain = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    match name.parse::<u32>() {
        Ok(index) => format!("[{index}]"),
        Err(_) if is_plain && !name.is_empty() => format!(".{name}"),
        Err(_) => format!("['{name}']"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_tools_become_fields() {
        for (text, theirs, ours) in [
            ("@{triggerBody()}", "@{triggerBody()}", "body"),
            ("@triggerBody()?['x']", "@triggerBody()?['x']", "body.x"),
            ("a @{triggerBody()?['order']?['First name']} b", "@{triggerBody()?['order']?['First name']}", "body.order['First name']"),
            ("@{triggerBody()?['items'][0]?['sku'] }", "@{triggerBody()?['items'][0]?['sku'] }", "body.items[0].sku"),
            ("@{triggerBody().a.b}", "@{triggerBody().a.b}", "body.a.b"),
            ("@{triggerBody()?['a/b']}", "@{triggerBody()?['a/b']}", "body.a.b"),
            ("@{triggerOutputs()?['headers']?['X-Shop']}", "@{triggerOutputs()?['headers']?['X-Shop']}", "header.X-Shop"),
            ("@{triggerOutputs()['body']['id']}", "@{triggerOutputs()['body']['id']}", "body.id"),
            ("@{items('Apply_to_each')?['sku']}", "@{items('Apply_to_each')?['sku']}", "item.sku"),
        ] {
            let (span, field) = find(text).unwrap();
            assert_eq!((span::between(text, span.start, span.end), field.as_str()), (theirs, ours), "{text}");
        }
        for text in [
            "",
            "triggerBody()",
            "@{concat(triggerBody()?['x'], 'a')}",
            "@{triggerOutputs()}",
            "@{triggerBody()",
            "see @triggerBody() there",
            "@{items(",
        ] {
            assert_eq!(find(text), None, "{text}");
        }
    }
}
