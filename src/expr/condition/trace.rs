//! Explains how a condition was evaluated, in plain English: the same lines on the command line, in the log and in the console.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{All, ConditionPart, Line, Operand, Test, Why};
use crate::expr::comparison::spelled;
use crate::expr::field::{Field, Found, Root, Values};
use crate::expr::moment::{When, moment, when};
use crate::expr::outside_use::{OutsideUse, may_hold_secret, secrets_not_given};
use crate::secret::Vault;
use crate::text::printable::short;

/// How many values, and of which length, are compared to find a difference in spelling.
const MOST_HINTED: usize = 20;
const LONGEST_HINTED: usize = 200;

/// One line of a trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceLine {
    /// The nesting depth of the line in groups.
    pub depth: usize,
    /// `body.total over 1000`
    pub text: String,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Yes,
    /// With what was found instead.
    No(String),
    /// In a dry run: it depends on the answer of the step with this number.
    Depends(String),
    NotLookedAt,
    /// With a secret or variable that it depends on and that is not known here.
    NotKnown(String),
}

impl Outcome {
    /// `yes`, `NO, it was 150`, `not checked`. How to find out more differs between a terminal and a browser, so it is not said.
    pub fn text(&self) -> String {
        match self {
            Outcome::Yes => "yes".to_owned(),
            Outcome::No(why) => format!("NO, {why}"),
            Outcome::Depends(step) => format!("depends on the answer of step {step}"),
            Outcome::NotLookedAt => "not checked".to_owned(),
            Outcome::NotKnown(outside) => format!("not known: it compares with {outside}, which is not set here"),
        }
    }

    /// The same for a command.
    fn for_a_command(&self) -> String {
        match self {
            Outcome::Depends(_) => self.text() + "; pass --reply to try it",
            Outcome::NotKnown(outside) => {
                format!("not known: it compares with {outside}, which this command was not given; pass --env-file")
            }
            Outcome::Yes | Outcome::No(_) | Outcome::NotLookedAt => self.text(),
        }
    }
}

/// How the `if:` of a rule was decided when an event arrived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    pub rule: Arc<str>,
    pub lines: Vec<TraceLine>,
}

/// Trace lines for a terminal, with their outcomes aligned in one column.
pub fn aligned(trace: &[TraceLine], indent: usize) -> String {
    let width = trace.iter().map(|t| t.text.chars().count() + 2 * t.depth).max().unwrap_or(0).min(60);
    let line = |t: &TraceLine| {
        let text = format!("{}{}", "  ".repeat(t.depth), t.text);
        let gap = " ".repeat(width.saturating_sub(text.chars().count()) + 2);
        format!("{}{text}{gap}{}\n", " ".repeat(indent), t.outcome.for_a_command())
    };
    trace.iter().map(line).collect()
}

/// Explains the result of every line, with secrets redacted. With `every_line`, lines after a NO are evaluated too.
pub fn explain(condition: &All, names: &dyn Values, vault: &Vault, every_line: bool) -> Vec<TraceLine> {
    Trace { names, vault, every_line, secrets: None, not_given: None, hides: false, lines: Vec::new() }.explained(condition)
}

/// The same, to be stored: without values of headers and the query that were compared with secrets, even if they were wrong.
pub fn explain_to_keep(condition: &All, names: &dyn Values, vault: &Vault, secrets: &OutsideUse) -> Vec<TraceLine> {
    Trace { names, vault, every_line: false, secrets: Some(secrets), not_given: None, hides: false, lines: Vec::new() }.explained(condition)
}

/// The same without some of the secrets and variables: lines that depend on them are not known, and if a secret is missing, no value
/// is shown that it could be in.
pub fn explain_without(condition: &All, names: &dyn Values, vault: &Vault, not_given: &OutsideUse) -> Vec<TraceLine> {
    let hides = !secrets_not_given(vault).is_empty();
    Trace { names, vault, every_line: false, secrets: None, not_given: Some(not_given), hides, lines: Vec::new() }.explained(condition)
}

/// The result of one line, with secrets redacted.
pub fn line_outcome(line: &Line, names: &dyn Values, vault: &Vault) -> Outcome {
    Trace { names, vault, every_line: false, secrets: None, not_given: None, hides: false, lines: Vec::new() }.line_outcome(line)
}

