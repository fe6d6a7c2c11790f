//! What rows change in one sheet of a workbook: which cells, which new rows and where, and which tables.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Read, Seek};

use zip::ZipArchive;

use super::formula::{Area, copied, is_about_its_row, references};
use super::package::{MAX_PART, WORKBOOK, damaged, each_tag, each_text, text_of};
use super::sheets::SheetPart;
use super::stale::Change;
use super::styles::{self, STYLES};
use super::tables::{self, Table, grown, links};
use super::worksheet::find::{self, Meanings, Seen};
use super::worksheet::layout::{Neighbour, Place, place};
use super::worksheet::reference::{MAX_COLUMNS, MAX_ROWS, at_cell, letters};
use super::worksheet::scan::{Title, scan};
use super::worksheet::shape::{Below, Block, Edits, NewCell, Shape};
use super::xml_reader::attribute;
use crate::action::files::changes::{self, Changes};
use crate::action::files::date;
use crate::action::files::folder::Unwritten;
use crate::action::files::row::{self, Cell, Mode, NotWritten, Row};
use crate::action::files::search::{Search, is_exact};

/// The maximum number of characters in a cell.
const MAX_CELL: usize = 32_767;
/// How many bytes of a sheet are decompressed at a time.
pub(super) const PIECE: usize = 64 << 10;
pub(super) const STRINGS: &str = "xl/sharedStrings.xml";

/// The changes in one sheet.
pub(super) struct Planned {
    pub shape: Shape,
    pub edits: Edits,
    /// Tables that grow, by their part.
    pub tables: Vec<(String, String)>,
    /// What changes, in the old sheet.
    pub changes: Vec<Change>,
    /// Formulas that move or grow, in the old sheet.
    pub grown: Vec<Change>,
    /// For each row, why it cannot be written.
    pub refused: Vec<Option<NotWritten>>,
}

/// Plans the changes for rows of one sheet.
pub(super) fn plan<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    sheets: &[SheetPart],
    sheet: usize,
    name: &str,
    rows: &[&Row],
) -> Result<Planned, Unwritten> {
    let part = sheets[sheet].part.as_str();
    let tables = tables::of_sheet(archive, part)?;
    let title_row = rows.iter().find_map(|row| row.title_row);
    let since_1904 = is_since_1904(archive)?;
    let has_dates = rows.iter().any(|row| row.cells.iter().any(|(_, cell)| matches!(cell, Cell::Date(_))));
    // Without styles, a date would be shown as a number.
    let shows_dates = has_dates && archive.index_for_name(STYLES).is_some() && styles::has_any(&text_of(archive, STYLES)?)?;
    let (block, table, mut shape) = inspect(archive, part, &tables, title_row, rows)?;
    let is_new = !shape.has_content;
    if is_new {
        let first = rows.first().map(|r| r.cells.as_slice()).unwrap_or_default();
        shape.header = first.iter().enumerate().map(|(n, (title, _))| (n as u32 + 1, title.trim().to_owned())).collect();
        shape.last_column = shape.header.len() as u32;
        shape.header_row = title_row.unwrap_or(1);
        shape.last_row = shape.header_row;
    } else if shape.header.is_empty() {
        let row = if shape.header_row > 0 { shape.header_row } else { title_row.unwrap_or(1) };
        let why = format!("row {row} of the sheet {} has no titles, so no column can be found by name", sheets[sheet].title);
        return Err(Unwritten::Never(format!("{why}; `title_row:` is the row with the titles")));
    }
    let mut refused: Vec<Option<NotWritten>> = rows.iter().map(|row| other_row(row, &shape, name).map(NotWritten::Refused)).collect();
    let fit = |_: &Row, title: &str, cell: &Cell| fit(name, title, cell);
    let search = Search::new(&shape.header, rows.iter().copied(), &fit);
    let (search, seen) = find(archive, part, &shape, &block, search)?;
    if let Some(cell) = seen.uncalculated {
        let why = uncalculated(name, cell);
        rows.iter().zip(&mut refused).filter(|(row, _)| row.mode != Mode::Add).for_each(|(_, refused)| *refused = Some(why.clone().into()));
    }
    let next_column = next_column(&shape, table, rows);
    loop {
        let mine: Vec<usize> = (0..rows.len()).filter(|n| refused[*n].is_none()).collect();
        let mut planned = changes::Sheet {
            name,
            header: shape.header.clone(),
            next_column,
            most_columns: MAX_COLUMNS,
            locked: &|row, column| shape.locked(row, column, &seen.formulas),
            others: shape.others.clone(),
            fit: &fit,
        };
        let (changes, why) = changes::plan(&mut planned, search.clone(), &mine.iter().map(|n| rows[*n]).collect::<Vec<_>>());
        let header = planned.header;
        let count = changes.new.len() as u32;
        let written: BTreeSet<u32> = changes.new.iter().flat_map(|cells| cells.keys().copied()).collect();
        let mut room = Ok(Place { first: shape.last_row + 1, moving: Default::default() });
        if count > 0 {
            let others: Vec<Neighbour> = tables.iter().filter(|t| Some(*t) != table).map(neighbour).collect();
            room = place(&shape, &block, count, &written, &others, table.is_some_and(|t| t.has_totals))
                .map_err(Unwritten::Never)
                .and_then(|place| can_move(archive, sheets, sheet, &shape, &place, table).map(|()| place));
        }
        match room {
            Ok(place) => {
                mine.iter().zip(why).for_each(|(n, why)| refused[*n] = why);
                let more = table.map(|t| grown(archive, t, if count > 0 { place.moving.new_last } else { t.last_data() }, &changes.titles));
                let tables = more.transpose()?.flatten().into_iter().collect();
                let mut edits = edits(&shape, &block, table, changes, place, is_new.then_some(header));
                if shows_dates {
                    as_dates(&mut edits, since_1904);
                }
                edits.title = sheets[sheet].title.clone();
                let changes = changed(sheet, &shape, &edits);
                let grown = totals(&shape, &edits).into_iter().map(|area| (sheet, area)).collect();
                return Ok(Planned { shape, edits, tables, changes, grown, refused });
            }
            // Rows for which there is no room do not keep others from being changed.
            Err(Unwritten::Never(why)) => changes.added.iter().for_each(|n| refused[mine[*n]] = Some(format!("{name}: {why}").into())),
            Err(again) => return Err(again),
        }
    }
}

