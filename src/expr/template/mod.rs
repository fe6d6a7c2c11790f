//! Text with `{{ … }}`, compiled at load and safe for its destination: the only place that uses Handlebars.
//!
//! A template is a sequence of pieces: text, names and helper calls. Names use our own syntax ([`crate::expr::field`])
//! and are looked up here; a helper call is a Handlebars template over the values of its names, so that the rest of the
//! event is not copied. The [`Destination`] of a template (a line, a URL, a file name) decides how values are made safe,
//! when the template is read; the author has no influence on this. Which names exist is checked at load, by
//! [`crate::expr::names`].

mod aliases;
mod argument;
mod call;
mod charge;
pub mod data;
mod expression;
mod fixed;
mod format;
pub mod helper;
mod helpers;
mod hints;
mod html;
mod inside;
mod length;
pub mod list;
mod nest;
mod page;
mod pattern;
mod piece;
mod registry;
mod tags;
pub mod url;

use std::cell::Cell;

use serde_json::Value;

use crate::expr::comparison::is_truthy;
use crate::expr::doubt;
use crate::expr::field::{Field, Found, Values};
use crate::expr::names::Names;
use crate::expr::spell::spell;
use crate::text::percent;
use crate::yaml::fields::Item;
use crate::yaml::locate::Path;
use inside::{Inside, Turn};
use length::{MAX_RENDERED, MAX_TEMPLATE};
use piece::{Block, BlockKind, Piece, What};

/// The maximum number of iterations of all `{{#each}}` in one text.
const MOST_TURNS: u32 = 100_000;

/// The number of iterations so far.
#[derive(Default)]
struct Turns(Cell<u32>);

/// Where the text is used, which determines how a value is made safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Text or data: the value as it is.
    Plain,
    /// One line of a file: a line break becomes a space.
    Line,
    /// A header's value: a line break is refused.
    Header,
    /// A path in the output folder: folder separators become `_`.
    File,
    /// Between the tags of XML.
    Xml,
    /// Between the tags of HTML, or in an attribute.
    Html,
    /// An address in an attribute of HTML.
    HtmlLink,
    /// After the `?` of a URL, or one segment of its path: percent-encoded.
    UrlQuery,
    UrlSegment,
}

/// Compiled text.
#[derive(Debug, Clone)]
pub struct Template {
    pieces: Vec<Piece>,
    place: Destination,
    /// Where it is in its file, for a message if it cannot be rendered.
    path: Path,
}

/// Why a template could not be rendered for an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Unrendered {
    /// A sentence without a full stop.
    pub message: String,
    /// Where the template is in its rule file.
    pub path: Path,
}

impl Template {
    /// Parses the text of an item.
    pub fn read(item: &Item, place: Destination, known: &Names) -> Option<Self> {
        let text = item.text()?;
        let template = Self::parse(&text, item, place, known)?;
        (!template.has_list(item, true)).then_some(template)
    }

    /// Parses text that belongs to an item.
    pub fn parse(text: &str, item: &Item, place: Destination, known: &Names) -> Option<Self> {
        if text.len() > MAX_TEMPLATE {
            item.problem("this text is too long").label(format!("use at most {} KB", MAX_TEMPLATE >> 10)).add();
            return None;
        }
        if place != Destination::File {
            match text.contains("{{") {
                true => drop(doubt::placeholders(item, text)),
                false => doubt::text(item, text, known),
            }
        }
        doubt::secret(item, text);
        let mut pieces = tags::pieces(text, item, known)?;
        if place == Destination::Html && !page::place(&mut pieces, item) {
            return None;
        }
        let template = Self { pieces, place, path: item.path.clone() };
        (!template.has_list(item, false)).then_some(template)
    }

    /// Whether a list is in the middle of text, or `alone` where text is needed, which fails for every event; reported.
    fn has_list(&self, item: &Item, alone: bool) -> bool {
        fn list(pieces: &[Piece]) -> Option<&str> {
            pieces.iter().find_map(|piece| match piece {
                Piece::Value { what: What::Name(field), source, .. } if !field.is_single() => Some(source.as_ref()),
                Piece::Block(block) => list(&block.inner).or_else(|| list(&block.otherwise)),
                Piece::Text(_) | Piece::Value { .. } => None,
            })
        }
        let Some(source) = list(&self.pieces).filter(|_| alone || self.pieces.len() > 1) else { return false };
        let field = source.trim_matches(['{', '}', ' ', '~']);
        item.problem(format!("{source} is a list, which cannot be a part of text"))
            .within(source)
            .label("write a helper before it: `join` for text, `first` or `count`, or an index: [0]")
            .write(&format!("{{{{ join {field} ', ' }}}}"))
            .add();
        true
    }

