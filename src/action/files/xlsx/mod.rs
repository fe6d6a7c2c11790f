//! Workbooks (`.xlsx`): a package of XML parts, some of which are sheets.

mod formula;
pub(super) mod lookup;
mod new_sheet;
mod package;
mod plan;
mod removal;
mod repack;
mod sheets;
mod stale;
mod styles;
mod tables;
pub(super) mod workbook;
mod worksheet;
mod xml_reader;
mod xml_rewriter;