fn neighbour(table: &Table) -> Neighbour<'_> {
    Neighbour { name: &table.name, from: table.from, to: table.to }
}

/// New columns go next to the table that the rows belong to, if there is room, or else after all others.
fn next_column(shape: &Shape, table: Option<&Table>, rows: &[&Row]) -> u32 {
    let titles = rows.iter().filter(|row| row.new_columns).flat_map(|row| row.cells.iter().map(|(title, _)| title.trim()));
    let new: BTreeSet<&str> = titles.filter(|title| !shape.header.iter().any(|(_, known)| known == title)).collect();
    let is_free = |next: &u32| shape.used.range(*next..*next + new.len() as u32).next().is_none();
    // A title in merged cells hides those to the right of it.
    let merged = shape.merged.iter().filter(|(from, to)| (from.1..=to.1).contains(&shape.header_row)).map(|(_, to)| to.0);
    table.map(|t| t.to.0 + 1).filter(is_free).unwrap_or(merged.max().unwrap_or(0).max(shape.last_column) + 1)
}

/// Why a row cannot be written, if it looks for the titles in another row.
pub(super) fn other_row(row: &Row, shape: &Shape, name: &str) -> Option<String> {
    let wanted = row.title_row.filter(|wanted| *wanted != shape.header_row)?;
    Some(format!(
        "{name}: one rule says that the titles are in row {wanted}, and another one that they are in row {}; write the same `title_row:` in both",
        shape.header_row
    ))
}

