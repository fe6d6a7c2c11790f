//! The titles of a file, and the format in which it is written.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};

use super::format::{Charset, Format, LineEnd, spelled};
use super::guard::guarded;
use super::records::{Meaning, Records, Splitter};
use crate::action::files::changes::no_column;
use crate::action::files::folder::Unwritten;
use crate::action::files::row::{Row, title};

/// The maximum length of everything up to the titles, in bytes.
const MAX_HEADER: usize = 1 << 20;
/// How many bytes are read at a time.
const PIECE: usize = 256 << 10;
/// How many of the first rows are searched for titles that are not where they should be.
const MAX_OTHERS: usize = 20;
/// A byte order mark in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";
/// What may separate cells, the most common first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// This many bytes in a row that are not ASCII are no word of a language that is written in Windows-1252.
const MOST_FOREIGN: usize = 3;

/// The titles of a file, and the file's format.
#[derive(Debug, Clone)]
pub(in crate::action::files) struct Header {
    pub(super) names: Vec<String>,
    pub(super) format: Format,
    /// The row with the titles, counted from 1, and the one that the rule asks for.
    pub(super) row: u32,
    wanted: Option<u32>,
    /// The bytes before the first row: a byte order mark and a line such as `sep=;`.
    pub(super) start: usize,
    /// Other rows at the beginning of the file.
    pub(super) others: Vec<(u32, Vec<String>)>,
}

impl Header {
    /// The header of a new file: the rule's columns in their order.
    pub(in crate::action::files) fn new(row: &Row, name: &str) -> Self {
        let names = row.cells.iter().map(|(n, _)| n.clone()).collect();
        let delimiter = if is_tsv(name) { b'\t' } else { b',' };
        let format = Format { delimiter, line_end: LineEnd::Lf, charset: Charset::Utf8 };
        Self { names, format, row: row.title_row.unwrap_or(1), wanted: row.title_row, start: 0, others: Vec::new() }
    }

