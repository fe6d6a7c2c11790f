//! What the docs and the shipped rules say works: every YAML block compiles, every shipped rule is good.

use crate::world::{World, home};

#[test]
fn the_rules_that_ship_are_good() {
    let said = World::new().said(&["check", home().join("rules").to_str().unwrap(), "--no-secrets"]);
    assert_eq!(said, "4 rules (2 switched off) in 4 files: all good\n");
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