/// Reads a sheet, and finds the table that its rows belong to.
pub(super) fn inspect<'t, R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    part: &str,
    tables: &'t [Table],
    title_row: Option<u32>,
    rows: &[&Row],
) -> Result<(Block, Option<&'t Table>, Shape), Unwritten> {
    let with_all: Vec<&Table> = tables.iter().filter(|t| title_row.is_none_or(|row| row == t.from.1) && t.has_all_titles(rows)).collect();
    if let [one, two, ..] = with_all.as_slice() {
        return Err(Unwritten::Never(format!(
            "the tables {} and {} have the same titles, so it is not known which one is meant; give them different titles",
            one.name, two.name
        )));
    }
    let mut table = with_all.first().copied();
    let mut block = block(tables, table, title_row);
    let mut shape = shape(archive, part, &block)?;
    if table.is_none() {
        // The titles may be those of a table and of columns next to it, or spelled in another way in the table.
        let titles: BTreeSet<&str> = rows.iter().flat_map(|row| row.cells.iter().map(|(title, _)| title.trim())).collect();
        let own = |t: &Table| shape.header.iter().filter(|(c, title)| t.has_column(*c) && titles.contains(title.as_str())).count();
        table = tables.iter().filter(|t| t.from.1 == shape.header_row && own(t) > 0).max_by_key(|t| own(t));
        if table.is_some() {
            block = self::block(tables, table, title_row);
            shape = self::shape(archive, part, &block)?;
        }
    }
    if let Some(table) = table {
        // A title of the table is meant before the same title elsewhere.
        let own: Vec<String> = shape.header.iter().filter(|(c, _)| table.has_column(*c)).map(|(_, title)| title.clone()).collect();
        shape.header.retain(|(c, title)| table.has_column(*c) || !own.contains(title));
    }
    Ok((block, table, shape))
}

fn block(tables: &[Table], table: Option<&Table>, title_row: Option<u32>) -> Block {
    let columns = |t: &Table| (t.from.0, t.to.0);
    Block {
        title_row: table.map(|t| t.from.1).or(title_row),
        table: table.map(|t| (t.from.0, t.to.0, t.last_data())),
        other_tables: tables.iter().filter(|t| Some(*t) != table).map(columns).collect(),
    }
}

fn shape<R: Read + Seek>(archive: &mut ZipArchive<R>, part: &str, block: &Block) -> Result<Shape, Unwritten> {
    let file = archive.by_name(part).map_err(|_| damaged(format!("{part} is missing")))?;
    let (mut shape, texts) = scan(BufReader::with_capacity(PIECE, file.take(MAX_PART)), block).map_err(damaged)?;
    let shared: BTreeSet<usize> = texts.iter().flat_map(|(_, titles)| titles).filter(|t| t.2).filter_map(|t| t.1.parse().ok()).collect();
    let mut strings = Default::default();
    if !shared.is_empty() {
        let part = archive.by_name(STRINGS).map_err(|_| damaged(format!("{STRINGS} is missing")))?;
        strings = find::shared(BufReader::new(part.take(MAX_PART)), shared.len(), |n, _| shared.contains(&n)).map_err(damaged)?;
    }
    let text = |title: Title| match title.1.parse::<usize>() {
        Ok(index) if title.2 => strings.get(&index).map(|text| (title.0, row::title(text))),
        _ => Some((title.0, row::title(&title.1))),
    };
    for (row, titles) in texts {
        let titles: Vec<(u32, String)> = titles.into_iter().filter_map(text).filter(|(_, title)| !title.is_empty()).collect();
        match row == shape.header_row {
            true => shape.header = titles,
            false => shape.others.push((row, titles.into_iter().map(|(_, title)| title).collect())),
        }
    }
    Ok(shape)
}

/// Finds the rows that a batch looks for.
pub(super) fn find<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    part: &str,
    shape: &Shape,
    block: &Block,
    mut search: Search,
) -> Result<(Search, Seen), Unwritten> {
    if search.is_empty() {
        return Ok((search, Seen::default()));
    }
    let mut meanings = meanings(archive)?;
    if let Ok(strings) = archive.by_name(STRINGS) {
        meanings.texts = find::shared(BufReader::new(strings.take(MAX_PART)), usize::MAX, |_, text| search.wants(text)).map_err(damaged)?;
    }
    let columns = search.columns();
    let sheet = archive.by_name(part).map_err(damaged)?.take(MAX_PART);
    let last = block.table.map_or(shape.last_row, |(.., last)| last);
    let rows = shape.header_row + 1..=last;
    let seen = find::find(BufReader::new(sheet), rows, &columns, &meanings, &mut |row, cell| search.look(row, cell)).map_err(damaged)?;
    Ok((search, seen))
}

/// Which numbers of a workbook are dates; no texts.
pub(super) fn meanings<R: Read + Seek>(archive: &mut ZipArchive<R>) -> Result<Meanings, Unwritten> {
    let has_styles = archive.index_for_name(STYLES).is_some();
    let dates = if has_styles { styles::dates(&text_of(archive, STYLES)?)? } else { BTreeSet::new() };
    Ok(Meanings { dates, since_1904: is_since_1904(archive)?, ..Meanings::default() })
}

