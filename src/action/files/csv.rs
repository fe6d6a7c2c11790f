//! Rows of `.csv` and `.tsv` files: columns by header name, quoted so that no value can break a row.
//!
//! Text that begins with `= + - @`, a tab or a line end is prefixed with an apostrophe, so that no spreadsheet treats it as
//! a formula, unless it is a plain number or a phone number. A file's delimiter, line ends, byte order mark and encoding
//! (UTF-8 or Windows-1252) are preserved; where cells change, every other byte stays the same.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

use super::changes::{self, Search};
use super::folder::Unwritten;
use super::row::{Cell, Row};

/// The maximum length of a header, in bytes.
const MAX_HEADER: usize = 1 << 20;
/// The maximum size of a file in which rows are changed, in bytes; such a file is rewritten.
const MAX_CHANGED: u64 = 200 << 20;

/// The first row of a file, and the file's format.
#[derive(Debug, Clone)]
pub(super) struct Header {
    names: Vec<String>,
    delimiter: u8,
    crlf: bool,
    encoding: &'static Encoding,
}

impl Header {
    /// The header of a new file: the rule's columns in their order.
    pub(super) fn new(row: &Row, name: &str) -> Self {
        let names = row.cells.iter().map(|(n, _)| n.clone()).collect();
        Self { names, delimiter: if is_tsv(name) { b'\t' } else { b',' }, crlf: false, encoding: UTF_8 }
    }

    /// The header of an existing file. Reads every byte once, because any byte may determine the encoding.
    pub(super) fn read(mut file: &File, name: &str) -> Result<Self, Unwritten> {
        let (mut first, mut buffer) = (Vec::new(), vec![0; 256 << 10]);
        let mut encoding = UTF_8;
        // The end of the last chunk, if it may be the beginning of a character.
        let mut rest: Vec<u8> = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            if first.len() < MAX_HEADER {
                first.extend_from_slice(&buffer[..read.min(MAX_HEADER - first.len())]);
            }
            rest.extend_from_slice(&buffer[..read]);
            match std::str::from_utf8(&rest) {
                Ok(_) => rest.clear(),
                Err(e) if e.error_len().is_none() => rest.drain(..e.valid_up_to()).for_each(drop),
                Err(_) => {
                    encoding = WINDOWS_1252;
                    break;
                }
            }
        }
        if first.starts_with(b"\xff\xfe") || first.starts_with(b"\xfe\xff") {
            return Err(Unwritten::Never("it is encoded in UTF-16; save it as CSV in UTF-8 in your spreadsheet program".into()));
        }
        Self::of(&first, name, encoding)
    }

    fn of(bytes: &[u8], name: &str, encoding: &'static Encoding) -> Result<Self, Unwritten> {
        let start = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let line: &[u8] = bytes[start..].split(|b| *b == b'\n').next().unwrap_or_default();
        let count = |d: u8| line.iter().filter(|b| **b == d).count();
        let delimiter = match is_tsv(name) {
            true => b'\t',
            false => [b',', b';', b'\t'].into_iter().rev().max_by_key(|d| count(*d)).filter(|d| count(*d) > 0).unwrap_or(b','),
        };
        let fields = Records { bytes, at: start, delimiter }.next().unwrap_or_default();
        let names: Vec<String> = fields.iter().map(|f| plain(&bytes[f.clone()], encoding).trim().to_owned()).collect();
        if names.iter().all(String::is_empty) {
            return Err(Unwritten::Never("its first row is empty, so no column can be found by name".into()));
        }
        Ok(Self { names, delimiter, crlf: line.ends_with(b"\r"), encoding })
    }

    /// Whether a row can only be written by rewriting the whole file.
    pub(super) fn grows(&self, row: &Row) -> bool {
        row.new_columns && row.cells.iter().any(|(title, _)| !self.names.iter().any(|n| n == title.trim()))
    }

    /// Writes the header itself.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        // The names were checked when their row was rendered; a new file is UTF-8, which can hold any of them.
        let _ = self.record(self.names.iter().map(|n| guarded(n)), out);
    }

    /// Writes a row by its columns; the error names a column that does not exist.
    pub(super) fn write_row(&self, row: &Row, file: &str, out: &mut Vec<u8>) -> Result<(), String> {
        let mut cells = vec![String::new(); self.names.len()];
        for (name, cell) in &row.cells {
            let Some(n) = self.names.iter().position(|h| h == name.trim()) else {
                return Err(format!("{file} has no column `{name}`; it has: {}", self.names.join(", ")));
            };
            cells[n] = spelled(cell, row.guard);
        }
        self.record(cells.into_iter(), out).map_err(|why| format!("{file}: {why}"))
    }

    fn record(&self, cells: impl Iterator<Item = String>, out: &mut Vec<u8>) -> Result<(), String> {
        let end = if self.crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
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
    fn field(&self, cell: &str) -> Result<Vec<u8>, String> {
        let delimiter = char::from(self.delimiter);
        let quoted = cell.contains([delimiter, '"', '\n', '\r']) || cell.starts_with(' ') || cell.ends_with(' ');
        self.encoded(if quoted { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() })
    }

    fn encoded(&self, text: String) -> Result<Vec<u8>, String> {
        if self.encoding == UTF_8 {
            return Ok(text.into_bytes());
        }
        let unknown = text.chars().find(|c| self.encoding.encode(c.encode_utf8(&mut [0; 4])).2);
        match unknown {
            None => Ok(self.encoding.encode(&text).0.into_owned()),
            Some(c) => {
                Err(format!("this file is encoded in Windows-1252, which does not have the character `{c}`; save it as CSV in UTF-8"))
            }
        }
    }
}