    /// The header of an existing file. Reads every byte once, because any byte may determine the encoding.
    pub(in crate::action::files) fn read(mut file: &File, name: &str, title_row: Option<u32>) -> Result<Self, Unwritten> {
        file.seek(SeekFrom::Start(0))?;
        let mut first = Vec::new();
        file.take(MAX_HEADER as u64).read_to_end(&mut first)?;
        let mut header = Self::of(&first, name, title_row)?;
        let mut survey = Survey::new(header.format.splitter());
        survey.add(&first[header.start..]);
        let mut buffer = vec![0; PIECE];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => survey.add(&buffer[..read]),
            }
        }
        if survey.splitter.is_open() {
            return Err(Unwritten::Never(format!(
                "the quote at the beginning of a cell in row {} is never closed, so all that follows would be part of this cell; close the quote, or remove it",
                survey.opened
            )));
        }
        header.format.charset = survey.charset();
        if header.format.charset != Charset::Utf8 {
            header.take_names(&first)?;
        }
        Ok(header)
    }

    fn of(bytes: &[u8], name: &str, title_row: Option<u32>) -> Result<Self, Unwritten> {
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") || bytes.contains(&0) {
            return Err(Unwritten::Never("it is encoded in UTF-16; save it as CSV in UTF-8 in your spreadsheet program".into()));
        }
        let mut start = if bytes.starts_with(MARK) { MARK.len() } else { 0 };
        let line_end = line_end(&bytes[start..]);
        let named = separator(&bytes[start..], line_end);
        if let Some((_, length)) = named {
            start += length;
        }
        let delimiter = match named {
            Some((delimiter, _)) => delimiter,
            None if is_tsv(name) => b'\t',
            None => delimiter(&bytes[start..], line_end, title_row),
        };
        let format = Format { delimiter, line_end, charset: Charset::Utf8 };
        let mut header = Self { names: Vec::new(), format, row: 0, wanted: title_row, start, others: Vec::new() };
        header.take_names(bytes)?;
        Ok(header)
    }

    /// Reads the titles from the beginning of the file.
    fn take_names(&mut self, bytes: &[u8]) -> Result<(), Unwritten> {
        let mut records = Records::new(Cursor::new(&bytes[self.start..]), self.format.splitter());
        let mut number = 0;
        (self.row, self.others) = (0, Vec::new());
        while let Some(record) = records.next()? {
            number += 1;
            let names = || record.fields.iter().map(|f| title(&self.format.plain(&record.bytes[f.clone()]))).collect();
            match self.wanted {
                _ if self.row > 0 && number as usize > MAX_OTHERS => break,
                Some(wanted) if wanted == number => (self.row, self.names) = (number, names()),
                None if self.row == 0 && !record.is_blank() => (self.row, self.names) = (number, names()),
                _ if self.others.len() < MAX_OTHERS => self.others.push((number, names())),
                _ => {}
            }
        }
        if self.row == 0 || self.names.iter().all(String::is_empty) {
            let row = self.wanted.map_or_else(|| "every row".to_owned(), |n| format!("row {n}"));
            return Err(Unwritten::Never(format!(
                "{row} is empty, so no column can be found by name; `title_row:` is the row with the titles"
            )));
        }
        Ok(())
    }

    /// Whether it was read for a rule with this `title_row:`.
    pub(in crate::action::files) fn is_for(&self, title_row: Option<u32>) -> bool {
        self.wanted == title_row
    }

    /// Whether a row can only be written by rewriting the whole file.
    pub(in crate::action::files) fn grows(&self, row: &Row) -> bool {
        row.new_columns && row.cells.iter().any(|(title, _)| !self.names.iter().any(|n| n == title.trim()))
    }

    pub(in crate::action::files) fn line_end(&self) -> &'static str {
        self.format.line_end.text()
    }

    /// Writes the header itself, below as many empty rows as the rule asks for.
    pub(in crate::action::files) fn write(&self, out: &mut Vec<u8>) {
        (1..self.row).for_each(|_| out.extend_from_slice(self.line_end().as_bytes()));
        // The names were checked when their row was rendered; a new file is UTF-8, which can hold any of them.
        let _ = self.format.record(self.names.iter().map(|n| guarded(n)), out);
    }

    /// The names with the number of their column, counted from 1.
    pub(super) fn columns(&self) -> Vec<(u32, String)> {
        (1..).zip(self.names.iter().cloned()).collect()
    }

    /// Why a row cannot be written to this file, if it looks for the titles in another row.
    pub(super) fn other_row(&self, row: &Row, file: &str) -> Option<String> {
        let n = row.title_row.filter(|n| *n != self.row)?;
        Some(format!(
            "{file}: one rule says that the titles are in row {n}, and another one that they are in row {}; write the same `title_row:` in both",
            self.row
        ))
    }

    /// Writes a row by its columns; the error names a column that does not exist.
    pub(in crate::action::files) fn write_row(&self, row: &Row, file: &str, out: &mut Vec<u8>) -> Result<(), String> {
        if let Some(why) = self.other_row(row, file) {
            return Err(why);
        }
        let mut cells = vec![String::new(); self.names.len()];
        for (name, cell) in &row.cells {
            let mut with_it = (0..self.names.len()).filter(|n| self.names[*n] == name.trim());
            cells[match (with_it.next(), with_it.next()) {
                (Some(n), None) => n,
                (Some(a), Some(b)) => {
                    let (a, b) = (a + 1, b + 1);
                    return Err(format!(
                        "{file} has two columns with the title `{}`, columns {a} and {b}; give each of them its own title",
                        name.trim()
                    ));
                }
                (None, _) => return Err(no_column(file, name, row, self.names.iter().map(String::as_str), &self.others)),
            }] = spelled(cell, row.guard);
        }
        self.format.record(cells.into_iter(), out).map_err(|why| format!("{file}: {why}"))
    }
}

