//! Looks up rows of a workbook: found as those that are changed, and read with the types of their cells.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read, Seek};

use serde_json::Value;
use zip::ZipArchive;

use super::package::{MAX_PART, damaged};
use super::plan::{self, PIECE, STRINGS};
use super::sheets::{no_sheet, position, sheets};
use super::tables;
use super::workbook::checked;
use super::worksheet::find;
use super::worksheet::read::{Content, read};
use super::worksheet::reference::MAX_COLUMNS;
use crate::action::files::changes::{Sheet, find as rows_of};
use crate::action::files::folder::Unwritten;
use crate::action::files::found::{Found, Gathered, Values, by_title};
use crate::action::files::row::{Cell, Row};
use crate::action::files::search::Search;
use crate::disk::{Trouble, Watched};

/// What each of these rows finds, or why it cannot be looked up. All of them are in the same sheet.
pub(in crate::action::files) fn find(file: &File, name: &str, rows: &[&Row]) -> Result<Vec<Result<Found, String>>, Unwritten> {
    checked(file)?;
    let trouble = Trouble::default();
    let from = BufReader::new(Watched::new(file, &trouble));
    let found = ZipArchive::new(from).map_err(damaged).and_then(|archive| find_in(archive, name, rows));
    // A disk error does not mean that the workbook is damaged, even if a library has turned it into such an error.
    found.map_err(|why| trouble.take().map_or(why, Unwritten::Again))
}

fn find_in<R: Read + Seek>(mut archive: ZipArchive<R>, name: &str, rows: &[&Row]) -> Result<Vec<Result<Found, String>>, Unwritten> {
    let all = |why: String| Ok(rows.iter().map(|_| Err(why.clone())).collect());
    let sheets = sheets(&mut archive)?;
    let title = rows.first().and_then(|row| row.sheet.as_deref());
    let Some(sheet) = position(&sheets, title) else { return all(no_sheet(name, title, &sheets)) };
    let part = sheets[sheet].part.as_str();
    let tables = tables::of_sheet(&mut archive, part)?;
    let title_row = rows.iter().find_map(|row| row.title_row);
    let (block, table, shape) = plan::inspect(&mut archive, part, &tables, title_row, rows)?;
    if !shape.has_content {
        return Ok(rows.iter().map(|_| Ok(Found::default())).collect());
    }
    let fit = |_: &Row, title: &str, cell: &Cell| plan::fit(name, title, cell);
    let search = Search::new(&shape.header, rows.iter().copied(), &fit);
    let (search, seen) = plan::find(&mut archive, part, &shape, &block, search)?;
    if let Some(cell) = seen.uncalculated {
        return all(plan::uncalculated(name, cell));
    }
    let known = Sheet {
        name,
        header: shape.header.clone(),
        next_column: 0,
        most_columns: MAX_COLUMNS,
        locked: &|_, _| None,
        others: shape.others.clone(),
        fit: &fit,
    };
    let mut gathered = Gathered::new(rows.iter().map(|row| rows_of(&known, &search, row).map(|(found, _)| found)).collect());
    if gathered.is_empty() {
        return Ok(gathered.found());
    }
    let mut titles = by_title(&shape.header);
    titles.retain(|column, _| table.is_none_or(|table| table.has_column(*column)));
    let meanings = plan::meanings(&mut archive)?;
    let xml = archive.by_name(part).map_err(damaged)?.take(MAX_PART);
    let xml = BufReader::with_capacity(PIECE, xml);
    let cells = read(xml, &|row| gathered.wants(row), &titles.keys().copied().collect(), &meanings).map_err(damaged)?;
    let texts = shared_texts(&mut archive, &cells)?;
    for (row, cells) in &cells {
        let mut values = Values::new();
        for (column, title) in &titles {
            let value = match cells.get(column) {
                None => Value::Null,
                Some(Content::Value(value)) => value.clone(),
                Some(Content::Shared(index)) => texts.get(index).map_or(Value::Null, |text| text.as_str().into()),
                // Its value is not known, so there is none under this title.
                Some(Content::Uncalculated) => continue,
            };
            values.insert((*title).to_owned(), value);
        }
        gathered.add(*row, &values);
    }
    Ok(gathered.found())
}

/// The shared strings in these cells.
fn shared_texts<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    cells: &BTreeMap<u32, BTreeMap<u32, Content>>,
) -> Result<BTreeMap<usize, String>, Unwritten> {
    let index = |content: &Content| if let Content::Shared(index) = content { Some(*index) } else { None };
    let wanted: BTreeSet<usize> = cells.values().flat_map(BTreeMap::values).filter_map(index).collect();
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let part = archive.by_name(STRINGS).map_err(|_| damaged(format!("{STRINGS} is missing")))?;
    let found = find::shared(BufReader::new(part.take(MAX_PART)), wanted.len(), |n, _| wanted.contains(&n)).map_err(damaged)?;
    Ok(found.into_iter().collect())
}
