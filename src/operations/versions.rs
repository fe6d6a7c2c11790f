//! Earlier versions of a rule file: those that were in use, and what changed from one to the next.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use crate::model::run::TextHash;
use crate::store::contract::{Queries, Result};

/// How many sets of rules are looked through.
const MOST: usize = 500;
/// How many lines around a change are shown, and the most lines of one difference.
const AROUND: usize = 3;
const MOST_LINES: usize = 400;

/// A version of a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileVersion {
    /// Since when it was in use.
    pub at: Timestamp,
    /// `None`: the file was not there.
    pub hash: Option<TextHash>,
}

/// The versions of a file that were in use, the latest first. `shown` is its name as problems name it.
pub async fn of_file(queries: &dyn Queries, shown: &Path) -> Result<Vec<FileVersion>> {
    let sets = queries.versions(MOST).await?;
    let shown = shown.to_string_lossy();
    let mut all: Vec<FileVersion> = Vec::new();
    for set in sets.iter().rev() {
        let hash = set.files.iter().find(|(name, _)| *name == shown).map(|(_, hash)| hash.clone());
        let before = all.last().and_then(|version| version.hash.as_ref());
        if hash.as_ref() != before {
            all.push(FileVersion { at: set.at, hash });
        }
    }
    all.reverse();
    Ok(all)
}

/// A line of a difference.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiffLine {
    Same(String),
    Added(String),
    Removed(String),
    /// Unchanged lines that are left out.
    Gap,
}

/// What changed from one text to another, line by line, with a few lines around each change.
pub fn difference(old: &str, new: &str) -> Vec<DiffLine> {
    let diff = TextDiff::from_lines(old, new);
    let mut lines = Vec::new();
    for (n, group) in diff.grouped_ops(AROUND).iter().enumerate() {
        if n > 0 {
            lines.push(DiffLine::Gap);
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let text = change.value().trim_end_matches(['\n', '\r']).to_owned();
            lines.push(match change.tag() {
                ChangeTag::Equal => DiffLine::Same(text),
                ChangeTag::Insert => DiffLine::Added(text),
                ChangeTag::Delete => DiffLine::Removed(text),
            });
        }
    }
    lines.truncate(MOST_LINES);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_shows_the_lines_around_a_change() {
        let old: String = (0..20).map(|n| format!("line {n}\n")).collect();
        let new = old.replace("line 10\n", "line ten\nand more\n");
        let lines = difference(&old, &new);
        assert_eq!(lines.len(), 9);
        assert_eq!(lines[0], DiffLine::Same("line 7".into()));
        assert_eq!(
            lines[3..6],
            [DiffLine::Removed("line 10".into()), DiffLine::Added("line ten".into()), DiffLine::Added("and more".into())]
        );
        assert_eq!(difference(&old, &old), []);
        assert!(difference(&old, &old.replace("line 0\n", "").replace("line 19\n", "")).contains(&DiffLine::Gap));
    }
}
