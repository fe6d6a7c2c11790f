//! How a condition went, in words: the same lines in the command line, the log and the console.

use serde_json::Value;

use super::{All, Line, Operand, Part, Test, Why};
use crate::comparison::spelled;
use crate::field::{Found, Names};

/// One line of a trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// How deep the line stands in groups.
    pub depth: usize,
    /// `body.total over 1000`
    pub words: String,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Yes,
    /// With what was found instead.
    No(String),
    NotLookedAt,
}

impl Outcome {
    /// `yes`, `NO, it was 150`, `not looked at`.
    pub fn words(&self) -> String {
        match self {
            Outcome::Yes => "yes".to_owned(),
            Outcome::No(why) => format!("NO, {why}"),
            Outcome::NotLookedAt => "not looked at".to_owned(),
        }
    }
}

/// Tells how every line went. With `every_line`, lines behind a NO are looked at too.
pub fn tell(condition: &All, names: &dyn Names, every_line: bool) -> Vec<Told> {
    let mut out = Vec::new();
    all(condition, names, every_line, true, 0, &mut out);
    if let Some(spent) = names.budget().spent() {
        out.push(Told { depth: 0, words: "this condition".to_owned(), outcome: Outcome::No(spent.to_string()) });
    }
    out
}

/// Tells one condition map; `look` is false where an earlier line has decided.
fn all(condition: &All, names: &dyn Names, every_line: bool, mut look: bool, depth: usize, out: &mut Vec<Told>) -> bool {
    let mut holds = true;
    for part in &condition.0 {
        let looked = look || every_line;
        let this = match part {
            Part::Line(line) => {
                let outcome = if looked { line_outcome(line, names) } else { Outcome::NotLookedAt };
                let yes = outcome == Outcome::Yes;
                out.push(Told { depth, words: line.words(), outcome });
                yes
            }
            Part::Any(groups) => group(part, groups, "any of these", names, every_line, looked, depth, out),
            Part::Every(groups) => group(part, groups, "all of these", names, every_line, looked, depth, out),
            Part::None(groups) => group(part, groups, "none of these", names, every_line, looked, depth, out),
        };
        if looked && !this {
            holds = false;
            look = false;
        }
    }
    holds
}

#[allow(clippy::too_many_arguments, reason = "private, and each is a different thing")]
fn group(
    part: &Part,
    groups: &[All],
    words: &str,
    names: &dyn Names,
    every_line: bool,
    look: bool,
    depth: usize,
    out: &mut Vec<Told>,
) -> bool {
    let at = out.len();
    let holds = look && part.holds(names);
    let outcome = match (look, holds) {
        (false, _) => Outcome::NotLookedAt,
        (true, true) => Outcome::Yes,
        (true, false) => Outcome::No(match part {
            Part::Any(_) => "not one held".to_owned(),
            Part::None(_) => "one held".to_owned(),
            _ => "one did not hold".to_owned(),
        }),
    };
    out.push(Told { depth, words: words.to_owned(), outcome });
    for condition in groups {
        all(condition, names, every_line, look, depth + 1, out);
    }
    debug_assert!(out.len() > at);
    holds
}

fn line_outcome(line: &Line, names: &dyn Names) -> Outcome {
    let found = match line.field.find(names) {
        Ok(found) => found,
        Err(why) => return Outcome::No(why),
    };
    match line.tests.iter().find(|t| !t.passes(&found, names, line.ignore_case)) {
        None => Outcome::Yes,
        Some(test) => Outcome::No(why_not(line, test, &found, names).unwrap_or_else(|| format!("it was {}", shown(&found)))),
    }
}

