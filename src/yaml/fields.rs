//! A cursor over one YAML map: looks up keys, converts values, and reports every problem with them.
//!
//! The reader of a part of a rule file asks a [`Fields`] for the keys it knows; any key that was not asked for is a
//! problem when `done` is called. Reading goes on after a problem, so that one pass finds them all. The reader of a key
//! decides what it means; only problems that are the same for every key (no value, written twice, wrong kind of value)
//! are reported here.

use std::time::Duration;

use super::duration;
use super::locate::{Path, PathStep};
use super::reader::{ProblemDraft, Reader};
use super::source::Source;
use super::{Node, below};
use crate::problem::Severity;

/// One value of the file, and where it is.
#[derive(Clone)]
pub struct Item<'a> {
    pub node: &'a Node,
    pub path: Path,
    pub(super) reader: &'a Reader<'a>,
}

impl<'a> Reader<'a> {
    /// The top of the file.
    pub fn top(&'a self, node: &'a Node) -> Item<'a> {
        Item { node, path: Vec::new(), reader: self }
    }
}

impl<'a> Item<'a> {
    /// Begins to report an error here.
    pub fn problem(&self, message: impl Into<String>) -> ProblemDraft<'a> {
        self.draft(Severity::Error, message.into())
    }

    /// Begins to report something that somebody should check, although the rules can be used.
    pub fn warning(&self, message: impl Into<String>) -> ProblemDraft<'a> {
        self.draft(Severity::Warning, message.into())
    }

    /// Begins to report something for information.
    pub fn note(&self, message: impl Into<String>) -> ProblemDraft<'a> {
        self.draft(Severity::Note, message.into())
    }

    /// Begins to report something of any severity.
    pub fn tell(&self, severity: Severity, message: impl Into<String>) -> ProblemDraft<'a> {
        self.draft(severity, message.into())
    }

    fn draft(&self, severity: Severity, message: String) -> ProblemDraft<'a> {
        self.reader.draft(severity, self.path.clone(), message)
    }

    /// How many errors have been reported so far, here or elsewhere in the file.
    pub fn errors(&self) -> usize {
        self.reader.errors()
    }

    pub(super) fn look(&self, path: &Path) -> Option<(usize, usize)> {
        self.reader.look(path)
    }

    pub fn source(&self) -> &'a Source {
        self.reader.source
    }

    /// Another place in the same file, to report something there.
    pub fn at(&self, path: &Path) -> Item<'a> {
        Item { path: path.clone(), ..self.clone() }
    }

    /// The line of another place in the file, to be named in an error; `None` if that error would not be shown.
    pub fn line_of(&self, path: &Path) -> Option<usize> {
        self.reader.shows_more_errors().then(|| self.reader.locate(path)).flatten().map(|(line, _)| line)
    }

    /// Whether an error that is reported now would be shown; if not, it needs no suggestion.
    pub fn shows_more_errors(&self) -> bool {
        self.reader.shows_more_errors()
    }

    /// The n-th item of this list.
    fn child(&self, n: usize, node: &'a Node) -> Item<'a> {
        Item { node, path: below(&self.path, PathStep::Item(n)), reader: self.reader }
    }

    /// Text, or a number or true/false taken as it is spelled.
    pub fn text(&self) -> Option<String> {
        match self.node {
            Node::Text(t) => {
                if t.starts_with(['“', '”', '„', '‘', '’']) {
                    let bare: String = t.chars().filter(|c| !matches!(c, '“' | '”' | '„' | '‘' | '’')).collect();
                    self.problem("these are curly quotes, which YAML does not read as quotes")
                        .label("use straight quotes: \" or '")
                        .write(&format!("\"{}\"", bare.replace('"', "'")))
                        .add();
                }
                Some(t.clone())
            }
            Node::Number(n) => Some(n.clone()),
            Node::Bool(b) => Some(b.to_string()),
            _ => {
                self.expected("text");
                None
            }
        }
    }

    /// true or false.
    pub fn flag(&self) -> Option<bool> {
        match self.node {
            Node::Bool(b) => return Some(*b),
            Node::Text(t) => {
                let meant = match t.to_lowercase().as_str() {
                    "yes" | "on" | "true" | "y" => Some("true"),
                    "no" | "off" | "false" | "n" => Some("false"),
                    _ => None,
                };
                if let Some(meant) = meant {
                    self.problem(format!("`{t}` is text here")).label("write true or false, without quotes").write(meant).add();
                    return None;
                }
                self.expected("true or false");
            }
            _ => self.expected("true or false"),
        }
        None
    }

    /// A whole number within limits.
    pub fn whole(&self, least: u64, most: u64) -> Option<u64> {
        let Node::Number(n) = self.node else {
            match self.node {
                Node::Text(t) if t.trim().parse::<u64>().is_ok() => {
                    self.problem("a whole number is expected here, not text").label("write it without quotes").write(t.trim()).add();
                }
                _ => self.expected("a whole number"),
            }
            return None;
        };
        match n.parse::<u64>() {
            Ok(v) if (least..=most).contains(&v) => Some(v),
            _ => {
                let draft = self.problem(format!("a whole number from {least} to {most} is expected here, not {n}"));
                let rounded = n.split('.').next().unwrap_or(n);
                draft.label("write a number within these limits").write(rounded).add();
                None
            }
        }
    }

    /// A duration: a whole number and a unit.
    pub fn duration(&self) -> Option<Duration> {
        let text = match self.node {
            Node::Number(n) => {
                let unit = if n == "1" { "second" } else { "seconds" };
                self.problem("a length of time needs a unit")
                    .label("write the unit after the number: milliseconds, seconds, minutes, hours or days")
                    .propose(format!("write for example {n} {unit}"), &format!("{n} {unit}"))
                    .add();
                return None;
            }
            _ => self.text()?,
        };
        match duration::read(&text) {
            Ok(d) => Some(d),
            Err(wrong) => {
                let draft = self.problem(format!("`{text}` is not a length of time")).label(wrong.rule);
                match wrong.instead {
                    Some(instead) => draft.write(&instead).add(),
                    None => draft.add(),
                }
                None
            }
        }
    }

    /// The items of a list; anything else is reported.
    pub fn items(&self, what: &str) -> Option<Vec<Item<'a>>> {
        let Node::List(_) = self.node else {
            self.expected(what);
            return None;
        };
        Some(self.one_or_many())
    }

    /// The items of a list, or the single value in its place.
    pub fn one_or_many(&self) -> Vec<Item<'a>> {
        match self.node {
            Node::List(items) => items.iter().enumerate().map(|(n, node)| self.child(n, node)).collect(),
            _ => vec![self.clone()],
        }
    }

    /// The same, but an empty list is reported; `write` says what to write instead.
    pub fn one_or_more(&self, write: &str) -> Option<Vec<Item<'a>>> {
        let all = self.one_or_many();
        if all.is_empty() {
            self.problem("this list is empty").label(write).add();
            return None;
        }
        Some(all)
    }

    /// The keys of a map; `what` names the map in messages.
    pub fn fields(&self, what: &'static str) -> Option<Fields<'a>> {
        match self.node {
            Node::Map(entries) => Some(Fields::new(self.clone(), entries, what)),
            Node::Text(t) if t.contains(": ") || t.ends_with(':') => {
                self.problem(format!("{what} must be written as names and values, one per line"))
                    .label("this is read as text; check the quotes and the indentation")
                    .write(&format!("{{ {t} }}"))
                    .write(t)
                    .add();
                None
            }
            _ => {
                self.expected(&format!("{what} (names and values)"));
                None
            }
        }
    }

    /// Every key and value of a map whose keys are chosen by the author.
    pub fn entries(&self, what: &'static str) -> Option<Vec<(String, Item<'a>)>> {
        let mut fields = self.fields(what)?;
        Some(fields.rest())
    }
}

