//! Workbooks (`.xlsx`): adds rows to one sheet and leaves every other part unchanged, byte for byte.
//!
//! The archive's parts are copied raw; only the sheet, its tables, sheets with formulas that depend on it, and a document
//! property with the batch's id are rewritten, into a temporary file that then replaces the workbook. After a crash, the
//! id shows whether a batch is in the file, even if people have sorted or deleted rows since. What changes in a sheet is
//! decided in `plan`, and its own XML is handled in `worksheet`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::Path;

use zip::ZipArchive;

use super::new_sheet::with_sheet;
use super::package::{CHAIN, CUSTOM, damaged, new_workbook, recalculated, stamp, stamped, text_of, unsigned, without_chain};
use super::removal::remove;
use super::repack::{NewPart, repack};
use super::sheets::{no_sheet, position, sheets};
use super::worksheet::shape::{Edits, Shape};
use super::{new_sheet, plan, stale};
use crate::action::files::folder::Unwritten;
use crate::action::files::replacement::Replacement;
use crate::action::files::row::{Mode, NotWritten, Row};
use crate::disk::{Trouble, Watched};

/// The maximum size of a workbook, in bytes.
const MAX_WORKBOOK: u64 = 200 << 20;
/// A workbook that includes the batch, next to the one that it will replace.
pub(crate) struct Laid {
    /// `None` if every row is refused.
    pub replacement: Option<Replacement>,
    /// The id in the new file.
    pub batch: String,
    /// For each row, why it cannot be part of the batch.
    pub refused: Vec<Option<NotWritten>>,
}

