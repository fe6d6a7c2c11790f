//! Workbooks (`.xlsx`): adds rows to one sheet and leaves every other part unchanged, byte for byte.
//!
//! The archive's parts are copied raw; only the sheet, the tables that end on its last row, and a document property with
//! the batch's id are rewritten, into a temporary file that then replaces the workbook. After a crash, the id shows
//! whether a batch is in the file, even if people have sorted or deleted rows since. The sheet's own XML is handled in
//! `worksheet`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::package::{
    CHAIN, CUSTOM, MAX_PART, WORKBOOK, damaged, each_tag, each_text, new_workbook, recalculated, relations, stamp, stamped, text_of,
    without_chain,
};
use super::worksheet::reference::{self, at_range};
use super::worksheet::shape::{Changed, Line, Shape};
use super::worksheet::{read, write};
use super::xml_reader::attribute;
use super::xml_rewriter::{attribute_value, rewrite};
use crate::action::files::changes::{self, Search};
use crate::action::files::folder::Unwritten;
use crate::action::files::replacement::Replacement;
use crate::action::files::row::{Cell, Row};
use crate::disk::{Trouble, Watched};
use regex::Regex;

/// The maximum size of a workbook, in bytes.
const MAX_WORKBOOK: u64 = 200 << 20;
/// The maximum number of rows in a sheet.
const MAX_ROWS: u32 = 1_048_576;
/// The maximum number of characters in a cell.
const MAX_CELL: usize = 32_767;
/// How many bytes of a sheet are compressed and decompressed at a time.
const PIECE: usize = 64 << 10;
/// The compression level of a sheet: a batch takes 20 to 33 % less time than with the usual 6, for 20 % more bytes.
const LEVEL: i64 = 3;
const STRINGS: &str = "xl/sharedStrings.xml";

/// A workbook that includes the batch, next to the one that it will replace.
pub(crate) struct Laid {
    /// `None` if every row is refused.
    pub replacement: Option<Replacement>,
    /// The id in the new file.
    pub batch: String,
    /// For each row, why it cannot be part of the batch.
    pub refused: Vec<Option<String>>,
}

/// Writes the workbook with these rows under a temporary name and flushes it. A `None` is a line instead of a row, and is
/// refused.
pub(crate) fn append(path: &Path, name: &str, rows: &[Option<&Row>], batch: &str) -> Result<Laid, Unwritten> {
    if let Some(lock) = open_elsewhere(path) {
        return Err(Unwritten::Again(format!("it is open in another program, which left the lock file {lock}; close it there")));
    }
    let old = match File::open(path) {
        Ok(file) => {
            if file.metadata()?.len() > MAX_WORKBOOK {
                return Err(Unwritten::Never(format!("it is larger than {} MB; start a new file", MAX_WORKBOOK >> 20)));
            }
            Some(file)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e.into()),
    };
    let new = Replacement::new(path, old.as_ref())?;
    let trouble = Trouble::default();
    let to = Watched::new(new.file(), &trouble);
    let added = match &old {
        Some(file) => checked(file).and_then(|()| {
            let from = BufReader::new(Watched::new(file, &trouble));
            add(ZipArchive::new(from).map_err(damaged)?, to, name, rows, batch)
        }),
        None => {
            let sheet = rows.iter().flatten().find_map(|r| r.sheet.clone()).unwrap_or_else(|| "Sheet1".to_owned());
            let empty = new_workbook(&sheet).map_err(|e| Unwritten::Again(e.to_string()))?;
            add(ZipArchive::new(io::Cursor::new(empty)).map_err(damaged)?, to, name, rows, batch)
        }
    };
    // A disk error does not mean that the workbook is damaged, even if a library has turned it into such an error.
    let refused = added.map_err(|why| trouble.take().map_or(why, Unwritten::Again))?;
    let replacement = if refused.iter().all(Option::is_some) { None } else { Some(new.ready()?) };
    Ok(Laid { replacement, batch: batch.to_owned(), refused })
}

/// The id of the last batch that was written into a workbook.
pub(crate) fn batch_of(file: &File) -> io::Result<Option<String>> {
    let trouble = Trouble::default();
    let custom = ZipArchive::new(BufReader::new(Watched::new(file, &trouble)))
        .map_err(damaged)
        .and_then(|mut archive| text_of(&mut archive, CUSTOM));
    if let Some(trouble) = trouble.take() {
        return Err(io::Error::other(trouble));
    }
    Ok(custom.ok().and_then(|xml| stamped(&xml)))
}

