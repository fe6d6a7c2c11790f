//! The sheets of a workbook, in order.

use std::io::{Read, Seek};

use quick_xml::events::BytesStart;
use zip::ZipArchive;

use super::package::{WORKBOOK, damaged, each_tag, relations, text_of};
use super::xml_reader::attribute;
use crate::action::files::folder::Unwritten;

pub(super) const RELS: &str = "xl/_rels/workbook.xml.rels";

pub(super) struct SheetPart {
    pub title: String,
    pub part: String,
    is_hidden: bool,
}

pub(super) fn sheets<R: Read + Seek>(archive: &mut ZipArchive<R>) -> Result<Vec<SheetPart>, Unwritten> {
    let workbook = text_of(archive, WORKBOOK)?;
    let targets = relations(&text_of(archive, RELS)?, "xl/")?;
    let mut found = Vec::new();
    each_tag(&workbook, "sheet", |tag| {
        let id = link(tag);
        let title = attribute(tag, "name").unwrap_or_default();
        let is_hidden = attribute(tag, "state").is_some_and(|state| state != "visible");
        let part = id.and_then(|id| targets.iter().find(|r| r.id == id)).filter(|r| r.kind.ends_with("/worksheet"));
        if let Some(part) = part {
            found.push(SheetPart { title, part: part.target.clone(), is_hidden });
        }
    })?;
    if found.is_empty() {
        return Err(damaged("it has no sheet"));
    }
    Ok(found)
}

/// The id of the link to a sheet's part; it has the prefix of another namespace.
fn link(tag: &BytesStart) -> Option<String> {
    let id = tag.attributes().flatten().find(|a| a.key.local_name().as_ref() == "id" && a.key.prefix().is_some());
    id.map(|a| a.value.into_owned())
}

/// The sheet that a rule means: the one with this title, or the first one that people can see.
pub(super) fn position(sheets: &[SheetPart], title: Option<&str>) -> Option<usize> {
    match title {
        Some(title) => sheets.iter().position(|sheet| sheet.title == title),
        None => Some(sheets.iter().position(|sheet| !sheet.is_hidden).unwrap_or(0)),
    }
}

/// Says that a sheet is missing.
pub(super) fn no_sheet(name: &str, title: Option<&str>, sheets: &[SheetPart]) -> String {
    let known: Vec<&str> = sheets.iter().map(|sheet| sheet.title.as_str()).collect();
    format!("{name} has no sheet `{}`; it has: {}", title.unwrap_or(""), known.join(", "))
}
