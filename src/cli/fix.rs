//! `doorbell check --fix`: writes proven corrections into the rule files, one after the other. Each is shown as a difference
//! and asked for; the file as it was is kept beside it, under a name that is not read as rules.

use std::collections::HashSet;
use std::fs;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::terminal::stdout;
use crate::disk;
use crate::problem::Problem;
use crate::problem::correction::Edit;
use crate::rule::load::Loaded;
use crate::text::count::number;
use crate::text::printable::one_line;

/// The most corrections of one call; each is followed by a check of all files.
const MOST: usize = 500;
/// How many lines of a difference are shown.
const MOST_LINES: usize = 40;
const BOM: &[u8] = &[0xef, 0xbb, 0xbf];

/// What to do with one correction.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Yes,
    No,
    All,
    Quit,
}

/// Corrects files until nothing that can be corrected is left, or nobody wants more. Returns what the last check found.
pub fn run(load: impl Fn() -> anyhow::Result<Loaded>, yes: bool) -> anyhow::Result<Loaded> {
    let mut all = yes;
    let mut declined = HashSet::new();
    let mut kept = Vec::new();
    let mut done = 0;
    let loaded = loop {
        let loaded = load()?;
        let next =
            loaded.problems.iter().find_map(|p| Some((p, p.correction.as_ref()?.edit())).filter(|(p, e)| !declined.contains(&id(p, e))));
        let Some((problem, edit)) = next.filter(|_| done < MOST) else { break loaded };
        let (bytes, text) = read(Path::new(&edit.file))?;
        let Some(corrected) = edit.applied(&text) else {
            declined.insert(id(problem, edit));
            continue;
        };
        write!(stdout(), "{}", problem.draw())?;
        write!(stdout(), "{}", difference(&text, &corrected))?;
        let answer = if all { Answer::Yes } else { ask()? };
        match answer {
            Answer::No => {
                declined.insert(id(problem, edit));
                continue;
            }
            Answer::Quit => break loaded,
            Answer::All => all = true,
            Answer::Yes => {}
        }
        let path = fs::canonicalize(&edit.file).with_context(|| format!("{} cannot be found", edit.file))?;
        if !kept.iter().any(|(known, _)| *known == path) {
            kept.push((path.clone(), keep(&path, &bytes)?));
        }
        let bom = if bytes.starts_with(BOM) { BOM } else { &[] };
        replace(&path, &[bom, corrected.as_bytes()].concat())?;
        done += 1;
        writeln!(stdout())?;
    };
    for (path, backup) in &kept {
        writeln!(stdout(), "{}: corrected; the file as it was is {}", path.display(), backup.display())?;
    }
    writeln!(stdout(), "{} made\n", number(done, "correction"))?;
    Ok(loaded)
}

/// A correction as it is recognised again after others.
fn id(problem: &Problem, edit: &Edit) -> (String, String, String) {
    (edit.file.clone(), problem.message.clone(), edit.text.clone())
}

/// A file's bytes, and its text as it is checked.
fn read(path: &Path) -> anyhow::Result<(Vec<u8>, String)> {
    let bytes = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let text =
        std::str::from_utf8(bytes.strip_prefix(BOM).unwrap_or(&bytes)).with_context(|| format!("{} is not UTF-8 text", path.display()))?;
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let text = format!("{text}{end}");
    Ok((bytes, text))
}

fn ask() -> anyhow::Result<Answer> {
    loop {
        write!(stdout(), "Write this? [y]es, [n]o, [a]ll, [q]uit: ")?;
        stdout().flush()?;
        let mut line = String::new();
        if io::stdin().lock().read_line(&mut line)? == 0 {
            return Ok(Answer::Quit);
        }
        match line.trim().to_lowercase().as_str() {
            "y" | "yes" => return Ok(Answer::Yes),
            "n" | "no" => return Ok(Answer::No),
            "a" | "all" => return Ok(Answer::All),
            "q" | "quit" => return Ok(Answer::Quit),
            _ => {}
        }
    }
}

/// Saves the file as it was, beside it: `orders.yaml.bak`.
fn keep(path: &Path, bytes: &[u8]) -> anyhow::Result<PathBuf> {
    for n in 1..1000 {
        let suffix = if n == 1 { ".bak".to_owned() } else { format!(".bak{n}") };
        let backup = with_suffix(path, &suffix);
        match fs::OpenOptions::new().write(true).create_new(true).open(&backup) {
            Ok(mut file) => {
                file.write_all(bytes)
                    .and_then(|()| file.set_permissions(fs::metadata(path)?.permissions()))
                    .and_then(|()| disk::flush(&file))
                    .with_context(|| format!("{} cannot be written", backup.display()))?;
                return Ok(backup);
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e).with_context(|| format!("{} cannot be written, so nothing was changed", backup.display())),
        }
    }
    anyhow::bail!("there are too many old copies of {}; delete some of them", path.display())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

/// Replaces the file as a whole: whoever reads it meanwhile sees the old text or the new one.
fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = path.with_file_name(format!(".{name}.{}.new", std::process::id()));
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&beside)?;
        file.write_all(bytes)?;
        file.set_permissions(fs::metadata(path)?.permissions())?;
        disk::flush(&file)?;
        fs::rename(&beside, path)
    };
    let written = write();
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written.with_context(|| format!("{} cannot be written", path.display()))
}

/// The lines that differ, with one line around them.
fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old[same..].iter().rev().zip(new[same..].iter().rev()).take_while(|(a, b)| a == b).count();
    let mut all: Vec<(char, &str)> = Vec::new();
    all.extend(same.checked_sub(1).map(|n| (' ', old[n])));
    all.extend(old[same..old.len() - rest].iter().map(|l| ('-', *l)));
    all.extend(new[same..new.len() - rest].iter().map(|l| ('+', *l)));
    all.extend(old.get(old.len() - rest).map(|l| (' ', *l)));
    let shown = all.iter().take(MOST_LINES).map(|(sign, text)| format!(" {sign} {}", one_line(text)).trim_end().to_owned() + "\n");
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_shows_what_changes_and_one_line_around_it() {
        assert_eq!(difference("a\nb\nc\nd\n", "a\nb\nx\ny\nd\n"), "   b\n - c\n + x\n + y\n   d\n");
        assert_eq!(difference("a\n", "b\n"), " - a\n + b\n");
        assert_eq!(difference("a\nb\n", "a\n"), "   a\n - b\n");
    }
}
