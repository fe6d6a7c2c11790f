//! Text with `{{ … }}`, compiled at load and safe for where it goes: the only place that knows Handlebars.
//!
//! A template is a row of pieces: letters, names and helper calls. Names are ours ([`crate::field`]) and are looked up
//! here; a helper call is a Handlebars template over the values of its names, so that nothing of the event is copied.
//! What a place needs (a line, a URL, a file name) is decided by its [`Place`] when the template is read, never by the
//! author. Which names exist is checked at load, by [`crate::known`].

mod blocks;
pub mod data;
mod helpers;
mod list;
mod slips;
mod tags;
pub mod url;

use serde_json::Value;

use crate::field::{Field, Found, Names};
use crate::known::Known;
use crate::percent;
use crate::spell::spell;
use crate::yaml::fields::Item;
use crate::yaml::locate::Path;
use blocks::{Block, Turns};
use tags::Call;

pub use list::{EXAMPLE_BODY, HELPERS, Helper};

/// The longest text of one template, in bytes.
pub const MAX_TEMPLATE: usize = 64 << 10;
/// The most text that one template may make, in bytes.
pub const MAX_RENDERED: usize = 10 << 20;

/// Where the text goes, which decides how a value is made safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Text or data: the value as it is.
    Plain,
    /// One line of a file: a line break becomes a space.
    Line,
    /// A header's value: a line break is refused.
    Header,
    /// A name below the output folder: what separates folders becomes `_`.
    File,
    /// Between the tags of XML.
    Xml,
    /// Behind the `?` of a URL, or one segment of its path: percent-encoded.
    UrlQuery,
    UrlSegment,
}

/// Compiled text.
#[derive(Debug, Clone)]
pub struct Template {
    pieces: Vec<Piece>,
    place: Place,
    /// Where it stands in its file, for a message when it cannot be rendered.
    path: Path,
}

#[derive(Debug, Clone)]
enum Piece {
    Text(Box<str>),
    Value { what: What, raw: bool, source: Box<str> },
    Block(Box<Block>),
}

#[derive(Debug, Clone)]
enum What {
    Name(Field),
    Call(Box<Call>),
}

/// Why a template could not be rendered for an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Unrendered {
    /// A sentence without a full stop.
    pub message: String,
    /// Where the template stands in its rule file.
    pub path: Path,
}

impl Piece {
    fn fields<'p>(&'p self, out: &mut Vec<&'p Field>) {
        match self {
            Piece::Text(_) => {}
            Piece::Value { what, .. } => what.fields(out),
            Piece::Block(block) => block.fields(out),
        }
    }
}

impl What {
    fn fields<'p>(&'p self, out: &mut Vec<&'p Field>) {
        match self {
            What::Name(field) => out.push(field),
            What::Call(call) => out.extend(call.fields()),
        }
    }
}

impl Template {
    /// Reads the text that stands at an item.
    pub fn read(item: &Item, place: Place, known: &Known) -> Option<Self> {
        let text = item.text()?;
        Self::parse(&text, item, place, known)
    }

    /// Reads text that belongs to an item.
    pub fn parse(text: &str, item: &Item, place: Place, known: &Known) -> Option<Self> {
        if text.len() > MAX_TEMPLATE {
            item.problem("this text is too long").label(format!("{} KB are the most", MAX_TEMPLATE >> 10)).add();
            return None;
        }
        let pieces = tags::pieces(text, item, known)?;
        Some(Self { pieces, place, path: item.path.clone() })
    }

    /// Text without any `{{ }}`.
    pub fn fixed(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The letters before the first `{{ }}`.
    pub fn beginning(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Text(text)) => text,
            _ => "",
        }
    }

    /// Where it stands in its rule file.
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

    /// Whether a block (`{{#if}}`) stands in it.
    pub fn has_block(&self) -> bool {
        self.pieces.iter().any(|p| matches!(p, Piece::Block(_)))
    }

    /// Every field that it names.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        let mut out = Vec::new();
        self.pieces.iter().for_each(|p| p.fields(&mut out));
        out.into_iter()
    }

    /// The text for one event.
    pub fn text(&self, names: &dyn Names) -> Result<String, Unrendered> {
        let mut out = String::new();
        self.render(&self.pieces, names, &Turns::default(), &mut out)?;
        Ok(out)
    }

    fn render(&self, pieces: &[Piece], names: &dyn Names, turns: &Turns, out: &mut String) -> Result<(), Unrendered> {
        for piece in pieces {
            let before = out.len();
            names.budget().steps(1).map_err(|spent| self.wrong(spent))?;
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Value { what, raw, source } => self.put(what, *raw, source, names, out)?,
                Piece::Block(block) => self.block(block, names, turns, out)?,
            }
            // What a block made was charged inside it.
            if !matches!(piece, Piece::Block(_)) {
                names.budget().made(out.len() - before).map_err(|spent| self.wrong(spent))?;
            }
            if out.len() > MAX_RENDERED {
                return Err(self.too_long("the text became"));
            }
        }
        Ok(())
    }

    /// The value for one event: with its type if the template is exactly one `{{ }}`, else text.
    pub fn value(&self, names: &dyn Names) -> Result<Value, Unrendered> {
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

    fn look(&self, what: &What, source: &str, names: &dyn Names) -> Result<Value, Unrendered> {
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

    fn put(&self, what: &What, raw: bool, source: &str, names: &dyn Names, out: &mut String) -> Result<(), Unrendered> {
        // The common case borrows: a name with a text behind it.
        if let What::Name(field) = what
            && let Ok(Found::One(value)) = field.find(names)
            && let Value::String(text) = value.as_ref()
        {
            return self.escape(text, raw, source, out);
        }
        let value = self.look(what, source, names)?;
        match spell(&value) {
            Some(text) => self.escape(&text, raw, source, out),
            None => {
                let kind = if value.is_array() { "a list" } else { "an object" };
                Err(self.wrong(format!("{source} is {kind}; write {{{{ join … }}}} or {{{{ json … }}}} to put it into a text")))
            }
        }
    }

    fn escape(&self, text: &str, raw: bool, source: &str, out: &mut String) -> Result<(), Unrendered> {
        if text.len() > MAX_RENDERED {
            return Err(self.too_long(&format!("{source} is")));
        }
        match self.place {
            Place::Header if text.contains(['\r', '\n', '\0']) => {
                return Err(self.wrong(format!("{source} holds a line break, which a header cannot")));
            }
            Place::File => out.extend(text.chars().map(|c| if c == '/' || c == '\\' || c.is_control() { '_' } else { c })),
            _ if raw => out.push_str(text),
            Place::Line => out.extend(text.chars().map(|c| if is_line_break(c) { ' ' } else { c })),
            Place::Xml => out.push_str(&quick_xml::escape::escape(text)),
            Place::UrlQuery => out.extend(percent_encoding::utf8_percent_encode(text, percent::QUERY)),
            Place::UrlSegment => out.extend(percent_encoding::utf8_percent_encode(text, percent::SEGMENT)),
            Place::Plain | Place::Header => out.push_str(text),
        }
        Ok(())
    }
}

fn is_line_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}
