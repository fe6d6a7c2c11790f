//! Reads the rules folder: finds the rule files in it, and reads each, within limits of number, size and depth.
//!
//! A folder can contain anything: pipes that never end, devices, links to the whole disk. Only files are read.

use std::collections::HashSet;
use std::fs::{self, File, FileType};
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::problem::{Problem, Severity};
use crate::text::count::number;
use crate::text::nearest::nearest;
use crate::yaml::source::{MAX_FILE, Source};

/// How deep folders may be nested.
const MAX_DEPTH: usize = 16;
/// The maximum number of rule files.
const MAX_FILES: usize = 10_000;
/// The maximum size of all rule files together, in bytes.
const MAX_TOTAL: usize = 32 << 20;
/// The maximum number of files and folders that are looked at, rule files or not.
const MAX_ENTRIES: usize = 100_000;
/// How much of a file that is not read as a rule file is looked at.
const LOOKED_AT: u64 = 64 << 10;
/// How many files that are not read are mentioned.
const MOST_MENTIONED: usize = 10;

/// The result of reading the rules folder.
#[derive(Default)]
pub struct RuleFiles {
    pub sources: Vec<Source>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// The folders that rule files were looked for in.
    pub folders: Vec<PathBuf>,
    /// Files that may be meant as rule files, but are not called like one.
    others: Vec<PathBuf>,
}

impl RuleFiles {
    /// Files that come from somewhere else than a folder.
    pub fn of(sources: Vec<Source>, problems: Vec<Problem>) -> Self {
        Self { sources, problems, ..Self::default() }
    }
}

/// Reads every rule file of a folder (or a single file), in the order of their names. Hidden files are skipped, including
/// those that Kubernetes and editors put next to the rules.
pub fn read_rules(path: &Path) -> RuleFiles {
    read_all(std::slice::from_ref(&path.to_owned()))
}

/// The same for several folders and files.
pub fn read_all(paths: &[PathBuf]) -> RuleFiles {
    let mut search = Search::default();
    for path in paths {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => search.folder(path, 0),
            // A pipe that somebody names is meant to be read.
            Ok(_) => search.files.push(path.clone()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => search.problems.push(missing(path)),
            Err(e) => search.problems.push(unreadable(path, &e)),
        }
    }
    let Search { mut files, mut problems, folders, others, .. } = search;
    files.sort();
    let mut seen = HashSet::new();
    files.retain(|file| seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone())) || paths.len() < 2);
    if files.len() > MAX_FILES {
        let said = format!("there are more than {MAX_FILES} rule files");
        problems.push(of_folder(paths, said, "put several rules into one file"));
        files.truncate(MAX_FILES);
    }
    let (mut sources, mut left) = (Vec::new(), MAX_TOTAL);
    for file in files {
        match read_file(&file, paths.contains(&file)) {
            Ok(source) => {
                let Some(rest) = left.checked_sub(source.text.len()) else {
                    let said = format!("the rule files are larger than {} MB together", MAX_TOTAL >> 20);
                    problems.push(of_folder(paths, said, "move what is not a rule file out of the folder"));
                    break;
                };
                left = rest;
                sources.push(source);
            }
            Err(problem) => problems.push(*problem),
        }
    }
    RuleFiles { sources, problems, folders, others }
}

