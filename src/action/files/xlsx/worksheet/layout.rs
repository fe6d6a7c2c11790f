//! Where new rows go: after the last row, into rows that are prepared for them, and above what is below the rows.

use std::collections::BTreeSet;

use super::super::formula::{Area, Move};
use super::reference::{MAX_ROWS, letters, range};
use super::shape::{Block, Kind, Shape};

/// Where new rows go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub first: u32,
    pub moving: Move,
}

/// A table, as far as rows are concerned.
pub(crate) struct Neighbour<'t> {
    pub name: &'t str,
    pub from: (u32, u32),
    pub to: (u32, u32),
}

/// Finds room for so many rows with values in these columns. The error says why there is none.
pub(crate) fn place(
    shape: &Shape,
    block: &Block,
    count: u32,
    written: &BTreeSet<u32>,
    others: &[Neighbour],
    has_totals: bool,
) -> Result<Place, String> {
    let mut first = shape.last_row + 1;
    // A form whose formulas are where the rule writes is not one that waits for the rule's values.
    while shape.below.get(&first).is_some_and(|below| below.cells.iter().any(|(c, kind)| *kind == Kind::Form && written.contains(c))) {
        first += 1;
    }
    let totals = block.table.filter(|_| has_totals).map(|(.., last)| last + 1);
    let free = (first..).take(count as usize).take_while(|row| totals != Some(*row) && is_free(shape, block, *row, written)).count() as u32;
    let last = block.table.map_or(shape.last_row, |(.., last)| last);
    let new_last = last.max(first - 1 + count);
    let moving = Move { from: first + free, by: count - free, last, new_last };
    let lowest = shape.below.keys().last().copied().unwrap_or(shape.last_row).max(totals.unwrap_or(0));
    let end = if moving.by > 0 { lowest.max(first - 1) + moving.by } else { new_last };
    if end > MAX_ROWS {
        return Err(format!("it is full: a sheet has at most {MAX_ROWS} rows"));
    }
    if moving.by > 0 {
        can_move(shape, block, &moving, others)?;
    }
    let rows = first..first + count;
    for area in shape.merged.iter().chain(&shape.arrays).filter(|a| a.0 != a.1) {
        let is_cut = moving.by > 0 && area.0.1 < moving.from && area.1.1 >= moving.from;
        let is_under =
            rows.start <= area.1.1 && area.0.1 < rows.end.min(moving.from) && written.iter().any(|c| (area.0.0..=area.1.0).contains(c));
        if is_cut || is_under {
            let what = if shape.merged.contains(area) { "merged into one cell; split it" } else { "one array formula; move it" };
            return Err(format!("{} are {what} in your spreadsheet program, so that there is room for a new row", spelled(area)));
        }
    }
    Ok(Place { first, moving })
}

/// Whether nothing is in a row that new values would replace or be next to.
fn is_free(shape: &Shape, block: &Block, row: u32, written: &BTreeSet<u32>) -> bool {
    let is_in_the_way = |(column, kind): &(u32, Kind)| match kind {
        Kind::Form => written.contains(column),
        _ => written.contains(column) || block.has(*column),
    };
    shape.below.get(&row).is_none_or(|below| !below.cells.iter().any(is_in_the_way))
}

/// Whole rows are moved, with everything that is in them. So nothing may be there that belongs to something else.
fn can_move(shape: &Shape, block: &Block, moving: &Move, others: &[Neighbour]) -> Result<(), String> {
    let no_room = |why: String| Err(format!("there is no room for a new row above row {}: {why}", moving.from));
    if let Some(other) = others.iter().find(|t| t.to.1 >= moving.from) {
        let advice = "move it to another sheet";
        return no_room(format!("the table {} in {} would have to move, too; {advice}", other.name, range(other.from, other.to)));
    }
    for (row, below) in shape.below.range(moving.from..) {
        if below.shares {
            return no_room(format!("row {row} shares a formula with another row, so it cannot be moved; write the formula again there"));
        }
        // What is next to the totals of a table is moved with them.
        let is_beside = block.table.is_some_and(|(.., last)| *row > last + 1);
        if let Some((column, _)) = below.cells.iter().find(|(c, _)| is_beside && !block.has(*c)) {
            return no_room(format!("{}{row} next to it would have to move, too; move it to another sheet", letters(*column)));
        }
    }
    Ok(())
}

fn spelled(area: &Area) -> String {
    range(area.0, area.1)
}

#[cfg(test)]
mod tests {
    use super::super::scan::scan;
    use super::*;

