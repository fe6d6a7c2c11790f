//! The records of a file, one at a time (RFC 4180).

use std::io::{self, BufRead};
use std::ops::Range;

/// The maximum length of a record, in bytes.
const MAX_RECORD: usize = 16 << 20;

/// What a byte is in the structure of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Content,
    Delimiter,
    /// The record ends after this byte.
    End,
}

/// Splits a file into fields and records, byte by byte.
#[derive(Debug, Clone)]
pub(super) struct Splitter {
    delimiter: u8,
    end: u8,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the beginning of a field, the only place where a quote opens one.
    Begins,
    Plain,
    Quoted,
    /// Right after a quote that closed a field.
    Closed,
}

impl Splitter {
    pub(super) fn new(delimiter: u8, end: u8) -> Self {
        Self { delimiter, end, state: State::Begins }
    }

    /// A quote inside a quoted field is doubled: the first one closes the field, and the second opens it again.
    pub(super) fn next(&mut self, byte: u8) -> Meaning {
        match (self.state, byte) {
            (State::Quoted, b'"') => self.state = State::Closed,
            (State::Quoted, _) => {}
            (State::Begins | State::Closed, b'"') => self.state = State::Quoted,
            (_, b) if b == self.delimiter => {
                self.state = State::Begins;
                return Meaning::Delimiter;
            }
            (_, b) if b == self.end => {
                self.state = State::Begins;
                return Meaning::End;
            }
            _ => self.state = State::Plain,
        }
        Meaning::Content
    }

    /// Whether a quote is open.
    pub(super) fn is_open(&self) -> bool {
        self.state == State::Quoted
    }
}

/// Reads a file record by record.
pub(super) struct Records<R> {
    from: R,
    splitter: Splitter,
    record: Record,
}

/// The bytes of a record with its line end, and the positions of its fields with their quotes.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub bytes: Vec<u8>,
    pub fields: Vec<Range<usize>>,
}

impl Record {
    pub(super) fn field(&self, number: usize) -> Option<&[u8]> {
        self.fields.get(number).map(|field| &self.bytes[field.clone()])
    }

    pub(super) fn is_blank(&self) -> bool {
        self.fields.iter().all(|f| f.is_empty())
    }

    /// Whether it ends with a line end; only the last one may not.
    pub(super) fn is_ended(&self) -> bool {
        self.fields.last().is_none_or(|f| f.end < self.bytes.len())
    }
}

impl<R: BufRead> Records<R> {
    pub(super) fn new(from: R, splitter: Splitter) -> Self {
        Self { from, splitter, record: Record::default() }
    }

    /// The next record; `None` at the end of the file.
    pub(super) fn next(&mut self) -> io::Result<Option<&Record>> {
        let Record { bytes, fields } = &mut self.record;
        bytes.clear();
        fields.clear();
        let mut start = 0;
        loop {
            let piece = self.from.fill_buf()?;
            if piece.is_empty() {
                if bytes.is_empty() {
                    return Ok(None);
                }
                fields.push(start..bytes.len());
                return Ok(Some(&self.record));
            }
            let mut used = 0;
            let mut is_over = false;
            for &byte in piece {
                used += 1;
                let at = bytes.len() + used - 1;
                match self.splitter.next(byte) {
                    Meaning::Content => {}
                    Meaning::Delimiter => {
                        fields.push(start..at);
                        start = at + 1;
                    }
                    Meaning::End => {
                        is_over = true;
                        break;
                    }
                }
            }
            bytes.extend_from_slice(&piece[..used]);
            self.from.consume(used);
            if is_over {
                let end = bytes.len() - 1;
                let has_return = end > start && bytes[end] == b'\n' && bytes[end - 1] == b'\r';
                fields.push(start..end - usize::from(has_return));
                return Ok(Some(&self.record));
            }
            if bytes.len() > MAX_RECORD {
                let why = format!("a row has more than {} MB", MAX_RECORD >> 20);
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn records(text: &str, end: u8, piece: usize) -> Vec<Vec<String>> {
        let mut records = Records::new(BufReader::with_capacity(piece, text.as_bytes()), Splitter::new(b',', end));
        let mut all = Vec::new();
        while let Some(record) = records.next().unwrap() {
            all.push(record.fields.iter().map(|f| String::from_utf8_lossy(&record.bytes[f.clone()]).into_owned()).collect());
        }
        all
    }

    #[test]
    fn a_file_is_split_at_delimiters_and_line_ends_outside_of_quotes() {
        for (text, end, said) in [
            ("a,b\n1,2\n", b'\n', vec![vec!["a", "b"], vec!["1", "2"]]),
            ("a,b\r\n1,2", b'\n', vec![vec!["a", "b"], vec!["1", "2"]]),
            ("a,b\r1,\r", b'\r', vec![vec!["a", "b"], vec!["1", ""]]),
            ("\"a\n,\"\"b\" ,c\n", b'\n', vec![vec!["\"a\n,\"\"b\" ", "c"]]),
            ("\n,\n", b'\n', vec![vec![""], vec!["", ""]]),
            ("5\"\",\"x\"y\"z\n", b'\n', vec![vec!["5\"\"", "\"x\"y\"z"]]),
            ("5\" pipe,\"x\"\"\"\n1\n", b'\n', vec![vec!["5\" pipe", "\"x\"\"\""], vec!["1"]]),
            ("", b'\n', vec![]),
        ] {
            for piece in 1..9 {
                assert_eq!(records(text, end, piece), said, "{text} {piece}");
            }
        }
    }
}
