//! Adds empty sheets to a workbook.

use std::io::{self, Read, Seek, Write};

use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::package::{TYPES, WORKBOOK, damaged, each_tag, relations, text_of, with_last};
use super::sheets::RELS;
use super::xml_reader::attribute;
use super::xml_rewriter::attribute_value;
use crate::action::files::folder::Unwritten;

const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const LINKS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const KIND: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml";
/// The maximum number of characters of a sheet's title.
const MAX_TITLE: usize = 31;

/// Why a sheet cannot have a title.
pub(super) fn wrong(title: &str) -> Option<String> {
    let is_long = title.encode_utf16().count() > MAX_TITLE;
    let is_bad = |c: char| "[]:*?/\\".contains(c) || c.is_control();
    match () {
        () if title.trim().is_empty() => Some("the title of a new sheet is empty".to_owned()),
        () if is_long => Some(format!("the title of a new sheet, `{title}`, is longer than {MAX_TITLE} characters")),
        () if title.contains(is_bad) || title.starts_with('\'') || title.ends_with('\'') => {
            Some(format!("the title of a new sheet, `{title}`, contains one of the characters [ ] : * ? / \\ or begins or ends with '"))
        }
        () => None,
    }
}

/// The workbook with one more sheet at the end.
pub(super) fn with_sheet<R: Read + Seek>(archive: &mut ZipArchive<R>, title: &str) -> Result<Vec<u8>, Unwritten> {
    let names: Vec<String> = archive.file_names().filter_map(|n| n.ok().map(|n| n.into_owned())).collect();
    let numbers = 1..=names.len() as u32 + 1;
    let part = numbers.map(|n| format!("xl/worksheets/sheet{n}.xml")).find(|part| !names.iter().any(|n| n.eq_ignore_ascii_case(part)));
    let part = part.unwrap_or_default();
    let (workbook, links, types) = (text_of(archive, WORKBOOK)?, text_of(archive, RELS)?, text_of(archive, TYPES)?);
    let ids: Vec<String> = relations(&links, "xl/")?.into_iter().map(|l| l.id).collect();
    let id = (1..=ids.len() + 1).map(|n| format!("rIdSheet{n}")).find(|id| !ids.contains(id)).unwrap_or_default();
    let mut highest = 0u32;
    each_tag(&workbook, "sheet", |tag| highest = highest.max(attribute(tag, "sheetId").and_then(|n| n.parse().ok()).unwrap_or(0)))?;
    let (name, number) = (attribute_value(title), highest.saturating_add(1));
    let changed = [
        (
            WORKBOOK,
            with_last(&workbook, "sheets", |p| {
                format!("<{p}sheet xmlns:r=\"{LINKS}\" name=\"{name}\" sheetId=\"{number}\" r:id=\"{id}\"/>")
            })?,
        ),
        (
            RELS,
            with_last(&links, "Relationships", |p| {
                format!("<{p}Relationship Id=\"{id}\" Type=\"{LINKS}/worksheet\" Target=\"/{part}\"/>")
            })?,
        ),
        (TYPES, with_last(&types, "Types", |p| format!("<{p}Override PartName=\"/{part}\" ContentType=\"{KIND}\"/>"))?),
    ];
    let mut writer = ZipWriter::new(io::Cursor::new(Vec::new()));
    let failed = |e: zip::result::ZipError| damaged(e);
    for index in 0..archive.len() {
        let file = archive.by_index_raw(index).map_err(failed)?;
        let title = file.name().map_err(failed)?.into_owned();
        match changed.iter().find(|(part, _)| *part == title) {
            None => writer.raw_copy_file(file).map_err(failed)?,
            Some((part, text)) => {
                drop(file);
                writer.start_file(*part, SimpleFileOptions::default()).map_err(failed)?;
                writer.write_all(text.as_bytes())?;
            }
        }
    }
    writer.start_file(&part, SimpleFileOptions::default()).map_err(failed)?;
    writer.write_all(
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<worksheet xmlns=\"{MAIN}\"><dimension ref=\"A1\"/><sheetData/></worksheet>")
            .as_bytes(),
    )?;
    Ok(writer.finish().map_err(failed)?.into_inner())
}
