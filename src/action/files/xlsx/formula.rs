//! The references in a formula (ECMA-376, part 1, 18.17): read, moved with their cells, and copied to another row.

use std::ops::Range;

use super::worksheet::reference::{MAX_COLUMNS, MAX_ROWS, letters};

/// What a formula reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'f> {
    Reference(Reference<'f>),
    /// `Orders[Total]`, or `[@Total]` within the table.
    Table(&'f str, &'f str),
    Name(&'f str),
    Function(&'f str),
}

/// `A1`, `Sheet2!$A$1:B7`, `A:C` or `2:5`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference<'f> {
    /// The title of a sheet, as it is written before the exclamation mark.
    pub sheet: Option<&'f str>,
    /// Where it is in the formula, without the sheet.
    at: Range<usize>,
    from: Corner,
    to: Option<Corner>,
}

/// One corner; the column or the row is 0 where all of them are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Corner {
    column: u32,
    row: u32,
    has_fixed_column: bool,
    has_fixed_row: bool,
}

/// All cells between two corners, as column and row.
pub(super) type Area = ((u32, u32), (u32, u32));

impl Reference<'_> {
    pub(super) fn area(&self) -> Area {
        let to = self.to.unwrap_or(self.from);
        let between = |a: u32, b: u32, most: u32| if a == 0 || b == 0 { (1, most) } else { (a.min(b), a.max(b)) };
        let columns = between(self.from.column, to.column, MAX_COLUMNS);
        let rows = between(self.from.row, to.row, MAX_ROWS);
        ((columns.0, rows.0), (columns.1, rows.1))
    }

    pub(super) fn is_range(&self) -> bool {
        self.to.is_some()
    }

    /// Whether it is to this sheet, for a formula in another one; references without a sheet are to the formula's own.
    pub(super) fn is_to(&self, title: &str) -> bool {
        self.sheet.is_some_and(|sheet| sheet_title(sheet).to_lowercase() == title.to_lowercase())
    }
}

/// The title of a sheet without its quotes.
pub(super) fn sheet_title(spelled: &str) -> String {
    match spelled.strip_prefix('\'').and_then(|s| s.strip_suffix('\'')) {
        Some(quoted) => quoted.replace("''", "'"),
        None => spelled.to_owned(),
    }
}

impl Corner {
    fn read(text: &str) -> Option<Self> {
        let (has_fixed_column, rest) = text.strip_prefix('$').map_or((false, text), |rest| (true, rest));
        let length = rest.bytes().take_while(u8::is_ascii_uppercase).count();
        let (name, rest) = rest.split_at(length);
        let column = name.bytes().try_fold(0u32, |n, b| Some(n * 26 + u32::from(b - b'A') + 1).filter(|n| *n <= MAX_COLUMNS))?;
        // In `$5`, the dollar sign belongs to the row.
        let (has_fixed_row, digits) = match rest.strip_prefix('$') {
            Some(digits) if column > 0 => (true, digits),
            _ => (column == 0 && has_fixed_column, rest),
        };
        let row = match digits.is_empty() {
            true if !has_fixed_row => 0,
            _ if digits.starts_with('0') || !digits.bytes().all(|b| b.is_ascii_digit()) => return None,
            _ => digits.parse().ok().filter(|row| *row <= MAX_ROWS)?,
        };
        (column > 0 || row > 0).then_some(Self { column, row, has_fixed_column: has_fixed_column && column > 0, has_fixed_row })
    }

    fn spelled(self) -> String {
        let dollar = |is: bool| if is { "$" } else { "" };
        let row = if self.row > 0 { self.row.to_string() } else { String::new() };
        format!("{}{}{}{row}", dollar(self.has_fixed_column), letters(self.column), dollar(self.has_fixed_row))
    }

    fn is_cell(self) -> bool {
        self.column > 0 && self.row > 0
    }

    /// Whether both are of the same kind: two cells, two columns or two rows.
    fn fits(self, other: Self) -> bool {
        (self.column > 0) == (other.column > 0) && (self.row > 0) == (other.row > 0)
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '$' | '\\' | '?')
}

/// The length of a name at the beginning of this text.
fn name(text: &str) -> usize {
    text.find(|c| !is_name(c)).unwrap_or(text.len())
}