/// Says that rows cannot be found, because this cell (column and row) may or may not have the value.
pub(super) fn uncalculated(name: &str, (column, row): (u32, u32)) -> String {
    format!(
        "{name}: the formula in {}{row} has no result yet, so rows cannot be found by this column; open the file in a spreadsheet program and save it there",
        letters(column)
    )
}

/// Whether the days of a workbook are counted from 1904.
fn is_since_1904<R: Read + Seek>(archive: &mut ZipArchive<R>) -> Result<bool, Unwritten> {
    let mut since_1904 = false;
    each_tag(&text_of(archive, WORKBOOK)?, "workbookPr", |tag| {
        since_1904 = matches!(attribute(tag, "date1904").as_deref(), Some("1" | "true"));
    })?;
    Ok(since_1904)
}

/// Dates become numbers; one that a workbook cannot hold stays text.
fn as_dates(edits: &mut Edits, since_1904: bool) {
    for cell in edits.cells.values_mut().flat_map(BTreeMap::values_mut) {
        if let NewCell::Value(Cell::Date(text)) = cell
            && let Some((number, has_time)) = date::number(text, since_1904)
        {
            *cell = NewCell::Date(number, has_time);
        }
    }
}

/// A value in the form that a workbook cell can hold.
pub(super) fn fit(name: &str, title: &str, cell: &Cell) -> Result<Cell, String> {
    match cell {
        Cell::Number(n) if !is_exact(n) => Ok(Cell::Text(n.clone())),
        Cell::Text(t) if t.encode_utf16().count() > MAX_CELL => {
            Err(format!("{name}: the value for {title} is longer than {MAX_CELL} characters, which is the limit for a cell"))
        }
        other => Ok(other.clone()),
    }
}

/// What changes in the sheet, as cells.
fn edits(
    shape: &Shape,
    block: &Block,
    table: Option<&Table>,
    changes: Changes,
    place: Place,
    new_header: Option<Vec<(u32, String)>>,
) -> Edits {
    let count = changes.new.len() as u32;
    let values = |cells: BTreeMap<u32, Cell>| cells.into_iter().map(|(c, cell)| (c, NewCell::Value(cell)));
    let mut cells: BTreeMap<u32, BTreeMap<u32, NewCell>> = changes.old.into_iter().map(|(row, c)| (row, values(c).collect())).collect();
    let titles = new_header.unwrap_or(changes.titles).into_iter().map(|(c, title)| (c, NewCell::Value(Cell::Text(title))));
    let titles: BTreeMap<u32, NewCell> = titles.collect();
    if !titles.is_empty() {
        cells.entry(shape.header_row).or_default().extend(titles);
    }
    for (row, new) in (place.first..).zip(changes.new) {
        let mut new: BTreeMap<u32, NewCell> = values(new).collect();
        for (column, formula) in table.map(|t| formulas(shape, t, row, place.moving.from)).unwrap_or_default() {
            new.entry(column).or_insert(NewCell::Formula(formula));
        }
        cells.insert(row, new);
    }
    let columns = block.table.map_or((1, MAX_COLUMNS), |(from, to, _)| (from, to));
    let moving = if count > 0 { place.moving } else { Default::default() };
    Edits { cells, added: (place.first, place.first + count), moving, columns, ..Edits::default() }
}

/// The formulas of a table's calculated columns, for a new row.
fn formulas(shape: &Shape, table: &Table, row: u32, moving_from: u32) -> BTreeMap<u32, String> {
    let down = i64::from(row) - i64::from(shape.last_row);
    let above = |column: u32| {
        let formula = shape.formulas.get(&column)?;
        let is_column = table.calculated.contains_key(&column) || is_about_its_row(formula, shape.last_row);
        copied(formula, down, 0).filter(|_| is_column)
    };
    // The formula of the table itself is valid for every row if it does not name any.
    let of_table = |column: u32| table.calculated.get(&column).filter(|f| copied(f, 1, 0).as_ref() == Some(f)).cloned();
    let has_one = |column: u32| row < moving_from && shape.below.get(&row).is_some_and(|b| b.cells.iter().any(|(c, _)| *c == column));
    let columns = (table.from.0..=table.to.0).filter(|column| !has_one(*column));
    columns.filter_map(|column| Some((column, of_table(column).or_else(|| above(column))?))).collect()
}

