//! Splits the text of a template into pieces: finds the `{{ … }}`, parses their content, and turns helper calls into
//! Handlebars templates. The messages for common mistakes inside braces are here.

use handlebars::Template as Handlebars;
use serde_json::Value;

use super::call::{Argument, Call};
use super::expression::{Expression, Token, tokens};
use super::fixed::Written;
use super::helper::Helper;
use super::helpers::dates;
use super::hints;
use super::list::HELPERS;
use super::nest::Nest;
use super::piece::{Piece, What};
use crate::body::number_text;
use crate::expr::field::Field;
use crate::expr::names::Names;
use crate::text::span;
use crate::yaml::fields::Item;

/// The maximum nesting depth of calls.
const MAX_NESTING: usize = 16;
/// Splits text at its `{{ … }}`.
pub(super) fn pieces(text: &str, item: &Item, known: &Names) -> Option<Vec<Piece>> {
    if hints::percent_blocks(text, item) {
        return None;
    }
    let mut nest = Nest::new(item, known);
    let mut rest = text;
    let mut good = true;
    let mut trim_next = false;
    // Whether there are only spaces between the last line break and `rest`.
    let mut line_begins = true;
    while let Some(start) = rest.find("{{") {
        let mut before = span::before(rest, start);
        if trim_next {
            before = before.trim_start();
        }
        let Some((tag, length)) = cut(span::from(rest, start)) else {
            let shown: String = span::from(rest, start).chars().take(30).collect();
            let draft = item.problem("this `{{` is never closed").within(&shown).label("write `}}` after the name");
            let one = span::from(rest, start);
            match one.split_once('}').filter(|(tag, after)| !tag.contains(' ') && !after.starts_with('}') && shown.starts_with(*tag)) {
                Some((tag, _)) => {
                    draft.propose(format!("write {tag}}}}}"), &shown.replacen(&format!("{tag}}}"), &format!("{tag}}}}}"), 1)).add()
                }
                None => draft.add(),
            }
            return None;
        };
        let source = span::between(rest, start, start + length);
        if before.ends_with('$') {
            hints::dollars(text, item, known);
            return None;
        }
        if tag.trim_left {
            before = before.trim_end();
        }
        let indent = before.rsplit_once('\n').map_or(before, |(_, last)| last);
        let begins = (before.contains('\n') || line_begins) && indent.trim().is_empty();
        let mut after = span::from(rest, start + length);
        if tag.is_silent() && begins && !tag.raw {
            // A block's tag on a line of its own leaves no empty line.
            let (line, others) = after.split_once('\n').unwrap_or((after, ""));
            if line.trim().is_empty() {
                before = before.strip_suffix(indent).unwrap_or(before);
                after = others;
            }
        }
        line_begins = begins && tag.is_silent() || rest.strip_suffix(after).is_some_and(|read| read.ends_with('\n'));
        if !before.is_empty() {
            nest.push(Piece::Text(before.into()));
        }
        trim_next = tag.trim_right;
        good &= one(&tag, source, item, known, &mut nest)?;
        rest = after;
    }
    let last = if trim_next { rest.trim_start() } else { rest };
    if let Some(at) = rest.find("}}") {
        let from = span::before(rest, at).char_indices().rev().find(|(_, c)| c.is_whitespace()).map_or(0, |(n, c)| n + c.len_utf8());
        item.problem("this `}}` was never opened").within(span::between(rest, from, at + 2)).label("write `{{` before the name").add();
        good = false;
    }
    if !last.is_empty() {
        nest.push(Piece::Text(last.into()));
    }
    let pieces = nest.done()?;
    good.then_some(pieces)
}

/// Parses one tag into the nest. `false` if it is invalid; `None` if any further messages would only repeat the problem.
fn one(tag: &Tag, source: &str, item: &Item, known: &Names, nest: &mut Nest) -> Option<bool> {
    let expression = |inner| Expression { inner, source, item, known };
    if tag.inner.starts_with('!') {
        return Some(true);
    }
    if let Some(block) = tag.inner.strip_prefix('#') {
        let (kind, about, names) = nest.head(block.trim(), source)?;
        let of = expression(about).read()?;
        nest.begin(kind, of, names, source, false);
        return Some(true);
    }
    if let Some(word) = tag.inner.strip_prefix('/') {
        nest.end(word.trim(), source)?;
        return Some(true);
    }
    if tag.inner == "else" || tag.inner == "^" {
        nest.otherwise(source)?;
        return Some(true);
    }
    if let Some(chained) = tag.inner.strip_prefix("else ") {
        nest.otherwise(source)?;
        let (kind, about, names) = nest.head(chained.trim(), source)?;
        let of = expression(about).read()?;
        nest.begin(kind, of, names, source, true);
        return Some(true);
    }
    let read = expression(tag.inner).read();
    if tag.raw {
        item.warning("three braces insert the value without making it safe")
            .within(source)
            .label("use two braces; they are right for almost everything")
            .add();
    }
    let good = read.is_some();
    if let Some(what) = read {
        nest.push(Piece::Value { what, raw: tag.raw, source: source.into(), link: false });
    }
    Some(good)
}

