//! The docs and the shipped rules are correct: every YAML block and every shipped rule is valid, and examples show real output.

use doorbell::action::KINDS;
use doorbell::expr::condition::read::TESTS;
use doorbell::expr::template::list::{EXAMPLE_BODY, HELPERS};

use crate::harness::{Setup, project_folder};

#[path = "../../benches/bench/chart.rs"]
mod chart;

#[test]
fn the_chart_of_performance_shows_the_figures_beside_it() {
    let read = |name: &str| std::fs::read_to_string(project_folder().join("docs").join(name)).unwrap();
    let (figures, chart) = (read("performance.csv"), read("performance.svg"));
    assert!(chart == chart::draw(&figures), "run `cargo bench --bench chart`");
    assert_eq!(chart.matches("<circle").count(), figures.lines().count() - 1, "every figure is a point");
}

#[test]
fn every_helper_does_what_its_example_says_and_is_in_the_docs() {
    let setup = Setup::new();
    setup.write("body.json", EXAMPLE_BODY);
    let mut rules = "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n".to_owned();
    let mut table = String::new();
    for helper in HELPERS.iter() {
        let (example, result) = helper.example;
        rules += &format!("      - log: \"<{example}>\"\n");
        table += &format!("| `{}` | {} | `{example}` | `{result}` |\n", helper.usage, helper.does);
    }
    setup.write("rules/a.yaml", &rules);
    let said = setup.printed(&["try", "body.json", "--path", "/a"]);
    for (n, helper) in HELPERS.iter().enumerate() {
        let expected = format!("  {}. log  <{}>\n", n + 1, helper.example.1);
        assert!(said.contains(&expected), "{} does something else:\n{said}", helper.name);
    }
    // The arguments that are shown for a helper pass the checks of arguments.
    let usages: String = HELPERS.iter().map(|h| format!("      - log: \"{}\"\n", h.usage)).collect();
    setup.write(
        "rules/a.yaml",
        &format!("webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n{usages}"),
    );
    assert_eq!(setup.printed(&["check", "--no-secrets"]), "1 rule in 1 file: valid\n");
    let docs = project_folder().join("docs/rules.md");
    let text = std::fs::read_to_string(&docs).unwrap();
    let head = "| helper | gives | example | result |\n|---|---|---|---|\n";
    let (before, rest) = text.split_once(head).unwrap();
    let after = &rest[rest.find("\nBrackets nest").unwrap()..];
    if std::env::var_os("DOORBELL_BLESS").is_some() {
        std::fs::write(&docs, format!("{before}{head}{table}{after}")).unwrap();
    }
    assert_eq!(
        rest.strip_suffix(after),
        Some(table.as_str()),
        "the table differs from the list of helpers; to update it, run again with DOORBELL_BLESS=1"
    );
}

