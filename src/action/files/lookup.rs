//! Looks up rows in a file, for many steps at a time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use super::folder::Unwritten;
use super::found::Found;
use super::row::Row;
use super::{csv, xlsx};
use crate::disk::error_sentence;

/// What each of these rows finds, or why it cannot be looked up. A file that does not exist has no rows.
pub(super) fn find(path: &Path, name: &str, rows: &[Row]) -> Vec<Result<Found, Unwritten>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return rows.iter().map(|_| Ok(Found::default())).collect(),
        Err(e) => {
            let why = format!("{name}: {}", error_sentence(&e));
            return rows.iter().map(|_| Err(Unwritten::Again(why.clone()))).collect();
        }
    };
    // Rows that say the same about where they are, are looked up in one pass.
    let mut passes: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (n, row) in rows.iter().enumerate() {
        passes.entry((&row.sheet, row.title_row, &row.matching)).or_default().push(n);
    }
    let mut found: Vec<Option<Result<Found, Unwritten>>> = rows.iter().map(|_| None).collect();
    for pass in passes.into_values() {
        let mine: Vec<&Row> = pass.iter().map(|n| &rows[*n]).collect();
        match in_one_pass(&file, name, &mine) {
            Ok(all) => pass.iter().zip(all).for_each(|(n, one)| found[*n] = Some(one.map_err(Unwritten::Never))),
            Err(why) => pass.iter().for_each(|n| found[*n] = Some(Err(why.clone().because(name)))),
        }
    }
    found.into_iter().map(|one| one.unwrap_or_else(|| Ok(Found::default()))).collect()
}

fn in_one_pass(file: &File, name: &str, rows: &[&Row]) -> Result<Vec<Result<Found, String>>, Unwritten> {
    match () {
        () if file.metadata()?.len() == 0 => Ok(rows.iter().map(|_| Ok(Found::default())).collect()),
        () if name.to_ascii_lowercase().ends_with(".xlsx") => xlsx::lookup::find(file, name, rows),
        () => csv::lookup::find(file, name, rows),
    }
}
