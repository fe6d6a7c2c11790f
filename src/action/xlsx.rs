//! Workbooks (`.xlsx`): adds rows to one sheet and leaves every other part as it is, byte for byte.
//!
//! The archive's parts are copied raw; only the sheet, the tables that end where it ends, and a document property with
//! the batch's id are written anew, into a temporary file that then takes the workbook's place. The id tells after a
//! crash whether a batch is in the file, however people have sorted or deleted rows since. The sheet's own XML is
//! `worksheet`'s.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use quick_xml::escape::escape;
use quick_xml::events::Event;
use quick_xml::reader::Reader;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::file::{Cell, Row, Unwritten};
use super::worksheet::{self, Line, Shape, at_range, attribute};

/// The largest workbook that is opened, in bytes; and the most one part may unpack to.
const MAX_WORKBOOK: u64 = 200 << 20;
const MAX_PART: u64 = 2 << 30;
/// The most rows that a sheet can hold.
const MAX_ROWS: u32 = 1_048_576;
/// The most letters that a cell can hold.
const MAX_CELL: usize = 32_767;
const CUSTOM: &str = "docProps/custom.xml";
const PROPERTY: &str = "DoorbellBatch";

/// A workbook with the batch in it, beside the one that it will replace.
pub(super) struct Laid {
    pub temporary: PathBuf,
    /// The id that the new file carries.
    pub batch: String,
    /// For each row, why it cannot be part of the batch.
    pub refused: Vec<Option<String>>,
}

fn damaged(what: impl std::fmt::Display) -> Unwritten {
    Unwritten::Never(format!("this workbook cannot be read: {what}; open it in your spreadsheet program and save it again"))
}

/// Writes the workbook with these rows under a temporary name and flushes it. Rows that are none are refused.
pub(super) fn append(path: &Path, name: &str, rows: &[Option<&Row>], batch: &str) -> Result<Laid, Unwritten> {
    if let Some(lock) = open_elsewhere(path) {
        return Err(Unwritten::Again(format!("it is open in another program ({lock} stands beside it); close it there")));
    }
    let bytes = match File::open(path) {
        Ok(file) => {
            if file.metadata()?.len() > MAX_WORKBOOK {
                return Err(Unwritten::Never(format!("it is larger than {} MB; begin a new one", MAX_WORKBOOK >> 20)));
            }
            Some(file)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e.into()),
    };
    let temporary = path.with_file_name(format!(".{}.doorbell", path.file_name().unwrap_or_default().to_string_lossy()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    let out = options.open(&temporary)?;
    let result = match bytes {
        Some(file) => {
            let mode = file.metadata()?.permissions();
            fs::set_permissions(&temporary, mode)?;
            add(ZipArchive::new(BufReader::new(checked(file)?)).map_err(damaged)?, &out, name, rows, batch)
        }
        None => {
            let sheet = rows.iter().flatten().find_map(|r| r.sheet.clone()).unwrap_or_else(|| "Sheet1".to_owned());
            let empty = new_workbook(&sheet).map_err(|e| Unwritten::Again(e.to_string()))?;
            add(ZipArchive::new(io::Cursor::new(empty)).map_err(damaged)?, &out, name, rows, batch)
        }
    };
    let refused = result.and_then(|refused| out.sync_all().map(|()| refused).map_err(Unwritten::from)).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })?;
    if refused.iter().all(Option::is_some) {
        let _ = fs::remove_file(&temporary);
    }
    Ok(Laid { temporary, batch: batch.to_owned(), refused })
}

/// The id of the last batch that was written into a workbook.
pub(super) fn batch_of(path: &Path) -> io::Result<Option<String>> {
    let Ok(mut archive) = ZipArchive::new(BufReader::new(File::open(path)?)) else { return Ok(None) };
    let Ok(custom) = text_of(&mut archive, CUSTOM) else { return Ok(None) };
    Ok(custom.split(&format!("name=\"{PROPERTY}\"")).nth(1).and_then(|rest| {
        let value = rest.split('>').nth(2)?;
        value.split('<').next().map(str::to_owned)
    }))
}