#[test]
fn every_kind_of_action_has_an_example_that_works() {
    let setup = Setup::new();
    setup.write("body.json", r#"{"id": 7, "total": 20}"#);
    for kind in KINDS {
        let example: String = kind.example().lines().map(|l| format!("        {l}\n")).collect();
        let step = format!("      -{}", &example[7..]);
        setup.write(
            "rules/a.yaml",
            &format!("webhooks:\n  /a: {{ verify: none }}\nconnections:\n  mail: {{ smtp: smtps://mail.example.com, from: a@example.com }}\nrules:\n  Ship an order:\n    when: {{ called: true }}\n    then:\n      - log: \"{{{{ input.number }}}}\"\n  A:\n    when: [{{ webhook: /a }}, {{ called: true }}]\n    then:\n{step}"),
        );
        let out = setup.run(&["try", "body.json", "--path", "/a"]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
        assert!(!kind.does().is_empty());
    }
}

#[test]
fn the_shipped_rules_are_one_rule_that_is_valid_without_a_word_and_passes_its_tests() {
    let rules = project_folder().join("rules");
    assert_eq!(Setup::new().printed(&["check", rules.to_str().unwrap()]), "1 rule in 1 file: valid\n");
    assert!(Setup::new().printed(&["test", rules.to_str().unwrap()]).ends_with("2 tests passed\n"));
}

#[test]
fn the_first_edit_in_the_readme_breaks_no_test() {
    let readme = std::fs::read_to_string(project_folder().join("README.md")).unwrap();
    let step = readme.lines().find(|line| line.starts_with("- log: ")).unwrap();
    let rule = std::fs::read_to_string(project_folder().join("rules/new-customer.yaml")).unwrap();
    let setup = Setup::with(&rule.replacen("    then:\n", &format!("    then:\n      {step}\n"), 1));
    let said = setup.printed(&["test"]);
    assert!(said.ends_with("2 tests passed\n"), "{said}");
    setup.write("ada.json", r#"{"email": "ada@example.com"}"#);
    assert!(setup.printed(&["try", "ada.json", "--path", "/webhook/new-customer"]).contains("a new customer, ada@example.com"));
}

#[test]
fn every_yaml_block_in_the_docs_is_valid() {
    let mut files = vec![project_folder().join("README.md")];
    for folder in ["docs", "docs/tasks", "docs/recipes"] {
        let pages = std::fs::read_dir(project_folder().join(folder)).unwrap().map(|e| e.unwrap().path());
        files.extend(pages.filter(|p| p.extension().is_some_and(|e| e == "md")));
    }
    let mut count = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for block in text.split("```yaml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            let rules = complete(block);
            let setup = Setup::with(&rules);
            let out = setup.run(&["check", "--no-secrets"]);
            assert_eq!(out.status.code(), Some(0), "{}:\n{rules}\n{}", file.display(), String::from_utf8_lossy(&out.stdout));
            count += 1;
        }
    }
    assert!(count >= 15, "only {count} blocks");
}

#[test]
fn every_test_for_if_works_as_documented() {
    let text = std::fs::read_to_string(project_folder().join("docs/rules.md")).unwrap();
    let order = text.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let table = text.split("| test | a line with it | holds |\n|---|---|---|\n").nth(1).unwrap();
    let mut rules = "webhooks:\n  /orders: { verify: none }\nrules:\n".to_owned();
    let mut expected = Vec::new();
    for row in table.lines().take_while(|l| l.starts_with('|')) {
        let cells: Vec<&str> = row.split(" | ").map(|c| c.trim_matches(['|', ' '])).collect();
        let name = format!("row {}", expected.len());
        rules += &format!(
            "  {name}:\n    when: {{ webhook: /orders }}\n    if:\n      {}\n    then: [{{ log: x }}]\n",
            cells[1].trim_matches('`')
        );
        expected.push(format!("{} {name}  would", if cells[2] == "yes" { "✓" } else { "✗" }));
    }
    for test in &TESTS {
        assert!(table.contains(&format!("| `{}` |", test.word.name)), "{} is missing in the table", test.word.name);
    }
    let setup = Setup::with(&rules);
    setup.write("order.json", order);
    let said = setup.printed(&["try", "order.json", "--path", "/orders"]);
    for line in expected {
        assert!(said.contains(&line), "{line} is not shown:\n{said}");
    }
}

/// Text with every date and time replaced, since `now` is different each time.
fn without_times(text: &str) -> String {
    let moment = regex::Regex::new(r"20\d\d-\d\d-\d\d([T ]\d\d:\d\d(:\d\dZ)?)?").unwrap();
    moment.replace_all(text, "(now)").into_owned()
}

#[test]
fn every_task_page_shows_the_real_output() {
    let mut count = 0;
    for page in std::fs::read_dir(project_folder().join("docs/tasks")).unwrap().map(|e| e.unwrap().path()) {
        let text = std::fs::read_to_string(&page).unwrap();
        let setup = Setup::new();
        let block = |kind: &str, n: usize| text.split(&format!("```{kind}\n")).nth(n).map(|b| b.split("```").next().unwrap());
        let commands: Vec<&str> = (1..).map_while(|n| block("sh", n)).flat_map(str::lines).collect();
        let mut bodies = (1..).map_while(|n| block("json", n));
        let mut shown = (1..).map_while(|n| block("text", n));
        // A page that copies no recipe is about the rule that is shipped.
        if !text.contains("doorbell new") {
            std::fs::copy(project_folder().join("rules/new-customer.yaml"), setup.path("rules/new-customer.yaml")).unwrap();
        }
        for command in commands {
            let words: Vec<&str> = command.split_whitespace().skip(1).collect();
            if words[0] == "try" {
                setup.write(words[1], bodies.next().unwrap());
            }
            let said = setup.printed(&words);
            if words[0] == "try" {
                let said: String = said.lines().map(|l| l.trim_end().to_owned() + "\n").collect();
                if std::env::var_os("DOORBELL_BLESS").is_some() {
                    let old = shown.next().unwrap();
                    let new = std::fs::read_to_string(&page).unwrap().replace(&format!("```text\n{old}"), &format!("```text\n{said}"));
                    std::fs::write(&page, new).unwrap();
                } else {
                    assert_eq!(without_times(shown.next().unwrap()), without_times(&said), "{}: {command}", page.display());
                }
                count += 1;
            }
        }
    }
    assert!(count >= 10, "only {count} commands");
}

/// Makes a complete rule file of a block that shows only parts of a rule, a step or a condition.
fn complete(block: &str) -> String {
    let indent = |n: usize| block.lines().map(|l| format!("{}{l}\n", " ".repeat(n))).collect::<String>();
    let first = block.lines().find(|l| !l.starts_with('#') && !l.is_empty()).unwrap_or("");
    let head = "rules:\n  Shown in the docs:\n    when: { webhook: /shown }\n";
    match first {
        f if f.starts_with("rules:") || block.contains("\nrules:") => block.to_owned(),
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

#[test]
fn every_test_that_the_security_page_names_exists() {
    let page = std::fs::read_to_string(project_folder().join("docs/security.md")).unwrap();
    let table = page.split("## The tests that show it").nth(1).unwrap().split("\n## ").next().unwrap();
    let named: Vec<(&str, &str)> = table.split('`').filter_map(|name| name.split_once("::")).collect();
    assert!(named.len() > 30, "{named:?}");
    for (module, test) in named {
        let text = std::fs::read_to_string(project_folder().join(format!("tests/it/{module}.rs"))).unwrap();
        assert!(text.contains(&format!("fn {test}()")), "{module}::{test}");
    }
}