/// The keys of one map.
pub struct Fields<'a> {
    pub item: Item<'a>,
    pub(super) entries: &'a [(String, Node)],
    pub(super) taken: Vec<bool>,
    pub(super) known: Vec<&'static str>,
    /// Required keys that are missing.
    pub(super) missing: Vec<&'static str>,
    excused: Vec<&'static str>,
    pub(super) what: &'static str,
}

impl<'a> Fields<'a> {
    fn new(item: Item<'a>, entries: &'a [(String, Node)], what: &'static str) -> Self {
        let mut taken = vec![false; entries.len()];
        let mut seen = std::collections::HashMap::with_capacity(entries.len());
        for (n, (key, _)) in entries.iter().enumerate() {
            if let Some(first) = seen.insert(key.as_str(), n) {
                taken[n] = true;
                let here = Item { node: item.node, path: below(&item.path, PathStep::Key(n)), reader: item.reader };
                let draft = here.problem(format!("`{key}` is written twice"));
                match here.line_of(&below(&item.path, PathStep::Key(first))) {
                    Some(line) => draft.label(format!("the first one is on line {line}; remove one of them")).add(),
                    None => draft.label("remove one of them").add(),
                }
            }
        }
        Self { item, entries, taken, known: Vec::new(), missing: Vec::new(), excused: Vec::new(), what }
    }