impl RuleFiles {
    /// Files in the folder that look like rule files and are not read, because of their names.
    pub fn not_read(&self) -> Vec<Problem> {
        let looks_like_rules = |path: &PathBuf| {
            let mut start = Vec::new();
            let file = if path.is_file() { File::open(path).ok() } else { None };
            let read = file.is_some_and(|file| file.take(LOOKED_AT).read_to_end(&mut start).is_ok());
            let text = String::from_utf8_lossy(&start);
            let mut names =
                text.lines().flat_map(|line| ["rules:", "webhooks:"].map(|name| line.trim_start_matches('\u{feff}').starts_with(name)));
            let is_yaml = names.any(|is_name| is_name);
            // The JSON Schema of rule files is not one.
            let mut json = text.trim_start().strip_prefix('{').into_iter().flat_map(top_names);
            read && (is_yaml || json.any(|name| name == "rules" || name == "webhooks"))
        };
        let files: Vec<&PathBuf> = self.others.iter().filter(|path| looks_like_rules(path)).collect();
        let mention = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let ending = path.extension().unwrap_or_default().to_string_lossy();
            let stem = name.strip_suffix(&format!(".{ending}")).unwrap_or(&name);
            let renamed = if is_rule_file(Path::new(stem)) { stem.to_owned() } else { format!("{stem}.yaml") };
            let why = if ending.is_empty() { "its name has no ending".to_owned() } else { format!("its name ends in .{ending}") };
            let said = format!("this file is not read as a rule file, because {why}");
            Problem { severity: Severity::Warning, ..Problem::of_file(&shown(path), said, format!("rename it to {renamed}")) }
        };
        let mut all: Vec<Problem> = files.iter().copied().take(MOST_MENTIONED).map(mention).collect();
        if let Some(first) = files.get(MOST_MENTIONED) {
            let said = format!("{} more like the ones above are not read", number(files.len() - MOST_MENTIONED, "file"));
            all.push(Problem { severity: Severity::Warning, ..Problem::of_file(&shown(first), said, "rename them, too") });
        }
        all
    }
}

/// The names at the top of a JSON object, after its first brace, as far as they can be seen.
fn top_names(text: &str) -> Vec<&str> {
    let (mut depth, mut names, mut rest) = (0_usize, Vec::new(), text);
    while let Some((at, found)) = rest.char_indices().find(|(_, c)| matches!(c, '"' | '{' | '}' | '[' | ']')) {
        rest = rest.get(at + 1..).unwrap_or("");
        match found {
            '"' => {
                let end = rest.char_indices().scan(false, |escaped, (at, c)| {
                    let ends = c == '"' && !*escaped;
                    *escaped = c == '\\' && !*escaped;
                    Some((at, ends))
                });
                let Some((end, _)) = end.into_iter().find(|(_, ends)| *ends) else { break };
                let (name, after) = (rest.get(..end).unwrap_or(""), rest.get(end + 1..).unwrap_or(""));
                if depth == 0 && after.trim_start().starts_with(':') {
                    names.push(name);
                }
                rest = after;
            }
            '{' | '[' => depth += 1,
            _ => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => break,
            },
        }
    }
    names
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

fn of_folder(paths: &[PathBuf], message: impl Into<String>, label: &str) -> Problem {
    Problem::of_file(&paths.first().map_or_else(String::new, |path| shown(path)), message, label)
}

fn unreadable(path: &Path, e: &std::io::Error) -> Problem {
    Problem::of_file(&shown(path), format!("this cannot be read: {e}"), "check its owner and permissions")
}

fn is_rule_file(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ["yaml", "yml"].iter().any(|ours| ending.eq_ignore_ascii_case(ours)))
}

/// A path that does not exist: a file, if it is called like one.
fn missing(path: &Path) -> Problem {
    if !is_rule_file(path) {
        let help = "create it and put a rule file into it, or choose another folder with --rules";
        return Problem::of_file(&shown(path), "this folder does not exist", help);
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = fs::read_dir(folder) else {
        return Problem::of_file(&shown(path), "this file does not exist", format!("the folder {} does not exist either", shown(folder)));
    };
    let mut names: Vec<String> = entries.take(1_000).flatten().map(|e| e.path()).filter(|p| is_rule_file(p)).map(|p| shown(&p)).collect();
    names.sort();
    let wanted = shown(&folder.join(path.file_name().unwrap_or_default()));
    let near = nearest(&wanted, names.iter().map(String::as_str)).or(names.first().map(String::as_str));
    let help = near.map_or_else(
        || format!("there is no rule file in {}", shown(folder)),
        |near| format!("did you mean {}?", near.strip_prefix("./").unwrap_or(near)),
    );
    Problem::of_file(&shown(path), "this file does not exist", help)
}

#[derive(Default)]
struct Search {
    files: Vec<PathBuf>,
    others: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    problems: Vec<Problem>,
    /// The real paths of the folders, from which links can lead back to them.
    seen: HashSet<PathBuf>,
    /// The real paths of the folders that are being looked at, the first one first.
    inside: Vec<PathBuf>,
    entries: usize,
}

impl Search {
    fn folder(&mut self, folder: &Path, depth: usize) {
        let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        if self.inside.first().is_some_and(|root| root.starts_with(&real)) {
            let said = "this link leads to a folder that contains the rules folder, so it is not followed";
            return self.problems.push(Problem { severity: Severity::Warning, ..Problem::of_file(&shown(folder), said, "remove it") });
        }
        if depth > MAX_DEPTH {
            let said = format!("folders are nested more than {MAX_DEPTH} deep here, so the rules in this one are not read");
            return self.problems.push(Problem::of_file(&shown(folder), said, "move it up, or out of the rules folder"));
        }
        if !self.seen.insert(real.clone()) {
            return;
        }
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(e) => return self.problems.push(unreadable(folder, &e)),
        };
        self.folders.push(folder.to_owned());
        self.inside.push(real);
        for entry in entries.flatten() {
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                if self.entries == MAX_ENTRIES + 1 {
                    let said = format!("there are more than {MAX_ENTRIES} files and folders below the rules folder");
                    let help = "remove links that lead out of it, and keep only rule files there";
                    self.problems.push(Problem::of_file(&shown(folder), said, help));
                }
                break;
            }
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            if path.is_dir() {
                self.folder(&path, depth + 1);
            } else if is_rule_file(&path) {
                self.files.push(path);
            } else if may_be_meant(&path) {
                self.others.push(path);
            }
        }
        self.inside.pop();
    }
}

