//! Changes cells of a file, and adds rows and columns: one pass to find the rows, another one to write the new file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};

use super::format::spelled;
use super::guard::guarded;
use super::header::Header;
use super::records::{Record, Records};
use crate::action::files::changes::{self, Changes};
use crate::action::files::folder::Unwritten;
use crate::action::files::row::{Cell, Mode, NotWritten, Row};
use crate::action::files::search::Search;

/// The maximum size of a file in which rows are changed, in bytes; such a file is rewritten.
const MAX_CHANGED: u64 = 200 << 20;
/// How many bytes are read at a time.
const PIECE: usize = 256 << 10;
/// More columns than a spreadsheet program can show.
pub(super) const MOST_COLUMNS: u32 = 16_384;

/// What is to be written.
pub(in crate::action::files) struct Plan {
    header: Header,
    is_new: bool,
    changes: Changes,
    /// The number of columns, old and new.
    width: usize,
    /// For each row, why it cannot be written.
    pub refused: Vec<Option<NotWritten>>,
}

/// Finds the rows that change.
pub(in crate::action::files) fn plan(file: &File, header: Option<Header>, name: &str, rows: &[&Row]) -> Result<Plan, Unwritten> {
    let length = file.metadata()?.len();
    if length > MAX_CHANGED {
        return Err(Unwritten::Never(format!(
            "it is larger than {} MB, which is too large for changing rows; start a new file",
            MAX_CHANGED >> 20
        )));
    }
    // A row that is deleted says nothing about the columns of a new file.
    let first = rows
        .iter()
        .find(|row| row.mode != Mode::Delete)
        .or(rows.first())
        .ok_or_else(|| Unwritten::Never("there is no row to write".into()))?;
    let is_new = length == 0;
    let header = match header {
        Some(header) if !is_new => header,
        _ => Header::new(first, name),
    };
    let fit = |row: &Row, _: &str, cell: &Cell| fit(&header, name, row, cell);
    let mut search = Search::new(&header.columns(), rows.iter().copied(), &fit);
    if !is_new {
        look(file, &header, &mut search)?;
    }
    let mut sheet = changes::Sheet {
        name,
        header: header.columns(),
        next_column: header.names.len() as u32 + 1,
        most_columns: MOST_COLUMNS.max(header.names.len() as u32),
        locked: &|_, _| None,
        others: header.others.clone(),
        fit: &fit,
    };
    let (elsewhere, here): (Vec<_>, Vec<_>) =
        rows.iter().map(|row| header.other_row(row, name)).enumerate().partition(|(_, w)| w.is_some());
    let mut refused: Vec<Option<NotWritten>> = vec![None; rows.len()];
    elsewhere.into_iter().for_each(|(n, why)| refused[n] = why.map(NotWritten::Refused));
    let mine: Vec<&Row> = here.iter().map(|(n, _)| rows[*n]).collect();
    let (changes, why) = changes::plan(&mut sheet, search, &mine);
    here.iter().zip(why).for_each(|((n, _), why)| refused[*n] = why);
    let width = sheet.header.len();
    Ok(Plan { header, is_new, changes, width, refused })
}

/// A value as this file spells it.
pub(super) fn fit(header: &Header, name: &str, row: &Row, cell: &Cell) -> Result<Cell, String> {
    let text = spelled(cell, row.guard);
    header.format.field(&text).map(|_| Cell::Text(text)).map_err(|why| format!("{name}: {why}"))
}

/// Finds the rows that a search looks for.
pub(super) fn look(file: &File, header: &Header, search: &mut Search) -> Result<(), Unwritten> {
    if search.is_empty() {
        return Ok(());
    }
    each(file, header, |n, record| {
        search.look(n, &|c| record.field(c as usize - 1).map(|f| header.format.plain(f)));
        Ok(())
    })
}

/// Visits every row below the titles.
pub(super) fn each(mut file: &File, header: &Header, mut look: impl FnMut(u32, &Record) -> io::Result<()>) -> Result<(), Unwritten> {
    file.seek(SeekFrom::Start(header.start as u64))?;
    let mut records = Records::new(BufReader::with_capacity(PIECE, file), header.format.splitter());
    let mut number = 0u32;
    while let Some(record) = records.next().map_err(too_long)? {
        number += 1;
        if number > header.row {
            look(number, record)?;
        }
    }
    Ok(())
}

/// A row that is too long stays so; all other errors are those of a disk.
fn too_long(e: io::Error) -> Unwritten {
    if e.kind() == io::ErrorKind::InvalidData { Unwritten::Never(format!("{e}; start a new file")) } else { e.into() }
}

