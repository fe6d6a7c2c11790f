//! Invalid rule files and the messages about them. `tests/problems` contains pairs of a rule file and its complete messages.

use std::collections::HashSet;

use doorbell::expr::names::Resolver;
use doorbell::problem::Problem;
use doorbell::rule::load::{load, problems_of};
use doorbell::yaml::source::Source;
use proptest::prelude::*;

use crate::harness::{Setup, project_folder};

/// Every rule file of the project, valid or not.
fn all_files() -> Vec<Vec<u8>> {
    let folders = ["rules", "tests/problems"].map(|f| project_folder().join(f));
    let files = folders.iter().flat_map(|f| std::fs::read_dir(f).unwrap().map(|e| e.unwrap().path()));
    files.filter(|p| p.extension().is_some_and(|e| e == "yaml")).map(|p| std::fs::read(p).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_typing_mistake_crashes_the_loader(
        file in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..4usize, "[ \\t\\n{}\\[\\]'\"#&*!|>%@:,.$é“\u{a0}a1-]{0,4}"), 1..4),
    ) {
        let files = all_files();
        let mut text = String::from_utf8(files[file.index(files.len())].clone()).unwrap();
        for (at, cut, put) in &edits {
            let characters: Vec<char> = text.chars().collect();
            let at = at.index(characters.len());
            let end = (at + cut).min(characters.len());
            text = characters[..at].iter().chain(put.chars().collect::<Vec<_>>().iter()).chain(&characters[end..]).collect();
        }
        read_and_draw(text)?;
    }
}

/// Characters that people paste without noticing, and characters with a meaning in rule files.
const ODD: [&str; 66] = [
    "\u{a0}", "\u{2003}", "\u{3000}", "\u{200b}", "\u{200d}", "\u{feff}", "\u{301}", "\u{202e}", "\u{2028}", "\u{85}", "\u{0}", "\t", "\n",
    "😀", "𝒳", "é", "ﬁ", "İ", "ß", "ء", "٣", "“", "’", "{{", "}}", "{{{", "}}}", "{{#", "{{/", "{{!--", "--}}", "{%", "%}", "{", "}", "[",
    "]", "(", ")", "'", "\"", "|", ".", "$", "?@", "#", "/", "~", "%", ": ", ":", " ", "\\", "*", "-", "=", "body", "path", "header",
    "item", "this", "secret", "if ", "each ", "upper ", "12",
];

