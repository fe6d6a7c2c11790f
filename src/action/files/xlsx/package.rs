//! The package format of a workbook (ECMA-376, part 2): its parts, the links between them, its properties, and an empty
//! package.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use quick_xml::escape::{partial_escape, unescape};
use quick_xml::events::{BytesStart, Event};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::xml_reader::{XmlReader, attribute};
use super::xml_rewriter::{attribute_value, rewrite};
use crate::action::files::folder::Unwritten;

/// The maximum size of one part after decompression, in bytes.
pub(super) const MAX_PART: u64 = 2 << 30;
pub(super) const WORKBOOK: &str = "xl/workbook.xml";
pub(super) const CHAIN: &str = "xl/calcChain.xml";
pub(super) const CUSTOM: &str = "docProps/custom.xml";
pub(super) const TYPES: &str = "[Content_Types].xml";
const RELS: &str = "_rels/.rels";
/// The document property that contains the last batch's id.
const PROPERTY: &str = "DoorbellBatch";

/// The order in which formulas are calculated refers to cells that have moved. Spreadsheets recreate it if it is missing.
pub(super) fn without_chain<R: Read + io::Seek>(
    archive: &mut ZipArchive<R>,
    replaced: &mut BTreeMap<String, String>,
) -> Result<(), Unwritten> {
    for (part, tag, folder) in [(TYPES, "Override", ""), ("xl/_rels/workbook.xml.rels", "Relationship", "xl")] {
        let xml = text_of(archive, part)?;
        let names_it = |tag: &BytesStart| {
            let name = attribute(tag, if folder.is_empty() { "PartName" } else { "Target" });
            name.is_some_and(|n| resolve(folder, &n).eq_ignore_ascii_case(CHAIN))
        };
        let without = rewrite(&xml, |xml, at| match at.begins() && xml.local() == tag && names_it(&xml.tag()) {
            true => xml.discard(),
            false => Ok(()),
        });
        replaced.insert(part.to_owned(), without.map_err(damaged)?);
    }
    Ok(())
}

/// A signed workbook is not changed.
pub(super) fn unsigned(parts: &[String]) -> Result<(), Unwritten> {
    match parts.iter().any(|part| part.starts_with("_xmlsignatures/")) {
        true => Err(Unwritten::Never("it is signed, and a change would break the signature; write to another file".into())),
        false => Ok(()),
    }
}

pub(super) fn damaged(what: impl std::fmt::Display) -> Unwritten {
    Unwritten::Never(format!("this workbook cannot be read: {what}; open it in your spreadsheet program and save it again"))
}