/// The lock file that Excel or LibreOffice creates next to a workbook that is open.
fn open_elsewhere(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy();
    let short: String = name.chars().skip(2).collect();
    // Excel drops the first two characters of long names.
    [format!("~${name}"), format!("~${short}"), format!(".~lock.{name}#")].into_iter().find(|lock| path.with_file_name(lock).exists())
}

/// Refuses a file that is not an `.xlsx` or is protected with a password.
fn checked(mut file: &File) -> Result<(), Unwritten> {
    let mut magic = [0; 4];
    let read = file.read(&mut magic)?;
    file.rewind()?;
    match &magic[..read] {
        [0xd0, 0xcf, 0x11, 0xe0] => {
            Err(Unwritten::Never("it is protected with a password, or it is an old .xls file; save it as .xlsx without a password".into()))
        }
        [b'P', b'K', ..] => Ok(()),
        _ => Err(damaged("it is not an .xlsx file")),
    }
}

/// Copies the workbook, and adds the rows.
fn add<R: Read + Seek>(
    mut archive: ZipArchive<R>,
    out: Watched,
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
    // Rows for several sheets: each sheet is changed only once.
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
    let mut replaced: BTreeMap<String, NewPart> = BTreeMap::new();
    let (mut drop_chain, mut texts) = (false, BTreeMap::new());
    for (sheet, wanted) in by_sheet {
        let part = &sheets[sheet].1;
        let mut shape = scan(&mut archive, part)?;
        let mine: Vec<&Row> = wanted.iter().filter_map(|n| rows[*n]).collect();
        let is_new = shape.header.is_empty();
        if is_new {
            let first = mine.first().map(|r| r.cells.as_slice()).unwrap_or_default();
            shape.header = first.iter().enumerate().map(|(n, (title, _))| (n as u32 + 1, title.trim().to_owned())).collect();
            shape.last_column = shape.header.len() as u32;
        }
        let mut search = Search::new(&shape.header, mine.iter().copied());
        let formulas = find(&mut archive, part, &shape, &mut search)?;
        let fit = |_: &Row, title: &str, cell: &Cell| fit(name, title, cell);
        let mut planned = changes::Sheet { name, header: shape.header.clone(), last_column: shape.last_column, formulas, fit: &fit };
        let (plan, why) = changes::plan(&mut planned, search, &mine);
        for (n, why) in wanted.iter().zip(why) {
            refused[*n] = why;
        }
        let mut lines: Vec<Line> = plan.new.into_iter().map(|cells| Line(cells.into_iter().collect())).collect();
        let mut changed = plan.old;
        if is_new {
            lines.insert(0, Line(planned.header.iter().map(|(c, title)| (*c, Cell::Text(title.clone()))).collect()));
        } else if !plan.titles.is_empty() {
            let titles = plan.titles.iter().map(|(c, title)| (*c, Cell::Text(title.clone())));
            changed.entry(shape.header_row).or_default().extend(titles);
        }
        if u64::from(shape.last_row) + lines.len() as u64 > u64::from(MAX_ROWS) {
            return Err(Unwritten::Never(format!("it is full: a sheet has at most {MAX_ROWS} rows")));
        }
        tables(&mut archive, &names, part, &mut shape, lines.len() as u32, &plan.titles, &mut replaced)?;
        if shape.totals.is_some() && !lines.is_empty() {
            nobody_refers_to(&mut archive, &sheets, sheet, shape.last_row)?;
            drop_chain = true;
        }
        replaced.insert(part.clone(), NewPart::Sheet(Box::new(shape), lines, changed));
    }
    if drop_chain && names.iter().any(|n| n == CHAIN) {
        without_chain(&mut archive, &mut texts)?;
    }
    stamp(&mut archive, &names, batch, &mut texts)?;
    recalculated(&mut archive, &mut texts)?;
    replaced.extend(texts.into_iter().map(|(part, text)| (part, NewPart::Text(text))));
    let mut writer = ZipWriter::new(out);
    let packed = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    let failed = |e: zip::result::ZipError| match e {
        zip::result::ZipError::Io(e) => Unwritten::from(e),
        other => damaged(other),
    };
    for index in 0..archive.len() {
        let file = archive.by_index_raw(index).map_err(damaged)?;
        let title = file.name().map_err(damaged)?.into_owned();
        if drop_chain && title == CHAIN {
            continue;
        }
        let Some(part) = replaced.remove(&title) else {
            writer.raw_copy_file(file).map_err(failed)?;
            continue;
        };
        let large = file.size() > u64::from(u32::MAX) / 2;
        drop(file);
        writer.start_file(&title, packed.large_file(large).compression_level(Some(LEVEL))).map_err(failed)?;
        match part {
            NewPart::Text(text) => writer.write_all(text.as_bytes())?,
            NewPart::Sheet(shape, lines, changed) => {
                let sheet = archive.by_name(&title).map_err(damaged)?.take(MAX_PART);
                let mut out = BufWriter::with_capacity(PIECE, &mut writer);
                write::write(pieces(sheet), &mut out, &shape, &lines, &changed).and_then(|()| out.flush()).map_err(damaged)?;
            }
        }
    }
    for (title, part) in replaced {
        if let NewPart::Text(text) = part {
            writer.start_file(&title, packed).map_err(failed)?;
            writer.write_all(text.as_bytes())?;
        }
    }
    writer.finish().map_err(failed)?;
    Ok(refused)
}