/// The lock file that Excel or LibreOffice leaves beside a workbook that is open.
fn open_elsewhere(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy();
    let short: String = name.chars().skip(2).collect();
    // Excel takes the first two letters of long names away.
    [format!("~${name}"), format!("~${short}"), format!(".~lock.{name}#")].into_iter().find(|lock| path.with_file_name(lock).exists())
}

/// Refuses what is no open workbook.
fn checked(mut file: File) -> Result<File, Unwritten> {
    use std::io::Seek;
    let mut magic = [0; 4];
    let read = file.read(&mut magic)?;
    file.rewind()?;
    match &magic[..read] {
        [0xd0, 0xcf, 0x11, 0xe0] => {
            Err(Unwritten::Never("it is protected with a password, or an old .xls file; save it as .xlsx without a password".into()))
        }
        [b'P', b'K', ..] => Ok(file),
        _ => Err(damaged("it is no .xlsx file")),
    }
}

fn text_of<R: Read + io::Seek>(archive: &mut ZipArchive<R>, part: &str) -> Result<String, Unwritten> {
    let file = archive.by_name(part).map_err(|_| damaged(format!("{part} is missing")))?;
    let mut text = String::new();
    file.take(MAX_PART).read_to_string(&mut text).map_err(damaged)?;
    Ok(text)
}

/// Copies the workbook, with the rows in it.
fn add<R: Read + io::Seek>(
    mut archive: ZipArchive<R>,
    out: &File,
    name: &str,
    rows: &[Option<&Row>],
    batch: &str,
) -> Result<Vec<Option<String>>, Unwritten> {
    let names: Vec<String> = archive.file_names().filter_map(|n| n.ok().map(|n| n.into_owned())).collect();
    if names.iter().any(|n| n.starts_with("_xmlsignatures/")) {
        return Err(Unwritten::Never("it is signed, and a change would break the signature; write to another file".into()));
    }
    let mut refused: Vec<Option<String>> =
        rows.iter().map(|r| r.is_none().then(|| format!("{name}: a workbook has rows, not lines; use add_row"))).collect();
    let sheets = sheets(&mut archive)?;
    // Rows for several sheets: each sheet is changed once.
    let mut by_sheet: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (n, row) in rows.iter().enumerate() {
        let Some(row) = row else { continue };
        let wanted = match &row.sheet {
            None => Some(0),
            Some(title) => sheets.iter().position(|(t, _)| t == title),
        };
        match wanted {
            Some(sheet) => by_sheet.entry(sheet).or_default().push(n),
            None => {
                let known: Vec<&str> = sheets.iter().map(|(t, _)| t.as_str()).collect();
                let wanted = row.sheet.as_deref().unwrap_or("");
                refused[n] = Some(format!("{name} has no sheet `{wanted}`; it has: {}", known.join(", ")));
            }
        }
    }
    let mut replaced: BTreeMap<String, Part> = BTreeMap::new();
    for (sheet, wanted) in by_sheet {
        let part = &sheets[sheet].1;
        let mut shape = scan(&mut archive, part)?;
        let mut lines = Vec::new();
        if shape.header.is_empty() {
            let first = rows[wanted[0]].map(|r| r.cells.as_slice()).unwrap_or_default();
            shape.header = first.iter().enumerate().map(|(n, (title, _))| (n as u32 + 1, title.clone())).collect();
            lines.push(Line(shape.header.iter().map(|(c, title)| (*c, Cell::Text(title.clone()))).collect()));
        }
        for n in wanted {
            let Some(row) = rows[n] else { continue };
            match lay(row, &shape, name) {
                Ok(line) if u64::from(shape.last_row) + lines.len() as u64 + 1 > u64::from(MAX_ROWS) => {
                    drop(line);
                    refused[n] = Some(format!("{name} is full: a sheet holds {MAX_ROWS} rows"));
                }
                Ok(line) => lines.push(line),
                Err(why) => refused[n] = Some(why),
            }
        }
        tables(&mut archive, &names, part, &shape, lines.len() as u32, &mut replaced)?;
        replaced.insert(part.clone(), Part::Sheet(Box::new(shape), lines));
    }
    stamp(&mut archive, &names, batch, &mut replaced)?;
    let mut writer = ZipWriter::new(out);
    let packed = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    let failed = |e: zip::result::ZipError| match e {
        zip::result::ZipError::Io(e) => Unwritten::from(e),
        other => damaged(other),
    };
    for index in 0..archive.len() {
        let file = archive.by_index_raw(index).map_err(damaged)?;
        let title = file.name().map_err(damaged)?.into_owned();
        let Some(part) = replaced.remove(&title) else {
            writer.raw_copy_file(file).map_err(failed)?;
            continue;
        };
        let large = file.size() > u64::from(u32::MAX) / 2;
        drop(file);
        writer.start_file(&title, packed.large_file(large)).map_err(failed)?;
        match part {
            Part::Text(text) => writer.write_all(text.as_bytes())?,
            Part::Sheet(shape, lines) => {
                let sheet = archive.by_name(&title).map_err(damaged)?.take(MAX_PART);
                worksheet::write(BufReader::new(sheet), &mut writer, &shape, &lines).map_err(damaged)?;
            }
        }
    }
    for (title, part) in replaced {
        if let Part::Text(text) = part {
            writer.start_file(&title, packed).map_err(failed)?;
            writer.write_all(text.as_bytes())?;
        }
    }
    writer.finish().map_err(failed)?;
    Ok(refused)
}

