//! What a batch of rows does to a sheet: which cells of which rows change, and which rows and columns are added. The same
//! for `.csv` and `.xlsx`, whose modules write it to a file.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::row::{Cell, Mode, Row};
use crate::expr::number;

/// Where a row is: its number in the file, or its position among the added rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Old(u32),
    New(usize),
}

/// The rows of a sheet that a batch looks for, found in a single pass.
#[derive(Default)]
pub(super) struct Search {
    sets: Vec<Set>,
    /// Every value to look for, in any column.
    words: HashSet<String>,
}

/// The rows that are looked up by the same columns.
struct Set {
    titles: Vec<String>,
    columns: Vec<u32>,
    ignore_case: bool,
    wanted: HashSet<String>,
    found: HashMap<String, Vec<At>>,
}

/// How a value is compared: numbers by value, text by its characters. An apostrophe that protects it is ignored.
fn key(text: &str, ignore_case: bool) -> String {
    let text = text.strip_prefix('\'').filter(|rest| rest.starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])).unwrap_or(text);
    match number::canonical(text).filter(|_| number::is_plain(text)) {
        Some(canonical) => format!("n{canonical}"),
        None if ignore_case => format!("t{}", text.to_lowercase()),
        None => format!("t{text}"),
    }
}

fn spelled(cell: &Cell) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Text(text) | Cell::Number(text) => text.clone(),
        Cell::Bool(b) => b.to_string(),
    }
}

fn column(header: &[(u32, String)], title: &str) -> Option<u32> {
    header.iter().find(|(_, h)| h == title.trim()).map(|(c, _)| *c)
}

/// The values by which a row is looked up; the error names the empty one.
fn values(row: &Row) -> Result<Vec<String>, String> {
    let value = |title: &String| {
        let cell = row.cells.iter().find(|(t, _)| t.trim() == title.trim()).map(|(_, c)| spelled(c)).unwrap_or_default();
        if cell.is_empty() { Err(format!("the value for {title} is empty, so it cannot identify a row")) } else { Ok(cell) }
    };
    row.matching.iter().map(value).collect()
}

fn joined(values: &[String], ignore_case: bool) -> String {
    values.iter().map(|v| key(v, ignore_case)).collect::<Vec<_>>().join("\u{1f}")
}

impl Search {
    pub(super) fn new<'r>(header: &[(u32, String)], rows: impl Iterator<Item = &'r Row>) -> Self {
        let mut search = Self::default();
        for row in rows.filter(|r| r.mode != Mode::Add) {
            let Some(columns) = row.matching.iter().map(|t| column(header, t)).collect::<Option<Vec<_>>>() else { continue };
            let Ok(values) = values(row) else { continue };
            let at = search.sets.iter().position(|s| s.columns == columns && s.ignore_case == row.ignore_case).unwrap_or_else(|| {
                let (titles, ignore_case) = (row.matching.clone(), row.ignore_case);
                search.sets.push(Set { titles, columns, ignore_case, wanted: HashSet::new(), found: HashMap::new() });
                search.sets.len() - 1
            });
            search.sets[at].wanted.insert(joined(&values, row.ignore_case));
            search.words.extend(values.iter().map(|v| key(v, true)));
        }
        search
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// The columns that have to be read.
    pub(super) fn columns(&self) -> BTreeSet<u32> {
        self.sets.iter().flat_map(|s| s.columns.iter().copied()).collect()
    }

    /// Whether a value is looked for in any column; other values can be dropped.
    pub(super) fn wants(&self, text: &str) -> bool {
        self.words.contains(&key(text, true))
    }

    /// Checks one row; returns whether it is one of those looked for.
    pub(super) fn look(&mut self, row: u32, cell: &dyn Fn(u32) -> Option<String>) -> bool {
        let mut any = false;
        for set in &mut self.sets {
            let values: Option<Vec<String>> = set.columns.iter().map(|c| cell(*c).filter(|t| !t.is_empty())).collect();
            let Some(key) = values.map(|v| joined(&v, set.ignore_case)) else { continue };
            if set.wanted.contains(&key) {
                set.found.entry(key).or_default().push(At::Old(row));
                any = true;
            }
        }
        any
    }

    /// A row that was added can be found by later rows of the batch.
    fn added(&mut self, at: usize, row: &BTreeMap<u32, Cell>) {
        for set in &mut self.sets {
            let values: Option<Vec<String>> = set.columns.iter().map(|c| row.get(c).map(spelled).filter(|t| !t.is_empty())).collect();
            if let Some(key) = values.map(|v| joined(&v, set.ignore_case)) {
                set.found.entry(key).or_default().push(At::New(at));
            }
        }
    }

    /// The one row that matches, if there is one.
    fn find(&self, row: &Row, values: &[String], name: &str) -> Result<Option<At>, String> {
        let key = joined(values, row.ignore_case);
        let set = self.sets.iter().find(|s| s.titles == row.matching && s.ignore_case == row.ignore_case);
        let found = set.and_then(|s| s.found.get(&key)).map(Vec::as_slice).unwrap_or_default();
        match found {
            [] => Ok(None),
            [one] => Ok(Some(*one)),
            [At::Old(a), At::Old(b), ..] => Err(format!("{name} has two rows where {}: rows {a} and {b}", described(row, values))),
            _ => Err(format!("{name} has two rows where {}", described(row, values))),
        }
    }
}