/// The places in a rule file where people write their own text, marked with `§`.
const PLACES: [&str; 40] = [
    "rules: { A: { when: { webhook: § }, then: [ log: x ] } }",
    "rules: { §: { when: { webhook: /a }, then: [ log: x ] } }",
    "rules: { A: { when: { webhook: \"/a/{p}\" }, if: { §: 1 }, then: [ log: x ] } }",
    "rules: { A: { when: { webhook: /a }, if: { body.x: § }, then: [ log: x ] } }",
    "rules: { A: { when: { webhook: /a }, if: { body.x: { §: 1 } }, then: [ log: x ] } }",
    "rules: { A: { when: { webhook: /a }, if: { body.x: { matches: § } }, then: [ log: x ] } }",
    "rules: { A: { when: { webhook: /a }, if: { body.x: { like: §, ignore_case: true } }, then: [ log: x ] } }",
    "rules: { A: { when: { webhook: /a }, if: { body.x: { over: § } }, then: [ log: x ] } }",
    "rules: { A: { when: { webhook: /a }, if: { body.x: { after: § } }, then: [ log: x ] } }",
    "rules: { A: { when: { webhook: /a }, if: { ip: { in_network: § } }, then: [ log: x ] } }",
    "rules: { A: { when: { webhook: /a }, if: §, then: [ log: x ] } }",
    "rules: { A: { when: { webhook: /a }, set: { v: § }, then: [ log: x ] } }",
    "rules: { A: { when: { webhook: /a }, set: { §: body.x }, then: [ log: x ] } }",
    "rules: { A: { when: { webhook: /a }, once_per: §, then: [ log: x ] } }",
    "rules: { A: { when: { webhook: /a }, once_per: { value: body.x, within: § }, then: [ log: x ] } }",
    "rules: { A: { when: { webhook: /a }, one_at_a_time: §, then: [ log: x ] } }",
    "rules: { A: { when: { webhook: /a }, then: [ § ] } }",
    "rules: { A: { when: { webhook: /a }, then: [ { §: x } ] } }",
    "rules: { A: { when: { webhook: /a }, then: [ { log: § } ] } }",
    "rules: { A: { when: { webhook: /a }, then: [ { log: \"{{ upper § }}\" } ] } }",
    "rules: { A: { when: { webhook: /a }, then: [ { log: x, for_each: § } ] } }",
    "rules: { A: { when: { webhook: /a }, then: [ { log: \"{{ item.x }}\", for_each: body.x, if: { §: 1 } } ] } }",
    "rules: { A: { when: { webhook: /a }, then: [ { log: x, §: 1 } ] } }",
    "rules: { A: { when: { webhook: /a }, then: [ { append: §, text: x } ] } }",
    "rules: { A: { when: { webhook: /a }, then: [ { append: x, text: § } ] } }",
    "rules: { A: { when: { webhook: /a }, then: [ { add_row: x.csv, columns: { §: § } } ] } }",
    "rules: { A: { when: { webhook: /a }, then: [ { add_or_update_row: x.xlsx, sheet: §, match: §, columns: { a: b } } ] } }",
    "rules: { A: { when: { webhook: /a }, then: [ { post: § } ] } }",
    "rules: { A: { when: { webhook: /a }, then: [ { post: \"https://example.com/§\" } ] } }",
    "rules: { A: { when: { webhook: /a }, then: [ { post: https://example.com, json: { §: § }, headers: { §: § }, query: { §: § } } ] } }",
    "rules: { A: { when: { webhook: /a }, then: [ { post: https://example.com, ok: §, timeout: §, first_wait: §, tries: §, save_as: § } ] } }",
    "rules: { A: { when: { webhook: /a }, then: [ { respond: 200, text: § } ] } }",
    "rules: { A: { when: { webhook: /a }, then: [ log: x ], tests: [ { name: §, send: { json: § }, expect: [ { log: § } ] } ] } }",
    "webhooks: { §: { verify: none } }",
    "webhooks: { /a: { verify: none, limit: §, allow_from: §, max_body: §, delivery_id: § } }",
    "webhooks: { /a: { verify: § } }",
    "webhooks: { /a: { verify: { bearer: § } } }",
    "webhooks: { /a: { verify: { custom: { secret: x, algorithm: hmac-sha256, signature: { from: §, format: § }, signed: §, id: § } } } }",
    "webhooks: { /a: { verify: { custom: { secret: x, algorithm: jwt-hs256, signature: { from: \"header:X\" }, claims: { §: § }, require: { §: § } } } } }",
    "webhooks: { /a: { answer: { text: § }, verify: { custom: { secret: x, algorithm: equals, signature: { from: \"header:X\" }, handshake: { when: { method: §, query: § }, reply: { text: § } } } } } }",
];

/// Loads a rule file as all commands do, and draws its problems.
fn read_and_draw(text: String) -> Result<(), TestCaseError> {
    let Ok(source) = Source::new("x.yaml", text.into_bytes()) else { return Ok(()) };
    let loaded = load(vec![source], Resolver::new(&|_| Some("x".into()), &|_| None, &|_| None), false);
    for problem in &loaded.problems {
        prop_assert!(!problem.draw().is_empty());
    }
    prop_assert!(loaded.ruleset.is_some() || !loaded.problems.is_empty());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_character_in_any_place_crashes_the_loader(
        odd in prop::collection::vec(prop::sample::select(&ODD[..]), 1..7),
        quoted in any::<bool>(),
    ) {
        let odd = odd.concat();
        // With quotes and escapes, YAML accepts every character; without them, this is what people type.
        let text = if quoted { serde_json::Value::from(odd).to_string() } else { odd };
        for place in PLACES {
            read_and_draw(place.replace('§', &text))?;
        }
    }
}

