//! A cursor over one YAML map: asks for keys, converts values, and gathers everything that is wrong with them.
//!
//! Whoever reads a part of a rule file asks a [`Fields`] for the keys it knows; what nobody asked for is a problem when
//! `done` is called. Reading goes on after a problem, so that one pass finds them all. What a key means is left to its
//! reader; only what is the same for every key (nothing behind it, written twice, wrong kind of value) is said here.

use std::cell::RefCell;
use std::time::Duration;

use super::duration;
use super::locate::{Path, Step};
use super::{Node, Source, below};
use crate::problem::{Problem, Severity, nearest};
use crate::span;

/// How many problems of one file are shown; each costs one more walk through the file.
const MOST_SHOWN: usize = 100;

/// Gathers the problems of one file.
pub struct Reader<'a> {
    pub source: &'a Source,
    drafts: RefCell<Vec<Draft>>,
}

/// A problem that does not know its line yet.
#[derive(Clone)]
struct Draft {
    severity: Severity,
    path: Path,
    within: Option<String>,
    message: String,
    label: String,
    notes: Vec<String>,
}

impl<'a> Reader<'a> {
    pub fn new(source: &'a Source) -> Self {
        Self { source, drafts: RefCell::new(Vec::new()) }
    }

    /// The top of the file.
    pub fn top(&'a self, node: &'a Node) -> Item<'a> {
        Item { node, path: Vec::new(), reader: self }
    }

    /// Finds the line of every problem that was noted. Those not shown are as serious as the first of them.
    pub fn problems(self) -> Vec<Problem> {
        let mut drafts = self.drafts.into_inner();
        drafts.sort_by_key(|d| d.severity);
        let hidden = drafts.split_off(drafts.len().min(MOST_SHOWN));
        let mut out: Vec<Problem> = drafts.into_iter().map(|d| d.settle(self.source)).collect();
        if let Some(first) = hidden.first() {
            let said = format!("{} more problems in this file are not shown", hidden.len());
            let rest = Problem::of_file(&self.source.name, said, "mend those above first, then check again");
            out.push(Problem { severity: first.severity, ..rest });
        }
        out
    }
}

impl Draft {
    fn settle(self, source: &Source) -> Problem {
        let (mut line, mut column) = source.locate(&self.path).unwrap_or((1, 1));
        let is_key = matches!(self.path.last(), Some(Step::Key(_)));
        let mut length = None;
        if let Some(needle) = &self.within
            && let Some((l, c)) = find_from(&source.text, line, column, needle)
        {
            (line, column, length) = (l, c, Some(needle.chars().count()));
        }
        let text = source.line(line).to_owned();
        let length = length.unwrap_or_else(|| width_at(&text, column, is_key));
        Problem {
            severity: self.severity,
            file: source.name.clone(),
            line,
            column,
            length,
            message: self.message,
            label: self.label,
            notes: self.notes,
            text,
        }
    }
}

/// Where `needle` next stands at or after a place, at most 200 lines on.
fn find_from(text: &str, line: usize, column: usize, needle: &str) -> Option<(usize, usize)> {
    let first = needle.lines().next().unwrap_or("");
    for (n, l) in text.lines().enumerate().skip(line - 1).take(200) {
        let skip = if n + 1 == line { l.char_indices().nth(column - 1).map_or(l.len(), |(i, _)| i) } else { 0 };
        if let Some(at) = span::from(l, skip).find(first) {
            return Some((n + 1, span::before(l, skip + at).chars().count() + 1));
        }
    }
    None
}

/// How many characters the key or value at this column takes on its line.
fn width_at(line: &str, column: usize, is_key: bool) -> usize {
    let rest: String = line.chars().skip(column - 1).collect();
    let rest = rest.trim_end();
    let chars = |s: &str| s.chars().count().max(1);
    for quote in ['"', '\''] {
        if let Some(inner) = rest.strip_prefix(quote) {
            return inner.split_once(quote).map_or(chars(rest), |(text, _)| text.chars().count() + 2);
        }
    }
    if is_key {
        return rest.find(": ").or_else(|| rest.strip_suffix(':').map(str::len)).map_or(1, |end| chars(span::before(rest, end)));
    }
    let value = rest.split(" #").next().unwrap_or(rest);
    if value.starts_with(['{', '[']) && !value.starts_with("{{") || value.starts_with(['|', '>']) {
        return 1;
    }
    if line.chars().take(column - 1).any(|c| c == '{' || c == '[') && !value.starts_with("{{") {
        return chars(value.split([',', '}', ']']).next().unwrap_or(value).trim_end());
    }
    chars(value.trim_end())
}

/// One value of the file, and where it stands.
#[derive(Clone)]
pub struct Item<'a> {
    pub node: &'a Node,
    pub path: Path,
    reader: &'a Reader<'a>,
}

/// A problem while it is being told.
#[must_use = "call `add`"]
pub struct Told<'a> {
    reader: &'a Reader<'a>,
    draft: Draft,
}