/// A part that is read from beginning to end, in large chunks.
fn pieces<R: Read>(part: R) -> BufReader<R> {
    BufReader::with_capacity(PIECE, part)
}

/// A part that is rewritten.
enum NewPart {
    Text(String),
    Sheet(Box<Shape>, Vec<Line>, Changed),
}

/// A value in the form that a workbook cell can hold.
fn fit(name: &str, title: &str, cell: &Cell) -> Result<Cell, String> {
    match cell {
        // Excel stores 15 digits; a longer number would be rounded, so it stays text.
        Cell::Number(n) if n.bytes().filter(u8::is_ascii_digit).count() > 15 => Ok(Cell::Text(n.clone())),
        Cell::Text(t) if t.encode_utf16().count() > MAX_CELL => {
            Err(format!("{name}: the value for {title} is longer than {MAX_CELL} characters, which is the limit for a cell"))
        }
        other => Ok(other.clone()),
    }
}

/// Finds the rows that a batch looks for, and the formulas in them.
fn find<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    part: &str,
    shape: &Shape,
    search: &mut Search,
) -> Result<HashMap<u32, Vec<u32>>, Unwritten> {
    if search.is_empty() {
        return Ok(HashMap::new());
    }
    let texts = match archive.by_name(STRINGS) {
        Ok(strings) => read::shared(BufReader::new(strings.take(MAX_PART)), usize::MAX, |_, text| search.wants(text)).map_err(damaged)?,
        Err(_) => HashMap::new(),
    };
    let columns = search.columns();
    let sheet = archive.by_name(part).map_err(damaged)?.take(MAX_PART);
    read::find(BufReader::new(sheet), shape.header_row, &columns, &texts, &mut |row, cell| search.look(row, cell)).map_err(damaged)
}

/// A formula that refers to a table's totals row would point at the wrong row once the totals move down.
fn nobody_refers_to<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    sheets: &[(String, String)],
    sheet: usize,
    row: u32,
) -> Result<(), Unwritten> {
    let (title, part) = &sheets[sheet];
    let here = Regex::new(&format!(r"(^|[^!A-Za-z0-9_$])\$?[A-Z]{{1,3}}\$?{row}($|[^0-9(])")).map_err(damaged)?;
    let quoted = regex::escape(&title.replace('\'', "''"));
    let there = Regex::new(&format!(r"'?{quoted}'?!\$?[A-Z]{{1,3}}\$?{row}($|[^0-9(])")).map_err(damaged)?;
    let refuse = |at: &str| {
        let said =
            format!("a formula in {at} refers to the total row of the table, which has to move down; refer to the table column instead");
        Err(Unwritten::Never(said))
    };
    for (other, xml) in sheets {
        let formulas = {
            let file = archive.by_name(xml).map_err(damaged)?.take(MAX_PART);
            read::formulas(BufReader::new(file), if xml == part { row } else { 0 }).map_err(damaged)?
        };
        if formulas.iter().any(|f| there.is_match(f) || xml == part && here.is_match(f)) {
            return refuse(&format!("the sheet {other}"));
        }
    }
    let mut named = false;
    each_text(&text_of(archive, WORKBOOK)?, "definedName", |_, formula| named |= there.is_match(formula))?;
    if named { refuse("a name of the workbook") } else { Ok(()) }
}

