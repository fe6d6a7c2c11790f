//! Workbooks (`.xlsx`): a package of XML parts, some of which are sheets.

mod package;
pub(super) mod workbook;
mod worksheet;
mod xml_reader;
mod xml_rewriter;