/// The first line end outside of quotes.
fn line_end(bytes: &[u8]) -> LineEnd {
    let mut quoted = false;
    for (n, byte) in bytes.iter().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => return LineEnd::Lf,
            b'\r' if !quoted => return if bytes.get(n + 1) == Some(&b'\n') { LineEnd::CrLf } else { LineEnd::Cr },
            _ => {}
        }
    }
    LineEnd::Lf
}

/// The delimiter that a first line such as `sep=;` names, which spreadsheet programs do not show, and the line's length.
fn separator(bytes: &[u8], line_end: LineEnd) -> Option<(u8, usize)> {
    let end = bytes.iter().position(|b| *b == line_end.byte())?;
    let line = bytes[..end].trim_ascii_end();
    let line = line.strip_prefix(b"\"").and_then(|l| l.strip_suffix(b"\"")).unwrap_or(line);
    match line {
        [s, e, p, b'=', delimiter] if [s, e, p].map(u8::to_ascii_lowercase) == *b"sep" && delimiter.is_ascii() => {
            Some((*delimiter, end + 1))
        }
        // A tab was cut from the end of the line.
        b"sep=" | b"SEP=" if bytes[..end].contains(&b'\t') => Some((b'\t', end + 1)),
        _ => None,
    }
}

/// The delimiter that is most frequent among the titles, outside of quotes.
fn delimiter(bytes: &[u8], line_end: LineEnd, title_row: Option<u32>) -> u8 {
    let is_blank = |line: &[u8]| line.iter().all(|b| DELIMITERS.contains(b) || b"\r\" ".contains(b));
    let mut lines = bytes.split(|b| *b == line_end.byte());
    let line = match title_row {
        Some(n) => lines.nth(n.saturating_sub(1) as usize),
        None => lines.find(|l| !is_blank(l)),
    };
    let mut quoted = false;
    let mut counts = [0; DELIMITERS.len()];
    for byte in line.unwrap_or_default() {
        quoted ^= *byte == b'"';
        if let Some(n) = DELIMITERS.iter().position(|d| d == byte && !quoted) {
            counts[n] += 1;
        }
    }
    let most = counts.into_iter().max().filter(|most| *most > 0);
    most.and_then(|most| counts.iter().position(|c| *c == most)).map_or(b',', |n| DELIMITERS[n])
}

/// What can only be known after reading the whole file: its encoding, and whether a quote stays open.
struct Survey {
    splitter: Splitter,
    /// The current row, counted from 1, and the one in which the last quote was opened.
    row: u64,
    opened: u64,
    is_utf8: bool,
    /// The end of the last piece, if it may be the beginning of a character.
    rest: Vec<u8>,
    /// How many bytes before the current one are not ASCII, and the most of them.
    foreign: usize,
    most_foreign: usize,
}

impl Survey {
    fn new(splitter: Splitter) -> Self {
        Self { splitter, row: 1, opened: 0, is_utf8: true, rest: Vec::new(), foreign: 0, most_foreign: 0 }
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let was_open = self.splitter.is_open();
            self.row += u64::from(self.splitter.next(*byte) == Meaning::End);
            if self.splitter.is_open() && !was_open {
                self.opened = self.row;
            }
            self.foreign = if byte.is_ascii() { 0 } else { self.foreign + 1 };
            self.most_foreign = self.most_foreign.max(self.foreign);
        }
        if !self.is_utf8 {
            return;
        }
        self.rest.extend_from_slice(bytes);
        match std::str::from_utf8(&self.rest) {
            Ok(_) => self.rest.clear(),
            Err(e) if e.error_len().is_none() => self.rest.drain(..e.valid_up_to()).for_each(drop),
            Err(_) => (self.is_utf8, self.rest) = (false, Vec::new()),
        }
    }

    fn charset(&self) -> Charset {
        match self.is_utf8 && self.rest.is_empty() {
            true => Charset::Utf8,
            false if self.most_foreign < MOST_FOREIGN => Charset::Western,
            false => Charset::Unknown,
        }
    }
}

fn is_tsv(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".tsv")
}
