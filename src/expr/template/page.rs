//! Text that is HTML: which place of the page each value is in, and how it is made safe there.
//!
//! Between tags and in quoted attributes, a value is escaped. In other places (a script, a tag, an attribute without quotes)
//! no escaping is safe for every value, so a value there is a problem when rules are loaded. A link that is a value must
//! lead to a page: browsers run `javascript:` links.

use super::html::refused_scheme;
use super::piece::{Piece, What};
use crate::yaml::fields::Item;

/// Attributes that hold an address.
const LINKS: [&str; 10] = ["href", "src", "action", "formaction", "poster", "data", "cite", "background", "ping", "xlink:href"];
/// Elements whose content is not HTML.
const FOREIGN: [&str; 7] = ["script", "style", "iframe", "noembed", "noframes", "xmp", "plaintext"];
/// Stands for a value in what was read of a link.
const VALUE: char = '\u{1}';

/// A position in a page.
#[derive(Debug, Clone, PartialEq)]
enum Place {
    Text,
    /// The name of a tag.
    Name,
    /// In a tag, not in the value of an attribute.
    Tag,
    /// Behind the `=` of an attribute.
    Equals,
    Unquoted,
    Quoted(char),
    Comment,
    /// In an element whose content is not HTML.
    Foreign,
}

/// A page while it is being read.
#[derive(Debug, Clone)]
struct Page {
    place: Place,
    /// The name of the current tag, in lower case.
    tag: String,
    /// The name of the current attribute, in lower case.
    attribute: String,
    /// The last characters: of an attribute's value, a comment or a script.
    behind: String,
}

impl Page {
    fn read(&mut self, c: char) {
        let lower = c.to_ascii_lowercase();
        match self.place {
            Place::Text if c == '<' => self.go(Place::Name),
            Place::Text => {}
            Place::Name => self.name(lower),
            Place::Tag | Place::Equals | Place::Unquoted if c == '>' => self.close(),
            Place::Tag => self.attribute(lower),
            Place::Equals if c == '"' || c == '\'' => self.go(Place::Quoted(c)),
            Place::Equals if c.is_whitespace() => {}
            Place::Equals => self.go(Place::Unquoted),
            Place::Unquoted if c.is_whitespace() => self.go(Place::Tag),
            Place::Unquoted => {}
            Place::Quoted(quote) if c == quote => self.go(Place::Tag),
            Place::Quoted(_) => self.behind.push(lower),
            Place::Comment => {
                self.behind.push(c);
                if self.behind.ends_with("-->") {
                    self.go(Place::Text);
                }
            }
            Place::Foreign => {
                self.behind.push(lower);
                if self.behind.ends_with(&format!("</{}", self.tag)) {
                    self.tag.insert(0, '/');
                    self.go(Place::Tag);
                }
            }
        }
    }

    fn go(&mut self, place: Place) {
        match place {
            Place::Name => self.tag.clear(),
            Place::Tag => self.attribute.clear(),
            _ => {}
        }
        self.behind.clear();
        self.place = place;
    }

    fn name(&mut self, c: char) {
        match c {
            '>' => self.close(),
            c if c.is_whitespace() => self.go(if self.tag.is_empty() { Place::Text } else { Place::Tag }),
            c if self.tag.is_empty() && !c.is_ascii_alphabetic() && !matches!(c, '/' | '!' | '?') => self.go(Place::Text),
            c => {
                self.tag.push(c);
                if self.tag == "!--" {
                    self.go(Place::Comment);
                }
            }
        }
    }

    fn attribute(&mut self, c: char) {
        match c {
            '=' => self.go(Place::Equals),
            '/' => self.attribute.clear(),
            // `a = "b"` is the same as `a="b"`.
            c if c.is_whitespace() => self.behind.push(c),
            c => {
                if !self.behind.is_empty() {
                    self.attribute.clear();
                    self.behind.clear();
                }
                self.attribute.push(c);
            }
        }
    }

    fn close(&mut self) {
        self.tag = self.tag.trim_end_matches('/').to_owned();
        self.go(if FOREIGN.contains(&self.tag.as_str()) { Place::Foreign } else { Place::Text });
    }

