//! Explains how a condition was evaluated, in plain English: the same lines on the command line, in the log and in the console.

use serde::Serialize;
use serde_json::Value;

use super::{All, ConditionPart, Line, Operand, Test, Truth, Why};
use crate::expr::comparison::spelled;
use crate::expr::field::{Found, Values};
use crate::expr::moment::moment;
use crate::secret::Vault;
use crate::text::printable::short;

/// One line of a trace.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TraceLine {
    /// The nesting depth of the line in groups.
    pub depth: usize,
    /// `body.total over 1000`
    pub text: String,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Yes,
    /// With what was found instead.
    No(String),
    /// In a dry run: it depends on the answer of the step with this number.
    Depends(String),
    NotLookedAt,
}

impl Outcome {
    /// `yes`, `NO, it was 150`, `not checked`.
    pub fn text(&self) -> String {
        match self {
            Outcome::Yes => "yes".to_owned(),
            Outcome::No(why) => format!("NO, {why}"),
            Outcome::Depends(step) => format!("depends on the answer of step {step}; pass --reply to try it"),
            Outcome::NotLookedAt => "not checked".to_owned(),
        }
    }
}

/// Explains the result of every line, with secrets redacted. With `every_line`, lines after a NO are evaluated too.
pub fn explain(condition: &All, names: &dyn Values, vault: &Vault, every_line: bool) -> Vec<TraceLine> {
    let mut trace = Trace { names, vault, every_line, lines: Vec::new() };
    trace.all(condition, true, 0);
    let mut lines = trace.lines;
    if let Some(spent) = names.budget().spent() {
        lines.push(TraceLine { depth: 0, text: "this condition".to_owned(), outcome: Outcome::No(spent.to_string()) });
    }
    lines
}

struct Trace<'a> {
    names: &'a dyn Values,
    vault: &'a Vault,
    every_line: bool,
    lines: Vec<TraceLine>,
}

impl Trace<'_> {
    /// Explains one condition map; `look` is false if an earlier line has already decided.
    fn all(&mut self, condition: &All, mut look: bool, depth: usize) -> bool {
        let mut holds = true;
        for part in &condition.0 {
            let looked = look || self.every_line;
            let this = match part {
                ConditionPart::Line(line) => self.line(line, looked, depth),
                ConditionPart::Any(groups) => self.group(part, groups, "any of these", looked, depth),
                ConditionPart::Every(groups) => self.group(part, groups, "all of these", looked, depth),
                ConditionPart::None(groups) => self.group(part, groups, "none of these", looked, depth),
            };
            if looked && !this {
                holds = false;
                look = false;
            }
        }
        holds
    }

    fn line(&mut self, line: &Line, look: bool, depth: usize) -> bool {
        let outcome = if look { line_outcome(line, self.names, self.vault) } else { Outcome::NotLookedAt };
        let holds = matches!(outcome, Outcome::Yes | Outcome::Depends(_));
        self.lines.push(TraceLine { depth, text: line.text(self.vault), outcome });
        holds
    }

    fn group(&mut self, part: &ConditionPart, groups: &[All], text: &str, look: bool, depth: usize) -> bool {
        let truth = look.then(|| part.truth(self.names));
        let holds = matches!(truth, Some(Truth::Yes | Truth::Depends(_)));
        let outcome = match truth {
            None => Outcome::NotLookedAt,
            Some(Truth::Yes) => Outcome::Yes,
            Some(Truth::Depends(step)) => Outcome::Depends(step),
            Some(Truth::No) => Outcome::No(match part {
                ConditionPart::Any(_) => "none of them was true".to_owned(),
                ConditionPart::None(_) => "one of them was true".to_owned(),
                _ => "one of them was not true".to_owned(),
            }),
        };
        self.lines.push(TraceLine { depth, text: text.to_owned(), outcome });
        for condition in groups {
            self.all(condition, look, depth + 1);
        }
        holds
    }
}

fn line_outcome(line: &Line, names: &dyn Values, vault: &Vault) -> Outcome {
    names.take_unknown();
    let outcome = known_outcome(line, names, vault);
    names.take_unknown().map_or(outcome, Outcome::Depends)
}

