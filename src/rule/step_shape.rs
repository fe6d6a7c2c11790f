//! Steps that are written in another shape: without a colon, or with everything below the verb.

use crate::action::verbs;
use crate::expr::condition::All;
use crate::expr::field::Field;
use crate::text::span;
use crate::yaml::Node;
use crate::yaml::fields::{Fields, Item};
use crate::yaml::layout::{self, Rewritten};
use crate::yaml::place::scalar;

/// Reports a condition of a repeated step that looks at the whole list instead of its element.
pub(super) fn whole_list(condition: &All, list: &Field, item: &Item) {
    for line in condition.lines() {
        let rest = line.field.text().strip_prefix(list.text()).filter(|rest| rest.starts_with('.'));
        if let Some(rest) = rest {
            let draft = item.at(&line.path).warning(format!("this looks at the whole list {}, not at its element", list.text())).at_key();
            draft.meant(&format!("item{rest}")).label("the element is called `item`").add();
        }
    }
}

pub(super) fn not_a_step(item: &Item, text: &str) {
    let word = text.split(|c: char| c.is_whitespace() || c == ':').next().unwrap_or("");
    let rest = text.strip_prefix(word).unwrap_or("").trim_start_matches(':').trim();
    let draft = item.problem("a step begins with a verb, a colon and a space");
    match verbs().find(|(v, _)| *v == word) {
        Some((verb, _)) if !rest.is_empty() => draft.label("write for example `log: text`").write(&format!("{verb}: {rest}")).add(),
        Some(_) => draft.label("write a colon after it, a space, and what it needs").add(),
        None if text.starts_with("https://") || text.starts_with("http://") => {
            draft.label("write `post:` before the address").write(&format!("post: {text}")).add();
        }
        None => draft.label("write for example `log: text`").add(),
    }
}

/// The verb's value was written as a map, with the step's other fields in it.
pub(super) fn below_the_verb(verb: &'static str, what: &str, entries: &[(String, Node)], fields: &Fields) {
    let shown = format!("write the value directly after `{verb}:`, and align the other lines below it with `{verb}`");
    let key = fields.key(verb);
    let draft = key.problem(format!("{what} belongs directly after `{verb}:`")).label(shown);
    match flat(&key, verb, entries) {
        Some((span, text)) => {
            let first = text.trim_start().trim_start_matches("- ").lines().next().unwrap_or("").to_owned();
            draft.change(format!("write {first}, and align the other lines with it"), Some(span), text).add();
        }
        None => draft.add(),
    }
}

/// The verb with its value, and what was below it aligned with it.
fn flat(key: &Item, verb: &str, entries: &[(String, Node)]) -> Rewritten {
    const VALUES: [&str; 6] = ["url", "to", "file", "path", "status", "text"];
    let at = entries.iter().position(|(k, _)| VALUES.contains(&k.as_str()))?;
    let value = match &entries[at].1 {
        Node::Text(text) => scalar(text),
        Node::Number(number) => number.clone(),
        _ => return None,
    };
    let source = key.source();
    let first = key.line()?;
    let (inner, last) = (first + 1 + at, source.block_end(first));
    let line = source.line(first);
    let verb_at = line.find(verb)?;
    // Each entry before the value takes one line; others are not moved.
    if !source.line(inner).trim_start().starts_with(entries[at].0.as_str()) {
        return None;
    }
    let depth = layout::indent(source.line(first + 1));
    let others = (first + 1..=last).filter(|n| *n != inner).map(|n| source.line(n));
    let others = others.map(|l| format!("\n{}{}", " ".repeat(verb_at), span::from(l, depth.min(layout::indent(l)))));
    let text = format!("{}{verb}: {value}{}", span::before(line, verb_at), others.collect::<String>());
    Some((source.span_of(first, last)?, text))
}
