//! A batch of lines or rows, or a whole file, on disk: prepared, written, flushed, and checked and repaired after a failure.
//!
//! Rows are turned into bytes by [`super::csv`] and [`super::xlsx`]; [`super::writer`] decides in which order batches are
//! written, and reports to those who wait for them. Every function here blocks on the disk.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufWriter, Seek, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use super::content::{Content, Whole};
use super::csv::change;
use super::csv::header::Header;
use super::folder::Unwritten;
use super::replacement::Replacement;
use super::row::{Mode, NotWritten, Row};
use super::xlsx::workbook;
use crate::action::attempt_context::AttemptContext;
use crate::disk::{flush, flush_folder};
use crate::model::hash::hash;
use crate::model::intent::Intent;
use crate::model::run::RunId;

/// The state of a `.csv` as its writer left it; any difference means that someone else has changed the file.
pub(super) struct Known {
    identity: u64,
    length: u64,
    header: Header,
}

/// A batch that is ready to be written.
pub(super) struct Prepared {
    /// What is saved before the batch is written; `None` if nothing is lost when it is written twice.
    pub intent: Option<Intent>,
    /// `None` if every job is refused.
    pub what: Option<What>,
    /// For each job, why it cannot be part of the batch.
    pub refused: Vec<Option<NotWritten>>,
    /// The file as it will be.
    pub known: Option<Known>,
}

/// What remains to be done once the intent is saved.
pub(super) enum What {
    Append {
        file: File,
        bytes: Vec<u8>,
    },
    /// The new file is next to the old one, and flushed.
    Replace(Replacement),
}

/// What happened to an intent, according to the file.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All of it was written.
    Whole,
    /// Only a part of it was written at the end of the file; this part is removed.
    Torn,
    Absent,
}

/// Prepares a batch. Creates the file if it is missing, and writes nothing to an existing one.
pub(super) fn prepare(
    path: &Path,
    name: &str,
    contents: &[Content],
    contexts: &[AttemptContext],
    known: Option<Known>,
) -> Result<Prepared, Unwritten> {
    let runs = |refused: &[Option<NotWritten>]| {
        let good = contexts.iter().zip(refused).filter(|(_, r)| r.is_none());
        good.map(|(context, _)| context.effect()).collect::<Vec<_>>()
    };
    if contents.iter().any(|content| matches!(content, Content::Whole(_))) {
        return whole(path, name, contents, contexts);
    }
    if is_workbook(name) {
        let rows: Vec<Option<&Row>> = contents.iter().map(|c| if let Content::Row(row) = c { Some(row) } else { None }).collect();
        let workbook::Laid { replacement, batch, refused } = workbook::append(path, name, &rows, &batch_id(&contexts[0]))?;
        let intent =
            Intent { file: name.to_owned(), identity: 0, offset: 0, length: 0, digest: batch, replaced: true, runs: runs(&refused) };
        return Ok(Prepared { intent: Some(intent), what: replacement.map(What::Replace), refused, known: None });
    }
    let is_new = !path.exists();
    let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    if is_new && let Some(folder) = path.parent() {
        flush_folder(folder)?;
    }
    let meta = file.metadata()?;
    let (identity, offset) = (meta.ino(), meta.len());
    let mut refused = vec![None; contents.len()];
    let rows = || contents.iter().filter_map(|c| if let Content::Row(row) = c { Some(row) } else { None });
    let mut header = None;
    if offset > 0 && rows().next().is_some() {
        let title_row = rows().find_map(|row| row.title_row);
        let kept = known.filter(|k| k.identity == identity && k.length == offset && k.header.is_for(title_row)).map(|k| k.header);
        header = match kept {
            Some(header) => Some(header),
            None => Some(Header::read(&file, name, title_row)?),
        };
    }
    if rows().any(|row| row.mode != Mode::Add || header.as_ref().is_some_and(|h| h.grows(row))) {
        let prepared = rewrite(path, name, &file, header, contents, runs)?;
        if is_new && prepared.what.is_none() {
            // A file that did not exist has no rows to find.
            fs::remove_file(path)?;
        }
        return Ok(prepared);
    }
    let line_end = header.as_ref().map_or("\n", Header::line_end);
    let mut bytes = Vec::new();
    if offset > 0 {
        let mut last = [0];
        file.read_exact_at(&mut last, offset - 1)?;
        if !line_end.ends_with(char::from(last[0])) {
            bytes.extend_from_slice(line_end.as_bytes());
        }
    }
    for (content, refused) in contents.iter().zip(&mut refused) {
        match content {
            Content::Line(line) => {
                bytes.extend_from_slice(line.as_bytes());
                bytes.push(b'\n');
            }
            Content::Row(row) => {
                let header = header.get_or_insert_with(|| {
                    let header = Header::new(row, name);
                    header.write(&mut bytes);
                    header
                });
                *refused = header.write_row(row, name, &mut bytes).err().map(NotWritten::Refused);
            }
            Content::Whole(_) => {}
        }
    }
    let intent = Intent {
        file: name.to_owned(),
        identity,
        offset,
        length: bytes.len() as u64,
        digest: hash(&bytes),
        replaced: false,
        runs: runs(&refused),
    };
    let known = header.map(|header| Known { identity, length: offset + intent.length, header });
    let what = (!intent.runs.is_empty()).then_some(What::Append { file, bytes });
    Ok(Prepared { intent: Some(intent), what, refused, known })
}

