//! What a batch of rows does to a sheet: which cells of which rows change, and which rows and columns are added. The same
//! for `.csv` and `.xlsx`, whose modules write it to a file. Rows are found in [`super::search`].

use std::collections::{BTreeMap, BTreeSet};

use super::date;
use super::row::{Cell, Mode, NotWritten, Row};
use super::search::{At, Fit, Search, column, described, spelled, values};
use crate::expr::moment::moment;

/// What a batch does to one sheet.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// Columns that are added after the last one.
    pub titles: Vec<(u32, String)>,
    /// Cells by row and column.
    pub old: BTreeMap<u32, BTreeMap<u32, Cell>>,
    pub new: Vec<BTreeMap<u32, Cell>>,
    /// Rows of the file that are deleted, and new ones that later rows of the batch delete again.
    pub deleted: BTreeSet<u32>,
    dropped: BTreeSet<usize>,
    /// The rows of the batch, by their position, that are added.
    pub added: BTreeSet<usize>,
}
/// What a planner has to know about a sheet.
pub(super) struct Sheet<'s> {
    /// The sheet's name in messages.
    pub name: &'s str,
    pub header: Vec<(u32, String)>,
    /// Where the next new column goes, and the last column that a file of this kind can have.
    pub next_column: u32,
    pub most_columns: u32,
    /// Why a cell must not be changed, if so: `contains a formula; …`.
    pub locked: &'s dyn Fn(u32, u32) -> Option<String>,
    /// Other rows, in which the titles may be.
    pub others: Vec<(u32, Vec<String>)>,
    pub fit: Fit<'s>,
}

/// Plans the changes for rows, in order; for each row that cannot be written, the reason.
pub(super) fn plan(sheet: &mut Sheet, mut search: Search, rows: &[&Row]) -> (Changes, Vec<Option<NotWritten>>) {
    let mut changes = Changes::default();
    let refused = rows.iter().enumerate().map(|(n, row)| one(sheet, &mut search, (n, row), &mut changes).err()).collect();
    let dropped = std::mem::take(&mut changes.dropped);
    let mut at = 0..;
    changes.new.retain(|_| at.next().is_none_or(|at| !dropped.contains(&at)));
    (changes, refused)
}

fn one(sheet: &mut Sheet, search: &mut Search, (number, row): (usize, &Row), changes: &mut Changes) -> Result<(), NotWritten> {
    let name = sheet.name;
    if row.mode == Mode::Delete {
        return delete(sheet, search, row, changes);
    }
    let (mut cells, added) = columns_of(sheet, row)?;
    let found = match row.mode {
        Mode::Add | Mode::Delete | Mode::Find => Vec::new(),
        Mode::Update | Mode::AddOrUpdate => {
            let values = values(row, sheet.fit).map_err(|why| format!("{name}: {why}"))?;
            let found = search.find(row, &values, name)?;
            if found.is_empty() && row.mode == Mode::Update {
                return Err(format!("{name} has no row where {}", described(row, &values)).into());
            }
            found
        }
    };
    let (mut older, mut wanted) = (None, Vec::with_capacity(found.len()));
    for at in &found {
        match is_newer(sheet, search, row, &cells, *at, changes) {
            Ok(()) => wanted.push(*at),
            Err(NotWritten::NotNeeded(why)) => older = Some(why),
            Err(refused) => return Err(refused),
        }
    }
    if let (true, Some(why)) = (wanted.is_empty(), older) {
        return Err(NotWritten::NotNeeded(why));
    }
    if wanted.iter().any(|at| matches!(at, At::Old(_))) {
        // The value by which it was found is already there, as it was originally written.
        cells.retain(|c, _| !is_matched(row, &sheet.header, *c));
    }
    for at in &wanted {
        let At::Old(at) = *at else { continue };
        let locked = cells.keys().find_map(|c| Some((*c, (sheet.locked)(at, *c)?)));
        if let Some((column, why)) = locked {
            let title = sheet.header.iter().find(|(c, _)| *c == column).map_or("", |(_, t)| t.as_str());
            return Err(format!("{name}: the cell under {title} in row {at} {why}").into());
        }
    }
    sheet.next_column += added.len() as u32;
    sheet.header.extend(added.iter().cloned());
    changes.titles.extend(added);
    for at in &wanted {
        match at {
            At::New(at) => {
                changes.new[*at].extend(cells.clone());
                changes.added.insert(number);
            }
            At::Old(at) => changes.old.entry(*at).or_default().extend(cells.clone()),
        }
    }
    if found.is_empty() {
        search.added(changes.new.len(), &cells);
        changes.new.push(cells);
        changes.added.insert(number);
    }
    Ok(())
}