struct Trace<'a> {
    names: &'a dyn Values,
    vault: &'a Vault,
    every_line: bool,
    /// The secrets with which no value may be shown.
    secrets: Option<&'a OutsideUse<'a>>,
    /// The secrets and variables that are not known.
    not_given: Option<&'a OutsideUse<'a>>,
    /// Whether values are hidden that a secret could be in.
    hides: bool,
    lines: Vec<TraceLine>,
}

/// Whether something is true, as far as it is known.
#[derive(Clone, PartialEq)]
enum Holds {
    Yes,
    No,
    /// It depends on what is not known, as this outcome says.
    Open(Outcome),
}

impl<'a> Trace<'a> {
    fn explained(mut self, condition: &'a All) -> Vec<TraceLine> {
        self.all(condition, true, 0);
        if let Some(spent) = self.names.budget().spent() {
            self.lines.push(TraceLine { depth: 0, text: "this condition".to_owned(), outcome: Outcome::No(spent.to_string()) });
        }
        self.lines
    }

    /// Explains one condition map; `look` is false if an earlier line has already decided.
    fn all(&mut self, condition: &'a All, mut look: bool, depth: usize) -> Holds {
        let mut holds = Holds::Yes;
        for part in &condition.0 {
            let looked = look || self.every_line;
            let this = match part {
                ConditionPart::Line(line) => self.line(line, looked, depth),
                ConditionPart::Any(groups) => self.group(part, groups, "any of these", looked, depth),
                ConditionPart::Every(groups) => self.group(part, groups, "all of these", looked, depth),
                ConditionPart::None(groups) => self.group(part, groups, "none of these", looked, depth),
            };
            match this {
                Holds::No if looked => {
                    holds = Holds::No;
                    look = false;
                }
                Holds::Open(_) if holds == Holds::Yes => holds = this,
                _ => {}
            }
        }
        holds
    }

    fn line(&mut self, line: &'a Line, look: bool, depth: usize) -> Holds {
        let outcome = match self.not_given.and_then(|secrets| secrets.in_line(line)) {
            _ if !look => Outcome::NotLookedAt,
            Some(outside) => Outcome::NotKnown(outside.text().to_owned()),
            None => self.line_outcome(line),
        };
        let holds = match outcome {
            Outcome::Yes => Holds::Yes,
            Outcome::NotKnown(_) | Outcome::Depends(_) => Holds::Open(outcome.clone()),
            Outcome::No(_) | Outcome::NotLookedAt => Holds::No,
        };
        self.lines.push(TraceLine { depth, text: line.text(self.vault), outcome });
        holds
    }

    fn group(&mut self, part: &ConditionPart, groups: &'a [All], text: &str, look: bool, depth: usize) -> Holds {
        let at = self.lines.len();
        self.lines.push(TraceLine { depth, text: text.to_owned(), outcome: Outcome::NotLookedAt });
        let each: Vec<Holds> = groups.iter().map(|condition| self.all(condition, look, depth + 1)).collect();
        if !look {
            return Holds::No;
        }
        let any = |wanted: Holds| each.contains(&wanted);
        let open = each.iter().find(|holds| matches!(holds, Holds::Open(_)));
        let holds = match (part, open) {
            (ConditionPart::Any(_), _) if any(Holds::Yes) => Holds::Yes,
            (ConditionPart::None(_), _) if any(Holds::Yes) => Holds::No,
            (ConditionPart::Every(_), _) if any(Holds::No) => Holds::No,
            (_, Some(open)) => open.clone(),
            (ConditionPart::Any(_), None) => Holds::No,
            _ => Holds::Yes,
        };
        self.lines[at].outcome = match &holds {
            Holds::Yes => Outcome::Yes,
            Holds::Open(outcome) => outcome.clone(),
            Holds::No => Outcome::No(match part {
                ConditionPart::Any(_) => "none of them was true".to_owned(),
                ConditionPart::None(_) => "one of them was true".to_owned(),
                _ => "one of them was not true".to_owned(),
            }),
        };
        holds
    }

    fn line_outcome(&self, line: &'a Line) -> Outcome {
        self.names.take_unknown();
        let outcome = self.known_outcome(line);
        self.names.take_unknown().map_or(outcome, Outcome::Depends)
    }

