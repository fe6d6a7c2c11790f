//! Reads what a test compares with: a literal value, one `{{ field }}`, or a pattern.

use regex::RegexBuilder;
use serde_json::Value;

use super::{Operand, meant};
use crate::expr::comparison::spelled;
use crate::expr::moment::{DATE_EXAMPLE, FORMS, day_of, moment};
use crate::expr::names::Names;
use crate::expr::template::{Destination, Template};
use crate::yaml::Node;
use crate::yaml::fields::Item;

/// The maximum memory of one compiled pattern.
const MAX_PATTERN: usize = 1 << 20;
pub(super) fn compile(item: &Item, pattern: &str, ignore_case: bool) -> Option<regex::Regex> {
    let built = RegexBuilder::new(pattern).case_insensitive(ignore_case).size_limit(MAX_PATTERN).build();
    built
        .map_err(|e| {
            let draft = match e {
                regex::Error::CompiledTooBig(_) => item.problem("this pattern is too large").label("use a shorter pattern"),
                _ => {
                    let said = e.to_string();
                    let reason = said.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
                    let label = match reason.as_str() {
                        r if r.contains("look-around") => "describe the text without it; `not:` is true if a pattern does not match",
                        r if r.contains("backreference") => "describe the text without it",
                        r if r.contains("unclosed") => "close the bracket, or put a \\ before it if it is a part of the text",
                        r if r.contains("repetition operator") => "write .* for any text; a single * repeats what is before it",
                        _ => "put a \\ before characters that have a special meaning in patterns",
                    };
                    let draft = item.problem(format!("this pattern cannot be read: {reason}")).label(label);
                    let any = pattern.strip_prefix('*').map(|rest| format!("'.*{rest}'"));
                    match any.filter(|_| reason.contains("repetition operator")) {
                        Some(ours) => draft.write(&ours),
                        None => draft,
                    }
                }
            };
            draft.add();
        })
        .ok()
}

pub(super) fn operands(item: &Item, known: &Names) -> Option<Vec<Operand>> {
    let all: Vec<Option<Operand>> = item.one_or_many().iter().map(|i| operand(i, known)).collect();
    all.into_iter().collect()
}

/// A literal value, or exactly one `{{ field }}`.
fn operand(item: &Item, known: &Names) -> Option<Operand> {
    match item.node {
        Node::Text(text) if text.contains("{{") => {
            let template = Template::parse(text, item, Destination::Plain, known)?;
            match template.lone_field() {
                Some(field) => Some(Operand::Field(field.clone())),
                None => {
                    item.problem("the right side can be a single {{ field }} and nothing else")
                        .label("compute the value under `set:` and write its name here")
                        .add();
                    None
                }
            }
        }
        Node::Text(_) => item.text().map(|t| Operand::Fixed(Value::String(t))),
        Node::Number(_) | Node::Bool(_) | Node::Null => Some(Operand::Fixed(item.node.json())),
        Node::Map(_) => {
            item.problem("a plain value is expected here, not names and values")
                .label("write the test directly after the field: { over: 100 }")
                .add();
            None
        }
        _ => {
            item.expected("a value");
            None
        }
    }
}

pub(super) fn number(item: &Item, known: &Names) -> Option<Operand> {
    match operand(item, known)? {
        Operand::Fixed(Value::Number(n)) => Some(Operand::Fixed(Value::Number(n))),
        Operand::Fixed(Value::String(s)) if crate::expr::number::is_plain(&s) => Some(Operand::Fixed(Value::String(s))),
        Operand::Fixed(_) => {
            let draft = item.problem("this test compares numbers");
            match item.node {
                Node::Text(t) if moment(t).is_some() => draft.label("to compare dates, use `before` and `after`").add(),
                Node::Text(t) => {
                    let draft = draft.label("write only the number, with a point before its decimals, such as 1234.5");
                    match meant::number(t) {
                        Some(number) => draft.write(&number).add(),
                        None => draft.add(),
                    }
                }
                _ => draft.label("write a number").add(),
            }
            None
        }
        field => Some(field),
    }
}

pub(super) fn text(item: &Item, known: &Names) -> Option<Operand> {
    if let Node::List(_) = item.node {
        item.expected("text");
        return None;
    }
    let operand = operand(item, known)?;
    if let Operand::Fixed(Value::String(s)) = &operand
        && s.is_empty()
    {
        item.problem("all text contains empty text").label("write what to look for, or { exists: true }").add();
        return None;
    }
    Some(operand)
}

pub(super) fn date(item: &Item, known: &Names) -> Option<Operand> {
    let operand = operand(item, known)?;
    if let Operand::Fixed(value) = &operand {
        let text = spelled(value)?;
        if moment(&text).is_none() {
            let draft = item.problem(format!("`{text}` is not a date in a form that can be read")).label(DATE_EXAMPLE);
            let draft = match day_of(&text) {
                Some(day) => draft.write(&day),
                None => draft,
            };
            draft.note(format!("dates: {FORMS}")).add();
            return None;
        }
    }
    Some(operand)
}