struct Tag<'t> {
    inner: &'t str,
    raw: bool,
    trim_left: bool,
    trim_right: bool,
}

impl Tag<'_> {
    /// Whether it adds no text of its own.
    fn is_silent(&self) -> bool {
        self.inner.starts_with(['#', '/', '!', '^']) || self.inner == "else" || self.inner.starts_with("else ")
    }
}

/// Takes one tag off the front, respecting quotes; also returns its length.
fn cut(text: &str) -> Option<(Tag<'_>, usize)> {
    if let Some(comment) = text.strip_prefix("{{!--") {
        let end = comment.find("--}}")? + 5 + 4;
        return Some((Tag { inner: "!", raw: false, trim_left: false, trim_right: false }, end));
    }
    let raw = text.starts_with("{{{");
    let (open, close) = if raw { (3, "}}}") } else { (2, "}}") };
    let (mut quote, mut brackets, mut is_escaped) = (None, 0usize, false);
    let mut end = None;
    for (n, c) in text.char_indices().skip(open) {
        if std::mem::take(&mut is_escaped) {
            continue;
        }
        match quote {
            Some(q) if c == q => quote = None,
            // Only in brackets, where a name is text of JSONPath.
            Some(_) => is_escaped = brackets > 0 && c == '\\',
            None if span::from(text, n).starts_with(close) => {
                end = Some(n);
                break;
            }
            None if span::from(text, n).starts_with("{{") => return None,
            None if (c == '\'' || c == '"') && (brackets > 0 || span::before(text, n).ends_with([' ', '(', '[', '='])) => quote = Some(c),
            None if c == '[' => brackets += 1,
            None if c == ']' => brackets = brackets.saturating_sub(1),
            None => {}
        }
    }
    let end = end?;
    let inner = span::between(text, open, end).trim();
    let (inner, trim_left) = inner.strip_prefix('~').map_or((inner, false), |i| (i, true));
    let (inner, trim_right) = inner.strip_suffix('~').map_or((inner, false), |i| (i, true));
    Some((Tag { inner: inner.trim(), raw, trim_left, trim_right }, end + close.len()))
}

impl Expression<'_, '_> {
    fn read(&self) -> Option<What> {
        let inner = self.inner;
        if inner.is_empty() {
            return self.wrong("these braces are empty", "write a field, such as {{ body.name }}");
        }
        if inner.starts_with(['>', '*', '&']) {
            return self.wrong("templates cannot include other templates", "write the text here");
        }
        if inner.starts_with('=') {
            return self.wrong("`=` is not allowed here", "write only the field, such as {{ body.name }}");
        }
        // White space is allowed between the parts of a search.
        if inner.starts_with('$') && Field::read(inner).is_ok() {
            return self.known.field(inner, self.item, Some(self.source)).map(What::Name);
        }
        let tokens = match tokens(inner) {
            Ok(tokens) => tokens,
            Err(message) => {
                let straight = self.source.replace(['‘', '’', '“', '”', '„'], "'");
                return self.instead(message, "text is written in single quotes: 'like this'", &straight);
            }
        };
        if let [Token::Word(word)] = tokens.as_slice()
            && helper(word).is_none()
        {
            return self.known.field(word, self.item, Some(self.at(word))).map(What::Name);
        }
        if let [Token::Text(text)] = tokens.as_slice() {
            return self.instead("these braces contain only text", "write it without braces", text);
        }
        if self.is_call(&tokens) {
            return None;
        }
        let bracketed = matches!(tokens.first(), Some(Token::Open));
        let mut reading = Reading { tokens: &tokens, at: usize::from(bracketed), arguments: Vec::new(), top: 0 };
        let (text, _) = self.call(&mut reading, 0)?;
        let gives_date = matches!(tokens.get(usize::from(bracketed)), Some(Token::Word(name)) if dates::gives_date(name, reading.top));
        if bracketed && matches!(tokens.get(reading.at), Some(Token::Close)) {
            reading.at += 1;
        }
        if reading.at < tokens.len() {
            return self.wrong("a `)` has no `(` before it", "count the ( and )");
        }
        match Handlebars::compile(&format!("{{{{{{keep {text}}}}}}}")) {
            Ok(template) => Some(What::Call(Box::new(Call { template, arguments: reading.arguments, gives_date }))),
            Err(e) => self.wrong(format!("this cannot be read: {}", e.reason()), "write {{ helper field 'text' }}"),
        }
    }