    /// A value at the current position: whether it is the beginning of a link; the error says why it cannot be safe there.
    fn value(&mut self) -> Result<bool, &'static str> {
        match self.place {
            Place::Text => Ok(false),
            Place::Quoted(_) if self.attribute.starts_with("on") || self.attribute == "srcdoc" => Err("an attribute that browsers execute"),
            Place::Quoted(_) if self.attribute == "style" => Err("a style"),
            Place::Quoted(_) if LINKS.contains(&self.attribute.as_str()) => self.link(),
            Place::Quoted(_) => Ok(false),
            Place::Equals | Place::Unquoted => {
                self.place = Place::Unquoted;
                Err("an attribute without quotes")
            }
            Place::Name | Place::Tag => Err("a tag"),
            Place::Comment => Err("a comment"),
            Place::Foreign if self.tag == "style" => Err("a style"),
            Place::Foreign => Err("a script"),
        }
    }

    /// A value in a link. Only its beginning decides where it leads, and a beginning must not be put together from values.
    fn link(&mut self) -> Result<bool, &'static str> {
        let before = self.behind.trim_start().to_owned();
        self.behind.push(VALUE);
        match before.strip_prefix(VALUE) {
            Some(behind) if !behind.split([':', VALUE]).next().is_some_and(|text| text.contains(['/', '?', '#'])) => {
                Err("a link that begins with another value")
            }
            None if refused_scheme(&before.replace(VALUE, "")).is_some() => Err("a script"),
            _ => Ok(before.is_empty()),
        }
    }

    /// Returns whether every value is in a place where it can be made safe.
    fn pieces(&mut self, pieces: &mut [Piece], item: &Item) -> bool {
        let mut good = true;
        for piece in pieces {
            match piece {
                Piece::Text(text) => text.chars().for_each(|c| self.read(c)),
                Piece::Value { raw: true, .. } => self.behind.push('x'),
                Piece::Value { link, source, what, .. } => match self.value() {
                    Ok(begins) => *link = begins,
                    Err(place) => {
                        good = false;
                        wrong(place, source, what, item);
                    }
                },
                Piece::Block(block) => {
                    let mut otherwise = self.clone();
                    good &= self.pieces(&mut block.inner, item);
                    good &= otherwise.pieces(&mut block.otherwise, item);
                }
            }
        }
        good
    }
}

fn wrong(place: &str, source: &str, what: &What, item: &Item) {
    let shown = match what {
        What::Name(field) => field.text().to_owned(),
        What::Call(_) => "…".to_owned(),
    };
    let label = match place {
        "an attribute without quotes" => "put it in quotes: name='{{ … }}'".to_owned(),
        "a link that begins with another value" => "use one value for the whole link, or write `/`, `?` or `#` behind the first".to_owned(),
        "a script" => format!("put it into the page, such as <p data-value='{{{{ {shown} }}}}'>, and let the script read it there"),
        _ => "put it between tags, or in a quoted attribute".to_owned(),
    };
    item.problem(format!("a value in {place} cannot be made safe"))
        .within(source)
        .label(label)
        .note("if nobody else can write the value, three braces insert it as it is")
        .add();
}

/// Finds the place of every value in a page; returns whether all can be made safe.
pub(super) fn place(pieces: &mut [Piece], item: &Item) -> bool {
    let mut page = Page { place: Place::Text, tag: String::new(), attribute: String::new(), behind: String::new() };
    page.pieces(pieces, item)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is behind this text in a page.
    fn behind(text: &str) -> Result<bool, &'static str> {
        let mut page = Page { place: Place::Text, tag: String::new(), attribute: String::new(), behind: String::new() };
        text.chars().for_each(|c| page.read(c));
        page.value()
    }

    #[test]
    fn the_place_of_a_value_is_known() {
        for text in ["", "<p>", "a < b, ", "<!doctype html><p>Hi ", "<br/>", "<!-- x --> ", "<script>x</script>", "<p title='"] {
            assert_eq!(behind(text), Ok(false), "{text}");
        }
        for text in ["<a href=\"", "<A HREF = ' ", "<img alt='x' src='"] {
            assert_eq!(behind(text), Ok(true), "{text}");
        }
        for link in ["https://example.com/?q=", "/x?a=", "\u{1}/", "\u{1}?a=\u{1}&b=", "page-"] {
            assert_eq!(behind(&format!("<a href='{link}")), Ok(false), "{link}");
        }
        for link in ["\u{1}", "\u{1}:", "\u{1}://\u{1}/", "\u{1}\u{1}/", " \u{1}x"] {
            assert_eq!(behind(&format!("<a href='{link}")), Err("a link that begins with another value"), "{link}");
        }
        for (text, place) in [
            ("<a href=", "an attribute without quotes"),
            ("<a href=x", "an attribute without quotes"),
            ("<p ", "a tag"),
            ("<", "a tag"),
            ("<p onclick='", "an attribute that browsers execute"),
            ("<p style='color: ", "a style"),
            ("<style>p { color: ", "a style"),
            ("<SCRIPT>let a = '", "a script"),
            ("<script src='/a.js'>", "a script"),
            ("<!-- ", "a comment"),
            ("<a href='javascript:f(", "a script"),
        ] {
            assert_eq!(behind(text), Err(place), "{text}");
        }
    }
}