impl Plan {
    /// Writes the new file: the old one with the changes.
    pub(in crate::action::files) fn write(&self, mut old: &File, out: &mut impl Write) -> Result<(), Unwritten> {
        let mut is_ended = true;
        if self.is_new {
            let mut header = Vec::new();
            self.header.write(&mut header);
            out.write_all(&header)?;
        } else {
            old.seek(SeekFrom::Start(0))?;
            let mut from = BufReader::with_capacity(PIECE, old);
            io::copy(&mut (&mut from).take(self.header.start as u64), out)?;
            is_ended = self.copy(from, out)?;
        }
        if !self.changes.new.is_empty() && !is_ended {
            out.write_all(self.header.line_end().as_bytes())?;
        }
        for row in &self.changes.new {
            let cells = (1..=self.width as u32).map(|c| row.get(&c).map(|c| spelled(c, false)).unwrap_or_default());
            let mut bytes = Vec::new();
            self.header.format.record(cells, &mut bytes).map_err(Unwritten::Never)?;
            out.write_all(&bytes)?;
        }
        Ok(())
    }

    /// Copies all rows with their changes; returns whether the last one ends with a line end.
    fn copy(&self, from: impl BufRead, out: &mut impl Write) -> Result<bool, Unwritten> {
        let mut records = Records::new(from, self.header.format.splitter());
        let (mut number, mut is_ended) = (0u32, true);
        while let Some(record) = records.next().map_err(too_long)? {
            number += 1;
            if self.changes.deleted.contains(&number) {
                continue;
            }
            is_ended = record.is_ended();
            let changed = self.changes.old.get(&number);
            let is_header = number == self.header.row;
            let is_wider = !self.changes.titles.is_empty() && (is_header || number > self.header.row && !record.is_blank());
            match changed.is_some() || is_wider {
                true => out.write_all(&self.edited(record, changed, is_wider, is_header))?,
                false => out.write_all(&record.bytes)?,
            }
        }
        Ok(is_ended)
    }

    /// A row with its changes; fields that do not change keep their bytes.
    fn edited(&self, record: &Record, changed: Option<&BTreeMap<u32, Cell>>, is_wider: bool, is_header: bool) -> Vec<u8> {
        let format = &self.header.format;
        // What does not fit was refused when the row was planned.
        let written = |cell: Option<&Cell>| cell.map(|c| format.field(&spelled(c, false)).unwrap_or_default()).unwrap_or_default();
        let last_changed = changed.and_then(|c| c.keys().last()).map_or(0, |c| *c as usize);
        let width = if is_wider { self.width } else { last_changed };
        let (mut out, mut copied) = (Vec::with_capacity(record.bytes.len() + 64), 0);
        for column in 1..=width {
            let title = self.changes.titles.iter().find(|(c, _)| is_header && *c as usize == column).map(|(_, t)| Cell::Text(guarded(t)));
            let cell = title.as_ref().or_else(|| changed.and_then(|c| c.get(&(column as u32))));
            match record.fields.get(column - 1) {
                Some(field) => {
                    if let Some(cell) = cell.filter(|cell| format.plain(&record.bytes[field.clone()]) != spelled(cell, false)) {
                        out.extend_from_slice(&record.bytes[copied..field.start]);
                        out.extend(written(Some(cell)));
                        copied = field.end;
                    }
                }
                None => {
                    let end = record.fields.last().map_or(0, |f| f.end);
                    out.extend_from_slice(&record.bytes[copied..end]);
                    copied = end;
                    out.push(format.delimiter);
                    out.extend(written(cell));
                }
            }
        }
        out.extend_from_slice(&record.bytes[copied..]);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file with these rows, and for each row, why it could not be written.
    fn change(text: &str, rows: &[&Row]) -> (String, Vec<Option<NotWritten>>) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let header = (!text.is_empty()).then(|| Header::read(&file, "x.csv", rows[0].title_row).unwrap());
        let plan = plan(&file, header, "x.csv", rows).unwrap();
        let mut out = Vec::new();
        plan.write(&file, &mut out).unwrap();
        (String::from_utf8(out).unwrap(), plan.refused)
    }

    #[test]
    fn values_are_written_under_their_columns_whatever_they_contain() {
        let row = |cells: &[(&str, &str)]| Row {
            cells: cells.iter().map(|(n, t)| ((*n).to_owned(), Cell::Text((*t).to_owned()))).collect(),
            guard: true,
            ..Row::default()
        };
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"Name;Note;Old\r\n").unwrap();
        let header = Header::read(&file, "x.csv", None).unwrap();
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
            guard: id.is_multiple_of(2),
            mode,
            matching: vec!["Id".into()],
            ..Row::default()
        };
        let rows: Vec<Row> = (0..8).map(|id| row(id, if id < 4 { Mode::Update } else { Mode::AddOrUpdate })).collect();
        for order in [rows.iter().collect::<Vec<_>>(), rows.iter().rev().collect()] {
            let (text, refused) = change("Id,Note\n0,\n1,\n2,\n3,\n", &order);
            assert_eq!(refused, vec![None; 8]);
            let mut lines: Vec<&str> = text.lines().skip(1).collect();
            lines.sort_unstable();
            assert_eq!(lines, ["0,'=1+1", "1,=1+1", "2,'=1+1", "3,=1+1", "4,'=1+1", "5,=1+1", "6,'=1+1", "7,=1+1"]);
        }
    }
}
