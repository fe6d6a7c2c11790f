//! The address of a call, with every value encoded for its position.
//!
//! Which part a `{{ }}` is in (host, path, query) is known at load. A path segment that turns out to be empty or to consist
//! of dots is an error, so that `…/customers/{{ body.id }}` never becomes `…/customers/`.

use super::piece::{Piece, What};
use super::{Destination, Template, Unrendered};
use crate::expr::field::{Field, Root, Values};
use crate::expr::names::Names;
use crate::text::span;
use crate::yaml::fields::Item;

#[derive(Debug, Clone, Copy, PartialEq)]
enum UrlPart {
    /// Scheme and host, or a whole address from one `{{ }}`.
    Base,
    Path,
    Query,
}

/// A compiled address.
#[derive(Debug, Clone)]
pub struct Url {
    template: Template,
    parts: Vec<UrlPart>,
    /// The host contains a value from the event.
    pub host_from_data: bool,
}

impl Url {
    pub fn read(item: &Item, known: &Names) -> Option<Self> {
        let template = Template::read(item, Destination::Plain, known)?;
        if template.has_block() {
            item.problem("a block cannot be used in an address").label("build that part under `set:`, or write two steps with `if:`").add();
            return None;
        }
        let mut part = UrlPart::Base;
        let mut seen = String::new();
        let mut parts = Vec::new();
        let mut host_from_data = false;
        for piece in &template.pieces {
            parts.push(part);
            match piece {
                Piece::Text(text) => {
                    for c in text.chars() {
                        seen.push(c);
                        part = next(part, &seen, c);
                    }
                }
                Piece::Value { what, .. } => {
                    host_from_data |= part == UrlPart::Base && !trusted(what);
                    // A value may include the scheme.
                    seen.push_str(if seen.is_empty() { "x://x" } else { "x" });
                }
                // Refused above.
                Piece::Block(_) => {}
            }
        }
        Some(Self { template, parts, host_from_data })
    }

    /// The address with every `{{ }}` replaced by a letter: for checks at load.
    pub fn sample(&self) -> Option<String> {
        let begins_with_value = matches!(self.template.pieces.first(), Some(Piece::Value { .. }));
        (!begins_with_value).then(|| {
            let piece = |p: &Piece| match p {
                Piece::Text(text) => text.to_string(),
                Piece::Value { .. } | Piece::Block(_) => "x".to_owned(),
            };
            self.template.pieces.iter().map(piece).collect()
        })
    }

    /// The address, if it is the same for every event.
    pub fn fixed(&self) -> Option<&str> {
        self.template.fixed()
    }

    /// The address with every `{{ }}` replaced by a letter, if its server is written there as it is.
    pub fn fixed_server(&self) -> Option<String> {
        let is_value = |(piece, part): (&Piece, &UrlPart)| *part == UrlPart::Base && !matches!(piece, Piece::Text(_));
        if self.template.pieces.iter().zip(&self.parts).any(is_value) { None } else { self.sample() }
    }

    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.template.fields()
    }

    /// The address for one event.
    pub fn text(&self, names: &dyn Values) -> Result<String, Unrendered> {
        let template = &self.template;
        if let Some(text) = template.fixed() {
            return Ok(text.to_owned());
        }
        let mut out = String::new();
        // The start of the current path segment, and whether it contains a value.
        let (mut segment_at, mut filled) = (0, None);
        for (piece, part) in template.pieces.iter().zip(&self.parts) {
            match piece {
                Piece::Text(text) => {
                    let mut part = *part;
                    for c in text.chars() {
                        if part == UrlPart::Path && matches!(c, '/' | '?' | '#') {
                            self.segment(span::from(&out, segment_at), filled.take())?;
                        }
                        out.push(c);
                        part = next(part, &out, c);
                        if c == '/' {
                            segment_at = out.len();
                            filled = None;
                        }
                    }
                }
                Piece::Value { what, raw, source, .. } => {
                    let place = match part {
                        UrlPart::Base => Destination::Plain,
                        UrlPart::Path => Destination::UrlSegment,
                        UrlPart::Query => Destination::UrlQuery,
                    };
                    template.put(what, *raw, place, source, names, &mut out)?;
                    filled = (*part == UrlPart::Path).then_some(source.as_ref());
                }
                Piece::Block(_) => {}
            }
        }
        if filled.is_some() {
            self.segment(span::from(&out, segment_at), filled)?;
        }
        Ok(out)
    }

    fn segment(&self, segment: &str, filled: Option<&str>) -> Result<(), Unrendered> {
        match filled {
            Some(source) if matches!(segment, "" | "." | "..") => {
                let found = if segment.is_empty() { "nothing" } else { segment };
                Err(self
                    .template
                    .wrong(format!("{source} put {found} between two slashes of the address, which would call a different address")))
            }
            _ => Ok(()),
        }
    }
}

fn trusted(what: &What) -> bool {
    let safe = |f: &Field| matches!(f.root, Root::Secret(_) | Root::Env(_));
    match what {
        What::Name(field) => safe(field),
        What::Call(call) => call.fields().all(safe),
    }
}

/// The part of the address that comes after `c`, when `c` has just been added to `seen`.
fn next(part: UrlPart, seen: &str, c: char) -> UrlPart {
    match (part, c) {
        (UrlPart::Base, '/' | '?' | '#') if !seen.ends_with(":/") && !seen.ends_with("://") => {
            if c == '/' {
                UrlPart::Path
            } else {
                UrlPart::Query
            }
        }
        (UrlPart::Path, '?' | '#') => UrlPart::Query,
        _ => part,
    }
}
