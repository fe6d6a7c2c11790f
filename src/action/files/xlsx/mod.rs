//! Workbooks (`.xlsx`): a package of parts, some of which are sheets, all of them XML.

mod package;
pub(super) mod workbook;
mod worksheet;
mod xml_reader;
mod xml_rewriter;