    fn known_outcome(&self, line: &'a Line) -> Outcome {
        let found = match line.field.find(self.names) {
            Ok(found) => found,
            Err(_) if self.hides => return Outcome::No("its value could not be computed".to_owned()),
            Err(why) => return Outcome::No(self.vault.strike(&why)),
        };
        match line.tests.iter().find(|t| !t.passes(&found, self.names, line.ignore_case)) {
            None => Outcome::Yes,
            Some(test) => {
                let is_credential = || self.secrets.is_some_and(|secrets| secrets.compared_in(line).into_iter().any(is_from_head));
                let withheld = match self.hides {
                    true if may_hold_secret(&line.field, &found) => Some(HIDDEN.to_owned()),
                    _ => is_credential().then(|| "another value".to_owned()),
                };
                // A hint at the spelling would tell the value.
                let hint = if withheld.is_none() { spelling(line, test, &found, self.names, self.vault) } else { None };
                let shown = withheld.unwrap_or_else(|| shown(&found, self.vault));
                let why = hint.or_else(|| why_not(line, test, &found, self.names, &shown));
                Outcome::No(why.unwrap_or_else(|| format!("it was {shown}")))
            }
        }
    }
}

/// Whether a field shows a header or a part of the query.
fn is_from_head(field: &Field) -> bool {
    matches!(field.root, Root::Header(_) | Root::Query)
}

/// In place of a value in which a secret could be that is not known.
pub const HIDDEN: &str = "a value that is hidden here";

fn why_not(line: &Line, test: &Test, found: &Found, names: &dyn Values, shown: &str) -> Why {
    if matches!(found, Found::Missing) {
        return Some(line.field.why_missing(names));
    }
    if let Test::Within(_, zone) = test {
        let at = if let Found::One(value) = found { spelled(value).and_then(|text| when(&text)) } else { None };
        return Some(match at {
            Some(When::Instant(at)) => format!("it was {} ({})", at.to_zoned(zone.zone.clone()).strftime("%A %H:%M"), zone.name),
            Some(When::Day(day)) => format!("it was {}, a day without a time", day.strftime("%A")),
            None => format!("it was {shown}, which is not a date"),
        });
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
    (!is_kind).then(|| format!("it was {shown}, which is not {kind}{other}"))
}

/// Whether the text found differs from what is wanted only in its spelling, and what to write.
fn spelling(line: &Line, test: &Test, found: &Found, names: &dyn Values, vault: &Vault) -> Why {
    type Fits = fn(&str, &str) -> bool;
    let (wanted, fits): (Vec<&Operand>, Fits) = match test {
        Test::Is(wanted) => (wanted.iter().collect(), |found, wanted| found == wanted),
        Test::Contains(o) => (vec![o], |found, wanted| found.contains(wanted)),
        Test::StartsWith(o) => (vec![o], |found, wanted| found.starts_with(wanted)),
        Test::EndsWith(o) => (vec![o], |found, wanted| found.ends_with(wanted)),
        _ => return None,
    };
    let found: Vec<&Value> = match found {
        Found::Missing => Vec::new(),
        Found::One(value) => value.as_array().map_or_else(|| vec![value.as_ref()], |list| list.iter().take(MOST_HINTED).collect()),
        Found::Many(all) => all.iter().take(MOST_HINTED).map(AsRef::as_ref).collect(),
    };
    for (one, operand) in found.into_iter().flat_map(|one| wanted.iter().take(MOST_HINTED).map(move |operand| (one, operand))) {
        let wanted = operand.get(names);
        let (Some(text), Some(wanted)) = (spelled(one), wanted.as_deref().and_then(spelled)) else { continue };
        if text.len() > LONGEST_HINTED || wanted.is_empty() || matches!(operand, Operand::Field(_)) {
            continue;
        }
        let it = format!("it was {}", short(&vault.strike(&quoted(one)), 120));
        if !line.ignore_case && fits(&text.to_lowercase(), &wanted.to_lowercase()) {
            return Some(format!("{it}, which differs in upper and lower case: write it like that, or add `ignore_case: true`"));
        }
        if fits(text.trim(), wanted.trim()) {
            return Some(format!("{it}, with a space at its beginning or end: write it in quotes, with that space, or use `contains`"));
        }
        let is_digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
        let plain = |t: &str| t.trim_start_matches('0').to_owned();
        if matches!(test, Test::Is(_)) && is_digits(&text) && is_digits(&wanted) && plain(&text) == plain(&wanted) {
            return Some(format!("{it}, which is not the same text: write {} as it came", short(&vault.strike(&text), 120)));
        }
    }
    None
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
    pub(super) fn text(&self, vault: &Vault) -> String {
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
            Test::Within(window, zone) => format!("{} ({})", window.said(), zone.name),
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
