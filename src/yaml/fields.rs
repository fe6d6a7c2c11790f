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
use crate::text::nearest::nearest;

/// One value of the file, and where it is.
#[derive(Clone)]
pub struct Item<'a> {
    pub node: &'a Node,
    pub path: Path,
    reader: &'a Reader<'a>,
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

    /// Reports that another kind of value belongs here; common mistakes have messages of their own.
    pub fn expected(&self, what: &str) {
        match self.node {
            Node::Empty => self.nothing(),
            Node::Braces => self.problem("a value that begins with `{{` must be in quotes").label("put it in quotes: \"{{ … }}\"").add(),
            Node::Tagged => {
                self.problem("a `!` at the beginning of a value has a special meaning in YAML").label("put the value in quotes").add();
            }
            Node::List(items) if what.contains("text") => {
                let said = format!("{what} is expected here, not a list");
                let draft = self.problem(said).label("text that begins with `[` must be in quotes");
                match items.as_slice() {
                    [Node::Text(t)] => draft.note(format!("if you mean the text itself, write \"[{t}]\"")).add(),
                    _ => draft.add(),
                }
            }
            Node::Text(t) if t.starts_with("{{") && what.starts_with("true") => {
                self.problem(format!("{what} is expected here; a template cannot decide this")).label("write true or false").add();
            }
            Node::List(_) if what.contains("names and values") => {
                let draft = self.problem(format!("{} takes names and values, not a list", what.trim_end_matches(" (names and values)")));
                draft.label("write each as `name: value`, without a dash").add();
            }
            _ => {
                let draft = self.problem(format!("{what} is expected here, not {}", self.node.kind()));
                if what.contains("number") { draft.label("write for example 5").add() } else { draft.add() }
            }
        }
    }

    fn nothing(&self) {
        let found = if self.reader.shows_more_errors() { self.reader.locate(&self.at_its_key()) } else { None };
        let (line, column) = found.map_or(("", 1), |(l, c)| (self.reader.source.line(l), c));
        let behind: String = line.chars().skip(column - 1).skip_while(|c| !matches!(c, ':' | ',' | '}')).take(1).collect();
        if behind == "," || behind == "}" {
            let draft = self.problem("a comma inside { } begins a new name, and this one has no value").at_key();
            draft.label("put the whole text in quotes: { text: \"one, two\" }").add();
            return;
        }
        let value: String = line.chars().skip(column - 1).skip_while(|c| *c != ':').skip(1).collect();
        if value.trim().starts_with('&') {
            let draft = self.problem("a value that begins with `&` has a special meaning in YAML").at_key();
            draft.label(format!("put it in quotes: \"{}\"", value.trim())).add();
            return;
        }
        let draft = self.problem("this key has no value").at_key();
        if let Some((_, comment)) = line.split_once(" #") {
            draft.label(format!("everything after # is a comment: put the value in quotes, \"#{}\"", comment.trim())).add();
        } else {
            draft.label("write a value, or `null` if you mean that there is none").add();
        }
    }

    fn at_its_key(&self) -> Path {
        let mut path = self.path.clone();
        if let Some(PathStep::Value(n)) = path.last().copied() {
            path.pop();
            path.push(PathStep::Key(n));
        }
        path
    }

    /// Text, or a number or true/false taken as it is spelled.
    pub fn text(&self) -> Option<String> {
        match self.node {
            Node::Text(t) => {
                if t.starts_with(['“', '”', '„', '‘', '’']) {
                    self.problem("these are curly quotes, which YAML does not read as quotes").label("use straight quotes: \" or '").add();
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
                    self.problem(format!("`{t}` is text here")).label(format!("write {meant}")).add();
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
            self.expected("a whole number");
            return None;
        };
        match n.parse::<u64>() {
            Ok(v) if (least..=most).contains(&v) => Some(v),
            _ => {
                self.problem(format!("a whole number from {least} to {most} is expected here, not {n}")).add();
                None
            }
        }
    }

    /// A duration: a whole number and a unit.
    pub fn duration(&self) -> Option<Duration> {
        let text = match self.node {
            Node::Number(n) => {
                self.problem("a length of time needs a unit").label(format!("write `{n} seconds` or `{n} minutes`")).add();
                return None;
            }
            _ => self.text()?,
        };
        match duration::read(&text) {
            Ok(d) => Some(d),
            Err(fix) => {
                self.problem(format!("`{text}` is not a length of time")).label(fix).add();
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
    entries: &'a [(String, Node)],
    taken: Vec<bool>,
    known: Vec<&'static str>,
    what: &'static str,
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
        Self { item, entries, taken, known: Vec::new(), what }
    }

    fn value(&self, n: usize) -> Item<'a> {
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

    /// The value of a required key.
    pub fn must(&mut self, key: &'static str) -> Option<Item<'a>> {
        self.must_unless(key, &[])
    }

    /// Like `must`, but if another tool's word for the key is used, which `done` reports, it is not also reported as missing.
    pub fn must_unless(&mut self, key: &'static str, instead: &[(&str, &str)]) -> Option<Item<'a>> {
        let meant =
            |k: &str| nearest(k, [key]).is_some() || instead.iter().any(|(theirs, ours)| *theirs == k && ours.contains(&format!("`{key}")));
        if !self.has(key) && !self.left().any(meant) {
            self.item.problem(format!("{} needs `{key}:`", self.what)).at_key().label(format!("write `{key}:` below")).add();
        }
        self.may(key)
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

    /// Reports the keys that no code has asked for. `instead` maps words of other tools to ours, `later` lists words that
    /// are planned.
    pub fn done(self, instead: &[(&str, &str)], later: &[&str]) {
        for (n, (key, node)) in self.entries.iter().enumerate().filter(|(n, _)| !self.taken[*n]) {
            let here = Item { node, path: below(&self.item.path, PathStep::Key(n)), reader: self.item.reader };
            if later.contains(&key.as_str()) {
                here.problem(format!("`{key}:` is not available yet")).label("remove it for now").add();
                continue;
            }
            if key.contains(['\u{a0}', '\u{200b}', '\u{feff}', '“', '”', '‘', '’']) {
                here.problem("this name contains an invisible or curly character, as in text pasted from a document")
                    .label("type the line again by hand")
                    .add();
                continue;
            }
            let draft = here.problem(format!("`{key}` is not a valid key in {}", self.what));
            let draft = if let Some((_, ours)) = instead.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(key)) {
                draft.label(*ours)
            } else if let Some(near) = nearest(key, self.known.iter().copied()) {
                draft.label(format!("did you mean `{near}`?"))
            } else {
                draft.label("choose one of the keys below")
            };
            draft.note(format!("valid keys: {}", self.known.join(", "))).add();
        }
    }
}
