//! Rule files in the console: saving, naming, renaming and deleting them, also where something is missing or in the way.

use std::fs;

use crate::console_client::Visitor;
use crate::disks::MemoryDisk;
use crate::harness::{ClosedPort, Setup, until};

const RULES: &str = "webhooks:\n  /a: { verify: none }\nrules:\n  A:\n    when: { webhook: /a }\n    then:\n      - append: a.log\n        text: \"{{ body.n }}\"\n";
const OTHER: &str = "webhooks:\n  /b: { verify: none }\nrules:\n  B:\n    when: { webhook: /b }\n    then:\n      - append: b.log\n        text: \"{{ body.n }}\"\n";

impl Visitor {
    /// The version of a file that its page shows.
    fn opened(&self, file: &str) -> String {
        let page = self.get(&format!("/edit/{file}")).body;
        page.split("name=\"opened\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned()
    }

    /// Saves a file as its page does.
    fn save(&self, file: &str, text: &str) -> String {
        let opened = self.opened(file);
        let version = [("opened", opened.as_str())];
        let fields = [("text", text), ("do", "save")];
        let all = [&fields[..], if opened.is_empty() { &[] } else { &version }].concat();
        self.post(&format!("/edit/{file}"), &all).body
    }
}

#[test]
fn a_file_is_renamed_and_deleted_and_its_text_can_be_brought_back() {
    let setup = Setup::with(RULES);
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let page = visitor.save("b.yaml", OTHER);
    assert!(page.contains("Saved, and in use.") && page.contains("The rule “B” will not run any more."), "{page}");
    for to in ["../b.yaml", "rules.yaml", "/tmp/b", ".b", "missing/b"] {
        let got = visitor.submit("/edit/b.yaml", &[("do", "rename"), ("to", to), ("opened", &visitor.opened("b.yaml"))]);
        assert!(got.status == 200 && got.body.contains("Not renamed: "), "{to}: {}", got.body);
    }
    let old = visitor.opened("rules.yaml");
    let stale = visitor.submit("/edit/b.yaml", &[("do", "rename"), ("to", "c"), ("opened", &old)]);
    assert!(stale.body.contains("Not renamed: <code>b.yaml</code> was changed while you looked at it."), "{}", stale.body);
    let opened = visitor.opened("b.yaml");
    let got = visitor.submit("/edit/b.yaml", &[("do", "rename"), ("to", "my shop"), ("opened", &opened)]);
    assert_eq!(got.header("location"), "/edit/my-shop.yaml");
    assert!(visitor.get("/edit/my-shop.yaml").body.contains("The file is called my-shop.yaml now."));
    assert_eq!(visitor.get("/edit/b.yaml").status, 404);
    assert_eq!(fs::read_to_string(setup.path("rules/my-shop.yaml")).unwrap(), OTHER);
    let versions = visitor.get("/history/my-shop.yaml").body;
    assert!(versions.contains("Renamed; before, it was called <code>b.yaml</code>."), "{versions}");

    let page = visitor.post("/edit/my-shop.yaml", &[("do", "delete"), ("opened", &opened)]).body;
    assert!(page.contains("my-shop.yaml is deleted, and its rules do not run any more."), "{page}");
    assert!(page.contains("it was deleted or renamed") && page.contains("Back to this one") && !page.contains("Edit this file"), "{page}");
    assert_eq!(serving.post("/b", "{}").status, 404);
    assert!(visitor.get("/rules").body.contains("Versions of my-shop.yaml"));
    let back = page.split("/edit/my-shop.yaml?version=").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    assert!(visitor.get(&format!("/edit/my-shop.yaml?version={back}")).body.contains("text: &quot;{{ body.n }}&quot;"));
    let page = visitor.post("/edit/my-shop.yaml", &[("do", "save"), ("text", OTHER)]).body;
    assert!(page.contains("Saved, and in use."), "{page}");
    serving.deliver("/b", r#"{"n": 1}"#);
    until("it runs again", || setup.output("b.log") == "1\n");
    let audit = setup.printed(&["audit"]);
    for did in ["created the rule file b.yaml", "renamed the rule file b.yaml to my-shop.yaml", "deleted the rule file my-shop.yaml"] {
        assert!(audit.contains(&format!("{did} in the console, from 127.0.0.1")), "{audit}");
    }
}

#[test]
fn a_file_that_others_need_is_deleted_only_on_purpose() {
    let setup = Setup::with(
        "webhooks:\n  /a:\n    verify:\n      - { name: shop, bearer: \"{{ secret.SHOP }}\" }\n      - { name: crm, bearer: \"{{ secret.CRM }}\" }\n",
    )
    .env("SHOP", "the-secret-of-the-shop")
    .env("CRM", "the-secret-of-the-crm");
    setup.write("rules/open.yaml", "rules:\n  Also:\n    when: { webhook: /a }\n    then: [ { log: x } ]\n");
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let opened = visitor.opened("rules.yaml");
    let refused = |what: &str| {
        let page = visitor.submit("/edit/rules.yaml", &[("do", "delete"), ("opened", &opened)]).body;
        assert!(page.contains("Not deleted yet: other files need what is in it.") && page.contains(what), "{what}: {page}");
        assert!(page.contains("Delete it anyway") && setup.path("rules/rules.yaml").exists());
    };
    refused("rules/open.yaml</code>: anyone who knows the address /a can call it");
    setup.write("rules/open.yaml", "rules:\n  Also:\n    when: { webhook: /a }\n    if: { sender: shop }\n    then: [ { log: x } ]\n");
    serving.reload();
    refused("rules/open.yaml</code>: ");
    let page = visitor.post("/edit/rules.yaml", &[("do", "delete"), ("opened", &opened), ("anyway", "yes")]).body;
    assert!(page.contains("its rules stay in use until the errors in other files are fixed"), "{page}");
    assert!(!setup.path("rules/rules.yaml").exists());
    assert_eq!(serving.post("/a", "{}").status, 401, "the address is still closed");
}

#[test]
fn files_that_something_else_manages_are_not_renamed_deleted_or_saved() {
    let setup = Setup::with(RULES);
    let _serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let opened = visitor.opened("rules.yaml");
    fs::create_dir(setup.path("rules/.git")).unwrap();
    assert!(!visitor.get("/edit/rules.yaml").body.contains("Rename or delete"));
    for (what, fields) in [
        ("saved", [("do", "save"), ("text", OTHER)]),
        ("renamed", [("do", "rename"), ("to", "c")]),
        ("deleted", [("do", "delete"), ("to", "")]),
    ] {
        let page = visitor.submit("/edit/rules.yaml", &[&fields[..], &[("opened", &opened)]].concat()).body;
        assert!(page.contains(&format!("Not {what}. The rules folder is a git work tree")), "{page}");
    }
    assert_eq!(fs::read_to_string(setup.path("rules/rules.yaml")).unwrap(), RULES);
}

#[test]
fn the_name_of_a_new_file_can_be_chosen_and_takes_the_place_of_no_other() {
    let setup = Setup::with(RULES);
    let _serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let page = visitor.get("/edit/draft.yaml?empty=yes").body;
    assert!(page.contains("<input id=\"name\" name=\"name\" value=\"draft.yaml\""), "{page}");
    let save = |name: &str| visitor.post("/edit/draft.yaml", &[("do", "save"), ("name", name), ("text", OTHER)]).body;
    let page = save("rules");
    assert!(page.contains("Not saved: there is a file called <code>rules.yaml</code> already. Choose another name."), "{page}");
    assert!(page.contains("data-unsaved") && !page.contains("name=\"opened\""), "the next one must not replace it: {page}");
    assert!(save("../x").contains("Not saved: `../x.yaml` is not the name of a file in the rules folder. Choose another name."));
    assert!(save("my shop").contains("Saved, and in use."));
    assert_eq!(fs::read_to_string(setup.path("rules/my-shop.yaml")).unwrap(), OTHER);
    assert_eq!(fs::read_to_string(setup.path("rules/rules.yaml")).unwrap(), RULES);
}

#[test]
fn rules_whose_secrets_are_not_set_are_saved_switched_off_and_hold_nothing_back() {
    let setup = Setup::with(RULES);
    let serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let needs = "webhooks:\n  /shop: { verify: none }\nrules:\n  Plain:\n    when: { webhook: /shop }\n    then:\n      - append: shop.log\n        text: x\n  Tell:\n    when: { webhook: /shop }\n    then:\n      - post: https://chat.example.com/x\n        headers: { X-Key: \"{{ secret.CHAT_KEY }}\" }\n";
    let looked = visitor.submit("/edit/shop.yaml", &[("do", "look"), ("text", needs)]).body;
    assert!(looked.contains("The rules that need CHAT_KEY are then switched off until it is set."), "{looked}");
    let page = visitor.save("shop.yaml", needs);
    let said = "Saved, with the rules switched off that need CHAT_KEY, because CHAT_KEY is not set. Set it where Doorbell runs";
    assert!(page.contains(said), "{page}");
    let saved = fs::read_to_string(setup.path("rules/shop.yaml")).unwrap();
    assert_eq!(saved, needs.replace("  Tell:\n", "  Tell:\n    enabled: false\n"));
    serving.deliver("/shop", "{}");
    until("the other rule runs", || setup.output("shop.log") == "x\n");
    // Where Doorbell cannot do that, it says what to do.
    let braces =
        "webhooks:\n  /c: { verify: none }\nrules: { C: { when: { webhook: /c }, then: [ { log: \"{{ secret.CHAT_KEY }}\" } ] } }\n";
    let page = visitor.save("c.yaml", braces);
    assert!(page.contains("Not saved: CHAT_KEY is not set, and Doorbell could not switch off the rules that need it."), "{page}");
    // Other files can be saved and used.
    assert!(visitor.save("b.yaml", OTHER).contains("Saved, and in use."));
    // A recipe as it is.
    let page = visitor.get(visitor.submit("/new", &[("recipe", "alerts-in-one-message")]).header("location")).body;
    let text = setup.printed(&["new", "alerts-in-one-message"]);
    assert!(page.contains("are then switched off until") || page.contains("No problems."), "{page}");
    let page = visitor.save("alerts.yaml", &text);
    assert!(page.contains("Saved, with the rules switched off that need"), "{page}");
    assert!(visitor.save("rules.yaml", &RULES.replace("a.log", "aa.log")).contains("Saved, and in use."));
}

#[test]
fn corrections_are_applied_without_scripts() {
    let setup = Setup::with(RULES);
    let _serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let unescaped = |text: &str| text.replace("&quot;", "\"").replace("&amp;", "&");
    for mark in ["", "\u{feff}"] {
        let wrong = format!("{mark}{}", RULES.replace("append:", "apend:"));
        let page = visitor.submit("/edit/rules.yaml", &[("do", "try"), ("text", &wrong)]).body;
        let fix = unescaped(page.split("<button name=\"fix\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap());
        let fixed = visitor.submit("/edit/rules.yaml", &[("fix", &fix), ("text", &wrong)]).body;
        assert!(fixed.contains("No problems.") && unescaped(&fixed).contains(&format!("\n{mark}{RULES}</textarea>")), "{fixed}");
        let other = visitor.submit("/edit/rules.yaml", &[("fix", &fix), ("text", RULES)]).body;
        assert!(other.contains("The text has changed since it was checked, so nothing was corrected."), "{other}");
    }
}

#[test]
fn what_depends_on_an_answer_is_tried_with_one_that_is_typed() {
    let closed = ClosedPort::new();
    let rules = format!(
        "webhooks:\n  /a: {{ verify: none }}\nrules:\n  A:\n    when: {{ webhook: /a }}\n    then:\n      - post: http://{}/x\n        save_as: made\n      - append: a.log\n        text: \"{{{{ made.body.id }}}}\"\n        if: {{ made.status: 200 }}\n",
        closed.address()
    );
    let setup = Setup::with(&rules);
    let _serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let look = |fields: &[(&str, &str)]| {
        let all = [&[("do", "look"), ("text", rules.as_str()), ("typed", "{}"), ("address", "/a")][..], fields].concat();
        let answer: serde_json::Value = serde_json::from_str(&visitor.submit("/edit/rules.yaml", &all).body).unwrap();
        answer["shown"].as_str().unwrap().to_owned()
    };
    let shown = look(&[]);
    assert!(shown.contains("depends on the answer of step 1</span>") && !shown.contains("--reply"), "{shown}");
    assert!(
        shown.contains("To try that, open “What if it answers …” at the step that calls it") && shown.contains("value=\"1 A\""),
        "{shown}"
    );
    let shown = look(&[("answer_of", "1 A"), ("answer", r#"{"id": 42}"#)]);
    assert!(shown.contains("append  a.log\n42") && shown.contains("<details class=\"answer\" open>"), "{shown}");
}

#[test]
#[cfg_attr(not(can_mount), ignore = "needs root and `mount`: no disk can be mounted here")]
fn a_full_disk_leaves_the_file_as_it_was() {
    let setup = Setup::with(RULES);
    let _disk = MemoryDisk::new(setup.path("rules"), "128k");
    setup.write("rules/rules.yaml", RULES);
    let _serving = setup.serve_with_console(&[]);
    let visitor = setup.visitor();
    let large = format!("{RULES}{}", format!("# {}\n", "x".repeat(1_000)).repeat(200));
    let page = visitor.save("rules.yaml", &large);
    assert!(page.contains("Not saved: the disk of the rules folder is full; free some space on it."), "{page}");
    assert!(page.contains("The file is as it was, and your text is still here") && page.contains(&"x".repeat(1_000)), "{page}");
    assert_eq!(fs::read_to_string(setup.path("rules/rules.yaml")).unwrap(), RULES);
    assert_eq!(fs::read_dir(setup.path("rules")).unwrap().count(), 1, "nothing is left behind");
    assert!(visitor.save("rules.yaml", OTHER).contains("Saved, and in use."), "it is not read-only");
}
