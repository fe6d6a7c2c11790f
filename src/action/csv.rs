//! Rows of `.csv` and `.tsv` files: columns by the header's names, quoted so that no value can break a row.
//!
//! A leading `= + - @`, tab or line end in text gets an apostrophe in front, so that no spreadsheet takes it for a
//! formula, unless it is a plain number or a phone number.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use super::file::{Cell, Row, Unwritten};

/// The longest header that is read, in bytes.
const MAX_HEADER: u64 = 1 << 20;

/// The first row of a file, and how the file is written.
#[derive(Debug, Clone)]
pub(super) struct Header {
    names: Vec<String>,
    delimiter: u8,
    crlf: bool,
}

impl Header {
    /// The header of a new file: the rule's columns in their order.
    pub(super) fn new(row: &Row, name: &str) -> Self {
        let names = row.cells.iter().map(|(n, _)| n.clone()).collect();
        Self { names, delimiter: if is_tsv(name) { b'\t' } else { b',' }, crlf: false }
    }

    /// The header of a file that is there.
    pub(super) fn read(mut file: &File, name: &str) -> Result<Self, Unwritten> {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.take(MAX_HEADER).read_to_end(&mut bytes)?;
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let first: &[u8] = text.split(|b| *b == b'\n').next().unwrap_or(text);
        let count = |d: u8| first.iter().filter(|b| **b == d).count();
        let delimiter = match is_tsv(name) {
            true => b'\t',
            false => [b',', b';', b'\t'].into_iter().rev().max_by_key(|d| count(*d)).filter(|d| count(*d) > 0).unwrap_or(b','),
        };
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(text);
        let mut record = csv::StringRecord::new();
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Err(Unwritten::Never("its first row is empty, so no column can be found by its name".into())),
            Err(e) => return Err(Unwritten::Never(format!("its first row cannot be read: {e}"))),
        }
        Ok(Self { names: record.iter().map(|n| n.trim().to_owned()).collect(), delimiter, crlf: first.ends_with(b"\r") })
    }

    /// Writes the header itself.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.record(self.names.iter().map(|n| guarded(n)), out);
    }

    /// Writes a row under its columns; says which column does not exist.
    pub(super) fn lay(&self, row: &Row, file: &str, out: &mut Vec<u8>) -> Result<(), String> {
        let mut cells = vec![String::new(); self.names.len()];
        for (name, cell) in &row.cells {
            let Some(n) = self.names.iter().position(|h| h == name.trim()) else {
                return Err(format!("{file} has no column `{name}`; it has: {}", self.names.join(", ")));
            };
            cells[n] = match cell {
                Cell::Empty => String::new(),
                Cell::Number(n) => n.clone(),
                Cell::Bool(b) => b.to_string(),
                Cell::Text(text) if row.guard => guarded(text),
                Cell::Text(text) => text.clone(),
            };
        }
        self.record(cells.into_iter(), out);
        Ok(())
    }

    fn record(&self, cells: impl Iterator<Item = String>, out: &mut Vec<u8>) {
        let end = if self.crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut writer = csv::WriterBuilder::new().delimiter(self.delimiter).terminator(end).flexible(true).from_writer(out);
        // Writing into memory does not fail.
        let _ = writer.write_record(cells);
        let _ = writer.flush();
    }
}

fn is_tsv(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".tsv")
}

/// Text that no spreadsheet takes for a formula.
fn guarded(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) && !is_harmless(text) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

/// A plain number, or a phone number: `+49 (30) 123-45`.
fn is_harmless(text: &str) -> bool {
    if crate::number::is_plain(text) {
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

    #[test]
    fn what_looks_like_a_formula_gets_an_apostrophe_and_a_phone_number_does_not() {
        for text in ["=1+1", "+cmd|'/c calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "+49-", "-", "+1+1+1+1+1"] {
            assert_eq!(guarded(text), format!("'{text}"));
        }
        for text in ["+49 30 1234567", "+4930123456", "+1 (555) 010-9999", "-5", "-1.50", "plain", "a=b", ""] {
            assert_eq!(guarded(text), text);
        }
    }

    #[test]
    fn a_row_goes_under_its_columns_whatever_is_in_it() {
        let header = Header { names: vec!["Name".into(), "Note".into(), "Old".into()], delimiter: b';', crlf: true };
        let row = |cells: &[(&str, &str)]| Row {
            cells: cells.iter().map(|(n, t)| ((*n).to_owned(), Cell::Text((*t).to_owned()))).collect(),
            sheet: None,
            guard: true,
        };
        let mut out = Vec::new();
        header.lay(&row(&[("Note", "a;\"b\"\nc"), ("Name", "Ada")]), "x.csv", &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "Ada;\"a;\"\"b\"\"\nc\";\r\n");
        let said = header.lay(&row(&[("Phone", "1")]), "x.csv", &mut Vec::new()).unwrap_err();
        assert_eq!(said, "x.csv has no column `Phone`; it has: Name, Note, Old");
    }
}