/// Prepares a file that is replaced as a whole. Of several contents, the last one stays. All of the batch are such contents.
fn whole(path: &Path, name: &str, contents: &[Content], contexts: &[AttemptContext]) -> Result<Prepared, Unwritten> {
    let old = match File::open(path) {
        Ok(old) if old.metadata()?.is_file() => Some(old),
        Ok(_) => return Err(Unwritten::Never("it is a folder".to_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e.into()),
    };
    let new = Replacement::new(path, old.as_ref())?;
    match contents.last() {
        Some(Content::Whole(Whole::Bytes(bytes))) => new.file().write_all(bytes)?,
        Some(Content::Whole(Whole::Download(download))) => {
            let mut from = download.file();
            from.rewind()?;
            io::copy(&mut from, &mut new.file())?;
        }
        _ => {}
    }
    // What was downloaded has an answer, which would be lost if the step counted as done after a crash: it is fetched again.
    let is_settled = |content: &Content| matches!(content, Content::Whole(Whole::Bytes(_)));
    let runs: Vec<_> = contexts.iter().zip(contents).filter(|(_, c)| is_settled(c)).map(|(context, _)| context.effect()).collect();
    let identity = new.file().metadata()?.ino();
    let intent = Intent { file: name.to_owned(), identity, offset: 0, length: 0, digest: String::new(), replaced: true, runs };
    let what = Some(What::Replace(new.ready()?));
    Ok(Prepared { intent: Some(intent).filter(|intent| !intent.runs.is_empty()), what, refused: vec![None; contents.len()], known: None })
}

/// A `.csv` in which rows change is rewritten next to the old one, which it then replaces. After a crash its inode number
/// shows whether that was done.
fn rewrite(
    path: &Path,
    name: &str,
    file: &File,
    header: Option<Header>,
    contents: &[Content],
    runs: impl Fn(&[Option<NotWritten>]) -> Vec<(RunId, u32, u32)>,
) -> Result<Prepared, Unwritten> {
    let rows: Vec<&Row> = contents.iter().filter_map(|c| if let Content::Row(row) = c { Some(row) } else { None }).collect();
    let plan = change::plan(file, header, name, &rows)?;
    let mut of_rows = plan.refused.iter().cloned();
    let refused: Vec<Option<NotWritten>> =
        contents.iter().map(|content| if let Content::Row(_) = content { of_rows.next().flatten() } else { None }).collect();
    let mut intent = Intent {
        file: name.to_owned(),
        identity: 0,
        offset: 0,
        length: 0,
        // The inode number is enough to recognise the new file.
        digest: String::new(),
        replaced: true,
        runs: runs(&refused),
    };
    let mut what = None;
    if !intent.runs.is_empty() {
        let new = Replacement::new(path, Some(file))?;
        let mut out = BufWriter::with_capacity(256 << 10, new.file());
        plan.write(file, &mut out)?;
        for content in contents {
            if let Content::Line(line) = content {
                out.write_all(line.as_bytes())?;
                out.write_all(b"\n")?;
            }
        }
        out.flush()?;
        drop(out);
        intent.identity = new.file().metadata()?.ino();
        what = Some(What::Replace(new.ready()?));
    }
    Ok(Prepared { intent: Some(intent), what, refused, known: None })
}

/// A name that no other batch has, not even an earlier attempt of the same runs.
fn batch_id(first: &AttemptContext) -> String {
    let key = first.idempotency_key();
    let salt = RandomState::new().hash_one(&key);
    format!("{key}.{salt:016x}")
}

/// Writes what was prepared, and returns once it is safely on disk.
pub(super) fn write(path: &Path, what: What) -> io::Result<()> {
    match what {
        What::Append { mut file, bytes } => {
            file.write_all(&bytes)?;
            flush(&file)
        }
        What::Replace(new) => new.take_place(path),
    }
}

/// Checks what happened to an intent, and repairs the file: complete data is on disk, and partial data is removed.
pub(super) fn repair(path: &Path, intent: &Intent) -> io::Result<Verdict> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Verdict::Absent),
        Err(e) => return Err(e),
    };
    let verdict = match () {
        // A workbook that only Doorbell changes carries the id of its last batch, whatever people do with it.
        () if intent.replaced && !intent.digest.is_empty() => stands(workbook::batch_of(&file)?.as_deref() == Some(&intent.digest)),
        () if intent.replaced => stands(file.metadata()?.ino() == intent.identity),
        () => return repair_end(&file, intent),
    };
    path.parent().map_or(Ok(()), flush_folder)?;
    flush(&file)?;
    Ok(verdict)
}