/// A part that is written anew.
enum Part {
    Text(String),
    Sheet(Box<Shape>, Vec<Line>),
}

/// The cells of a row under their columns.
fn lay(row: &Row, shape: &Shape, name: &str) -> Result<Line, String> {
    let mut cells = Vec::with_capacity(row.cells.len());
    for (title, cell) in &row.cells {
        let Some((column, _)) = shape.header.iter().find(|(_, h)| h == title.trim()) else {
            let known: Vec<&str> = shape.header.iter().map(|(_, h)| h.as_str()).collect();
            return Err(format!("{name} has no column `{title}`; it has: {}", known.join(", ")));
        };
        let cell = match cell {
            // Excel keeps fifteen digits; what has more would be rounded, so it stays text.
            Cell::Number(n) if n.bytes().filter(u8::is_ascii_digit).count() > 15 => Cell::Text(n.clone()),
            Cell::Text(t) if t.encode_utf16().count() > MAX_CELL => {
                return Err(format!("{name}: the value for {title} is longer than {MAX_CELL} letters, which no cell holds"));
            }
            other => other.clone(),
        };
        cells.push((*column, cell));
    }
    cells.sort_by_key(|(column, _)| *column);
    Ok(Line(cells))
}

/// The sheets' titles and parts, in their order.
fn sheets<R: Read + io::Seek>(archive: &mut ZipArchive<R>) -> Result<Vec<(String, String)>, Unwritten> {
    let workbook = text_of(archive, "xl/workbook.xml")?;
    let targets = relations(&text_of(archive, "xl/_rels/workbook.xml.rels")?, "xl/")?;
    let mut found = Vec::new();
    each_tag(&workbook, "sheet", |tag| {
        let id = tag
            .attributes()
            .flatten()
            .find(|a| a.key.local_name().as_ref() == "id" && a.key.prefix().is_some())
            .map(|a| a.value.into_owned());
        let title = attribute(tag, "name").unwrap_or_default();
        let part = id.and_then(|id| targets.iter().find(|r| r.id == id)).filter(|r| r.kind.ends_with("/worksheet"));
        if let Some(part) = part {
            found.push((title, part.target.clone()));
        }
    })?;
    if found.is_empty() {
        return Err(damaged("it has no sheet"));
    }
    Ok(found)
}

struct Relation {
    id: String,
    kind: String,
    target: String,
}