/// The sheets' titles and parts, in order.
fn sheets<R: Read + Seek>(archive: &mut ZipArchive<R>) -> Result<Vec<(String, String)>, Unwritten> {
    let workbook = text_of(archive, WORKBOOK)?;
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

fn scan<R: Read + Seek>(archive: &mut ZipArchive<R>, part: &str) -> Result<Shape, Unwritten> {
    let file = archive.by_name(part).map_err(|_| damaged(format!("{part} is missing")))?;
    let mut shape = read::scan(pieces(file.take(MAX_PART))).map_err(damaged)?;
    let shared: Vec<usize> = shape.shared.iter().map(|(_, index)| *index).collect();
    if !shared.is_empty() {
        let strings = archive.by_name(STRINGS).map_err(|_| damaged(format!("{STRINGS} is missing")))?;
        let most = shared.iter().collect::<BTreeSet<_>>().len();
        let texts = read::shared(BufReader::new(strings.take(MAX_PART)), most, |n, _| shared.contains(&n)).map_err(damaged)?;
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

/// Tables that end on the sheet's last row are extended with it.
fn tables<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    names: &[String],
    sheet: &str,
    shape: &mut Shape,
    added: u32,
    titles: &[(u32, String)],
    replaced: &mut BTreeMap<String, NewPart>,
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
        let ends_below = to.1 == shape.last_row && added > 0;
        // New columns extend a table if its own title row is the one that they are added to.
        let wider = from.1 == shape.header_row && titles.first().is_some_and(|(c, _)| *c == to.0 + 1);
        if !ends_below && !wider {
            continue;
        }
        if totals && ends_below {
            shape.totals = Some(to.1);
        }
        let longer = |to: (u32, u32)| {
            let right = if wider { to.0 + titles.len() as u32 } else { to.0 };
            reference::range(from, (right, if ends_below { to.1 + added } else { to.1 }))
        };
        // The filter ends above the totals.
        let above = (to.0, to.1 - 1);
        let ends = |range: String| at_range(&range).filter(|r| r.0 == from && (r.1 == to || totals && r.1 == above)).map(|r| r.1);
        let (count, columns) = if wider { more_columns(&xml, titles)? } else { (0, Vec::new()) };
        let mut is_listed = !wider;
        let new = rewrite(&xml, |xml, at| {
            match xml.local() {
                "table" | "autoFilter" | "sortState" | "sortCondition" if at.begins() => {
                    if let Some(to) = attribute(&xml.tag(), "ref").and_then(ends) {
                        xml.set("ref", &longer(to))?;
                    }
                }
                "tableColumns" if wider => {
                    if at.begins() {
                        xml.set("count", &count.to_string())?;
                    }
                    if at.ends() {
                        is_listed = true;
                        let p = xml.prefix();
                        let column =
                            |(id, title): &(u32, String)| format!("<{p}tableColumn id=\"{id}\" name=\"{}\"/>", attribute_value(title));
                        let columns = columns.iter().map(column).collect::<String>();
                        xml.append(&columns)?;
                    }
                }
                _ => {}
            }
            Ok(())
        });
        let new = new.map_err(damaged)?;
        if !is_listed {
            return Err(damaged(format!("{} lists no columns", relation.target)));
        }
        replaced.insert(relation.target, NewPart::Text(new));
    }
    Ok(())
}

/// The number of columns of a table after some are added at its end, and the ids and titles of the new ones.
fn more_columns(table: &str, titles: &[(u32, String)]) -> Result<(usize, Vec<(u32, String)>), Unwritten> {
    let (mut highest, mut count) = (0u32, titles.len());
    each_tag(table, "tableColumn", |tag| {
        count += 1;
        highest = attribute(tag, "id").and_then(|id| id.parse().ok()).unwrap_or(0).max(highest);
    })?;
    Ok((count, (highest.saturating_add(1)..).zip(titles).map(|(id, (_, title))| (id, write::spelled_out(title))).collect()))
}
