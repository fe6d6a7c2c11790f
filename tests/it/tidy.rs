//! The house keeps its floors: arrows point down, every fixed package stands behind its door, lists are complete.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::world::home;

/// The floors, from the ground up; a module may use those below it and its own neighbours.
const FLOORS: [&[&str]; 9] = [
    &[
        "answer", "disk", "event", "body", "budget", "carry_on", "json", "memory", "moment", "number", "outcome", "percent", "place",
        "planted", "problem", "refusals", "request", "retry", "secret", "span", "spell", "word",
    ],
    &["yaml", "field", "known", "projection", "template", "route", "run", "course", "comparison"],
    &["scope", "condition"],
    &["action", "signature", "store"],
    &["rule", "surroundings"],
    &[
        "at_work",
        "attempt",
        "crowd",
        "hands",
        "health",
        "intake",
        "keyring",
        "off_thread",
        "old_rules",
        "pace",
        "recovery",
        "worker",
        "watch",
        "rehearsal",
        "retention",
        "supervisor",
    ],
    &["operations"],
    &["web"],
    &["cli"],
];

/// Packages, and the only places that may name them.
const DOORS: [(&str, &[&str]); 9] = [
    ("warp", &["web/"]),
    ("serde_yaml", &["yaml/"]),
    ("handlebars", &["template/"]),
    ("jsonpath_rust", &["field/"]),
    ("reqwest", &["action/http/"]),
    ("rusqlite", &["store/"]),
    ("tokio_postgres", &["store/"]),
    ("clap", &["cli/"]),
    ("notify::", &["watch.rs"]),
];

fn sources() -> BTreeMap<String, String> {
    fn walk(folder: &Path, root: &Path, out: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, root, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    let (root, mut out) = (home().join("src"), BTreeMap::new());
    walk(&root, &root, &mut out);
    out
}

fn module(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap()
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|f| f.contains(&module))
}

/// The part of a file that is the program, without its tests.
fn program(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap()
}

#[test]
fn every_arrow_points_down() {
    for (file, text) in sources() {
        if file == "lib.rs" || file == "main.rs" {
            continue;
        }
        let from = floor(module(&file)).unwrap_or_else(|| panic!("{file} stands on no floor"));
        for (n, line) in program(&text).lines().enumerate() {
            for part in line.split("crate::").skip(1) {
                for to in targets(part) {
                    let to_floor = floor(to).unwrap_or_else(|| panic!("{file}:{} uses {to}, which stands on no floor", n + 1));
                    assert!(to_floor <= from, "{file}:{} looks up to {to}", n + 1);
                }
            }
        }
    }
}

/// The modules named behind `crate::`, also as `{disk, store}`.
fn targets(part: &str) -> Vec<&str> {
    match part.strip_prefix('{') {
        Some(list) => list.split('}').next().unwrap().split(',').map(|t| t.trim().split("::").next().unwrap()).collect(),
        None => vec![part.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap()],
    }
}

#[test]
fn every_package_stands_behind_its_door() {
    for (file, text) in sources() {
        for (package, doors) in DOORS {
            let code = program(&text).lines().filter(|l| !l.trim_start().starts_with("//"));
            let names = |l: &str| {
                l.match_indices(package).any(|(at, _)| {
                    !l[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '`') && l[at + package.len()..].starts_with("::")
                        || package.ends_with("::") && l.contains(package)
                })
            };
            if code.clone().any(names) {
                assert!(doors.iter().any(|d| file.starts_with(d)), "{file} names {package}");
            }
        }
    }
}

#[test]
fn sql_stands_in_the_store_only() {
    for (file, text) in sources() {
        let sql = ["SELECT ", "INSERT ", "UPDATE pending", "DELETE FROM"].iter().any(|w| program(&text).contains(w));
        assert!(!sql || file.starts_with("store/"), "{file} holds SQL");
    }
}

#[test]
fn files_are_nouns_and_say_what_they_are_for() {
    let empty = ["utils", "helpers", "common", "types", "constants", "errors", "manager", "misc"];
    for (file, text) in sources() {
        let name = file.rsplit('/').next().unwrap().trim_end_matches(".rs");
        // The helpers of templates are what users call them.
        assert!(!empty.contains(&name) || file == "template/helpers.rs", "{file} names nothing");
        assert!(text.trim_start_matches("#![forbid(unsafe_code)]").trim_start().starts_with("//!"), "{file} does not say what it is for");
        assert!(text.lines().count() <= 520, "{file} holds two things");
    }
}

#[test]
fn every_kind_of_action_is_in_the_list() {
    let all = sources();
    let list = &all["action/mod.rs"];
    for (file, text) in all.iter().filter(|(f, _)| f.starts_with("action/")) {
        for line in text.lines().filter_map(|l| l.strip_prefix("impl Kind for ")) {
            let kind = line.trim_end_matches(" {");
            let module = file.trim_start_matches("action/").trim_end_matches(".rs").replace('/', "::");
            let place = format!("&{module}::{kind}");
            assert!(list.contains(&place), "{place} is not in the list");
        }
    }
    for (file, text) in all.iter().filter(|(f, _)| f.starts_with("signature/")) {
        for line in text.lines().filter_map(|l| l.strip_prefix("impl Scheme for ")) {
            let place = format!("&{}::{}", file.trim_start_matches("signature/").trim_end_matches(".rs"), line.trim_end_matches(" {"));
            assert!(all["signature/mod.rs"].contains(&place), "{place} is not in the list");
        }
    }
}

#[test]
fn only_the_verbs_read_the_clock_and_nobody_is_unsafe() {
    for (file, text) in sources() {
        let high = floor(module(&file)).is_none_or(|f| f >= 5) || file == "action/http/client.rs";
        assert!(
            high || !program(&text).contains("Timestamp::now()") && !program(&text).contains("SystemTime::now"),
            "{file} reads the clock"
        );
        assert!(!text.contains("unsafe {"), "{file} is unsafe");
    }
    assert!(sources()["lib.rs"].contains("#![forbid(unsafe_code)]"));
}

/// The image is built without tests and benches, and with a build script that looks for nothing, but cargo wants to see a
/// file for each that Cargo.toml names.
#[test]
fn the_image_knows_every_target() {
    let read = |name: &str| fs::read_to_string(home().join(name)).unwrap();
    let (cargo, image) = (read("Cargo.toml"), read("Dockerfile"));
    let touched: Vec<&str> = image.split_whitespace().collect();
    let benches: Vec<&str> = cargo.split("[[bench]]\nname = \"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(benches.len() > 2, "{benches:?}");
    let script = cargo.split("\nbuild = \"").nth(1).unwrap().split('"').next().unwrap();
    for file in benches.iter().map(|name| format!("benches/{name}.rs")).chain(["tests/it/main.rs".into(), script.into()]) {
        assert!(touched.contains(&file.as_str()), "the Dockerfile does not make {file}");
    }
}