fn why_not(line: &Line, test: &Test, found: &Found, names: &dyn Names) -> Why {
    if matches!(found, Found::Missing) {
        return Some(line.field.why_missing(names));
    }
    let operand = match test {
        Test::Over(o) | Test::AtLeast(o) | Test::Under(o) | Test::AtMost(o) => Some((o, "a number")),
        Test::Before(o) | Test::After(o) => Some((o, "a date")),
        Test::Contains(o) | Test::StartsWith(o) | Test::EndsWith(o) => Some((o, "")),
        _ => None,
    };
    let (operand, kind) = operand?;
    if let Operand::Field(field) = operand
        && operand.get(names).is_none()
    {
        return Some(field.why_missing(names));
    }
    let one = match found {
        Found::One(value) if !value.is_array() => value.as_ref(),
        _ => return None,
    };
    let is_kind = match kind {
        "a number" => crate::comparison::compare(one, &Value::from(0)).is_some(),
        "a date" => spelled(one).is_some_and(|t| crate::template::moment(&t).is_some()),
        _ => true,
    };
    (!is_kind).then(|| format!("it was {}, which is not {kind}", shown(found)))
}

/// A value for people: short, on one line.
fn shown(found: &Found) -> String {
    let text = match found {
        Found::Missing => "missing".to_owned(),
        Found::One(value) => quoted(value),
        Found::Many(all) if all.is_empty() => "an empty list".to_owned(),
        Found::Many(all) => all.iter().map(|v| quoted(v)).collect::<Vec<_>>().join(", "),
    };
    short(&text, 120)
}

fn quoted(value: &Value) -> String {
    match value {
        Value::String(s) if s.is_empty() => "an empty text".to_owned(),
        Value::String(s) if s.trim() == s && !crate::yaml::is_json_number(s) && !matches!(s.as_str(), "true" | "false" | "null") => {
            s.clone()
        }
        other => other.to_string(),
    }
}

/// Text cut to so many letters.
pub fn short(text: &str, most: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most + 1).collect();
    if line.chars().count() > most { format!("{}…", line.chars().take(most - 1).collect::<String>()) } else { line }
}

impl Line {
    /// The line as a sentence: `body.total over 1000`.
    pub fn words(&self) -> String {
        let tests: Vec<String> = self.tests.iter().map(Test::words).collect();
        let case = if self.ignore_case { " (capital or small)" } else { "" };
        short(&format!("{} {}{case}", self.field.text(), tests.join(" and ")), 160)
    }
}

impl Test {
    fn words(&self) -> String {
        let many = |tests: &[Test]| tests.iter().map(Test::words).collect::<Vec<_>>().join(" and ");
        match self {
            Test::Is(wanted) => match wanted.as_slice() {
                [one] => format!("is {}", one.words()),
                all => format!("is one of {}", all.iter().map(Operand::words).collect::<Vec<_>>().join(", ")),
            },
            Test::Over(o) => format!("over {}", o.words()),
            Test::AtLeast(o) => format!("at least {}", o.words()),
            Test::Under(o) => format!("under {}", o.words()),
            Test::AtMost(o) => format!("at most {}", o.words()),
            Test::Between(a, b) => format!("between {} and {}", a.words(), b.words()),
            Test::Contains(o) => format!("contains {}", o.words()),
            Test::StartsWith(o) => format!("starts with {}", o.words()),
            Test::EndsWith(o) => format!("ends with {}", o.words()),
            Test::Like(pattern, _) => format!("is like {pattern}"),
            Test::Matches(pattern, _) => format!("matches {pattern}"),
            Test::InNetwork(networks) => format!("in network {}", networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
            Test::Before(o) => format!("before {}", o.words()),
            Test::After(o) => format!("after {}", o.words()),
            Test::Count(tests) => format!("count {}", many(tests)),
            Test::Exists(true) => "is there".to_owned(),
            Test::Exists(false) => "is not there".to_owned(),
            Test::Empty(true) => "is empty".to_owned(),
            Test::Empty(false) => "is not empty".to_owned(),
            Test::Not(tests) => format!("not: {}", many(tests)),
        }
    }
}

impl Operand {
    fn words(&self) -> String {
        match self {
            Operand::Fixed(value) => quoted(value),
            Operand::Field(field) => format!("{{{{ {} }}}}", field.text()),
        }
    }
}
