//! The rules of docs/architecture.md: imports point down, each package is used in one place only, lists are complete, and
//! messages are in plain English.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use doorbell::action::verbs;

use crate::harness::project_folder;
use crate::imports::{circles, imports, is_entry, program};

/// The folders of `src/`, and the files outside of folders, from the bottom up. A file imports only from its own folder and
/// from those before it in this list, and never in a circle.
const LAYERS: [&str; 28] = [
    "planted",
    "tally",
    "disk",
    "text",
    "secret",
    "problem",
    "route",
    "schedule",
    "model",
    "body",
    "yaml",
    "expr",
    "store",
    "action",
    "verify",
    "rule",
    "engine/task",
    "engine/tallies",
    "engine/rules",
    "engine/run",
    "engine/care",
    "engine/intake",
    "engine/starts",
    "engine",
    "operations",
    "web",
    "cli",
    "main",
];
/// The most files that are in `src/` itself.
const MOST_OUTSIDE: usize = 8;
/// The most lines of a file.
const MOST_LINES: usize = 500;

/// Packages, and the only places that may use them.
const USED_IN: [(&str, &[&str]); 11] = [
    ("prometheus_client", &["operations/metrics.rs"]),
    ("warp", &["web/"]),
    ("serde_yaml", &["yaml/"]),
    ("handlebars", &["expr/template/"]),
    ("jsonpath_rust", &["expr/field/"]),
    ("reqwest", &["action/http/"]),
    ("lettre", &["action/email/"]),
    ("rusqlite", &["store/sqlite/"]),
    ("tokio_postgres", &["store/postgres/", "store/conformance/postgres.rs"]),
    ("clap", &["cli/"]),
    ("notify::", &["engine/rules/reload.rs"]),
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
    let (root, mut out) = (project_folder().join("src"), BTreeMap::new());
    walk(&root, &root, &mut out);
    out
}