/// The length of text in quotes, in which a doubled quote stands for one.
fn quoted(text: &str, quote: char) -> usize {
    let mut is_open = false;
    for (at, c) in text.char_indices() {
        is_open ^= c == quote;
        if !is_open && !text[at + c.len_utf8()..].starts_with(quote) {
            return at + c.len_utf8();
        }
    }
    text.len()
}

/// The length of text in square brackets, in which an apostrophe escapes the next character.
fn bracketed(text: &str) -> usize {
    let (mut depth, mut escaped) = (0u32, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\'' => escaped = true,
            '[' => depth += 1,
            ']' if depth <= 1 => return at + 1,
            ']' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

pub(super) fn tokens(formula: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let (mut at, mut sheet) = (0, None);
    while let Some(c) = formula[at..].chars().next() {
        let rest = &formula[at..];
        let length = match c {
            '"' => quoted(rest, '"'),
            '\'' => quoted(rest, '\''),
            // An error such as `#REF!`.
            '#' => 1 + rest[1..].find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '/' | '!' | '?'))).unwrap_or(rest.len() - 1),
            '[' => bracketed(rest),
            c if is_name(c) => name(rest),
            c => c.len_utf8(),
        };
        let (text, after) = rest.split_at(length);
        let next = after.chars().next();
        match c {
            '\'' if next == Some('!') => sheet = Some(text),
            // `[1]Sheet1!A1` is in another workbook.
            '[' if next.is_some_and(is_name) => sheet = Some(text),
            '[' => found.push(Token::Table("", text)),
            c if is_name(c) => match next {
                Some('!') if sheet.is_none() => sheet = Some(text),
                Some('!') => {}
                Some('(') => found.push(Token::Function(text)),
                Some('[') => {
                    let inside = bracketed(after);
                    found.push(Token::Table(text, &after[..inside]));
                    at += inside;
                }
                _ => {
                    let (token, used) = name_or_reference(formula, at, text, sheet.take());
                    found.extend(token);
                    at += used - length;
                }
            },
            _ => sheet = None,
        }
        at += length + usize::from(next == Some('!') && (c == '\'' || is_name(c)));
    }
    found
}

/// What a name at this position is, and the bytes that it takes.
fn name_or_reference<'f>(formula: &'f str, at: usize, text: &'f str, sheet: Option<&'f str>) -> (Option<Token<'f>>, usize) {
    let length = text.len();
    let Some(from) = Corner::read(text) else {
        let is_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '.');
        return ((!is_number).then_some(Token::Name(text)), length);
    };
    if let Some(second) = formula[at + length..].strip_prefix(':') {
        let second = &second[..name(second)];
        let is_of_sheets = formula[at + length + 1 + second.len()..].starts_with(['!', '(']);
        if let Some(to) = Corner::read(second).filter(|to| from.fits(*to) && !is_of_sheets) {
            let used = length + 1 + second.len();
            return (Some(Token::Reference(Reference { sheet, at: at..at + used, from, to: Some(to) })), used);
        }
    }
    let token = match from.is_cell() {
        true => Some(Token::Reference(Reference { sheet, at: at..at + length, from, to: None })),
        false if from.row > 0 => None,
        false => Some(Token::Name(text)),
    };
    (token, length)
}

pub(super) fn references(formula: &str) -> impl Iterator<Item = Reference<'_>> {
    tokens(formula).into_iter().filter_map(|token| if let Token::Reference(reference) = token { Some(reference) } else { None })
}

/// A formula with other references.
fn with_references(formula: &str, change: impl Fn(&Reference, Corner, bool) -> Corner) -> String {
    let (mut out, mut copied) = (String::with_capacity(formula.len() + 8), 0);
    for reference in references(formula) {
        out.push_str(&formula[copied..reference.at.start]);
        out.push_str(&change(&reference, reference.from, false).spelled());
        if let Some(to) = reference.to {
            out.push(':');
            out.push_str(&change(&reference, to, true).spelled());
        }
        copied = reference.at.end;
    }
    out.push_str(&formula[copied..]);
    out
}

/// How rows of a sheet move when others are added between them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Move {
    /// The first row that moves, and by how many rows; 0 for none.
    pub from: u32,
    pub by: u32,
    /// The last row with data before and after: what ends there grows.
    pub last: u32,
    pub new_last: u32,
}