pub(super) fn text_of<R: Read + io::Seek>(archive: &mut ZipArchive<R>, part: &str) -> Result<String, Unwritten> {
    let file = archive.by_name(part).map_err(|_| damaged(format!("{part} is missing")))?;
    let mut bytes = Vec::new();
    file.take(MAX_PART).read_to_end(&mut bytes).map_err(damaged)?;
    String::from_utf8(bytes).map_err(|_| damaged(format!("{part} is not encoded in UTF-8")))
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

/// Resolves a target to a part's name: absolute, or relative to the folder of the part that names it.
fn resolve(base: &str, target: &str) -> String {
    if let Some(absolute) = target.strip_prefix('/') {
        return absolute.to_owned();
    }
    let mut parts: Vec<&str> = base.split('/').filter(|p| !p.is_empty()).collect();
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

/// Visits every element with this name.
pub(super) fn each_tag(xml: &str, local: &str, mut look: impl FnMut(&BytesStart)) -> Result<(), Unwritten> {
    let mut reader = XmlReader::new(xml.as_bytes()).map_err(damaged)?;
    let mut buffer = Vec::new();
    loop {
        match reader.read(&mut buffer).map_err(damaged)? {
            Event::Start(tag) | Event::Empty(tag) if tag.local_name().as_ref() == local => look(&tag),
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

/// Visits every element with this name and all the text in it. Elements inside another one with the same name are not visited.
pub(super) fn each_text(xml: &str, local: &str, mut look: impl FnMut(&BytesStart, &str)) -> Result<(), Unwritten> {
    let mut reader = XmlReader::new(xml.as_bytes()).map_err(damaged)?;
    let (mut buffer, mut open, mut text) = (Vec::new(), None, String::new());
    loop {
        match (reader.read(&mut buffer).map_err(damaged)?, &open) {
            (Event::Start(tag), None) if tag.local_name().as_ref() == local => {
                open = Some(tag.into_owned());
                text.clear();
            }
            (Event::End(end), Some(tag)) if end.name() == tag.name() => {
                look(tag, &text);
                open = None;
            }
            (Event::Text(t), Some(_)) => text.push_str(&t.xml10_content()),
            (Event::CData(t), Some(_)) => text.push_str(&t.xml10_content()),
            (Event::GeneralRef(r), Some(_)) => text.push_str(&unescape(&format!("&{};", &*r)).map_err(damaged)?),
            (Event::Eof, _) => return Ok(()),
            _ => {}
        }
    }
}

/// The new content of a part.
fn current<R: Read + io::Seek>(archive: &mut ZipArchive<R>, replaced: &BTreeMap<String, String>, part: &str) -> Result<String, Unwritten> {
    replaced.get(part).map_or_else(|| text_of(archive, part), |text| Ok(text.clone()))
}

/// Requests a recalculation of the formulas when the workbook is opened, because the file contains their old results. If
/// there is no `calcPr` (part 1, 18.2.2), the program that opens it decides.
pub(super) fn recalculated<R: Read + io::Seek>(
    archive: &mut ZipArchive<R>,
    replaced: &mut BTreeMap<String, String>,
) -> Result<(), Unwritten> {
    let xml = text_of(archive, WORKBOOK)?;
    let is_asked = |tag: &BytesStart| matches!(attribute(tag, "fullCalcOnLoad").as_deref(), Some("1" | "true"));
    let new = rewrite(&xml, |xml, at| match at.begins() && xml.depth() == 1 && xml.local() == "calcPr" && !is_asked(&xml.tag()) {
        true => xml.set("fullCalcOnLoad", "1"),
        false => Ok(()),
    });
    let new = new.map_err(damaged)?;
    if new != xml {
        replaced.insert(WORKBOOK.into(), new);
    }
    Ok(())
}

/// Writes the batch's id to the document's properties, and creates the part for them if it is missing.
pub(super) fn stamp<R: Read + io::Seek>(
    archive: &mut ZipArchive<R>,
    names: &[String],
    batch: &str,
    replaced: &mut BTreeMap<String, String>,
) -> Result<(), Unwritten> {
    if names.iter().any(|n| n == CUSTOM) {
        let xml = text_of(archive, CUSTOM)?;
        let is_ours = |tag: &BytesStart| attribute(tag, "name").as_deref() == Some(PROPERTY);
        let (mut highest, mut ours) = (1u32, None);
        each_tag(&xml, "property", |tag| {
            let pid = attribute(tag, "pid").and_then(|p| p.parse().ok());
            highest = highest.max(pid.unwrap_or(1));
            ours = if is_ours(tag) { pid } else { ours };
        })?;
        let pid = ours.unwrap_or(highest.saturating_add(1));
        let without = rewrite(&xml, |xml, at| match at.begins() && xml.local() == "property" && is_ours(&xml.tag()) {
            true => xml.discard(),
            false => Ok(()),
        });
        let stamped = with_last(&without.map_err(damaged)?, "Properties", |prefix| property(prefix, pid, batch))?;
        replaced.insert(CUSTOM.into(), stamped);
        return Ok(());
    }
    let ns = "http://schemas.openxmlformats.org/officeDocument/2006/custom-properties";
    replaced.insert(CUSTOM.into(), format!("{XML}<Properties xmlns=\"{ns}\">{}</Properties>", property("", 2, batch)));
    // Another program may have removed the part but not the references to it; nothing may be referenced twice.
    let types = current(archive, replaced, TYPES)?;
    let mut is_named = false;
    each_tag(&types, "Override", |tag| {
        is_named |= attribute(tag, "PartName").is_some_and(|name| resolve("", &name).eq_ignore_ascii_case(CUSTOM));
    })?;
    if !is_named {
        let kind = "application/vnd.openxmlformats-officedocument.custom-properties+xml";
        let types = with_last(&types, "Types", |p| format!("<{p}Override PartName=\"/{CUSTOM}\" ContentType=\"{kind}\"/>"))?;
        replaced.insert(TYPES.into(), types);
    }
    let rels = current(archive, replaced, RELS)?;
    let links = relations(&rels, "")?;
    if !links.iter().any(|l| l.target.eq_ignore_ascii_case(CUSTOM)) {
        let ids = std::iter::once("rIdDoorbell".to_owned()).chain((2..).map(|n| format!("rIdDoorbell{n}")));
        let id = ids.into_iter().find(|id| !links.iter().any(|l| l.id == *id)).unwrap_or_default();
        let kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/custom-properties";
        let link = |p: &str| format!("<{p}Relationship Id=\"{id}\" Type=\"{kind}\" Target=\"{CUSTOM}\"/>");
        replaced.insert(RELS.into(), with_last(&rels, "Relationships", link)?);
    }
    Ok(())
}

/// The batch's id in the document's properties.
pub(super) fn stamped(xml: &str) -> Option<String> {
    let mut batch = None;
    let read = each_text(xml, "property", |tag, text| {
        if attribute(tag, "name").as_deref() == Some(PROPERTY) {
            batch = Some(text.trim().to_owned());
        }
    });
    read.ok().and(batch)
}

const VT: &str = "http://schemas.openxmlformats.org/officeDocument/2006/docPropsVTypes";

fn property(p: &str, pid: u32, batch: &str) -> String {
    let batch = partial_escape(batch);
    format!(
        "<{p}property fmtid=\"{{D5CDD505-2E9C-101B-9397-08002B2CF9AE}}\" pid=\"{pid}\" name=\"{PROPERTY}\"><vt:lpwstr xmlns:vt=\"{VT}\">{batch}</vt:lpwstr></{p}property>"
    )
}

/// A part with content appended to this element, which is its root or in it; the content gets the same prefix.
pub(super) fn with_last(xml: &str, element: &str, added: impl Fn(&str) -> String) -> Result<String, Unwritten> {
    let mut is_there = false;
    let new = rewrite(xml, |xml, at| {
        if at.ends() && xml.depth() <= 1 && xml.local() == element {
            is_there = true;
            xml.append(&added(xml.prefix()))?;
        }
        Ok(())
    });
    let new = new.map_err(damaged)?;
    if is_there { Ok(new) } else { Err(damaged(format!("<{element}> is missing"))) }
}

const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n";

/// The smallest workbook, with one empty sheet (ECMA-376, part 1).
pub(super) fn new_workbook(sheet: &str) -> zip::result::ZipResult<Vec<u8>> {
    let title = attribute_value(&sheet.chars().filter(|c| !"[]:*?/\\".contains(*c) && !c.is_control()).take(31).collect::<String>());
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

#[cfg(test)]
mod tests {
    use super::*;

    fn package(parts: &[(&str, &str)]) -> ZipArchive<io::Cursor<Vec<u8>>> {
        let mut writer = ZipWriter::new(io::Cursor::new(Vec::new()));
        for (name, xml) in parts {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(xml.as_bytes()).unwrap();
        }
        ZipArchive::new(writer.finish().unwrap()).unwrap()
    }

    #[test]
    fn the_id_of_a_batch_is_written_to_any_package_and_read_back() {
        let kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/custom-properties";
        let none = [
            (TYPES, "<t:Types xmlns:t='x' />"),
            (RELS, "<!-- </Relationships> --><Relationships><Relationship Id='rIdDoorbell' Type='x' Target='y'/></Relationships >"),
        ];
        let mut replaced = BTreeMap::new();
        stamp(&mut package(&none), &[], "a<b&", &mut replaced).unwrap();
        assert_eq!(stamped(&replaced[CUSTOM]).as_deref(), Some("a<b&"));
        assert!(replaced[TYPES].ends_with("custom-properties+xml\"/></t:Types>") && replaced[TYPES].contains("<t:Override "));
        let link = format!("<Relationship Id=\"rIdDoorbell2\" Type=\"{kind}\" Target=\"docProps/custom.xml\"/></Relationships >");
        assert!(replaced[RELS].ends_with(&link), "{}", replaced[RELS]);
        // Another program removed the part, but not the references to it.
        let left = [(TYPES, replaced[TYPES].as_str()), (RELS, replaced[RELS].as_str())];
        let mut again = BTreeMap::new();
        stamp(&mut package(&left), &[], "c", &mut again).unwrap();
        assert_eq!(again.keys().collect::<Vec<_>>(), [CUSTOM]);
    }

    #[test]
    fn other_properties_stay_as_they_are() {
        let other = "<c:property pid='7' name='name=\"DoorbellBatch\"'><v:lpwstr>&lt;/property></v:lpwstr></c:property>";
        let ours = "<c:property\nname='DoorbellBatch' pid='3'><v:lpwstr>old</v:lpwstr></c:property>";
        for (before, pid) in
            [(format!("<c:Properties>{ours}{other}</c:Properties>"), 3), (format!("<c:Properties>{other}</c:Properties>"), 8)]
        {
            let mut replaced = BTreeMap::new();
            stamp(&mut package(&[(CUSTOM, &before)]), &[CUSTOM.to_owned()], "new", &mut replaced).unwrap();
            assert_eq!(replaced[CUSTOM], format!("<c:Properties>{other}{}</c:Properties>", property("c:", pid, "new")));
            assert_eq!(stamped(&replaced[CUSTOM]).as_deref(), Some("new"));
        }
        assert!(stamp(&mut package(&[(CUSTOM, "<other/>")]), &[CUSTOM.to_owned()], "new", &mut BTreeMap::new()).is_err());
    }

    #[test]
    fn only_references_to_the_calculation_chain_are_removed() {
        let rels = "xl/_rels/workbook.xml.rels";
        let parts = [
            (
                TYPES,
                "<Types><Override PartName='/xl/calcChain.xml' ContentType='/>'/><Override PartName='/xl/a.xml' ContentType='calcChain'/></Types>",
            ),
            (
                rels,
                "<p:Relationships><p:Relationship Id='1' Target='calcChain.xml'></p:Relationship><p:Relationship Id='calcChain' Target='b.xml'/></p:Relationships>",
            ),
        ];
        let mut replaced = BTreeMap::new();
        without_chain(&mut package(&parts), &mut replaced).unwrap();
        assert_eq!(replaced[TYPES], "<Types><Override PartName='/xl/a.xml' ContentType='calcChain'/></Types>");
        assert_eq!(replaced[rels], "<p:Relationships><p:Relationship Id='calcChain' Target='b.xml'/></p:Relationships>");
    }
}
