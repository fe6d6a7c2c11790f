//! What the verbs for spreadsheets share: which files they write to, and the keys that say where in a file a row is.

use serde_json::{Value, json};

use super::append::read_file;
use crate::expr::names::Names;
use crate::expr::template::{Destination, Template};
use crate::text::word::{Shape, Word};
use crate::yaml::fields::{Fields, Item};
use crate::yaml::place::scalar;

/// The last row that can contain titles.
const MAX_TITLE_ROW: u64 = 1_000_000;
/// The valid file names of a spreadsheet.
const KINDS: [&str; 3] = [".csv", ".tsv", ".xlsx"];

pub(super) const SHEET: Word =
    Word { name: "sheet", shape: Shape::Text, does: "the sheet of a workbook; the first visible one by default" };
pub(super) const TITLE_ROW: Word = Word {
    name: "title_row",
    shape: Shape::Whole(1, MAX_TITLE_ROW),
    does: "the row that contains the titles; the first one that is not empty by default",
};
pub(super) const IGNORE_CASE: Word =
    Word { name: "ignore_case", shape: Shape::Flag, does: "whether rows are found without regard to upper and lower case" };
pub(super) const ALL: Word =
    Word { name: "all", shape: Shape::Flag, does: "true: all rows that match; otherwise two of them are an error" };

/// What is wrong with another name.
pub(super) const NOT_A_SHEET: &str = "the name of a spreadsheet file ends in .csv, .tsv or .xlsx";

/// Whether this is the name of a spreadsheet.
pub(super) fn is_sheet(file: &str) -> bool {
    let file = file.to_ascii_lowercase();
    KINDS.iter().any(|kind| file.ends_with(kind))
}

/// What editors accept as the name of a spreadsheet: below the folder, with one of its endings, unless a template makes it.
pub(super) fn sheet_file_schema() -> Value {
    json!({ "pattern": r"^(?!/)(?!([\s\S]*/)?\.\.(/|$))[\s\S]*(\{\{|\.([cC][sS][vV]|[tT][sS][vV]|[xX][lL][sS][xX])$)" })
}

/// The file of a verb for spreadsheets; the inner one is `None` if its name is wrong.
pub(super) fn read_sheet_file(item: &Item, fields: &mut Fields, known: &Names) -> Option<Option<Template>> {
    if item.text().is_some_and(|t| t.starts_with("https://docs.google.com/")) {
        item.problem("Google Sheets is not available yet").label("write to an .xlsx or .csv file").add();
        fields.rest();
        return None;
    }
    let file = read_file(item, known);
    if let Some(name) = file.as_ref().and_then(|file| file.fixed()).filter(|name| !is_sheet(name)) {
        let is_other = [".xls", ".xlsm", ".xlsb", ".ods"].iter().any(|kind| name.to_ascii_lowercase().ends_with(kind));
        let draft = item.problem(NOT_A_SHEET);
        match is_other {
            true => draft.label("save it as .xlsx and write that name").add(),
            false => {
                let ours = scalar(&format!("{}.xlsx", name.strip_suffix(".txt").unwrap_or(name)));
                draft.label("write a name such as orders.xlsx or orders.csv").write(&ours).add();
            }
        }
    }
    Some(file)
}

/// `sheet:`
pub(super) fn read_sheet(fields: &mut Fields, file: Option<&Template>, known: &Names) -> Option<Option<Template>> {
    let Some(sheet) = fields.may("sheet") else { return Some(None) };
    if file.and_then(|file| file.fixed()).is_some_and(|name| !name.to_ascii_lowercase().ends_with(".xlsx")) {
        sheet.problem("only a workbook (.xlsx) has sheets").at_key().label("remove this line").add();
    }
    Template::read(&sheet, Destination::Plain, known).map(Some)
}

/// `title_row:`
pub(super) fn read_title_row(fields: &mut Fields) -> Option<Option<u32>> {
    let row = fields.may("title_row").map(|row| row.whole(1, MAX_TITLE_ROW).and_then(|row| u32::try_from(row).ok()));
    row.map_or(Some(None), |row| row.map(Some))
}
