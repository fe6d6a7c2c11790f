//! Comparisons that were written on the left side, before the colon: `body.total > 100`, `body.total over`, `$.items.length()`.

use super::code_words::sign_of;
use super::formula;
use crate::expr::field::{Field, ROOTS};
use crate::yaml::Node;
use crate::yaml::fields::Item;
use crate::yaml::layout::indent;
use crate::yaml::reader::ProblemDraft;

/// Our tests that do not stand between two values in other languages.
const OURS: [&str; 5] = ["between", "count", "exists", "empty", "in_network"];

const ONE_FIELD: &str = "a line is one field and what it must be";
/// Takes the place of the tests on the right while the left side is read.
const TESTS: &str = "tests_on_the_right";

/// Whether the left side is a comparison, or several of them; reported. `item` is what is on the right.
pub(super) fn is_comparison(key: &str, item: &Item) -> bool {
    // A search has signs of its own in its brackets.
    if key.contains("[?") || Field::read(key).is_ok() {
        return false;
    }
    if let Some(entries) = several(key, item) {
        on_lines_of_their_own(item, item.problem(ONE_FIELD).at_key(), &entries);
        return true;
    }
    let Some((field, test, value)) = one(key) else { return false };
    let draft = item.problem("a comparison cannot be written on the left side").at_key();
    let draft = draft.label("write the field, a colon and the test: `body.total: { over: 100 }`");
    let value = value.map(str::to_owned).or_else(|| item.raw().map(str::to_owned)).unwrap_or_default();
    let ours = format!("{field}: {{ {test}: {value} }}");
    draft.change(format!("write {ours}"), item.entry_span(), ours).add();
    true
}

/// Whether the value goes on with another condition: `paid && body.total > 5`; reported.
pub(super) fn goes_on(field: &str, item: &Item, text: &str) -> bool {
    let has_field = ROOTS.iter().any(|root| text.contains(&format!(" {root}.")));
    let entries = if has_field && is_chained(text) { formula::entries(&format!("{field} == {text}")) } else { None };
    let Some(entries) = entries else { return false };
    on_lines_of_their_own(item, item.warning(ONE_FIELD), &entries);
    true
}

/// Reports what has to be several lines.
fn on_lines_of_their_own(item: &Item, draft: ProblemDraft, entries: &[String]) {
    let draft = draft.label("write each field on a line of its own; those of which one is enough go under `any:`");
    // In braces, they stay on the line.
    let depth = item.line().map_or(0, |line| indent(item.source().line(line)));
    let begins_line = item.line().and_then(|line| item.source().line_start(line)).map(|start| start + depth);
    let is_in_braces = item.key_span().is_none_or(|key| Some(key.start) != begins_line);
    let between = if is_in_braces { ", ".to_owned() } else { format!("\n{}", " ".repeat(depth)) };
    draft.change(format!("write {}", entries.join(" and ")), item.entry_span(), entries.join(&between)).add();
}

fn is_chained(text: &str) -> bool {
    let is_opposite = ["not ", "NOT ", "!"].iter().any(|sign| text.starts_with(sign));
    is_opposite || ["&&", "||", " and ", " AND ", " or ", " OR "].iter().any(|sign| text.contains(sign))
}

/// The entries for several comparisons before one colon: `body.total > 100 && body.paid: true`.
fn several(key: &str, item: &Item) -> Option<Vec<String>> {
    if !is_chained(key) {
        return None;
    }
    match item.node {
        Node::Bool(true) => formula::entries(key),
        Node::Map(_) => {
            let (raw, entries) = (item.raw()?, formula::entries(&format!("{key} == {TESTS}"))?);
            Some(entries.into_iter().map(|entry| entry.replace(TESTS, raw)).collect())
        }
        _ => formula::entries(&format!("{key} == {}", item.raw()?)),
    }
}

/// The field, our test, and the value if it is on the left, too.
fn one(key: &str) -> Option<(&str, &'static str, Option<&str>)> {
    if let Some(list) = key.strip_suffix(".length()").or_else(|| key.strip_suffix(".size()")).or_else(|| key.strip_suffix(".count()")) {
        return Some((list, "count", None));
    }
    let test = |word: &str| OURS.into_iter().find(|ours| *ours == word).or_else(|| sign_of(word));
    match key.split_whitespace().collect::<Vec<_>>().as_slice() {
        [field, word, value] => Some((field, test(word)?, Some(value))),
        [field, word] => Some((field, test(word)?, None)),
        _ => None,
    }
}
