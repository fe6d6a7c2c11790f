//! Rows that were found, as a rule sees them: by column title, and no more of them than a run can carry.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value};

use super::search::At;

/// The most rows of one step, and the most bytes of text in them.
const MOST_ROWS: usize = 1_000;
const MOST_BYTES: usize = 1 << 20;

/// The values of a row, by column title.
pub(super) type Values = Map<String, Value>;

/// What one step found.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Found {
    /// How many rows there are.
    pub count: usize,
    /// The first of them.
    rows: Vec<Values>,
    bytes: usize,
}

impl Found {
    /// Rows that somebody made up.
    pub(super) fn given(rows: Vec<Values>) -> Self {
        Self { count: rows.len(), rows, bytes: 0 }
    }

    /// What a rule sees: `count`, `rows`, and the first of them as `row`, if there is one.
    pub(super) fn into_value(self) -> Value {
        let mut value = Map::new();
        if let Some(first) = self.rows.first() {
            value.insert("row".to_owned(), Value::Object(first.clone()));
        }
        value.insert("rows".to_owned(), self.rows.into_iter().map(Value::Object).collect());
        value.insert("count".to_owned(), self.count.into());
        Value::Object(value)
    }
}

/// Columns by the number of their cells; a title that two of them have does not say which one is meant.
pub(super) fn by_title(header: &[(u32, String)]) -> BTreeMap<u32, &str> {
    let (mut seen, mut twice) = (HashSet::new(), HashSet::new());
    for (_, title) in header {
        if !seen.insert(title.as_str()) {
            twice.insert(title.as_str());
        }
    }
    let known = header.iter().map(|(column, title)| (*column, title.as_str()));
    known.filter(|(_, title)| !title.is_empty() && !twice.contains(title)).collect()
}

/// The rows that several steps found in one sheet, gathered in a single pass.
pub(super) struct Gathered {
    /// Which steps want a row.
    by_row: BTreeMap<u32, Vec<usize>>,
    found: Vec<Result<Found, String>>,
}

impl Gathered {
    /// For each step the rows that it wants, or why it cannot be done.
    pub(super) fn new(wanted: Vec<Result<Vec<At>, String>>) -> Self {
        let mut by_row: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        let mut found = Vec::with_capacity(wanted.len());
        for (n, wanted) in wanted.into_iter().enumerate() {
            found.push(wanted.map(|rows| {
                let count = rows.len();
                let mut numbers: Vec<u32> =
                    rows.into_iter().filter_map(|at| if let At::Old(row) = at { Some(row) } else { None }).collect();
                numbers.sort_unstable();
                numbers.into_iter().take(MOST_ROWS).for_each(|row| by_row.entry(row).or_default().push(n));
                Found { count, ..Found::default() }
            }));
        }
        Self { by_row, found }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_row.is_empty()
    }

    pub(super) fn wants(&self, row: u32) -> bool {
        self.by_row.contains_key(&row)
    }

    /// Adds a row; rows come in the order of the sheet.
    pub(super) fn add(&mut self, row: u32, values: &Values) {
        let size = |value: &Value| value.as_str().map_or(16, str::len);
        let bytes: usize = values.iter().map(|(title, value)| title.len() + size(value)).sum();
        for n in self.by_row.remove(&row).unwrap_or_default() {
            let Ok(found) = &mut self.found[n] else { continue };
            if found.rows.is_empty() && bytes > MOST_BYTES {
                self.found[n] = Err(format!("row {row} has more than {} MB of text, which is too much for a step", MOST_BYTES >> 20));
                continue;
            }
            found.bytes = found.bytes.saturating_add(bytes);
            // Once a row is left out, those after it are, too.
            if found.bytes <= MOST_BYTES {
                found.rows.push(values.clone());
            }
        }
    }

    pub(super) fn found(self) -> Vec<Result<Found, String>> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_step_sees_the_first_rows_and_how_many_there_are() {
        let rows = |numbers: &[u32]| Ok(numbers.iter().map(|n| At::Old(*n)).collect());
        let many: Vec<u32> = (2..2_000).collect();
        let mut gathered = Gathered::new(vec![rows(&[5, 3]), Err("no".into()), rows(&[]), rows(&many)]);
        assert!(gathered.wants(3) && !gathered.wants(1_500));
        for row in 1..2_000 {
            let values = json!({ "Row": row.to_string() });
            gathered.add(row, values.as_object().unwrap());
        }
        let found = gathered.found();
        let value = |n: usize| found[n].clone().unwrap().into_value();
        assert_eq!(value(0), json!({ "row": { "Row": "3" }, "rows": [{ "Row": "3" }, { "Row": "5" }], "count": 2 }));
        assert_eq!(found[1], Err("no".to_owned()));
        assert_eq!(value(2), json!({ "rows": [], "count": 0 }));
        assert_eq!((value(3)["rows"].as_array().unwrap().len(), &value(3)["count"]), (1_000, &json!(1_998)));
    }

    #[test]
    fn large_rows_are_left_out_and_one_that_is_too_large_is_an_error() {
        let values = |length: usize| json!({ "A": "x".repeat(length) }).as_object().unwrap().clone();
        let mut gathered = Gathered::new(vec![Ok(vec![At::Old(2), At::Old(3), At::Old(4)]), Ok(vec![At::Old(5)])]);
        [(2, 600_000), (3, 600_000), (4, 10), (5, 2_000_000)].into_iter().for_each(|(row, length)| gathered.add(row, &values(length)));
        let found = gathered.found();
        assert_eq!(found[0].as_ref().map(|f| (f.rows.len(), f.count)), Ok((1, 3)));
        assert_eq!(found[1].clone().unwrap_err(), "row 5 has more than 1 MB of text, which is too much for a step");
    }

    #[test]
    fn a_title_that_is_empty_or_comes_twice_names_no_column() {
        let header: Vec<(u32, String)> = (1..).zip(["A", "", "B", "A", "C"].map(str::to_owned)).collect();
        assert_eq!(by_title(&header), BTreeMap::from([(3, "B"), (5, "C")]));
    }
}