impl Move {
    /// The new number of a row.
    pub(super) fn row(&self, row: u32) -> u32 {
        if self.by > 0 && row >= self.from && row < MAX_ROWS { row + self.by } else { row }
    }
}

/// A formula whose row moves, and that is below the rows that are added. Only references to its own sheet change.
pub(super) fn moved(formula: &str, title: &str, moving: &Move) -> String {
    with_references(formula, |reference, corner, is_end| {
        let is_here = reference.sheet.is_none() || reference.is_to(title);
        let row = match () {
            () if !is_here || corner.row == 0 => corner.row,
            () if is_end && corner.row == moving.last => moving.new_last,
            () => moving.row(corner.row),
        };
        Corner { row, ..corner }
    })
}

/// A formula of a sheet from which rows are deleted, or that refers to it; `rows` says what is left of some of them. `None` if
/// nothing is left of what it refers to. `is_here`: whether it is in that sheet.
pub(super) fn without_rows(formula: &str, title: &str, is_here: bool, rows: impl Fn(u32, u32) -> Option<(u32, u32)>) -> Option<String> {
    let is_left = std::cell::Cell::new(true);
    let out = with_references(formula, |reference, corner, _| {
        let is_meant = reference.is_to(title) || is_here && reference.sheet.is_none();
        if !is_meant || corner.row == 0 {
            return corner;
        }
        let ((_, top), (_, bottom)) = reference.area();
        match rows(top, bottom) {
            Some((new_top, new_bottom)) => Corner { row: if corner.row == top { new_top } else { new_bottom }, ..corner },
            None => {
                is_left.set(false);
                corner
            }
        }
    });
    is_left.get().then_some(out)
}

/// A formula about the first cell of a range, which moves by so many rows: relative references move with it, and fixed ones
/// follow their rows.
pub(super) fn shifted(formula: &str, title: &str, by: i64, rows: impl Fn(u32, u32) -> Option<(u32, u32)>) -> Option<String> {
    let is_left = std::cell::Cell::new(true);
    let out = with_references(formula, |reference, corner, _| {
        let is_meant = reference.is_to(title) || reference.sheet.is_none();
        let row = match is_meant && corner.row > 0 {
            false => Some(corner.row),
            true if corner.has_fixed_row => rows(corner.row, corner.row).map(|(row, _)| row),
            true => u32::try_from(i64::from(corner.row) + by).ok().filter(|row| *row > 0),
        };
        is_left.set(is_left.get() && row.is_some());
        Corner { row: row.unwrap_or(corner.row), ..corner }
    });
    is_left.get().then_some(out)
}

/// A formula as it is when copied this many rows down and columns to the right; `None` if that leaves the sheet.
pub(super) fn copied(formula: &str, rows: i64, columns: i64) -> Option<String> {
    let is_inside = std::cell::Cell::new(true);
    let shifted = |number: u32, is_fixed: bool, by: i64, most: u32| {
        let new = i64::from(number) + by;
        match number == 0 || is_fixed {
            true => number,
            false => u32::try_from(new).ok().filter(|n| (1..=most).contains(n)).unwrap_or_else(|| {
                is_inside.set(false);
                number
            }),
        }
    };
    let out = with_references(formula, |_, corner, _| Corner {
        row: shifted(corner.row, corner.has_fixed_row, rows, MAX_ROWS),
        column: shifted(corner.column, corner.has_fixed_column, columns, MAX_COLUMNS),
        ..corner
    });
    is_inside.get().then_some(out)
}

/// Whether a formula in this cell adds up, counts or averages the cells above it, and does nothing else.
pub(super) fn sums_above(formula: &str, (column, row): (u32, u32)) -> bool {
    const SUMS: [&str; 10] = ["SUM", "SUBTOTAL", "AGGREGATE", "AVERAGE", "COUNT", "COUNTA", "MIN", "MAX", "MEDIAN", "PRODUCT"];
    let formula = formula.trim();
    let is_sum = formula.split_once('(').is_some_and(|(name, _)| SUMS.contains(&name)) && formula.ends_with(')');
    is_sum
        && references(formula).any(|reference| {
            let (from, to) = reference.area();
            reference.sheet.is_none() && reference.is_range() && (from.0..=to.0).contains(&column) && to.1 < row
        })
}

