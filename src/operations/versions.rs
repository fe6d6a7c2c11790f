//! Earlier versions of a rule file: those that were in use, and what changed from one to the next.

use std::collections::HashSet;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use crate::model::run::TextHash;
use crate::store::contract::{Queries, Result, RulesVersion};

/// How many sets of rules are looked through.
const MOST: usize = 500;
/// How many lines around a change are shown, and the most lines of one difference.
const AROUND: usize = 3;
const MOST_LINES: usize = 400;

/// How many sets of rules are looked through for files that are not there any more, and the most of these.
const MOST_LATELY: usize = 100;
const MOST_DELETED: usize = 20;

/// A version of a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileVersion {
    /// Since when it was in use.
    pub at: Timestamp,
    /// Who brought it; nothing if that is not known.
    pub by: Option<String>,
    /// What the file was called, as problems name it.
    pub name: String,
    /// `None`: the file was not there.
    pub hash: Option<TextHash>,
}

/// The versions of a file that were in use, the latest first, also those under earlier names. `shown` is its name as problems
/// name it.
pub async fn of_file(queries: &dyn Queries, shown: &Path) -> Result<Vec<FileVersion>> {
    Ok(versions(&queries.versions(MOST).await?, &shown.to_string_lossy()))
}

fn versions(sets: &[RulesVersion], shown: &str) -> Vec<FileVersion> {
    let mut all: Vec<FileVersion> = Vec::new();
    let mut name = shown.to_owned();
    let mut newer: Option<&RulesVersion> = None;
    for set in sets {
        let mut hash = set.hash_of(&name).cloned();
        // The same text under a name that is gone afterwards: the file was renamed.
        if let (None, Some(newer)) = (&hash, newer)
            && let Some(later) = newer.hash_of(&name)
            && let Some((before, _)) = set.files.iter().find(|(file, hash)| hash == later && newer.hash_of(file).is_none())
        {
            (name, hash) = (before.clone(), Some(later.clone()));
        }
        match all.last_mut() {
            Some(last) if last.hash == hash && last.name == name => (last.at, last.by) = (set.at, set.by.clone()),
            _ => all.push(FileVersion { at: set.at, by: set.by.clone(), name: name.clone(), hash }),
        }
        newer = Some(set);
    }
    // Before it was there for the first time.
    if all.last().is_some_and(|first| first.hash.is_none()) {
        all.pop();
    }
    all
}

/// Files that were in use lately and are not any more, and whose text is not in use under another name, the latest first.
pub async fn deleted(queries: &dyn Queries) -> Result<Vec<String>> {
    Ok(gone(&queries.versions(MOST_LATELY).await?))
}

fn gone(sets: &[RulesVersion]) -> Vec<String> {
    let Some((now, before)) = sets.split_first() else { return Vec::new() };
    let mut seen = HashSet::new();
    let is_gone = |(name, hash): &&(String, TextHash)| {
        seen.insert(name.clone()) && now.hash_of(name).is_none() && now.files.iter().all(|(_, used)| used != hash)
    };
    before.iter().flat_map(|set| &set.files).filter(is_gone).map(|(name, _)| name.clone()).take(MOST_DELETED).collect()
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

    /// Sets of files, the oldest first: `a=1 b=2` is two files with their hashes.
    fn sets(all: &[&str]) -> Vec<RulesVersion> {
        let file = |text: &str| text.split_once('=').map(|(name, hash)| (name.to_owned(), hash.into())).unwrap();
        let set = |(second, text): (i64, &&str)| RulesVersion {
            at: Timestamp::from_second(second).unwrap(),
            by: None,
            files: text.split_whitespace().map(file).collect(),
        };
        let mut all: Vec<RulesVersion> = (0..).zip(all).map(set).collect();
        all.reverse();
        all
    }

    #[test]
    fn versions_go_on_under_the_name_before_a_file_was_renamed() {
        let sets = sets(&["x=0", "a=1 x=0", "a=1 x=9", "a=2 x=9", "b=2 x=9", "b=3", "", "c=3"]);
        let told = |name: &str| -> Vec<String> {
            let told = |v: FileVersion| format!("{} {} {}", v.at.as_second(), v.name, v.hash.as_deref().unwrap_or("-"));
            versions(&sets, name).into_iter().map(told).collect()
        };
        assert_eq!(told("b"), ["6 b -", "5 b 3", "4 b 2", "3 a 2", "1 a 1"]);
        assert_eq!(told("a"), ["4 a -", "3 a 2", "1 a 1"]);
        assert_eq!(told("c"), ["7 c 3"], "something was in between");
        assert_eq!(told("never"), Vec::<String>::new());
        assert_eq!(gone(&sets), ["x", "a"], "the text of b is in use as c");
    }

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