/// Deletes what a row describes.
fn delete(sheet: &Sheet, search: &mut Search, row: &Row, changes: &mut Changes) -> Result<(), NotWritten> {
    let name = sheet.name;
    let (found, values) = find(sheet, search, row)?;
    if found.is_empty() {
        return Err(NotWritten::NotNeeded(format!("{name} has no row where {}, so nothing is deleted", described(row, &values))));
    }
    for at in &found {
        match at {
            At::Old(at) => {
                changes.old.remove(at);
                changes.deleted.insert(*at);
            }
            At::New(at) => drop(changes.dropped.insert(*at)),
        }
    }
    search.forget(&found);
    Ok(())
}

/// The rows that a row describes, and the values by which it does; every column that it names must exist.
pub(super) fn find(sheet: &Sheet, search: &Search, row: &Row) -> Result<(Vec<At>, Vec<String>), String> {
    let name = sheet.name;
    for title in &row.matching {
        if column(&sheet.header, title).map_err(|why| format!("{name} {why}"))?.is_none() {
            return Err(no_column(name, title, row, sheet.header.iter().map(|(_, h)| h.as_str()), &sheet.others));
        }
    }
    let values = values(row, sheet.fit).map_err(|why| format!("{name}: {why}"))?;
    Ok((search.find(row, &values, name)?, values))
}

/// Says that a title is missing, or that it is not where it was looked for.
pub(super) fn no_column<'t>(
    name: &str,
    title: &str,
    row: &Row,
    titles: impl Iterator<Item = &'t str>,
    others: &[(u32, Vec<String>)],
) -> String {
    match elsewhere(row, others) {
        Some(other) => {
            format!("{name} has no column `{title}` where the titles are expected, but row {other} has it; write `title_row: {other}`")
        }
        None => format!("{name} has no column `{title}`; it has: {}", titles.collect::<Vec<_>>().join(", ")),
    }
}

/// The row that contains all titles that a rule uses, if there is one.
fn elsewhere(row: &Row, others: &[(u32, Vec<String>)]) -> Option<u32> {
    let has_all = |titles: &[String]| row.cells.iter().all(|(title, _)| titles.iter().any(|t| t == title.trim()));
    others.iter().find(|(_, titles)| has_all(titles)).map(|(n, _)| *n)
}

/// Whether a row is later than the one that it changes, as far as the rule asks for that.
fn is_newer(sheet: &Sheet, search: &Search, row: &Row, cells: &BTreeMap<u32, Cell>, at: At, changes: &Changes) -> Result<(), NotWritten> {
    let Some(title) = &row.newer_than else { return Ok(()) };
    let name = sheet.name;
    let Some(column) = column(&sheet.header, title).ok().flatten() else { return Ok(()) };
    let planned = match at {
        At::Old(at) => changes.old.get(&at),
        At::New(at) => changes.new.get(at),
    };
    let kept = || if let At::Old(at) = at { search.values.get(&(at, column)).cloned() } else { None };
    let old = planned.and_then(|cells| cells.get(&column)).map(spelled).or_else(kept).unwrap_or_default();
    let new = cells.get(&column).map(spelled).unwrap_or_default();
    let (old, new) = (date::unmarked(&old), date::unmarked(&new));
    if old.is_empty() {
        return Ok(());
    }
    match (moment(old), moment(new)) {
        (Some(old), Some(new)) if new > old => Ok(()),
        (Some(_), Some(_)) => {
            Err(NotWritten::NotNeeded(format!("{name}: {title} is {new}, which is not later than {old}, so nothing changes")))
        }
        _ => {
            let wrong = if moment(new).is_none() { new } else { old };
            let which = if moment(new).is_none() { "new" } else { "current" };
            Err(format!("{name}: the {which} value of {title}, `{wrong}`, is neither a date nor a number, so it cannot be compared").into())
        }
    }
}

/// Cells by column, and columns to be added with their titles.
type Columns = (BTreeMap<u32, Cell>, Vec<(u32, String)>);

fn columns_of(sheet: &Sheet, row: &Row) -> Result<Columns, String> {
    let name = sheet.name;
    let (mut cells, mut added) = (BTreeMap::new(), Vec::new());
    for (title, cell) in &row.cells {
        let fitting = (sheet.fit)(row, title, cell)?;
        let known = column(&sheet.header, title).and_then(|known| Ok(known.or(column(&added, title)?)));
        let at = match known.map_err(|why| format!("{name} {why}"))? {
            Some(at) => at,
            None => {
                if !row.new_columns || elsewhere(row, &sheet.others).is_some() {
                    return Err(no_column(name, title, row, sheet.header.iter().map(|(_, h)| h.as_str()), &sheet.others));
                }
                let at = sheet.next_column + added.len() as u32;
                if at > sheet.most_columns {
                    let most = sheet.most_columns;
                    return Err(format!("{name} is full: a sheet has at most {most} columns, so `{title}` cannot be added"));
                }
                added.push((at, title.trim().to_owned()));
                at
            }
        };
        cells.insert(at, fitting);
    }
    Ok((cells, added))
}