    /// Text without any `{{ }}`.
    pub fn fixed(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text before the first `{{ }}`.
    pub fn beginning(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Text(text)) => text,
            _ => "",
        }
    }

    /// The text after the last `{{ }}`.
    pub fn ending(&self) -> &str {
        match self.pieces.last() {
            Some(Piece::Text(text)) => text,
            _ => "",
        }
    }

    /// Where it is in its rule file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is exactly one `{{ }}`.
    pub fn is_lone(&self) -> bool {
        matches!(self.pieces.as_slice(), [Piece::Value { .. }])
    }

    /// The field, if it is exactly one `{{ field }}`.
    pub fn lone_field(&self) -> Option<&Field> {
        match self.pieces.as_slice() {
            [Piece::Value { what: What::Name(field), .. }] => Some(field),
            _ => None,
        }
    }

    /// Whether it is exactly one call whose result is a date, in a form that is read again: `{{ add_days body.x 14 }}`.
    pub fn gives_date(&self) -> bool {
        matches!(self.pieces.as_slice(), [Piece::Value { what: What::Call(call), .. }] if call.gives_date)
    }

    /// Whether it contains a block (`{{#if}}`).
    pub fn has_block(&self) -> bool {
        self.pieces.iter().any(|p| matches!(p, Piece::Block(_)))
    }

    /// Every field that it uses.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        let mut out = Vec::new();
        self.pieces.iter().for_each(|p| p.fields(&mut out));
        out.into_iter()
    }

    /// The text for one event.
    pub fn text(&self, names: &dyn Values) -> Result<String, Unrendered> {
        let mut out = String::new();
        self.render(&self.pieces, names, &Turns::default(), &mut out)?;
        Ok(out)
    }

    fn render(&self, pieces: &[Piece], names: &dyn Values, turns: &Turns, out: &mut String) -> Result<(), Unrendered> {
        for piece in pieces {
            let before = out.len();
            names.budget().steps(1).map_err(|spent| self.wrong(spent))?;
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Value { what, raw, source, link } => {
                    let place = if *link { Destination::HtmlLink } else { self.place };
                    self.put(what, *raw, place, source, names, out)?;
                }
                Piece::Block(block) => self.block(block, names, turns, out)?,
            }
            // What a block creates was charged inside it.
            if !matches!(piece, Piece::Block(_)) {
                names.budget().made(out.len() - before).map_err(|spent| self.wrong(spent))?;
            }
            if out.len() > MAX_RENDERED {
                return Err(self.too_long("the text became"));
            }
        }
        Ok(())
    }

    /// The value of a block's argument; `None` if it is missing.
    fn about(&self, what: &What, source: &str, names: &dyn Values) -> Result<Option<Value>, Unrendered> {
        match what {
            What::Name(field) => field.value(names).map_err(|why| self.wrong(why)),
            What::Call(_) => self.look(what, source, names).map(Some),
        }
    }

    fn block(&self, block: &Block, names: &dyn Values, turns: &Turns, out: &mut String) -> Result<(), Unrendered> {
        let about = self.about(&block.of, &block.source, names)?;
        match block.kind {
            BlockKind::If | BlockKind::Unless => {
                let holds = is_truthy(about.as_ref()) == (block.kind == BlockKind::If);
                self.render(if holds { &block.inner } else { &block.otherwise }, names, turns, out)
            }
            BlockKind::With => match about.as_ref().filter(|v| is_truthy(Some(v))) {
                Some(this) => {
                    let inside = Inside { around: names, names: &block.names, this, turn: None };
                    self.render(&block.inner, &inside, turns, out)
                }
                None => self.render(&block.otherwise, names, turns, out),
            },
            BlockKind::Each => self.each(block, about, names, turns, out),
        }
    }

    fn each(&self, block: &Block, about: Option<Value>, names: &dyn Values, turns: &Turns, out: &mut String) -> Result<(), Unrendered> {
        let list: Vec<(Option<&str>, &Value)> = match &about {
            None if block.otherwise.is_empty() => {
                let why = match &block.of {
                    What::Name(field) => field.why_missing(names),
                    What::Call(_) => "there is no list".to_owned(),
                };
                return Err(self.wrong(format!("{why}, needed for {}", block.source)));
            }
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) => items.iter().map(|v| (None, v)).collect(),
            Some(Value::Object(map)) => map.iter().map(|(k, v)| (Some(k.as_str()), v)).collect(),
            Some(one) => vec![(None, one)],
        };
        if list.is_empty() {
            return self.render(&block.otherwise, names, turns, out);
        }
        for (index, (key, this)) in list.iter().enumerate() {
            names.budget().steps(1).map_err(|spent| self.wrong(spent))?;
            turns.0.set(turns.0.get() + 1);
            if turns.0.get() > MOST_TURNS {
                return Err(self.wrong(format!("the blocks of this text were repeated more than {MOST_TURNS} times")));
            }
            let turn = Turn { index, last: index + 1 == list.len(), key: *key };
            let inside = Inside { around: names, names: &block.names, this, turn: Some(turn) };
            self.render(&block.inner, &inside, turns, out)?;
        }
        Ok(())
    }

    /// The value for one event: with its type if the template is exactly one `{{ }}`, otherwise text.
    pub fn value(&self, names: &dyn Values) -> Result<Value, Unrendered> {
        match self.pieces.as_slice() {
            [Piece::Value { what, source, .. }] => self.look(what, source, names),
            _ => self.text(names).map(Value::String),
        }
    }

    fn too_long(&self, what: &str) -> Unrendered {
        self.wrong(format!("{what} longer than {} MB; shorten the values with `truncate`", MAX_RENDERED >> 20))
    }

    fn wrong(&self, message: impl Into<String>) -> Unrendered {
        Unrendered { message: message.into(), path: self.path.clone() }
    }

    fn look(&self, what: &What, source: &str, names: &dyn Values) -> Result<Value, Unrendered> {
        match what {
            What::Name(field) => match field.find(names) {
                Err(why) => Err(self.wrong(why)),
                Ok(found) => {
                    let value = found.into_value(names.budget()).map_err(|spent| self.wrong(spent))?;
                    value.ok_or_else(|| self.wrong(format!("{}, needed for {source}", field.why_missing(names))))
                }
            },
            What::Call(call) => call.value(names).map_err(|why| self.wrong(format!("{why}, in {source}"))),
        }
    }

    fn put(
        &self,
        what: &What,
        raw: bool,
        place: Destination,
        source: &str,
        names: &dyn Values,
        out: &mut String,
    ) -> Result<(), Unrendered> {
        // The common case borrows: a name whose value is text.
        if let What::Name(field) = what
            && let Ok(Found::One(value)) = field.find(names)
            && let Value::String(text) = value.as_ref()
        {
            return self.escape(text, raw, place, source, out);
        }
        let value = self.look(what, source, names)?;
        match spell(&value) {
            Some(text) => self.escape(&text, raw, place, source, out),
            None => {
                let kind = if value.is_array() { "a list" } else { "an object" };
                Err(self.wrong(format!("{source} is {kind}; write {{{{ join … }}}} or {{{{ json … }}}} to turn it into text")))
            }
        }
    }

    fn escape(&self, text: &str, raw: bool, place: Destination, source: &str, out: &mut String) -> Result<(), Unrendered> {
        if text.len() > MAX_RENDERED {
            return Err(self.too_long(&format!("{source} is")));
        }
        match place {
            Destination::Header if text.contains(['\r', '\n', '\0']) => {
                return Err(self.wrong(format!("{source} contains a line break, which is not allowed in a header")));
            }
            Destination::File => out.extend(text.chars().map(|c| if c == '/' || c == '\\' || c.is_control() { '_' } else { c })),
            _ if raw => out.push_str(text),
            Destination::Line if text.contains(is_line_break) => {
                out.extend(text.chars().map(|c| if is_line_break(c) { ' ' } else { c }));
            }
            Destination::HtmlLink if let Some(scheme) = html::refused_scheme(text) => {
                return Err(self.wrong(format!("{source} is a link that begins with `{scheme}:`, which a browser could run")));
            }
            Destination::Html | Destination::HtmlLink => out.push_str(&html::escaped(text)),
            Destination::Xml => out.push_str(&quick_xml::escape::escape(text)),
            Destination::UrlQuery => out.extend(percent_encoding::utf8_percent_encode(text, percent::QUERY)),
            Destination::UrlSegment => out.extend(percent_encoding::utf8_percent_encode(text, percent::SEGMENT)),
            Destination::Plain | Destination::Header | Destination::Line => out.push_str(text),
        }
        Ok(())
    }
}

fn is_line_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}