    pub(super) fn value(&self, n: usize) -> Item<'a> {
        Item { node: &self.entries[n].1, path: below(&self.item.path, PathStep::Value(n)), reader: self.item.reader }
    }

    /// The value of an optional key. A key without a value is reported.
    pub fn may(&mut self, key: &'static str) -> Option<Item<'a>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let n = self.entries.iter().enumerate().position(|(n, (k, _))| k == key && !self.taken[n])?;
        self.taken[n] = true;
        let value = self.value(n);
        if *value.node == Node::Empty {
            value.nothing();
            return None;
        }
        Some(value)
    }

    /// The value of a key of another tool.
    pub fn take(&mut self, key: &str) -> Option<Item<'a>> {
        let n = self.entries.iter().position(|(k, _)| k == key)?;
        self.taken[n] = true;
        Some(self.value(n))
    }

    /// The value of a required key.
    pub fn must(&mut self, key: &'static str) -> Option<Item<'a>> {
        if !self.has(key) && !self.excused.contains(&key) {
            self.missing.push(key);
            let draft = self.item.problem(format!("{} needs `{key}:`", self.what)).at_key();
            draft.label(format!("write `{key}:` below")).missing_in(&self.item.path).add();
        }
        self.may(key)
    }

    /// Reports in its own words that a required key is missing.
    pub fn lacks(&mut self, key: &'static str, message: &str, label: &str) {
        self.missing.push(key);
        self.item.problem(message).at_key().label(label).missing_in(&self.item.path).add();
    }

    /// A required key that is missing for a reason that was reported.
    pub fn expected(&mut self, key: &'static str) {
        self.excused.push(key);
    }

    /// Whether a key exists, taken or not.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(k, _)| k == key)
    }

    /// The keys that no code has asked for yet.
    pub fn left(&self) -> impl Iterator<Item = &'a str> {
        self.entries.iter().enumerate().filter(|(n, _)| !self.taken[*n]).map(|(_, (k, _))| k.as_str())
    }

    /// The place of a key, for reporting something there.
    pub fn key(&self, key: &str) -> Item<'a> {
        match self.entries.iter().position(|(k, _)| k == key) {
            Some(n) => Item { node: &self.entries[n].1, path: below(&self.item.path, PathStep::Key(n)), reader: self.item.reader },
            None => self.item.clone(),
        }
    }

    /// Takes everything that is left, keys and values.
    pub fn rest(&mut self) -> Vec<(String, Item<'a>)> {
        let mut out = Vec::new();
        for n in 0..self.entries.len() {
            if !std::mem::replace(&mut self.taken[n], true) {
                let value = self.value(n);
                if *value.node == Node::Empty {
                    value.nothing();
                } else {
                    out.push((self.entries[n].0.clone(), value));
                }
            }
        }
        out
    }
}