    /// The word that a problem points at; the whole tag if the word is very short or a number.
    pub(super) fn at<'w>(&'w self, word: &'w str) -> &'w str {
        if word.len() > 2 && !word.starts_with(|c: char| c.is_ascii_digit()) { word } else { self.source }
    }

    /// Parses `helper argument …` up to the closing bracket. Returns its Handlebars form, and its result if that is the same
    /// for every event.
    fn call(&self, reading: &mut Reading, depth: usize) -> Option<(String, Option<Value>)> {
        if depth > MAX_NESTING {
            self.wrong("brackets are nested too deeply", format!("use at most {MAX_NESTING} levels"));
            return None;
        }
        let Some(Token::Word(name)) = reading.next() else {
            self.wrong("a helper's name is missing here", "write {{ helper field 'text' }}");
            return None;
        };
        let Some(helper) = helper(name) else {
            self.no_helper(name, reading.next(), depth);
            return None;
        };
        let mut out = format!("({name}");
        if helper.seeded {
            out.push_str(&reading.add(Argument::Field(Field::seed())));
        }
        let mut written = Vec::new();
        while !matches!(reading.peek(), None | Some(Token::Close)) {
            let (text, argument) = self.argument(helper, reading, depth)?;
            out.push_str(&text);
            written.push(argument);
        }
        let count = written.len();
        if !helper.takes.contains(&count) {
            // Somebody has given this name to a value, which is reported there.
            let is_named = count == 0 && self.known.named.iter().any(|known| known == name);
            if is_named {
                return None;
            }
            self.wrong(format!("`{name}` takes {}, here it has {count}", helper.wants_count()), format!("write {}", helper.usage));
            return None;
        }
        let result = self.fixed(helper, &written)?;
        if depth == 0 {
            reading.top = count;
        }
        out.push(')');
        Some((out, result))
    }

    /// Parses one argument. Returns its Handlebars form, with a space before it, and how it is written.
    fn argument(&self, helper: &Helper, reading: &mut Reading, depth: usize) -> Option<(String, Written)> {
        let (shown, argument) = match reading.next()? {
            Token::Open => {
                let (text, value) = self.call(reading, depth + 1)?;
                if !matches!(reading.next(), Some(Token::Close)) {
                    self.wrong("a `(` is never closed", "write a `)`");
                    return None;
                }
                return Some((format!(" {text}"), Written { shown: "(…)".to_owned(), value }));
            }
            Token::Close => return None,
            Token::Text(text) => (format!("'{text}'"), Argument::Constant(Value::String(text.clone()))),
            Token::Word(word) => (word.clone(), self.word(word, helper)?),
        };
        let value = match &argument {
            Argument::Constant(value) => Some(value.clone()),
            Argument::Field(_) => None,
        };
        Some((reading.add(argument), Written { shown, value }))
    }

    /// An argument without quotes: a field, a number, or `true`, `false` and `null`.
    fn word(&self, word: &str, helper: &Helper) -> Option<Argument> {
        if let Some(value) = constant(word) {
            return Some(Argument::Constant(value));
        }
        if names_argument(word) {
            self.wrong(format!("`{word}` names an argument, but arguments have no names"), format!("write {}", helper.usage));
            return None;
        }
        if helper_only(word) {
            self.wrong(format!("`{word}` is a helper and needs brackets here"), format!("write ({word} …)"));
            return None;
        }
        Some(Argument::Field(self.known.field(word, self.item, Some(self.at(word)))?))
    }
}

/// The words of a call while they are being read, and the arguments so far.
struct Reading<'t> {
    tokens: &'t [Token],
    at: usize,
    arguments: Vec<Argument>,
    /// How many arguments the outermost call has.
    top: usize,
}

impl<'t> Reading<'t> {
    fn peek(&self) -> Option<&'t Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<&'t Token> {
        let token = self.peek();
        self.at += 1;
        token
    }

    /// Adds an argument, and returns the name of its value with a space before it.
    fn add(&mut self, argument: Argument) -> String {
        self.arguments.push(argument);
        format!(" v{}", self.arguments.len() - 1)
    }
}

fn helper(name: &str) -> Option<&'static Helper> {
    HELPERS.iter().find(|h| h.name == name).copied()
}

fn helper_only(word: &str) -> bool {
    helper(word).is_some()
}

/// Whether a word is `name=value`; a search has signs of its own in its brackets.
fn names_argument(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-'))
}

fn constant(word: &str) -> Option<Value> {
    match word {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        "null" => Some(Value::Null),
        _ if crate::yaml::is_json_number(word) => number_text::number(word).map(Value::Number),
        _ => None,
    }
}