fn stands(it: bool) -> Verdict {
    if it { Verdict::Whole } else { Verdict::Absent }
}

/// Repairs the end of a file that was appended to.
fn repair_end(file: &File, intent: &Intent) -> io::Result<Verdict> {
    let (meta, end) = (file.metadata()?, intent.offset + intent.length);
    let mut verdict = Verdict::Absent;
    if meta.ino() == intent.identity && meta.len() > intent.offset {
        let mut bytes = vec![0; intent.length.min(meta.len() - intent.offset) as usize];
        file.read_exact_at(&mut bytes, intent.offset)?;
        if hash(&bytes) == intent.digest {
            // If the flush failed, the data may be only in memory but count as flushed, so it is written again.
            file.write_all_at(&bytes, intent.offset)?;
            verdict = Verdict::Whole;
        } else if meta.len() <= end {
            file.set_len(intent.offset)?;
            verdict = Verdict::Torn;
        }
        // Otherwise someone has added data after it, which must not be changed.
    }
    flush(file)?;
    Ok(verdict)
}

fn is_workbook(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".xlsx")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file's content after a failure, what the check finds, and the content after the repair.
    #[test]
    fn a_batch_is_found_complete_torn_or_absent_and_nothing_else_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        for (there, verdict, then) in [
            ("old\nnew\n", Verdict::Whole, "old\nnew\n"),
            ("old\nnew\nof another\n", Verdict::Whole, "old\nnew\nof another\n"),
            ("old\nne", Verdict::Torn, "old\n"),
            ("old\nnow\n", Verdict::Torn, "old\n"),
            ("old\n", Verdict::Absent, "old\n"),
            ("ol", Verdict::Absent, "ol"),
            ("old\nneof another\n", Verdict::Absent, "old\nneof another\n"),
        ] {
            fs::write(&path, there).unwrap();
            let identity = fs::metadata(&path).unwrap().ino();
            let intent = Intent {
                file: "a.log".into(),
                identity,
                offset: 4,
                length: 4,
                digest: hash(b"new\n"),
                replaced: false,
                runs: vec![(1, 0, 0)],
            };
            // A different file with the same name is never touched.
            let other = Intent { identity: identity + 1, ..intent.clone() };
            assert_eq!((repair(&path, &other).unwrap(), fs::read_to_string(&path).unwrap().as_str()), (Verdict::Absent, there));
            assert_eq!((repair(&path, &intent).unwrap(), fs::read_to_string(&path).unwrap().as_str()), (verdict, then), "{there}");
        }
        fs::remove_file(&path).unwrap();
        let gone =
            Intent { file: "a.log".into(), identity: 1, offset: 0, length: 1, digest: String::new(), replaced: false, runs: Vec::new() };
        assert_eq!(repair(&path, &gone).unwrap(), Verdict::Absent);
        assert!(!path.exists());
        // Nor is a file that exists but cannot be read.
        fs::create_dir(&path).unwrap();
        assert!(repair(&path, &gone).is_err());
    }
}