/// Writes the workbook with these rows under a temporary name and flushes it. A `None` is a line instead of a row, and is
/// refused.
pub(crate) fn append(path: &Path, name: &str, rows: &[Option<&Row>], batch: &str) -> Result<Laid, Unwritten> {
    if let Some(lock) = open_elsewhere(path) {
        return Err(Unwritten::Again(format!("it is open in another program, which left the lock file {lock}; close it there")));
    }
    let old = match File::open(path) {
        Ok(file) => Some(file),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e.into()),
    };
    let new = Replacement::new(path, old.as_ref())?;
    let trouble = Trouble::default();
    let to = Watched::new(new.file(), &trouble);
    let added = match &old {
        Some(file) => checked(file).and_then(|()| {
            let from = BufReader::new(Watched::new(file, &trouble));
            all(ZipArchive::new(from).map_err(damaged)?, to, name, rows, batch)
        }),
        None => {
            let sheet = rows.iter().flatten().find_map(|r| r.sheet.clone()).unwrap_or_else(|| "Sheet1".to_owned());
            let empty = new_workbook(&sheet).map_err(|e| Unwritten::Again(e.to_string()))?;
            all(ZipArchive::new(io::Cursor::new(empty)).map_err(damaged)?, to, name, rows, batch)
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

/// Refuses a file that is too large, is not an `.xlsx` or is protected with a password.
pub(super) fn checked(mut file: &File) -> Result<(), Unwritten> {
    if file.metadata()?.len() > MAX_WORKBOOK {
        return Err(Unwritten::Never(format!("it is larger than {} MB; start a new file", MAX_WORKBOOK >> 20)));
    }
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

/// Adds the sheets that rows ask for, and then the rows.
fn add_with_sheets<R: Read + Seek, W: Write + Seek>(
    mut archive: ZipArchive<R>,
    out: W,
    name: &str,
    rows: &[Option<&Row>],
    batch: &str,
) -> Result<Vec<Option<NotWritten>>, Unwritten> {
    let known = sheets(&mut archive)?;
    // Spreadsheet programs do not distinguish titles by upper and lower case.
    let is_known = |title: &str| known.iter().any(|sheet| sheet.title.to_lowercase() == title.to_lowercase());
    let wanted = rows.iter().flatten().filter(|row| row.new_sheet).filter_map(|row| row.sheet.as_deref());
    match wanted.into_iter().find(|title| !is_known(title) && new_sheet::wrong(title).is_none()) {
        Some(title) => {
            let with_sheet = with_sheet(&mut archive, title)?;
            add_with_sheets(ZipArchive::new(io::Cursor::new(with_sheet)).map_err(damaged)?, out, name, rows, batch)
        }
        None => add(archive, out, name, rows, batch),
    }
}

/// Carries out what the rows say: rows are added and changed together, and those that are deleted, between the others.
fn all<R: Read + Seek>(
    archive: ZipArchive<R>,
    mut out: Watched,
    name: &str,
    rows: &[Option<&Row>],
    batch: &str,
) -> Result<Vec<Option<NotWritten>>, Unwritten> {
    fn deletes<'r>(row: &Option<&'r Row>) -> Option<Option<&'r str>> {
        row.filter(|row| row.mode == Mode::Delete).map(|row| row.sheet.as_deref())
    }
    if !rows.iter().any(|row| deletes(row).is_some()) {
        return add_with_sheets(archive, out, name, rows, batch);
    }
    // A batch that deletes rows is carried out in memory, part by part.
    let mut book = archive.into_inner();
    let mut bytes = Vec::new();
    book.rewind()?;
    book.read_to_end(&mut bytes)?;
    let mut refused = Vec::with_capacity(rows.len());
    for part in rows.chunk_by(|a, b| deletes(a) == deletes(b)) {
        let archive = ZipArchive::new(io::Cursor::new(bytes.as_slice())).map_err(damaged)?;
        let mut new = io::Cursor::new(Vec::new());
        let more = match part.iter().flatten().next().filter(|row| row.mode == Mode::Delete) {
            Some(_) => remove(archive, &mut new, name, &part.iter().flatten().copied().collect::<Vec<_>>(), batch)?,
            None => add_with_sheets(archive, &mut new, name, part, batch)?,
        };
        if more.iter().any(Option::is_none) {
            bytes = new.into_inner();
        }
        refused.extend(more);
    }
    out.write_all(&bytes)?;
    Ok(refused)
}

/// Copies the workbook, and adds the rows.
fn add<R: Read + Seek, W: Write + Seek>(
    mut archive: ZipArchive<R>,
    out: W,
    name: &str,
    rows: &[Option<&Row>],
    batch: &str,
) -> Result<Vec<Option<NotWritten>>, Unwritten> {
    let names: Vec<String> = archive.file_names().filter_map(|n| n.ok().map(|n| n.into_owned())).collect();
    unsigned(&names)?;
    let lines = rows.iter().map(|r| r.is_none().then(|| format!("{name}: a workbook has rows, not lines; use add_row").into()));
    let mut refused: Vec<Option<NotWritten>> = lines.collect();
    let sheets = sheets(&mut archive)?;
    // Rows for several sheets: each sheet is changed only once.
    let mut by_sheet: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (n, row) in rows.iter().enumerate() {
        let Some(row) = row else { continue };
        match position(&sheets, row.sheet.as_deref()) {
            Some(sheet) => by_sheet.entry(sheet).or_default().push(n),
            None => {
                let wanted = row.sheet.as_deref();
                let wrong = wanted.and_then(new_sheet::wrong).filter(|_| row.new_sheet).map(|why| format!("{name}: {why}"));
                let why = wrong.unwrap_or_else(|| no_sheet(name, wanted, &sheets));
                refused[n] = Some(why.into());
            }
        }
    }
    let mut replaced: BTreeMap<String, NewPart> = BTreeMap::new();
    let (mut planned, mut texts) = (BTreeMap::new(), BTreeMap::new());
    for (sheet, wanted) in by_sheet {
        let mine: Vec<&Row> = wanted.iter().filter_map(|n| rows[*n]).collect();
        let plan = plan::plan(&mut archive, &sheets, sheet, name, &mine)?;
        for (n, why) in wanted.iter().zip(&plan.refused) {
            refused[*n] = why.clone();
        }
        replaced.extend(plan.tables.iter().map(|(part, text)| (part.clone(), NewPart::Text(text.clone()))));
        planned.insert(sheet, plan);
    }
    if refused.iter().all(Option::is_some) {
        return Ok(refused);
    }
    let changes: Vec<_> = planned.values().flat_map(|plan| plan.changes.iter().copied()).collect();
    let without_formulas = planned.iter().filter(|(_, plan)| !plan.shape.has_formulas).map(|(n, _)| *n).collect();
    let grown: Vec<_> = planned.values().flat_map(|plan| plan.grown.iter().copied()).collect();
    let mut stale = stale::stale(&mut archive, &sheets, &without_formulas, &changes, &grown)?;
    let has_dates = planned.values().any(|plan| !plan.edits.dates().is_empty());
    let has_new_order = planned.values().any(|plan| plan.edits.reorders());
    for (n, plan) in planned {
        let mut edits = plan.edits;
        edits.stale = stale.remove(&n).unwrap_or_default();
        replaced.insert(sheets[n].part.clone(), NewPart::Sheet(Box::new((plan.shape, edits))));
    }
    for (n, stale) in stale {
        let edits = Edits { stale, ..Edits::default() };
        replaced.insert(sheets[n].part.clone(), NewPart::Sheet(Box::new((Shape::default(), edits))));
    }
    let drop_chain = has_new_order && names.iter().any(|n| n == CHAIN);
    if drop_chain {
        without_chain(&mut archive, &mut texts)?;
    }
    stamp(&mut archive, &names, batch, &mut texts)?;
    recalculated(&mut archive, &mut texts)?;
    replaced.extend(texts.into_iter().map(|(part, text)| (part, NewPart::Text(text))));
    repack(&mut archive, out, replaced, drop_chain.then_some(CHAIN), has_dates)?;
    Ok(refused)
}
