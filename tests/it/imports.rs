//! Which file of the program imports what from which other file, read from the source text.

use std::collections::{BTreeMap, BTreeSet};

/// For each file, the files that it imports something from, with the imported names. Paths are relative to `src/`.
pub type Imports = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Reads the imports of all files, without tests and comments. `main.rs` and `lib.rs` are left out.
pub fn imports(sources: &BTreeMap<String, String>) -> Imports {
    let files: BTreeMap<Vec<&str>, &str> = sources.keys().filter(|f| !is_entry(f)).map(|file| (module(file), file.as_str())).collect();
    let mut all = Imports::new();
    for (place, file) in &files {
        let words = words(program(&sources[*file]));
        let children: Vec<&str> =
            files.keys().filter(|m| m.len() == place.len() + 1 && m.starts_with(place)).map(|m| m[place.len()]).collect();
        let imports = all.entry((*file).to_owned()).or_default();
        for (n, word) in words.iter().enumerate() {
            let begins = matches!(*word, "crate" | "super" | "self") || children.contains(word);
            if begins && words.get(n + 1) == Some(&"::") && (n == 0 || words[n - 1] != "::") {
                let mut paths = Vec::new();
                read(&words, n, &[], &mut paths);
                for path in paths {
                    let (to, name) = resolve(&files, place, &path);
                    if let Some(to) = to.filter(|to| to != file) {
                        imports.entry(to.to_owned()).or_default().insert(name.to_owned());
                    }
                }
            }
        }
    }
    all
}

/// Groups of files that import each other in a circle: each file of a group can be reached from every other.
pub fn circles(imports: &Imports) -> Vec<BTreeSet<&str>> {
    let all: BTreeMap<&str, BTreeSet<&str>> = imports.keys().map(|file| (file.as_str(), reached(imports, file))).collect();
    let mut circles: Vec<BTreeSet<&str>> = Vec::new();
    for (file, reached) in &all {
        let circle: BTreeSet<&str> = reached.iter().filter(|other| all[**other].contains(file)).copied().collect();
        if !circle.is_empty() && !circles.contains(&circle) {
            circles.push(circle);
        }
    }
    circles
}

/// All files that a file imports, directly or not.
fn reached<'a>(imports: &'a Imports, from: &str) -> BTreeSet<&'a str> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(file) = next.pop() {
        for to in imports[file].keys() {
            if seen.insert(to.as_str()) {
                next.push(to);
            }
        }
    }
    seen
}

pub fn is_entry(file: &str) -> bool {
    matches!(file, "main.rs" | "lib.rs")
}

/// A file without its tests.
pub fn program(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap()
}

/// `store/sqlite/mod.rs` is the module `store::sqlite`.
fn module(file: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
    parts.pop_if(|last| *last == "mod");
    parts
}

/// Names, `::`, and everything else one character at a time; no comments.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for line in text.lines() {
        let mut rest = line.split("//").next().unwrap();
        while let Some(first) = rest.chars().next() {
            let is_name = |c: char| c.is_alphanumeric() || c == '_';
            let length = match first {
                ':' if rest.starts_with("::") => 2,
                c if is_name(c) => rest.find(|c| !is_name(c)).unwrap_or(rest.len()),
                c => c.len_utf8(),
            };
            let (word, after) = rest.split_at(length);
            words.extend((!word.trim().is_empty()).then_some(word));
            rest = after;
        }
    }
    words
}

/// Reads the path that begins at a word, including its braces; returns where it ends.
fn read<'t>(words: &[&'t str], mut at: usize, before: &[&'t str], paths: &mut Vec<Vec<&'t str>>) -> usize {
    let mut path = before.to_vec();
    loop {
        match words.get(at) {
            Some(&"{") => {
                at += 1;
                while words.get(at).is_some_and(|w| *w != "}") {
                    at = if words[at] == "," { at + 1 } else { read(words, at, &path, paths) };
                }
                return at + 1;
            }
            Some(word) => path.push(word),
            None => return at,
        }
        at += 1;
        if words.get(at) != Some(&"::") {
            break;
        }
        at += 1;
    }
    // `as OtherName`.
    if words.get(at) == Some(&"as") {
        at += 2;
    }
    paths.push(path);
    at.max(1)
}

/// The file that a path leads to, and the name that it imports there.
fn resolve<'t>(files: &BTreeMap<Vec<&'t str>, &'t str>, place: &[&'t str], path: &[&'t str]) -> (Option<&'t str>, &'t str) {
    let ups = path.iter().take_while(|word| **word == "super").count();
    let (mut module, rest) = match path[0] {
        "crate" => (Vec::new(), &path[1..]),
        "self" => (place.to_vec(), &path[1..]),
        _ => (place[..place.len().saturating_sub(ups)].to_vec(), &path[ups..]),
    };
    let mut found = files.get(&module).copied();
    for name in rest {
        module.push(name);
        match files.get(&module) {
            Some(file) => found = Some(file),
            None => break,
        }
    }
    (found, path[path.len() - 1])
}