/// Whether a formula is about its own row, as those in the rows of a form that nobody has filled in yet.
pub(super) fn is_about_its_row(formula: &str, row: u32) -> bool {
    let mut has_references = false;
    for token in tokens(formula) {
        match token {
            Token::Reference(reference) if reference.sheet.is_none() => {
                let (from, to) = reference.area();
                if from.1 == row && to.1 == row {
                    return true;
                }
                has_references = true;
            }
            Token::Table(_, text) if text.contains('@') || text.contains("#This Row") => return true,
            Token::Table(..) => has_references = true,
            _ => {}
        }
    }
    !has_references
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(formula: &str) -> String {
        let said = tokens(formula).into_iter().map(|token| match token {
            Token::Reference(r) => {
                let area = r.area();
                format!(
                    "{}{}",
                    r.sheet.map(|s| format!("{s} ")).unwrap_or_default(),
                    super::super::worksheet::reference::range(area.0, area.1)
                )
            }
            Token::Table(table, text) => format!("table {table}{text}"),
            Token::Name(name) => format!("name {name}"),
            Token::Function(name) => format!("{name}()"),
        });
        said.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn references_are_found_and_nothing_else_is_taken_for_one() {
        for (formula, said) in [
            ("SUM(B2:B3)", "SUM(), B2:B3"),
            ("$A$1+B$2*C", "A1:A1, B2:B2, name C"),
            ("A:A", "A1:A1048576"),
            ("SUM($2:3)", "SUM(), A2:XFD3"),
            ("LOG10(A1)&\"B7 \"\"C8\"", "LOG10(), A1:A1"),
            ("'A b''s'!C1:D2-Sheet2!E5", "'A b''s' C1:D2, Sheet2 E5:E5"),
            ("[1]Sheet1!A1", "[1] A1:A1"),
            ("Orders[Total]+Orders[[#This Row],[Q]]", "table Orders[Total], table Orders[[#This Row],[Q]]"),
            ("[@Qty]*1.5E3", "table [@Qty]"),
            ("Tax2024*XFE1+#REF!+#N/A", "name Tax2024, name XFE1"),
            ("IF(A1=\"\",TRUE,1E5)", "IF(), A1:A1, name TRUE"),
            ("Übersicht!B2", "Übersicht B2:B2"),
            ("\"", ""),
            ("'", ""),
            ("[", "table ["),
        ] {
            assert_eq!(found(formula), said, "{formula}");
        }
    }

    #[test]
    fn formulas_below_added_rows_move_and_grow() {
        let moving = Move { from: 4, by: 2, last: 3, new_last: 5 };
        for (formula, said) in [
            ("SUM(B2:B3)", "SUM(B2:B5)"),
            ("B4*0.19+$B$3", "B6*0.19+$B$3"),
            ("SUM(B:B)+Other!B4+'My sheet'!B4", "SUM(B:B)+Other!B4+'My sheet'!B6"),
            ("\"B4\"&B4", "\"B4\"&B6"),
        ] {
            assert_eq!(moved(formula, "My sheet", &moving), said);
        }
    }

    #[test]
    fn a_copied_formula_refers_to_its_new_row() {
        assert_eq!(copied("A3*$B$1+C$3+$D3", 1, 0).as_deref(), Some("A4*$B$1+C$3+$D4"));
        assert_eq!(copied("SUM(A:A)+T[@x]", 5, 1).as_deref(), Some("SUM(B:B)+T[@x]"));
        assert_eq!(copied("A1", -1, 0), None);
    }

    #[test]
    fn totals_and_forms_are_recognised() {
        assert!(sums_above("SUM(B2:B3)", (2, 4)) && sums_above("SUBTOTAL(9,B$2:B10)", (2, 12)));
        assert!(!sums_above("SUM(A2:A3)", (2, 4)) && !sums_above("SUM(B2:B4)", (2, 4)) && !sums_above("MAX(A$2:A3)+1", (1, 4)));
        assert!(is_about_its_row("A4*B4", 4) && is_about_its_row("T[[#This Row],[a]]", 4) && is_about_its_row("ROW()-1", 4));
        assert!(!is_about_its_row("SUM(B2:B3)", 4) && !is_about_its_row("B3*0.19", 4));
    }
}
