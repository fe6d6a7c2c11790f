//! What the docs and the shipped rules say works: every YAML block compiles, every shipped rule is good.

use doorbell::action::KINDS;
use doorbell::template::{EXAMPLE_BODY, HELPERS};

use crate::world::{World, home};

#[test]
fn every_helper_does_what_its_example_says_and_stands_in_the_docs() {
    let world = World::new();
    world.write("body.json", EXAMPLE_BODY);
    let mut rules = "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n".to_owned();
    let mut table = String::new();
    for helper in HELPERS {
        let (example, result) = helper.example;
        rules += &format!("      - log: \"<{example}>\"\n");
        table += &format!("| `{}` | {} | `{example}` | `{result}` |\n", helper.name, helper.does);
    }
    world.write("rules/a.yaml", &rules);
    let said = world.said(&["try", "body.json", "--path", "/a"]);
    for (n, helper) in HELPERS.iter().enumerate() {
        let expected = format!("  {}. log  <{}>\n", n + 1, helper.example.1);
        assert!(said.contains(&expected), "{} gives something else:\n{said}", helper.name);
    }
    let docs = home().join("docs/rules.md");
    let text = std::fs::read_to_string(&docs).unwrap();
    let head = "| helper | gives | example | result |\n|---|---|---|---|\n";
    let (before, rest) = text.split_once(head).unwrap();
    let after = &rest[rest.find("\nBrackets nest").unwrap()..];
    if std::env::var_os("DOORBELL_BLESS").is_some() {
        std::fs::write(&docs, format!("{before}{head}{table}{after}")).unwrap();
    }
    assert_eq!(rest.strip_suffix(after), Some(table.as_str()), "the table is made from the list: run again with DOORBELL_BLESS=1");
}

#[test]
fn every_kind_of_action_has_an_example_that_works() {
    let world = World::new();
    world.write("body.json", r#"{"id": 7, "total": 20}"#);
    for kind in KINDS {
        let example: String = kind.example().lines().map(|l| format!("        {l}\n")).collect();
        let step = format!("      -{}", &example[7..]);
        world.write(
            "rules/a.yaml",
            &format!("webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n{step}"),
        );
        let out = world.run(&["try", "body.json", "--path", "/a"]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
        assert!(!kind.does().is_empty());
    }
}

#[test]
fn the_rules_that_ship_are_good() {
    let said = World::new().said(&["check", home().join("rules").to_str().unwrap(), "--no-secrets"]);
    assert_eq!(said, "18 rules (13 switched off) in 16 files: all good\n");
}

#[test]
fn every_rule_that_ships_has_tests_and_passes_them() {
    let out = World::new().run(&["test", home().join("rules").to_str().unwrap()]);
    let said = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{said}");
    assert!(said.ends_with("39 tests passed\n"), "{said}");
}

#[test]
fn every_yaml_block_in_the_docs_compiles() {
    let mut files = vec![home().join("README.md")];
    files.extend(
        std::fs::read_dir(home().join("docs")).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "md")),
    );
    let mut count = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for block in text.split("```yaml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            let rules = whole(block);
            let world = World::with(&rules);
            let out = world.run(&["check", "--no-secrets"]);
            assert_eq!(out.status.code(), Some(0), "{}:\n{rules}\n{}", file.display(), String::from_utf8_lossy(&out.stdout));
            count += 1;
        }
    }
    assert!(count >= 15, "only {count} blocks");
}

/// A block as a whole file: a rule's parts, a step or a condition get what is missing around them.
fn whole(block: &str) -> String {
    let indent = |n: usize| block.lines().map(|l| format!("{}{l}\n", " ".repeat(n))).collect::<String>();
    let first = block.lines().find(|l| !l.starts_with('#') && !l.is_empty()).unwrap_or("");
    let head = "rules:\n  Shown in the docs:\n    when: { webhook: /shown }\n";
    match first {
        f if f.starts_with("rules:") || f.starts_with("webhooks:") && block.contains("\nrules:") => block.to_owned(),
        f if f.starts_with("webhooks:") => {
            let path = block.lines().find_map(|l| {
                l.trim()
                    .strip_suffix(':')
                    .filter(|p| p.starts_with('/'))
                    .or_else(|| l.trim().split_once(": ").map(|(p, _)| p).filter(|p| p.starts_with('/')))
            });
            format!(
                "{block}rules:\n  Shown in the docs:\n    when: {{ webhook: \"{}\" }}\n    then: [ log: hi ]\n",
                path.unwrap_or("/shown")
            )
        }
        f if f.starts_with("- ") => format!("{head}    then:\n{}", indent(6)),
        f if f.starts_with("when:") => {
            format!("rules:\n  Shown in the docs:\n{}{}", indent(4), if block.contains("then:") { "" } else { "    then: [ log: hi ]\n" })
        }
        f if ["if:", "set:", "then:"].iter().any(|k| f.starts_with(k)) => {
            format!("{head}{}{}", indent(4), if block.contains("then:") { "" } else { "    then: [ log: hi ]\n" })
        }
        _ => format!("{head}    if:\n{}    then: [ log: hi ]\n", indent(6)),
    }
}