    /// Rows as lists of cells: text, a number, or a formula after `=`; where one new row with values in A and B goes.
    fn placed(rows: &[&[&str]], block: &Block, count: u32, has_totals: bool) -> Result<(u32, u32, u32), String> {
        let mut xml = "<s><sheetData>".to_owned();
        for (n, row) in rows.iter().enumerate() {
            xml += &format!("<row r=\"{}\">", n + 1);
            for (column, text) in row.iter().enumerate().filter(|(_, text)| !text.is_empty()) {
                let at = format!("{}{}", letters(column as u32 + 1), n + 1);
                xml += &match (text.strip_prefix('='), text.parse::<f64>()) {
                    (Some(formula), _) => format!("<c r=\"{at}\"><f>{formula}</f></c>"),
                    (None, Ok(_)) => format!("<c r=\"{at}\"><v>{text}</v></c>"),
                    _ => format!("<c r=\"{at}\" t=\"inlineStr\"><is><t>{text}</t></is></c>"),
                };
            }
            xml += "</row>";
        }
        let (shape, _) = scan((xml + "</sheetData></s>").as_bytes(), block).unwrap();
        let place = place(&shape, block, count, &BTreeSet::from([1, 2]), &[], has_totals)?;
        Ok((place.first, place.moving.from, place.moving.by))
    }

    #[test]
    fn new_rows_go_after_the_last_row_and_above_a_total() {
        let titles: &[&str] = &["Order", "Total", "Sum"];
        let block = Block::default();
        for (rows, said) in [
            (vec![titles], (2, 3, 0)),
            (vec![titles, &["A-1", "10"]], (3, 4, 0)),
            (vec![titles, &["A-1", "10"], &[], &["A-2", "20"]], (5, 6, 0)),
            // A total below the rows, directly or after an empty row.
            (vec![titles, &["A-1", "10"], &["Total", "=SUM(B2:B2)"]], (3, 3, 1)),
            (vec![titles, &["A-1", "10"], &[], &["Total", "=SUM(B2:B3)"]], (3, 4, 0)),
            (vec![titles, &["A-1", "10"], &["Total", "=SUM(B2:B2)"], &["VAT", "=B3*0.19"], &["In EUR"]], (3, 3, 1)),
            // Rows after a subtotal.
            (vec![titles, &["A-1", "10"], &["Total", "=SUM(B2:B2)"], &["A-2", "20"]], (5, 6, 0)),
            // Formulas that wait for values.
            (vec![titles, &["A-1", "10", "=B2*2"], &["", "", "=B3*2"], &["", "", "=B4*2"]], (3, 4, 0)),
            (vec![titles, &["", "", "=B2*2"], &["Total", "=SUM(B2:B2)"]], (2, 3, 0)),
            // A column of formulas is not a form.
            (vec![titles, &["=X!A2", "=X!B2"], &["=A3&amp;1", "=B3*2"]], (4, 5, 0)),
            (vec![titles, &["A-1", "10"], &["=A2", "=A3&amp;1"]], (4, 5, 0)),
        ] {
            assert_eq!(placed(&rows, &block, 1, false), Ok(said), "{rows:?}");
        }
    }

    #[test]
    fn new_rows_of_a_table_go_into_it_whatever_is_beside_or_below_it() {
        let titles: &[&str] = &["Order", "Total", "", "Note"];
        let table = |last: u32| Block { title_row: Some(1), table: Some((1, 2, last)), other_tables: Vec::new() };
        let notes: &[&str] = &["", "", "", "note"];
        let rows = vec![titles, &["A-1", "10", "", "note"], notes, notes];
        assert_eq!(placed(&rows, &table(2), 2, false), Ok((3, 5, 0)));
        // An empty row of the table is filled first.
        assert_eq!(placed(&rows, &table(3), 2, false), Ok((3, 5, 0)));
        // Something is below the table: it moves down, unless something else would have to move with it.
        let rows = vec![titles, &["A-1", "10"], &[], &["A remark"]];
        assert_eq!(placed(&rows, &table(2), 2, false), Ok((3, 4, 1)));
        let rows = vec![titles, &["A-1", "10"], &["Total", "10"]];
        assert_eq!(placed(&rows, &table(2), 1, true), Ok((3, 3, 1)));
        let rows = vec![titles, &["A-1", "10"], &["Total", "10", "", "checked"], notes];
        assert_eq!(
            placed(&rows, &table(2), 1, true).unwrap_err(),
            "there is no room for a new row above row 3: D4 next to it would have to move, too; move it to another sheet"
        );
    }
}