/// `Email is ada@example.com and Shop is 7`.
fn described(row: &Row, values: &[String]) -> String {
    let both = row.matching.iter().zip(values).map(|(title, value)| format!("{title} is {value}"));
    both.collect::<Vec<_>>().join(" and ")
}

/// What a batch does to one sheet.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// Columns that are added after the last one.
    pub titles: Vec<(u32, String)>,
    /// Cells by row and column.
    pub old: BTreeMap<u32, BTreeMap<u32, Cell>>,
    pub new: Vec<BTreeMap<u32, Cell>>,
}

/// What a planner has to know about a sheet.
pub(super) struct Sheet<'s> {
    /// The sheet's name in messages.
    pub name: &'s str,
    pub header: Vec<(u32, String)>,
    /// The last column with any content.
    pub last_column: u32,
    /// Cells of found rows that contain a formula.
    pub formulas: HashMap<u32, Vec<u32>>,
    /// Converts a value of a row to what a cell of this kind of file can hold. It receives the row because rows of several
    /// rules are written together, each with its own settings. The result is what is planned, so nothing is added later.
    pub fit: &'s dyn Fn(&Row, &str, &Cell) -> Result<Cell, String>,
}

/// Plans the changes for rows, in order; for each row that cannot be written, the reason.
pub(super) fn plan(sheet: &mut Sheet, mut search: Search, rows: &[&Row]) -> (Changes, Vec<Option<String>>) {
    let mut changes = Changes::default();
    let refused = rows.iter().map(|row| one(sheet, &mut search, row, &mut changes).err()).collect();
    (changes, refused)
}