fn is_matched(row: &Row, header: &[(u32, String)], at: u32) -> bool {
    row.matching.iter().any(|title| column(header, title) == Ok(Some(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(mode: Mode, matching: &[&str], cells: &[(&str, Cell)]) -> Row {
        Row {
            cells: cells.iter().map(|(t, v)| ((*t).to_owned(), v.clone())).collect(),
            guard: true,
            mode,
            matching: matching.iter().map(|t| (*t).to_owned()).collect(),
            ..Row::default()
        }
    }

    fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    fn number(number: &str) -> Cell {
        Cell::Number(number.to_owned())
    }

    fn fit(_: &Row, _: &str, cell: &Cell) -> Result<Cell, String> {
        Ok(cell.clone())
    }

    fn sheet(header: &[&str]) -> Sheet<'static> {
        let header: Vec<(u32, String)> = (1..).zip(header.iter().map(|t| (*t).to_owned())).collect();
        let next_column = header.len() as u32 + 1;
        Sheet { name: "c.csv", header, next_column, most_columns: 16_384, locked: &|_, _| None, others: Vec::new(), fit: &fit }
    }

    #[test]
    fn rows_are_found_changed_and_added_in_order_or_rejected_with_the_reason() {
        let mut sheet = sheet(&["Email", "Name"]);
        let with = |mode: Mode, email: &str, name: &str| Row {
            ignore_case: true,
            ..row(mode, &["Email"], &[("Email", text(email)), ("Name", text(name))])
        };
        let rows = [
            with(Mode::AddOrUpdate, "ADA@x", "Ada"),
            with(Mode::AddOrUpdate, "bob@x", "Bob"),
            with(Mode::AddOrUpdate, "bob@x", "Robert"),
            with(Mode::Update, "eve@x", "Eve"),
            with(Mode::Update, "two@x", "Two"),
            with(Mode::Update, "", "Nobody"),
        ];
        let mut search = Search::new(&sheet.header, rows.iter(), &fit);
        for (n, email) in [(2, "ada@x"), (3, "two@x"), (4, "two@x"), (5, "other@x")] {
            search.look(n, &|_| Some(email.to_owned()));
        }
        let (changes, refused) = plan(&mut sheet, search, &rows.iter().collect::<Vec<_>>());
        assert_eq!(changes.old, BTreeMap::from([(2, BTreeMap::from([(2, text("Ada"))]))]));
        assert_eq!((changes.new.len(), changes.added), (1, BTreeSet::from([1, 2])));
        assert_eq!(changes.new[0][&2], text("Robert"));
        let refused: Vec<NotWritten> = refused.into_iter().flatten().collect();
        assert_eq!(
            refused,
            [
                "c.csv has no row where Email is eve@x",
                "c.csv has two rows where Email is two@x: rows 3 and 4; `all: true` means all of them",
                "c.csv: the value for Email is empty, so it cannot identify a row",
            ]
            .map(|why| NotWritten::Refused(why.to_owned()))
        );
    }

    /// The value that is looked for, the cell, and whether they are the same.
    #[test]
    fn text_matches_character_by_character_and_a_number_by_its_value() {
        for (wanted, cell, is_same) in [
            (text("007"), text("7"), false),
            (text("1.10"), text("1.1"), false),
            (text("00123"), number("123"), false),
            (number("123"), text("00123"), false),
            (text("5.0"), number("5"), false),
            (text("5"), number("5"), true),
            (text("5"), number("5.0"), true),
            (number("5"), text("5"), true),
            (number("5.0"), number("5"), true),
            (number("1E5"), number("100000"), true),
            (number("19.99"), number("19.989999999999998"), true),
            (number("1.1"), number("1.1000000000000001"), true),
            (number("19.99"), number("19.98"), false),
            (text("12345678901234567890"), text("12345678901234567890"), true),
            (text("12345678901234567890"), number("12345678901234567891"), false),
            (text("a"), text("A"), false),
            (text("'=1"), text("=1"), true),
            (text("true"), Cell::Bool(true), true),
            (text("2026-05-01"), text("2026-05-01"), true),
            (text("2026-05-01T00:00:00Z"), text("2026-05-01"), false),
        ] {
            let rows = [row(Mode::Update, &["Id"], &[("Id", wanted.clone()), ("Name", text("x"))])];
            let mut sheet = sheet(&["Id", "Name"]);
            let mut search = Search::new(&sheet.header, rows.iter(), &fit);
            search.look(2, &|_| Some(spelled(&cell)));
            let (changes, _) = plan(&mut sheet, search, &[&rows[0]]);
            assert_eq!(changes.old.contains_key(&2), is_same, "{wanted:?} {cell:?}");
        }
    }

    #[test]
    fn a_date_in_a_cell_matches_every_spelling_of_it() {
        for (wanted, is_same) in [
            ("2026-05-01", true),
            ("2026-05-01T00:00:00Z", true),
            ("2026-05-01 00:00", true),
            ("2026-05-01T10:30:00+02:00", false),
            ("2026-05-02", false),
            ("46143", false),
        ] {
            let rows = [row(Mode::Update, &["Day"], &[("Day", text(wanted)), ("Name", text("x"))])];
            let mut sheet = sheet(&["Day", "Name"]);
            let mut search = Search::new(&sheet.header, rows.iter(), &fit);
            search.look(2, &|_| date::of_number(46_143.0, false));
            let (changes, _) = plan(&mut sheet, search, &[&rows[0]]);
            assert_eq!(changes.old.contains_key(&2), is_same, "{wanted}");
        }
    }

    #[test]
    fn all_rows_that_match_are_changed_or_deleted_if_the_rule_says_so() {
        let header = ["Email", "Name"];
        let named = |mode, email: &str, all| Row { all, ..row(mode, &["Email"], &[("Email", text(email)), ("Name", text("x"))]) };
        let gone = |email: &str, all| Row { all, ..row(Mode::Delete, &["Email"], &[("Email", text(email))]) };
        let rows = [
            named(Mode::Update, "two@x", true),
            gone("two@x", false),
            gone("two@x", true),
            gone("two@x", true),
            named(Mode::AddOrUpdate, "new@x", true),
            named(Mode::AddOrUpdate, "kept@x", true),
            gone("new@x", false),
            gone("", false),
            row(Mode::Delete, &["Mail"], &[("Mail", text("x"))]),
        ];
        let mut sheet = sheet(&header);
        let mut search = Search::new(&sheet.header, rows.iter(), &fit);
        for (n, email) in [(2, "two@x"), (3, "one@x"), (4, "two@x")] {
            search.look(n, &|c| (c == 1).then(|| email.to_owned()));
        }
        let (changes, refused) = plan(&mut sheet, search, &rows.iter().collect::<Vec<_>>());
        assert_eq!((changes.deleted, changes.old.len(), changes.new.len()), (BTreeSet::from([2, 4]), 0, 1));
        assert_eq!(changes.new[0][&1], text("kept@x"));
        let no = |why: &str| Some(NotWritten::Refused(why.to_owned()));
        let expected = [
            None,
            no("c.csv has two rows where Email is two@x: rows 2 and 4; `all: true` means all of them"),
            None,
            Some(NotWritten::NotNeeded("c.csv has no row where Email is two@x, so nothing is deleted".to_owned())),
            None,
            None,
            None,
            no("c.csv: the value for Email is empty, so it cannot identify a row"),
            no("c.csv has no column `Mail`; it has: Email, Name"),
        ];
        assert_eq!(refused, expected);
    }

    #[test]
    fn a_title_that_two_columns_have_is_rejected_only_where_it_is_used() {
        let rows = [row(Mode::Add, &[], &[("Name", text("x"))]), row(Mode::Add, &[], &[("Total", text("1"))])];
        let mut sheet = sheet(&["Name", "Name", "Total"]);
        let (changes, refused) = plan(&mut sheet, Search::default(), &rows.iter().collect::<Vec<_>>());
        let why = "c.csv has two columns with the title `Name`, columns 1 and 2; give each of them its own title";
        assert_eq!((changes.new.len(), refused), (1, vec![Some(why.to_owned().into()), None]));
    }

    #[test]
    fn no_column_is_added_after_the_last_one_that_a_file_can_have() {
        let rows = [Row { new_columns: true, ..row(Mode::Add, &[], &[("Id", text("x")), ("New", text("1"))]) }];
        let mut sheet = Sheet { most_columns: 1, ..sheet(&["Id"]) };
        let (changes, refused) = plan(&mut sheet, Search::default(), &[&rows[0]]);
        let why = "c.csv is full: a sheet has at most 1 columns, so `New` cannot be added";
        assert_eq!((changes, refused), (Changes::default(), vec![Some(why.to_owned().into())]));
    }
}
