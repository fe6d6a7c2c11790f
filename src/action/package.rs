//! The package that a workbook is (ECMA-376, part 2): its parts, the links between them, its properties, and an empty one.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use quick_xml::escape::escape;
use quick_xml::events::Event;
use quick_xml::reader::Reader;
use regex::Regex;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::folder::Unwritten;
use super::worksheet::attribute;

/// The most that one part may unpack to, in bytes.
pub(super) const MAX_PART: u64 = 2 << 30;
pub(super) const CUSTOM: &str = "docProps/custom.xml";
/// The document property that carries the last batch's id.
pub(super) const PROPERTY: &str = "DoorbellBatch";

/// The order in which formulas are worked out names cells that have moved. Spreadsheets make it anew where it is not there.
pub(super) fn without_chain<R: Read + io::Seek>(
    archive: &mut ZipArchive<R>,
    replaced: &mut BTreeMap<String, String>,
) -> Result<(), Unwritten> {
    for (part, tag) in [("[Content_Types].xml", "Override"), ("xl/_rels/workbook.xml.rels", "Relationship")] {
        let xml = text_of(archive, part)?;
        let entry = Regex::new(&format!(r#"<{tag}\b[^>]*calcChain[^>]*/>"#)).map_err(damaged)?;
        replaced.insert(part.to_owned(), entry.replace_all(&xml, "").into_owned());
    }
    Ok(())
}

pub(super) fn damaged(what: impl std::fmt::Display) -> Unwritten {
    Unwritten::Never(format!("this workbook cannot be read: {what}; open it in your spreadsheet program and save it again"))
}

pub(super) fn text_of<R: Read + io::Seek>(archive: &mut ZipArchive<R>, part: &str) -> Result<String, Unwritten> {
    let file = archive.by_name(part).map_err(|_| damaged(format!("{part} is missing")))?;
    let mut text = String::new();
    file.take(MAX_PART).read_to_string(&mut text).map_err(damaged)?;
    Ok(text)
}

/// A link from one part to another.
pub(super) struct Relation {
    pub id: String,
    pub kind: String,
    pub target: String,
}

pub(super) fn relations(xml: &str, base: &str) -> Result<Vec<Relation>, Unwritten> {
    let mut out = Vec::new();
    each_tag(xml, "Relationship", |tag| {
        let get = |name| attribute(tag, name).unwrap_or_default();
        out.push(Relation { id: get("Id"), kind: get("Type"), target: resolve(base, &get("Target")) });
    })?;
    Ok(out)
}

/// A target as a part's name: absolute, or against the folder of the part that names it.
fn resolve(base: &str, target: &str) -> String {
    if let Some(absolute) = target.strip_prefix('/') {
        return absolute.to_owned();
    }
    let mut parts: Vec<&str> = base.trim_end_matches('/').split('/').collect();
    for part in target.split('/') {
        match part {
            ".." => {
                parts.pop();
            }
            "." => {}
            other => parts.push(other),
        }
    }
    parts.join("/")
}

pub(super) fn each_tag(xml: &str, local: &str, mut look: impl FnMut(&quick_xml::events::BytesStart)) -> Result<(), Unwritten> {
    let mut reader = Reader::from_str(xml);
    loop {
        match reader.read_event().map_err(damaged)? {
            Event::Start(tag) | Event::Empty(tag) if tag.local_name().as_ref() == local => look(&tag),
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

/// A part as it will be.
fn current<R: Read + io::Seek>(archive: &mut ZipArchive<R>, replaced: &BTreeMap<String, String>, part: &str) -> Result<String, Unwritten> {
    replaced.get(part).map_or_else(|| text_of(archive, part), |text| Ok(text.clone()))
}

/// Has the formulas worked out again when the workbook is opened: their results of before stand in the file.
pub(super) fn recalculated<R: Read + io::Seek>(
    archive: &mut ZipArchive<R>,
    replaced: &mut BTreeMap<String, String>,
) -> Result<(), Unwritten> {
    let xml = text_of(archive, "xl/workbook.xml")?;
    let Some(at) = xml.find("calcPr") else { return Ok(()) };
    let end = at + xml[at..].find('>').unwrap_or(0);
    if !xml[at..end].contains("fullCalcOnLoad") {
        let at = at + "calcPr".len();
        replaced.insert("xl/workbook.xml".into(), format!("{} fullCalcOnLoad=\"1\"{}", &xml[..at], &xml[at..]));
    }
    Ok(())
}

/// Puts the batch's id among the document's properties, and makes the part for them where there is none.
pub(super) fn stamp<R: Read + io::Seek>(
    archive: &mut ZipArchive<R>,
    names: &[String],
    batch: &str,
    replaced: &mut BTreeMap<String, String>,
) -> Result<(), Unwritten> {
    let value = |pid: u32| {
        let batch = escape(batch);
        format!(
            "<property fmtid=\"{{D5CDD505-2E9C-101B-9397-08002B2CF9AE}}\" pid=\"{pid}\" name=\"{PROPERTY}\"><vt:lpwstr>{batch}</vt:lpwstr></property>"
        )
    };
    if names.iter().any(|n| n == CUSTOM) {
        let xml = text_of(archive, CUSTOM)?;
        let stamped = match xml.find(&format!("name=\"{PROPERTY}\"")) {
            Some(at) => {
                let from = xml[..at].rfind("<property").ok_or_else(|| damaged(CUSTOM))?;
                let to = at + xml[at..].find("</property>").ok_or_else(|| damaged(CUSTOM))? + "</property>".len();
                let pid = xml[from..at].split("pid=\"").nth(1).and_then(|r| r.split('"').next()).and_then(|p| p.parse().ok()).unwrap_or(2);
                format!("{}{}{}", &xml[..from], value(pid), &xml[to..])
            }
            None => {
                let mut highest = 1;
                each_tag(&xml, "property", |tag| highest = attribute(tag, "pid").and_then(|p| p.parse().ok()).unwrap_or(1).max(highest))?;
                let added = value(highest + 1).replace("<vt:lpwstr>", &format!("<vt:lpwstr xmlns:vt=\"{VT}\">"));
                match xml.rfind("</Properties>") {
                    Some(end) => format!("{}{added}{}", &xml[..end], &xml[end..]),
                    None => new_properties(&value(2)),
                }
            }
        };
        replaced.insert(CUSTOM.into(), stamped);
        return Ok(());
    }
    replaced.insert(CUSTOM.into(), new_properties(&value(2)));
    let types = current(archive, replaced, "[Content_Types].xml")?;
    let kind =
        "<Override PartName=\"/docProps/custom.xml\" ContentType=\"application/vnd.openxmlformats-officedocument.custom-properties+xml\"/>";
    replaced.insert("[Content_Types].xml".into(), before_end(&types, "</Types>", kind)?);
    let rels = current(archive, replaced, "_rels/.rels")?;
    let link = "<Relationship Id=\"rIdDoorbell\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/custom-properties\" Target=\"docProps/custom.xml\"/>";
    replaced.insert("_rels/.rels".into(), before_end(&rels, "</Relationships>", link)?);
    Ok(())
}

const VT: &str = "http://schemas.openxmlformats.org/officeDocument/2006/docPropsVTypes";

fn new_properties(property: &str) -> String {
    let ns = "http://schemas.openxmlformats.org/officeDocument/2006/custom-properties";
    format!("{XML}<Properties xmlns=\"{ns}\" xmlns:vt=\"{VT}\">{property}</Properties>")
}

pub(super) fn before_end(xml: &str, end: &str, added: &str) -> Result<String, Unwritten> {
    let at = xml.rfind(end).ok_or_else(|| damaged(format!("{end} is missing")))?;
    Ok(format!("{}{added}{}", &xml[..at], &xml[at..]))
}

const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n";

/// The smallest workbook with one empty sheet (ECMA-376, part 1).
pub(super) fn new_workbook(sheet: &str) -> zip::result::ZipResult<Vec<u8>> {
    let title = escape(sheet.chars().filter(|c| !"[]:*?/\\".contains(*c)).take(31).collect::<String>()).into_owned();
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let rel = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let package = "http://schemas.openxmlformats.org/package/2006";
    let kind = "application/vnd.openxmlformats-officedocument.spreadsheetml";
    let parts = [
        (
            "[Content_Types].xml",
            format!(
                "<Types xmlns=\"{package}/content-types\"><Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/><Default Extension=\"xml\" ContentType=\"application/xml\"/><Override PartName=\"/xl/workbook.xml\" ContentType=\"{kind}.sheet.main+xml\"/><Override PartName=\"/xl/worksheets/sheet1.xml\" ContentType=\"{kind}.worksheet+xml\"/><Override PartName=\"/xl/styles.xml\" ContentType=\"{kind}.styles+xml\"/></Types>"
            ),
        ),
        (
            "_rels/.rels",
            format!(
                "<Relationships xmlns=\"{package}/relationships\"><Relationship Id=\"rId1\" Type=\"{rel}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
            ),
        ),
        (
            "xl/workbook.xml",
            format!(
                "<workbook xmlns=\"{main}\" xmlns:r=\"{rel}\"><sheets><sheet name=\"{title}\" sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>"
            ),
        ),
        (
            "xl/_rels/workbook.xml.rels",
            format!(
                "<Relationships xmlns=\"{package}/relationships\"><Relationship Id=\"rId1\" Type=\"{rel}/worksheet\" Target=\"worksheets/sheet1.xml\"/><Relationship Id=\"rId2\" Type=\"{rel}/styles\" Target=\"styles.xml\"/></Relationships>"
            ),
        ),
        (
            "xl/styles.xml",
            format!(
                "<styleSheet xmlns=\"{main}\"><fonts count=\"1\"><font><sz val=\"11\"/><name val=\"Calibri\"/></font></fonts><fills count=\"2\"><fill><patternFill patternType=\"none\"/></fill><fill><patternFill patternType=\"gray125\"/></fill></fills><borders count=\"1\"><border><left/><right/><top/><bottom/><diagonal/></border></borders><cellStyleXfs count=\"1\"><xf numFmtId=\"0\" fontId=\"0\" fillId=\"0\" borderId=\"0\"/></cellStyleXfs><cellXfs count=\"1\"><xf numFmtId=\"0\" fontId=\"0\" fillId=\"0\" borderId=\"0\" xfId=\"0\"/></cellXfs></styleSheet>"
            ),
        ),
        ("xl/worksheets/sheet1.xml", format!("<worksheet xmlns=\"{main}\"><dimension ref=\"A1\"/><sheetData/></worksheet>")),
    ];
    let mut writer = ZipWriter::new(io::Cursor::new(Vec::new()));
    for (name, xml) in parts {
        writer.start_file(name, SimpleFileOptions::default())?;
        writer.write_all(format!("{XML}{xml}").as_bytes())?;
    }
    Ok(writer.finish()?.into_inner())
}