/// The layer of a file, as its position in the list.
fn layer(file: &str) -> usize {
    let name = file.trim_end_matches(".rs");
    let is_in = |layer: &str| name.strip_prefix(layer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    LAYERS.iter().position(|layer| is_in(layer)).unwrap_or_else(|| panic!("{file} is in no layer"))
}

#[test]
fn every_import_points_down_and_none_is_circular() {
    let sources = sources();
    let imports = imports(&sources);
    for (file, all) in &imports {
        for (to, names) in all {
            assert!(layer(to) <= layer(file), "{file} imports {names:?} from {to}, which is above it");
        }
    }
    assert_eq!(circles(&imports), Vec::<BTreeSet<&str>>::new(), "these import each other in a circle");
    assert!(imports["cli/serve.rs"].contains_key("engine/run/worker.rs") && imports.len() > 150, "imports are found");
}

#[test]
fn the_docs_list_the_modules_from_the_top_down() {
    let docs = fs::read_to_string(project_folder().join("docs/architecture.md")).unwrap();
    let list = docs.split("## Modules").nth(1).and_then(|rest| rest.split("```").nth(1)).unwrap();
    let mut parent = "";
    let mut names = Vec::new();
    for line in list.lines().skip(1) {
        let name = line.split_whitespace().next().unwrap().trim_end_matches('/');
        if line.starts_with(' ') {
            names.push(format!("{parent}/{name}"));
        } else {
            parent = name;
            names.push(name.to_owned());
        }
        assert!(line.split_whitespace().count() > 2, "{name} has no description");
    }
    let layers: Vec<&str> = LAYERS.into_iter().rev().filter(|layer| *layer != "main").collect();
    assert_eq!(names, layers);
}

#[test]
fn imports_and_circles_are_found() {
    let sources = [
        ("a/mod.rs", "mod b;\nuse b::{C, D as E};\nfn f() { super::d::g(); }\n"),
        (
            "a/b.rs",
            "// use crate::d::X;\nuse super::super::c::{self, F, g::{H, I}};\nuse super::K;\n#[cfg(test)]\nmod tests { use crate::d::Z; }",
        ),
        ("c.rs", "use std::fmt;\nuse crate::{d::J, a};\n"),
        ("d.rs", "pub struct J;"),
        ("lib.rs", "mod a;"),
    ];
    let sources = sources.map(|(file, text)| (file.to_owned(), text.to_owned())).into();
    let imports = imports(&sources);
    let of = |file: &str| imports[file].iter().map(|(to, names)| format!("{to} {names:?}")).collect::<Vec<_>>().join(", ");
    assert_eq!(of("a/mod.rs"), r#"a/b.rs {"C", "D"}, d.rs {"g"}"#);
    assert_eq!(of("a/b.rs"), r#"a/mod.rs {"K"}, c.rs {"F", "H", "I", "self"}"#);
    assert_eq!(of("c.rs"), r#"a/mod.rs {"a"}, d.rs {"J"}"#);
    assert_eq!(circles(&imports), [BTreeSet::from(["a/b.rs", "a/mod.rs", "c.rs"])]);
}

#[test]
fn every_package_is_used_only_where_it_is_allowed() {
    for (file, text) in sources() {
        for (package, places) in USED_IN {
            let code = program(&text).lines().filter(|l| !l.trim_start().starts_with("//"));
            let names = |l: &str| {
                l.match_indices(package).any(|(at, _)| {
                    !l[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '`') && l[at + package.len()..].starts_with("::")
                        || package.ends_with("::") && l.contains(package)
                })
            };
            if code.clone().any(names) {
                assert!(places.iter().any(|place| file.starts_with(place)), "{file} uses {package}");
            }
        }
    }
}

#[test]
fn sql_is_only_in_the_folders_of_the_stores() {
    for (file, text) in sources() {
        let sql = ["SELECT ", "INSERT ", "UPDATE pending", "DELETE FROM"].iter().any(|w| program(&text).contains(w));
        assert!(!sql || ["store/sqlite/", "store/postgres/"].iter().any(|folder| file.starts_with(folder)), "{file} contains SQL");
    }
}

#[test]
fn files_are_nouns_and_say_what_they_are_for() {
    let empty = ["utils", "helpers", "common", "types", "constants", "errors", "manager", "misc"];
    for (file, text) in sources() {
        let name = file.rsplit('/').next().unwrap().trim_end_matches(".rs");
        // Users know the helpers of templates by this name.
        assert!(!empty.contains(&name) || file == "expr/template/helpers.rs", "the name of {file} does not say what it is for");
        assert!(text.trim_start_matches("#![forbid(unsafe_code)]").trim_start().starts_with("//!"), "{file} does not say what it is for");
        assert!(text.lines().count() <= MOST_LINES, "{file} is too long");
    }
    let outside: Vec<String> = sources().into_keys().filter(|file| !file.contains('/')).collect();
    assert!(outside.len() <= MOST_OUTSIDE, "move some of these into a folder: {outside:?}");
}

#[test]
fn every_kind_of_action_and_every_scheme_is_in_its_list() {
    let all = sources();
    let list = &all["action/mod.rs"];
    for (file, text) in all.iter().filter(|(f, _)| f.starts_with("action/")) {
        for line in text.lines().filter_map(|l| l.strip_prefix("impl Kind for ")) {
            let kind = line.trim_end_matches(" {");
            let module = file.trim_start_matches("action/").trim_end_matches(".rs").replace('/', "::");
            let place = format!("&{module}::{kind}");
            assert!(list.contains(&place), "{place} is missing in the list");
        }
    }
    for (file, text) in all.iter().filter(|(f, _)| f.starts_with("verify/")) {
        for line in text.lines().filter_map(|l| l.strip_prefix("impl Scheme for ")) {
            let place = format!("&{}::{}", file.trim_start_matches("verify/").trim_end_matches(".rs"), line.trim_end_matches(" {"));
            assert!(all["verify/mod.rs"].contains(&place), "{place} is missing in the list");
        }
    }
}

/// So that a new verb needs its own file, a line in the list, and nothing else.
#[test]
fn a_verb_is_named_only_by_its_kind() {
    for (file, text) in sources() {
        // The words of drafts and of searches are those of bodies and of people, which may be those of a verb.
        let is_draft = ["operations/drafts.rs", "operations/recipe_words.rs"].contains(&file.as_str());
        let asks_kinds = !is_draft && ["rule/", "operations/", "engine/", "cli/"].iter().any(|folder| file.starts_with(folder));
        for (line, text) in literals(program(&text)).into_iter().filter(|_| asks_kinds) {
            assert!(verbs().all(|(verb, _)| verb != text), "src/{file}:{line} names the verb `{text}`: ask its Kind instead");
        }
    }
}

#[test]
fn only_the_upper_folders_read_the_clock_and_no_code_is_unsafe() {
    for (file, text) in sources() {
        let is_upper = ["engine", "operations", "web", "cli"].iter().any(|folder| file.starts_with(folder));
        let may_read = is_upper || is_entry(&file) || file == "action/http/client.rs";
        assert!(
            may_read || !program(&text).contains("Timestamp::now()") && !program(&text).contains("SystemTime::now"),
            "{file} reads the clock"
        );
        assert!(!text.contains("unsafe {"), "{file} contains unsafe code");
    }
    assert!(sources()["lib.rs"].contains("#![forbid(unsafe_code)]"));
}

/// The container image is built without tests, benches and the real build script, but cargo needs a file for each of them.
#[test]
fn the_container_image_is_built_with_every_target() {
    let read = |name: &str| fs::read_to_string(project_folder().join(name)).unwrap();
    let (cargo, image) = (read("Cargo.toml"), read("Dockerfile"));
    let touched: Vec<&str> = image.split_whitespace().collect();
    let benches: Vec<&str> = cargo.split("[[bench]]\nname = \"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(benches.len() > 2, "{benches:?}");
    let script = cargo.split("\nbuild = \"").nth(1).unwrap().split('"').next().unwrap();
    for file in benches.iter().map(|name| format!("benches/{name}.rs")).chain(["tests/it/main.rs".into(), script.into()]) {
        assert!(touched.contains(&file.as_str()), "the Dockerfile does not create {file}");
    }
}

/// Words and phrases that messages must not contain, each with what to write instead.
const AVOIDED: [(&str, &str); 10] = [
    ("mend", "fix"),
    ("stumbled", "crashed"),
    ("is set aside", "is quarantined"),
    ("what became of", "what happened to"),
    ("capital letter", "upper case"),
    ("small letter", "lower case"),
    ("may ring", "may call"),
    ("rings ", "calls, receives"),
    ("is rung", "is called"),
    ("beyond it", "above that"),
];

/// The text literals of a file, without comments, each with its line.
fn literals(text: &str) -> Vec<(usize, String)> {
    let raw = r###"\br##"(.*?)"##|\br#"(.*?)"#|\br"(.*?)""###;
    let plain = r#"//[^\n]*|/\*.*?\*/|"((?:\\.|[^"\\])*)"|'(?:\\u\{[0-9a-fA-F]+\}|\\.|[^'\\])'"#;
    let tokens = regex::Regex::new(&format!("(?s){raw}|{plain}")).unwrap();
    let found = tokens.captures_iter(text).filter_map(|all| {
        let literal = all.iter().skip(1).flatten().next()?;
        Some((text[..literal.start()].lines().count(), literal.as_str().to_owned()))
    });
    found.collect()
}

#[test]
fn what_people_read_is_plain_english() {
    // People read neither the names of placeholders nor the columns of tables.
    let unread = regex::Regex::new(r"\{[a-z_]+\}|(?s)^.*\b(ALTER|CREATE TABLE|UPDATE pending)\b.*$").unwrap();
    let mut found = Vec::new();
    for (file, text) in sources() {
        let help = text
            .lines()
            .enumerate()
            .filter(|_| file.starts_with("cli/"))
            .filter_map(|(n, line)| line.trim_start().strip_prefix("///").map(|said| (n + 1, said.to_owned())));
        for (line, said) in literals(program(&text)).into_iter().chain(help) {
            let said = unread.replace_all(&said, "").into_owned();
            for (word, instead) in AVOIDED {
                let at_a_word = |at: usize| !said[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                if said.match_indices(word).any(|(at, _)| at_a_word(at)) {
                    found.push(format!("src/{file}:{line} says `{word}` instead of `{instead}`: {said}"));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn text_literals_are_found() {
    let text = "// \"no\"\nlet a = '\"'; let b = \"one \\\" two\";\nlet c = r#\"raw \"x\" text\"#; /* \"no\" */ let d = \"\";";
    let found = literals(text);
    assert_eq!(found, [(2, "one \\\" two".to_owned()), (3, "raw \"x\" text".to_owned()), (3, String::new())]);
}

/// What people are told to write in place of their own text is tried first: the help next to a problem, which is not tried,
/// has no such text.
#[test]
fn only_what_was_tried_is_shown_as_a_correction() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        for (n, line) in program(&text).lines().enumerate() {
            let help = line.split(".label(").skip(1).any(|rest| {
                rest.starts_with("format!(\"write {") || rest.starts_with("format!(\"did you") || rest.starts_with("\"did you")
            });
            if help {
                wrong.push(format!("{name}:{}: {}", n + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "use `meant`, `write` or `propose`, which are tried:\n{}", wrong.join("\n"));
}
