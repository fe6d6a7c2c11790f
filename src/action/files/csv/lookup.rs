//! Looks up rows: one pass to find them, another one to read them.

use std::fs::File;

use super::change::{MOST_COLUMNS, each, fit, look};
use super::header::Header;
use crate::action::files::changes::{Sheet, find as rows_of};
use crate::action::files::folder::Unwritten;
use crate::action::files::found::{Found, Gathered, Values, by_title};
use crate::action::files::row::{Cell, Row};
use crate::action::files::search::{Search, unguarded};

/// What each of these rows finds, or why it cannot be looked up. All of them have the same `title_row`.
pub(in crate::action::files) fn find(file: &File, name: &str, rows: &[&Row]) -> Result<Vec<Result<Found, String>>, Unwritten> {
    let header = Header::read(file, name, rows.iter().find_map(|row| row.title_row))?;
    let fit = |row: &Row, _: &str, cell: &Cell| fit(&header, name, row, cell);
    let mut search = Search::new(&header.columns(), rows.iter().copied(), &fit);
    look(file, &header, &mut search)?;
    let columns = header.columns();
    let sheet = Sheet {
        name,
        header: columns.clone(),
        next_column: 0,
        most_columns: MOST_COLUMNS,
        locked: &|_, _| None,
        others: header.others.clone(),
        fit: &fit,
    };
    let mut gathered = Gathered::new(rows.iter().map(|row| rows_of(&sheet, &search, row).map(|(found, _)| found)).collect());
    if gathered.is_empty() {
        return Ok(gathered.found());
    }
    let titles = by_title(&columns);
    each(file, &header, |n, record| {
        if gathered.wants(n) {
            let cell = |column: u32| record.field(column as usize - 1).map(|field| header.format.plain(field)).unwrap_or_default();
            let value = |(column, title): (&u32, &&str)| ((*title).to_owned(), unguarded(&cell(*column)).into());
            gathered.add(n, &titles.iter().map(value).collect::<Values>());
        }
        Ok(())
    })?;
    Ok(gathered.found())
}
