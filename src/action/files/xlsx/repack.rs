//! Writes a workbook again: some of its parts new, and all others byte for byte.

use std::collections::BTreeMap;
use std::io::{BufReader, BufWriter, Read, Seek, Write};

use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::package::{MAX_PART, damaged, text_of};
use super::styles::{DateStyles, STYLES};
use super::worksheet::remove::Removal;
use super::worksheet::shape::{Edits, Shape};
use super::worksheet::{remove, write};
use crate::action::files::folder::Unwritten;

/// How many bytes of a sheet are compressed and decompressed at a time.
const PIECE: usize = 64 << 10;
/// The compression level of a sheet: a batch takes 20 to 33 % less time than with the usual 6, for 20 % more bytes.
const LEVEL: i64 = 3;

/// A part that is rewritten.
pub(super) enum NewPart {
    Text(String),
    Sheet(Box<(Shape, Edits)>),
    /// A sheet from which rows are deleted, or that refers to them.
    Shorter(Box<Removal>),
}

/// Copies a workbook with new parts, and without the omitted one.
pub(super) fn repack<R: Read + Seek, W: Write + Seek>(
    archive: &mut ZipArchive<R>,
    out: W,
    mut replaced: BTreeMap<String, NewPart>,
    omitted: Option<&str>,
    has_dates: bool,
) -> Result<(), Unwritten> {
    let mut writer = ZipWriter::new(out);
    let packed = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    let failed = |e: zip::result::ZipError| match e {
        zip::result::ZipError::Io(e) => Unwritten::from(e),
        other => damaged(other),
    };
    let styles = if has_dates { Some(text_of(archive, STYLES)?) } else { None };
    let mut dates = styles.as_deref().map(DateStyles::of).transpose()?.unwrap_or_default();
    for index in 0..archive.len() {
        let file = archive.by_index_raw(index).map_err(damaged)?;
        let title = file.name().map_err(damaged)?.into_owned();
        // Which styles are added is known after the sheets.
        if has_dates && title == STYLES {
            continue;
        }
        if omitted == Some(title.as_str()) {
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
            NewPart::Sheet(changes) => {
                let (shape, edits) = *changes;
                let sheet = archive.by_name(&title).map_err(damaged)?.take(MAX_PART);
                let mut out = BufWriter::with_capacity(PIECE, &mut writer);
                let sheet = BufReader::with_capacity(PIECE, sheet);
                write::write(sheet, &mut out, &shape, &edits, &mut dates).and_then(|()| out.flush()).map_err(damaged)?;
            }
            NewPart::Shorter(removal) => {
                let sheet = archive.by_name(&title).map_err(damaged)?.take(MAX_PART);
                let mut out = BufWriter::with_capacity(PIECE, &mut writer);
                let sheet = BufReader::with_capacity(PIECE, sheet);
                let written = remove::write(sheet, &mut out, &removal).and_then(|()| out.flush());
                written.map_err(|why| Unwritten::Never(why.to_string()))?;
            }
        }
    }
    if let Some(styles) = styles {
        replaced.insert(STYLES.to_owned(), NewPart::Text(dates.added(&styles)?));
    }
    for (title, part) in replaced {
        if let NewPart::Text(text) = part {
            writer.start_file(&title, packed).map_err(failed)?;
            writer.write_all(text.as_bytes())?;
        }
    }
    writer.finish().map_err(failed)?;
    Ok(())
}