impl Told<'_> {
    /// What to write instead; stands beside the caret.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.draft.label = label.into();
        self
    }
    /// A further line, such as the words that are known here.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.draft.notes.push(note.into());
        self
    }
    /// Points at these letters inside the value rather than at its beginning.
    pub fn within(mut self, letters: &str) -> Self {
        self.draft.within = Some(letters.to_owned());
        self
    }
    /// Points at the key instead of the value.
    pub fn at_key(mut self) -> Self {
        if let Some(Step::Value(n)) = self.draft.path.last().copied() {
            self.draft.path.pop();
            self.draft.path.push(Step::Key(n));
        }
        self
    }
    pub fn add(self) {
        self.reader.drafts.borrow_mut().push(self.draft);
    }
}

impl<'a> Item<'a> {
    /// Begins to tell that something is wrong here.
    pub fn problem(&self, message: impl Into<String>) -> Told<'a> {
        let (path, message) = (self.path.clone(), message.into());
        let draft = Draft { severity: Severity::Error, path, within: None, message, label: String::new(), notes: Vec::new() };
        Told { reader: self.reader, draft }
    }

    /// Begins to tell something that a person should look at, though the rules can be used.
    pub fn warning(&self, message: impl Into<String>) -> Told<'a> {
        let mut told = self.problem(message);
        told.draft.severity = Severity::Warning;
        told
    }

    /// Begins to tell something that is good to know.
    pub fn note(&self, message: impl Into<String>) -> Told<'a> {
        let mut told = self.problem(message);
        told.draft.severity = Severity::Note;
        told
    }

    /// How many errors have been noted so far, here or elsewhere in the file.
    pub fn errors(&self) -> usize {
        self.reader.drafts.borrow().iter().filter(|d| d.severity == Severity::Error).count()
    }

    pub fn source(&self) -> &'a Source {
        self.reader.source
    }

    /// Another place of the same file, to tell something there.
    pub fn at(&self, path: &Path) -> Item<'a> {
        Item { path: path.clone(), ..self.clone() }
    }

    /// The n-th item of this list.
    fn child(&self, n: usize, node: &'a Node) -> Item<'a> {
        Item { node, path: below(&self.path, Step::Item(n)), reader: self.reader }
    }

    /// Says that another kind of value belongs here; the slips that are easily made get their own words.
    pub fn expected(&self, what: &str) {
        match self.node {
            Node::Empty => self.nothing(),
            Node::Braces => self.problem("a value that begins with `{{` must stand in quotes").label("put it in quotes: \"{{ … }}\"").add(),
            Node::Tagged => {
                self.problem("a `!` at the beginning of a value means something else in YAML").label("put the value in quotes").add();
            }
            Node::List(items) if what.contains("text") => {
                let said = format!("{what} is expected here, not a list");
                let told = self.problem(said).label("text that begins with `[` must stand in quotes");
                match items.as_slice() {
                    [Node::Text(t)] => told.note(format!("if you mean the letters, write \"[{t}]\"")).add(),
                    _ => told.add(),
                }
            }
            Node::Text(t) if t.starts_with("{{") && what.starts_with("true") => {
                self.problem(format!("{what} is expected here; a template cannot decide this")).label("write true or false").add();
            }
            Node::List(_) if what.contains("names and values") => {
                let told = self.problem(format!("{what} is expected here, not a list"));
                told.label("write each as `name: value`, without a dash").add();
            }
            _ => {
                let told = self.problem(format!("{what} is expected here, not {}", self.node.kind()));
                if what.contains("number") { told.label("write for example 5").add() } else { told.add() }
            }
        }
    }

    fn nothing(&self) {
        let (line, column) = self.reader.source.locate(&self.at_its_key()).map_or(("", 1), |(l, c)| (self.reader.source.line(l), c));
        let behind: String = line.chars().skip(column - 1).skip_while(|c| !matches!(c, ':' | ',' | '}')).take(1).collect();
        if behind == "," || behind == "}" {
            let told = self.problem("a comma inside { } begins a new name, and this one has no value").at_key();
            told.label("put the whole text in quotes: { text: \"one, two\" }").add();
            return;
        }
        let value: String = line.chars().skip(column - 1).skip_while(|c| *c != ':').skip(1).collect();
        if value.trim().starts_with('&') {
            let told = self.problem("a value that begins with `&` means something else in YAML").at_key();
            told.label(format!("put it in quotes: \"{}\"", value.trim())).add();
            return;
        }
        let told = self.problem("nothing stands behind this key").at_key();
        if let Some((_, comment)) = line.split_once(" #") {
            told.label(format!("everything after # is a comment: put the value in quotes, \"#{}\"", comment.trim())).add();
        } else {
            told.label("write a value, or `null` if you mean that there is none").add();
        }
    }

    fn at_its_key(&self) -> Path {
        let mut path = self.path.clone();
        if let Some(Step::Value(n)) = path.last().copied() {
            path.pop();
            path.push(Step::Key(n));
        }
        path
    }

    /// Text, or a number or true/false taken by its letters.
    pub fn text(&self) -> Option<String> {
        match self.node {
            Node::Text(t) => {
                if t.starts_with(['“', '”', '„', '‘', '’']) {
                    self.problem("these are curly quotes; YAML takes them for letters").label("use straight quotes: \" or '").add();
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

    /// A length of time: a whole number and a unit, spelled one way.
    pub fn duration(&self) -> Option<Duration> {
        let text = match self.node {
            Node::Number(n) => {
                self.problem("a length of time needs its unit").label(format!("write `{n} seconds` or `{n} minutes`")).add();
                return None;
            }
            _ => self.text()?,
        };
        match duration::read(&text) {
            Ok(d) => Some(d),
            Err(mend) => {
                self.problem(format!("`{text}` is not a length of time")).label(mend).add();
                None
            }
        }
    }

    /// The items of a list; anything else is told.
    pub fn items(&self, what: &str) -> Option<Vec<Item<'a>>> {
        match self.node {
            Node::List(items) => Some(items.iter().enumerate().map(|(n, node)| self.child(n, node)).collect()),
            _ => {
                self.expected(what);
                None
            }
        }
    }

    /// The items of a list, or the one value that stands in its place.
    pub fn one_or_many(&self) -> Vec<Item<'a>> {
        match self.node {
            Node::List(items) => items.iter().enumerate().map(|(n, node)| self.child(n, node)).collect(),
            _ => vec![self.clone()],
        }
    }

    /// The keys of a map; `what` names the map in messages.
    pub fn fields(&self, what: &'static str) -> Option<Fields<'a>> {
        match self.node {
            Node::Map(entries) => Some(Fields::new(self.clone(), entries, what)),
            Node::Text(t) if t.contains(": ") || t.ends_with(':') => {
                self.problem(format!("{what} is written as names and values, one a line"))
                    .label("this is read as text; look at the quotes and the indentation")
                    .add();
                None
            }
            _ => {
                self.expected(&format!("{what} (names and values)"));
                None
            }
        }
    }

    /// Every key and value of a map whose keys are the author's own words.
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
                let here = Item { node: item.node, path: below(&item.path, Step::Key(n)), reader: item.reader };
                let line = item.reader.source.locate(&below(&item.path, Step::Key(first))).map_or(0, |(l, _)| l);
                here.problem(format!("`{key}` is written twice")).label(format!("the first one is on line {line}; keep one of them")).add();
            }
        }
        Self { item, entries, taken, known: Vec::new(), what }
    }

    fn value(&self, n: usize) -> Item<'a> {
        Item { node: &self.entries[n].1, path: below(&self.item.path, Step::Value(n)), reader: self.item.reader }
    }

    /// The value of a key that may be missing. A key with nothing behind it is told.
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

    /// The value of a key that has to be there.
    pub fn must(&mut self, key: &'static str) -> Option<Item<'a>> {
        self.must_unless(key, &[])
    }

    /// Like `must`; another tool's word for the key, which `done` will tell, is not told twice.
    pub fn must_unless(&mut self, key: &'static str, instead: &[(&str, &str)]) -> Option<Item<'a>> {
        let meant =
            |k: &str| nearest(k, [key]).is_some() || instead.iter().any(|(theirs, ours)| *theirs == k && ours.contains(&format!("`{key}")));
        if !self.has(key) && !self.left().any(meant) {
            self.item.problem(format!("`{key}:` is missing in {}", self.what)).at_key().label(format!("write `{key}:` below")).add();
        }
        self.may(key)
    }

    /// Whether a key is there, taken or not.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(k, _)| k == key)
    }

    /// The keys that nobody has asked for yet.
    pub fn left(&self) -> impl Iterator<Item = &'a str> {
        self.entries.iter().enumerate().filter(|(n, _)| !self.taken[*n]).map(|(_, (k, _))| k.as_str())
    }

    /// A place to tell something about one key.
    pub fn key(&self, key: &str) -> Item<'a> {
        match self.entries.iter().position(|(k, _)| k == key) {
            Some(n) => Item { node: &self.entries[n].1, path: below(&self.item.path, Step::Key(n)), reader: self.item.reader },
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

    /// Refuses what nobody asked for. `instead` turns words of other tools into ours, `later` lists words that will come.
    pub fn done(self, instead: &[(&str, &str)], later: &[&str]) {
        for (n, (key, node)) in self.entries.iter().enumerate().filter(|(n, _)| !self.taken[*n]) {
            let here = Item { node, path: below(&self.item.path, Step::Key(n)), reader: self.item.reader };
            if later.contains(&key.as_str()) {
                here.problem(format!("`{key}:` is not available yet")).label("take it out for now").add();
                continue;
            }
            if key.contains(['\u{a0}', '\u{200b}', '\u{feff}', '“', '”', '‘', '’']) {
                here.problem("there is an invisible or curly character in this name, often pasted from a document")
                    .label("type the line again by hand")
                    .add();
                continue;
            }
            let told = here.problem(format!("{} has no `{key}`", self.what));
            let told = if let Some((_, ours)) = instead.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(key)) {
                told.label(*ours)
            } else if let Some(near) = nearest(key, self.known.iter().copied()) {
                told.label(format!("did you mean `{near}`?"))
            } else {
                told.label("this word is not known here")
            };
            told.note(format!("known here: {}", self.known.join(", "))).add();
        }
    }
}