fn known_outcome(line: &Line, names: &dyn Values, vault: &Vault) -> Outcome {
    let found = match line.field.find(names) {
        Ok(found) => found,
        Err(why) => return Outcome::No(vault.strike(&why)),
    };
    match line.tests.iter().find(|t| !t.passes(&found, names, line.ignore_case)) {
        None => Outcome::Yes,
        Some(test) => {
            let why = why_not(line, test, &found, names, vault);
            Outcome::No(why.unwrap_or_else(|| format!("it was {}", shown(&found, vault))))
        }
    }
}

fn why_not(line: &Line, test: &Test, found: &Found, names: &dyn Values, vault: &Vault) -> Why {
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
        "a number" => crate::expr::comparison::compare(one, &Value::from(0)).is_some(),
        "a date" => spelled(one).is_some_and(|t| moment(&t).is_some()),
        _ => true,
    };
    // Only what looks like a date is worth the explanation.
    let other = match kind {
        "a date" if spelled(one).is_some_and(|t| t.contains(|c: char| c.is_ascii_digit())) => {
            " in a form that is read; `parse_date` reads others"
        }
        _ => "",
    };
    (!is_kind).then(|| format!("it was {}, which is not {kind}{other}", shown(found, vault)))
}

/// A value for display: short, on one line. Secrets are redacted first, because a truncated secret would not be
/// recognised.
fn shown(found: &Found, vault: &Vault) -> String {
    let text = match found {
        Found::Missing => "missing".to_owned(),
        Found::One(value) => quoted(value),
        Found::Many(all) if all.is_empty() => "an empty list".to_owned(),
        Found::Many(all) => all.iter().map(|v| quoted(v)).collect::<Vec<_>>().join(", "),
    };
    short(&vault.strike(&text), 120)
}

fn quoted(value: &Value) -> String {
    match value {
        Value::String(s) if s.is_empty() => "empty text".to_owned(),
        Value::String(s) if s.trim() == s && !crate::yaml::is_json_number(s) && !matches!(s.as_str(), "true" | "false" | "null") => {
            s.clone()
        }
        other => other.to_string(),
    }
}

impl Line {
    /// The line as a sentence: `body.total over 1000`.
    fn text(&self, vault: &Vault) -> String {
        let tests: Vec<String> = self.tests.iter().map(|t| t.text(vault)).collect();
        let case = if self.ignore_case { " (ignoring case)" } else { "" };
        short(&format!("{} {}{case}", self.field.text(), tests.join(" and ")), 160)
    }
}

impl Test {
    fn text(&self, vault: &Vault) -> String {
        let many = |tests: &[Test]| tests.iter().map(|t| t.text(vault)).collect::<Vec<_>>().join(" and ");
        match self {
            Test::Is(wanted) => match wanted.as_slice() {
                [one] => format!("is {}", one.text(vault)),
                all => format!("is one of {}", all.iter().map(|o| o.text(vault)).collect::<Vec<_>>().join(", ")),
            },
            Test::Over(o) => format!("over {}", o.text(vault)),
            Test::AtLeast(o) => format!("at least {}", o.text(vault)),
            Test::Under(o) => format!("under {}", o.text(vault)),
            Test::AtMost(o) => format!("at most {}", o.text(vault)),
            Test::Between(a, b) => format!("between {} and {}", a.text(vault), b.text(vault)),
            Test::Contains(o) => format!("contains {}", o.text(vault)),
            Test::StartsWith(o) => format!("starts with {}", o.text(vault)),
            Test::EndsWith(o) => format!("ends with {}", o.text(vault)),
            Test::Like(pattern, _) => format!("is like {}", vault.strike(pattern)),
            Test::Matches(pattern, _) => format!("matches {}", vault.strike(pattern)),
            Test::InNetwork(networks) => format!("in network {}", networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
            Test::Before(o) => format!("before {}", o.text(vault)),
            Test::After(o) => format!("after {}", o.text(vault)),
            Test::Count(tests) => format!("count {}", many(tests)),
            Test::Exists(true) => "exists".to_owned(),
            Test::Exists(false) => "is missing".to_owned(),
            Test::Empty(true) => "is empty".to_owned(),
            Test::Empty(false) => "is not empty".to_owned(),
            Test::Not(tests) => format!("not: {}", many(tests)),
        }
    }
}

impl Operand {
    /// The name of a secret is not secret.
    fn text(&self, vault: &Vault) -> String {
        match self {
            Operand::Fixed(value) => vault.strike(&quoted(value)),
            Operand::Field(field) => format!("{{{{ {} }}}}", field.text()),
        }
    }
}