fn one(sheet: &mut Sheet, search: &mut Search, row: &Row, changes: &mut Changes) -> Result<(), String> {
    let name = sheet.name;
    let unknown = |header: &[(u32, String)], title: &str| {
        let known: Vec<&str> = header.iter().map(|(_, h)| h.as_str()).collect();
        format!("{name} has no column `{title}`; it has: {}", known.join(", "))
    };
    let mut added = Vec::new();
    let mut cells = BTreeMap::new();
    for (title, cell) in &row.cells {
        let fitting = (sheet.fit)(row, title, cell)?;
        let at = match column(&sheet.header, title).or_else(|| column(&added, title)) {
            Some(at) => at,
            None if row.new_columns => {
                let at = sheet.last_column + 1 + added.len() as u32;
                added.push((at, title.trim().to_owned()));
                at
            }
            None => return Err(unknown(&sheet.header, title)),
        };
        cells.insert(at, fitting);
    }
    let found = match row.mode {
        Mode::Add => None,
        Mode::Update | Mode::AddOrUpdate => {
            let values = values(row).map_err(|why| format!("{name}: {why}"))?;
            let found = search.find(row, &values, name)?;
            if found.is_none() && row.mode == Mode::Update {
                return Err(format!("{name} has no row where {}", described(row, &values)));
            }
            found
        }
    };
    if let Some(At::Old(at)) = found {
        let formula = sheet.formulas.get(&at).into_iter().flatten().find(|c| cells.contains_key(c) && !is_matched(row, &sheet.header, **c));
        if let Some(column) = formula {
            let title = sheet.header.iter().find(|(c, _)| c == column).map_or("", |(_, t)| t.as_str());
            return Err(format!(
                "{name}: the cell under {title} in row {at} contains a formula, which Doorbell does not overwrite; remove the column from the rule"
            ));
        }
    }
    sheet.last_column += added.len() as u32;
    sheet.header.extend(added.iter().cloned());
    changes.titles.extend(added);
    match found {
        None => {
            search.added(changes.new.len(), &cells);
            changes.new.push(cells);
        }
        Some(At::New(at)) => changes.new[at].extend(cells),
        Some(At::Old(at)) => {
            // The value by which it was found is already there, as it was originally written.
            cells.retain(|c, _| !is_matched(row, &sheet.header, *c));
            changes.old.entry(at).or_default().extend(cells);
        }
    }
    Ok(())
}

fn is_matched(row: &Row, header: &[(u32, String)], at: u32) -> bool {
    row.matching.iter().any(|title| column(header, title) == Some(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(mode: Mode, matching: &[&str], cells: &[(&str, &str)]) -> Row {
        Row {
            cells: cells.iter().map(|(t, v)| ((*t).to_owned(), Cell::Text((*v).to_owned()))).collect(),
            sheet: None,
            guard: true,
            mode,
            matching: matching.iter().map(|t| (*t).to_owned()).collect(),
            ignore_case: true,
            new_columns: false,
        }
    }

    #[test]
    fn rows_are_found_changed_and_added_in_order_or_rejected_with_the_reason() {
        let header = vec![(1, "Email".to_owned()), (2, "Name".to_owned())];
        let rows = [
            row(Mode::AddOrUpdate, &["Email"], &[("Email", "ADA@x"), ("Name", "Ada")]),
            row(Mode::AddOrUpdate, &["Email"], &[("Email", "bob@x"), ("Name", "Bob")]),
            row(Mode::AddOrUpdate, &["Email"], &[("Email", "bob@x"), ("Name", "Robert")]),
            row(Mode::Update, &["Email"], &[("Email", "eve@x"), ("Name", "Eve")]),
            row(Mode::Update, &["Email"], &[("Email", "two@x"), ("Name", "Two")]),
            row(Mode::Update, &["Email"], &[("Email", ""), ("Name", "Nobody")]),
        ];
        let mut search = Search::new(&header, rows.iter());
        for (n, email) in [(2, "ada@x"), (3, "two@x"), (4, "two@x"), (5, "other@x")] {
            search.look(n, &|_| Some(email.to_owned()));
        }
        let fit = |_: &Row, _: &str, cell: &Cell| Ok(cell.clone());
        let mut sheet = Sheet { name: "c.csv", header, last_column: 2, formulas: HashMap::new(), fit: &fit };
        let (changes, refused) = plan(&mut sheet, search, &rows.iter().collect::<Vec<_>>());
        assert_eq!(changes.old, BTreeMap::from([(2, BTreeMap::from([(2, Cell::Text("Ada".into()))]))]));
        assert_eq!(changes.new.len(), 1);
        assert_eq!(changes.new[0][&2], Cell::Text("Robert".into()));
        let refused: Vec<&str> = refused.iter().flatten().map(String::as_str).collect();
        assert_eq!(
            refused,
            [
                "c.csv has no row where Email is eve@x",
                "c.csv has two rows where Email is two@x: rows 3 and 4",
                "c.csv: the value for Email is empty, so it cannot identify a row",
            ]
        );
    }
}
