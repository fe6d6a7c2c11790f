//! Dates from templates are real dates in a workbook: a spreadsheet program can sort by them, filter and calculate.

use crate::spreadsheets::{part, read_by_libreoffice, send, with_sheets};
use crate::workbooks::{Book, after, rows, text};

const STEP: &str = "- add_or_update_row: o.xlsx\n  match: Order\n  columns: { Order: \"{{ body.order }}\", Day: \"{{ date body.at }}\", At: \"{{ add_hours body.at 1 }}\", Text: \"{{ body.at }}\" }";
const FIRST: &str = r#"{"order": "A-1", "at": "2026-05-01T09:30:00Z"}"#;
const SECOND: &str = r#"{"order": "A-2", "at": "2026-05-02T09:30:00+02:00"}"#;

#[test]
fn the_result_of_a_date_helper_is_a_real_date_in_a_new_workbook() {
    let setup = with_sheets(&[], STEP);
    send(&setup, &[FIRST, SECOND]);
    let sheet = text(&setup, "xl/worksheets/sheet1.xml");
    assert!(sheet.contains("<c r=\"B2\" s=\"1\"><v>46143</v></c>"), "{sheet}");
    assert!(sheet.contains("<c r=\"B3\" s=\"1\"><v>46144</v></c>"), "the second row looks like the first one: {sheet}");
    assert!(sheet.contains("<c r=\"C2\" s=\"2\"><v>46143.4375</v></c>"), "{sheet}");
    assert!(sheet.contains("2026-05-01T09:30:00Z"), "a field stays as it came: {sheet}");
    let widths =
        "<cols><col min=\"2\" max=\"2\" width=\"12\" customWidth=\"1\"/><col min=\"3\" max=\"3\" width=\"20\" customWidth=\"1\"/></cols>";
    assert!(sheet.contains(widths) && sheet.matches("<cols>").count() == 1, "{sheet}");
    let styles = text(&setup, "xl/styles.xml");
    assert_eq!(styles.matches("<xf ").count(), 1 + 3, "styles are added once: {styles}");
}

#[test]
fn a_date_is_shown_as_the_other_cells_of_its_column_are() {
    // Style 1 shows a date, and style 2 two decimals.
    let titles = ["Order", "Day", "At", "Text"];
    let book = Book::default().sheet("S", &[&titles, &["A-0", "46000@1", "1@2", "x"], &["A-1", "soon@2", "46000@1", "x"]], "");
    let setup = after(&book, STEP, &[FIRST, SECOND]);
    let sheet = text(&setup, "xl/worksheets/sheet0.xml");
    for cell in [
        // A cell that is changed keeps its format if it is one of dates; else only the number format changes.
        "<c r=\"B3\" s=\"3\"><v>46143</v></c>",
        "<c r=\"C3\" s=\"1\"><v>46143.4375</v></c>",
        // A new row looks like the row above it.
        "<c r=\"B4\" s=\"3\"><v>46144</v></c>",
        "<c r=\"C4\" s=\"1\"><v>",
    ] {
        assert!(sheet.contains(cell), "{cell}: {sheet}");
    }
    let styles = text(&setup, "xl/styles.xml");
    let expected = "<xf numFmtId=\"164\" fontId=\"0\" fillId=\"0\" borderId=\"0\" xfId=\"0\" applyNumberFormat=\"1\"/></cellXfs>";
    assert!(styles.contains(expected) && styles.contains("<cellXfs count=\"4\">"), "{styles}");
}

#[test]
fn a_date_finds_its_row_and_is_a_date_by_its_name_too() {
    let step = "- add_or_update_row: o.xlsx\n  match: Day\n  set: { day: \"{{ start_of body.at 'month' }}\" }\n  columns: { Day: \"{{ day }}\", Order: \"{{ body.order }}\" }";
    let setup = with_sheets(&[], step);
    send(&setup, &[FIRST, SECOND]);
    assert_eq!(rows(&setup, "Sheet1"), ["Day|Order", "46143|A-2"]);
    // In a `.csv`, it is text.
    let setup = with_sheets(&[], &step.replace("o.xlsx", "o.csv"));
    send(&setup, &[FIRST, SECOND]);
    assert_eq!(setup.output("o.csv"), "Day,Order\n2026-05-01T00:00:00Z,A-2\n");
}

#[test]
fn a_date_that_a_workbook_cannot_hold_stays_text_and_no_style_is_added_without_a_date() {
    let step = "- add_row: o.xlsx\n  columns: { Order: \"{{ body.order }}\", Day: \"{{ date body.at }}\" }";
    let book = Book::default().sheet("S", &[&["Order", "Day"]], "");
    let before = after(&book, &step.replace(", Day: \"{{ date body.at }}\"", ""), &[FIRST]);
    let setup = after(&book, step, &[r#"{"order": "A-1", "at": "1850-05-01"}"#]);
    assert_eq!(rows(&setup, "S"), ["Order|Day", "A-1|1850-05-01"]);
    let styles = |setup| part(setup, "xl/styles.xml");
    assert_eq!(styles(&setup.path("output/o.xlsx")), styles(&before.path("output/o.xlsx")));
}

#[test]
#[cfg_attr(not(has_libreoffice), ignore = "needs LibreOffice (`soffice`)")]
fn libreoffice_shows_the_dates() {
    let setup = with_sheets(&[], STEP);
    send(&setup, &[FIRST, SECOND]);
    let sheets = read_by_libreoffice(&setup, "o.xlsx");
    let expected = "Order,Day,At,Text\nA-1,2026-05-01,2026-05-01 10:30:00,2026-05-01T09:30:00Z\nA-2,2026-05-02,2026-05-02 08:30:00,2026-05-02T09:30:00+02:00\n";
    assert_eq!(sheets[0].1, expected);
}