#[test]
fn every_mistake_is_reported_with_its_place_and_how_to_fix_it() {
    let setup = Setup::new();
    let folder = project_folder().join("tests/problems");
    let mut names: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "yaml")).collect();
    names.sort();
    assert!(names.len() >= 60, "only {} pairs of files", names.len());
    let mut wrong = Vec::new();
    for path in names {
        let name = path.file_name().unwrap().to_str().unwrap();
        std::fs::copy(&path, setup.path(name)).unwrap();
        let said = setup.printed(&["check", name]);
        let saved = path.with_extension("txt");
        if std::env::var_os("DOORBELL_BLESS").is_some() {
            std::fs::write(&saved, &said).unwrap();
        }
        let expected = std::fs::read_to_string(&saved).unwrap_or_default();
        if said != expected {
            wrong.push(format!("{name} shows:\n{said}\ninstead of:\n{expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every pair's rule file.
fn pairs() -> Vec<(String, String)> {
    let folder = project_folder().join("tests/problems");
    let paths = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "yaml"));
    let mut all: Vec<_> =
        paths.map(|p| (p.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&p).unwrap())).collect();
    all.sort();
    all
}

fn problems_in(name: &str, text: &str) -> Vec<Problem> {
    problems_of(name, text, Resolver::new(&|_| None, &|_| None, &|_| None))
}

#[test]
fn following_the_corrections_never_leads_in_a_circle() {
    let mut corrections = 0;
    for (name, text) in pairs() {
        let (mut text, mut seen) = (text.trim_start_matches('\u{feff}').to_owned() + "\n", HashSet::new());
        loop {
            assert!(seen.insert(text.clone()), "{name}: the corrections lead back to:\n{text}");
            let before = problems_in(&name, &text);
            let Some((problem, correction)) = before.iter().find_map(|p| Some((p, p.correction.as_ref()?))) else { break };
            let corrected = correction.edit().applied(&text).unwrap_or_else(|| panic!("{name}: {} changes nothing", correction.says()));
            let after = problems_in(&name, &corrected);
            let same = |all: &[Problem]| all.iter().filter(|p| p.message == problem.message && p.line == problem.line).count();
            assert!(same(&after) < same(&before), "{name}: `{}` does not solve: {}", correction.says(), problem.draw());
            corrections += 1;
            text = corrected;
        }
    }
    assert!(corrections >= 150, "only {corrections} corrections in all pairs");
}

#[test]
fn corrections_are_written_after_asking_and_the_old_file_is_kept() {
    let wrong = "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    whne: { webhook: /a }\n    if: { body.total: { ovre: 100 } }\n    then: [ log: hi ]\n";
    let right = wrong.replace("whne", "when").replace("ovre", "over");
    let setup = Setup::with(wrong);
    let file = setup.path("rules/rules.yaml");
    let text = || std::fs::read_to_string(&file).unwrap();
    let said = setup.answered(&["check", "--fix"], "n\ny\n");
    assert!(said.contains(" -     whne: { webhook: /a }\n +     when: { webhook: /a }\n"), "{said}");
    assert_eq!(text(), wrong.replace("ovre", "over"));
    assert!(said.ends_with("1 error\n"), "{said}");
    let backup = |n: &str| std::fs::read_to_string(setup.path(&format!("rules/rules.yaml.bak{n}"))).unwrap();
    assert_eq!(backup(""), wrong);
    let said = setup.answered(&["check", "--fix", "--yes"], "");
    assert!(said.ends_with("1 correction made\n\n1 rule in 1 file: valid\n"), "{said}");
    assert_eq!((text(), backup("2")), (right, wrong.replace("ovre", "over")));
    // Nothing more to do, and no copy of a file that does not change.
    let said = setup.answered(&["check", "--fix"], "");
    assert_eq!(said, "0 corrections made\n\n1 rule in 1 file: valid\n");
    assert!(!setup.path("rules/rules.yaml.bak3").exists());
    let names: Vec<_> = std::fs::read_dir(setup.path("rules")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
}

#[test]
fn a_file_keeps_its_bom_and_its_permissions_when_it_is_corrected() {
    use std::os::unix::fs::PermissionsExt;
    let setup = Setup::new();
    let file = setup.path("rules/rules.yaml");
    let text = "webhooks:\r\n  /a: { verify: none }\r\nrules:\r\n  A:\r\n    when: { webhook: /a }\r\n    thne: [ log: hi ]";
    std::fs::write(&file, format!("\u{feff}{text}")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    setup.answered(&["check", "--fix", "--yes"], "");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("\u{feff}{}\n", text.replace("thne", "then")));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn problems_can_be_printed_as_json() {
    let setup = Setup::with("rules:\n  A:\n    whne: { webhook: /a }\n    then: [ log: hi ]\n");
    let out = setup.run(&["check", "--format", "json"]);
    assert_eq!(out.status.code(), Some(1));
    let said: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let expected = serde_json::json!({
        "severity": "error", "file": "rules/rules.yaml", "line": 3, "column": 5, "length": 4,
        "message": "`whne` is not a valid key in a rule", "help": "did you mean `when`?", "correction": { "start": 16, "end": 20, "text": "when" }, "notes": ["valid keys: description, enabled, when, timezone, missed, then, else, set, if, once_per, one_at_a_time, answer_within, on_error, tests"],
    });
    assert!(said["problems"].as_array().unwrap().contains(&expected), "{said:#}");
}

#[test]
fn exit_codes_differ_for_valid_rules_invalid_rules_and_wrong_usage() {
    let valid = Setup::with("rules:\n  A:\n    when: { webhook: /a }\n    then: [ log: hi ]\n");
    assert_eq!(valid.run(&["check"]).status.code(), Some(0));
    let invalid = Setup::with("rules:\n  A: 1\n");
    assert_eq!(invalid.run(&["check"]).status.code(), Some(1));
    assert_eq!(invalid.run(&["serve"]).status.code(), Some(1));
    assert_eq!(invalid.run(&["check", "--env-file", "nowhere"]).status.code(), Some(2));
    assert_eq!(invalid.run(&["bogus"]).status.code(), Some(2));
}

#[test]
fn hostile_rule_files_are_reported_as_problems() {
    let deep = "a: ".to_owned() + &"[".repeat(10_000);
    let bomb = (1..12).fold("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned(), |t, n| {
        t + &format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(","))
    });
    let pattern = format!(
        "rules:\n  A:\n    when: {{ webhook: /a }}\n    if: {{ body.x: {{ matches: '{}' }} }}\n    then: [ log: hi ]\n",
        "(a|b)".repeat(200_000)
    );
    let long = format!("rules:\n  A:\n    when: {{ webhook: /a }}\n    then: [ log: '{}' ]\n", "x".repeat(3 << 20));
    for (name, text) in [
        ("deep", deep.as_str()),
        ("bomb", &bomb),
        ("pattern", &pattern),
        ("long", &long),
        ("nul", "a: \0\n"),
        ("empty", ""),
        ("mess", "{{{{{{:::---"),
    ] {
        let setup = Setup::with(text);
        let out = setup.run(&["check"]);
        assert_eq!(out.status.code(), Some(1), "{name}: {}", String::from_utf8_lossy(&out.stderr));
        assert!(String::from_utf8_lossy(&out.stdout).starts_with("error: "), "{name}");
    }
    let setup = Setup::new();
    std::fs::write(setup.path("rules/x.yaml"), b"a: \xff\n").unwrap();
    assert_eq!(
        setup.printed(&["check"]),
        "error: this file is not UTF-8 text\n  --> rules/x.yaml\n   = line 1 is not UTF-8; save the file as UTF-8 in your editor\n\n1 error\n"
    );
}

#[test]
fn with_require_verify_an_open_address_is_an_error() {
    let setup = Setup::with("rules:\n  A:\n    when: { webhook: /a }\n    then: [ log: hi ]\n");
    let said = setup.printed(&["check", "--require-verify"]);
    assert!(said.starts_with("error: anyone who knows the address /a can call it\n"), "{said}");
}

#[test]
fn a_long_list_of_warnings_is_cut_short_and_does_not_prevent_starting() {
    let rule = |n: usize| format!("  Rule {n}:\n    when: {{ webhook: /w{n} }}\n    then: [ log: hi ]\n");
    let setup = Setup::with(&format!("rules:\n{}", (0..150).map(rule).collect::<String>()));
    let said = setup.printed(&["check"]);
    assert!(said.contains("warning: 50 more problems in this file are not shown\n"), "{said}");
    assert!(said.ends_with("150 rules in 1 file: valid, with 101 warnings\n"), "{said}");
    setup.serve().deliver("/w149", "{}");
}

#[test]
fn several_files_can_be_checked_and_a_missing_one_is_named() {
    let setup = Setup::new();
    for name in ["a", "b", "c"] {
        let text = format!(
            "webhooks: {{ /{name}: {{ verify: none }} }}\nrules: {{ {name}: {{ when: {{ webhook: /{name} }}, then: [ log: x ] }} }}\n"
        );
        setup.write(&format!("rules/{name}.yaml"), &text);
    }
    assert_eq!(setup.printed(&["check", "rules/a.yaml", "rules/b.yaml"]), "2 rules in 2 files: valid\n");
    assert_eq!(setup.printed(&["check", "--rules", "rules"]), "3 rules in 3 files: valid\n");
    assert_eq!(setup.printed(&["check", "rules", "rules/a.yaml"]), "3 rules in 3 files: valid\n", "a file is read once");
    assert_eq!(
        setup.printed(&["check", "rules/bb.yaml"]),
        "error: this file does not exist\n  --> rules/bb.yaml\n   = did you mean rules/b.yaml?\n\n1 error\n"
    );
    setup.write("rules/d.yml.txt", "rules:\n");
    assert_eq!(
        setup.printed(&["check"]),
        "warning: this file is not read as a rule file, because its name ends in .txt\n  --> rules/d.yml.txt\n   = rename it to d.yml\n\n3 rules in 3 files: valid, with 1 warning\n"
    );
}

#[test]
fn notes_about_disabled_rules_do_not_bury_an_error() {
    let off =
        |name: &str| format!("  {name}: {{ enabled: false, when: {{ webhook: /{name} }}, then: [ log: \"{{{{ secret.{name} }}}}\" ] }}\n");
    let setup = Setup::with(&format!("rules:\n{}{}", off("a"), off("b")));
    assert_eq!(setup.printed(&["check"]).matches("note: ").count(), 2);
    setup.write("rules/rules.yaml", &format!("rules:\n{}{}  c: 1\n", off("a"), off("b")));
    let said = setup.printed(&["check"]);
    assert!(said.ends_with("note: 2 notes are not shown; they follow when the errors are fixed\n\n1 error and 2 notes\n"), "{said}");
}