/// Whether somebody may have meant this as a rule file: other endings than these are chosen on purpose, such as `.bak`.
fn may_be_meant(path: &Path) -> bool {
    path.extension().is_none_or(|ending| ["txt", "json", "yam", "ymal", "yaml_", "yml_"].iter().any(|e| ending.eq_ignore_ascii_case(e)))
}

/// Reads one file. Only a file that was `named` on the command line may be a pipe.
fn read_file(path: &Path, named: bool) -> Result<Source, Box<Problem>> {
    let name = shown(path);
    let found = fs::metadata(path).map_err(|e| Box::new(unreadable(path, &e)))?;
    if let Some(kind) = special(found.file_type()).filter(|kind| !named || *kind == "device") {
        let said = format!("this is not a file, but a {kind}");
        return Err(Box::new(Problem::of_file(&name, said, "remove it, or move it out of the rules folder")));
    }
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes));
    read.map_err(|e| Box::new(unreadable(path, &e)))?;
    Source::new(&name, bytes)
}

/// What something is that can be opened, but is not a file.
fn special(kind: FileType) -> Option<&'static str> {
    match kind {
        _ if kind.is_fifo() => Some("named pipe"),
        _ if kind.is_socket() => Some("socket"),
        _ if kind.is_char_device() || kind.is_block_device() => Some("device"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    const RULE: &str = "rules:\n  A:\n    when: { webhook: /a }\n    then: [ log: x ]\n";

    /// Reads a folder with one rule and what `add` puts next to it; returns the messages, without the folder's name.
    fn told(add: impl FnOnce(&Path)) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("rules");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a.yaml"), RULE).unwrap();
        add(&folder);
        let files = read_rules(&folder);
        let name = |p: &Problem| p.file.strip_prefix(&*shown(&folder)).unwrap_or(&p.file).trim_start_matches('/').to_owned();
        let not_read = files.not_read();
        let all = files.problems.iter().chain(&not_read);
        let mut told: Vec<String> = all.map(|p| format!("{}: {}: {}", name(p), p.message, p.notes.join(" "))).collect();
        told.sort();
        assert!(files.sources.iter().any(|s| s.text == RULE), "{told:?}");
        told
    }

    #[test]
    fn pipes_sockets_and_devices_are_never_opened() {
        let told = told(|folder| {
            assert!(Command::new("mkfifo").arg(folder.join("pipe.yaml")).status().unwrap().success());
            drop(UnixListener::bind(folder.join("socket.yml")).unwrap());
            symlink("/dev/zero", folder.join("zero.yaml")).unwrap();
            // These are not called like rule files.
            assert!(Command::new("mkfifo").arg(folder.join("pipe.txt")).status().unwrap().success());
        });
        let help = "remove it, or move it out of the rules folder";
        assert_eq!(
            told,
            [
                format!("pipe.yaml: this is not a file, but a named pipe: {help}"),
                format!("socket.yml: this is not a file, but a socket: {help}"),
                format!("zero.yaml: this is not a file, but a device: {help}"),
            ]
        );
    }

    #[test]
    fn links_lead_neither_out_to_the_whole_disk_nor_around_in_circles() {
        let told = told(|folder| {
            symlink("/", folder.join("root")).unwrap();
            symlink(".", folder.join("here")).unwrap();
            fs::create_dir(folder.join("sub")).unwrap();
            symlink("../sub", folder.join("sub/again")).unwrap();
            symlink("b.yaml", folder.join("c.yaml")).unwrap();
            symlink("c.yaml", folder.join("b.yaml")).unwrap();
        });
        let circle = "this cannot be read: Too many levels of symbolic links (os error 40): check its owner and permissions";
        let out = "this link leads to a folder that contains the rules folder, so it is not followed: remove it";
        let expected = [format!("b.yaml: {circle}"), format!("c.yaml: {circle}"), format!("here: {out}"), format!("root: {out}")];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_is_nested_too_deeply_or_too_large_is_reported() {
        let told = told(|folder| {
            let deep = |n: usize| (0..n).fold(folder.to_owned(), |path, _| path.join("d"));
            fs::create_dir_all(deep(MAX_DEPTH + 1)).unwrap();
            fs::write(deep(MAX_DEPTH).join("b.yaml"), RULE.replace("A:", "B:")).unwrap();
            fs::write(folder.join("b.yaml"), vec![b'#'; MAX_FILE]).unwrap();
            fs::write(folder.join("c.yaml"), vec![b'#'; MAX_FILE + 1]).unwrap();
        });
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("c.yaml: this file is larger than 4 MB"), "{told:?}");
        assert!(told[1].contains("folders are nested more than 16 deep here"), "{told:?}");
    }

    #[test]
    fn all_files_together_have_a_limit() {
        let told = told(|folder| {
            for n in 0..MAX_TOTAL / MAX_FILE {
                fs::write(folder.join(format!("b{n}.yaml")), vec![b'#'; MAX_FILE]).unwrap();
            }
        });
        assert_eq!(told, [": the rule files are larger than 32 MB together: move what is not a rule file out of the folder"]);
    }

    #[test]
    fn files_that_look_like_rule_files_are_mentioned() {
        let told = told(|folder| {
            for (name, text) in [
                ("orders.yml.txt", RULE),
                ("old.txt", "webhooks:\n"),
                ("rules", RULE),
                ("a.json", "{\"rules\": {}}"),
                ("doorbell.schema.json", "{\"properties\": {\"rules\": {}}, \"title\": \"rules\"}"),
                ("order.json", "{\"order\": {\"rules\": 1}, \"a\": \"rules\"}"),
                ("notes.txt", "The rules: none\n"),
                ("a.yaml.bak", RULE),
                (".hidden.txt", RULE),
            ] {
                fs::write(folder.join(name), text).unwrap();
            }
        });
        let said =
            |name: &str, why: &str, to: &str| format!("{name}: this file is not read as a rule file, because {why}: rename it to {to}");
        let expected = [
            said("a.json", "its name ends in .json", "a.yaml"),
            said("old.txt", "its name ends in .txt", "old.yaml"),
            said("orders.yml.txt", "its name ends in .txt", "orders.yml"),
            said("rules", "its name has no ending", "rules.yaml"),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn several_files_are_read_once_each_and_a_missing_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("orders.yaml"), RULE).unwrap();
        let files = read_all(&[at("orders.yaml"), dir.path().to_owned(), at("order.yaml"), at("nowhere/a.yaml"), at("nowhere")]);
        assert_eq!(files.sources.len(), 1);
        let told: Vec<String> = files.problems.iter().map(|p| format!("{}: {}", p.message, p.notes.join(" "))).collect();
        let expected = [
            format!("this file does not exist: did you mean {}?", shown(&at("orders.yaml"))),
            format!("this file does not exist: the folder {} does not exist either", shown(&at("nowhere"))),
            "this folder does not exist: create it and put a rule file into it, or choose another folder with --rules".to_owned(),
        ];
        assert_eq!(told, expected);
    }
}
