//! How a file spells its cells: delimiter, line ends, quotes and encoding.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use super::guard::guarded;
use super::records::Splitter;
use crate::action::files::row::Cell;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineEnd {
    Lf,
    CrLf,
    Cr,
}

impl LineEnd {
    pub(super) fn text(self) -> &'static str {
        match self {
            LineEnd::Lf => "\n",
            LineEnd::CrLf => "\r\n",
            LineEnd::Cr => "\r",
        }
    }

    /// The byte at which a row ends.
    pub(super) fn byte(self) -> u8 {
        if self == LineEnd::Cr { b'\r' } else { b'\n' }
    }
}

/// What the bytes of a file stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    Utf8,
    /// Windows-1252.
    Western,
    /// Some other encoding that contains ASCII; nothing else can be written.
    Unknown,
}

impl Charset {
    fn encoding(self) -> &'static Encoding {
        if self == Charset::Utf8 { UTF_8 } else { WINDOWS_1252 }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    pub delimiter: u8,
    pub line_end: LineEnd,
    pub charset: Charset,
}

impl Format {
    pub(super) fn splitter(&self) -> Splitter {
        Splitter::new(self.delimiter, self.line_end.byte())
    }

    /// A row with its line end.
    pub(super) fn record(&self, cells: impl Iterator<Item = String>, out: &mut Vec<u8>) -> Result<(), String> {
        let end = match self.line_end {
            LineEnd::CrLf => csv::Terminator::CRLF,
            other => csv::Terminator::Any(other.byte()),
        };
        let mut text = Vec::new();
        {
            let mut writer = csv::WriterBuilder::new().delimiter(self.delimiter).terminator(end).flexible(true).from_writer(&mut text);
            // Writing to memory does not fail.
            let _ = writer.write_record(cells);
            let _ = writer.flush();
        }
        out.extend(self.encoded(String::from_utf8_lossy(&text).into_owned())?);
        Ok(())
    }

    /// One cell, quoted if necessary.
    pub(super) fn field(&self, cell: &str) -> Result<Vec<u8>, String> {
        let delimiter = char::from(self.delimiter);
        let quoted = cell.contains([delimiter, '"', '\n', '\r']) || cell.starts_with(' ') || cell.ends_with(' ');
        self.encoded(if quoted { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() })
    }

    fn encoded(&self, text: String) -> Result<Vec<u8>, String> {
        if self.charset == Charset::Utf8 || text.is_ascii() {
            return Ok(text.into_bytes());
        }
        let cannot = |c: char| match self.charset {
            Charset::Unknown => !c.is_ascii(),
            _ => WINDOWS_1252.encode(c.encode_utf8(&mut [0; 4])).2,
        };
        match (text.chars().find(|c| cannot(*c)), self.charset) {
            (None, _) => Ok(WINDOWS_1252.encode(&text).0.into_owned()),
            (Some(c), Charset::Unknown) => Err(format!(
                "this file is not encoded in UTF-8, and Doorbell does not know in what else, so it cannot write the character `{c}`; save it as CSV in UTF-8"
            )),
            (Some(c), _) => {
                Err(format!("this file is encoded in Windows-1252, which does not have the character `{c}`; save it as CSV in UTF-8"))
            }
        }
    }

    /// A field without its quotes, as text.
    pub(super) fn plain(&self, field: &[u8]) -> String {
        let text = self.charset.encoding().decode_without_bom_handling(field).0;
        match text.strip_prefix('"') {
            Some(inner) => inner.strip_suffix('"').unwrap_or(inner).replace("\"\"", "\""),
            None => text.into_owned(),
        }
    }
}

/// The text of a cell; a number is written as it came.
pub(super) fn spelled(cell: &Cell, guard: bool) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Number(n) => n.clone(),
        Cell::Bool(b) => b.to_string(),
        Cell::Text(text) if guard => guarded(text),
        Cell::Text(text) | Cell::Date(text) => text.clone(),
    }
}