/// The parts of the old sheet that change.
fn changed(sheet: usize, shape: &Shape, edits: &Edits) -> Vec<Change> {
    let cells = |(row, cells): (&u32, &BTreeMap<u32, NewCell>)| {
        let (first, last) = (*cells.keys().next()?, *cells.keys().last()?);
        Some((*row, first, last))
    };
    let (added, old): (Vec<_>, Vec<_>) = edits.cells.iter().filter_map(cells).partition(|(row, ..)| *row > shape.last_row);
    let mut areas: Vec<Area> = old.into_iter().map(|(row, first, last)| ((first, row), (last, row))).collect();
    let first = added.iter().map(|(row, ..)| *row).min();
    if let (Some(top), Some(bottom)) = (first, added.iter().map(|(row, ..)| *row).max()) {
        let (left, right) = (added.iter().map(|c| c.1).min().unwrap_or(1), added.iter().map(|c| c.2).max().unwrap_or(1));
        areas.push(((left, top), (right, bottom)));
    }
    if edits.moving.by > 0 {
        areas.push(((1, edits.moving.from), (MAX_COLUMNS, MAX_ROWS)));
    }
    areas.into_iter().map(|area| (sheet, area)).collect()
}

/// Rows of totals, which grow with the rows above them, and rows that move.
fn totals(shape: &Shape, edits: &Edits) -> Vec<Area> {
    let moves = |row: u32| edits.moving.row(row) != row;
    let grows = |below: &Below| edits.moving.new_last > edits.moving.last && below.has_total();
    let rows = shape.below.iter().filter(|(row, below)| moves(**row) || grows(below));
    rows.map(|(row, _)| ((1, *row), (MAX_COLUMNS, *row))).collect()
}

/// Rows that something refers to by their number are not moved.
fn can_move<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    sheets: &[SheetPart],
    sheet: usize,
    shape: &Shape,
    place: &Place,
    table: Option<&Table>,
) -> Result<(), Unwritten> {
    let moving = place.moving;
    if moving.by == 0 {
        return Ok(());
    }
    let totals = table.filter(|t| t.has_totals).map_or(0, |t| t.to.1);
    let lowest = shape.below.keys().last().copied().unwrap_or(0).max(totals);
    let title = sheets[sheet].title.as_str();
    let is_moved = |row: u32| (moving.from..=lowest).contains(&row);
    let refers = |formula: &str, is_here: bool| {
        references(formula).any(|r| {
            let ((_, top), (_, bottom)) = r.area();
            (r.is_to(title) || is_here && r.sheet.is_none()) && (is_moved(top) || is_moved(bottom))
        })
    };
    let refuse = |at: &str| {
        let what = match totals > 0 {
            true => "the total row of the table, which has to move down; refer to the table column instead".to_owned(),
            false => {
                format!("row {} or below, which has to move down for a new row; write the total above the titles instead", moving.from)
            }
        };
        Err(Unwritten::Never(format!("a formula in {at} refers to {what}")))
    };
    for (n, other) in sheets.iter().enumerate() {
        let mut found = false;
        let part = archive.by_name(&other.part).map_err(damaged)?.take(MAX_PART);
        find::each_formula(BufReader::new(part), |(_, row), _, text| {
            found |= !(n == sheet && row >= moving.from) && refers(text, n == sheet);
        })
        .map_err(damaged)?;
        if found {
            return refuse(&format!("the sheet {}", other.title));
        }
    }
    let mut named = false;
    each_text(&text_of(archive, WORKBOOK)?, "definedName", |tag, formula| {
        // Names that begin so are those of print areas and filters.
        let is_built_in = attribute(tag, "name").is_some_and(|name| name.starts_with("_xlnm."));
        named |= !is_built_in && refers(formula, false);
    })?;
    if named {
        return refuse("a name of the workbook");
    }
    for link in links(archive, &sheets[sheet].part)?.into_iter().filter(|l| l.kind.ends_with("/comments")) {
        let mut noted = None;
        each_tag(&text_of(archive, &link.target)?, "comment", |tag| {
            let at = attribute(tag, "ref").unwrap_or_default();
            noted = noted.take().or(Some(at).filter(|at| at_cell(at).is_some_and(|(_, row)| is_moved(row))));
        })?;
        if let Some(at) = noted {
            let why = format!("the row of {at} has to move down for a new row, and the note at {at} cannot be moved");
            return Err(Unwritten::Never(format!("{why}; delete the note, or write it above the titles")));
        }
    }
    Ok(())
}