fn relations(xml: &str, base: &str) -> Result<Vec<Relation>, Unwritten> {
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

fn each_tag(xml: &str, local: &str, mut look: impl FnMut(&quick_xml::events::BytesStart)) -> Result<(), Unwritten> {
    let mut reader = Reader::from_str(xml);
    loop {
        match reader.read_event().map_err(damaged)? {
            Event::Start(tag) | Event::Empty(tag) if tag.local_name().as_ref() == local => look(&tag),
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

fn scan<R: Read + io::Seek>(archive: &mut ZipArchive<R>, part: &str) -> Result<Shape, Unwritten> {
    let file = archive.by_name(part).map_err(|_| damaged(format!("{part} is missing")))?;
    let mut shape = worksheet::scan(BufReader::new(file.take(MAX_PART))).map_err(damaged)?;
    let shared: Vec<usize> = shape.shared.iter().map(|(_, index)| *index).collect();
    if !shared.is_empty() {
        let strings = archive.by_name("xl/sharedStrings.xml").map_err(|_| damaged("xl/sharedStrings.xml is missing"))?;
        let texts = worksheet::shared(BufReader::new(strings.take(MAX_PART)), &shared).map_err(damaged)?;
        for (column, index) in std::mem::take(&mut shape.shared) {
            if let Some(text) = texts.get(&index) {
                shape.header.push((column, text.trim().to_owned()));
            }
        }
        shape.header.sort();
    }
    shape.header.retain(|(_, title)| !title.is_empty());
    Ok(shape)
}

/// Tables that end with the sheet's last row grow with it.
fn tables<R: Read + io::Seek>(
    archive: &mut ZipArchive<R>,
    names: &[String],
    sheet: &str,
    shape: &Shape,
    added: u32,
    replaced: &mut BTreeMap<String, Part>,
) -> Result<(), Unwritten> {
    let (folder, file) = sheet.rsplit_once('/').unwrap_or(("", sheet));
    let rels = format!("{folder}/_rels/{file}.rels");
    if !names.contains(&rels) {
        return Ok(());
    }
    for relation in relations(&text_of(archive, &rels)?, folder)? {
        if !relation.kind.ends_with("/table") {
            continue;
        }
        let xml = text_of(archive, &relation.target)?;
        let (mut range, mut totals) = (String::new(), false);
        each_tag(&xml, "table", |tag| {
            range = attribute(tag, "ref").unwrap_or_default();
            totals = attribute(tag, "totalsRowCount").is_some_and(|n| n != "0");
        })?;
        let Some((from, to)) = at_range(&range) else { continue };
        if to.1 != shape.last_row {
            continue;
        }
        if totals {
            return Err(Unwritten::Never(
                "its table has a totals row, and adding rows above one is not available yet; switch the totals row off".into(),
            ));
        }
        let longer = worksheet::range(from, (to.0, to.1 + added));
        replaced.insert(relation.target, Part::Text(xml.replace(&format!("ref=\"{range}\""), &format!("ref=\"{longer}\""))));
    }
    Ok(())
}

/// Puts the batch's id among the document's properties, and makes the part for them where there is none.
fn stamp<R: Read + io::Seek>(
    archive: &mut ZipArchive<R>,
    names: &[String],
    batch: &str,
    replaced: &mut BTreeMap<String, Part>,
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
        replaced.insert(CUSTOM.into(), Part::Text(stamped));
        return Ok(());
    }
    replaced.insert(CUSTOM.into(), Part::Text(new_properties(&value(2))));
    let types = text_of(archive, "[Content_Types].xml")?;
    let kind =
        "<Override PartName=\"/docProps/custom.xml\" ContentType=\"application/vnd.openxmlformats-officedocument.custom-properties+xml\"/>";
    replaced.insert("[Content_Types].xml".into(), Part::Text(before_end(&types, "</Types>", kind)?));
    let rels = text_of(archive, "_rels/.rels")?;
    let link = "<Relationship Id=\"rIdDoorbell\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/custom-properties\" Target=\"docProps/custom.xml\"/>";
    replaced.insert("_rels/.rels".into(), Part::Text(before_end(&rels, "</Relationships>", link)?));
    Ok(())
}

const VT: &str = "http://schemas.openxmlformats.org/officeDocument/2006/docPropsVTypes";

fn new_properties(property: &str) -> String {
    let ns = "http://schemas.openxmlformats.org/officeDocument/2006/custom-properties";
    format!("{XML}<Properties xmlns=\"{ns}\" xmlns:vt=\"{VT}\">{property}</Properties>")
}

fn before_end(xml: &str, end: &str, added: &str) -> Result<String, Unwritten> {
    let at = xml.rfind(end).ok_or_else(|| damaged(format!("{end} is missing")))?;
    Ok(format!("{}{added}{}", &xml[..at], &xml[at..]))
}

const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n";

/// The smallest workbook with one empty sheet (ECMA-376, part 1).
fn new_workbook(sheet: &str) -> zip::result::ZipResult<Vec<u8>> {
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