/// A file with rows changed and added: its bytes, and for each row, why it could not be written.
pub(super) fn change(file: &File, name: &str, rows: &[&Row]) -> Result<(Vec<u8>, Vec<Option<String>>), Unwritten> {
    if file.metadata()?.len() > MAX_CHANGED {
        return Err(Unwritten::Never(format!(
            "it is larger than {} MB, which is too large for changing rows; start a new file",
            MAX_CHANGED >> 20
        )));
    }
    let mut bytes = Vec::new();
    let mut whole = file;
    whole.seek(SeekFrom::Start(0))?;
    whole.read_to_end(&mut bytes)?;
    let header = match bytes.is_empty() {
        true => {
            let header = rows.first().map(|r| Header::new(r, name)).ok_or_else(|| Unwritten::Never("there is no row to write".into()))?;
            header.write(&mut bytes);
            header
        }
        false => Header::read(file, name)?,
    };
    let start = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let records: Vec<Vec<Range<usize>>> = Records { bytes: &bytes, at: start, delimiter: header.delimiter }.collect();
    let titles: Vec<(u32, String)> = (1..).zip(header.names.iter().cloned()).collect();
    let mut search = Search::new(&titles, rows.iter().copied());
    for (n, record) in records.iter().enumerate().skip(1) {
        search.look(n as u32 + 1, &|c| record.get(c as usize - 1).map(|f| plain(&bytes[f.clone()], header.encoding)));
    }
    let fit = |row: &Row, _: &str, cell: &Cell| {
        let text = spelled(cell, row.guard);
        header.field(&text).map(|_| Cell::Text(text)).map_err(|why| format!("{name}: {why}"))
    };
    let mut sheet = changes::Sheet { name, header: titles, last_column: header.names.len() as u32, formulas: HashMap::new(), fit: &fit };
    let (changes, refused) = changes::plan(&mut sheet, search, rows);
    let written = |cell: Option<&Cell>| match cell {
        Some(Cell::Text(text)) => header.field(text).unwrap_or_default(),
        _ => Vec::new(),
    };
    let mut out = Vec::with_capacity(bytes.len() + 256);
    let mut copied = 0;
    let (old_width, width) = (header.names.len(), sheet.last_column as usize);
    for (n, record) in records.iter().enumerate() {
        let changed = changes.old.get(&(n as u32 + 1));
        let is_blank = record.len() == 1 && record[0].is_empty();
        if changed.is_none() && (changes.titles.is_empty() || is_blank && n > 0) {
            continue;
        }
        for column in 1..=width {
            let title = changes.titles.iter().find(|(c, _)| n == 0 && *c as usize == column).map(|(_, t)| Cell::Text(guarded(t)));
            let cell = title.as_ref().or_else(|| changed.and_then(|c| c.get(&(column as u32))));
            match (record.get(column - 1), cell) {
                (Some(field), Some(cell)) if plain(&bytes[field.clone()], header.encoding) != spelled(cell, false) => {
                    out.extend_from_slice(&bytes[copied..field.start]);
                    out.extend(written(Some(cell)));
                    copied = field.end;
                }
                (Some(_), _) => {}
                (None, cell) if column > old_width || changed.is_some_and(|c| c.keys().any(|k| *k as usize >= column)) => {
                    let end = record.last().map_or(copied, |f| f.end);
                    out.extend_from_slice(&bytes[copied..end]);
                    copied = end;
                    out.push(header.delimiter);
                    out.extend(written(cell));
                }
                (None, _) if !changes.titles.is_empty() => {
                    let end = record.last().map_or(copied, |f| f.end);
                    out.extend_from_slice(&bytes[copied..end]);
                    copied = end;
                    out.push(header.delimiter);
                }
                (None, _) => {}
            }
        }
    }
    out.extend_from_slice(&bytes[copied..]);
    if !changes.new.is_empty() && !out.ends_with(b"\n") {
        out.extend_from_slice(if header.crlf { b"\r\n" } else { b"\n" });
    }
    for row in &changes.new {
        let cells = (1..=width as u32).map(|c| row.get(&c).map(|c| spelled(c, false)).unwrap_or_default());
        header.record(cells, &mut out).map_err(Unwritten::Never)?;
    }
    Ok((out, refused))
}

fn spelled(cell: &Cell, guard: bool) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Number(n) => n.clone(),
        Cell::Bool(b) => b.to_string(),
        Cell::Text(text) if guard => guarded(text),
        Cell::Text(text) => text.clone(),
    }
}

/// The records of a file, as the byte ranges of their fields, including quotes (RFC 4180).
struct Records<'b> {
    bytes: &'b [u8],
    at: usize,
    delimiter: u8,
}

