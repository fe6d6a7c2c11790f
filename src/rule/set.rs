//! Names for values: what may be a name, and `set:`, which gives names, for a rule or for one step. When values are computed
//! is up to [`crate::expr::scope`].

use crate::expr::doubt;
use crate::expr::field::{Field, ROOTS};
use crate::expr::names::Names;
use crate::expr::scope::{SetName, SetValue};
use crate::expr::template::Destination;
use crate::expr::template::data::Data;
use crate::expr::template::list::HELPERS;
use crate::expr::word_table::{Looked, WordTable};
use crate::model::saved::ERROR;
use crate::text::nearest::nearest;
use crate::yaml::Node;
use crate::yaml::fields::Item;
use crate::yaml::locate::PathStep;

/// Names that authors cannot choose.
pub fn reserved_names() -> impl Iterator<Item = &'static str> {
    let words = ["any", "all", "none", ERROR, "true", "false", "null", "this", "if", "unless", "each", "with", "else"];
    ROOTS.into_iter().chain(HELPERS.iter().map(|helper| helper.name)).chain(words)
}

/// Whether users may choose this word as a name.
pub fn check_name(name: &str, item: &Item) -> Option<()> {
    if reserved_names().any(|ours| ours == name) {
        let is_helper = HELPERS.iter().any(|helper| helper.name == name);
        let message = if is_helper { format!("`{name}` is the name of a helper") } else { format!("`{name}` is a reserved word") };
        item.problem(message).label("choose another name").write(&format!("my_{name}")).add();
        return None;
    }
    let good =
        name.starts_with(|c: char| c.is_alphabetic() || c == '_') && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if !good {
        let fix: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
        let fix = fix.trim_matches('_').trim_start_matches(|c: char| c.is_ascii_digit() || c == '_').to_owned();
        let draft = item.problem(format!("`{name}` is not a valid name")).label("use letters, digits and _");
        match fix.is_empty() {
            true => draft.add(),
            false => draft.write(&fix).add(),
        }
        return None;
    }
    Some(())
}

/// Reads the names of a `set:`. From then on, `known` has them, even those that are wrong, so that their uses are not reported as
/// well.
pub fn read_set(item: &Item, known: &mut Names) -> Vec<SetName> {
    let mut out = Vec::new();
    for (name, value) in item.entries("`set:`").unwrap_or_default() {
        let mut key = value.clone();
        if let Some(PathStep::Value(n)) = key.path.pop() {
            key.path.push(PathStep::Key(n));
        }
        if check_name(&name, &key).is_none() {
            known.named.push(name);
            continue;
        }
        if known.later.contains(&name) {
            key.problem(format!("`{name}` is also saved by a step")).label("choose another name").add();
        } else if known.named.contains(&name) {
            key.problem(format!("`{name}` is already used as a name")).label("choose another name").add();
        }
        if let Some(read) = read_set_value(&value, known) {
            out.push(SetName { name: name.clone(), value: read });
        }
        known.named.push(name);
    }
    out
}

fn read_set_value(value: &Item, known: &Names) -> Option<SetValue> {
    match value.node {
        Node::Text(text) if names_a_field(text, known) && is_computed(text, value, known) => None,
        Node::Text(text) if names_a_field(text, known) => known.field(text, value, None).map(SetValue::Field),
        Node::Map(entries) if ["of", "map"].iter().all(|word| entries.iter().any(|(key, _)| key == word)) => {
            read_words(value, known).map(SetValue::Words)
        }
        _ => Data::read(value, Destination::Plain, known).map(SetValue::Data),
    }
}

/// Whether it is a calculation or a comparison with a field, which cannot have a name of its own; reported.
fn is_computed(text: &str, value: &Item, known: &Names) -> bool {
    if let Some(ours) = doubt::calculation(text, known) {
        doubt::calculated(value.problem(format!("`{text}` is not a field; values are calculated with helpers")), &ours).add();
        return true;
    }
    let is_comparison = [" > ", " < ", " >= ", " <= ", " == ", " != ", " && "].iter().any(|sign| text.contains(sign));
    if is_comparison && Field::read(text).is_err() {
        let draft = value.problem(format!("`{text}` is a condition, and conditions have no names"));
        draft.label("write it under `if:`, for the rule or for a step: `body.total: { over: 100 }`").add();
        return true;
    }
    false
}

/// A table of words: `{ of: body.status, map: { paid: Bezahlt }, else: "?" }`.
fn read_words(item: &Item, known: &Names) -> Option<WordTable> {
    let mut fields = item.fields("a table of words")?;
    let of = fields.must("of").and_then(|of| match read_set_value(&of, known)? {
        SetValue::Field(field) => Some(Looked::Field(field)),
        SetValue::Data(Data::Fixed(_)) => {
            of.problem("`of:` is always the same here").label("write the field that is looked up, such as body.status").add();
            None
        }
        SetValue::Data(data) => Some(Looked::Data(data)),
        SetValue::Words(_) => {
            of.problem("a table cannot be inside another one").label("give it a name of its own, and write that name here").add();
            None
        }
    });
    let word = |item: &Item| Data::read(item, Destination::Plain, known);
    let entries = fields.must("map").and_then(|map| map.entries("a table of words"));
    let map = entries.and_then(|all| all.into_iter().map(|(key, item)| Some((key, word(&item)?))).collect::<Option<Vec<_>>>());
    let otherwise = fields.may("else").map(|item| word(&item));
    fields.done(&[("default", "else"), ("otherwise", "else")]);
    Some(WordTable { of: of?, map: map?, otherwise: otherwise.map_or(Some(None), |word| word.map(Some))? })
}

/// Whether a value in `set:` names a field: it begins with `$` or with a word that fields begin with.
fn names_a_field(text: &str, known: &Names) -> bool {
    if text.contains("{{") {
        return false;
    }
    let word = text.split(['.', '[']).next().unwrap_or(text);
    text.strip_prefix('$').is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
        || (ROOTS.contains(&word) || known.named.iter().any(|n| n == word)) && !text.ends_with('.')
        || text.contains('.') && !text.contains(' ') && nearest(word, ["headers", "payload"]).is_some_and(|w| w == word)
}