impl Iterator for Records<'_> {
    type Item = Vec<Range<usize>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let mut fields = Vec::new();
        let (mut start, mut n, mut quoted) = (self.at, self.at, false);
        loop {
            match self.bytes.get(n) {
                Some(b'"') if quoted && self.bytes.get(n + 1) == Some(&b'"') => n += 1,
                Some(b'"') if quoted => quoted = false,
                Some(b'"') if n == start => quoted = true,
                Some(b) if *b == self.delimiter && !quoted => {
                    fields.push(start..n);
                    start = n + 1;
                }
                Some(b'\n') if !quoted => {
                    let end = if n > start && self.bytes[n - 1] == b'\r' { n - 1 } else { n };
                    fields.push(start..end);
                    self.at = n + 1;
                    return Some(fields);
                }
                Some(_) => {}
                None => {
                    fields.push(start..n);
                    self.at = n;
                    return Some(fields);
                }
            }
            n += 1;
        }
    }
}

/// A field without its quotes, as text.
fn plain(field: &[u8], encoding: &'static Encoding) -> String {
    let text = encoding.decode_without_bom_handling(field).0;
    match text.strip_prefix('"') {
        Some(inner) => inner.strip_suffix('"').unwrap_or(inner).replace("\"\"", "\""),
        None => text.into_owned(),
    }
}

fn is_tsv(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".tsv")
}

/// Text that no spreadsheet treats as a formula.
fn guarded(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) && !is_harmless(text) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

/// A plain number, or a phone number: `+49 (30) 123-45`.
fn is_harmless(text: &str) -> bool {
    if crate::expr::number::is_plain(text) {
        return true;
    }
    let Some(rest) = text.strip_prefix('+') else { return false };
    let digits = rest.bytes().filter(u8::is_ascii_digit).count();
    rest.starts_with(|c: char| c.is_ascii_digit() || c == '(')
        && (5..=20).contains(&digits)
        && rest.bytes().all(|b| b.is_ascii_digit() || b" ()-/.".contains(&b))
        && !rest.contains("--")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::files::row::Mode;

    #[test]
    fn text_like_a_formula_gets_an_apostrophe_and_a_phone_number_does_not() {
        for text in ["=1+1", "+cmd|'/c calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "+49-", "-", "+1+1+1+1+1"] {
            assert_eq!(guarded(text), format!("'{text}"));
        }
        for text in ["+49 30 1234567", "+4930123456", "+1 (555) 010-9999", "-5", "-1.50", "plain", "a=b", ""] {
            assert_eq!(guarded(text), text);
        }
    }

    #[test]
    fn values_are_written_under_their_columns_whatever_they_contain() {
        let header = Header { names: vec!["Name".into(), "Note".into(), "Old".into()], delimiter: b';', crlf: true, encoding: UTF_8 };
        let row = |cells: &[(&str, &str)]| Row {
            cells: cells.iter().map(|(n, t)| ((*n).to_owned(), Cell::Text((*t).to_owned()))).collect(),
            sheet: None,
            guard: true,
            mode: Mode::Add,
            matching: Vec::new(),
            ignore_case: false,
            new_columns: false,
        };
        let mut out = Vec::new();
        header.write_row(&row(&[("Note", "a;\"b\"\nc"), ("Name", "Ada")]), "x.csv", &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "Ada;\"a;\"\"b\"\"\nc\";\r\n");
        let said = header.write_row(&row(&[("Phone", "1")]), "x.csv", &mut Vec::new()).unwrap_err();
        assert_eq!(said, "x.csv has no column `Phone`; it has: Name, Note, Old");
    }

    /// Rows of two rules are written in one batch; one of the rules has `formulas: allow`.
    #[test]
    fn each_row_of_a_batch_keeps_its_own_formula_guard() {
        let row = |id: usize, mode: Mode| Row {
            cells: vec![("Id".into(), Cell::Number(id.to_string())), ("Note".into(), Cell::Text("=1+1".into()))],
            sheet: None,
            guard: id.is_multiple_of(2),
            mode,
            matching: vec!["Id".into()],
            ignore_case: false,
            new_columns: false,
        };
        let rows: Vec<Row> = (0..8).map(|id| row(id, if id < 4 { Mode::Update } else { Mode::AddOrUpdate })).collect();
        for order in [rows.iter().collect::<Vec<_>>(), rows.iter().rev().collect()] {
            let mut file = tempfile::tempfile().unwrap();
            std::io::Write::write_all(&mut file, b"Id,Note\n0,\n1,\n2,\n3,\n").unwrap();
            let (bytes, refused) = change(&file, "x.csv", &order).unwrap();
            assert_eq!(refused, vec![None; 8]);
            let text = String::from_utf8(bytes).unwrap();
            let mut lines: Vec<&str> = text.lines().skip(1).collect();
            lines.sort_unstable();
            assert_eq!(lines, ["0,'=1+1", "1,=1+1", "2,'=1+1", "3,=1+1", "4,'=1+1", "5,=1+1", "6,'=1+1", "7,=1+1"]);
        }
    }
}
